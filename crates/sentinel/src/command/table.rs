//! The commands of a Sentinel: names, how many words they take, what ACL rules and COMMAND say about them.
//!
//! Deliberately a table and nothing else. Facts: redis 7.2 and Valkey, `src/commands/*.json`, those with the flag SENTINEL.

/// One command, or one subcommand.
#[derive(Debug)]
pub struct CommandSpec {
    /// In lower case.
    pub name: &'static str,
    /// Words with the command's own name (and the subcommand's); negative: at least as many.
    pub arity: i32,
    pub flags: &'static [&'static str],
    pub categories: &'static [&'static str],
    pub subcommands: &'static [CommandSpec],
    pub since: &'static str,
    pub group: &'static str,
    pub summary: &'static str,
}

const ADMIN: &[&str] = &["admin", "dangerous", "slow"];
const CONNECTION: &[&str] = &["connection", "slow"];
const CONNECTION_FAST: &[&str] = &["connection", "fast"];
const CONNECTION_ADMIN: &[&str] = &["admin", "connection", "dangerous", "slow"];
const PUBSUB: &[&str] = &["pubsub", "slow"];
const LOADING: &[&str] = &["loading", "noscript", "stale"];
const ONLY_SENTINEL: &[&str] = &["admin", "only_sentinel"];
const ADMIN_LOADING: &[&str] = &["admin", "loading", "noscript", "stale"];

const fn plain(
    name: &'static str,
    arity: i32,
    flags: &'static [&'static str],
    categories: &'static [&'static str],
    group: &'static str,
    since: &'static str,
    summary: &'static str,
) -> CommandSpec {
    CommandSpec { name, arity, flags, categories, subcommands: &[], since, group, summary }
}

const fn sentinel(name: &'static str, arity: i32, since: &'static str, summary: &'static str) -> CommandSpec {
    plain(name, arity, ONLY_SENTINEL, ADMIN, "sentinel", since, summary)
}

const fn client(
    name: &'static str,
    arity: i32,
    categories: &'static [&'static str],
    summary: &'static str,
) -> CommandSpec {
    plain(name, arity, LOADING, categories, "connection", "2.4.0", summary)
}

const fn acl(
    name: &'static str,
    arity: i32,
    categories: &'static [&'static str],
    summary: &'static str,
) -> CommandSpec {
    plain(name, arity, ADMIN_LOADING, categories, "server", "6.0.0", summary)
}

const fn about_commands(name: &'static str, arity: i32, summary: &'static str) -> CommandSpec {
    plain(name, arity, &["loading", "stale"], CONNECTION, "server", "2.8.13", summary)
}

const SENTINEL: &[CommandSpec] = &[
    sentinel("ckquorum", 3, "2.8.4", "Checks whether enough sentinels are there for a failover."),
    sentinel("config", -4, "6.2.0", "Shows or sets parameters of this sentinel."),
    sentinel("debug", -2, "7.0.0", "Shows or sets the periods of this sentinel."),
    sentinel("failover", -3, "2.8.4", "Fails over a master."),
    sentinel("flushconfig", 2, "2.8.4", "Writes the configuration file."),
    sentinel("get-master-addr-by-name", 3, "2.8.4", "Says where a master is."),
    sentinel("get-primary-addr-by-name", 3, "8.0.0", "Says where a primary is."),
    sentinel("help", 2, "6.2.0", "Explains the subcommands."),
    sentinel("info-cache", -3, "3.2.0", "Shows the last INFO of the servers of a master."),
    sentinel("is-master-down-by-addr", 6, "2.8.4", "Asks whether a master is down, and for a vote."),
    sentinel("is-primary-down-by-addr", 6, "8.0.0", "Asks whether a primary is down, and for a vote."),
    sentinel("master", 3, "2.8.4", "Shows a master."),
    sentinel("masters", 2, "2.8.4", "Shows all masters."),
    sentinel("monitor", 6, "2.8.4", "Begins to watch a master."),
    sentinel("myid", 2, "6.2.0", "Says this sentinel's id."),
    sentinel("pending-scripts", 2, "2.8.4", "Shows the scripts that wait or run."),
    sentinel("primaries", 2, "8.0.0", "Shows all primaries."),
    sentinel("primary", 3, "8.0.0", "Shows a primary."),
    sentinel("remove", 3, "2.8.4", "Ends watching a master."),
    sentinel("replicas", 3, "5.0.0", "Shows the replicas of a master."),
    sentinel("reset", 3, "2.8.4", "Forgets what was learned about masters."),
    sentinel("sentinels", 3, "2.8.4", "Shows the other sentinels of a master."),
    sentinel("set", -5, "2.8.4", "Changes settings of a master."),
    sentinel("simulate-failure", -3, "3.2.0", "Lets this sentinel crash at a chosen moment."),
    sentinel("slaves", 3, "2.8.0", "Shows the replicas of a master."),
];

