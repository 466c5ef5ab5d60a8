//! Clients of Redis, as their makers ship them, that find the master through Sentinel: each goes on writing after a failover and
//! after a planned switchover, and needs nothing changed for our sentinels.

use super::redis_support::{RedisWorld, redis_cli};
use super::support::{Running, download, eventually, run};
use drill::redis::MASTER;
use fred::interfaces::{ClientInterface, ClientLike, KeysInterface};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use tokio::task::JoinSet;

/// From one write of a client in this process to the next.
const PAUSE: Duration = Duration::from_millis(50);

#[test]
fn clients_that_ask_sentinel_follow_a_failover_and_a_switchover() {
    run(async {
        let mut world = RedisWorld::whole("redis-clients", 21).await;
        let sentinels = world.sentinels();
        let password = world.password().to_owned();
        let mut clients = JoinSet::new();
        let all = [
            Client::program("redis-py", redis_py(), &password, &sentinels),
            Client::program("ioredis", ioredis(), &password, &sentinels),
            Client::task("redis", &mut clients, |sender| redis_crate(sentinels.clone(), password.clone(), sender)),
            Client::task("fred", &mut clients, |sender| fred_crate(sentinels.clone(), password.clone(), sender)),
        ];
        let first = world.redis_master().await;
        all_write_to(&all, first).await;
        redis_cli_shows(&world, first).await;

        world.redis_member(first).unwrap().kill_redis().unwrap();
        let second = world.redis_master_other_than(first).await;
        all_write_to(&all, second).await;

        let third = world.planned_switchover().await;
        all_write_to(&all, third).await;
        redis_cli_shows(&world, third).await;
    });
}

/// Something that writes again and again, and says to whom.
enum Client {
    Program(&'static str, Running),
    Task(&'static str, std::sync::Mutex<Receiver<String>>),
}

impl Client {
    fn program(name: &'static str, mut command: Command, password: &str, sentinels: &[SocketAddr]) -> Self {
        command.args([MASTER, password]).args(sentinels.iter().map(ToString::to_string));
        Self::Program(name, Running::start(command))
    }

    fn task<F: Future<Output = ()> + Send + 'static>(
        name: &'static str,
        tasks: &mut JoinSet<()>,
        client: impl FnOnce(Sender<String>) -> F,
    ) -> Self {
        let (sender, receiver) = channel();
        tasks.spawn(client(sender));
        Self::Task(name, std::sync::Mutex::new(receiver))
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Program(name, _) | Self::Task(name, _) => name,
        }
    }

    fn new_lines(&self) -> Vec<String> {
        match self {
            Self::Program(_, program) => program.new_lines(),
            Self::Task(_, lines) => lines.lock().unwrap().try_iter().collect(),
        }
    }
}

async fn all_write_to(clients: &[Client], master: SocketAddr) {
    for client in clients {
        let what = format!("{} writes to {master}", client.name());
        eventually(&what, async || {
            let to_it = |line: &String| line.starts_with("OK ") && line.ends_with(&format!(" {master}"));
            client.new_lines().iter().any(to_it).then_some(())
        })
        .await;
    }
}

fn script(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name)
}

fn redis_py() -> Command {
    let mut command = Command::new(download("redis-py").join("bin/python3"));
    command.arg(script("redis_py.py"));
    command
}

fn ioredis() -> Command {
    let mut command = Command::new("node");
    command.env("NODE_PATH", download("ioredis").join("node_modules")).arg(script("ioredis.cjs"));
    command
}

async fn redis_crate(sentinels: Vec<SocketAddr>, password: String, lines: Sender<String>) {
    use redis_rs::AsyncCommands;
    use redis_rs::sentinel::{SentinelClient, SentinelNodeConnectionInfo, SentinelServerType};
    let urls: Vec<String> = sentinels.iter().map(|sentinel| format!("redis://{sentinel}")).collect();
    let login = redis_rs::RedisConnectionInfo::default().set_password(password);
    let node = SentinelNodeConnectionInfo::default().set_redis_connection_info(login);
    let mut client = SentinelClient::build(urls, MASTER.to_owned(), Some(node), SentinelServerType::Master).unwrap();
    loop {
        // A client without a master asks again, and one that has lost it.
        let Ok(mut connection) = client.get_async_connection().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        loop {
            let number: redis_rs::RedisResult<i64> = connection.incr("client:redis", 1).await;
            let about: redis_rs::RedisResult<String> =
                redis_rs::cmd("CLIENT").arg("INFO").query_async(&mut connection).await;
            let (Ok(number), Ok(about)) = (number, about) else { break };
            if lines.send(written(number, &about)).is_err() {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

async fn fred_crate(sentinels: Vec<SocketAddr>, password: String, lines: Sender<String>) {
    use fred::types::config::{Config, ReconnectPolicy, Server, ServerConfig};
    let hosts = sentinels.iter().map(|one| Server::new(one.ip().to_string(), one.port())).collect();
    let server = ServerConfig::Sentinel { hosts, service_name: MASTER.to_owned() };
    let config = Config { server, password: Some(password), ..Config::default() };
    let client = fred::types::Builder::from_config(config)
        .set_policy(ReconnectPolicy::new_constant(0, 100))
        .with_performance_config(|performance| performance.default_command_timeout = Duration::from_secs(2))
        .build()
        .unwrap();
    client.init().await.unwrap();
    loop {
        let number: Result<i64, _> = client.incr("client:fred").await;
        let about: Result<String, _> = client.client_info().await;
        if let (Ok(number), Ok(about)) = (number, about)
            && lines.send(written(number, &about)).is_err()
        {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn written(number: i64, client_info: &str) -> String {
    format!("OK {number} {}", drill::redis::client::field(client_info, "laddr").unwrap_or_default())
}

/// What a person looks at first.
async fn redis_cli_shows(world: &RedisWorld, master: SocketAddr) {
    let (ip, port) = (master.ip().to_string(), master.port().to_string());
    let replicas = world.members().len() - 1;
    let password = world.password();
    for member in world.members() {
        let proxy = SocketAddr::from((member.address, drill::member::ports::PROXY_REDIS));
        let info = redis_cli(proxy, password, &["info", "replication"]);
        assert!(info.contains("role:master"), "{info}");
        assert!(info.contains(&format!("connected_slaves:{replicas}")), "{info}");

        let sentinel = SocketAddr::from((member.address, drill::member::ports::SENTINEL));
        let masters = redis_cli(sentinel, "", &["sentinel", "masters"]);
        let lines: Vec<&str> = masters.lines().collect();
        assert_eq!(lines[..6], ["name", MASTER, "ip", &ip, "port", &port], "{masters}");
        let shown = redis_cli(sentinel, "", &["sentinel", "replicas", MASTER]);
        assert_eq!(shown.lines().filter(|line| *line == "slave-priority").count(), replicas, "{shown}");
        let address = redis_cli(sentinel, "", &["sentinel", "get-master-addr-by-name", MASTER]);
        assert_eq!(address, format!("{ip}\n{port}\n"));
        // Each hears of the others' in its own time.
        eventually("all sentinels are usable", async || {
            let quorum = redis_cli(sentinel, "", &["sentinel", "ckquorum", MASTER]);
            (quorum == "OK 3 usable Sentinels. Quorum and failover authorization can be reached\n").then_some(())
        })
        .await;
    }
}
