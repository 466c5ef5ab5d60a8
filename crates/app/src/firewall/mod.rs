//! `quorate firewall`: the rules that let exactly those in who have to reach this member, for the firewall of the system.
//!
//! Deliberately only what *allows*: what else a server offers, and whether everything else is denied, is its administrator's.
//! Only nftables has a table of Quorate's own, where the ports of the members' talk are closed for everybody else. The
//! invariants: the same plan gives the same rules; applying them twice changes nothing; each set can be taken back, and nothing
//! but it.

mod firewalld;
mod nftables;
mod rule;
#[cfg(test)]
mod tests;
mod ufw;
mod windows;

use crate::cli::{EXIT_DONE, EXIT_FAILED, Failure, emit};
use crate::join::{Home, authority};
use clap::{Args, ValueEnum};
use rule::{Ruleset, Step};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use types::MemberName;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Tool {
    Nftables,
    Firewalld,
    Ufw,
    Windows,
}

impl Tool {
    /// What a person types.
    fn program(self) -> &'static str {
        match self {
            Self::Nftables => "nft",
            Self::Firewalld => "firewall-cmd",
            Self::Ufw => "ufw",
            Self::Windows => "Windows Firewall",
        }
    }
}

#[derive(Args, Clone, Debug)]
pub struct FirewallArguments {
    /// The firewall; the one that is found on this machine when none is given
    #[arg(long, value_enum)]
    pub tool: Option<Tool>,
    /// Put the rules in force, instead of printing them
    #[arg(long)]
    pub apply: bool,
    /// Take the rules back: print how, or with --apply do it
    #[arg(long)]
    pub remove: bool,
    /// Another member of the plan than this one
    #[arg(long)]
    pub member: Option<String>,
    /// The directory of this server's set-up; /etc/quorate, or %ProgramData%\Quorate on Windows, when none is given
    #[arg(long, value_name = "DIRECTORY")]
    pub directory: Option<PathBuf>,
}

pub fn run(arguments: &FirewallArguments) -> i32 {
    match firewall(arguments) {
        Ok(()) => EXIT_DONE,
        Err(failure) => {
            if !failure.message.is_empty() {
                eprintln!("{failure}");
            }
            failure.exit
        }
    }
}

fn firewall(arguments: &FirewallArguments) -> Result<(), Failure> {
    let home = Home::at(arguments.directory.as_deref());
    let plan = home.plan()?;
    let name = match &arguments.member {
        Some(name) => MemberName::new(name.as_str()),
        None => home.member()?.name,
    };
    authority::planned(&plan, &name)?;
    let ruleset = Ruleset::of(&plan, &name)?;
    let tool = match arguments.tool {
        Some(tool) => tool,
        None => found().ok_or_else(|| {
            Failure::usage("firewall-none", "there is neither nftables nor firewalld nor ufw on this machine")
                .hint("name one with --tool to see its rules")
        })?,
    };
    let steps = steps(tool, &ruleset, arguments.remove);
    if !arguments.apply {
        return emit(&text(&steps));
    }
    steps.iter().try_for_each(carry_out)?;
    let program = tool.program();
    if arguments.remove {
        eprintln!("the rules of {name} are taken back ({program})");
    } else if tool == Tool::Ufw && !ufw_is_active() {
        eprintln!("the rules of {name} are kept by ufw, which is not active\n  hint: ufw allow ssh && ufw enable");
    } else {
        eprintln!("the rules of {name} are in force ({program})");
    }
    Ok(())
}

fn steps(tool: Tool, ruleset: &Ruleset, remove: bool) -> Vec<Step> {
    match (tool, remove) {
        (Tool::Nftables, false) => nftables::allow(ruleset),
        (Tool::Nftables, true) => nftables::remove(ruleset),
        (Tool::Firewalld, false) => firewalld::allow(ruleset),
        (Tool::Firewalld, true) => firewalld::remove(ruleset),
        (Tool::Ufw, false) => ufw::allow(ruleset),
        (Tool::Ufw, true) => ufw::remove(ruleset),
        (Tool::Windows, false) => windows::allow(ruleset),
        (Tool::Windows, true) => windows::remove(ruleset),
    }
}

/// The one that is in charge: the two front ends keep their own rules in nftables.
fn found() -> Option<Tool> {
    if cfg!(windows) {
        return Some(Tool::Windows);
    }
    if says("firewall-cmd", &["--state"], "running") {
        return Some(Tool::Firewalld);
    }
    if ufw_is_active() {
        return Some(Tool::Ufw);
    }
    says("nft", &["--version"], "nftables").then_some(Tool::Nftables)
}

fn ufw_is_active() -> bool {
    says("ufw", &["status"], "Status: active")
}

fn says(program: &str, arguments: &[&str], sign: &str) -> bool {
    let done = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    done.is_ok_and(|done| done.status.success() && String::from_utf8_lossy(&done.stdout).contains(sign))
}

/// As a person would type it.
fn text(steps: &[Step]) -> String {
    steps.iter().map(Step::text).collect::<Vec<_>>().join("\n") + "\n"
}

fn carry_out(step: &Step) -> Result<(), Failure> {
    use std::io::Write;
    let Some((program, arguments)) = step.command.split_first() else { return Ok(()) };
    let failed = |why: String| Failure {
        exit: EXIT_FAILED,
        ..Failure::new("firewall-failed", format!("'{}' failed: {why}", step.command.join(" "))).hint(
            if program == "firewall-cmd" {
                "as root, and while firewalld runs: systemctl start firewalld"
            } else {
                "as root (an administrator)? The rules without --apply can be typed by hand"
            },
        )
    };
    let stdin = if step.input.is_some() { Stdio::piped() } else { Stdio::null() };
    let child =
        Command::new(program).args(arguments).stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.map_err(|error| failed(error.to_string()))?;
    if let (Some(input), Some(mut pipe)) = (&step.input, child.stdin.take()) {
        pipe.write_all(input.as_bytes()).map_err(|error| failed(error.to_string()))?;
    }
    let done = child.wait_with_output().map_err(|error| failed(error.to_string()))?;
    if done.status.success() || step.may_fail {
        return Ok(());
    }
    let said = String::from_utf8_lossy(if done.stderr.is_empty() { &done.stdout } else { &done.stderr }).into_owned();
    Err(failed(said.lines().next().unwrap_or("it said nothing").to_owned()))
}
