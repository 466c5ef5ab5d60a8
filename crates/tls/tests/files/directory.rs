//! A directory with certificates.

use std::path::PathBuf;
use std::time::SystemTime;
use tls::{ClientCertificates, ClientFiles, ServerFiles};

pub struct Directory(tempfile::TempDir);

impl Directory {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    /// An authority, its certificate in `NAME.ca`.
    pub fn authority(&self, name: &str) -> pki::Authority {
        let authority = pki::Authority::create(name, SystemTime::now()).unwrap();
        self.write(&format!("{name}.ca"), authority.certificate_pem());
        authority
    }

    /// `NAME.pem` and `NAME.key`.
    pub fn issue(&self, authority: &pki::Authority, name: &str, address: &str) {
        self.keep(name, &authority.issue(name, &[address], SystemTime::now(), pki::MEMBER_LIFE).unwrap());
    }

    pub fn keep(&self, name: &str, issued: &pki::Issued) {
        self.write(&format!("{name}.pem"), &issued.certificate_pem);
        self.write(&format!("{name}.key"), issued.key_pem.expose());
    }

    pub fn identity(&self, name: &str) -> (PathBuf, PathBuf) {
        (self.path(&format!("{name}.pem")), self.path(&format!("{name}.key")))
    }

    pub fn server(&self, name: &str, ca: &str, clients: ClientCertificates) -> ServerFiles {
        let (certificate, key) = self.identity(name);
        ServerFiles { certificate, key, authorities: Some(self.path(&format!("{ca}.ca"))), clients }
    }

    pub fn client(&self, name: Option<&str>, ca: &str) -> ClientFiles {
        ClientFiles {
            authorities: Some(self.path(&format!("{ca}.ca"))),
            identity: name.map(|name| self.identity(name)),
            ..Default::default()
        }
    }
}
