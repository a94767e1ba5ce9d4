//! Secret keys in files: 32 random bytes that their owner alone may read.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use crate::clock::Random;

/// The key in the file at `path`.
///
/// # Errors
/// If the file cannot be read, has not exactly 32 bytes, or may be read by others than its owner and, where that is root, its group.
pub fn load(path: &Path) -> io::Result<[u8; 32]> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let metadata = fs::metadata(path).map_err(named)?;
    if exposed(metadata.permissions().mode(), metadata.uid()) {
        return Err(refusal(path, "may be read by others than its owner (chmod 600 it)"));
    }
    fs::read(path).map_err(named)?.try_into().map_err(|_| refusal(path, "does not hold 32 bytes"))
}

/// Whether others may read it. What root owns, a program that is not root can read by its group alone: so Kubernetes mounts secrets, and
/// PostgreSQL has the same rule.
fn exposed(mode: u32, owner: u32) -> bool {
    mode & if owner == 0 { 0o037 } else { 0o077 } != 0
}

/// The key in the file at `path`, which is made if it is not there. The folder must exist.
///
/// # Errors
/// As [`load`], and if the file cannot be made.
pub fn load_or_create(path: &Path, random: &Random) -> io::Result<[u8; 32]> {
    match create(path, random) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => made?,
    }
    load(path)
}

/// Writes a new key aside and links it into place, so that nobody ever reads half of one and two starts agree on one.
fn create(path: &Path, random: &Random) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    let aside = path.with_extension(format!("new-{:016x}", u64::from_le_bytes(random.bytes())));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
    let linked = file.write_all(&random.bytes::<32>()).and_then(|()| file.sync_all()).and_then(|()| {
        // Unlike a rename, a link never replaces a key that another start has just made.
        fs::hard_link(&aside, path)
    });
    fs::remove_file(&aside)?;
    linked
}

fn refusal(path: &Path, what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{} {what}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::exposed;

    #[test]
    fn the_group_may_read_what_root_owns_and_nobody_else_anything() {
        for (mode, owner, wanted) in [
            (0o100_600, 1000, false),
            (0o100_400, 1000, false),
            (0o100_640, 1000, true),
            (0o100_440, 0, false),
            (0o100_640, 0, false),
            (0o100_660, 0, true),
            (0o100_644, 0, true),
            (0o100_604, 1000, true),
        ] {
            assert_eq!(exposed(mode, owner), wanted, "{mode:o} of {owner}");
        }
    }
}
