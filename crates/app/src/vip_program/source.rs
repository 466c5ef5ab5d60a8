//! Who says where the address belongs: a key in an etcd (or in our own store), or Patroni's REST API.

use super::settings::{DcsType, Settings};
use crate::certificates::http_client;
use dcs::{Dcs, DcsConfig};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tls::ClientTls;
use types::Revision;

pub enum Source {
    Etcd { dcs: Box<Dcs>, key: Vec<u8> },
    Patroni { http: Http, urls: Vec<String> },
}

/// What was read; `version` is where a watch goes on from.
pub struct Answer {
    pub value: Option<String>,
    pub version: Revision,
}

impl Source {
    /// `tls`: for endpoints with `https`.
    pub fn new(settings: &Settings, tls: Option<ClientTls>, request_timeout: Duration) -> Result<Self, String> {
        match settings.dcs_type {
            DcsType::Etcd => {
                // The scope is only for a view that nobody asks for here.
                let keys = ha::cluster::Keys::new(None, &"vip".into());
                let dcs = Dcs::new(DcsConfig {
                    username: settings.user.clone(),
                    password: settings.password.clone(),
                    request_timeout,
                    tls,
                    ..DcsConfig::new(settings.endpoints.clone(), keys)
                });
                Ok(Self::Etcd { dcs: Box::new(dcs), key: settings.trigger_key.clone().into_bytes() })
            }
            DcsType::Patroni => {
                let http = Http::new(tls, request_timeout)?;
                let path = settings.trigger_key.trim_start_matches('/');
                let urls = settings.endpoints.iter().map(|endpoint| format!("{endpoint}/{path}")).collect();
                Ok(Self::Patroni { http, urls })
            }
        }
    }

    pub async fn read(&self) -> Result<Answer, String> {
        match self {
            Self::Etcd { dcs, key } => {
                let (value, version) = dcs.read_key(key).await.map_err(|error| error.to_string())?;
                let value = value.map(|value| String::from_utf8_lossy(&value).into_owned());
                Ok(Answer { value, version })
            }
            // Any of them: which member is asked is what the answer is about, so only the first one that answers counts.
            Self::Patroni { http, urls } => {
                let mut why = "no endpoints".to_owned();
                for url in urls {
                    match http.client()?.get(url).send().await {
                        Ok(answer) => {
                            let value = Some(answer.status().as_u16().to_string());
                            return Ok(Answer { value, version: Revision(0) });
                        }
                        Err(error) => why = format!("{url}: {error}"),
                    }
                }
                Err(why)
            }
        }
    }

    /// Ends when it is worth reading again. Never, where only asking helps.
    pub async fn changed(&self, after: Revision) {
        match self {
            Self::Etcd { dcs, key } => dcs.key_changed(key, after).await,
            Self::Patroni { .. } => std::future::pending().await,
        }
    }
}

/// A client that has the newest certificate.
pub struct Http {
    tls: Option<ClientTls>,
    timeout: Duration,
    /// And which certificates it was made with.
    client: Mutex<(u64, reqwest::Client)>,
}

impl Http {
    fn new(tls: Option<ClientTls>, timeout: Duration) -> Result<Self, String> {
        let generation = tls.as_ref().map_or(0, ClientTls::generation);
        let client = Mutex::new((generation, make(tls.as_ref(), timeout)?));
        Ok(Self { tls, timeout, client })
    }

    fn client(&self) -> Result<reqwest::Client, String> {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = self.tls.as_ref().map_or(0, ClientTls::generation);
        if client.0 != generation {
            *client = (generation, make(self.tls.as_ref(), self.timeout)?);
        }
        Ok(client.1.clone())
    }
}

fn make(tls: Option<&ClientTls>, timeout: Duration) -> Result<reqwest::Client, String> {
    let builder = reqwest::Client::builder().no_proxy().timeout(timeout).redirect(reqwest::redirect::Policy::none());
    let made = match tls {
        Some(tls) => http_client(builder, tls),
        None => builder.build(),
    };
    made.map_err(|error| error.to_string())
}
