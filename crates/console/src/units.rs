//! Quantities as PostgreSQL's settings write them: `16MB`, `100kB`, `1.5GB`, `10s`, `2 min`.
//!
//! Deliberately without PostgreSQL's hexadecimal and octal numbers. What cannot be read is `None`, never a guess.

/// Bytes; a number alone is bytes. Units are case sensitive, and powers of 1024.
pub fn bytes(text: &str) -> Option<i64> {
    in_units(
        text,
        &[("B", 1.0), ("kB", 1024.0), ("MB", 1_048_576.0), ("GB", 1_073_741_824.0), ("TB", 1_099_511_627_776.0)],
    )
}

/// Whole seconds; a number alone is seconds.
pub fn seconds(text: &str) -> Option<i64> {
    in_units(text, &[("us", 0.000_001), ("ms", 0.001), ("s", 1.0), ("min", 60.0), ("h", 3600.0), ("d", 86_400.0)])
}

fn in_units(text: &str, units: &[(&str, f64)]) -> Option<i64> {
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+'))).unwrap_or(text.len());
    let (number, unit) = (&text[..end], text[end..].trim());
    if unit.is_empty()
        && let Ok(number) = number.parse()
    {
        return Some(number);
    }
    let factor = if unit.is_empty() { 1.0 } else { units.iter().find(|(name, _)| *name == unit)?.1 };
    let value = (number.parse::<f64>().ok()? * factor).round();
    // Beyond this a 64-bit integer has no room, and no WAL or timeout reaches there.
    (value.abs() < 9.0e18).then_some(value as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_read_as_postgresql_reads_them() {
        for (text, expected) in [
            ("0", Some(0)),
            ("1024", Some(1024)),
            ("16MB", Some(16_777_216)),
            ("100kB", Some(102_400)),
            (" 1.5 GB ", Some(1_610_612_736)),
            ("1TB", Some(1_099_511_627_776)),
            ("-1", Some(-1)),
            ("9223372036854775807", Some(i64::MAX)),
            ("16mb", None),
            ("MB", None),
            ("", None),
            ("..1", None),
            ("99999999999999999999TB", None),
            ("1é", None),
        ] {
            assert_eq!(bytes(text), expected, "{text}");
        }
        for (text, expected) in
            [("10", Some(10)), ("2min", Some(120)), ("1500 ms", Some(2)), ("1d", Some(86_400)), ("x", None)]
        {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }
}
