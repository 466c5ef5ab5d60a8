//! One request to one endpoint, and what its failure means.
//!
//! The invariant: [`Failure::NotSent`] and [`Failure::Refused`] are certain. Whatever leaves a doubt is
//! [`Failure::Unknown`].

use crate::endpoints::Endpoints;
use etcd_api::etcdserverpb::{
    AuthenticateRequest, StatusRequest, auth_client::AuthClient, cluster_client::ClusterClient, kv_client::KvClient,
    lease_client::LeaseClient, maintenance_client::MaintenanceClient, watch_client::WatchClient,
};
use std::{
    error::Error,
    sync::{Mutex, PoisonError},
};
use tonic::{
    Code, ConnectError, Request, Status,
    metadata::{Ascii, MetadataValue},
    transport::Channel,
};

/// Ask a member without a leader to say so at once instead of letting us wait.
const HAS_LEADER: (&str, &str) = ("hasleader", "true");

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It never reached the server.
    NotSent(String),
    /// It may have been carried out.
    Unknown(String),
    /// The server said no, and changed nothing.
    Refused(Code, String),
}

impl Failure {
    pub(crate) fn why(&self) -> &str {
        match self {
            Self::NotSent(why) | Self::Unknown(why) | Self::Refused(_, why) => why,
        }
    }

    /// The server does not know our token (any more): it was restarted, or the users changed.
    fn token_is_stale(&self) -> bool {
        match self {
            Self::Refused(Code::Unauthenticated, _) => true,
            Self::Refused(_, why) => {
                why.contains("revision of auth store is old") || why.contains("user name is empty")
            }
            Self::NotSent(_) | Self::Unknown(_) => false,
        }
    }
}

/// A connection ready for requests.
#[derive(Clone)]
pub(crate) struct Link {
    channel: Channel,
    token: Option<MetadataValue<Ascii>>,
    /// This endpoint has answered something within [`crate::config::HEARD_FOR`].
    pub(crate) was_heard_lately: bool,
}

