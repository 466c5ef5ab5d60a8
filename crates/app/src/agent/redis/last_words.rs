//! What a server that ended before it answered wrote last into its log: the reason why it cannot start.
//!
//! Deliberately without the text of a directive that Redis complains of, because it may hold a password: only its name.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// Enough for the last lines of a log; a complaint about the configuration has four short ones.
const TAIL_BYTES: u64 = 4096;
/// A line is shown up to this length.
const LINE_CHARS_MAX: usize = 300;

/// One sentence, whatever is in the file. Reads the disk.
pub fn last_words(log: &Path, status: &str) -> String {
    let log_name = log.display();
    let found = tail(log).ok().and_then(|text| last_line(&text));
    match found {
        Some(line) => format!("Redis ended before it answered ({status}); its log {log_name} ends with: {line}"),
        None => format!("Redis ended before it answered ({status}); its log {log_name} does not say why"),
    }
}

fn tail(log: &Path) -> std::io::Result<String> {
    let mut file = File::open(log)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Where it is about a line of the configuration, which Redis shows above it, with the directive's name.
fn last_line(text: &str) -> Option<String> {
    let mut lines = text.lines().rev().map(str::trim).filter(|line| !line.is_empty());
    let last = lines.next()?;
    let shown: String = last.chars().filter(|letter| !letter.is_control()).take(LINE_CHARS_MAX).collect();
    let about = lines.next().and_then(|line| line.strip_prefix(">>> '")?.split([' ', '\'']).next());
    Some(match about.filter(|name| !name.is_empty() && !last.starts_with(">>>")) {
        Some(directive) => format!("{shown} (directive '{directive}')"),
        None if last.starts_with(">>>") => "a complaint about a line of its configuration".to_owned(),
        None => shown,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_quoted_with_the_file_and_without_values() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("redis.log");
        let said = |text: &str| {
            std::fs::write(&log, text).unwrap();
            last_words(&log, "exit code 1")
        };
        let complaint = "1:M * old\n\n*** FATAL CONFIG FILE ERROR (Redis 7.0.15) ***\nReading the configuration file, at \
                         line 3\n>>> 'tls-key-file-pass s3cret x'\nBad directive or wrong number of arguments\n";
        let found = said(complaint);
        assert!(
            found.ends_with("Bad directive or wrong number of arguments (directive 'tls-key-file-pass')"),
            "{found}"
        );
        assert!(found.contains(&log.display().to_string()) && !found.contains("s3cret"), "{found}");
        assert!(said("12:M # Bad file format\n\n").ends_with("ends with: 12:M # Bad file format"));
        assert!(!said(">>> 'masterauth s3cret'\n").contains("s3cret"));
        assert!(said("").ends_with("does not say why"));
        assert!(last_words(&directory.path().join("none"), "exit code 1").ends_with("does not say why"));
    }
}
