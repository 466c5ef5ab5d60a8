//! System users: PostgreSQL refuses to run as root, so a guard that is root runs it (and the worker) as somebody else.

use std::ffi::{CStr, CString};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The identity a child takes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunAs {
    pub uid: u32,
    pub gid: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemUser {
    pub name: String,
    pub home: String,
    pub run_as: RunAs,
}

pub fn current_user_is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Looks a user up by name; `None`: there is no such user.
pub fn find_user(name: &str) -> Option<SystemUser> {
    const BUFFER_BYTES: usize = 16 * 1024;
    let name_c = CString::new(name).ok()?;
    let mut buffer = vec![0u8; BUFFER_BYTES];
    // SAFETY: `passwd` is plain data for which all zeros are valid.
    let mut entry: libc::passwd = unsafe { std::mem::zeroed() };
    let mut found: *mut libc::passwd = std::ptr::null_mut();
    // SAFETY: all pointers are valid for the call, and the buffer's length is passed with it.
    let code = unsafe {
        libc::getpwnam_r(name_c.as_ptr(), &raw mut entry, buffer.as_mut_ptr().cast(), BUFFER_BYTES, &raw mut found)
    };
    if code != 0 || found.is_null() {
        return None;
    }
    // SAFETY: getpwnam_r succeeded, so `pw_dir` points to a terminated string inside `buffer`.
    let home = unsafe { CStr::from_ptr(entry.pw_dir) }.to_string_lossy().into_owned();
    Some(SystemUser { name: name.to_owned(), home, run_as: RunAs { uid: entry.pw_uid, gid: entry.pw_gid } })
}

pub fn owner_of(path: &Path) -> io::Result<RunAs> {
    let metadata = std::fs::metadata(path)?;
    Ok(RunAs { uid: metadata.uid(), gid: metadata.gid() })
}

/// Gives a file or directory (not what is in it) to a user.
pub fn give_to(path: &Path, user: &RunAs) -> io::Result<()> {
    std::os::unix::fs::chown(path, Some(user.uid), Some(user.gid))
}

/// The same for what lies in a directory of somebody else's: a link is not followed, and a file with a second name stays.
pub fn give_to_unfollowed(path: &Path, user: &RunAs) -> io::Result<()> {
    let metadata = std::fs::symlink_metadata(path)?;
    if metadata.is_file() && metadata.nlink() > 1 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the file has a second name"));
    }
    std::os::unix::fs::lchown(path, Some(user.uid), Some(user.gid))
}

/// Gives a file to whom another one belongs, as far as this process may: only root can change the owner, and others the group
/// to one of their own.
pub fn give_as(file: &Path, other: &Path) -> io::Result<()> {
    let owner = owner_of(other)?;
    if owner_of(file)? == owner {
        return Ok(());
    }
    give_to(file, &owner).or_else(|_| std::os::unix::fs::chown(file, None, Some(owner.gid)))
}

/// Whether this user may read the file, by its mode alone.
pub fn may_read(user: &RunAs, path: &Path) -> bool {
    let Ok(metadata) = std::fs::metadata(path) else { return false };
    let mode = metadata.mode();
    if metadata.uid() == user.uid {
        mode & 0o400 != 0
    } else if metadata.gid() == user.gid {
        mode & 0o040 != 0
    } else {
        mode & 0o004 != 0
    }
}

/// Whether this user may make something in the directory, by its mode alone.
pub fn may_make_in(user: &RunAs, directory: &Path) -> bool {
    let Ok(metadata) = std::fs::metadata(directory) else { return false };
    let mode = metadata.mode();
    let bits = if metadata.uid() == user.uid {
        mode >> 6
    } else if metadata.gid() == user.gid {
        mode >> 3
    } else {
        mode
    };
    bits & 0o3 == 0o3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_given_to_whom_another_belongs() {
        let directory = tempfile::tempdir().unwrap();
        let [one, other] = ["one", "other"].map(|name| directory.path().join(name));
        std::fs::write(&one, "").unwrap();
        std::fs::write(&other, "").unwrap();
        if current_user_is_root() {
            give_to(&other, &RunAs { uid: 1, gid: 2 }).unwrap();
        }
        give_as(&one, &other).unwrap();
        assert_eq!(owner_of(&one).unwrap(), owner_of(&other).unwrap());
        assert!(give_as(&one, &directory.path().join("none")).is_err());
    }
}
