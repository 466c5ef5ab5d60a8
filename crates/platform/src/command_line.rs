//! One command line out of many arguments, because Windows hands a program a single text.
//!
//! Deliberately nothing of cmd.exe, which is never in between. The invariant: a program that takes its command line apart as
//! Microsoft's C runtime does gets exactly these arguments.

/// `program` first, as every program expects.
pub fn command_line(program: &str, arguments: &[String]) -> String {
    let words = std::iter::once(program).chain(arguments.iter().map(String::as_str));
    words.map(quoted).collect::<Vec<_>>().join(" ")
}

/// Backslashes count only before a quotation mark, where each needs a second one.
fn quoted(word: &str) -> String {
    if !word.is_empty() && !word.contains([' ', '\t', '\n', '"']) {
        return word.to_owned();
    }
    let mut text = String::from('"');
    let mut backslashes = 0;
    for character in word.chars() {
        if character == '"' {
            text.extend(std::iter::repeat_n('\\', backslashes + 1));
        }
        backslashes = if character == '\\' { backslashes + 1 } else { 0 };
        text.push(character);
    }
    text.extend(std::iter::repeat_n('\\', backslashes));
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the C runtime's documentation describes it.
    fn taken_apart(line: &str) -> Vec<String> {
        let (mut words, mut word, mut inside) = (Vec::new(), None::<String>, false);
        let mut characters = line.chars().peekable();
        while let Some(character) = characters.next() {
            match character {
                '\\' => {
                    let mut count = 1;
                    while characters.next_if_eq(&'\\').is_some() {
                        count += 1;
                    }
                    let word = word.get_or_insert_default();
                    if characters.peek() == Some(&'"') {
                        word.extend(std::iter::repeat_n('\\', count / 2));
                        if count % 2 == 1 {
                            word.extend(characters.next());
                        }
                    } else {
                        word.extend(std::iter::repeat_n('\\', count));
                    }
                }
                '"' => {
                    word.get_or_insert_default();
                    inside = !inside;
                }
                ' ' | '\t' if !inside => words.extend(word.take()),
                other => word.get_or_insert_default().push(other),
            }
        }
        words.extend(word);
        words
    }

    #[test]
    fn a_program_gets_the_arguments_that_were_meant() {
        let arguments = [
            "-D",
            r"C:\Program Files\PostgreSQL\data",
            r"C:\a folder\",
            r#"--search_path="$user", public"#,
            "",
            r#"\\"\"#,
            r"C:\plain\path\",
            "a\tb",
            "\"",
        ]
        .map(str::to_owned);
        let line = command_line(r"C:\Program Files\pg\postgres.exe", &arguments);
        assert_eq!(taken_apart(&line)[0], r"C:\Program Files\pg\postgres.exe");
        assert_eq!(taken_apart(&line)[1..], arguments);
        assert_eq!(command_line("p", &["a b".to_owned(), r"c\".to_owned()]), r#"p "a b" c\"#);
    }
}
