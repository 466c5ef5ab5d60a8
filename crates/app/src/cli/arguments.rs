//! What can be typed: `patronictl`'s options, and a few of ours.

pub use super::examine::{DoctorArguments, SupportArguments};
use super::render::Format;
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Options of every command, in front of it or behind it.
#[derive(Args, Clone, Debug, Default)]
pub struct GlobalArguments {
    /// Configuration file; also from PATRONICTL_CONFIG_FILE or QUORATE_CONFIG, else the first of the usual places
    #[arg(short = 'c', long, global = true, value_name = "FILE", env = "PATRONICTL_CONFIG_FILE", hide_env = true)]
    pub config_file: Option<PathBuf>,
    /// Where the cluster's state is, instead of what the configuration says: etcd3://host:port[,host:port]
    #[arg(
        short = 'd',
        long,
        visible_alias = "dcs",
        global = true,
        value_name = "URL",
        env = "DCS_URL",
        hide_env = true
    )]
    pub dcs_url: Option<String>,
    /// Do not check the certificate of the REST API
    #[arg(short = 'k', long, global = true)]
    pub insecure: bool,
}

#[derive(Subcommand, Clone, Debug)]
pub enum CliCommand {
    /// Show the members of a cluster
    List(ListArguments),
    /// Show who replicates from whom
    Topology(TopologyArguments),
    /// Watch a cluster on the whole terminal: who leads, who is behind, what can be lost, what was decided
    Watch(ScreenArguments),
    /// Show the changes of leader
    History(HistoryArguments),
    /// Hand the leadership over to a replica, as planned
    Switchover(SwitchoverArguments),
    /// Make a replica the leader, also when there is none
    Failover(FailoverArguments),
    /// Restart PostgreSQL on members
    Restart(RestartArguments),
    /// Make members read their configuration again
    Reload(MembersArguments),
    /// Make replicas anew, from a copy
    Reinit(ReinitArguments),
    /// Withdraw what was scheduled
    Flush(FlushArguments),
    /// Stop automatic failover
    Pause(PauseArguments),
    /// Start automatic failover again
    Resume(PauseArguments),
    /// Show the dynamic configuration
    ShowConfig(ShowConfigArguments),
    /// Change the dynamic configuration
    EditConfig(EditConfigArguments),
    /// Say why the leader leads, and what keeps every other member from it
    Explain(ExplainArguments),
    /// Look at the Redis of a cluster, and move its master
    #[command(subcommand)]
    Redis(RedisCommand),
    /// Show the version of this program, and of a cluster's members
    Version(VersionArguments),
    /// Print how a client connects, in the words of its library
    Dsn(DsnArguments),
    /// Say what is wrong, what is risky, and what to do about it; the exit code is 1 if something is wrong
    Doctor(DoctorArguments),
    /// Make a bundle of everything that helps to find a fault, without passwords
    Support(SupportArguments),
    /// Print a configuration of HAProxy for the cluster's present members
    HaproxyConfig(HaproxyArguments),
}

/// How tables are printed.
#[derive(Args, Clone, Copy, Debug)]
pub struct FormatArgument {
    /// Output format
    #[arg(
        short = 'f',
        visible_short_alias = 'o',
        long,
        visible_alias = "output",
        value_enum,
        default_value = "pretty"
    )]
    pub format: Format,
}

#[derive(Args, Clone, Copy, Debug)]
pub struct WatchArguments {
    /// Refresh every 2 seconds
    #[arg(short = 'W')]
    pub watch_2s: bool,
    /// Refresh every so many seconds
    #[arg(short = 'w', long, value_name = "SECONDS")]
    pub watch: Option<f64>,
}

/// Citus groups are not supported; the option is there so that scripts parse.
#[derive(Args, Clone, Copy, Debug)]
pub struct GroupArgument {
    /// Citus group (not supported)
    #[arg(long, hide = true)]
    pub group: Option<u32>,
}