const CLIENT: &[CommandSpec] = &[
    client("caching", 3, CONNECTION, "Tells whether the next command is to be tracked."),
    client("getname", 2, CONNECTION, "Returns the name of the connection."),
    client("getredir", 2, CONNECTION, "Returns where invalidations go."),
    client("help", 2, CONNECTION, "Explains the subcommands."),
    client("id", 2, CONNECTION, "Returns the id of the connection."),
    client("info", 2, CONNECTION, "Describes the connection."),
    client("kill", -3, CONNECTION_ADMIN, "Ends connections."),
    client("list", -2, CONNECTION_ADMIN, "Describes all connections."),
    client("no-evict", 3, CONNECTION_ADMIN, "Keeps the connection when memory is short."),
    client("pause", -3, CONNECTION_ADMIN, "Suspends commands."),
    client("reply", 3, CONNECTION, "Tells whether replies are wanted."),
    client("setinfo", 4, CONNECTION, "Tells the client library's name or version."),
    client("setname", 3, CONNECTION, "Names the connection."),
    client("tracking", -3, CONNECTION, "Switches tracking of keys."),
    client("trackinginfo", 2, CONNECTION, "Describes tracking."),
    client("unblock", -3, CONNECTION_ADMIN, "Unblocks a client."),
    client("unpause", 2, CONNECTION_ADMIN, "Resumes commands."),
];

const ACL: &[CommandSpec] = &[
    acl("cat", -2, &["slow"], "Lists categories, or the commands of one."),
    acl("deluser", -3, ADMIN, "Removes users."),
    acl("dryrun", -4, ADMIN, "Tries whether a user may run a command."),
    acl("genpass", -2, &["slow"], "Makes a password."),
    acl("getuser", 3, ADMIN, "Shows a user's rules."),
    acl("help", 2, &["slow"], "Explains the subcommands."),
    acl("list", 2, ADMIN, "Lists all users with their rules."),
    acl("load", 2, ADMIN, "Reads the ACL file."),
    acl("log", -2, ADMIN, "Lists what was refused."),
    acl("save", 2, ADMIN, "Writes the ACL file."),
    acl("setuser", -3, ADMIN, "Makes or changes a user."),
    acl("users", 2, ADMIN, "Lists the names of all users."),
    acl("whoami", 2, &["slow"], "Returns the user of the connection."),
];

const COMMAND: &[CommandSpec] = &[
    about_commands("count", 2, "Counts commands."),
    about_commands("docs", -2, "Documents commands."),
    about_commands("getkeys", -3, "Finds the keys in a command."),
    about_commands("getkeysandflags", -3, "Finds the keys in a command, with flags."),
    about_commands("help", 2, "Explains the subcommands."),
    about_commands("info", -2, "Describes commands."),
    about_commands("list", -2, "Lists the names of commands."),
];

