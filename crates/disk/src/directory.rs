//! What a data directory can do, so that a test can play one.
//!
//! Errors are the operating system's; `ErrorKind::StorageFull` and `QuotaExceeded` are the ones that may pass.

use std::io;

/// A directory without subdirectories.
pub trait Directory: Send {
    type File: File;

    fn list(&self) -> io::Result<Vec<String>>;
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;
    /// A new, empty file; replaces one of that name.
    fn create(&self, name: &str) -> io::Result<Self::File>;
    /// To append behind the first `length` bytes; what follows them is cut off.
    fn open(&self, name: &str, length: u64) -> io::Result<Self::File>;
    /// Replaces `to`.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    fn remove(&self, name: &str) -> io::Result<()>;
    /// What was created, renamed and removed survives a power cut from now on.
    fn sync(&self) -> io::Result<()>;
    /// For messages.
    fn display(&self, name: &str) -> String;
}

pub trait File: Send {
    /// May write a part and then fail.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// What was appended survives a power cut from now on.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts the file to its first `length` bytes.
    fn truncate(&mut self, length: u64) -> io::Result<()>;
}
