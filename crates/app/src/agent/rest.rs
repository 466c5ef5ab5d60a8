//! The REST API of this member, and who else may be there under its name.

use super::Fatal;
use crate::certificates::{client_files, http_client};
use config::{MemberConfig, VerifyClient};
use console::{BasicAuth, RestApiSettings};
use ha::cluster::Services;
use std::sync::Arc;
use std::time::Duration;
use tls::{ClientFiles, ClientTls, HTTP1, Trust};
use tokio::sync::watch;

/// How long the first worker waits for the store before it goes on without knowing who is there.
const STORE_PATIENCE: Duration = Duration::from_secs(5);
/// A member that lives answers its health check within milliseconds.
const NAMESAKE_PATIENCE: Duration = Duration::from_secs(2);

pub fn settings(member: &MemberConfig) -> RestApiSettings {
    let password =
        |user: &config::User| user.password.as_ref().map_or(String::new(), |password| password.expose().to_owned());
    let authentication =
        member.restapi.authentication.as_ref().map(|user| BasicAuth::new(&user.username, &password(user)));
    let verify = member.restapi.tls.as_ref().map(|tls| tls.verify_client);
    let changes_need_certificate = match verify {
        Some(VerifyClient::Optional | VerifyClient::Required) => true,
        Some(VerifyClient::None | VerifyClient::OrPassword) | None => false,
    };
    RestApiSettings { authentication, changes_need_certificate, ..RestApiSettings::default() }
}

/// Where this member's other services are reached. Without PostgreSQL there is no proxy that leads to a primary.
pub fn services(member: &MemberConfig) -> Services {
    let host = &member.restapi.connect_address.host;
    let proxy = member.proxy.as_ref().filter(|_| member.postgresql.is_some());
    Services {
        console: member.console_url(),
        proxy: proxy.map(|proxy| config::Address::new(host, proxy.primary_port).to_string()),
        sentinel: member.sentinel.as_ref().map(|sentinel| sentinel.announce.to_string()),
    }
}

/// A member of our name may be alive somewhere else: two of them would take turns at one entry. Asked once, by the first
/// worker, before its own API listens; an entry alone may be what a host that was lost has left behind.
pub async fn refuse_namesake(
    member: &MemberConfig,
    mut view: watch::Receiver<Arc<dcs::DcsView>>,
) -> anyhow::Result<()> {
    let known = tokio::time::timeout(STORE_PATIENCE, view.wait_for(|view| view.generation > 0)).await;
    let Ok(Ok(view)) = known else { return Ok(()) };
    let postgresql = view.cluster.members.get(&member.name).map(|entry| entry.data.api_url.clone());
    let redis = || {
        let group = view.cluster.redis_group(&member.redis.as_ref()?.name);
        group.members.get(&member.name).map(|entry| entry.data.api_url.clone())
    };
    let Some(url) = postgresql.or_else(redis) else { return Ok(()) };
    drop(view);
    // Nothing is told to whoever answers, and nothing believed: so anybody will do.
    let files = ClientFiles { trust: Trust::Anybody, ..client_files(&member.ctl.tls) };
    let tls = ClientTls::open(files, &[HTTP1]).map_err(|error| Fatal(format!("{error}\nhint: {}", error.hint())))?;
    let client = reqwest::Client::builder().no_proxy().timeout(NAMESAKE_PATIENCE);
    let asked = http_client(client, &tls)?.get(&url).send();
    // Any answer is one of somebody who is there.
    match asked.await {
        Err(error) if error.is_connect() || error.is_timeout() || error.is_builder() => Ok(()),
        Ok(_) | Err(_) => Err(Fatal(format!(
            "a member named {} is already running ({url})\nhint: give this one another name: in its configuration, or stop the other",
            member.name
        ))
        .into()),
    }
}
