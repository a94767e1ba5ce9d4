//! The master key of a program that runs SMS on its own.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use mesh::Random;

use crate::config::KeysConfig;

/// Reads the master key: 32 bytes in a file that its owner alone may read. Makes the file, and its folder, if there is none
/// and `keys.create` says so.
///
/// # Errors
/// If there is no file and none may be made, if it has not exactly 32 bytes, or if others than its owner may read it.
pub fn load_master_key(config: &KeysConfig, random: &Random) -> io::Result<[u8; 32]> {
    let path = &config.master_file;
    if config.create && !path.exists() {
        create(path, random)?;
    }
    let mode = fs::metadata(path).map_err(|error| about(path, error.kind(), &error.to_string()))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(about(
            path,
            io::ErrorKind::PermissionDenied,
            "may be read by others than its owner (chmod 600 it)",
        ));
    }
    fs::read(path)?.try_into().map_err(|_| about(path, io::ErrorKind::InvalidData, "does not hold 32 bytes"))
}

/// Never replaces a file: a start that finds another's key uses it.
fn create(path: &Path, random: &Random) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let aside = path.with_extension(format!("new-{:016x}", u64::from_le_bytes(random.bytes())));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
    let written = file.write_all(&random.bytes::<32>()).and_then(|()| file.sync_all());
    let linked = written.and_then(|()| fs::hard_link(&aside, path));
    fs::remove_file(&aside)?;
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        done => done,
    }
}

fn about(path: &Path, kind: io::ErrorKind, what: &str) -> io::Error {
    io::Error::new(kind, format!("master key {}: {what}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(folder: &tempfile::TempDir, create: bool) -> KeysConfig {
        KeysConfig { master_file: folder.path().join("deeper/sms.key"), create }
    }

    #[test]
    fn a_key_is_made_once_and_only_if_that_is_allowed() {
        let folder = tempfile::tempdir().expect("a folder");
        let random = Random::system();
        assert_eq!(load_master_key(&keys(&folder, false), &random).expect_err("none").kind(), io::ErrorKind::NotFound);
        let made = load_master_key(&keys(&folder, true), &random).expect("made");
        assert_eq!(load_master_key(&keys(&folder, true), &random).expect("kept"), made);
        assert_eq!(load_master_key(&keys(&folder, false), &random).expect("kept"), made);
        let mode = fs::metadata(keys(&folder, true).master_file).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_key_that_others_can_read_or_that_is_short_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = KeysConfig { master_file: folder.path().join("sms.key"), create: false };
        fs::write(&config.master_file, [0; 31]).expect("written");
        let chmod = |mode| fs::set_permissions(&config.master_file, fs::Permissions::from_mode(mode)).expect("changed");
        chmod(0o600);
        assert_eq!(load_master_key(&config, &Random::system()).expect_err("short").kind(), io::ErrorKind::InvalidData);
        chmod(0o640);
        let error = load_master_key(&config, &Random::system()).expect_err("open to the group");
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    }
}
