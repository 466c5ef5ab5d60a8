//! The proxies of this member: one for PostgreSQL, one for Redis, each told by its own role where to lead.

use super::listen::{addresses, patiently};
use config::{MemberConfig, ProxyConfig};
use proxy::{Proxy, Routes, Service};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The proxies that run, for the metrics.
#[derive(Clone, Default)]
pub struct Proxies {
    pub postgres: Option<Proxy>,
    pub redis: Option<Proxy>,
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
        for host in &settings.listen {
            config.listen_primary.extend(addresses("proxy.listen", host, settings.primary_port).await?);
            config.listen_replicas.extend(addresses("proxy.listen", host, settings.replica_port).await?);
        }
        self.postgres = Some(serve(config, routes, stop).await?);
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
        self.redis = Some(serve(config, routes, stop).await?);
        Ok(())
    }
}

fn config(settings: &ProxyConfig, service: Service) -> proxy::ProxyConfig {
    proxy::ProxyConfig {
        service,
        hold: settings.hold.into(),
        connections_max: settings.connections_max,
        ..proxy::ProxyConfig::default()
    }
}

async fn serve(
    config: proxy::ProxyConfig,
    routes: watch::Receiver<Routes>,
    stop: &CancellationToken,
) -> anyhow::Result<Proxy> {
    Ok(patiently(async || proxy::serve(config.clone(), routes.clone(), stop.clone()).await).await?)
}
