//! What may be done with a file.

use std::path::Path;

/// From now on, what this process and its children make can be read by their user alone, unless they say otherwise: there are
/// passwords in configurations, logs and state. Windows has no such thing; there the directory's access list is inherited.
pub fn keep_new_files_private() {
    super::os::files::keep_new_files_private();
}

/// Whether this process may execute the file. On Windows that is known only when it is tried, so there it must exist.
pub fn is_executable(path: &Path) -> bool {
    super::os::files::is_executable(path)
}

/// Whether this process may write to the file.
pub fn is_writable(path: &Path) -> bool {
    super::os::files::is_writable(path)
}
