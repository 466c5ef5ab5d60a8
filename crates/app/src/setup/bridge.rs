//! The one place that knows of the parts that a server joins with: the home, the authority, tokens, the start.

pub use crate::join::home::{self, Home};

use crate::cli::Failure;
use crate::join::{How, authority, start, token};
use crate::{service, startup};
use plan::Plan;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use types::{MemberName, Secret};

/// The authority, unless it is there, and this member's certificate; then the files are given to whoever reads them.
pub fn certify(home: &Home, plan: &Plan, member: &MemberName) -> Result<(), Failure> {
    authority::establish(home, plan, member)?;
    home.hand_over()
}

/// As a service.
pub fn start_service(home: &Home) -> Result<(), Failure> {
    if !service::is_possible() {
        let file = home.member_file();
        return Err(Failure::new("setup-no-service", "this system has no service manager that Quorate knows").hint(
            format!("run the agent yourself: quorate agent {}; or begin with: quorate setup --run", file.display()),
        ));
    }
    start(home, How::Service).map(drop)
}

/// In the place of this command.
pub fn start_here(home: &Home, how: How) -> Result<i32, Failure> {
    start(home, how)
}

/// Below this command, which goes on. What the agent says goes where ours goes.
pub fn agent_below(home: &Home) -> Result<Child, Failure> {
    home.hand_over()?;
    if let Some(problem) = startup::problems(&home.member_file(), &home.member()?, false).into_iter().next() {
        return Err(Failure::new(problem.code, problem.sentence()).hint(problem.hint().unwrap_or_default()));
    }
    let mut agent = Command::new(std::env::current_exe()?);
    agent.arg("agent").arg(home.member_file()).stdin(Stdio::null());
    Ok(agent.spawn()?)
}

/// The identities of the tokens that nobody has used.
pub fn open_tokens(home: &Home) -> Result<Vec<String>, Failure> {
    if !home.tokens().exists() {
        return Ok(Vec::new());
    }
    Ok(token::list(home)?.into_iter().map(|token| token.identity).collect())
}

/// The identity of a new token, and the line that uses it on the other server.
pub fn join_line(home: &Home, member: &MemberName, life: Duration) -> Result<(String, Secret), Failure> {
    let made = token::make(home, member, life)?;
    let own = home.member()?.restapi.connect_address;
    let command = format!("quorate join {own} {}", made.text.expose());
    Ok((made.identity, Secret::new(command)))
}
