//! A byte position in PostgreSQL's write-ahead log.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A byte position in the write-ahead log. Printed as PostgreSQL prints it (`16/B374D848`); a plain number in JSON,
/// as Patroni writes it (`xlog_location`, `optime`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Lsn(pub u64);

impl Lsn {
    /// How many bytes `self` is behind `ahead`; 0 when it is not behind.
    pub fn behind(self, ahead: Lsn) -> u64 {
        ahead.0.saturating_sub(self.0)
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

/// The text is not of PostgreSQL's form `XXX/XXX`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LsnParseError(pub String);

impl fmt::Display for LsnParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' is not a WAL position; expected two hexadecimal numbers such as 0/3000148", self.0)
    }
}

impl std::error::Error for LsnParseError {}

impl FromStr for Lsn {
    type Err = LsnParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || LsnParseError(text.to_owned());
        let (high, low) = text.trim().split_once('/').ok_or_else(error)?;
        let high = u32::from_str_radix(high, 16).map_err(|_| error())?;
        let low = u32::from_str_radix(low, 16).map_err(|_| error())?;
        Ok(Lsn(u64::from(high) << 32 | u64::from(low)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_prints_and_parses_as_postgresql_writes_it() {
        for (text, value) in [("0/0", 0), ("0/3000148", 0x0300_0148), ("16/B374D848", 0x16_B374_D848)] {
            assert_eq!(text.parse(), Ok(Lsn(value)));
            assert_eq!(Lsn(value).to_string(), text);
        }
        for text in ["", "/", "0", "0/", "x/1", "0/1FFFFFFFF", "0/-1"] {
            assert!(text.parse::<Lsn>().is_err(), "{text}");
        }
    }
}
