//! The data folder: made for its owner alone, used by one process at a time, with the keys of this deployment in it.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use mesh::{Random, keyfile, token::MeshKey};

const LOCK: &str = "lock";
const MASTER_KEY: &str = "master.key";
const MESH_KEY: &str = "mesh.key";

/// Why a data folder cannot be used. The text names it.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// Another process has it.
    #[error("{0} is in use by another plaza: stop it, or name another folder with --data")]
    InUse(PathBuf),
    /// There is none, where one is needed.
    #[error("{0} is no data folder of plaza: start plaza on it first, or name the right one with --data")]
    Missing(PathBuf),
    /// It cannot be made, read or written.
    #[error("the data folder {path}: {source}")]
    Io {
        /// The folder.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
}

/// A data folder in use. Another process may use it once this is dropped, however the process ended.
#[derive(Debug)]
pub(crate) struct Data {
    pub(crate) master: [u8; 32],
    pub(crate) mesh: MeshKey,
    _lock: File,
}

impl Data {
    /// Takes the folder, and makes what is missing of it.
    pub(crate) fn take(path: &Path, deployment: &str, random: &Random) -> Result<Self, DataError> {
        let failed = |source| DataError::Io { path: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        let mode = fs::metadata(path).map_err(failed)?.permissions().mode();
        if mode & 0o077 != 0 {
            tracing::warn!(folder = %path.display(), "the data folder is open to others (chmod 700 it)");
        }
        let lock = OpenOptions::new().create(true).append(true).mode(0o600).open(path.join(LOCK)).map_err(failed)?;
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => return Err(DataError::InUse(path.to_owned())),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
            Ok(()) => {}
        }
        let master = keyfile::load_or_create(&path.join(MASTER_KEY), random).map_err(failed)?;
        let mesh = MeshKey::load_or_create(&path.join(MESH_KEY), deployment, random).map_err(failed)?;
        Ok(Self { master, mesh, _lock: lock })
    }
}

/// The mesh key of a folder, in use or not.
pub(crate) fn mesh_key(path: &Path, deployment: &str) -> Result<MeshKey, DataError> {
    let file = path.join(MESH_KEY);
    if !file.exists() {
        return Err(DataError::Missing(path.to_owned()));
    }
    let secret = keyfile::load(&file).map_err(|source| DataError::Io { path: path.to_owned(), source })?;
    Ok(MeshKey::new(secret, deployment))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use mesh::Random;

    use super::{Data, DataError, mesh_key};

    #[test]
    fn the_folder_is_its_owners_alone_and_keeps_its_keys() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("deep/data");
        assert!(matches!(mesh_key(&path, "here"), Err(DataError::Missing(_))));

        let first = Data::take(&path, "here", &Random::seeded(1)).expect("made");
        let mode = |path: &std::path::Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o700);
        assert_eq!((mode(&path.join("master.key")), mode(&path.join("mesh.key"))), (0o600, 0o600));
        assert!(matches!(Data::take(&path, "here", &Random::seeded(2)), Err(DataError::InUse(_))));
        assert!(mesh_key(&path, "here").is_ok(), "an operator's token is to be had while it runs");

        let master = first.master;
        drop(first);
        assert_eq!(Data::take(&path, "here", &Random::seeded(3)).expect("taken again").master, master);
    }
}
