//! Patroni's REST API: what load balancers, `patronictl`, monitoring and people ask a member on port 8008.
//!
//! Deliberately no decisions: every answer is read off the last [`Snapshot`] that the agent published, and every wish is
//! handed on, to the agent as an [`AgentCommand`] or to the store as a compare-and-swap. The invariant: nothing here
//! waits for PostgreSQL, so the API answers while PostgreSQL hangs.
//!
//! Paths, texts, status codes and field names are Patroni's (`patroni/api.py` and `patroni/utils.py` of 4.1).
//! [`cluster_json`] stands apart from HTTP, because the command line shows the same view.

mod access;
mod answer;
mod api;
pub mod cluster_json;
mod command;
mod config_change;
mod health;
mod json_text;
mod metrics;
pub mod redis;
mod reply;
mod request_body;
mod restart;
mod schedule;
mod serve;
mod settings;
mod snapshot;
mod status;
mod store;
mod switchover;
mod units;

pub use api::{Api, ExplanationSource};
pub use cluster_json::cluster_as_json;
pub use command::{AgentCommand, CommandRequest, Outcome, RestartRequest};
pub use json_text::json_text;
pub use metrics::{MetricFamily, MetricKind, MetricsSource, Sample};
pub use schedule::{Schedule, ScheduleError};
pub use serve::serve;
pub use settings::{BasicAuth, RestApiSettings, ServerTokens};
pub use snapshot::{LocalStatus, ReplicationRow, Snapshot, Xlog};
pub use store::Store;

/// The version of Patroni whose surface this is. Members write it as `version` into their key, because `patronictl`
/// and real Patroni members read it as a version of Patroni.
pub const PATRONI_VERSION: &str = "4.1.4";
