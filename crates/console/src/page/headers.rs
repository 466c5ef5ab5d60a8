//! What browsers are told not to do with the console.

use crate::snapshot::Snapshot;
use axum::body::Body;
use axum::http::Response;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};

/// The page may ask the other members' consoles whether they are there, to go on at one of them when this one dies.
pub fn protect(response: &mut Response<Body>, snapshot: &Snapshot) {
    let others = snapshot.cluster.members.iter().filter(|(name, _)| **name != snapshot.me);
    let others = others.filter_map(|(_, member)| member.data.quorate.as_ref()?.services.console.as_deref());
    protect_with(response, others);
}

/// Nothing but our own files; no script or style inside of the page.
pub fn protect_with<'a>(response: &mut Response<Body>, others: impl Iterator<Item = &'a str>) {
    let may_ask: Vec<&str> = ["'self'"].into_iter().chain(others.filter(|url| is_origin(url))).collect();
    let may_ask = may_ask.join(" ");
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src {may_ask}; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let headers = response.headers_mut();
    if let Ok(policy) = HeaderValue::try_from(policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

/// `http://host:port`: whatever another member wrote into its entry must not become a part of the policy.
fn is_origin(url: &str) -> bool {
    let authority = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    authority.is_some_and(|authority| {
        !authority.is_empty()
            && authority.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '-' | '[' | ']'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_origin_gets_into_the_policy() {
        for (url, good) in [
            ("http://10.0.0.1:8080", true),
            ("https://[::1]:8080", true),
            ("http://pg1.example.com:8080", true),
            ("http://a/b", false),
            ("http://a; script-src *", false),
            ("http://", false),
            ("javascript:x", false),
            ("", false),
        ] {
            assert_eq!(is_origin(url), good, "{url}");
        }
    }
}
