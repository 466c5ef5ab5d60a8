//! Replies as they arrive at a client.

use crate::error::ProtocolError;
use crate::limits::Limits;
use crate::line::{LineReader, LineTooLong, parse_integer};
use crate::value::Value;
use bytes::{Bytes, BytesMut};

/// What every value takes besides its text: three bytes on the wire can become one, and there may be millions.
const VALUE_BYTES: usize = size_of::<Value>();

/// Takes replies out of a buffer that fills bit by bit. Nesting costs an entry in a list, not a call, so the depth is
/// bounded by [`Limits::depth_max`] and by nothing else.
#[derive(Debug)]
pub struct ReplyDecoder {
    limits: Limits,
    line: LineReader,
    open: Vec<Open>,
    /// The header of a string whose bytes are still to come.
    pending: Option<(StringKind, usize)>,
    bytes: usize,
}

#[derive(Debug)]
struct Open {
    kind: Aggregate,
    /// In values, so twice the number of pairs of a map.
    missing: usize,
    items: Vec<Value>,
}

#[derive(Clone, Copy, Debug)]
enum Aggregate {
    Array,
    Set,
    Push,
    Map,
    /// What RESP3 lets a server say about a reply. Read and dropped.
    Attribute,
}

#[derive(Clone, Copy, Debug)]
enum StringKind {
    Bulk,
    Error,
    Verbatim,
}

/// What a header line turned out to be.
enum Header {
    Value(Value),
    String(StringKind, usize),
    Open(Aggregate, usize),
}

impl ReplyDecoder {
    pub fn new(limits: Limits) -> Self {
        Self { limits, line: LineReader::default(), open: Vec::new(), pending: None, bytes: 0 }
    }

    /// The next complete reply. `None`: more bytes are needed.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Value>, ProtocolError> {
        loop {
            let Some(mut value) = self.next_value(buffer)? else {
                return Ok(None);
            };
            loop {
                let Some(open) = self.open.last_mut() else {
                    self.bytes = 0;
                    return Ok(Some(value));
                };
                open.items.push(value);
                open.missing -= 1;
                if open.missing > 0 {
                    break;
                }
                let Some(complete) = self.open.pop() else { break };
                match close(complete) {
                    Some(closed) => value = closed,
                    None => break,
                }
            }
        }
    }

    /// The next value that is complete in itself; opens arrays on the way.
    fn next_value(&mut self, buffer: &mut BytesMut) -> Result<Option<Value>, ProtocolError> {
        loop {
            if let Some((kind, length)) = self.pending {
                if buffer.len() < length + 2 {
                    return Ok(None);
                }
                let bytes = buffer.split_to(length).freeze();
                let _end_of_line = buffer.split_to(2);
                self.pending = None;
                return string(kind, &bytes).map(Some);
            }
            let Some(line) = self.line.next(buffer).map_err(|LineTooLong| ProtocolError::InvalidReply("line"))? else {
                return Ok(None);
            };
            self.count(line.len() + 2 + VALUE_BYTES)?;
            match header(&line, &self.limits)? {
                Header::Value(value) => return Ok(Some(value)),
                Header::String(kind, length) => {
                    self.count(length)?;
                    self.pending = Some((kind, length));
                }
                Header::Open(kind, 0) => {
                    if let Some(value) = close(Open { kind, missing: 0, items: Vec::new() }) {
                        return Ok(Some(value));
                    }
                }
                Header::Open(kind, missing) => {
                    if self.open.len() >= self.limits.depth_max {
                        return Err(ProtocolError::TooDeep(self.limits.depth_max));
                    }
                    self.open.push(Open { kind, missing, items: Vec::new() });
                }
            }
        }
    }

    fn count(&mut self, bytes: usize) -> Result<(), ProtocolError> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > self.limits.buffer_bytes_max {
            return Err(ProtocolError::ReplyTooLong(self.limits.buffer_bytes_max));
        }
        Ok(())
    }
}