#[derive(Args, Clone, Copy, Debug)]
pub struct ForceArgument {
    /// Ask no questions
    #[arg(long, visible_alias = "yes")]
    pub force: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RoleFilter {
    Leader,
    #[value(alias = "master")]
    Primary,
    #[value(alias = "standby_leader")]
    StandbyLeader,
    Replica,
    Standby,
    Any,
}

#[derive(Args, Clone, Debug)]
pub struct ListArguments {
    /// Clusters; the configuration's when none is given
    pub clusters: Vec<String>,
    #[command(flatten)]
    pub group: GroupArgument,
    /// Show every column, also the empty ones
    #[arg(short, long)]
    pub extended: bool,
    /// Print the time in front
    #[arg(short, long)]
    pub timestamp: bool,
    #[command(flatten)]
    pub format: FormatArgument,
    #[command(flatten)]
    pub watch: WatchArguments,
}

#[derive(Args, Clone, Debug)]
pub struct TopologyArguments {
    /// Clusters; the configuration's when none is given
    pub clusters: Vec<String>,
    #[command(flatten)]
    pub group: GroupArgument,
    #[command(flatten)]
    pub watch: WatchArguments,
}

#[derive(Args, Clone, Debug)]
pub struct ScreenArguments {
    /// The cluster; the configuration's when none is given
    pub cluster: Option<String>,
    #[command(flatten)]
    pub group: GroupArgument,
}

#[derive(Args, Clone, Debug)]
pub struct HistoryArguments {
    /// The cluster; the configuration's when none is given
    pub cluster: Option<String>,
    #[command(flatten)]
    pub group: GroupArgument,
    #[command(flatten)]
    pub format: FormatArgument,
}

#[derive(Args, Clone, Debug)]
pub struct SwitchoverArguments {
    /// The cluster; the configuration's when none is given
    pub cluster: Option<String>,
    #[command(flatten)]
    pub group: GroupArgument,
    /// The present leader
    #[arg(long, visible_alias = "primary", alias = "master")]
    pub leader: Option<String>,
    /// Who leads next; the best replica when none is given
    #[arg(long)]
    pub candidate: Option<String>,
    /// When, in ISO 8601, or now
    #[arg(long, value_name = "TIME")]
    pub scheduled: Option<String>,
    #[command(flatten)]
    pub force: ForceArgument,
}

#[derive(Args, Clone, Debug)]
pub struct FailoverArguments {
    /// The cluster; the configuration's when none is given
    pub cluster: Option<String>,
    #[command(flatten)]
    pub group: GroupArgument,
    /// With the present leader named it is a switchover
    #[arg(long, alias = "primary", alias = "master", hide = true)]
    pub leader: Option<String>,
    /// Who leads next
    #[arg(long)]
    pub candidate: Option<String>,
    #[command(flatten)]
    pub force: ForceArgument,
}

/// The cluster and some of its members.
#[derive(Args, Clone, Debug)]
pub struct MembersArguments {
    /// The cluster and members of it; a name of the configured cluster's members alone will do
    #[arg(value_name = "CLUSTER [MEMBER]...")]
    pub names: Vec<String>,
    #[command(flatten)]
    pub group: GroupArgument,
    /// Only members with this role
    #[arg(short, long, value_enum, default_value = "any")]
    pub role: RoleFilter,
    #[command(flatten)]
    pub force: ForceArgument,
}

#[derive(Args, Clone, Debug)]
pub struct RestartArguments {
    #[command(flatten)]
    pub members: MembersArguments,
    /// One member only, any of them
    #[arg(long)]
    pub any: bool,
    /// When, in ISO 8601, or now
    #[arg(long, value_name = "TIME")]
    pub scheduled: Option<String>,
    /// Only where PostgreSQL is older than this, such as 15.4
    #[arg(long, value_name = "VERSION")]
    pub pg_version: Option<String>,
    /// Only where a restart is pending
    #[arg(long)]
    pub pending: bool,
    /// Fail, and fail over where it must be, when it takes longer: seconds, or with a unit
    #[arg(long)]
    pub timeout: Option<String>,
}

#[derive(Args, Clone, Debug)]
pub struct ReinitArguments {
    /// The cluster and replicas of it; a name of the configured cluster's members alone will do
    #[arg(value_name = "CLUSTER [MEMBER]...")]
    pub names: Vec<String>,
    #[command(flatten)]
    pub group: GroupArgument,
    /// Copy from the leader
    #[arg(long)]
    pub from_leader: bool,
    /// Wait until the copy is made
    #[arg(long)]
    pub wait: bool,
    #[command(flatten)]
    pub force: ForceArgument,
}

#[derive(Args, Clone, Debug)]
pub struct FlushArguments {
    /// The cluster, members of it, and what to withdraw: restart or switchover
    #[arg(value_name = "CLUSTER [MEMBER]... restart|switchover", required = true)]
    pub names: Vec<String>,
    #[command(flatten)]
    pub group: GroupArgument,
    /// Only members with this role
    #[arg(short, long, value_enum, default_value = "any")]
    pub role: RoleFilter,
    #[command(flatten)]
    pub force: ForceArgument,
}

#[derive(Args, Clone, Debug)]
pub struct PauseArguments {
    /// The cluster; the configuration's when none is given
    pub cluster: Option<String>,
    #[command(flatten)]
    pub group: GroupArgument,
    /// Wait until every member knows it
    #[arg(long)]
    pub wait: bool,
}

#[derive(Args, Clone, Debug)]
pub struct ShowConfigArguments {
    /// The cluster; the configuration's when none is given
    pub cluster: Option<String>,
    #[command(flatten)]
    pub group: GroupArgument,
    /// Output format: yaml or json
    #[arg(short = 'f', visible_short_alias = 'o', long, visible_alias = "output", value_enum, default_value = "yaml")]
    pub format: Format,
}

#[derive(Args, Clone, Debug)]
pub struct EditConfigArguments {
    /// The cluster; the configuration's when none is given
    pub cluster: Option<String>,
    #[command(flatten)]
    pub group: GroupArgument,
    /// Do not show the difference
    #[arg(short, long)]
    pub quiet: bool,
    /// Set one value, such as ttl=20; null removes it. May be repeated
    #[arg(short = 's', long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Set one of PostgreSQL's parameters, such as work_mem=64MB. May be repeated
    #[arg(short = 'p', long = "pg", value_name = "NAME=VALUE")]
    pub pg: Vec<String>,
    /// Lay a YAML file over the configuration; - is standard input
    #[arg(long, value_name = "FILE")]
    pub apply: Option<String>,
    /// Put a YAML file in the place of the configuration; - is standard input
    #[arg(long, value_name = "FILE")]
    pub replace: Option<String>,
    #[command(flatten)]
    pub force: ForceArgument,
}

#[derive(Args, Clone, Debug)]
pub struct ExplainArguments {
    /// The cluster; the configuration's when none is given
    pub cluster: Option<String>,
    #[command(flatten)]
    pub format: FormatArgument,
}

#[derive(Subcommand, Clone, Debug)]
pub enum RedisCommand {
    /// Show the members that have a Redis
    List(RedisShowArguments),
    /// Hand the master's role over to a replica, as planned and without loss
    Switchover(RedisChangeArguments),
    /// Make a replica the master when there is none; with --force also against a master that lives
    Failover(RedisChangeArguments),
    /// Let what a replica has be replaced by what the master has, where that would delete data
    Overwrite(RedisOverwriteArguments),
    /// Say why the master is the master, and what keeps every other member from it
    Explain(RedisShowArguments),
}

#[derive(Args, Clone, Debug)]
pub struct RedisShowArguments {
    /// The cluster; the configuration's when none is given
    pub cluster: Option<String>,
    /// What Sentinel calls the master; needed when the cluster has several
    #[arg(long)]
    pub name: Option<String>,
    #[command(flatten)]
    pub format: FormatArgument,
}

#[derive(Args, Clone, Debug)]
pub struct RedisOverwriteArguments {
    /// The replica
    pub member: String,
    /// The cluster; the configuration's when none is given
    #[arg(long)]
    pub cluster: Option<String>,
    /// What Sentinel calls the master; needed when the cluster has several
    #[arg(long)]
    pub name: Option<String>,
    #[command(flatten)]
    pub force: ForceArgument,
}

#[derive(Args, Clone, Debug)]
pub struct RedisChangeArguments {
    /// The cluster; the configuration's when none is given
    pub cluster: Option<String>,
    /// What Sentinel calls the master; needed when the cluster has several
    #[arg(long)]
    pub name: Option<String>,
    /// The present master
    #[arg(long, alias = "leader", alias = "primary")]
    pub master: Option<String>,
    /// Who is the master next; the best replica when none is given
    #[arg(long)]
    pub candidate: Option<String>,
    #[command(flatten)]
    pub force: ForceArgument,
}

#[derive(Args, Clone, Debug)]
pub struct VersionArguments {
    /// The cluster, to ask its members too
    pub cluster: Option<String>,
    /// Only these members
    pub members: Vec<String>,
    #[command(flatten)]
    pub group: GroupArgument,
}

/// The programs a connection string is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DsnStyle {
    /// PostgreSQL: host=.. port=..
    Libpq,
    /// PostgreSQL: postgresql://
    #[value(alias = "uri", alias = "rust")]
    Url,
    /// PostgreSQL, Java
    #[value(alias = "java")]
    Jdbc,
    /// PostgreSQL, .NET
    #[value(alias = "dotnet")]
    Npgsql,
    /// PostgreSQL, Go
    #[value(alias = "go")]
    Pgx,
    /// PostgreSQL, Python
    #[value(alias = "python")]
    Psycopg,
    /// PostgreSQL, Python
    Sqlalchemy,
    /// PostgreSQL, Node.js (node-postgres)
    #[value(alias = "pg", alias = "node")]
    NodePg,
    /// Redis, Python
    RedisPy,
    /// Redis, .NET
    #[value(alias = "stackexchange")]
    StackexchangeRedis,
    /// Redis, Java
    Jedis,
    /// Redis, Node.js
    Ioredis,
    /// Redis, Go
    GoRedis,
}

