//! Foreign text inside of strings that have a form of their own.

use std::fmt::Write as _;

/// For a part of a URL: everything but letters, digits and `-._~` as `%XX`.
pub fn url(text: &str) -> String {
    let mut quoted = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => quoted.push(char::from(byte)),
            other => {
                let _ = write!(quoted, "%{other:02X}");
            }
        }
    }
    quoted
}

/// For a value of libpq's `name=value`: in single quotes where it must be.
pub fn libpq(text: &str) -> String {
    if !text.is_empty() && !text.contains(|letter: char| letter.is_whitespace() || matches!(letter, '\'' | '\\')) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// For a value of ADO.NET's `Name=value;`: in quotes where it must be.
pub fn ado(text: &str) -> String {
    if !text.contains(|letter: char| letter.is_whitespace() || matches!(letter, ';' | '\'' | '"' | '=')) {
        return text.to_owned();
    }
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// A text of a program: double quotes, as in JSON, which Python, JavaScript, Go and Java read, too.
pub fn literal(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_the_string_early_is_quoted() {
        assert_eq!(url("p@ss:/%é"), "p%40ss%3A%2F%25%C3%A9");
        for (text, quoted) in [("plain", "plain"), ("", "''"), ("a b", "'a b'"), ("it's\\", "'it\\'s\\\\'")] {
            assert_eq!(libpq(text), quoted);
        }
        for (text, quoted) in [("plain", "plain"), ("a;b", "\"a;b\""), ("a\"b", "\"a\"\"b\"")] {
            assert_eq!(ado(text), quoted);
        }
        assert_eq!(literal("a\"b\\"), r#""a\"b\\""#);
    }
}
