//! The certificates of a cluster whose members talk TLS: an authority of its own, made for this one drill.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tls::{ClientFiles, ClientTls, HTTP1};

/// Whose certificate the drill itself shows.
pub const ADMIN: &str = "admin";

/// Everything is in one directory: `ca.pem`, and `NAME.pem` with `NAME.key` for everybody.
#[derive(Debug)]
pub struct Certificates {
    directory: PathBuf,
    authority: pki::Authority,
    owner: Option<(u32, u32)>,
}

impl Certificates {
    /// `owner`: who must be able to read the keys.
    pub fn make(directory: &Path, owner: Option<(u32, u32)>) -> Result<Self> {
        fs::create_dir_all(directory)?;
        fs::set_permissions(directory, fs::Permissions::from_mode(0o755))?;
        let authority = pki::Authority::create("quorate drill", SystemTime::now())?;
        let made = Self { directory: directory.to_owned(), authority, owner };
        made.write("ca.pem", made.authority.certificate_pem(), 0o644)?;
        made.issue(ADMIN, Ipv4Addr::LOCALHOST)?;
        Ok(made)
    }

    /// A new certificate for that name, in the place of the one before.
    pub fn issue(&self, name: &str, address: Ipv4Addr) -> Result<()> {
        self.issue_by(&self.authority, name, address)
    }

    /// The same by another authority: a stranger's.
    pub fn issue_by(&self, authority: &pki::Authority, name: &str, address: Ipv4Addr) -> Result<()> {
        let issued = authority.issue(name, &[&address.to_string()], SystemTime::now(), pki::MEMBER_LIFE)?;
        self.write(&format!("{name}.key"), issued.key_pem.expose(), 0o600)?;
        self.write(&format!("{name}.pem"), &issued.certificate_pem, 0o644)
    }

    pub fn ca(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    /// Certificate and key.
    pub fn identity(&self, name: &str) -> (PathBuf, PathBuf) {
        (self.directory.join(format!("{name}.pem")), self.directory.join(format!("{name}.key")))
    }

    /// A client that shows the certificate of that name, or none.
    pub fn http(&self, name: Option<&str>, timeout: Duration) -> Result<reqwest::Client> {
        let identity = name.map(|name| self.identity(name));
        let files = ClientFiles { authorities: Some(self.ca()), identity, ..Default::default() };
        let tls = ClientTls::open(files, &[HTTP1])?;
        let builder = reqwest::Client::builder().no_proxy().timeout(timeout);
        builder.use_preconfigured_tls(tls.config()).build().context("cannot make an HTTP client")
    }

    /// What this member's configuration says of them: TLS everywhere, and certificates from all who ask.
    pub(crate) fn config_of(&self, name: &str) -> Value {
        let (certificate, key) = self.identity(name);
        let store = json!({
            "cert_file": &certificate, "key_file": &key, "trusted_ca_file": self.ca(), "client_cert_auth": true,
        });
        json!({
            "restapi": { "certfile": &certificate, "keyfile": &key, "cafile": self.ca(), "verify_client": "required" },
            "store": { "client_transport_security": &store, "peer_transport_security": &store },
        })
    }

    fn write(&self, name: &str, text: &str, mode: u32) -> Result<()> {
        let (path, new) = (self.directory.join(name), self.directory.join(format!("{name}.new")));
        let write = || -> std::io::Result<()> {
            fs::write(&new, "")?;
            fs::set_permissions(&new, fs::Permissions::from_mode(mode))?;
            if let Some((uid, gid)) = self.owner {
                chown(&new, Some(uid), Some(gid))?;
            }
            fs::write(&new, text)?;
            // Nobody reads half of it.
            fs::rename(&new, &path)
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }
}
