//! A client that knows no more of an authority than the digest of its certificate, from a token that a person carried over.
//!
//! The server shows the authority's certificate behind its own. The invariant: nothing is sent before the server's
//! certificate was found to be signed by that authority, and made out to the host that was asked for.

use crate::files::provider;
use crate::judged::{Judge, Judged, Shown};
use ring::digest::{SHA256, digest};
use std::sync::Arc;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::ServerCertVerifier;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::{CertificateError, ClientConfig, Error, RootCertStore};

/// `authority`: the SHA-256 of its certificate (DER).
pub fn pinned_client(authority: [u8; 32], protocols: &[&[u8]]) -> Result<ClientConfig, Error> {
    let verifier = Judged { judge: Pinned { authority }, provider: provider() };
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(config)
}

#[derive(Debug)]
struct Pinned {
    authority: [u8; 32],
}

impl Judge for Pinned {
    fn judge(&self, shown: &Shown<'_>, provider: &Arc<CryptoProvider>) -> Result<(), Error> {
        let Shown { certificate, intermediates, name, ocsp_response, now } = *shown;
        let unknown = || Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let is_it = |shown: &&CertificateDer<'_>| digest(&SHA256, shown).as_ref() == self.authority;
        let authority = intermediates.iter().find(is_it).ok_or_else(unknown)?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        let verifier = verifier.build().map_err(|_| unknown())?;
        verifier.verify_server_cert(certificate, intermediates, name, ocsp_response, now).map(|_| ())
    }
}
