//! Restart, reload and reinitialize: the request is read here, the agent does it.

use crate::api::Api;
use crate::command::{AgentCommand, RestartRequest, ask};
use crate::reply::Reply;
use crate::schedule::Schedule;
use crate::units;
use ha::cluster::Role;
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::time::Duration;

/// A restart with a long shutdown checkpoint takes minutes; nobody keeps a connection open for longer than this.
const RESTART_WAIT_MAX: Duration = Duration::from_secs(10 * 60);
/// Everything else is only begun before it is answered.
const COMMAND_WAIT_MAX: Duration = Duration::from_secs(30);

pub async fn restart(api: &Api, body: &Map<String, Value>) -> Reply {
    if body.contains_key("schedule") && api.snapshot().local.pause {
        return Reply::text(500, "Can't schedule restart in the paused state");
    }
    match read_restart(body, Timestamp::now()) {
        Ok(request) => ask(&api.commands, AgentCommand::Restart(request), RESTART_WAIT_MAX).await.into(),
        Err(reply) => reply,
    }
}

pub async fn cancel_restart(api: &Api) -> Reply {
    ask(&api.commands, AgentCommand::CancelRestart, COMMAND_WAIT_MAX).await.into()
}

pub async fn reload(api: &Api) -> Reply {
    ask(&api.commands, AgentCommand::Reload, COMMAND_WAIT_MAX).await.into()
}

pub async fn reinitialize(api: &Api, body: &Map<String, Value>) -> Reply {
    // Patroni's documentation says `from-leader`, its code reads `from_leader`.
    let from_leader = flag(body.get("from_leader")) || flag(body.get("from-leader"));
    let command = AgentCommand::Reinitialize { force: flag(body.get("force")), from_leader };
    ask(&api.commands, command, COMMAND_WAIT_MAX).await.into()
}

fn read_restart(body: &Map<String, Value>, now: Timestamp) -> Result<RestartRequest, Reply> {
    let mut request = RestartRequest::default();
    for (name, value) in body {
        match name.as_str() {
            "schedule" => {
                request.schedule = Some(Schedule::parse(value.as_str().unwrap_or_default(), "restart", now)?.text);
            }
            "role" => {
                request.role = Some(match value.as_str() {
                    Some("primary") => Role::Primary,
                    Some("standby_leader") => Role::StandbyLeader,
                    Some("replica") => Role::Replica,
                    _ => {
                        let text = "PostgreSQL role should be either primary, standby_leader, or replica";
                        return Err(Reply::text(400, text));
                    }
                });
            }
            "postgres_version" => request.postgres_version = Some(version_number(&plain(value))?),
            "timeout" => match units::seconds(&plain(value)) {
                Some(seconds) if seconds > 0 => request.timeout = Some(Duration::from_secs(seconds as u64)),
                _ => return Err(Reply::text(400, "Timeout should be a positive number of seconds")),
            },
            "restart_pending" => request.restart_pending = flag(Some(value)),
            other => return Err(Reply::text(400, format!("Unknown filter for the scheduled restart: {other}"))),
        }
    }
    Ok(request)
}

/// `15.2` is 150002, `9.6.3` is 90603. A major version alone is not accepted, as in Patroni.
fn version_number(text: &str) -> Result<u32, Reply> {
    let parts: Option<Vec<u32>> = text.split('.').map(|part| part.parse().ok().filter(|n| *n < 100)).collect();
    match parts.as_deref() {
        Some([major, minor]) if *major >= 10 => Ok(major * 10_000 + minor),
        Some([major, middle, minor]) => Ok(major * 10_000 + middle * 100 + minor),
        _ => Err(Reply::text(400, format!("Invalid PostgreSQL version format: X.Y or X.Y.Z is accepted: {text}"))),
    }
}

/// A value as the user wrote it, text without its quotes.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// True in any of the words Patroni accepts; everything else is false.
fn flag(value: Option<&Value>) -> bool {
    value.is_some_and(|value| matches!(plain(value).to_lowercase().as_str(), "on" | "true" | "yes" | "1"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(body: &Value) -> Result<RestartRequest, (u16, String)> {
        let now = "2026-08-01T12:00:00Z".parse().unwrap();
        read_restart(body.as_object().unwrap(), now).map_err(|reply| (reply.status.as_u16(), reply.body))
    }

    #[test]
    fn every_condition_is_read() {
        let body = json!({"schedule": "2026-08-01T20:00+02:00", "role": "replica", "postgres_version": "15.2",
                          "timeout": "2min", "restart_pending": "on"});
        let expected = RestartRequest {
            schedule: Some("2026-08-01T20:00:00+02:00".into()),
            role: Some(Role::Replica),
            postgres_version: Some(150_002),
            timeout: Some(Duration::from_secs(120)),
            restart_pending: true,
        };
        assert_eq!(read(&body), Ok(expected));
        assert_eq!(read(&json!({})), Ok(RestartRequest::default()));
    }

    #[test]
    fn what_is_wrong_is_refused_with_patronis_words() {
        for (body, status, text) in [
            (json!({"role": "master"}), 400, "PostgreSQL role should be either primary, standby_leader, or replica"),
            (json!({"postgres_version": "15"}), 400, "Invalid PostgreSQL version format: X.Y or X.Y.Z is accepted: 15"),
            (json!({"timeout": 0}), 400, "Timeout should be a positive number of seconds"),
            (json!({"timeout": "soon"}), 400, "Timeout should be a positive number of seconds"),
            (json!({"colour": "red"}), 400, "Unknown filter for the scheduled restart: colour"),
            (
                json!({"schedule": "2026-08-01T20:00"}),
                400,
                "Timezone information is mandatory for the scheduled restart",
            ),
            (json!({"schedule": "2020-01-01T00:00Z"}), 422, "Cannot schedule restart in the past"),
            (
                json!({"schedule": null}),
                422,
                "Unable to parse scheduled timestamp. It should be in an unambiguous format, e.g. ISO 8601",
            ),
        ] {
            assert_eq!(read(&body), Err((status, text.to_owned())), "{body}");
        }
    }
}
