//! One PgBouncer, brought to what ring 1 wants of it: its clients served, or held between two transactions.
//!
//! Deliberately no knowledge of when that is (`ha::hold` decides), and no PgBouncer of our own: the distribution's one is
//! told through its admin console, which speaks PostgreSQL's protocol with simple queries only.
//!
//! Invariant: what was paused here is resumed as soon as it is wanted, and tried again until PgBouncer has confirmed it.
//! Whatever it was left in by a worker before this one, it is told to resume at the start.

mod console;
mod error;
mod include;
mod instance;

pub use error::Error;
pub use include::Include;
pub use instance::{Instance, Outcome, Settings, Status};
