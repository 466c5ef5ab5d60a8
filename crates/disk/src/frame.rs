//! How a log file is written: a header, then frames. A frame is what one fsync covers.
//!
//! Each frame carries its length, a checksum and its number in the file. A frame is written only when all before it are
//! on disk, so after a power cut only the last can be incomplete. An unreadable frame with a readable one anywhere behind
//! it is therefore damage; an unreadable end is a write that was cut short.

use serde::{Deserialize, Serialize};
use store::{HardState, LogEntry};

/// Begins every log file; the last byte is the format.
pub const HEADER: [u8; 8] = *b"quorate\x01";
const FRAME_HEADER_BYTES: usize = 16;
/// Far above what the store lets pile up; a length above this is no length.
pub const FRAME_BYTES_MAX: usize = 256 * 1024 * 1024;

/// What was written together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// In the first frame of a file: which snapshot everything builds on.
    pub base: Option<Base>,
    /// Each group follows the log; an entry whose index is there replaces that one and everything behind it.
    pub groups: Vec<Vec<LogEntry>>,
    pub hard_state: Option<HardState>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// Of this file's name and that of its snapshot.
    pub generation: u64,
    pub has_snapshot: bool,
}

/// Appends the frame to `to`. `None`: it is too large.
pub fn encode(frame: &Frame, number: u64, to: &mut Vec<u8>) -> Option<()> {
    let payload = postcard::to_allocvec(frame).ok().filter(|payload| payload.len() <= FRAME_BYTES_MAX)?;
    let length = u32::try_from(payload.len()).ok()?;
    to.extend(length.to_le_bytes());
    to.extend(checksum(number, &payload).to_le_bytes());
    to.extend(number.to_le_bytes());
    to.extend(payload);
    Some(())
}

fn checksum(number: u64, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&number.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

/// The end of the readable frames.
#[derive(Debug, PartialEq, Eq)]
pub struct End {
    pub offset: usize,
    /// Of the frame that comes next.
    pub number: u64,
    /// Bytes behind `offset` that were never a whole frame. Zeros are room set aside, not a cut write.
    pub cut: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Damage {
    pub offset: usize,
    pub reason: String,
}

/// Reads all frames of a file's `bytes`.
pub fn read_all(bytes: &[u8], mut take: impl FnMut(Frame)) -> Result<End, Damage> {
    if !bytes.starts_with(&HEADER) {
        return Err(Damage { offset: 0, reason: "not a log file of this format".to_owned() });
    }
    let mut offset = HEADER.len();
    let mut number = 1;
    while let Some((found, payload, end)) = frame_at(bytes, offset)
        && found == number
    {
        let reason = |error| format!("frame {number} has a right checksum and no meaning: {error}");
        take(postcard::from_bytes(payload).map_err(|error| Damage { offset, reason: reason(error) })?);
        offset = end;
        number += 1;
    }
    if let Some(later) = (offset + 1..bytes.len()).find(|at| is_later_frame(bytes, *at, number)) {
        let reason = format!("frame {number} is unreadable, yet a later one at byte {later} is whole");
        return Err(Damage { offset, reason });
    }
    Ok(End { offset, number, cut: bytes[offset..].iter().any(|byte| *byte != 0) })
}

/// Number, payload and end of the frame at `offset`, if there is a whole one.
fn frame_at(bytes: &[u8], offset: usize) -> Option<(u64, &[u8], usize)> {
    let (length, rest) = bytes.get(offset..)?.split_first_chunk::<4>()?;
    let (expected, rest) = rest.split_first_chunk::<4>()?;
    let (number, rest) = rest.split_first_chunk::<8>()?;
    let length = u32::from_le_bytes(*length) as usize;
    let number = u64::from_le_bytes(*number);
    // Room set aside reads as frames of length zero.
    let payload = rest.get(..length).filter(|_| length > 0 && length <= FRAME_BYTES_MAX)?;
    let whole = checksum(number, payload) == u32::from_le_bytes(*expected);
    whole.then_some((number, payload, offset + FRAME_HEADER_BYTES + length))
}

/// The number is looked at first: it rules out nearly every place without a checksum.
fn is_later_frame(bytes: &[u8], offset: usize, number: u64) -> bool {
    let plausible = number..=number + (bytes.len() / FRAME_HEADER_BYTES) as u64;
    let found = bytes.get(offset + 8..).and_then(|rest| rest.first_chunk::<8>());
    found.is_some_and(|found| plausible.contains(&u64::from_le_bytes(*found))) && frame_at(bytes, offset).is_some()
}
