//! Standard output: data, and nothing else.

use super::EXIT_DONE;
use super::failure::Failure;
use std::io::{ErrorKind, IsTerminal, Write};

/// Writes a text. A reader that went away (`quorate list | head -1`) ends the command without a complaint.
pub fn emit(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {
            Err(Failure { exit: EXIT_DONE, ..Failure::new("cli-reader-gone", "") })
        }
        other => Ok(other?),
    }
}

pub fn line(text: &str) -> Result<(), Failure> {
    emit(&format!("{text}\n"))
}

/// Colour only where somebody looks at it, and not when NO_COLOR is set.
pub fn in_colour() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
