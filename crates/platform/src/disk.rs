//! What a disk has room for, and who may read a file: asked by `quorate doctor`.

use std::io;
use std::path::Path;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSpace {
    /// Bytes that this user may still write.
    pub free: u64,
    pub total: u64,
}

/// Of the file system that the directory is on.
pub fn disk_space(directory: &Path) -> io::Result<DiskSpace> {
    super::os::files::disk_space(directory)
}

/// Whether every user of this machine may read it. `None`: not known; Windows has access lists, which are not read.
pub fn readable_by_others(file: &Path) -> Option<bool> {
    super::os::files::readable_by_others(file)
}
