//! What a plan meets on this server: its address, ports, disks, programs, clock.
//!
//! Deliberately nothing about the other servers: they say for themselves, when they join. Nothing is changed, except that
//! a small file is written and removed to see how fast the disk is.

mod addresses;
mod disks;
mod ports;
mod programs;

use super::bridge::Home;
use plan::{Finding, Member, Plan, Severity};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;
use types::MemberName;

/// A member that runs takes a connection to itself at once.
const OWN_ANSWER_MAX: Duration = Duration::from_millis(500);

/// What a check works with.
struct Server<'a> {
    plan: &'a Plan,
    own: &'a Member,
    /// Its place in the plan, for the names of fields.
    at: usize,
    /// Its agent runs already, so ports that are taken are its own.
    runs: bool,
    findings: Vec<Finding>,
}

impl Server<'_> {
    fn say(
        &mut self,
        severity: Severity,
        code: &'static str,
        field: &str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.findings.push(Finding::new(severity, code, field, message, hint));
    }
}

pub async fn this_server(home: &Home, plan: &Plan, member: &MemberName) -> Vec<Finding> {
    let Some(at) = plan.members.iter().position(|it| it.name == *member) else {
        let message = if member.as_str().is_empty() {
            "it is not said which member this server is".to_owned()
        } else {
            format!("there is no member '{member}' in the plan")
        };
        return vec![Finding::new(
            Severity::Error,
            "setup-member",
            "member",
            message,
            "choose one of the plan's members",
        )];
    };
    let mut server = Server { plan, own: &plan.members[at], at, runs: runs(home), findings: Vec::new() };
    server.first(home);
    server.addresses();
    server.ports();
    server.programs().await;
    server.disks();
    server.clock();
    server.findings
}

/// Whether the member of this home answers.
pub fn runs(home: &Home) -> bool {
    let Some(address) =
        home.member_file().exists().then(|| home.member().ok()).flatten().map(|it| it.restapi.connect_address)
    else {
        return false;
    };
    let found = (address.host.as_str(), address.port).to_socket_addrs();
    found.is_ok_and(|mut all| all.any(|it| TcpStream::connect_timeout(&it, OWN_ANSWER_MAX).is_ok()))
}

impl Server<'_> {
    /// Whoever has the authority's key lets the others in, and changes the plan.
    fn first(&mut self, home: &Home) {
        if home.tls().authority.exists() && !home.authority_key().exists() {
            let message = "this server has joined a cluster; its plan is changed on the first server";
            let hint = "quorate setup on the server that has tls/ca.key, and quorate join here afterwards";
            self.say(Severity::Error, "setup-first", "member", message, hint);
        }
    }

    fn clock(&mut self) {
        if platform::clock_is_kept() == Some(false) {
            let hint =
                "install chrony or systemd-timesyncd; leases do not depend on the wall clock, certificates and logs do";
            self.say(
                Severity::Note,
                "setup-clock",
                "",
                "nothing keeps this server's clock right, says its kernel",
                hint,
            );
        }
    }
}
