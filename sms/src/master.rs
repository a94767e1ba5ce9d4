//! The master key of a program that runs SMS on its own.

use std::{fs, io};

use mesh::{Random, keyfile};

use crate::config::KeysConfig;

/// Reads the master key: 32 bytes in a file that its owner alone may read. Makes the file, and its folder, if there is none
/// and `keys.create` says so.
///
/// # Errors
/// If there is no file and none may be made, if it has not exactly 32 bytes, or if others than its owner may read it.
pub fn load_master_key(config: &KeysConfig, random: &Random) -> io::Result<[u8; 32]> {
    if !config.create {
        return keyfile::load(&config.master_file);
    }
    if let Some(folder) = config.master_file.parent() {
        fs::create_dir_all(folder)?;
    }
    keyfile::load_or_create(&config.master_file, random)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_only_if_that_is_allowed() {
        let folder = tempfile::tempdir().expect("a folder");
        let keys = |create| KeysConfig { master_file: folder.path().join("deeper/sms.key"), create };
        let random = Random::system();
        assert_eq!(load_master_key(&keys(false), &random).expect_err("none").kind(), io::ErrorKind::NotFound);
        let made = load_master_key(&keys(true), &random).expect("made");
        assert_eq!(load_master_key(&keys(true), &random).expect("kept"), made);
        assert_eq!(load_master_key(&keys(false), &random).expect("kept"), made);
        let mode = fs::metadata(keys(true).master_file).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
