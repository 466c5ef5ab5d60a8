//! What a reply can be.

use bytes::Bytes;
use std::borrow::Cow;

/// Which version of the protocol a connection speaks. Every connection begins with RESP2; `HELLO 3` changes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    #[default]
    Resp2,
    Resp3,
}

/// One value of RESP3. RESP2 has fewer kinds; [`crate::encode`] says what the others become there.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Simple(String),
    /// With its code first, as in `ERR unknown command`.
    Error(String),
    Integer(i64),
    Bulk(Bytes),
    /// RESP2's null bulk string (`$-1`), RESP3's null.
    Null,
    /// RESP2's null array (`*-1`), RESP3's null.
    NullArray,
    Array(Vec<Value>),
    Map(Vec<(Value, Value)>),
    Set(Vec<Value>),
    Push(Vec<Value>),
    Boolean(bool),
    Double(f64),
    /// A text with its format, three characters such as `txt`.
    Verbatim {
        format: String,
        text: Bytes,
    },
    BigNumber(String),
}

impl Value {
    pub fn ok() -> Self {
        Self::Simple("OK".to_owned())
    }

    pub fn bulk(text: impl Into<Vec<u8>>) -> Self {
        Self::Bulk(Bytes::from(text.into()))
    }

    pub fn error(text: impl Into<String>) -> Self {
        Self::Error(text.into())
    }

    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null | Self::NullArray)
    }

    /// The text of an error reply, with its code.
    pub fn as_error(&self) -> Option<&str> {
        if let Self::Error(text) = self { Some(text) } else { None }
    }

    /// The bytes of everything that is a string, whichever kind.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Simple(text) | Self::BigNumber(text) => Some(text.as_bytes()),
            Self::Bulk(bytes) | Self::Verbatim { text: bytes, .. } => Some(bytes),
            Self::Error(_)
            | Self::Integer(_)
            | Self::Null
            | Self::NullArray
            | Self::Array(_)
            | Self::Map(_)
            | Self::Set(_)
            | Self::Push(_)
            | Self::Boolean(_)
            | Self::Double(_) => None,
        }
    }

    /// The same as text; bytes that are not UTF-8 are replaced.
    pub fn as_text(&self) -> Option<Cow<'_, str>> {
        self.as_bytes().map(String::from_utf8_lossy)
    }

    /// An integer, or a string that is one.
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            other => other.as_text()?.parse().ok(),
        }
    }

    /// The elements of an array, set or push.
    pub fn as_array(&self) -> Option<&[Value]> {
        match self {
            Self::Array(items) | Self::Set(items) | Self::Push(items) => Some(items),
            Self::Simple(_)
            | Self::Error(_)
            | Self::Integer(_)
            | Self::Bulk(_)
            | Self::Null
            | Self::NullArray
            | Self::Map(_)
            | Self::Boolean(_)
            | Self::Double(_)
            | Self::Verbatim { .. }
            | Self::BigNumber(_) => None,
        }
    }

    /// The pairs of a map, or of the flat array that RESP2 makes of one.
    pub fn as_pairs(&self) -> Option<Vec<(&Value, &Value)>> {
        match self {
            Self::Map(pairs) => Some(pairs.iter().map(|(key, value)| (key, value)).collect()),
            other => Some(other.as_array()?.chunks_exact(2).map(|pair| (&pair[0], &pair[1])).collect()),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::bulk(text)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::bulk(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}
