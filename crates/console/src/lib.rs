//! Patroni's REST API: what load balancers, `patronictl`, monitoring and people ask a member on port 8008, and the web
//! console on port 8080 (`page`), which is a client of that API.
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
mod drill;
mod failsafe;
mod health;
mod joining;
mod json_text;
mod live;
mod members;
mod metrics;
mod overview;
mod page;
mod recorder;
pub mod redis;
mod reply;
mod request_body;
mod restart;
mod schedule;
mod serve;
mod service;
mod settings;
mod snapshot;
mod status;
mod store;
mod switchover;
mod units;

pub use answer::{OPENAPI, endpoints};
pub use api::{Api, ConnectionString, ConnectionStrings, ExplanationSource, Extras};
pub use cluster_json::cluster_as_json;
pub use command::{AgentCommand, CommandRequest, Outcome, RestartRequest};
pub use drill::{Drill, Measured};
pub use failsafe::{FailsafePromises, FailsafeRefusal};
pub use joining::{JoinAnswer, Joining};
pub use json_text::json_text;
pub use live::{LISTENERS_MAX, Listeners};
pub use members::{PeerAnswer, PeerRequest, Peers};
pub use metrics::{MetricFamily, MetricKind, MetricsSource, Sample};
pub use overview::{Overview, StoreNow, StoreSource};
pub use page::{Console, protect, setup_page};
pub use recorder::{Note, Recorder};
pub use schedule::{Schedule, ScheduleError};
pub use serve::serve;
pub use service::Service;
pub use settings::{BasicAuth, RestApiSettings, ServerTokens};
pub use snapshot::{LocalStatus, ReplicationRow, SlotNow, Snapshot, Xlog};
pub use store::Store;

/// The version of Patroni whose surface this is. Members write it as `version` into their key, because `patronictl`
/// and real Patroni members read it as a version of Patroni.
pub const PATRONI_VERSION: &str = "4.1.4";
