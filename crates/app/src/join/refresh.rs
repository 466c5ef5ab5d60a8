//! `quorate join --refresh`: a member fetches its files anew after the plan was changed on the first server.
//!
//! Deliberately starts and stops nothing: most changes need a new start of the agent, and when a member may be without its
//! PostgreSQL for a moment is for a person to say. The invariants: it asks with the certificate that it has, believes the
//! authority that it knows, and its key stays.

use super::arguments::HomeArgument;
use super::authority;
use super::enrolment::Enrolment;
use super::home::{self, Home};
use super::renewal::ask_others;
use crate::cli::{EXIT_DONE, Failure};
use pki::Request;
use serde_json::json;

pub fn refresh(arguments: &HomeArgument) -> Result<i32, Failure> {
    let home = Home::at(arguments.directory.as_deref());
    let member = home.member()?;
    if authority::open(&home)?.is_some() {
        return Err(Failure::usage("join-first", "this is the first server: its files are written by quorate setup")
            .hint("change the plan with: quorate setup; then run this on the other servers"));
    }
    let (Some(key), Some(known)) = (home::read_secret(&home.tls().key)?, home.fingerprint()?) else {
        return Err(Failure::usage(
            "join-no-home",
            format!("{} has no certificates in it", home.directory().display()),
        )
        .hint("join with a token: quorate join ADDRESS TOKEN"));
    };
    let request = Request::with_key(member.name.as_str(), &key)
        .map_err(|error| Failure::new("join-certificate", error.to_string()).hint("join again with a new token"))?;
    let body = json!({ "request": request.request_pem, "directory": home.directory() });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (answer, by) = runtime.block_on(ask_others(&home, &member.name, &member.ctl.tls, &body))?;
    let enrolment: Enrolment = serde_json::from_value(answer).map_err(|_| {
        Failure::new("join-answer", format!("{by} answered something else than a member's files"))
            .hint("install the same version of Quorate on both servers")
    })?;
    enrolment.check(&key, known)?;
    let changed = enrolment.changed(&home)?;
    enrolment.write(&home, &key)?;
    home.hand_over()?;
    if changed.is_empty() {
        eprintln!("nothing has changed since this server has fetched its files");
    } else {
        eprintln!("{by} has given this server anew: {}", changed.join(", "));
        eprintln!("  hint: start the agents anew, one member after the other, the leader last and after a switchover");
    }
    Ok(EXIT_DONE)
}
