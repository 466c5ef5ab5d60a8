//! The other side of a signature: a key that stays where it was made, and the request that goes to the authority.
//!
//! Deliberately nothing that signs others. The invariant: a request has the public key alone.

use crate::{CLOCKS_DIFFER, PkiError, making, named};
use rcgen::{KeyPair, PublicKeyData};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use types::Secret;
use x509_parser::pem::{Pem, parse_x509_pem};
use x509_parser::prelude::X509Certificate;

/// A request for a certificate, with the key that it is for.
#[derive(Clone, Debug)]
pub struct Request {
    pub request_pem: String,
    pub key_pem: Secret,
}

impl Request {
    /// With a new key.
    pub fn make(name: &str) -> Result<Self, PkiError> {
        Self::of(name, &KeyPair::generate().map_err(|error| making(&error))?)
    }

    /// With a key that is there: what reads certificate and key one after the other never sees two that do not fit.
    pub fn with_key(name: &str, key_pem: &Secret) -> Result<Self, PkiError> {
        Self::of(name, &KeyPair::from_pem(key_pem.expose()).map_err(|_| PkiError::OtherKey)?)
    }

    fn of(name: &str, key: &KeyPair) -> Result<Self, PkiError> {
        let request = named(name)?.serialize_request(key).and_then(|request| request.pem());
        let request_pem = request.map_err(|error| making(&error))?;
        Ok(Self { request_pem, key_pem: Secret::new(key.serialize_pem()) })
    }
}

/// Whether the first certificate of a PEM text is for this key.
pub fn certificate_of_key(certificate_pem: &str, key_pem: &Secret) -> bool {
    let Ok(key) = KeyPair::from_pem(key_pem.expose()) else { return false };
    let Ok((_, pem)) = parse_x509_pem(certificate_pem.as_bytes()) else { return false };
    pem.parse_x509().is_ok_and(|certificate| certificate.public_key().raw == key.subject_public_key_info())
}

/// What is left of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// When to ask for the next one: two thirds of the life are over, one third is left for trouble.
    pub renew_at: SystemTime,
    pub ends: SystemTime,
}

/// Of the first certificate of a PEM text that an authority of ours has signed.
pub fn life_of(certificate_pem: &str) -> Option<Life> {
    let (_, pem): (_, Pem) = parse_x509_pem(certificate_pem.as_bytes()).ok()?;
    let certificate = pem.parse_x509().ok()?;
    let at = |seconds: i64| Some(UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).ok()?));
    let made = at(certificate.validity().not_before.timestamp())? + CLOCKS_DIFFER;
    let ends = at(certificate.validity().not_after.timestamp())?;
    let whole = ends.duration_since(made).unwrap_or_default();
    Some(Life { renew_at: made + whole * 2 / 3, ends })
}

/// The name of the member that a certificate (DER) is made out to.
pub fn member_named(certificate: &[u8]) -> Option<String> {
    let (_, certificate): (_, X509Certificate<'_>) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let mut names = certificate.subject().iter_common_name();
    // One that has two names is none of ours.
    match (names.next(), names.next()) {
        (Some(name), None) => name.as_str().ok().map(str::to_owned),
        (None | Some(_), _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Authority, MEMBER_LIFE};

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_700_000_000)
    }

    #[test]
    fn a_request_is_signed_for_the_name_that_the_authority_knows_and_for_no_other() {
        let authority = Authority::create("shop", now()).unwrap();
        let request = Request::make("somebody").unwrap();
        assert!(!request.request_pem.contains("PRIVATE"));
        assert!(!format!("{request:?}").contains("PRIVATE KEY"), "a key is not printed");
        let pem = authority.sign(&request.request_pem, "pg2", &["10.0.0.2"], now(), MEMBER_LIFE).unwrap();
        let (_, parsed) = parse_x509_pem(pem.as_bytes()).unwrap();
        assert_eq!(member_named(&parsed.contents).as_deref(), Some("pg2"));
        assert!(!parsed.parse_x509().unwrap().is_ca());
        assert!(certificate_of_key(&pem, &request.key_pem));
        assert!(!certificate_of_key(&pem, &Request::make("pg2").unwrap().key_pem));
        assert_eq!(life_of(&pem), Some(Life { renew_at: now() + MEMBER_LIFE * 2 / 3, ends: now() + MEMBER_LIFE }));
        let again = Request::with_key("pg2", &request.key_pem).unwrap();
        let pem = authority.sign(&again.request_pem, "pg2", &["10.0.0.2"], now(), Duration::from_secs(30)).unwrap();
        assert!(certificate_of_key(&pem, &request.key_pem));
        assert_eq!(life_of(&pem).unwrap().renew_at, now() + Duration::from_secs(20));
    }

    #[test]
    fn what_is_no_request_is_not_signed() {
        let authority = Authority::create("shop", now()).unwrap();
        let good = Request::make("pg2").unwrap().request_pem;
        // One that was changed on its way no longer has its own signature.
        let mut changed = good.clone().into_bytes();
        let middle = changed.len() / 2;
        changed[middle] = if changed[middle] == b'A' { b'B' } else { b'A' };
        for text in ["", "x", authority.certificate_pem(), std::str::from_utf8(&changed).unwrap()] {
            let signed = authority.sign(text, "pg2", &["10.0.0.2"], now(), MEMBER_LIFE);
            assert_eq!(signed.unwrap_err(), PkiError::Request, "{text}");
        }
        assert!(authority.sign(&good, "pg2", &["10.0.0.2"], now(), MEMBER_LIFE).is_ok());
        for text in ["", "x", &good] {
            assert_eq!((life_of(text), member_named(text.as_bytes())), (None, None));
        }
    }
}
