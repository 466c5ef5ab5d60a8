//! Commands as they arrive at a server.

use crate::error::ProtocolError;
use crate::inline::split_arguments;
use crate::limits::Limits;
use crate::line::{LineReader, LineTooLong, parse_integer};
use bytes::{Bytes, BytesMut};

/// Takes commands out of a buffer that fills bit by bit. What it has taken from the buffer it keeps, so the caller
/// reads on and calls again.
#[derive(Debug)]
pub struct RequestDecoder {
    limits: Limits,
    line: LineReader,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Between two commands.
    Start,
    /// Within an array: these arguments are complete, `missing` are to come. `bulk` is the length of the next one,
    /// when its header has arrived.
    Arguments { complete: Vec<Bytes>, missing: usize, bytes: usize, bulk: Option<usize> },
}

impl RequestDecoder {
    pub fn new(limits: Limits) -> Self {
        Self { limits, line: LineReader::default(), state: State::Start }
    }

    /// For the moment a client has authenticated.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// The next complete command, with at least one argument. `None`: more bytes are needed.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Vec<Bytes>>, ProtocolError> {
        loop {
            match &mut self.state {
                State::Start => match buffer.first() {
                    None => return Ok(None),
                    Some(b'*') => {
                        let Some(line) = self.line.next(buffer).map_err(|LineTooLong| ProtocolError::CountTooLong)?
                        else {
                            return Ok(None);
                        };
                        let count = parse_integer(&line[1..]).ok_or(ProtocolError::InvalidCount)?;
                        if count > self.limits.arguments_max as i64 {
                            return Err(ProtocolError::InvalidCount);
                        }
                        // Redis ignores a command without arguments, and so one with a negative number of them.
                        if count > 0 {
                            self.state = State::Arguments {
                                complete: Vec::new(),
                                missing: count as usize,
                                bytes: 0,
                                bulk: None,
                            };
                        }
                    }
                    Some(_) => {
                        let Some(line) = self.line.next(buffer).map_err(|LineTooLong| ProtocolError::InlineTooLong)?
                        else {
                            return Ok(None);
                        };
                        let words = split_arguments(&line).ok_or(ProtocolError::UnbalancedQuotes)?;
                        if words.len() > self.limits.arguments_max {
                            return Err(ProtocolError::InvalidCount);
                        }
                        if !words.is_empty() {
                            return Ok(Some(words.into_iter().map(Bytes::from).collect()));
                        }
                    }
                },
                State::Arguments { complete, missing, bytes, bulk } => {
                    let length = match *bulk {
                        Some(length) => length,
                        None => {
                            match buffer.first() {
                                None => return Ok(None),
                                Some(b'$') => {}
                                Some(other) => return Err(ProtocolError::ExpectedBulk(*other)),
                            }
                            let Some(line) =
                                self.line.next(buffer).map_err(|LineTooLong| ProtocolError::BulkCountTooLong)?
                            else {
                                return Ok(None);
                            };
                            let length = parse_integer(&line[1..])
                                .and_then(|length| usize::try_from(length).ok())
                                .filter(|length| *length <= self.limits.bulk_bytes_max)
                                .ok_or(ProtocolError::InvalidBulkLength)?;
                            *bytes += length;
                            if *bytes > self.limits.buffer_bytes_max {
                                return Err(ProtocolError::RequestTooLong(self.limits.buffer_bytes_max));
                            }
                            *bulk = Some(length);
                            length
                        }
                    };
                    if buffer.len() < length + 2 {
                        return Ok(None);
                    }
                    complete.push(buffer.split_to(length).freeze());
                    let _end_of_line = buffer.split_to(2);
                    *bulk = None;
                    *missing -= 1;
                    if *missing == 0 {
                        let complete = std::mem::take(complete);
                        self.state = State::Start;
                        return Ok(Some(complete));
                    }
                }
            }
        }
    }
}
