//! Asks the kernel, which knows users, groups and mount options.

use rustix::fs::{Access, access};
use std::path::Path;

pub fn is_executable(path: &Path) -> bool {
    access(path, Access::EXEC_OK).is_ok()
}

pub fn is_writable(path: &Path) -> bool {
    access(path, Access::WRITE_OK).is_ok()
}
