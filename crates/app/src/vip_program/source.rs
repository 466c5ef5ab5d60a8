//! Who says where the address belongs: a key in an etcd (or in our own store), or Patroni's REST API.

use super::settings::{DcsType, Settings};
use dcs::{Dcs, DcsConfig};
use std::time::Duration;
use types::Revision;

pub enum Source {
    Etcd { dcs: Box<Dcs>, key: Vec<u8> },
    Patroni { http: reqwest::Client, urls: Vec<String> },
}

/// What was read; `version` is where a watch goes on from.
pub struct Answer {
    pub value: Option<String>,
    pub version: Revision,
}

impl Source {
    pub fn new(settings: &Settings, request_timeout: Duration) -> Result<Self, String> {
        match settings.dcs_type {
            DcsType::Etcd => {
                // The scope is only for a view that nobody asks for here.
                let keys = ha::cluster::Keys::new(None, &"vip".into());
                let dcs = Dcs::new(DcsConfig {
                    username: settings.user.clone(),
                    password: settings.password.clone(),
                    request_timeout,
                    ..DcsConfig::new(settings.endpoints.clone(), keys)
                });
                Ok(Self::Etcd { dcs: Box::new(dcs), key: settings.trigger_key.clone().into_bytes() })
            }
            DcsType::Patroni => {
                let http = reqwest::Client::builder()
                    .no_proxy()
                    .timeout(request_timeout)
                    .redirect(reqwest::redirect::Policy::none())
                    .build()
                    .map_err(|error| error.to_string())?;
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
                    match http.get(url).send().await {
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
