//! Clusters as text. Pure functions: the same cluster gives the same characters.

mod explanation;
mod history;
mod members;
mod redis;
mod table;
#[cfg(test)]
mod tests;

pub use explanation::{explanation, explanation_from_store};
pub use history::history;
pub use members::{Clusters, members, scope};
pub use redis::redis_members;
pub use table::{Align, Cell, Table};

use clap::ValueEnum;

/// How a table is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table with lines around it
    #[value(alias = "table")]
    Pretty,
    /// Columns separated by tabs
    Tsv,
    Json,
    #[value(alias = "yml")]
    Yaml,
    /// A table in which replicas stand below their source
    #[value(skip)]
    Topology,
}

impl Format {
    pub fn is_for_people(self) -> bool {
        matches!(self, Self::Pretty | Self::Topology)
    }
}
