//! Who is let in: whoever has the key of the address that was printed, at this machine, from the page itself.
//!
//! The key of the address is exchanged for a cookie that scripts cannot read and other sites cannot use, and the page that
//! follows has no key in its address any more.

use axum::http::header::{COOKIE, HOST, HeaderMap, ORIGIN};
use types::Secret;

pub const COOKIE_NAME: &str = "quorate_setup";
/// The page sends it with every change. A form of another site cannot, and a script of one would have to ask first.
const PAGE_HEADER: &str = "x-quorate-console";
/// Names under which this machine is its own; a name of another site that leads here (DNS rebinding) is none of them.
const OWN_NAMES: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];

/// What was printed, and what it is exchanged for.
#[derive(Debug)]
pub struct Door {
    pub key: Secret,
    pub session: Secret,
}

impl Door {
    pub fn key_fits(&self, query: Option<&str>) -> bool {
        let mut pairs = query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
        pairs.any(|(name, value)| name == "key" && is_same(value, self.key.expose()))
    }

    pub fn is_signed_in(&self, headers: &HeaderMap) -> bool {
        let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.any(|(name, value)| name == COOKIE_NAME && is_same(value, self.session.expose()))
    }

    pub fn cookie(&self) -> String {
        format!("{COOKIE_NAME}={}; Path=/; HttpOnly; SameSite=Strict", self.session.expose())
    }
}

/// The browser asked for this machine, by whatever port: a tunnel may have another one.
pub fn asks_for_this_machine(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST).and_then(|value| value.to_str().ok()) else { return false };
    OWN_NAMES.iter().any(|name| {
        host.strip_prefix(name).is_some_and(|rest| {
            rest.is_empty() || rest.strip_prefix(':').is_some_and(|port| port.bytes().all(|it| it.is_ascii_digit()))
        })
    })
}

/// Browsers say where a request comes from, and scripts of other sites cannot change what they say.
pub fn is_from_the_page(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let same_site = text("sec-fetch-site").is_none_or(|site| site == "same-origin");
    let same_origin = text(ORIGIN.as_str()).is_none_or(|origin| {
        let authority = origin.split_once("://").map(|(_, authority)| authority);
        authority.is_some() && authority == text(HOST.as_str())
    });
    headers.contains_key(PAGE_HEADER) && same_site && same_origin
}

/// Takes as long wherever the difference is.
fn is_same(given: &str, expected: &str) -> bool {
    given.len() == expected.len()
        && given.bytes().zip(expected.bytes()).fold(0, |different, (one, other)| different | (one ^ other)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_str(value).unwrap())).collect()
    }

    fn door() -> Door {
        Door { key: Secret::new("key"), session: Secret::new("session") }
    }

    #[test]
    fn only_the_right_key_and_the_right_cookie_open() {
        for (query, good) in [
            (Some("key=key"), true),
            (Some("a=b&key=key"), true),
            (Some("key=kez"), false),
            (Some("key="), false),
            (Some("key"), false),
            (None, false),
        ] {
            assert_eq!(door().key_fits(query), good, "{query:?}");
        }
        for (cookie, good) in [
            ("quorate_setup=session", true),
            ("other=1; quorate_setup=session", true),
            ("quorate_setup=key", false),
            ("quorate_setup=", false),
            ("session", false),
        ] {
            assert_eq!(door().is_signed_in(&headers(&[("cookie", cookie)])), good, "{cookie}");
        }
        assert!(!door().is_signed_in(&headers(&[])));
        assert!(door().cookie().contains("HttpOnly; SameSite=Strict"));
    }

    #[test]
    fn the_browser_means_this_machine() {
        for (host, good) in [
            ("127.0.0.1:8765", true),
            ("localhost", true),
            ("[::1]:80", true),
            ("127.0.0.1.evil.example:8765", false),
            ("localhost.evil.example", false),
            ("evil.example:8765", false),
            ("127.0.0.1:x", false),
            ("", false),
        ] {
            assert_eq!(asks_for_this_machine(&headers(&[("host", host)])), good, "{host}");
        }
        assert!(!asks_for_this_machine(&headers(&[])));
    }

    #[test]
    fn another_site_changes_nothing() {
        let own = [
            ("host", "127.0.0.1:1"),
            ("x-quorate-console", "1"),
            ("origin", "http://127.0.0.1:1"),
            ("sec-fetch-site", "same-origin"),
        ];
        assert!(is_from_the_page(&headers(&own)));
        let with = |at: usize, pair| {
            let mut pairs = own;
            pairs[at] = pair;
            is_from_the_page(&headers(&pairs))
        };
        assert!(!with(1, ("x-other", "1")));
        assert!(!with(2, ("origin", "http://127.0.0.1:2")));
        assert!(!with(2, ("origin", "null")));
        assert!(!with(3, ("sec-fetch-site", "cross-site")));
        assert!(!with(3, ("sec-fetch-site", "same-site")));
    }
}
