//! Times as they are typed and printed.

use super::failure::Failure;
use jiff::civil::DateTime;
use jiff::{Timestamp, Zoned};

/// `2026-01-31 12:00:00`, as `list --timestamp` prints it.
pub fn second() -> String {
    Zoned::now().strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// With five digits of a second behind it, as patronictl prints it in front of a result.
pub fn moment() -> String {
    Zoned::now().strftime("%Y-%m-%d %H:%M:%S.%5f").to_string()
}

/// An hour from now, as an example in a question.
pub fn example() -> String {
    let hour = jiff::SignedDuration::from_hours(1);
    Zoned::now()
        .checked_add(hour)
        .map_or_else(|_| "2030-01-01T12:00".to_owned(), |then| then.strftime("%Y-%m-%dT%H:%M").to_string())
}

/// `None` for `now`; else ISO 8601 with an offset, the local one when none was typed.
pub fn scheduled(text: &str) -> Result<Option<String>, Failure> {
    let text = text.trim();
    if text.is_empty() || text.eq_ignore_ascii_case("now") {
        return Ok(None);
    }
    let zoned = match text.parse::<Timestamp>() {
        Ok(timestamp) => Some(timestamp.to_zoned(jiff::tz::TimeZone::system())),
        Err(_) => text.parse::<DateTime>().ok().and_then(|time| time.to_zoned(jiff::tz::TimeZone::system()).ok()),
    };
    match zoned {
        Some(zoned) => Ok(Some(zoned.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string())),
        None => Err(Failure::usage(
            "cli-time",
            format!(
                "Unable to parse scheduled timestamp ({text}). It should be in an unambiguous format (e.g. ISO 8601)"
            ),
        )
        .hint("write it as 2030-01-31T12:00:00+01:00, or 2030-01-31T12:00 for local time")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_and_without_an_offset() {
        assert_eq!(scheduled("now").unwrap(), None);
        for text in ["2030-01-31T12:00:00Z", "2030-01-31T12:00:00+02:00", "2030-01-31T12:00", "2030-01-31 12:00:05"] {
            let read = scheduled(text).unwrap().unwrap();
            assert!(read.starts_with("2030-01-31T") && read.len() == 25, "{text}: {read}");
        }
        assert!(scheduled("tomorrow").is_err());
        assert_eq!(moment().len(), "2023-09-12 11:52:27.50978".len());
    }
}
