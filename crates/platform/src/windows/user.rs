//! System users. On Windows the service's account is set by the service manager; what is dropped are its rights.

use std::io;
use std::path::Path;

/// Windows has no such numbers. The fields are here so that nobody outside needs to know; no value is ever made but of
/// zeros, and none is ever acted on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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

/// There is no other user to become: worker and servers run as the same one, without administrative rights (`token`).
pub fn current_user_is_root() -> bool {
    false
}

pub fn find_user(_name: &str) -> Option<SystemUser> {
    None
}

pub fn owner_of(_path: &Path) -> io::Result<RunAs> {
    Ok(RunAs::default())
}

pub fn give_to(_path: &Path, _user: &RunAs) -> io::Result<()> {
    Ok(())
}

pub fn give_to_unfollowed(_path: &Path, _user: &RunAs) -> io::Result<()> {
    Ok(())
}

pub fn give_as(_file: &Path, _other: &Path) -> io::Result<()> {
    Ok(())
}

/// Windows has access lists, which are not read.
pub fn may_make_in(_user: &RunAs, _directory: &Path) -> bool {
    true
}

pub fn may_read(_user: &RunAs, _path: &Path) -> bool {
    true
}