impl DsnStyle {
    pub fn is_of_redis(self) -> bool {
        match self {
            Self::RedisPy | Self::StackexchangeRedis | Self::Jedis | Self::Ioredis | Self::GoRedis => true,
            Self::Libpq
            | Self::Url
            | Self::Jdbc
            | Self::Npgsql
            | Self::Pgx
            | Self::Psycopg
            | Self::Sqlalchemy
            | Self::NodePg => false,
        }
    }
}

/// What the client connects to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DsnVia {
    /// The servers themselves; the client looks for the primary
    Members,
    /// The members' proxies
    Proxy,
    /// The virtual address of the configuration
    Vip,
    /// Sentinel, which says where the Redis master is
    Sentinel,
}

impl DsnVia {
    pub fn word(self) -> &'static str {
        match self {
            Self::Members => "members",
            Self::Proxy => "proxy",
            Self::Vip => "vip",
            Self::Sentinel => "sentinel",
        }
    }
}

#[derive(Args, Clone, Debug)]
pub struct DsnArguments {
    /// The cluster; the configuration's when none is given
    pub cluster: Option<String>,
    #[command(flatten)]
    pub group: GroupArgument,
    /// A member with this role; the leader when neither role nor member is given
    #[arg(short, long, value_enum)]
    pub role: Option<RoleFilter>,
    /// This member
    #[arg(short, long, conflicts_with = "role")]
    pub member: Option<String>,
    /// All members in one string: the client finds the primary, or a replica with --role replica
    #[arg(long, conflicts_with = "member")]
    pub all: bool,
    /// What the client connects to [default: one member, or all with --all; for Redis: sentinel]
    #[arg(long, value_enum)]
    pub via: Option<DsnVia>,
    /// A virtual IP or a load balancer to connect to, with its port unless it is the proxy's. May be repeated
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["via", "all", "member"])]
    pub host: Vec<String>,
    /// The user the client signs in as
    #[arg(short = 'U', long, value_name = "NAME")]
    pub user: Option<String>,
    /// The database
    #[arg(long, visible_alias = "dbname", value_name = "NAME")]
    pub database: Option<String>,
    /// What Sentinel calls the master; needed when the cluster has several Redis
    #[arg(long)]
    pub name: Option<String>,
    /// Print the password that the configuration has, of PostgreSQL's superuser or of Redis
    #[arg(long)]
    pub show_password: bool,
    /// The form of the string
    #[arg(short = 's', long, value_enum, default_value = "libpq")]
    pub style: DsnStyle,
}

