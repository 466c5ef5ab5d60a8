//! As far as attributes tell.

use crate::{DiskSpace, Readers};
use std::os::windows::ffi::OsStrExt;
use std::path::Path;
use windows_sys::Win32::Storage::FileSystem::GetDiskFreeSpaceExW;

pub fn keep_new_files_private() {}

/// The system and the administrators, by their identifiers, whatever they are called in the system's language.
const SYSTEM: &str = "*S-1-5-18:(OI)(CI)F";
const ADMINISTRATORS: &str = "*S-1-5-32-544:(OI)(CI)F";

pub fn set_readers(path: &Path, readers: Readers) -> std::io::Result<()> {
    if readers == Readers::Everybody || !path.is_dir() {
        return Ok(());
    }
    // Worker and servers of an agent that this user starts are not administrators (see `token`), and have to read it.
    let user = format!("*{}:(OI)(CI)F", super::token::user_identifier()?);
    let arguments = ["/inheritance:r", "/grant:r", SYSTEM, "/grant:r", ADMINISTRATORS, "/grant:r", &user];
    let done = std::process::Command::new("icacls").arg(path).args(arguments).output()?;
    if done.status.success() {
        return Ok(());
    }
    Err(std::io::Error::other(format!("icacls: {}", String::from_utf8_lossy(&done.stdout).trim())))
}

pub fn is_executable(path: &Path) -> bool {
    path.is_file()
}

pub fn is_writable(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|file| !file.permissions().readonly())
}

pub fn disk_space(directory: &Path) -> std::io::Result<DiskSpace> {
    let path: Vec<u16> = directory.as_os_str().encode_wide().chain([0]).collect();
    let (mut free, mut total) = (0, 0);
    // SAFETY: the path ends with a zero, and both numbers live until the call returns; the third may be null.
    let ok = unsafe { GetDiskFreeSpaceExW(path.as_ptr(), &raw mut free, &raw mut total, std::ptr::null_mut()) };
    if ok == 0 { Err(std::io::Error::last_os_error()) } else { Ok(DiskSpace { free, total }) }
}

pub fn readable_by_others(_file: &Path) -> Option<bool> {
    None
}
