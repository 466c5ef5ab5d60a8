//! Lines that end in CR LF, found in bytes that arrive bit by bit.

use bytes::{Bytes, BytesMut};

/// The longest line: a command in one line, a count, an error text. Redis's own limit for inline commands.
pub const LINE_BYTES_MAX: usize = 64 * 1024;

/// Remembers how far it has looked, so that a sender of single bytes does not make us look at all of them each time.
#[derive(Debug, Default)]
pub struct LineReader {
    searched: usize,
}

/// The line is longer than [`LINE_BYTES_MAX`].
#[derive(Debug, PartialEq, Eq)]
pub struct LineTooLong;

impl LineReader {
    /// The next line without its end, which is LF or CR LF; `None` while it is incomplete.
    pub fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, LineTooLong> {
        let end = buffer.iter().skip(self.searched).position(|byte| *byte == b'\n').map(|found| found + self.searched);
        match end {
            Some(end) if end > LINE_BYTES_MAX => Err(LineTooLong),
            Some(end) => {
                self.searched = 0;
                let mut line = buffer.split_to(end + 1);
                line.truncate(end);
                if line.last() == Some(&b'\r') {
                    line.truncate(end - 1);
                }
                Ok(Some(line.freeze()))
            }
            None if buffer.len() > LINE_BYTES_MAX => Err(LineTooLong),
            None => {
                self.searched = buffer.len();
                Ok(None)
            }
        }
    }
}

/// A decimal number as the protocol has it: digits with an optional sign, nothing else.
pub fn parse_integer(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}
