//! The SHA-256 of a certificate, as people compare it.

use std::fmt;
use x509_parser::pem::parse_x509_pem;

/// Shown as openssl and browsers show it: `AB:CD:...`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 32]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            let colon = if at == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

impl Fingerprint {
    /// From what a person typed or a token carries: with colons or without, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b':').collect();
        let mut bytes = [0; 32];
        if digits.len() != 2 * bytes.len() {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
            *byte = digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?;
        }
        Some(Self(bytes))
    }
}

/// Of the first certificate in a PEM text.
pub fn fingerprint(certificate_pem: &str) -> Option<Fingerprint> {
    let (_, pem) = parse_x509_pem(certificate_pem.as_bytes()).ok()?;
    let digest = ring::digest::digest(&ring::digest::SHA256, &pem.contents);
    Some(Fingerprint(digest.as_ref().try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_as_it_is_shown() {
        let mut bytes = [0; 32];
        bytes[0] = 0xAB;
        bytes[31] = 0x01;
        let shown = Fingerprint(bytes).to_string();
        assert!(shown.starts_with("AB:00:") && shown.ends_with(":00:01"), "{shown}");
        for text in [shown.clone(), shown.to_lowercase(), shown.replace(':', "")] {
            assert_eq!(Fingerprint::parse(&text), Some(Fingerprint(bytes)));
        }
        for text in ["", "AB", &shown[3..], &shown.replace('A', "G"), &"é".repeat(32)] {
            assert_eq!(Fingerprint::parse(text), None, "{text}");
        }
        assert_eq!(fingerprint("no certificate"), None);
    }
}
