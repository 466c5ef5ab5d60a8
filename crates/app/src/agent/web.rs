//! What the REST API tells people beyond Patroni's, and the web console in front of it.

use super::World;
use super::drill::Client;
use super::failsafe::Failsafe;
use super::store_role::StoreRole;
use super::{joining, listen};
use crate::certificates::{client_files, http_client};
use crate::cli::{DsnVia, connection_strings};
use anyhow::Context;
use config::MemberConfig;
use console::{
    Api, ConnectionStrings, Console, Extras, FailsafePromises, PeerAnswer, PeerRequest, Peers, Snapshot, StoreNow,
    StoreSource,
};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tls::{ClientTls, HTTP1, ServerTls};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use types::MemberName;

/// Longer than the REST API itself takes for its longest request, a restart.
const PEER_PATIENCE: Duration = Duration::from_secs(11 * 60);
/// A member that lives takes a connection within milliseconds.
const PEER_CONNECT_PATIENCE: Duration = Duration::from_secs(2);
/// What another member only looks up it answers within milliseconds; a page waits for it.
const PEER_READ_PATIENCE: Duration = Duration::from_secs(5);
const SECURED: &str = "https://";

/// Nothing here is needed to keep a cluster alive, so what cannot be had is left out and said.
pub fn extras(world: &World, store: Option<&StoreRole>, snapshots: watch::Receiver<Arc<Snapshot>>) -> Extras {
    let World { config_path, member, certificates, .. } = world;
    let peers = match HttpPeers::new(member.ctl.tls.clone()) {
        Ok(peers) => Some(Arc::new(peers) as Arc<dyn Peers>),
        Err(error) => {
            tracing::warn!(%error, "requests for other members are not handed on");
            None
        }
    };
    let drill = Client::of(member.clone(), snapshots);
    Extras {
        store: Some(store_source(member, store)),
        peers,
        connection_strings: strings(config_path, member),
        drill: drill.map(|client| Arc::new(client) as Arc<dyn console::Drill>),
        joining: joining::desk(config_path, certificates),
        failsafe: Some(promises(world.failsafe.clone())),
        ..Extras::default()
    }
}

/// Serves the console, when there is one. A port that is taken is no reason to end PostgreSQL's agent.
pub fn start(member: &Arc<MemberConfig>, tls: Option<ServerTls>, api: Api, stop: &CancellationToken) {
    let (member, stopped) = (member.clone(), stop.clone());
    tokio::spawn(async move {
        let (Some(console), Some(url)) = (&member.console, member.console_url()) else { return };
        match listen::bind(&console.listen.to_string()).await {
            Ok(listener) => {
                tracing::info!(%url, "the web console is there");
                let page = Console::new(api, tls.is_some());
                console::serve(listener, tls, page, stopped.cancelled_owned()).await;
            }
            Err(error) => tracing::error!("there is no web console: console.listen: {error:#}"),
        }
    });
}

/// Of a member that has a vote and no data: the console, and the REST API where it speaks TLS, for servers that join and
/// certificates that are renewed.
pub async fn witness(world: &World, store: Option<&StoreRole>) -> anyhow::Result<()> {
    let World { member, dcs, certificates, stop, .. } = world;
    if certificates.rest.is_none() && member.console.is_none() {
        return Ok(());
    }
    joining::keep_certificate(world);
    let (snapshots, commands) = super::witness::publish(member, dcs, None);
    let extras = extras(world, store, snapshots.clone());
    let api = Api { snapshots, commands, store: Arc::new(dcs.clone()), redis: None, vips: None, metrics: None, extras };
    tokio::spawn(api.extras.recorder.clone().run(api.clone()));
    start(member, certificates.rest.clone(), api.clone(), stop);
    if let Some(tls) = certificates.rest.clone() {
        let listener = listen::bind(&member.restapi.listen.to_string()).await.context("restapi.listen")?;
        let stopped = stop.clone();
        tokio::spawn(async move { console::serve(listener, Some(tls), api, stopped.cancelled_owned()).await });
    }
    Ok(())
}

