//! The proxies of this member: one for PostgreSQL, one for Redis, each told by its own role where to lead.

use super::listen::{addresses, patiently};
use anyhow::Context as _;
use config::{MemberConfig, ProxyConfig, SendProxyProtocol};
use proxy::{Engine, EngineConfig, Proxy, ProxyProtocol, Routes, Service};
use std::future::ready;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The proxies that run, for the metrics.
#[derive(Clone, Default)]
pub struct Proxies {
    pub postgres: Option<Proxy>,
    pub redis: Option<Proxy>,
    /// What both run on; started with the first.
    engine: Option<Engine>,
}

impl Proxies {
    pub async fn start_postgres(
        &mut self,
        member: &MemberConfig,
        routes: watch::Receiver<Routes>,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        let Some(settings) = &member.proxy else { return Ok(()) };
        let mut config = config(settings, Service::Postgres);
        config.send_proxy_protocol = match settings.send_proxy_protocol {
            SendProxyProtocol::None => None,
            SendProxyProtocol::V1 => Some(ProxyProtocol::V1),
            SendProxyProtocol::V2 => Some(ProxyProtocol::V2),
        };
        for host in &settings.listen {
            config.listen_primary.extend(addresses("proxy.listen", host, settings.primary_port).await?);
            config.listen_replicas.extend(addresses("proxy.listen", host, settings.replica_port).await?);
        }
        self.postgres = Some(serve(self.engine(settings)?, config, routes, stop).await?);
        Ok(())
    }

    pub async fn start_redis(
        &mut self,
        member: &MemberConfig,
        routes: watch::Receiver<Routes>,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        let Some(settings) = &member.proxy else { return Ok(()) };
        let Some(port) = settings.redis_port else { return Ok(()) };
        let mut config = config(settings, Service::Redis);
        for host in &settings.listen {
            config.listen_primary.extend(addresses("proxy.listen", host, port).await?);
        }
        self.redis = Some(serve(self.engine(settings)?, config, routes, stop).await?);
        Ok(())
    }

    fn engine(&mut self, settings: &ProxyConfig) -> anyhow::Result<&Engine> {
        let engine = match self.engine.take() {
            Some(engine) => engine,
            None => {
                Engine::start(EngineConfig { threads: settings.threads, connections_max: settings.connections_max })
                    .context("the proxy's threads")?
            }
        };
        Ok(self.engine.insert(engine))
    }
}

fn config(settings: &ProxyConfig, service: Service) -> proxy::ProxyConfig {
    proxy::ProxyConfig {
        service,
        hold: settings.hold.into(),
        replicas_fall_back_to_primary: settings.replica_fallback,
        accept_proxy_protocol_from: settings.accept_proxy_protocol_from.clone(),
        ..proxy::ProxyConfig::default()
    }
}

async fn serve(
    engine: &Engine,
    config: proxy::ProxyConfig,
    routes: watch::Receiver<Routes>,
    stop: &CancellationToken,
) -> anyhow::Result<Proxy> {
    Ok(patiently(|| ready(engine.serve(&config, routes.clone(), stop.clone()))).await?)
}
