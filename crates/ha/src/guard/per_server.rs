//! Which servers there are, and one of something for each of them.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::{Index, IndexMut};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServerKind {
    /// Also what a message means that names none.
    #[default]
    Postgres,
    Redis,
}

impl ServerKind {
    pub const ALL: [Self; 2] = [Self::Postgres, Self::Redis];
}

impl fmt::Display for ServerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Postgres => "PostgreSQL",
            Self::Redis => "Redis",
        })
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, bound(deserialize = "T: Default + Deserialize<'de>"))]
pub struct PerServer<T> {
    pub postgres: T,
    pub redis: T,
}

impl<T> PerServer<T> {
    pub fn iter(&self) -> impl Iterator<Item = (ServerKind, &T)> {
        [(ServerKind::Postgres, &self.postgres), (ServerKind::Redis, &self.redis)].into_iter()
    }
}

impl<T> Index<ServerKind> for PerServer<T> {
    type Output = T;

    fn index(&self, server: ServerKind) -> &T {
        match server {
            ServerKind::Postgres => &self.postgres,
            ServerKind::Redis => &self.redis,
        }
    }
}

impl<T> IndexMut<ServerKind> for PerServer<T> {
    fn index_mut(&mut self, server: ServerKind) -> &mut T {
        match server {
            ServerKind::Postgres => &mut self.postgres,
            ServerKind::Redis => &mut self.redis,
        }
    }
}
