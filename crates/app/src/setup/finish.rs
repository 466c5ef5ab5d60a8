//! After the files are written, without a browser: the lines for the other servers, and the start.

use super::Setting;
use super::bridge;
use crate::cli::Failure;
use crate::join::How;
use plan::Plan;
use std::time::Duration;
use types::MemberName;

/// Long enough to walk to the other servers.
const TOKEN_LIFE: Duration = Duration::from_secs(60 * 60);

pub fn finish(setting: &Setting, plan: &Plan, member: &MemberName) -> Result<i32, Failure> {
    eprintln!("The files are in {}.", setting.home.directory().display());
    let others: Vec<&MemberName> = plan.members.iter().map(|it| &it.name).filter(|name| *name != member).collect();
    if !others.is_empty() && setting.home.authority_key().exists() {
        eprintln!("\nOn each of the other servers, within {} minutes:", TOKEN_LIFE.as_secs() / 60);
        for name in others {
            let (_, line) = bridge::join_line(&setting.home, name, TOKEN_LIFE)?;
            eprintln!("\n{name}:");
            println!("{}", line.expose());
        }
        eprintln!("\nLater, or again: quorate token MEMBER");
        eprintln!("After a change of the plan, on each server that has joined: quorate join --refresh");
    }
    let how = match (setting.run, setting.start) {
        (true, _) => How::Foreground,
        (false, true) => How::Service,
        (false, false) => How::No,
    };
    bridge::start_here(&setting.home, how)
}
