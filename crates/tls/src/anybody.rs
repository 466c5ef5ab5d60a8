//! Believes any server, for `insecure: true`. That the server has the key of the certificate it shows is still checked.

use crate::judged::{Judge, Shown};
use std::sync::Arc;
use tokio_rustls::rustls::Error;
use tokio_rustls::rustls::crypto::CryptoProvider;

#[derive(Debug)]
pub struct Anybody;

impl Judge for Anybody {
    fn judge(&self, _shown: &Shown<'_>, _provider: &Arc<CryptoProvider>) -> Result<(), Error> {
        Ok(())
    }
}
