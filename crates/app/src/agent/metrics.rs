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
        families.extend(process());
        families.extend(addresses(&vips));
        let mut ports = Vec::new();
        if let Some(proxy) = &proxies.postgres {
            let statistics = proxy.statistics();
            ports.push(("primary", statistics.primary, proxy.primary_servers()));
            ports.push(("replicas", statistics.replicas, proxy.replica_servers()));
        }
        if let Some(proxy) = &proxies.redis {
            ports.push(("redis", proxy.statistics().primary, proxy.primary_servers()));
        }
        if ports.is_empty() {
            return families;
        }
        for &(name, help, kind, read) in COUNTERS {
            let samples = ports
                .iter()
                .map(|(port, statistics, _)| Sample {
                    labels: vec![("port", (*port).to_owned())],
                    value: read(statistics) as f64,
                })
                .collect();
            families.push(MetricFamily { name, help, kind, samples });
        }
        let each_server = ports.iter().flat_map(|(port, _, servers)| {
            servers.iter().map(|server| Sample {
                labels: vec![("port", (*port).to_owned()), ("member", server.member.clone())],
                value: server.connections_now as f64,
            })
        });
        families.push(MetricFamily {
            name: "quorate_proxy_server_connections",
            help: "Connections to each member now.",
            kind: MetricKind::Gauge,
            samples: each_server.collect(),
        });
        families
    })
}

/// What does not change while the worker runs, for whoever compares members.
fn process() -> Vec<MetricFamily> {
    let gauge = |name, help, value| MetricFamily::single(name, help, MetricKind::Gauge, value);
    let watchdog = platform::watchdog_timeout().map_or(0.0, |timeout| timeout.as_secs_f64());
    let mut families = vec![
        MetricFamily {
            name: "quorate_build_info",
            help: "Always 1; the label says which version of Quorate runs.",
            kind: MetricKind::Gauge,
            samples: vec![Sample { labels: vec![("version", env!("CARGO_PKG_VERSION").to_owned())], value: 1.0 }],
        },
        gauge(
            "quorate_watchdog_seconds",
            "After how long the service manager ends an agent that is frozen; 0 if nobody does.",
            watchdog,
        ),
    ];
    families.extend(platform::open_files_limit().map(|limit| {
        gauge("quorate_open_files_max", "How many files and sockets the worker may have open.", limit as f64)
    }));
    families
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
const COUNTERS: &[(&str, &str, MetricKind, Read)] = &[
    ("quorate_proxy_connections", "Clients that are connected now.", MetricKind::Gauge, |port| port.connections_now),
    ("quorate_proxy_connections_total", "Connections accepted.", MetricKind::Counter, |port| port.connections_total),
    ("quorate_proxy_held", "Connections that wait for a server now.", MetricKind::Gauge, |port| port.held_now),
    ("quorate_proxy_cut_total", "Connections cut because a member lost its role.", MetricKind::Counter, |port| {
        port.cut_total
    }),
    (
        "quorate_proxy_refused_total",
        "Connections refused: the hold time was over, or there were too many.",
        MetricKind::Counter,
        |port| port.refused_total,
    ),
    (
        "quorate_proxy_unopened_total",
        "Connections that came to nothing: silent, or without a proper beginning.",
        MetricKind::Counter,
        |port| port.unopened_total,
    ),
    ("quorate_proxy_failed_attempts_total", "Attempts to reach a member that failed.", MetricKind::Counter, |port| {
        port.failed_attempts_total
    }),
    ("quorate_proxy_bytes_to_servers_total", "Bytes passed from clients to members.", MetricKind::Counter, |port| {
        port.bytes_up_total
    }),
    ("quorate_proxy_bytes_to_clients_total", "Bytes passed from members to clients.", MetricKind::Counter, |port| {
        port.bytes_down_total
    }),
];
