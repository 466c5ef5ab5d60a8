//! Writes a file so that after a crash at any moment, or on a full disk, there is the old one or the new one.
//!
//! The invariant: nobody but its owner can read a new one at any moment, because it may hold passwords (temporary files are made
//! with mode 0600 on Unix); one that is there keeps its
//! permissions, its owner and its group.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

/// Replaces the file with this text. When it returns without an error, the text is on the disk under this name.
pub fn replace(path: &Path, text: &str) -> io::Result<()> {
    // The file that a link leads to is replaced, not the link.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let name = path.file_name().ok_or_else(|| io::Error::other("not the name of a file"))?;
    let mut temporary_name = name.to_owned();
    // The process id, so that two programs that are told to use one file do not write into each other's text.
    temporary_name.push(format!(".{}.tmp", std::process::id()));
    // What a crash left there; that there is nothing is usual.
    let _ = fs::remove_file(directory.join(&temporary_name));
    // Removed when anything fails: what was written so far takes room on a disk that may be full.
    let mut file = tempfile::Builder::new().prefix(&temporary_name).rand_bytes(0).tempfile_in(directory)?;
    file.write_all(text.as_bytes())?;
    if let Ok(existing) = fs::metadata(&path) {
        // Before the permissions, which may let the group read. Where this process may not, the file becomes its own.
        let _ = platform::give_as(file.path(), &path);
        file.as_file().set_permissions(existing.permissions())?;
    }
    file.as_file().sync_all()?;
    file.persist(&path).map_err(|error| error.error)?;
    // Windows has no such thing; NTFS journals its names by itself.
    if cfg!(windows) { Ok(()) } else { fs::File::open(directory)?.sync_all() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_is_left_beside_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("sentinel.conf");
        fs::write(&path, "old").expect("written");
        replace(&path, "new").expect("replaced");
        assert_eq!(fs::read_to_string(&path).expect("there"), "new");
        assert_eq!(fs::read_dir(directory.path()).expect("there").count(), 1);
    }

    /// Root rewrites the file of a Sentinel that runs as somebody else.
    #[test]
    fn a_file_keeps_its_owner_its_group_and_its_permissions() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("sentinel.conf");
        fs::write(&path, "old").expect("written");
        if platform::current_user_is_root() {
            platform::give_to(&path, &platform::RunAs { uid: 1, gid: 2 }).expect("given");
        }
        let whose = || (platform::owner_of(&path).expect("there"), fs::metadata(&path).expect("there").permissions());
        let before = whose();
        replace(&path, "new").expect("replaced");
        assert_eq!((whose(), fs::read_to_string(&path).expect("there").as_str()), (before, "new"));
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_file() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("sentinel.conf");
        fs::write(&path, "old").expect("written");
        // The temporary file's name is taken by a directory, as a stand-in for every reason why it cannot be written.
        fs::create_dir(directory.path().join(format!("sentinel.conf.{}.tmp", std::process::id()))).expect("made");
        assert!(replace(&path, "new").is_err());
        assert_eq!(fs::read_to_string(&path).expect("there"), "old");
    }
}
