//! Questions. On a terminal only; without one the answer must have been given as an option.

use super::failure::Failure;
use std::io::{BufRead, IsTerminal, Write};

/// An answer is a name or a time.
const ANSWER_CHARS_MAX: usize = 1000;

pub fn on_terminal() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

pub fn must_be_on_terminal(question: &str, option: &str) -> Result<(), Failure> {
    if on_terminal() {
        return Ok(());
    }
    let message = format!("{question} cannot be asked, because this is no terminal");
    Err(Failure::usage("cli-not-a-terminal", message).hint(format!("use {option}")))
}

/// A text; an empty answer is the default.
pub fn prompt(question: &str, default: &str, option: &str) -> Result<String, Failure> {
    must_be_on_terminal(question, option)?;
    let shown = if default.is_empty() { format!("{question}: ") } else { format!("{question} [{default}]: ") };
    let answer = read_line(&shown)?;
    Ok(if answer.is_empty() { default.to_owned() } else { answer })
}

/// Yes or no, where no is the default.
pub fn confirm(question: &str) -> Result<bool, Failure> {
    confirm_or(question, false)
}

/// Yes or no; an empty answer is the default.
pub fn confirm_or(question: &str, default: bool) -> Result<bool, Failure> {
    if !on_terminal() {
        return Err(Failure::usage("cli-not-confirmed", format!("not confirmed: {question}"))
            .hint("use --force where nobody can be asked"));
    }
    loop {
        let choice = if default { "Y/n" } else { "y/N" };
        match read_line(&format!("{question} [{choice}]: "))?.to_lowercase().as_str() {
            "y" | "yes" => return Ok(true),
            "n" | "no" => return Ok(false),
            "" => return Ok(default),
            _ => eprintln!("Error: invalid input"),
        }
    }
}

/// The same, where no ends the command.
pub fn must_confirm(question: &str, aborted: &str) -> Result<(), Failure> {
    if confirm(question)? { Ok(()) } else { Err(Failure::usage("cli-aborted", aborted)) }
}

fn read_line(shown: &str) -> Result<String, Failure> {
    let mut error = std::io::stderr();
    write!(error, "{shown}").and_then(|()| error.flush())?;
    let mut line = String::new();
    if std::io::stdin().lock().read_line(&mut line)? == 0 {
        eprintln!();
        return Err(Failure::usage("cli-aborted", "Aborted"));
    }
    Ok(line.trim().chars().take(ANSWER_CHARS_MAX).collect())
}
