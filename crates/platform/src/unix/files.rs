//! Asks the kernel, which knows users, groups and mount options.

use crate::{DiskSpace, Readers};
use rustix::fs::{Access, Mode, access, statvfs};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Neither the owner nor the group, which is how a file of root's is given to the worker's user.
const READ_BY_OTHERS: u32 = 0o004;

pub fn keep_new_files_private() {
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
}

pub fn set_readers(path: &Path, readers: Readers) -> std::io::Result<()> {
    let mode = match (std::fs::metadata(path)?.is_dir(), readers) {
        (true, Readers::Owner) => 0o700,
        (true, Readers::Everybody) => 0o755,
        (false, Readers::Owner) => 0o600,
        (false, Readers::Everybody) => 0o644,
    };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

pub fn is_executable(path: &Path) -> bool {
    access(path, Access::EXEC_OK).is_ok()
}

pub fn is_writable(path: &Path) -> bool {
    access(path, Access::WRITE_OK).is_ok()
}

pub fn disk_space(directory: &Path) -> std::io::Result<DiskSpace> {
    let system = statvfs(directory)?;
    Ok(DiskSpace { free: system.f_bavail * system.f_frsize, total: system.f_blocks * system.f_frsize })
}

pub fn readable_by_others(file: &Path) -> Option<bool> {
    Some(std::fs::metadata(file).ok()?.permissions().mode() & READ_BY_OTHERS != 0)
}
