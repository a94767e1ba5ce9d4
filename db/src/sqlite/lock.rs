//! One process per file: two writers would share it by busy time-outs only, and an in-process queue would guard nothing.

use crate::OpenError;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

/// Held as long as the file is open. The lock file stays behind: removing it would race with the next holder.
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Locks `<path>.lock`; the operating system frees it with the process, however that ends.
    pub(crate) fn take(path: &Path) -> Result<Self, OpenError> {
        let lock = beside(path);
        let file = private(&lock)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(OpenError::Locked { path: path.into(), lock }),
            Err(TryLockError::Error(cause)) => Err(OpenError::File { path: lock, cause }),
        }
    }
}

fn beside(path: &Path) -> PathBuf {
    let mut lock = path.as_os_str().to_owned();
    lock.push(".lock");
    lock.into()
}

/// Opens a file for its owner alone, making it if need be.
pub(crate) fn private(path: &Path) -> Result<File, OpenError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|cause| OpenError::File { path: path.into(), cause })
}
