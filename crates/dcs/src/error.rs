//! Why a request to the store failed, said so that the caller knows whether anything may have changed.

use thiserror::Error;
use tonic::Code;

#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DcsError {
    /// Nothing was changed: no endpoint took the request, or a request that changes nothing got no answer.
    #[error("no member of the store at {} answered: {why}", endpoints.join(", "))]
    Unreachable { endpoints: Vec<String>, why: String },
    /// The request was sent and may or may not have been carried out. It must not be repeated blindly: read first.
    #[error("the store at {endpoint} did not say whether the request was carried out: {why}")]
    OutcomeUnknown { endpoint: String, why: String },
    /// Nothing was changed.
    #[error("the lease has run out or was revoked")]
    LeaseNotFound,
    /// The store understood the request and refused it. Nothing was changed.
    #[error("the store refused the request: {message} ({code:?})")]
    Refused { code: Code, message: String },
    /// An answer without the parts that etcd's API promises.
    #[error("the store gave an answer that makes no sense: {what}")]
    BadAnswer { what: String },
    /// The store's history ends before what was seen of it earlier: it was restored from a backup or made anew.
    #[error("the store is at revision {found}, behind revision {seen} that was seen before")]
    WentBack { found: types::Revision, seen: types::Revision },
    #[error("'{endpoint}' is not one of the configured endpoints {}", known.join(", "))]
    NoSuchEndpoint { endpoint: String, known: Vec<String> },
}

impl DcsError {
    pub(crate) fn refused(code: Code, message: String) -> Self {
        if code == Code::NotFound && message.contains("lease not found") {
            return Self::LeaseNotFound;
        }
        Self::Refused { code, message }
    }

    /// What a person can do about it, where there is something.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unreachable { .. } => {
                Some("check that a majority of the store's members runs and that the endpoints are reachable")
            }
            Self::OutcomeUnknown { .. } => Some("the next view of the cluster shows whether the change was made"),
            Self::Refused { code: Code::Unauthenticated | Code::PermissionDenied | Code::InvalidArgument, .. } => {
                Some("check the store's user name, password and permissions in the configuration")
            }
            Self::WentBack { .. } => {
                Some("if the store was restored or made anew on purpose, restart the agents one after the other")
            }
            Self::NoSuchEndpoint { .. } | Self::LeaseNotFound | Self::Refused { .. } | Self::BadAnswer { .. } => None,
        }
    }
}
