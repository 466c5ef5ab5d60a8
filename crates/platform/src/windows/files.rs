//! As far as attributes tell.

use std::path::Path;

pub fn keep_new_files_private() {}

pub fn is_executable(path: &Path) -> bool {
    path.is_file()
}

pub fn is_writable(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|file| !file.permissions().readonly())
}
