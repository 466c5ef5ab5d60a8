//! How much a peer may send before it is cut off.

/// Bounds of one request or one reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest single string.
    pub bulk_bytes_max: usize,
    /// The most elements of one array, or arguments of one command.
    pub arguments_max: usize,
    /// How deep arrays may be nested.
    pub depth_max: usize,
    /// The most bytes that one request or reply may take altogether; of a reply in our memory, too.
    pub buffer_bytes_max: usize,
}

impl Limits {
    /// What an unauthenticated client may send: Redis allows the same, enough for HELLO and AUTH.
    pub const UNAUTHENTICATED: Self =
        Self { bulk_bytes_max: 16 * 1024, arguments_max: 10, depth_max: 1, buffer_bytes_max: 64 * 1024 };

    /// For clients of a server that only takes commands about itself: the longest is an ACL rule or a path.
    pub const COMMANDS: Self =
        Self { bulk_bytes_max: 512 * 1024, arguments_max: 1024, depth_max: 1, buffer_bytes_max: 1024 * 1024 };

    /// For what watched servers and peers say, of which there may be thousands, and not all of them need mean well. The
    /// longest is INFO, with a line for each replica and each database.
    pub const WATCHED: Self =
        Self { bulk_bytes_max: 1024 * 1024, arguments_max: 1024, depth_max: 4, buffer_bytes_max: 2 * 1024 * 1024 };

    /// For replies of servers that are asked about their state. The longest is INFO or CLIENT LIST of a busy server,
    /// the deepest COMMAND DOCS.
    pub const REPLIES: Self = Self {
        bulk_bytes_max: 16 * 1024 * 1024,
        arguments_max: 1024 * 1024,
        depth_max: 16,
        buffer_bytes_max: 64 * 1024 * 1024,
    };
}
