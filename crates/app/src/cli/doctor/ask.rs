//! Asks the store and every member. Nothing is judged here.

use super::facts::{ClusterFacts, Facts, MemberFacts, StoreFacts};
use crate::cli::api::Api;
use crate::cli::context::Context;
use ha::cluster::Member;
use serde_json::Value;
use std::time::{Duration, SystemTime};
use types::Scope;

/// A member that lives answers within milliseconds.
const PATIENCE: Duration = Duration::from_secs(3);
/// An answer's time is cut to whole seconds: on average it is half a second later.
const HALF_A_SECOND: f64 = 0.5;

pub async fn everybody(context: &Context, scope: &Scope) -> Facts {
    let client = context.client();
    let mut store = if client.store_hosts.is_empty() {
        StoreFacts {
            etcd: client.endpoints.iter().map(|endpoint| host_of(endpoint)).collect(),
            ..StoreFacts::default()
        }
    } else {
        StoreFacts { voters: client.store_hosts.clone(), ..StoreFacts::default() }
    };
    let loaded = match context.store(scope) {
        Ok(dcs) => dcs.load().await.map_err(|error| error.to_string()),
        Err(failure) => Err(failure.message),
    };
    let view = match loaded {
        Ok(view) => view,
        Err(why) => {
            store.unreachable = Some(why);
            return Facts { store, ..Facts::default() };
        }
    };
    let asked = view
        .members
        .iter()
        .filter(|(_, member)| !member.data.api_url.is_empty())
        .map(async |(name, member)| (name.clone(), ask(&context.api, member).await));
    let answers = futures_util::future::join_all(asked).await.into_iter().collect();
    Facts { store, cluster: Some(ClusterFacts { view, answers }), machine: None }
}

/// `http://host:port`.
fn host_of(endpoint: &str) -> String {
    let address = endpoint.split_once("://").map_or(endpoint, |(_, address)| address);
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']').to_owned()
}

async fn ask(api: &Api, member: &Member) -> MemberFacts {
    let sent = SystemTime::now();
    let (answer, date) = match api.get_with_date(member, "patroni", PATIENCE).await {
        Ok(answered) => answered,
        Err(none) => return MemberFacts { silent: Some(none.why().to_owned()), ..MemberFacts::default() },
    };
    let received = SystemTime::now();
    let status: Value = serde_json::from_str(&answer.text).unwrap_or_default();
    let metrics = match api.get_with_date(member, "metrics", PATIENCE).await {
        Ok((answer, _)) if answer.status == 200 => answer.text,
        _ => String::new(),
    };
    MemberFacts {
        silent: None,
        version: label(&metrics, "quorate_build_info", "version"),
        postgresql: status.get("server_version").and_then(Value::as_u64),
        watchdog_seconds: value(&metrics, "quorate_watchdog_seconds"),
        open_files_max: value(&metrics, "quorate_open_files_max"),
        clock_ahead_s: date.and_then(|date| clock_ahead(&date, sent, received)),
    }
}

fn clock_ahead(date: &str, sent: SystemTime, received: SystemTime) -> Option<f64> {
    let theirs = jiff::fmt::rfc2822::parse(date).ok()?.timestamp().as_second() as f64 + HALF_A_SECOND;
    let seconds = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).ok().map(|since| since.as_secs_f64());
    Some(theirs - f64::midpoint(seconds(sent)?, seconds(received)?))
}

/// The lines of one metric: what is between its name and the end.
fn samples<'a>(metrics: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    metrics.lines().filter_map(move |line| line.strip_prefix(name)).filter(|rest| rest.starts_with(['{', ' ']))
}

fn value(metrics: &str, name: &str) -> Option<f64> {
    samples(metrics, name).next()?.rsplit_once(' ')?.1.parse().ok()
}

fn label(metrics: &str, name: &str, label: &str) -> Option<String> {
    let (_, rest) = samples(metrics, name).next()?.split_once(&format!("{label}=\""))?;
    rest.split_once('"').map(|(value, _)| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_read_by_their_whole_name() {
        let text = "# HELP a_b c\na_bc{scope=\"s\"} 7\na_b{scope=\"s\",version=\"0.1.0\"} 2.5\nplain 3\n";
        assert_eq!((value(text, "a_b"), value(text, "plain"), value(text, "a")), (Some(2.5), Some(3.0), None));
        assert_eq!(label(text, "a_b", "version").as_deref(), Some("0.1.0"));
        assert_eq!(label(text, "a_bc", "version"), None);
    }

    #[test]
    fn a_clock_is_compared_with_the_middle_of_the_question() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let date = "Thu, 26 Nov 2026 00:01:00 GMT";
        let ahead = clock_ahead(date, at(1_795_651_249), at(1_795_651_250)).unwrap();
        assert!((ahead - 11.0).abs() < 0.01, "{ahead}");
        assert_eq!(clock_ahead("yesterday", at(0), at(0)), None);
    }

    #[test]
    fn the_host_of_an_endpoint() {
        assert_eq!(
            (host_of("http://10.0.0.1:2379"), host_of("http://[::1]:2379")),
            ("10.0.0.1".to_owned(), "::1".to_owned())
        );
    }
}
