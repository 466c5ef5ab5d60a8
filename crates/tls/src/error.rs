//! What is wrong with a file. One sentence with its name; never a part of what is in it.

use std::path::PathBuf;
use thiserror::Error;

#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TlsError {
    #[error("there is no file {}", file.display())]
    Missing { file: PathBuf },
    #[error("{} cannot be read: {why}", file.display())]
    Unreadable { file: PathBuf, why: String },
    #[error("{} has no certificate in it", file.display())]
    NoCertificate { file: PathBuf },
    #[error("{} has no private key in it", file.display())]
    NoKey { file: PathBuf },
    #[error("the private key in {} is encrypted with a password", file.display())]
    EncryptedKey { file: PathBuf },
    #[error("the key in {} does not belong to the certificate in {}", key.display(), certificate.display())]
    KeyMismatch { certificate: PathBuf, key: PathBuf },
    #[error("the certificate in {} ended on {when}", file.display())]
    Expired { file: PathBuf, when: String },
    #[error("the certificate in {} is not valid before {when}", file.display())]
    NotYetValid { file: PathBuf, when: String },
    #[error("{} cannot be used: {why}", file.display())]
    Unusable { file: PathBuf, why: String },
    #[error("no file names the authorities whose clients are let in")]
    NoAuthorities,
    #[error("this system knows no authorities to trust: {why}")]
    NoSystemAuthorities { why: String },
}

impl TlsError {
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "correct the path",
            Self::Unreadable { .. } => "the user that the program runs as must be able to read it",
            Self::NoCertificate { .. } => "it must begin with -----BEGIN CERTIFICATE----- (PEM, not DER)",
            Self::NoKey { .. } => "it must have a section such as -----BEGIN PRIVATE KEY----- (PEM, not DER)",
            Self::EncryptedKey { .. } => {
                "keep it without a password, readable only by its user: openssl pkey -in OLD -out NEW"
            }
            Self::KeyMismatch { .. } => "certificate and key are made together; name the two that belong together",
            Self::Expired { .. } => "put a new certificate in its place; it is read without a restart",
            Self::NotYetValid { .. } => "check this server's clock",
            Self::Unusable { .. } => "it must be an X.509 certificate or key in PEM, made by the usual tools",
            Self::NoAuthorities => "name the file with the authorities' certificates beside the certificate",
            Self::NoSystemAuthorities { .. } => "name the file with the authority's certificate",
        }
    }
}
