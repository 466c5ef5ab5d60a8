//! A certificate authority of one's own: makes it, and the certificates of members.
//!
//! Deliberately no files and no clock: the caller brings the time and keeps what is made. The invariant: every certificate
//! that is issued serves both ends of a connection, names the member and its addresses, and ends no later than its
//! authority.

mod fingerprint;
mod request;

pub use fingerprint::{Fingerprint, fingerprint};
pub use request::{Life, Request, certificate_of_key, life_of, member_named};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType,
};
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use thiserror::Error;
use types::Secret;
use x509_parser::pem::parse_x509_pem;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// A certificate is valid from a little before it was made: the servers' clocks are never quite the same.
const CLOCKS_DIFFER: Duration = Duration::from_secs(60 * 60);
/// An authority that ends makes every server get a new one by hand; ten years are longer than most servers live.
pub const AUTHORITY_LIFE: Duration = Duration::from_secs(3650 * DAY.as_secs());
/// Members renew by themselves after two thirds of it; a year and a month also serves whoever renews by hand, once a year.
pub const MEMBER_LIFE: Duration = Duration::from_secs(397 * DAY.as_secs());
/// X.509 has room for so many characters of a name.
const NAME_CHARS_MAX: usize = 64;

#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PkiError {
    #[error("'{0}' cannot stand in a certificate: a name has 1 to {NAME_CHARS_MAX} characters")]
    Name(String),
    #[error("'{0}' is neither an IP address nor a host name")]
    Address(String),
    #[error("this is not the certificate of an authority: {0}")]
    NotAnAuthority(String),
    #[error("the key does not belong to the authority's certificate")]
    OtherKey,
    #[error("the authority has ended")]
    Ended,
    #[error("this is no request for a certificate, or it is not signed with its own key")]
    Request,
    #[error("the certificate cannot be made: {0}")]
    Making(String),
}

/// Who signs. `Debug` does not show the key.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate_pem: String,
    key_pem: Secret,
    ends: SystemTime,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("ends", &self.ends).finish_non_exhaustive()
    }
}

/// A member's certificate and what belongs to it.
#[derive(Clone, Debug)]
pub struct Issued {
    pub certificate_pem: String,
    pub key_pem: Secret,
    pub ends: SystemTime,
    /// When to ask for the next one: two thirds of the life are over, one third is left for trouble.
    pub renew_at: SystemTime,
}

impl Authority {
    /// A new one, valid for [`AUTHORITY_LIFE`].
    pub fn create(name: &str, now: SystemTime) -> Result<Self, PkiError> {
        let key = KeyPair::generate().map_err(|error| making(&error))?;
        let mut params = named(name)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ends = now + AUTHORITY_LIFE;
        params.not_before = (now - CLOCKS_DIFFER).into();
        params.not_after = ends.into();
        let certificate_pem = params.self_signed(&key).map_err(|error| making(&error))?.pem();
        let key_pem = Secret::new(key.serialize_pem());
        Ok(Self { issuer: Issuer::new(params, key), certificate_pem, key_pem, ends })
    }

    /// One that was made earlier.
    pub fn from_pem(certificate_pem: &str, key_pem: &Secret) -> Result<Self, PkiError> {
        let unusable = |why: &dyn std::fmt::Display| PkiError::NotAnAuthority(why.to_string());
        let (_, pem) = parse_x509_pem(certificate_pem.as_bytes()).map_err(|_| unusable(&"it is not PEM"))?;
        let certificate = pem.parse_x509().map_err(|error| unusable(&error))?;
        if !certificate.is_ca() {
            return Err(unusable(&"it may not sign others"));
        }
        let key = KeyPair::from_pem(key_pem.expose()).map_err(|_| PkiError::OtherKey)?;
        if certificate.public_key().raw != key.subject_public_key_info() {
            return Err(PkiError::OtherKey);
        }
        let seconds = u64::try_from(certificate.validity().not_after.timestamp()).unwrap_or(0);
        let issuer = Issuer::from_ca_cert_der(&pem.contents.as_slice().into(), key).map_err(|error| making(&error))?;
        let ends = UNIX_EPOCH + Duration::from_secs(seconds);
        Ok(Self { issuer, certificate_pem: certificate_pem.to_owned(), key_pem: key_pem.clone(), ends })
    }

    /// For those who are to trust what it signs.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Whoever has it can make members.
    pub fn key_pem(&self) -> &Secret {
        &self.key_pem
    }

    pub fn ends(&self) -> SystemTime {
        self.ends
    }

    /// What two people compare.
    pub fn fingerprint(&self) -> Fingerprint {
        // Our own text, or one that was parsed.
        fingerprint(&self.certificate_pem).unwrap_or_default()
    }

    /// A certificate for both ends of a connection. `addresses` are the IP addresses and host names under which others
    /// reach the member; `life` is cut at the authority's own end.
    pub fn issue(&self, name: &str, addresses: &[&str], now: SystemTime, life: Duration) -> Result<Issued, PkiError> {
        let key = KeyPair::generate().map_err(|error| making(&error))?;
        let (certificate_pem, ends) = self.certify(&key, name, addresses, now, life)?;
        let life = ends.duration_since(now).unwrap_or_default();
        let renew_at = now + life * 2 / 3;
        Ok(Issued { certificate_pem, key_pem: Secret::new(key.serialize_pem()), ends, renew_at })
    }