#[derive(Args, Clone, Debug)]
pub struct HaproxyArguments {
    /// The cluster; the configuration's when none is given
    pub cluster: Option<String>,
    #[command(flatten)]
    pub group: GroupArgument,
    /// Where HAProxy listens; * is everywhere
    #[arg(long, default_value = "*", value_name = "ADDRESS")]
    pub bind: String,
    /// The port that leads to the primary
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u16).range(1..))]
    pub port: u16,
    /// The port that leads to the replicas
    #[arg(long, default_value_t = 5001, value_parser = clap::value_parser!(u16).range(1..))]
    pub replica_port: u16,
    /// The port that leads to the Redis master, where the cluster has Redis
    #[arg(long, default_value_t = 6380, value_parser = clap::value_parser!(u16).range(1..))]
    pub redis_port: u16,
    /// A port with HAProxy's own statistics page
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub stats_port: Option<u16>,
    /// From one check of a server to the next, in milliseconds
    #[arg(long, default_value_t = 1000, value_name = "MS", value_parser = clap::value_parser!(u32).range(50..=60_000))]
    pub checks_every: u32,
    /// A replica that is further behind gets no clients, such as 16MB
    #[arg(long, value_name = "BYTES")]
    pub lag: Option<String>,
    /// Connections that HAProxy takes
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub connections_max: u32,
}