fn header(line: &[u8], limits: &Limits) -> Result<Header, ProtocolError> {
    let Some((kind, rest)) = line.split_first() else {
        return Err(ProtocolError::InvalidReply("type"));
    };
    let text = || String::from_utf8_lossy(rest).into_owned();
    Ok(match kind {
        b'+' => Header::Value(Value::Simple(text())),
        b'-' => Header::Value(Value::Error(text())),
        b':' => Header::Value(Value::Integer(parse_integer(rest).ok_or(ProtocolError::InvalidReply("integer"))?)),
        b'_' => Header::Value(Value::Null),
        b'#' => Header::Value(Value::Boolean(match rest {
            b"t" => true,
            b"f" => false,
            _ => return Err(ProtocolError::InvalidReply("boolean")),
        })),
        b',' => Header::Value(Value::Double(text().parse().map_err(|_| ProtocolError::InvalidReply("double"))?)),
        b'(' => Header::Value(Value::BigNumber(text())),
        b'$' => match string_length(rest, limits)? {
            Some(length) => Header::String(StringKind::Bulk, length),
            None => Header::Value(Value::Null),
        },
        b'!' => {
            Header::String(StringKind::Error, string_length(rest, limits)?.ok_or(ProtocolError::InvalidBulkLength)?)
        }
        b'=' => {
            Header::String(StringKind::Verbatim, string_length(rest, limits)?.ok_or(ProtocolError::InvalidBulkLength)?)
        }
        b'*' => match count(rest, limits)? {
            Some(items) => Header::Open(Aggregate::Array, items),
            None => Header::Value(Value::NullArray),
        },
        b'~' => Header::Open(Aggregate::Set, count(rest, limits)?.ok_or(ProtocolError::InvalidCount)?),
        b'>' => Header::Open(Aggregate::Push, count(rest, limits)?.ok_or(ProtocolError::InvalidCount)?),
        b'%' => Header::Open(Aggregate::Map, 2 * count(rest, limits)?.ok_or(ProtocolError::InvalidCount)?),
        b'|' => Header::Open(Aggregate::Attribute, 2 * count(rest, limits)?.ok_or(ProtocolError::InvalidCount)?),
        other => return Err(ProtocolError::UnknownType(*other)),
    })
}

/// `None` for -1, RESP2's way to say null.
fn string_length(text: &[u8], limits: &Limits) -> Result<Option<usize>, ProtocolError> {
    match parse_integer(text) {
        Some(-1) => Ok(None),
        Some(length) if length >= 0 && length as usize <= limits.bulk_bytes_max => Ok(Some(length as usize)),
        _ => Err(ProtocolError::InvalidBulkLength),
    }
}

fn count(text: &[u8], limits: &Limits) -> Result<Option<usize>, ProtocolError> {
    match parse_integer(text) {
        Some(-1) => Ok(None),
        Some(count) if count >= 0 && count as usize <= limits.arguments_max => Ok(Some(count as usize)),
        _ => Err(ProtocolError::InvalidCount),
    }
}

fn string(kind: StringKind, bytes: &Bytes) -> Result<Value, ProtocolError> {
    // Of a large buffer only a copy of the string is kept, not the buffer.
    let copy = |bytes: &[u8]| Bytes::copy_from_slice(bytes);
    Ok(match kind {
        StringKind::Bulk => Value::Bulk(copy(bytes)),
        StringKind::Error => Value::Error(String::from_utf8_lossy(bytes).into_owned()),
        StringKind::Verbatim => match (bytes.get(..3), bytes.get(3), bytes.get(4..)) {
            (Some(format), Some(b':'), Some(text)) => {
                Value::Verbatim { format: String::from_utf8_lossy(format).into_owned(), text: copy(text) }
            }
            _ => return Err(ProtocolError::InvalidReply("verbatim string")),
        },
    })
}

/// The value that the collected items are; `None` when it is to be dropped.
fn close(open: Open) -> Option<Value> {
    match open.kind {
        Aggregate::Array => Some(Value::Array(open.items)),
        Aggregate::Set => Some(Value::Set(open.items)),
        Aggregate::Push => Some(Value::Push(open.items)),
        Aggregate::Map => {
            let mut items = open.items.into_iter();
            let mut pairs = Vec::new();
            while let (Some(key), Some(value)) = (items.next(), items.next()) {
                pairs.push((key, value));
            }
            Some(Value::Map(pairs))
        }
        Aggregate::Attribute => None,
    }
}
