//! What a server gets that joins: its certificate and its files, over the network or in a bundle.
//!
//! The invariant: only files that belong to a home are written, whatever the other side says.

use super::home::{self, Home};
use crate::cli::Failure;
use pki::{Fingerprint, certificate_of_key};
use plan::{CLUSTER_FILE, MEMBER_FILE, PlannedFile, SECRETS_FILE};
use serde::{Deserialize, Serialize};
use types::Secret;

/// Of the exchange. Another one is refused with a sentence, and not misunderstood.
pub const VERSION: u64 = 1;
/// In the order in which they are written: without the last nothing can start.
const FILES: [&str; 3] = [CLUSTER_FILE, SECRETS_FILE, MEMBER_FILE];

/// No `Debug`: there are passwords in it.
#[derive(Serialize, Deserialize)]
pub struct Enrolment {
    pub member: String,
    pub cluster: String,
    /// The authority's behind the member's.
    pub certificate: String,
    pub authority: String,
    pub files: Vec<EnrolmentFile>,
}

#[derive(Serialize, Deserialize)]
pub struct EnrolmentFile {
    pub path: String,
    pub contents: String,
    pub private: bool,
}

impl From<PlannedFile> for EnrolmentFile {
    fn from(file: PlannedFile) -> Self {
        let path = file.path.to_string_lossy().into_owned();
        Self { path, contents: file.contents.expose().to_owned(), private: file.private }
    }
}

impl Enrolment {
    /// Whether it is what was asked for.
    pub fn check(&self, key: &Secret, authority: Fingerprint) -> Result<(), Failure> {
        let wrong = |what: String| {
            Failure::new("join-answer", what).hint("install the same version of Quorate on both servers, and try again")
        };
        if pki::fingerprint(&self.authority) != Some(authority) {
            return Err(wrong("the answer names another authority than the token".to_owned()));
        }
        if !certificate_of_key(&self.certificate, key) {
            return Err(wrong("the certificate in the answer is not for this server's key".to_owned()));
        }
        match self.files.iter().find(|file| !FILES.contains(&file.path.as_str())) {
            Some(file) => Err(wrong(format!("the answer has a file that does not belong here: '{}'", file.path))),
            None if self.files.iter().any(|file| file.path == MEMBER_FILE) => Ok(()),
            None => Err(wrong("the answer has no configuration in it".to_owned())),
        }
    }

    /// The names of the files that are others than those on the disk, certificates apart.
    pub fn changed(&self, home: &Home) -> Result<Vec<&str>, Failure> {
        let mut changed = Vec::new();
        for file in &self.files {
            if home::read(&home.directory().join(&file.path))?.as_deref() != Some(file.contents.as_str()) {
                changed.push(file.path.as_str());
            }
        }
        Ok(changed)
    }

    pub fn write(&self, home: &Home, key: &Secret) -> Result<(), Failure> {
        let tls = home.tls();
        home::write(&tls.authority, &self.authority, false)?;
        home::write(&tls.key, key.expose(), true)?;
        home::write(&tls.certificate, &self.certificate, false)?;
        for name in FILES {
            if let Some(file) = self.files.iter().find(|file| file.path == name) {
                // The plan has no secrets in it; the other two have, whatever is said of them.
                home::write(&home.directory().join(name), &file.contents, file.private || name != CLUSTER_FILE)?;
            }
        }
        Ok(())
    }
}

/// A home that belongs to something else is left alone.
pub fn refuse_foreign(home: &Home, authority: Fingerprint) -> Result<(), Failure> {
    let foreign = |what: String| {
        Failure::usage("join-other-cluster", what)
            .hint("move the directory away if it is no longer needed, or name another with --directory")
    };
    if home.authority_key().exists() {
        return Err(foreign(format!("this server has an authority of its own in {}", home.directory().display())));
    }
    match home.fingerprint()? {
        Some(known) if known == authority => Ok(()),
        Some(_) => Err(foreign(format!("{} belongs to another cluster", home.directory().display()))),
        None if home.tls().authority.exists() || home.member_file().exists() || home.plan_file().exists() => {
            Err(foreign(format!("{} has a set-up in it that was not made by joining", home.directory().display())))
        }
        None => Ok(()),
    }
}

/// By which others reach this server, as the plan and its own configuration say.
pub fn address_of_this(home: &Home) -> Result<String, Failure> {
    let (plan, member) = (home.plan()?, home.member()?);
    let own = super::authority::planned(&plan, &member.name)?;
    Ok(address_to_join(&own.address, plan.ports.rest_api.0))
}

/// As `quorate join` takes it.
pub fn address_to_join(address: &str, port: u16) -> String {
    match (port == PORT, address.contains(':')) {
        (true, _) => address.to_owned(),
        (false, true) => format!("[{address}]:{port}"),
        (false, false) => format!("{address}:{port}"),
    }
}

/// Of the REST API, when no other is named.
pub const PORT: u16 = 8008;

#[cfg(test)]
mod tests {
    use super::*;
    use pki::{Authority, MEMBER_LIFE, Request};
    use std::time::SystemTime;

    #[test]
    fn an_answer_that_is_not_what_was_asked_for_is_refused() {
        let now = SystemTime::now();
        let authority = Authority::create("shop", now).unwrap();
        let request = Request::make("pg2").unwrap();
        let certificate = authority.sign(&request.request_pem, "pg2", &["10.0.0.2"], now, MEMBER_LIFE).unwrap();
        let answer = |paths: &[&str]| Enrolment {
            member: "pg2".to_owned(),
            cluster: "shop".to_owned(),
            certificate: certificate.clone(),
            authority: authority.certificate_pem().to_owned(),
            files: paths
                .iter()
                .map(|path| EnrolmentFile { path: (*path).to_owned(), contents: String::new(), private: true })
                .collect(),
        };
        let (key, known) = (&request.key_pem, authority.fingerprint());
        assert!(answer(&[CLUSTER_FILE, MEMBER_FILE]).check(key, known).is_ok());
        let refused = |answer: Enrolment, key: &Secret, known| answer.check(key, known).unwrap_err().code;
        for path in ["../quorate.yml", "/etc/passwd", "tls/ca.key", "tls/../quorate.yml", ""] {
            assert_eq!(refused(answer(&[MEMBER_FILE, path]), key, known), "join-answer", "{path}");
        }
        assert_eq!(refused(answer(&[CLUSTER_FILE]), key, known), "join-answer", "nothing to start with");
        let other = Request::make("pg2").unwrap().key_pem;
        assert_eq!(refused(answer(&[MEMBER_FILE]), &other, known), "join-answer");
        let foreign = Authority::create("shop", now).unwrap().fingerprint();
        assert_eq!(refused(answer(&[MEMBER_FILE]), key, foreign), "join-answer");
    }

    #[test]
    fn the_printed_address_is_one_that_join_takes() {
        for (address, port, expected) in [
            ("10.0.0.1", 8008, "10.0.0.1"),
            ("10.0.0.1", 8009, "10.0.0.1:8009"),
            ("fd00::1", 8008, "fd00::1"),
            ("fd00::1", 8009, "[fd00::1]:8009"),
        ] {
            let shown = address_to_join(address, port);
            assert_eq!(shown, expected);
            let read = config::Address::parse(&shown, Some(PORT)).unwrap();
            assert_eq!((read.host.as_str(), read.port), (address, port));
        }
    }
}
