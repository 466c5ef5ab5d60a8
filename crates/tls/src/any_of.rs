//! Believes the servers of an authority without regard to the one host that was connected to: any name, or one of several.
//!
//! The invariant: a certificate that the authority has not signed for servers, or that is over, is refused.

use crate::client::server_name;
use crate::judged::{Judge, Shown};
use std::sync::Arc;
use tokio_rustls::rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{CertificateError, Error, RootCertStore};

#[derive(Debug)]
pub struct AnyOf {
    roots: RootCertStore,
    /// `None`: every name.
    names: Option<Vec<ServerName<'static>>>,
}

impl AnyOf {
    /// A host that cannot be in a certificate is nobody's name.
    pub fn new(roots: RootCertStore, hosts: Option<&Vec<String>>) -> Self {
        let names = hosts.map(|hosts| hosts.iter().filter_map(|host| server_name(host).ok()).collect());
        Self { roots, names }
    }
}

impl Judge for AnyOf {
    fn judge(&self, shown: &Shown<'_>, provider: &Arc<CryptoProvider>) -> Result<(), Error> {
        let parsed = ParsedCertificate::try_from(shown.certificate)?;
        let algorithms = provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, shown.intermediates, shown.now, algorithms)?;
        match &self.names {
            Some(names) if !names.iter().any(|name| verify_server_name(&parsed, name).is_ok()) => {
                Err(Error::InvalidCertificate(CertificateError::NotValidForName))
            }
            Some(_) | None => Ok(()),
        }
    }
}
