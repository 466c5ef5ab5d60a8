//! What may be done with a file.

use std::path::Path;

/// Whether this process may execute the file. On Windows that is known only when it is tried, so there it must exist.
pub fn is_executable(path: &Path) -> bool {
    super::os::files::is_executable(path)
}

/// Whether this process may write to the file.
pub fn is_writable(path: &Path) -> bool {
    super::os::files::is_writable(path)
}
