//! The plan of a cluster, `cluster.yaml`: who its members are, what each of them does, and what is promised; and what
//! follows from it: what is wrong with it, each member's files, its ports.
//!
//! Deliberately no sockets and no files: what a machine has is looked at elsewhere, and who calls writes what is made here.
//! The invariants: a plan without an error renders files that `config` accepts without a warning, for every member; and
//! there is no secret in a plan.

mod check;
mod finding;
mod model;
mod ports;
mod promise;
mod render;
mod secrets;

pub use finding::{Finding, Severity, has_errors};
pub use model::{Member, Plan, Port, Ports, PostgresPlan, RedisPlan, Role, Vip, VipLeadsTo, duration};
pub use ports::{OpenPort, Source};
pub use promise::{Promise, Terms};
pub use render::{CLUSTER_FILE, MEMBER_FILE, PlannedFile, SECRETS_FILE, TlsFiles};
pub use secrets::{Secrets, SecretsError, password};

/// Names that the rendered files give to PostgreSQL's users and to whoever signs in to the REST API and the console.
pub mod users {
    pub const SUPERUSER: &str = "postgres";
    pub const REPLICATION: &str = "replicator";
    pub const REWIND: &str = "rewind";
    pub const ADMIN: &str = "admin";
}
