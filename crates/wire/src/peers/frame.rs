//! Bytes on a connection: a greeting and its answer, then messages, each with its length in front. A length of zero is a
//! sign of life.

use super::limits;
use std::io;
use store::limits::PEER_MESSAGE_BYTES_MAX;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The last byte is the version of all this.
const MAGIC: [u8; 8] = *b"quorpeer";
const VERSION: u8 = 1;
const GREETING_BYTES: usize = 33;

/// The first thing a sender says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Greeting {
    pub cluster_id: u64,
    pub from: u64,
    pub to: u64,
}

/// What the receiver makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Welcome = 1,
    OtherVersion = 2,
    OtherCluster = 3,
    /// The sender is not in the receiver's list of members.
    UnknownMember = 4,
    /// The receiver is another member than the sender thinks.
    WrongMember = 5,
    /// The sender's certificate is not made out to the address of the member that it says it is.
    OtherCertificate = 6,
}

impl Answer {
    fn from_byte(byte: u8) -> Option<Self> {
        let all = [
            Self::Welcome,
            Self::OtherVersion,
            Self::OtherCluster,
            Self::UnknownMember,
            Self::WrongMember,
            Self::OtherCertificate,
        ];
        all.into_iter().find(|answer| *answer as u8 == byte)
    }

    /// In words, as the sender sees it.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Welcome => "it agrees",
            Self::OtherVersion => "it speaks another version of the peer protocol",
            Self::OtherCluster => "it belongs to another cluster (the members' names or the cluster token differ)",
            Self::UnknownMember => "it does not know this member",
            Self::WrongMember => "it is another member than configured at this address",
            Self::OtherCertificate => "this member's certificate is not made out to this member's address",
        }
    }
}

pub async fn write_greeting(stream: &mut (impl AsyncWrite + Unpin), greeting: Greeting) -> io::Result<()> {
    let mut bytes = MAGIC.to_vec();
    bytes.push(VERSION);
    for field in [greeting.cluster_id, greeting.from, greeting.to] {
        bytes.extend(field.to_be_bytes());
    }
    stream.write_all(&bytes).await?;
    stream.flush().await
}

/// `Ok(None)`: a member of another version.
pub async fn read_greeting(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Greeting>> {
    let mut bytes = [0; GREETING_BYTES];
    // Strangers are told apart by their first bytes, before more is read.
    stream.read_exact(&mut bytes[..MAGIC.len()]).await?;
    if bytes[..MAGIC.len()] != MAGIC {
        return Err(invalid("not a member"));
    }
    stream.read_exact(&mut bytes[MAGIC.len()..]).await?;
    if bytes[MAGIC.len()] != VERSION {
        return Ok(None);
    }
    let field = |at: usize| bytes[at..].first_chunk().copied().map_or(0, u64::from_be_bytes);
    Ok(Some(Greeting { cluster_id: field(9), from: field(17), to: field(25) }))
}

pub async fn write_answer(stream: &mut (impl AsyncWrite + Unpin), answer: Answer) -> io::Result<()> {
    stream.write_all(&[answer as u8]).await?;
    stream.flush().await
}

pub async fn read_answer(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Answer> {
    let byte = stream.read_u8().await?;
    Answer::from_byte(byte).ok_or_else(|| invalid("an answer that is none"))
}

/// A message's bytes with their length in front. Several may be put into one buffer.
pub fn put_message(message: &[u8], to: &mut Vec<u8>) {
    to.extend((message.len() as u32).to_be_bytes());
    to.extend(message);
}

/// The next message; an empty one is a sign of life. Allocates only as bytes arrive.
pub async fn read_message(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let length = stream.read_u32().await? as usize;
    if length > PEER_MESSAGE_BYTES_MAX {
        return Err(invalid("a message that is too large"));
    }
    let mut message = Vec::with_capacity(length.min(limits::READ_AHEAD_BYTES));
    while message.len() < length {
        let piece = (length - message.len()).min(limits::READ_AHEAD_BYTES);
        let before = message.len();
        message.resize(before + piece, 0);
        stream.read_exact(&mut message[before..]).await?;
    }
    Ok(message)
}

pub fn invalid(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}
