//! Times that people write (`2026-08-01T20:00+02:00`), and times as Python prints them.

use jiff::Timestamp;
use jiff::civil::{DateTime, Time};
use jiff::fmt::temporal::Pieces;
use std::time::SystemTime;

/// A moment with an offset, not in the past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    pub at: Timestamp,
    /// ISO 8601 with the offset the user chose, as it goes into the store.
    pub text: String,
}

/// Why a time was not accepted: the HTTP status and Patroni's sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleError {
    pub status: u16,
    pub text: String,
}

impl Schedule {
    /// `action` is the word for the sentence: `restart` or `switchover`.
    pub fn parse(text: &str, action: &str, now: Timestamp) -> Result<Self, ScheduleError> {
        let error = |status, text: String| ScheduleError { status, text };
        let unreadable = || {
            let text = "Unable to parse scheduled timestamp. It should be in an unambiguous format, e.g. ISO 8601";
            error(422, text.to_owned())
        };
        let pieces = Pieces::parse(text.trim()).map_err(|_| unreadable())?;
        let Some(offset) = pieces.to_numeric_offset() else {
            return Err(error(400, format!("Timezone information is mandatory for the scheduled {action}")));
        };
        let local = DateTime::from_parts(pieces.date(), pieces.time().unwrap_or(Time::midnight()));
        let at = offset.to_timestamp(local).map_err(|_| unreadable())?;
        if at < now {
            return Err(error(422, format!("Cannot schedule {action} in the past")));
        }
        let format = if local.subsec_nanosecond() < 1000 { "%Y-%m-%dT%H:%M:%S%:z" } else { "%Y-%m-%dT%H:%M:%S.%6f%:z" };
        let text = at.to_zoned(offset.to_time_zone()).strftime(format).to_string();
        Ok(Self { at, text })
    }
}

/// `2026-08-28 19:39:26.352526+00:00`, which is how Python prints what PostgreSQL answered.
pub(crate) fn python_time(time: SystemTime) -> Option<String> {
    let time = Timestamp::try_from(time).ok()?;
    let format =
        if time.subsec_nanosecond() < 1000 { "%Y-%m-%d %H:%M:%S+00:00" } else { "%Y-%m-%d %H:%M:%S.%6f+00:00" };
    Some(time.strftime(format).to_string())
}

/// Seconds since 1970, with microseconds; 0 for no time.
pub(crate) fn epoch_seconds(time: Option<SystemTime>) -> f64 {
    let since = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).ok();
    time.and_then(since).map_or(0.0, |since| since.as_micros() as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_time_needs_an_offset_and_must_not_be_over() {
        let now: Timestamp = "2026-08-01T12:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("2026-08-01T20:00:00+02:00", Ok("2026-08-01T20:00:00+02:00")),
            ("2026-08-01 20:00+0200", Ok("2026-08-01T20:00:00+02:00")),
            ("2026-08-01T20:00:00.25Z", Ok("2026-08-01T20:00:00.250000+00:00")),
            ("2026-08-01T20:00:00", Err(400)),
            ("2026-08-01T13:59:59+02:00", Err(422)),
            ("tomorrow", Err(422)),
            ("", Err(422)),
            ("9999-12-31T23:59:59-25:00", Err(422)),
        ] {
            let got = Schedule::parse(text, "switchover", now);
            assert_eq!(got.as_ref().map(|s| s.text.as_str()).map_err(|e| e.status), expected, "{text}: {got:?}");
        }
    }

    #[test]
    fn times_print_as_python_prints_them() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_micros(1_724_873_966_352_526);
        assert_eq!(python_time(time).as_deref(), Some("2024-08-28 19:39:26.352526+00:00"));
        assert_eq!(python_time(SystemTime::UNIX_EPOCH).as_deref(), Some("1970-01-01 00:00:00+00:00"));
        assert_eq!(epoch_seconds(Some(time)).to_string(), "1724873966.352526");
    }
}
