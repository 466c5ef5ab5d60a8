//! How a child ended, in the same words on every system, because others compare and show them.
//!
//! Deliberately not `std::process::ExitStatus`, whose words differ. The invariant: an exit code is `exit code N` everywhere.

use std::fmt;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    Code(i32),
    /// By a signal; on Windows, where there are none, ended by us.
    Signal(i32),
    Unknown(String),
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // What Windows ends a program for, such as 0xc0000005 (a wrong access to memory), is known by this form.
            Self::Code(code) if cfg!(windows) && *code < 0 => write!(f, "exit code {code:#x}"),
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
            Self::Unknown(why) => f.write_str(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_the_same_on_every_system() {
        for (exit, words) in [
            (Exit::Code(0), "exit code 0"),
            (Exit::Code(2), "exit code 2"),
            (Exit::Signal(9), "signal 9"),
            (Exit::Unknown("nobody knows".to_owned()), "nobody knows"),
        ] {
            assert_eq!(exit.to_string(), words);
        }
    }
}
