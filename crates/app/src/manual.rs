//! `quorate completions` and `quorate man`: what shells and `man` know of the command line.
//!
//! Made from the definition of the commands itself, so they cannot differ from it.

use crate::cli::{EXIT_DONE, EXIT_FAILED};
use clap_complete::Shell;
use std::io::{ErrorKind, Write};
use std::path::Path;

const PROGRAM: &str = "quorate";

pub fn completions(shell: Shell, mut command: clap::Command) -> i32 {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command, PROGRAM, &mut text);
    match std::io::stdout().write_all(&text) {
        // A reader that went away needs no complaint.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            eprintln!("Error: the completions cannot be written: {error} [cli-io]");
            EXIT_FAILED
        }
        _ => EXIT_DONE,
    }
}

/// One page for each command that people type.
pub fn pages(directory: &Path, command: clap::Command) -> i32 {
    let written = std::fs::create_dir_all(directory).and_then(|()| clap_mangen::generate_to(command, directory));
    match written {
        Ok(()) => EXIT_DONE,
        Err(error) => {
            eprintln!(
                "Error: the manual pages cannot be written to {}: {error} [cli-io]\n  hint: name a directory that you may write to",
                directory.display()
            );
            EXIT_FAILED
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::command_line;
    use clap::CommandFactory;

    /// The names of all commands that people see, with those above them.
    fn names(command: &clap::Command, above: &str, found: &mut Vec<String>) {
        for command in command.get_subcommands().filter(|command| !command.is_hide_set()) {
            let name = format!("{above}-{}", command.get_name());
            names(command, &name, found);
            found.push(name);
        }
    }

    #[test]
    fn every_command_has_a_page_and_hidden_ones_have_none() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(super::pages(&directory.path().join("new"), command_line()), 0);
        let mut expected = vec!["quorate".to_owned()];
        names(&crate::Arguments::command(), "quorate", &mut expected);
        let mut pages: Vec<String> = std::fs::read_dir(directory.path().join("new"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter_map(|name| name.strip_suffix(".1").map(str::to_owned))
            .collect();
        // clap's own; it has nothing of ours.
        pages.retain(|name| !name.contains("-help"));
        pages.sort();
        expected.sort();
        assert_eq!(pages, expected);
        assert!(
            expected.contains(&"quorate-service-install".to_owned())
                && !expected.contains(&"quorate-worker".to_owned())
        );
        let page = std::fs::read_to_string(directory.path().join("new/quorate-switchover.1")).unwrap();
        assert!(page.contains("Hand the leadership over to a replica"), "{page}");
    }

    #[test]
    fn every_shell_learns_the_commands() {
        use clap::ValueEnum;
        for shell in clap_complete::Shell::value_variants() {
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut command_line(), "quorate", &mut text);
            let text = String::from_utf8(text).unwrap();
            for command in ["switchover", "haproxy-config", "uninstall"] {
                assert!(text.contains(command), "{shell}: {command}");
            }
        }
    }
}
