//! Certificates and keys, as files; what is in them is looked at when they are opened.

use super::Builder;
use crate::error::Code;
use crate::member::{ClientTls, RestApiTls, StoreTls, VerifyClient};
use std::path::PathBuf;

impl Builder<'_> {
    /// `certfile` switches TLS on, as in Patroni.
    pub(super) fn restapi_tls(&mut self) -> Option<RestApiTls> {
        let word = self.text(&["restapi", "verify_client"]).unwrap_or_default().to_lowercase();
        let verify_client = match word.as_str() {
            "optional" => VerifyClient::Optional,
            "or_password" => VerifyClient::OrPassword,
            "required" => VerifyClient::Required,
            _ => VerifyClient::None,
        };
        let cafile = self.path(&["restapi", "cafile"]);
        let Some(certfile) = self.path(&["restapi", "certfile"]) else {
            if verify_client != VerifyClient::None || self.tree.at(&["restapi", "keyfile"]).is_some() {
                self.missing(
                    &["restapi", "certfile"],
                    "the server's certificate (PEM); without it the API is not served over TLS",
                );
            }
            return None;
        };
        if cafile.is_none() && verify_client != VerifyClient::None {
            self.missing(&["restapi", "cafile"], "the certificates of the authorities whose clients are let in (PEM)");
        }
        if verify_client == VerifyClient::OrPassword && self.tree.at(&["restapi", "authentication"]).is_none() {
            self.missing(
                &["restapi", "authentication"],
                "the name and the password for whoever shows no certificate; or write 'verify_client: optional'",
            );
        }
        let keyfile = self.path(&["restapi", "keyfile"]).unwrap_or_else(|| certfile.clone());
        Some(RestApiTls { certfile, keyfile, cafile, verify_client })
    }

    /// What `ctl` does not name is taken from `restapi`, as in Patroni.
    pub(crate) fn ctl_tls(&self) -> ClientTls {
        let identity = |section: &str| {
            let certificate = self.path(&[section, "certfile"])?;
            let key = self.path(&[section, "keyfile"]).unwrap_or_else(|| certificate.clone());
            Some((certificate, key))
        };
        ClientTls {
            cacert: self.path(&["ctl", "cacert"]).or_else(|| self.path(&["restapi", "cafile"])),
            identity: identity("ctl").or_else(|| identity("restapi")),
            insecure: self.flag(&["ctl", "insecure"]).unwrap_or(false),
        }
    }

    /// A section of `store`; all of its files are needed.
    pub(super) fn store_tls(&mut self, section: &str) -> Option<StoreTls> {
        let at = ["store", section];
        self.tree.at(&at)?;
        let mut file = |key: &str, hint: &str| {
            let path = [at[0], at[1], key];
            let found = self.path(&path);
            if found.is_none() {
                self.missing(&path, hint);
            }
            found
        };
        let cert_file = file("cert_file", "the member's certificate (PEM)");
        let key_file = file("key_file", "the certificate's key (PEM)");
        let trusted_ca_file = file("trusted_ca_file", "the certificates of the authorities to trust (PEM)");
        Some(StoreTls { cert_file: cert_file?, key_file: key_file?, trusted_ca_file: trusted_ca_file? })
    }

    pub(super) fn members_always_show_a_certificate(&mut self) {
        let path = ["store", "peer_transport_security", "client_cert_auth"];
        if self.flag(&path) == Some(false) {
            let error =
                self.at(Code::Range, &path, "members always show each other a certificate; only 'true' is accepted");
            self.report.error(error.hint("leave the key out"));
        }
    }

    /// `secured`: an endpoint has `https`.
    pub(super) fn etcd_tls(&mut self, key: &str, secured: bool) -> Option<ClientTls> {
        let cacert = self.path(&[key, "cacert"]);
        let certificate = self.path(&[key, "cert"]);
        let own_key = self.path(&[key, "key"]);
        if own_key.is_some() && certificate.is_none() {
            self.missing(&[key, "cert"], "the certificate that belongs to the key");
        }
        if !secured {
            if let Some(name) = ["cacert", "cert", "key"].into_iter().find(|name| self.tree.at(&[key, name]).is_some())
            {
                self.note(&[key, name], "has no effect, because the endpoints are not https; write 'protocol: https'");
            }
            return None;
        }
        let identity = certificate.map(|certificate: PathBuf| {
            let own_key = own_key.unwrap_or_else(|| certificate.clone());
            (certificate, own_key)
        });
        Some(ClientTls { cacert, identity, insecure: false })
    }
}
