//! The counters of proxies and process for `/metrics`.

use super::proxies::Proxies;
use super::vip::Vips;
use console::{MetricFamily, MetricKind, MetricsSource, Sample};

/// Which counter of a port.
type Read = fn(&proxy::PortStatistics) -> u64;

/// The proxies', the virtual addresses' and the process's own.
pub fn source(proxies: Proxies, vips: Vips) -> MetricsSource {
    std::sync::Arc::new(move || {
        let mut families = Vec::new();
        if let Some(bytes) = platform::memory_resident_bytes() {
            let help = "Resident memory of the worker in bytes.";
            families.push(MetricFamily::single(
                "quorate_worker_resident_memory_bytes",
                help,
                MetricKind::Gauge,
                bytes as f64,
            ));
        }
        families.extend(addresses(&vips));
        let mut ports = Vec::new();
        if let Some(statistics) = proxies.postgres.as_ref().map(proxy::Proxy::statistics) {
            ports.extend([("primary", statistics.primary), ("replicas", statistics.replicas)]);
        }
        ports.extend(proxies.redis.as_ref().map(|proxy| ("redis", proxy.statistics().primary)));
        if ports.is_empty() {
            return families;
        }
        let counters: [(&str, &str, MetricKind, Read); 5] = [
            ("quorate_proxy_connections", "Connections that are relayed now.", MetricKind::Gauge, |port| {
                port.connections_now
            }),
            ("quorate_proxy_connections_total", "Connections accepted.", MetricKind::Counter, |port| {
                port.connections_total
            }),
            ("quorate_proxy_held", "Connections that wait for a server now.", MetricKind::Gauge, |port| port.held_now),
            (
                "quorate_proxy_cut_total",
                "Connections cut because a member lost its role.",
                MetricKind::Counter,
                |port| port.cut_total,
            ),
            ("quorate_proxy_refused_total", "Connections refused after the hold time.", MetricKind::Counter, |port| {
                port.refused_total
            }),
        ];
        for (name, help, kind, read) in counters {
            let samples = ports
                .iter()
                .map(|(port, statistics)| Sample {
                    labels: vec![("port", (*port).to_owned())],
                    value: read(statistics) as f64,
                })
                .collect();
            families.push(MetricFamily { name, help, kind, samples });
        }
        families
    })
}

fn addresses(vips: &Vips) -> Option<MetricFamily> {
    let explanation = vips.explanation();
    let text = |vip: &serde_json::Value, key: &str| vip[key].as_str().unwrap_or_default().to_owned();
    let samples: Vec<Sample> = explanation
        .as_array()?
        .iter()
        .map(|vip| Sample {
            labels: vec![("address", text(vip, "address")), ("role", text(vip, "role"))],
            value: f64::from(u8::from(vip["held"] == true)),
        })
        .collect();
    (!samples.is_empty()).then_some(MetricFamily {
        name: "quorate_vip_held",
        help: "Whether the virtual address is on this member (1) or not (0).",
        kind: MetricKind::Gauge,
        samples,
    })
}
