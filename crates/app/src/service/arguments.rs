//! What can be typed behind `quorate service`.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// What the service is called when nobody says otherwise.
pub const NAME_DEFAULT: &str = "quorate";
const NAME_LENGTH_MAX: usize = 100;

#[derive(Subcommand, Clone, Debug)]
pub enum ServiceCommand {
    /// Make a service of this member's agent that starts with the system
    Install(InstallArguments),
    /// Start the service
    Start(NameArgument),
    /// Stop the service, with PostgreSQL and Redis in order
    Stop(NameArgument),
    /// Say whether the service runs; the exit code is 0 only if it does
    Status(NameArgument),
    /// Stop the service and remove it; data and configuration stay
    Uninstall(NameArgument),
    /// What the Windows service manager starts
    #[command(hide = true)]
    Run(InstallArguments),
}

#[derive(Args, Clone, Debug)]
pub struct NameArgument {
    /// The service's name
    #[arg(long, default_value = NAME_DEFAULT, value_parser = name)]
    pub name: String,
    /// The member's configuration; the first of the usual places when none is given
    pub config: Option<PathBuf>,
}

#[derive(Args, Clone, Debug)]
pub struct InstallArguments {
    #[command(flatten)]
    pub service: NameArgument,
    /// Print what would be installed, and change nothing
    #[arg(long)]
    pub print: bool,
}

/// A name that is a file's, a unit's and a Windows service's at once.
fn name(text: &str) -> Result<String, String> {
    let usable = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.' | '@');
    let begins_well = text.chars().next().is_some_and(|letter| letter.is_ascii_alphanumeric());
    if begins_well && text.len() <= NAME_LENGTH_MAX && text.chars().all(usable) {
        Ok(text.trim_end_matches(".service").to_owned())
    } else {
        Err(format!(
            "a name has letters, digits, '-', '_', '.' and '@', begins with one of the first two, and is at most {NAME_LENGTH_MAX} long"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_lead_out_of_the_units_directory() {
        for (text, expected) in [
            ("quorate", Some("quorate")),
            ("quorate.service", Some("quorate")),
            ("pg-1_a@b", Some("pg-1_a@b")),
            ("../x", None),
            ("a/b", None),
            ("", None),
            ("-x", None),
            ("a b", None),
        ] {
            assert_eq!(name(text).ok().as_deref(), expected, "{text}");
        }
    }
}
