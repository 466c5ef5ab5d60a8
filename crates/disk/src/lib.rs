//! The store's memory across restarts: one log file and one snapshot file in a data directory.
//!
//! Deliberately not a database: it writes what [`store::Persist`] says and reads it back once, when the member starts.
//! The invariants: what was acknowledged survives a power cut; a write that was cut short is as if it had never been;
//! damage anywhere else is refused, never guessed at; a failed fsync is final, because nobody knows then what is on disk.
//!
//! ```text
//! identity             whose data these are (text)
//! log-0000000000000003       the log since snapshot 3 was taken, begins with everything needed besides the snapshot
//! snapshot-0000000000000003  the whole state
//! lock                 held while a process uses the directory
//! ```
//! A new snapshot starts a new pair: both files are complete and on disk before the old pair goes. So there is one log
//! file to read, and no segments that could be missing.
//!
//! [`Directory`] stands between this and the operating system; [`MemoryDirectory`] is one that loses, tears and fills up.

mod directory;
mod error;
mod frame;
mod identity;
mod log;
mod memory;
mod real;
#[cfg(test)]
mod tests;

pub use directory::{Directory, File};
pub use error::DiskError;
pub use identity::Identity;
pub use log::{DiskLog, OpenedLog};
pub use memory::MemoryDirectory;
pub use real::RealDirectory;