fn promises(failsafe: Failsafe) -> FailsafePromises {
    Arc::new(move |to, ttl| failsafe.promise(to, ttl))
}

fn store_source(member: &Arc<MemberConfig>, store: Option<&StoreRole>) -> StoreSource {
    let Some((role, config)) = store.zip(member.store.as_ref()) else { return Arc::new(StoreNow::default) };
    let handle = role.handle.clone();
    let voters: Vec<MemberName> = config.members.keys().cloned().collect();
    let witnesses: Vec<MemberName> =
        config.members.iter().filter(|(_, member)| member.witness).map(|(name, _)| name.clone()).collect();
    Arc::new(move || {
        let status = handle.status();
        let leader = handle.members().into_iter().find(|member| member.id == status.leader);
        StoreNow {
            voters: Some(voters.iter().cloned().collect()),
            witnesses: witnesses.iter().cloned().collect(),
            leader: leader.map(|member| MemberName::new(member.name)),
            term: Some(status.term),
        }
    })
}

fn strings(config_path: &Path, member: &Arc<MemberConfig>) -> Option<ConnectionStrings> {
    let env: BTreeMap<String, String> = std::env::vars().collect();
    let known = match config::load_client(Some(config_path), &env) {
        Ok(known) => known,
        Err(error) => {
            tracing::warn!(%error, "no connection strings are shown");
            return None;
        }
    };
    let mut ways = vec![DsnVia::Members];
    ways.extend(member.proxy.is_some().then_some(DsnVia::Proxy));
    ways.extend((!member.vips.is_empty()).then_some(DsnVia::Vip));
    ways.extend(member.sentinel.is_some().then_some(DsnVia::Sentinel));
    Some(Arc::new(move |cluster| connection_strings(&known, &ways, cluster)))
}

struct HttpPeers {
    plain: reqwest::Client,
    /// What this member shows, and whom it believes, where another one speaks TLS.
    tls: config::ClientTls,
}

impl HttpPeers {
    fn new(tls: config::ClientTls) -> reqwest::Result<Self> {
        Ok(Self { plain: builder().build()?, tls })
    }

    /// With the certificates as they are now: requests are rare, and files change.
    fn client_for(&self, url: &str) -> Result<reqwest::Client, String> {
        if !url.starts_with(SECURED) {
            return Ok(self.plain.clone());
        }
        let opened = ClientTls::open(client_files(&self.tls), &[HTTP1]);
        let opened = opened.map_err(|error| format!("{error} (hint: {})", error.hint()))?;
        http_client(builder(), &opened).map_err(|error| error.to_string())
    }
}

fn builder() -> reqwest::ClientBuilder {
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    client.connect_timeout(PEER_CONNECT_PATIENCE).timeout(PEER_PATIENCE)
}

impl Peers for HttpPeers {
    fn post(&self, request: PeerRequest) -> BoxFuture<'_, Result<PeerAnswer, String>> {
        async move {
            let mut message = self.client_for(&request.url)?.post(&request.url).json(&request.body);
            if let Some(authorization) = request.authorization {
                message = message.header(reqwest::header::AUTHORIZATION, authorization);
            }
            answered(message).await
        }
        .boxed()
    }

    fn get(&self, url: String) -> BoxFuture<'_, Result<PeerAnswer, String>> {
        async move { answered(self.client_for(&url)?.get(&url).timeout(PEER_READ_PATIENCE)).await }.boxed()
    }
}

async fn answered(message: reqwest::RequestBuilder) -> Result<PeerAnswer, String> {
    let answer = message.send().await.map_err(|error| error.without_url().to_string())?;
    let status = answer.status().as_u16();
    Ok(PeerAnswer { status, text: answer.text().await.unwrap_or_default() })
}