impl Link {
    /// Any answer will do; a member can give it without a leader.
    pub(crate) async fn make_heard(&self) -> Result<(), Status> {
        match self.maintenance().status(self.local_request(StatusRequest::default())).await {
            Err(status) if status.source().is_some() => Err(status),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    pub(crate) fn request<M>(&self, message: M) -> Request<M> {
        let mut request = Request::new(message);
        request.metadata_mut().insert(HAS_LEADER.0, MetadataValue::from_static(HAS_LEADER.1));
        if let Some(token) = &self.token {
            request.metadata_mut().insert("token", token.clone());
        }
        request
    }

    /// For questions that a member can answer without a leader.
    pub(crate) fn local_request<M>(&self, message: M) -> Request<M> {
        let mut request = self.request(message);
        request.metadata_mut().remove(HAS_LEADER.0);
        request
    }

    pub(crate) fn kv(&self) -> KvClient<Channel> {
        KvClient::new(self.channel.clone()).max_decoding_message_size(crate::config::ANSWER_BYTES_MAX)
    }

    pub(crate) fn watch(&self) -> WatchClient<Channel> {
        WatchClient::new(self.channel.clone()).max_decoding_message_size(crate::config::ANSWER_BYTES_MAX)
    }

    pub(crate) fn lease(&self) -> LeaseClient<Channel> {
        LeaseClient::new(self.channel.clone())
    }

    pub(crate) fn cluster(&self) -> ClusterClient<Channel> {
        ClusterClient::new(self.channel.clone())
    }

    pub(crate) fn maintenance(&self) -> MaintenanceClient<Channel> {
        MaintenanceClient::new(self.channel.clone())
    }
}

/// Who we are to the store.
pub(crate) struct Account {
    user: Option<(String, String)>,
    token: Mutex<Token>,
}

#[derive(Clone)]
enum Token {
    Missing,
    NotNeeded,
    Have(MetadataValue<Ascii>),
}

impl Account {
    pub(crate) fn new(username: Option<String>, password: Option<String>) -> Self {
        let user = username.map(|name| (name, password.unwrap_or_default()));
        let token = Mutex::new(if user.is_some() { Token::Missing } else { Token::NotNeeded });
        Self { user, token }
    }

    fn current(&self) -> Token {
        self.token.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, token: Token) {
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = token;
    }

    /// Sign in again with the next request.
    pub(crate) fn forget_token(&self) {
        if self.user.is_some() {
            self.set(Token::Missing);
        }
    }

    /// A failure of signing in is one of the request: that was certainly not sent.
    async fn token(&self, channel: &Channel) -> Result<Option<MetadataValue<Ascii>>, Failure> {
        let (name, password) = match (&self.user, self.current()) {
            (None, _) | (Some(_), Token::NotNeeded) => return Ok(None),
            (Some(_), Token::Have(token)) => return Ok(Some(token)),
            (Some(user), Token::Missing) => user.clone(),
        };
        match AuthClient::new(channel.clone()).authenticate(AuthenticateRequest { name, password }).await {
            Ok(answer) => {
                let token = MetadataValue::try_from(answer.into_inner().token)
                    .map_err(|_| Failure::NotSent("the store gave a token that cannot be sent back".to_owned()))?;
                self.set(Token::Have(token.clone()));
                Ok(Some(token))
            }
            Err(status) if status.message().contains("authentication is not enabled") => {
                self.set(Token::NotNeeded);
                Ok(None)
            }
            Err(status) => Err(match classify(&status) {
                Failure::Unknown(why) => Failure::NotSent(why),
                certain => certain,
            }),
        }
    }
}

/// Connects and signs in where needed. Nothing of the caller's request is sent yet.
pub(crate) async fn link(endpoints: &Endpoints, account: &Account, index: usize) -> Result<Link, Failure> {
    let channel = endpoints.channel(index).await.map_err(Failure::NotSent)?;
    let token = account.token(&channel).await?;
    Ok(Link { channel, token, was_heard_lately: endpoints.was_heard_lately(index) })
}

/// Sends one request to one endpoint. A stale token is renewed and the request, which was refused for it, sent again.
pub(crate) async fn attempt<T, F, Fut>(
    endpoints: &Endpoints,
    account: &Account,
    index: usize,
    call: &F,
) -> Result<T, Failure>
where
    F: Fn(Link) -> Fut,
    Fut: Future<Output = Result<T, Status>>,
{
    let mut renewed = false;
    loop {
        let link = link(endpoints, account, index).await?;
        let signed_in = link.token.is_some();
        let status = match call(link).await {
            Ok(answer) => {
                endpoints.heard(index);
                return Ok(answer);
            }
            Err(status) => status,
        };
        if status.source().is_some() {
            endpoints.disconnect(index);
        }
        let failure = classify(&status);
        if renewed || account.user.is_none() || !failure.token_is_stale() {
            return Err(failure);
        }
        tracing::debug!(endpoint = endpoints.address(index), signed_in, "signing in to the store anew");
        account.forget_token();
        renewed = true;
    }
}

pub(crate) fn classify(status: &Status) -> Failure {
    let mut source = status.source();
    if source.is_none() {
        return if is_certain(status) {
            Failure::Refused(status.code(), status.message().to_owned())
        } else {
            Failure::Unknown(status.message().to_owned())
        };
    }
    // Not the server's word but our own transport's.
    while let Some(error) = source {
        if error.is::<ConnectError>() {
            return Failure::NotSent(innermost(error));
        }
        source = error.source();
    }
    Failure::Unknown(status.source().map_or_else(String::new, innermost))
}

/// Refusals that the server makes before it changes anything, or instead of it.
fn is_certain(status: &Status) -> bool {
    match status.code() {
        Code::Unauthenticated | Code::PermissionDenied | Code::InvalidArgument | Code::Unimplemented => true,
        // Our own side uses these codes as well (an answer that is too large); only the server's words are certain.
        Code::NotFound
        | Code::AlreadyExists
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::ResourceExhausted => status.message().starts_with("etcdserver:"),
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss => false,
    }
}

/// The cause at the bottom, which is the one that tells something ("Connection refused").
pub(crate) fn innermost(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_certain_refusal_counts_as_one() {
        let refused = |code, why: &str| Failure::Refused(code, why.to_owned());
        let unknown = |why: &str| Failure::Unknown(why.to_owned());
        for (code, message, expected) in [
            (Code::NotFound, "etcdserver: requested lease not found", None),
            (Code::OutOfRange, "etcdserver: mvcc: required revision has been compacted", None),
            (Code::OutOfRange, "decoded message length too large", Some(unknown("decoded message length too large"))),
            (Code::Unavailable, "etcdserver: request timed out", Some(unknown("etcdserver: request timed out"))),
            (Code::Unavailable, "etcdserver: no leader", Some(unknown("etcdserver: no leader"))),
            (Code::Unknown, "not a primary lessor", Some(unknown("not a primary lessor"))),
            (Code::InvalidArgument, "etcdserver: too many operations in txn request", None),
            (Code::Internal, "h2 protocol error", Some(unknown("h2 protocol error"))),
        ] {
            let expected = expected.unwrap_or_else(|| refused(code, message));
            assert_eq!(classify(&Status::new(code, message)), expected);
        }
    }
}
