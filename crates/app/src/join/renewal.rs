//! Certificates that renew themselves: when two thirds of its life are over, a member asks whoever has the authority's key
//! for the next one.
//!
//! The key stays: certificate and key are two files, and PostgreSQL and Redis read them one after the other; a new key would be a
//! moment in which they do not fit. The invariant: what is in force is replaced only by a certificate of the same authority
//! for the same key.

use super::authority;
use super::home::{self, Home};
use crate::certificates::{client_files, http_client};
use crate::cli::Failure;
use config::ClientTls as ClientTlsFiles;
use pki::{Life, Request};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tls::{ClientTls, HTTP1};
use tokio::sync::{Notify, watch};
use types::{MemberName, Secret};

/// Files are looked at this often: an administrator may put others there, and clocks are set.
const LOOK_EVERY: Duration = Duration::from_secs(3600);
/// After a failure: a tenth of what is left, within these two.
const AGAIN_MIN: Duration = Duration::from_secs(1);
const AGAIN_PART: u32 = 10;
const PATIENCE: Duration = Duration::from_secs(10);
const PEM_END: &str = "-----END CERTIFICATE-----";

/// What a member's renewal works with.
pub struct Renewal {
    pub home: Home,
    pub member: MemberName,
    /// What it shows to the others, and whom it believes.
    pub tls: ClientTlsFiles,
    /// Told when there is a new certificate.
    pub look_again: Arc<Notify>,
}

/// Never returns. `renewed` changes after each new certificate: some servers read their files only when told to.
pub async fn keep_renewed(renewal: Renewal, renewed: watch::Sender<()>) {
    loop {
        let wait = match renewal.life() {
            None => LOOK_EVERY,
            Some(life) if life.renew_at > SystemTime::now() => {
                life.renew_at.duration_since(SystemTime::now()).unwrap_or_default().min(LOOK_EVERY)
            }
            Some(life) => match renewal.renew().await {
                Ok(by) => {
                    tracing::info!(%by, "this member's certificate was renewed");
                    renewal.look_again.notify_one();
                    renewed.send_replace(());
                    continue;
                }
                Err(failure) => {
                    let left = life.ends.duration_since(SystemTime::now()).unwrap_or_default();
                    let wait = (left / AGAIN_PART).clamp(AGAIN_MIN, LOOK_EVERY);
                    tracing::warn!("this member's certificate is not renewed yet: {failure}");
                    wait
                }
            },
        };
        tokio::time::sleep(wait).await;
    }
}

impl Renewal {
    /// `None`: there is nothing here that could be renewed.
    fn life(&self) -> Option<Life> {
        pki::life_of(&home::read(&self.home.tls().certificate).ok()??)
    }

    /// Returns who has signed.
    async fn renew(&self) -> Result<String, Failure> {
        let files = self.home.tls();
        let key = home::read_secret(&files.key)?.ok_or_else(|| {
            Failure::new("join-certificate", format!("there is no {}", files.key.display()))
                .hint("join again with a new token")
        })?;
        let made = Request::with_key(self.member.as_str(), &key);
        let request = made
            .map_err(|error| Failure::new("join-certificate", error.to_string()).hint("join again with a new token"))?;
        let (certificate, by) = match authority::open(&self.home)? {
            Some(authority) => {
                let plan = self.home.plan()?;
                let member = authority::planned(&plan, &self.member)?;
                let now = SystemTime::now();
                (authority::certify(&authority, &plan, member, &request.request_pem, now)?, self.member.to_string())
            }
            None => self.ask_others(&request.request_pem).await?,
        };
        self.accept(&certificate, &key)?;
        home::write(&files.certificate, &certificate, false)?;
        Ok(by)
    }

    fn accept(&self, certificate: &str, key: &Secret) -> Result<(), Failure> {
        // There are two while an authority is replaced by another.
        let authorities = home::read(&self.home.tls().authority)?.unwrap_or_default();
        let mut authorities = authorities.split_inclusive(PEM_END).map(str::trim).filter(|it| it.ends_with(PEM_END));
        if pki::certificate_of_key(certificate, key) && authorities.any(|authority| certificate.contains(authority)) {
            return Ok(());
        }
        Err(Failure::new("join-answer", "what was signed is not for this member's key, or of another authority")
            .hint("is there more than one server with a tls/ca.key?"))
    }

    async fn ask_others(&self, request: &str) -> Result<(String, String), Failure> {
        let (answer, by) = ask_others(&self.home, &self.member, &self.tls, &json!({ "request": request })).await?;
        match answer["certificate"].as_str() {
            Some(certificate) => Ok((certificate.to_owned(), by)),
            None => Err(Failure::new("join-answer", format!("{by} answered without a certificate"))
                .hint("install the same version of Quorate on both servers")),
        }
    }
}

/// Sends it to one member after the other until one answers that signs. Returns who that was, too.
pub(super) async fn ask_others(
    home: &Home,
    own: &MemberName,
    tls: &ClientTlsFiles,
    body: &Value,
) -> Result<(Value, String), Failure> {
    let plan = home.plan()?;
    let tls = ClientTls::open(client_files(tls), &[HTTP1])
        .map_err(|error| Failure::new("join-tls", error.to_string()).hint(error.hint()))?;
    let client = http_client(reqwest::Client::builder().no_proxy().timeout(PATIENCE), &tls)
        .map_err(|error| Failure::new("join-tls", error.to_string()).hint("see the log"))?;
    let mut why = "there is no other member in the plan".to_owned();
    for other in plan.members.iter().filter(|other| other.name != *own) {
        let (host, port) = (&other.address, plan.ports.rest_api.0);
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        match ask(&client, &format!("https://{host}:{port}/renew"), body).await {
            Ok(answer) => return Ok((answer, other.name.to_string())),
            // One that does not sign is not the reason, if another one is.
            Err((501 | 405, _)) if !why.is_empty() => {}
            Err((_, reason)) => why = format!("{}: {reason}", other.name),
        }
    }
    Err(Failure::new("join-renewal", format!("no member has signed it ({why})"))
        .hint("the first server, which has tls/ca.key, must run and be reachable"))
}

/// The error has the status of the answer, 0 if there was none.
async fn ask(client: &reqwest::Client, url: &str, body: &Value) -> Result<Value, (u16, String)> {
    let sent = client.post(url).json(body).send().await;
    let answer = sent.map_err(|error| (0, error.without_url().to_string()))?;
    let status = answer.status().as_u16();
    let text = answer.text().await.map_err(|error| (status, error.without_url().to_string()))?;
    if status != 200 {
        return Err((status, text.lines().next().unwrap_or_default().to_owned()));
    }
    // What cannot be read is not quoted: there may be passwords in it.
    serde_json::from_str(&text).map_err(|_| (status, "its answer cannot be read".to_owned()))
}
