//! Passwords: kept as SHA-256, as in Redis's files.

use ring::digest;
use ring::rand::{SecureRandom, SystemRandom};
use std::fmt::Write;

/// Sixty-four hexadecimal digits.
pub fn hash(password: &str) -> String {
    hex(digest::digest(&digest::SHA256, password.as_bytes()).as_ref())
}

pub fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Random hexadecimal digits that hold this many bits. `None` when the operating system has no randomness to give.
pub fn generate(bits: usize) -> Option<String> {
    let digits = bits.div_ceil(4);
    let mut bytes = vec![0; digits.div_ceil(2)];
    SystemRandom::new().fill(&mut bytes).ok()?;
    let mut text = hex(&bytes);
    text.truncate(digits);
    Some(text)
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing into a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
