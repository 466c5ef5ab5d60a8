//! From files to a running member.

use super::home::Home;
use crate::cli::{EXIT_DONE, Failure};
use crate::{service, startup};
use std::process::Command;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// As a service that starts with the system, where the system has a service manager.
    Service,
    /// In the foreground, in the place of this command.
    Foreground,
    /// Not at all.
    No,
}

impl How {
    pub fn of(arguments: &super::arguments::StartArguments) -> Self {
        match (arguments.run, arguments.no_start) {
            (true, _) => Self::Foreground,
            (false, true) => Self::No,
            (false, false) => Self::Service,
        }
    }
}

/// Gives the files to whoever has to read them, says what would keep the agent from starting, and starts it. Returns the exit
/// code.
pub fn start(home: &Home, how: How) -> Result<i32, Failure> {
    home.hand_over()?;
    let file = home.member_file();
    let member = home.member()?;
    if let Some(problem) = startup::problems(&file, &member, false).into_iter().next() {
        let failure = Failure::new(problem.code, problem.sentence());
        let said = problem.hint().map_or_else(String::new, |hint| format!("{hint}; "));
        // What was written stays: the rest can be done when the obstacle is gone.
        return match how {
            How::No => {
                eprintln!("warning: {problem}");
                Ok(EXIT_DONE)
            }
            How::Service | How::Foreground => {
                Err(failure.hint(format!("{said}then start the member: quorate service install {0}", file.display())))
            }
        };
    }
    match how {
        How::No => {
            eprintln!("start it with: quorate service install {0} && quorate service start", file.display());
            Ok(EXIT_DONE)
        }
        How::Service if service::is_possible() => service::install_and_start(&file),
        How::Service => {
            eprintln!(
                "this system has no service manager that Quorate knows; run the agent: quorate agent {}",
                file.display()
            );
            Ok(EXIT_DONE)
        }
        How::Foreground => {
            let mut agent = Command::new(std::env::current_exe()?);
            // The command line of this one may have a token in it.
            agent.arg("agent").arg(&file);
            Ok(platform::become_program(agent)?)
        }
    }
}