    /// The same for a key that its owner keeps. Of the request only the key counts: name and addresses are what whoever
    /// signs knows of the member, and not what it says of itself.
    pub fn sign(
        &self,
        request_pem: &str,
        name: &str,
        addresses: &[&str],
        now: SystemTime,
        life: Duration,
    ) -> Result<String, PkiError> {
        let request = CertificateSigningRequestParams::from_pem(request_pem).map_err(|_| PkiError::Request)?;
        self.certify(&request.public_key, name, addresses, now, life).map(|(certificate, _)| certificate)
    }

    fn certify(
        &self,
        key: &impl PublicKeyData,
        name: &str,
        addresses: &[&str],
        now: SystemTime,
        life: Duration,
    ) -> Result<(String, SystemTime), PkiError> {
        if now >= self.ends {
            return Err(PkiError::Ended);
        }
        let ends = (now + life).min(self.ends);
        let mut params = named(name)?;
        params.not_before = (now - CLOCKS_DIFFER).into();
        params.not_after = ends.into();
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        for address in addresses {
            params.subject_alt_names.push(alternative_name(address)?);
        }
        let certificate = params.signed_by(key, &self.issuer).map_err(|error| making(&error))?;
        Ok((certificate.pem(), ends))
    }
}

fn named(name: &str) -> Result<CertificateParams, PkiError> {
    if name.is_empty() || name.chars().count() > NAME_CHARS_MAX || name.chars().any(char::is_control) {
        return Err(PkiError::Name(name.to_owned()));
    }
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}

fn alternative_name(address: &str) -> Result<SanType, PkiError> {
    if let Ok(ip) = address.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(ip));
    }
    let is_host = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_');
    let name = Some(address).filter(|name| !name.is_empty() && name.chars().all(is_host));
    let name = name.and_then(|name| name.try_into().ok());
    name.map(SanType::DnsName).ok_or_else(|| PkiError::Address(address.to_owned()))
}

fn making(error: &rcgen::Error) -> PkiError {
    PkiError::Making(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use x509_parser::extensions::GeneralName;

    fn now() -> SystemTime {
        UNIX_EPOCH + DAY * 20_000
    }

    #[test]
    fn a_members_certificate_names_its_addresses_and_serves_both_ends() {
        let authority = Authority::create("shop", now()).unwrap();
        let issued = authority.issue("pg1", &["10.0.0.1", "fd00::1", "pg1.example"], now(), MEMBER_LIFE).unwrap();
        assert_eq!((issued.ends, issued.renew_at), (now() + MEMBER_LIFE, now() + MEMBER_LIFE * 2 / 3));
        let (_, pem) = parse_x509_pem(issued.certificate_pem.as_bytes()).unwrap();
        let certificate = pem.parse_x509().unwrap();
        let names = certificate.subject_alternative_name().unwrap().unwrap().value;
        let names: Vec<Vec<u8>> = names
            .general_names
            .iter()
            .map(|name| match name {
                GeneralName::IPAddress(bytes) => bytes.to_vec(),
                GeneralName::DNSName(name) => name.as_bytes().to_vec(),
                other => panic!("{other:?}"),
            })
            .collect();
        let v6: std::net::Ipv6Addr = "fd00::1".parse().unwrap();
        assert_eq!(names, [vec![10, 0, 0, 1], v6.octets().to_vec(), b"pg1.example".to_vec()]);
        let usage = certificate.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.server_auth && usage.client_auth && !certificate.is_ca());
        assert_eq!(certificate.subject().to_string(), "CN=pg1");
        assert_eq!(certificate.issuer().to_string(), "CN=shop");
        assert!(!format!("{issued:?}").contains("PRIVATE KEY"), "a key is not printed");
        assert!(!format!("{authority:?}").contains("PRIVATE KEY"), "a key is not printed");
    }

    #[test]
    fn an_authority_that_was_kept_signs_as_before_and_nothing_outlives_it() {
        let made = Authority::create("shop", now()).unwrap();
        let kept = Authority::from_pem(made.certificate_pem(), made.key_pem()).unwrap();
        assert_eq!((kept.fingerprint(), kept.ends()), (made.fingerprint(), made.ends()));
        let late = now() + AUTHORITY_LIFE - DAY;
        let issued = kept.issue("pg1", &["10.0.0.1"], late, MEMBER_LIFE).unwrap();
        assert_eq!(issued.ends, made.ends());
        assert_eq!(kept.issue("pg1", &[], made.ends(), MEMBER_LIFE).unwrap_err(), PkiError::Ended);
    }

    #[test]
    fn what_is_no_authority_is_refused() {
        let (one, other) = (Authority::create("a", now()).unwrap(), Authority::create("b", now()).unwrap());
        let refused = |certificate: &str, key: &Secret| Authority::from_pem(certificate, key).unwrap_err();
        assert_eq!(refused(one.certificate_pem(), other.key_pem()), PkiError::OtherKey);
        let member = one.issue("pg1", &["10.0.0.1"], now(), DAY).unwrap();
        assert!(matches!(refused(&member.certificate_pem, &member.key_pem), PkiError::NotAnAuthority(_)));
        assert!(matches!(refused("x", one.key_pem()), PkiError::NotAnAuthority(_)));
        for address in ["", "a b", "10.0.0.1:80", "ü"] {
            assert_eq!(one.issue("m", &[address], now(), DAY).unwrap_err(), PkiError::Address(address.to_owned()));
        }
        assert!(matches!(one.issue("", &[], now(), DAY).unwrap_err(), PkiError::Name(_)));
        assert!(matches!(Authority::create(&"x".repeat(65), now()).unwrap_err(), PkiError::Name(_)));
    }
}
