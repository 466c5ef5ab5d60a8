//! What may be done with a file.

use std::path::Path;

/// From now on, what this process and its children make can be read by their user alone, unless they say otherwise: there are
/// passwords in configurations, logs and state. Windows has no such thing; there the directory's access list is inherited.
pub fn keep_new_files_private() {
    super::os::files::keep_new_files_private();
}

/// Who may read a file, or walk through a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// Its owner alone.
    Owner,
    Everybody,
}

/// Only its owner may write it in any case. On Windows a directory of the owner's is for the system, the administrators
/// and this user, and what is made in it inherits that; files are left as they are.
pub fn set_readers(path: &Path, readers: Readers) -> std::io::Result<()> {
    super::os::files::set_readers(path, readers)
}

/// Whether this process may execute the file. On Windows that is known only when it is tried, so there it must exist.
pub fn is_executable(path: &Path) -> bool {
    super::os::files::is_executable(path)
}

/// Whether this process may write to the file.
pub fn is_writable(path: &Path) -> bool {
    super::os::files::is_writable(path)
}