/// In alphabetical order.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        subcommands: ACL,
        ..plain("acl", -2, &["sentinel"], &["slow"], "server", "6.0.0", "Commands about access.")
    },
    plain(
        "auth",
        -2,
        &["noscript", "loading", "stale", "fast", "no_auth", "allow_busy"],
        CONNECTION_FAST,
        "connection",
        "1.0.0",
        "Authenticates the connection.",
    ),
    CommandSpec {
        subcommands: CLIENT,
        ..plain("client", -2, &["sentinel"], &["slow"], "connection", "2.4.0", "Commands about connections.")
    },
    CommandSpec {
        subcommands: COMMAND,
        ..plain("command", -1, &["loading", "stale"], CONNECTION, "server", "2.8.13", "Describes all commands.")
    },
    plain(
        "hello",
        -1,
        &["noscript", "loading", "stale", "fast", "no_auth", "allow_busy"],
        CONNECTION_FAST,
        "connection",
        "6.0.0",
        "Introduces the client and chooses the protocol.",
    ),
    plain("info", -1, &["loading", "stale"], &["dangerous", "slow"], "server", "1.0.0", "Describes this sentinel."),
    plain("ping", -1, &["fast"], CONNECTION_FAST, "connection", "1.0.0", "Answers."),
    plain(
        "psubscribe",
        -2,
        &["pubsub", "noscript", "loading", "stale"],
        PUBSUB,
        "pubsub",
        "2.0.0",
        "Subscribes to patterns.",
    ),
    plain(
        "publish",
        3,
        &["pubsub", "loading", "stale", "fast"],
        &["fast", "pubsub"],
        "pubsub",
        "2.0.0",
        "Takes hello messages of other sentinels.",
    ),
    plain(
        "punsubscribe",
        -1,
        &["pubsub", "noscript", "loading", "stale"],
        PUBSUB,
        "pubsub",
        "2.0.0",
        "Unsubscribes from patterns.",
    ),
    plain(
        "role",
        1,
        &["noscript", "loading", "stale", "fast"],
        ADMIN_FAST,
        "server",
        "2.8.12",
        "Lists the masters' names.",
    ),
    CommandSpec {
        subcommands: SENTINEL,
        ..plain("sentinel", -2, ONLY_SENTINEL, &["slow"], "sentinel", "2.8.4", "Commands of Sentinel.")
    },
    plain(
        "shutdown",
        -1,
        &["admin", "noscript", "loading", "stale", "no_multi", "allow_busy"],
        ADMIN,
        "server",
        "1.0.0",
        "Ends this sentinel.",
    ),
    plain(
        "subscribe",
        -2,
        &["pubsub", "noscript", "loading", "stale"],
        PUBSUB,
        "pubsub",
        "2.0.0",
        "Subscribes to channels.",
    ),
    plain(
        "unsubscribe",
        -1,
        &["pubsub", "noscript", "loading", "stale"],
        PUBSUB,
        "pubsub",
        "2.0.0",
        "Unsubscribes from channels.",
    ),
];

const ADMIN_FAST: &[&str] = &["admin", "dangerous", "fast"];

/// All categories there are in Redis, in its order.
pub const CATEGORIES: [&str; 21] = [
    "keyspace",
    "read",
    "write",
    "set",
    "sortedset",
    "list",
    "hash",
    "string",
    "bitmap",
    "hyperloglog",
    "geo",
    "stream",
    "pubsub",
    "admin",
    "fast",
    "slow",
    "blocking",
    "dangerous",
    "connection",
    "transaction",
    "scripting",
];

pub fn find(name: &str) -> Option<&'static CommandSpec> {
    COMMANDS.iter().find(|command| command.name.eq_ignore_ascii_case(name))
}

impl CommandSpec {
    pub fn subcommand(&self, name: &str) -> Option<&'static CommandSpec> {
        let subcommands: &'static [CommandSpec] = self.subcommands;
        subcommands.iter().find(|command| command.name.eq_ignore_ascii_case(name))
    }

    pub fn takes(&self, words: usize) -> bool {
        if self.arity >= 0 { words == self.arity as usize } else { words >= self.arity.unsigned_abs() as usize }
    }

    /// Allowed before AUTH.
    pub fn without_authentication(&self) -> bool {
        self.flags.contains(&"no_auth")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_category_exists_and_names_are_in_order() {
        assert!(COMMANDS.is_sorted_by_key(|command| command.name));
        for command in COMMANDS.iter().flat_map(|command| std::iter::once(command).chain(command.subcommands)) {
            assert!(command.categories.iter().all(|category| CATEGORIES.contains(category)), "{}", command.name);
            assert!(command.categories.contains(&"fast") != command.categories.contains(&"slow"), "{}", command.name);
        }
    }
}
