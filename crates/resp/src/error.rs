//! What is wrong with bytes that are not the protocol.

/// After this the connection cannot be used any more: nobody knows where the next frame begins.
///
/// The texts are the ones Redis sends, so a server can answer `-ERR Protocol error: ...` with them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    #[error("Protocol error: too big inline request")]
    InlineTooLong,
    #[error("Protocol error: unbalanced quotes in request")]
    UnbalancedQuotes,
    #[error("Protocol error: too big mbulk count string")]
    CountTooLong,
    #[error("Protocol error: too big bulk count string")]
    BulkCountTooLong,
    #[error("Protocol error: invalid multibulk length")]
    InvalidCount,
    #[error("Protocol error: invalid bulk length")]
    InvalidBulkLength,
    #[error("Protocol error: expected '$', got '{}'", char::from(*.0).escape_default())]
    ExpectedBulk(u8),
    #[error("Protocol error: a request of more than {0} bytes")]
    RequestTooLong(usize),
    #[error("Protocol error: a reply of more than {0} bytes")]
    ReplyTooLong(usize),
    #[error("Protocol error: a reply that is nested more than {0} deep")]
    TooDeep(usize),
    #[error("Protocol error: a reply of unknown type '{}'", char::from(*.0).escape_default())]
    UnknownType(u8),
    #[error("Protocol error: a reply that is not a valid {0}")]
    InvalidReply(&'static str),
}
