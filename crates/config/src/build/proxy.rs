//! `proxy:`.

use super::Builder;
use crate::error::Code;
use crate::member::{ProxyConfig, SendProxyProtocol};
use crate::parts;
use crate::schema::SEND_PROXY_PROTOCOL;
use types::{Millis, Network};

impl Builder<'_> {
    pub(super) fn proxy(&mut self, host: Option<&str>) -> Option<ProxyConfig> {
        if !self.has_section("proxy") {
            return None;
        }
        let listen = self.tree.at(&["proxy", "listen"]).and_then(parts::words).unwrap_or_default();
        let listen = match (listen.is_empty(), host) {
            (false, _) => listen,
            (true, Some(host)) => vec![host.to_owned()],
            (true, None) => {
                self.missing(&["proxy", "listen"], "the addresses the proxy listens on, such as 10.0.0.1 or 0.0.0.0");
                return None;
            }
        };
        for host in &listen {
            if host.matches(':').count() == 1 {
                let message = format!("'{host}' has a port; only the address belongs here");
                let error = self.at(Code::Range, &["proxy", "listen"], message);
                self.report.error(error.hint("the ports stand in proxy.primary_port and proxy.replica_port"));
            }
        }
        let primary_port = self.port(&["proxy", "primary_port"], 5000);
        let replica_port = self.port(&["proxy", "replica_port"], 5001);
        if primary_port == replica_port {
            let message = format!("{replica_port} is proxy.primary_port too; the two ports must differ");
            let error = self.at(Code::Conflict, &["proxy", "replica_port"], message);
            self.report.error(error);
        }
        let redis_port = self.redis_port(primary_port, replica_port);
        let count = |key: &str| self.integer(&["proxy", key]).and_then(|count| usize::try_from(count).ok());
        let (connections_max, threads) = (count("connections_max"), count("threads"));
        let accept_proxy_protocol_from = self.balancers();
        let pooler = self.pooler();
        let send_proxy_protocol = self.send_proxy_protocol(pooler);
        Some(ProxyConfig {
            listen,
            primary_port,
            replica_port,
            redis_port,
            hold: self.seconds(&["proxy", "hold"], Millis::from_secs(10)),
            connections_max,
            replica_max_lag: self.tree.at(&["proxy", "replica_max_lag"]).and_then(parts::size),
            replica_fallback: self.flag(&["proxy", "replica_fallback"]).unwrap_or(true),
            pooler,
            accept_proxy_protocol_from,
            send_proxy_protocol,
            threads,
        })
    }

    /// `None`: this member has no Redis.
    fn redis_port(&mut self, primary: u16, replica: u16) -> Option<u16> {
        const AT: [&str; 2] = ["proxy", "redis_port"];
        let written = self.tree.at(&AT).is_some();
        if self.tree.at(&["redis"]).is_none() || self.flag(&["redis", "supervise"]) == Some(false) {
            if written {
                let error =
                    self.at(Code::Conflict, &AT, "needs the section redis: without it there is no master to lead to");
                self.report.error(error);
            }
            return None;
        }
        let port = self.port(&AT, 6380);
        let twin =
            [(primary, "proxy.primary_port"), (replica, "proxy.replica_port")].into_iter().find(|it| it.0 == port);
        if let Some((_, twin)) = twin {
            let error = self.at(Code::Conflict, &AT, format!("{port} is {twin} too; the ports must differ"));
            self.report.error(error);
        }
        Some(port)
    }

    fn balancers(&mut self) -> Vec<Network> {
        const AT: [&str; 2] = ["proxy", "accept_proxy_protocol_from"];
        let words = self.tree.at(&AT).and_then(parts::words).unwrap_or_default();
        let mut networks = Vec::new();
        for word in words {
            match word.parse::<Network>() {
                Ok(network) => networks.push(network),
                Err(error) => {
                    let error = self.at(Code::Range, &AT, error.to_string());
                    self.report.error(error);
                }
            }
        }
        networks
    }

    fn pooler(&mut self) -> bool {
        const AT: [&str; 2] = ["proxy", "pooler"];
        let pooler = self.flag(&AT) == Some(true);
        let postgresql = self.tree.at(&["postgresql"]).is_some();
        if pooler && postgresql && self.tree.at(&["postgresql", "proxy_address"]).is_none() {
            let error =
                self.at(Code::Conflict, &AT, "needs postgresql.proxy_address, where this member's pooler is reached");
            self.report.error(error);
        }
        pooler
    }

    /// PostgreSQL itself would take the header for a broken startup packet and refuse every client.
    fn send_proxy_protocol(&mut self, pooler: bool) -> SendProxyProtocol {
        const AT: [&str; 2] = ["proxy", "send_proxy_protocol"];
        let word = self.tree.at(&AT).and_then(|node| parts::choice(node.scalar()?, SEND_PROXY_PROTOCOL));
        let version = match word {
            Some("v1") => SendProxyProtocol::V1,
            Some("v2") => SendProxyProtocol::V2,
            _ => SendProxyProtocol::None,
        };
        if version != SendProxyProtocol::None && !pooler {
            let message = "needs proxy.pooler: PostgreSQL itself does not understand the PROXY header";
            let error = self.at(Code::Conflict, &AT, message);
            self.report.error(
                error.hint("let the ports lead to a pooler that does, with proxy.pooler and postgresql.proxy_address"),
            );
        }
        version
    }
}
