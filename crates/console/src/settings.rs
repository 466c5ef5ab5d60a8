//! The `restapi:` settings that change answers. Where to listen is not here: the caller brings the listener.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

#[derive(Clone, Debug, Default)]
pub struct RestApiSettings {
    /// `restapi.authentication`: changes need this user name and password; `None`: nobody is asked.
    pub authentication: Option<BasicAuth>,
    /// Addresses, networks (`10.0.0.0/8`) and host names from which changes are allowed; empty: from everywhere.
    pub allowlist: Vec<String>,
    /// The members' own REST addresses are allowed too.
    pub allowlist_include_members: bool,
    /// `restapi.verify_client`: changes need a client certificate, which then stands in for name and password.
    pub changes_need_certificate: bool,
    /// Sent with every answer.
    pub http_extra_headers: Vec<(String, String)>,
    pub server_tokens: ServerTokens,
}

/// A user name and password. Cannot be read back or printed, so that it does not end up in a log.
#[derive(Clone)]
pub struct BasicAuth {
    /// What the `Authorization` header must say.
    header: String,
}

impl BasicAuth {
    pub fn new(username: &str, password: &str) -> Self {
        Self { header: format!("Basic {}", STANDARD.encode(format!("{username}:{password}"))) }
    }

    pub(crate) fn header(&self) -> &str {
        &self.header
    }
}

impl std::fmt::Debug for BasicAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(hidden)")
    }
}

/// `restapi.server_tokens`: what the `Server` header tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServerTokens {
    /// Patroni sends the version of Python's HTTP server here; there is none, so no header is sent.
    #[default]
    Original,
    Minimal,
    ProductOnly,
}
