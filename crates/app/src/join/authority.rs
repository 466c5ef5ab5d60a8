//! The cluster's authority in use: made on the first server, and asked to sign wherever its key is.
//!
//! The invariant: it signs for members of the plan only, with the plan's addresses; what a request says of itself counts for
//! nothing.

use super::home::{self, Home};
use crate::cli::Failure;
use pki::{Authority, Fingerprint, PkiError, Request};
use plan::{Member, Plan};
use std::time::SystemTime;
use types::{MemberName, Secret};

/// Makes the authority, unless there is one, and this member's certificate, unless it has a good one.
pub fn establish(home: &Home, plan: &Plan, member: &MemberName) -> Result<Fingerprint, Failure> {
    let own = planned(plan, member)?;
    home.prepare()?;
    let now = SystemTime::now();
    let authority = match open(home)? {
        Some(authority) => authority,
        None => create(home, plan, now)?,
    };
    let files = home.tls();
    let key = match home::read_secret(&files.key)? {
        Some(key) => key,
        None => new_key(home, member)?,
    };
    let request = Request::with_key(member.as_str(), &key).map_err(|error| failed(&error))?;
    let certificate = certify(&authority, plan, own, &request.request_pem, now)?;
    home::write(&files.certificate, &certificate, false)?;
    Ok(authority.fingerprint())
}

fn create(home: &Home, plan: &Plan, now: SystemTime) -> Result<Authority, Failure> {
    let files = home.tls();
    if files.authority.exists() {
        return Err(Failure::usage(
            "join-not-first",
            format!("{} is another server's authority, whose key is not here", files.authority.display()),
        )
        .hint("do this on the first server; this one joined it"));
    }
    let authority = Authority::create(plan.scope.as_str(), now).map_err(|error| failed(&error))?;
    // The key first: an authority without its key could not be completed.
    home::write(&home.authority_key(), authority.key_pem().expose(), true)?;
    home::write(&files.authority, authority.certificate_pem(), false)?;
    Ok(authority)
}

fn new_key(home: &Home, member: &MemberName) -> Result<Secret, Failure> {
    let made = Request::make(member.as_str()).map_err(|error| failed(&error))?;
    home::write(&home.tls().key, made.key_pem.expose(), true)?;
    Ok(made.key_pem)
}

/// `None`: its key is not on this server.
pub fn open(home: &Home) -> Result<Option<Authority>, Failure> {
    let Some(key) = home::read_secret(&home.authority_key())? else { return Ok(None) };
    let file = home.tls().authority;
    let Some(certificate) = home::read(&file)? else {
        return Err(Failure::usage("join-authority-damaged", format!("there is no {}", file.display()))
            .hint("every member has a copy of it; put one there"));
    };
    Authority::from_pem(&certificate, &key).map(Some).map_err(|error| {
        Failure::usage("join-authority-damaged", format!("{}: {error}", home.authority_key().display()))
            .hint("put back ca.key and ca.crt as they were made together")
    })
}

/// The authority, where it must be.
pub fn needed(home: &Home) -> Result<Authority, Failure> {
    open(home)?.ok_or_else(|| {
        Failure::usage("join-not-first", format!("there is no {}", home.authority_key().display()))
            .hint("do this on the first server, which has the authority's key; or name its directory with --directory")
    })
}

pub fn planned<'a>(plan: &'a Plan, name: &MemberName) -> Result<&'a Member, Failure> {
    plan.member(name).ok_or_else(|| {
        let names: Vec<&str> = plan.members.iter().map(|member| member.name.as_str()).collect();
        Failure::usage("join-no-member", format!("there is no member '{name}' in the plan"))
            .hint(format!("its members are {}; quorate setup changes the plan", names.join(", ")))
    })
}

/// The member's certificate, with the authority's behind it: whoever has a token knows no more than its digest.
pub fn certify(
    authority: &Authority,
    plan: &Plan,
    member: &Member,
    request_pem: &str,
    now: SystemTime,
) -> Result<String, Failure> {
    let vips = plan.vips_of(member).map(|vip| vip.address.split('/').next().unwrap_or_default());
    let addresses: Vec<&str> = [member.address.as_str()].into_iter().chain(vips).collect();
    let signed = authority.sign(request_pem, member.name.as_str(), &addresses, now, plan.certificate_life());
    Ok(signed.map_err(|error| failed(&error))? + authority.certificate_pem())
}

fn failed(error: &PkiError) -> Failure {
    let hint = match error {
        PkiError::Ended => "make a new authority: docs/how-to/tls.md says how",
        PkiError::Name(_) | PkiError::Address(_) => "correct the name or the address in the plan: quorate setup",
        PkiError::NotAnAuthority(_) | PkiError::OtherKey => "put back the files in tls/ as they were made together",
        PkiError::Request | PkiError::Making(_) => "quorate support collects what helps to find out why",
    };
    Failure::new("join-certificate", error.to_string()).hint(hint)
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use plan::Role;

    pub fn a_plan() -> Plan {
        let mut plan = Plan::new("shop");
        let roles = [Role::Database, Role::Store];
        plan.members = (1..=3).map(|n| Member::new(&format!("pg{n}"), &format!("127.0.0.{n}"), &roles)).collect();
        plan
    }

    #[test]
    fn an_authority_is_made_once_and_a_members_key_stays() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::at(Some(directory.path()));
        let (plan, pg1) = (a_plan(), MemberName::new("pg1"));
        let first = establish(&home, &plan, &pg1).unwrap();
        let key = home::read_secret(&home.tls().key).unwrap();
        assert_eq!(establish(&home, &plan, &pg1).unwrap(), first);
        assert_eq!(home::read_secret(&home.tls().key).unwrap(), key);
        let chain = home::read(&home.tls().certificate).unwrap().unwrap();
        assert!(pki::certificate_of_key(&chain, &key.unwrap()));
        assert_eq!(chain.matches("BEGIN CERTIFICATE").count(), 2, "the authority's is behind it");
        if !cfg!(windows) {
            for secret in [home.authority_key(), home.tls().key] {
                assert_eq!(platform::readable_by_others(&secret), Some(false));
            }
        }
        assert_eq!(establish(&home, &plan, &MemberName::new("pg9")).unwrap_err().code, "join-no-member");
        std::fs::remove_file(home.authority_key()).unwrap();
        assert_eq!(establish(&home, &plan, &pg1).unwrap_err().code, "join-not-first");
        assert_eq!(needed(&home).unwrap_err().code, "join-not-first");
    }
}
