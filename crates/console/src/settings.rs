//! The `restapi:` settings that change answers. Where to listen is not here: the caller brings the listener.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

#[derive(Clone, Debug, Default)]
pub struct RestApiSettings {
    /// What the `Authorization` header must say; `None`: no password is asked for. Not readable back, so that it cannot
    /// end up in a log.
    authorization: Option<Secret>,
    /// Addresses, networks (`10.0.0.0/8`) and host names from which changes are allowed; empty: from everywhere.
    pub allowlist: Vec<String>,
    /// The members' own REST addresses are allowed too.
    pub allowlist_include_members: bool,
    /// Sent with every answer.
    pub http_extra_headers: Vec<(String, String)>,
    pub server_tokens: ServerTokens,
}

impl RestApiSettings {
    /// `restapi.authentication`: changes need this user name and password.
    pub fn with_basic_auth(mut self, username: &str, password: &str) -> Self {
        self.authorization = Some(Secret(format!("Basic {}", STANDARD.encode(format!("{username}:{password}")))));
        self
    }

    pub(crate) fn authorization(&self) -> Option<&str> {
        self.authorization.as_ref().map(|secret| secret.0.as_str())
    }
}

#[derive(Clone)]
struct Secret(String);

impl std::fmt::Debug for Secret {
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
