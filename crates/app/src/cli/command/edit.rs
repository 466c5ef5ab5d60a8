//! Editing the dynamic configuration by hand, and showing what changed.

use crate::cli::ask;
use crate::cli::failure::Failure;
use serde_json::Value;
use similar::{ChangeTag, TextDiff};
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Command;

/// Unchanged lines around a change.
const CONTEXT_LINES: usize = 3;
/// Tried in this order when EDITOR is not set.
const EDITORS: &[&str] = if cfg!(windows) { &["notepad"] } else { &["editor", "vi"] };

/// The problems as text, one a line.
pub fn check(config: &Value) -> Result<(), String> {
    let problems = config::dynamic_problems(config);
    if problems.is_empty() {
        return Ok(());
    }
    Err(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

/// Opens an editor until the text is acceptable. `None`: left as it was, or given up.
pub fn by_person(present: &Value, scope: &str) -> Result<Option<Value>, Failure> {
    if !ask::on_terminal() {
        return Err(Failure::usage("cli-not-a-terminal", "an editor needs a terminal")
            .hint("use --set, --pg, --apply or --replace"));
    }
    let before = config::yaml_from_json(present);
    let safe: String = scope.chars().map(|letter| if letter.is_alphanumeric() { letter } else { '_' }).collect();
    let mut file = tempfile::Builder::new().prefix(&format!("{safe}-config-")).suffix(".yaml").tempfile()?;
    file.write_all(before.as_bytes())?;
    file.flush()?;
    loop {
        run_editor(file.path())?;
        let text = std::fs::read_to_string(file.path())?;
        if text == before {
            return Ok(None);
        }
        let problems = match config::yaml_to_json("the configuration", &text) {
            Ok(config) => match check(&config) {
                Ok(()) => return Ok(Some(config)),
                Err(problems) => problems,
            },
            Err(errors) => errors.to_string(),
        };
        eprintln!("{problems}");
        if !ask::confirm("This would not be accepted. Edit again?")? {
            return Err(Failure::usage("cli-config-invalid", "the configuration was not changed"));
        }
    }
}

fn run_editor(file: &std::path::Path) -> Result<(), Failure> {
    let chosen = std::env::var("EDITOR").ok().filter(|editor| !editor.trim().is_empty());
    let commands: Vec<String> =
        chosen.map_or_else(|| EDITORS.iter().map(|it| (*it).to_owned()).collect(), |editor| vec![editor]);
    for command in &commands {
        let mut words = command.split_whitespace();
        let Some(program) = words.next() else { continue };
        match Command::new(program).args(words).arg(file).status() {
            Ok(status) if status.success() => return Ok(()),
            Ok(status) => {
                return Err(Failure::new("cli-editor", format!("the editor '{program}' ended with {status}")));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(Failure::new("cli-editor", format!("the editor '{program}' cannot be started: {error}")));
            }
        }
    }
    Err(Failure::usage("cli-editor", format!("no editor was found (tried {})", commands.join(", ")))
        .hint("set EDITOR, or use --set, --pg, --apply or --replace"))
}

/// A unified difference of two texts.
pub fn difference(before: &str, after: &str, in_colour: bool) -> String {
    let paint = |code: &str, text: &str| if in_colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() };
    let diff = TextDiff::from_lines(before, after);
    let mut text = String::from("---\n+++\n");
    for hunk in diff.unified_diff().context_radius(CONTEXT_LINES).iter_hunks() {
        let _ = writeln!(text, "{}", paint("36", &hunk.header().to_string()));
        for change in hunk.iter_changes() {
            let line = change.value().trim_end_matches('\n');
            let _ = match change.tag() {
                ChangeTag::Delete => writeln!(text, "{}", paint("31", &format!("-{line}"))),
                ChangeTag::Insert => writeln!(text, "{}", paint("32", &format!("+{line}"))),
                ChangeTag::Equal => writeln!(text, " {line}"),
            };
        }
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_difference_is_a_unified_one() {
        let (before, after) = ("loop_wait: 10\nttl: 30\n", "loop_wait: 10\nttl: 20\n");
        assert_eq!(
            difference(before, after, false),
            "---\n+++\n@@ -1,2 +1,2 @@\n loop_wait: 10\n-ttl: 30\n+ttl: 20\n\n"
        );
        assert!(difference(before, after, true).contains("\x1b[31m-ttl: 30\x1b[0m"));
    }

    #[test]
    fn every_problem_of_a_change_is_named() {
        let problems = check(&serde_json::json!({"ttl": 0, "looop_wait": 3})).unwrap_err();
        assert_eq!(
            problems,
            "looop_wait: unknown key [config-unknown-key]\n  hint: did you mean 'loop_wait'?\nttl: 0 is out of range; expected 1 to 3600 [config-range]"
        );
    }
}
