//! Sentinel's configuration file: read, checked, and rewritten with what the Sentinel has learned.
//!
//! Deliberately two layers: [`lines`] knows words and quotes, [`server`] and `ha::sentinel::directives` know what they
//! mean. Includes are not supported, because nobody could say where the state belongs.
//!
//! Invariant: **the user's lines keep their order and their text, and the file is replaced as a whole or not at all.**

mod checks;
mod error;
mod harmless;
mod lines;
mod merge;
mod replace;
mod rewrite;
mod server;
mod server_directives;
mod settings;

pub use error::FileError;
pub use lines::{in_quotes, quoted, read as read_lines};
pub use replace::replace;
pub use rewrite::{Entry, rewrite};
pub use server::{BufferLimit, ClientCertificates, ServerSettings, TlsSettings};
pub use settings::{Settings, StateFile, sentinel_entries};
