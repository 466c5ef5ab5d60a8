//! JSON as Patroni writes it: Python's spaces, and nothing but ASCII. Scripts that look for `"role": "primary"` in the
//! text find it.

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};
use std::io::{self, Write};

/// The text of `value`; `null` for what has no JSON form (which no type of ours is).
pub fn json_text(value: &impl Serialize) -> String {
    let mut text = Vec::new();
    match value.serialize(&mut Serializer::with_formatter(&mut text, PythonStyle)) {
        Ok(()) => String::from_utf8_lossy(&text).into_owned(),
        Err(_) => "null".to_owned(),
    }
}

struct PythonStyle;

impl Formatter for PythonStyle {
    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut units = [0; 2];
        for character in fragment.chars() {
            if character.is_ascii() {
                writer.write_all(&[character as u8])?;
            } else {
                for unit in character.encode_utf16(&mut units) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn it_looks_as_python_would_write_it() {
        let value = json!({"a": [1, true, null], "b": {"c": "é\"\n😀"}, "d": {}, "e": []});
        assert_eq!(
            json_text(&value),
            r#"{"a": [1, true, null], "b": {"c": "\u00e9\"\n\ud83d\ude00"}, "d": {}, "e": []}"#
        );
    }
}
