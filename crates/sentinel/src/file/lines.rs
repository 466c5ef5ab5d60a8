//! A configuration file as lines of words.

use super::error::FileError;
use std::fmt::Write;
use std::path::Path;

/// A line that says something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// From 1.
    pub number: usize,
    /// Without white space at either end.
    pub text: String,
    /// At least one; the first in lower case.
    pub words: Vec<String>,
}

impl Line {
    pub fn error(&self, file: &Path, what: impl Into<String>, hint: Option<String>) -> FileError {
        FileError { file: file.to_owned(), line: self.number, text: self.shown(), what: what.into(), hint }
    }

    /// The line as it may be shown: without passwords.
    fn shown(&self) -> String {
        const SECRET: [&str; 5] =
            ["requirepass", "masterauth", "user", "tls-key-file-pass", "tls-client-key-file-pass"];
        let sentinel_secret = self.words[0] == "sentinel"
            && self.words.get(1).is_some_and(|word| word.to_ascii_lowercase().ends_with("-pass"));
        if sentinel_secret || SECRET.contains(&self.words[0].as_str()) {
            let kept = if sentinel_secret { 2 } else { 1 };
            return format!("{} ******", self.words[..kept].join(" "));
        }
        self.text.clone()
    }
}

/// White space that Redis takes off either end of a line.
const AROUND: [char; 4] = [' ', '\t', '\r', '\n'];

/// What editors on Windows put in front of a text in UTF-8. It says nothing.
const BYTE_ORDER_MARK: char = '\u{feff}';

pub fn without_mark(text: &str) -> &str {
    text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text)
}

/// All lines but comments and empty ones.
pub fn read(file: &Path, text: &str) -> Result<Vec<Line>, FileError> {
    let mut lines = Vec::new();
    for (index, raw) in without_mark(text).lines().enumerate() {
        let text = raw.trim_matches(AROUND);
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let error = |what: &str, hint: &str| FileError {
            file: file.to_owned(),
            line: index + 1,
            text: text.to_owned(),
            what: what.to_owned(),
            hint: Some(hint.to_owned()),
        };
        let words = resp::split_arguments(text.as_bytes()).ok_or_else(|| {
            error("Unbalanced quotes in configuration line", "close the quote; after it comes a blank")
        })?;
        let words: Result<Vec<String>, _> = words.into_iter().map(String::from_utf8).collect();
        let mut words = words.map_err(|_| error("not UTF-8", "write the file in UTF-8"))?;
        if let Some(first) = words.first_mut() {
            first.make_ascii_lowercase();
            lines.push(Line { number: index + 1, text: text.to_owned(), words });
        }
    }
    Ok(lines)
}

/// A word as it must be written so that it is read back as it is.
pub fn quoted(word: &str) -> String {
    let plain = !word.is_empty()
        && !word.starts_with('#')
        && word.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'\\') || byte >= 0x80);
    if plain { word.to_owned() } else { in_quotes(word) }
}

/// As Redis writes texts that may contain anything.
pub fn in_quotes(word: &str) -> String {
    let mut text = String::with_capacity(word.len() + 2);
    text.push('"');
    for character in word.chars() {
        match character {
            '\\' | '"' => {
                text.push('\\');
                text.push(character);
            }
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\u{7}' => text.push_str("\\a"),
            '\u{8}' => text.push_str("\\b"),
            other if other.is_ascii_control() => {
                // Writing into a string does not fail.
                let _ = write!(text, "\\x{:02x}", other as u32);
            }
            other => text.push(other),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_is_read_back() {
        for word in
            ["", "plain", "two words", "quote\"", "back\\slash", "line\nbreak", "#no comment", "a'b", "ü", "\u{1}"]
        {
            let line = format!("x {}", quoted(word));
            let lines = read(Path::new("f"), &line).expect("readable");
            assert_eq!(lines[0].words, ["x", word], "{line}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_word() {
        let lines = read(Path::new("f"), "\u{feff}port 5000\n").expect("readable");
        assert_eq!(lines[0].words, ["port", "5000"]);
    }

    #[test]
    fn comments_and_empty_lines_say_nothing() {
        assert_eq!(read(Path::new("f"), "# a\n\n  \t\n"), Ok(Vec::new()));
    }

    #[test]
    fn passwords_are_not_shown_in_errors() {
        let lines = read(Path::new("f"), "sentinel auth-pass m secret\nrequirepass secret").expect("readable");
        for line in lines {
            assert!(!line.error(Path::new("f"), "x", None).to_string().contains("secret"));
        }
    }
}
