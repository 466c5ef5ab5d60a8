//! PostgreSQL and Redis: there, new enough, of the planned version; and the user that they run as.

use super::Server;
use plan::Severity;
use postgres::{Binaries, Launcher};
use std::path::Path;

impl Server<'_> {
    pub(super) async fn programs(&mut self) {
        if self.own.has_database() {
            self.postgresql().await;
        }
        if self.own.has_cache() {
            self.redis().await;
        }
        if platform::current_user_is_root() {
            let users: &[&str] = if self.own.has_database() { &["postgres"] } else { &["redis", "valkey", "postgres"] };
            if !users.iter().any(|user| platform::find_user(user).is_some()) {
                let message = format!("there is no user '{}' to run the servers as", users[0]);
                let hint = "the distribution's package of PostgreSQL or Redis makes it";
                self.say(Severity::Error, "setup-user", "", message, hint);
            }
        }
    }

    async fn postgresql(&mut self) {
        const FIELD: &str = "postgresql.bin_dir";
        let plan = &self.plan.postgresql;
        let found = match Binaries::find(plan.bin_dir.as_deref().map(Path::new)) {
            Ok(binaries) => binaries.version(&Launcher::default()).await,
            Err(error) => Err(error),
        };
        let planned = plan.version.as_deref().and_then(|version| version.split('.').next()).map(str::to_owned);
        match found {
            Err(error) => self.say(Severity::Error, "setup-postgresql", FIELD, error.to_string(), error.hint()),
            Ok(found) if planned.as_ref().is_some_and(|planned| *planned != found.major.to_string()) => {
                let message =
                    format!("PostgreSQL {} was planned, and this server has {found}", planned.unwrap_or_default());
                let hint = "all members need the same major version; name the directory of its programs";
                self.say(Severity::Error, "setup-postgresql", FIELD, message, hint);
            }
            Ok(_) => {}
        }
    }

    async fn redis(&mut self) {
        const FIELD: &str = "redis.bin_dir";
        let plan = &self.plan.redis;
        match redis::Binary::find(None, plan.bin_dir.as_deref().map(Path::new)).await {
            Err(error) => self.say(Severity::Error, "setup-redis", FIELD, error.to_string(), error.hint()),
            Ok(found) => {
                let planned = plan.version.as_deref().and_then(|version| version.split('.').next()).map(str::to_owned);
                if planned.as_ref().is_some_and(|planned| *planned != found.version.major.to_string()) {
                    let message = format!(
                        "version {} was planned, and this server has {} {}",
                        planned.unwrap_or_default(),
                        found.product,
                        found.version
                    );
                    self.say(
                        Severity::Warning,
                        "setup-redis",
                        FIELD,
                        message,
                        "the same version on all members is safest",
                    );
                }
            }
        }
    }
}
