//! Asks the kernel, which knows users, groups and mount options.

use rustix::fs::{Access, Mode, access};
use std::path::Path;

pub fn keep_new_files_private() {
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
}

pub fn is_executable(path: &Path) -> bool {
    access(path, Access::EXEC_OK).is_ok()
}

pub fn is_writable(path: &Path) -> bool {
    access(path, Access::WRITE_OK).is_ok()
}
