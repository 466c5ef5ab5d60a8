//! `/failover`: what an operator asked for.

use serde::{Deserialize, Serialize};
use types::MemberName;

/// A request to move the leadership. With `leader` it is a switchover (the leader must be that one), without it a
/// manual failover. `candidate` is Patroni's `member`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailoverRequest {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<MemberName>,
    #[serde(default, rename = "member", skip_serializing_if = "Option::is_none")]
    pub candidate: Option<MemberName>,
    /// ISO 8601 with a time zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_at: Option<String>,
}

impl FailoverRequest {
    /// `{}` and an empty text mean "none"; `leader:candidate` is the form of old versions of Patroni.
    pub(super) fn from_text(text: &str) -> Result<Option<Self>, String> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        let mut request: Self = if text.starts_with('{') {
            super::read(text)?
        } else {
            let (leader, candidate) = text.split_once(':').unwrap_or((text, ""));
            Self { leader: Some(leader.into()), candidate: Some(candidate.into()), scheduled_at: None }
        };
        let named = |name: &MemberName| !name.as_str().is_empty();
        request.leader = request.leader.filter(named);
        request.candidate = request.candidate.filter(named);
        Ok(Some(request).filter(|request| *request != Self::default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_that_patroni_wrote_is_read() {
        let request = |leader: Option<&str>, candidate: Option<&str>| {
            Some(FailoverRequest {
                leader: leader.map(Into::into),
                candidate: candidate.map(Into::into),
                scheduled_at: None,
            })
        };
        for (text, expected) in [
            ("", None),
            ("{}", None),
            ("a:b", request(Some("a"), Some("b"))),
            ("a:", request(Some("a"), None)),
            (r#"{"leader":"a","member":"b"}"#, request(Some("a"), Some("b"))),
            (r#"{"member":"b","leader":""}"#, request(None, Some("b"))),
        ] {
            assert_eq!(FailoverRequest::from_text(text), Ok(expected), "{text}");
        }
        assert!(FailoverRequest::from_text("{").is_err());
    }
}
