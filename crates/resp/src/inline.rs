//! Words in one line, quoted as Redis quotes them: inline commands, and lines of configuration files.

/// The words of a line, or `None` when its quotes are not balanced.
///
/// Words are separated by white space. In double quotes `\n \r \t \b \a \xHH` and a backslash before any other
/// character have their meaning, in single quotes only `\'`. A closing quote must be followed by white space.
pub fn split_arguments(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut rest = line;
    let mut words = Vec::new();
    loop {
        while let [first, tail @ ..] = rest
            && is_space(*first)
        {
            rest = tail;
        }
        if rest.is_empty() {
            return Some(words);
        }
        let (word, tail) = word(rest)?;
        words.push(word);
        rest = tail;
    }
}

/// As C's `isspace`, which also counts vertical tab and form feed.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

fn word(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut word = Vec::new();
    loop {
        match rest {
            [] => return Some((word, rest)),
            [first, ..] if is_space(*first) || *first == 0 => return Some((word, &rest[1..])),
            [b'"', tail @ ..] => return after_quote(word, double_quoted(tail)?),
            [b'\'', tail @ ..] => return after_quote(word, single_quoted(tail)?),
            [first, tail @ ..] => {
                word.push(*first);
                rest = tail;
            }
        }
    }
}

fn after_quote(mut word: Vec<u8>, (quoted, rest): (Vec<u8>, &[u8])) -> Option<(Vec<u8>, &[u8])> {
    word.extend_from_slice(&quoted);
    match rest.first() {
        Some(next) if !is_space(*next) => None,
        _ => Some((word, rest)),
    }
}

fn double_quoted(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut text = Vec::new();
    loop {
        match rest {
            [] => return None,
            [b'"', tail @ ..] => return Some((text, tail)),
            [b'\\', b'x', high, low, tail @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                text.push((digit(*high) << 4) | digit(*low));
                rest = tail;
            }
            [b'\\', escaped, tail @ ..] => {
                text.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 0x08,
                    b'a' => 0x07,
                    other => *other,
                });
                rest = tail;
            }
            [first, tail @ ..] => {
                text.push(*first);
                rest = tail;
            }
        }
    }
}

fn single_quoted(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut text = Vec::new();
    loop {
        match rest {
            [] => return None,
            [b'\\', b'\'', tail @ ..] => {
                text.push(b'\'');
                rest = tail;
            }
            [b'\'', tail @ ..] => return Some((text, tail)),
            [first, tail @ ..] => {
                text.push(*first);
                rest = tail;
            }
        }
    }
}

fn digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        _ => byte - b'A' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::split_arguments;

    fn check(line: &str, expected: Option<&[&str]>) {
        let words = split_arguments(line.as_bytes());
        let words = words.map(|words| words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect());
        assert_eq!(
            words,
            expected.map(|words| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()),
            "{line}"
        );
    }

    #[test]
    fn words_are_split_and_quotes_are_taken_off() {
        check("", Some(&[]));
        check("  \t ", Some(&[]));
        check("PING", Some(&["PING"]));
        check(" a  b\tc ", Some(&["a", "b", "c"]));
        check(r#"set "a b" ''"#, Some(&["set", "a b", ""]));
        check(r#""\x41\n\"\q""#, Some(&["A\n\"q"]));
        check(r"'it\'s \n'", Some(&["it's \\n"]));
        check(r#"a"b c""#, Some(&["ab c"]));
        check(r#""\xzz""#, Some(&["xzz"]));
    }

    #[test]
    fn unbalanced_quotes_are_no_words() {
        check(r#""a"#, None);
        check(r"'a", None);
        check(r#""a"b"#, None);
        check(r"'a'b", None);
        check(r#""a\"#, None);
    }
}
