//! Whether the members can keep the promise.

use super::Report;
use crate::Promise;

impl Report<'_> {
    pub(super) fn promise(&mut self) {
        let databases = self.plan.databases().count();
        match (self.plan.promise, databases) {
            (Promise::NeverLoseACommit, 1) => self.error(
                "plan-promise",
                "promise",
                "with one database every write would wait for a second one",
                "give the role database to a second member, or choose 'stay writable'",
            ),
            (Promise::NeverLoseACommit, 2) => self.warn(
                "plan-promise",
                "promise",
                "with two databases, writes wait whenever one of them is away, for a restart, too",
                "add a third database, or choose 'stay writable'",
            ),
            (Promise::NeverLoseACommit | Promise::StayWritable | Promise::Fastest, _) => {}
        }
    }
}
