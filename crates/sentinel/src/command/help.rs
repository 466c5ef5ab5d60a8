//! HELP of commands that have subcommands.

use resp::Value;

/// Usage and meaning, in turn.
pub const SENTINEL: &[(&str, &str)] = &[
    ("CKQUORUM <master>", "Are enough sentinels reachable to agree on and authorize a failover?"),
    ("CONFIG GET <pattern> [...] | SET <name> <value> [...]", "Shows or changes what holds for all masters."),
    ("DEBUG [<name> <milliseconds> ...]", "Shows or changes the periods of this sentinel."),
    (
        "FAILOVER <master> [COORDINATED | FORCE]",
        "Fails over without asking other sentinels. COORDINATED loses no writes.",
    ),
    ("FLUSHCONFIG", "Writes the configuration file with the current state."),
    ("GET-MASTER-ADDR-BY-NAME <master>", "Address and port of the master."),
    ("INFO-CACHE <master> [...]", "The last INFO of the master and its replicas."),
    (
        "IS-MASTER-DOWN-BY-ADDR <ip> <port> <epoch> <runid | *>",
        "What this sentinel thinks of a master; with a run id, its vote.",
    ),
    ("MASTER <master>", "State of one master."),
    ("MASTERS", "State of all masters."),
    ("MONITOR <master> <ip> <port> <quorum>", "Begins to watch a master."),
    ("MYID", "The id of this sentinel."),
    ("PENDING-SCRIPTS", "Scripts that run or wait."),
    ("REMOVE <master>", "Ends watching a master."),
    ("REPLICAS <master>", "State of its replicas."),
    ("RESET <pattern>", "Forgets replicas and sentinels of the masters that match."),
    ("SENTINELS <master>", "State of the other sentinels."),
    ("SET <master> <option> <value> [...]", "Changes settings of a master."),
    ("SIMULATE-FAILURE [CRASH-AFTER-ELECTION] [CRASH-AFTER-PROMOTION] [HELP]", "Ends this sentinel at that moment."),
];

pub const CLIENT: &[(&str, &str)] = &[
    ("GETNAME | SETNAME <name>", "The name of this connection."),
    ("ID | INFO", "The id, or a description, of this connection."),
    (
        "KILL <ip:port> | ID <id> | ADDR <ip:port> | LADDR <ip:port> | USER <name> | TYPE <type> | SKIPME <yes|no>",
        "Ends connections.",
    ),
    ("LIST [TYPE <type>] [ID <id> ...]", "Describes connections."),
    ("REPLY <ON | OFF | SKIP>", "Whether replies are wanted."),
    ("SETINFO <LIB-NAME | LIB-VER> <text>", "What library this is."),
];

pub const ACL: &[(&str, &str)] = &[
    ("CAT [<category>]", "All categories, or the commands of one."),
    ("DELUSER <user> [...]", "Removes users and ends their connections."),
    ("DRYRUN <user> <command> [<argument> ...]", "Would the user be allowed this?"),
    ("GENPASS [<bits>]", "A random password."),
    ("GETUSER <user>", "The rules of a user."),
    ("LIST | USERS", "All users, with or without their rules."),
    ("LOAD | SAVE", "Reads or writes the ACL file."),
    ("LOG [<count> | RESET]", "What was refused lately."),
    ("SETUSER <user> <rule> [...]", "Makes or changes a user."),
    ("WHOAMI", "The user of this connection."),
];

pub const COMMAND: &[(&str, &str)] = &[
    ("(no subcommand)", "Details about all commands."),
    ("COUNT | LIST [FILTERBY (MODULE | ACLCAT | PATTERN) <value>]", "How many commands there are, or their names."),
    ("DOCS [<command> ...] | INFO [<command> ...]", "Documentation, or details."),
];

pub fn lines(command: &str, entries: &[(&str, &str)]) -> Value {
    let mut lines = vec![Value::Simple(format!("{command} <subcommand> [<argument> ...]. Subcommands:"))];
    for (usage, meaning) in entries {
        lines.push(Value::Simple((*usage).to_owned()));
        lines.push(Value::Simple(format!("    {meaning}")));
    }
    lines.push(Value::Simple("HELP".to_owned()));
    lines.push(Value::Simple("    This text.".to_owned()));
    Value::Array(lines)
}