impl RoleFilter {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::Primary => "primary",
            Self::StandbyLeader => "standby-leader",
            Self::Replica => "replica",
            Self::Standby => "standby",
            Self::Any => "any",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        global: GlobalArguments,
        #[command(subcommand)]
        command: CliCommand,
    }

    #[test]
    fn what_is_typed_for_patronictl_is_understood() {
        for line in [
            "-c postgres0.yml list batman -e -t -f yaml",
            "--config-file x -d etcd3://localhost:2379 -k list a b --format tsv -W",
            "--dcs etcd3://h:1 list --watch 0.5 --group 0",
            "--dcs-url etcd3://h:1 topology batman -w 1",
            "dsn batman -r primary",
            "dsn batman --role standby-leader",
            "dsn batman --member postgresql1",
            "dsn -r master",
            "dsn batman --via proxy -s go -U app --dbname shop",
            "dsn -s redis-py --via sentinel --name main --show-password",
            "dsn -s pg --host 10.0.0.100 --host 10.0.0.101:6432",
            "haproxy-config batman --port 5000 --checks-every 500 --lag 16MB",
            "show-config batman --group 0",
            "edit-config batman -q -s a=b --set c=d -p x=1 --pg y=2 --apply - --force",
            "edit-config batman --replace file.yml --force",
            "failover batman --candidate b --force",
            "failover batman --leader a --candidate b",
            "switchover batman --primary a --candidate b --scheduled 2030-01-01T10:00 --force",
            "switchover --master a --force",
            "restart batman a b -r replica --any --scheduled now --pg-version 9.5.2 --pending --timeout 10s --force",
            "reload batman a --role any --force",
            "reinit batman a --force --from-leader --wait",
            "flush batman a b restart -r replica --force",
            "flush batman switchover",
            "pause batman --wait",
            "resume --wait",
            "history batman -f json",
            "history -o yaml",
            "list -o table",
            "list --output json",
            "version batman a",
            "version",
            "explain batman -o json",
            "redis list -o json",
            "redis switchover batman --master a --candidate b --force",
            "redis failover --candidate b --force",
            "redis explain batman --name db1",
            "redis overwrite pg2 --force",
            "list -c late.yml -d etcd3://h:1",
        ] {
            let words = std::iter::once("quorate").chain(line.split_whitespace());
            if let Err(error) = Program::try_parse_from(words) {
                panic!("{line}: {error}");
            }
        }
    }

    #[test]
    fn options_in_front_and_behind_are_the_same() {
        for line in ["quorate -c f.yml -d u list x", "quorate list x -c f.yml -d u"] {
            let program = Program::try_parse_from(line.split(' ')).unwrap();
            assert_eq!(program.global.config_file.as_deref(), Some(std::path::Path::new("f.yml")), "{line}");
            assert_eq!(program.global.dcs_url.as_deref(), Some("u"));
            assert!(matches!(program.command, CliCommand::List(list) if list.clusters == ["x"]));
        }
    }
}
