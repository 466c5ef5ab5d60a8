//! `quorate dsn`: each client connects with what is printed for it, as its makers ship it, and reaches the right server.
//!
//! Npgsql, StackExchange.Redis and Jedis are not here: their registries are not reached by everybody who runs this. The clients in
//! Go are the distribution's, compiled here.

use super::redis_support::RedisWorld;
use super::support::{Done, World, download, eventually, run};
use drill::member::ports;
use drill::writer;
use std::path::{Path, PathBuf};
use std::process::Command;

const QUESTION: &str = "select host(inet_server_addr()) || ' ' || pg_is_in_recovery()::text";
const JDBC_DRIVER: &str = "/usr/share/java/postgresql.jar";

#[test]
fn clients_connect_with_what_is_printed_for_them() {
    run(async {
        let mut world = RedisWorld::whole("connection-strings", 34).await;
        let (leader, _) = world.roles().await;
        postgresql_clients_reach(&world, &leader).await;
        replicas_are_preferred_where_they_are_asked_for(&world, &leader).await;
        redis_clients_reach_the_master(&mut world).await;
        nothing_prints_a_password_by_itself(&world);
        what_cannot_work_is_said(&world);

        world.switchover(&leader).await.unwrap();
        let second = world.leader().await;
        assert_ne!(second, leader);
        postgresql_clients_reach(&world, &second).await;
    });
}

/// Where Debian's packages of Go libraries are.
const GOPATH: &str = "/usr/share/gocode";

/// The styles and ways that lead to the primary.
async fn postgresql_clients_reach(world: &World, leader: &str) {
    let expected = format!("{} false", world.named(leader).address);
    let program = go_program(world, &script("pgx.go"));
    let pgx = |dsn: &str| with_argument(&program, dsn);
    for (style, way, client) in [
        ("libpq", &["--via", "members"][..], &psql as &dyn Fn(&str) -> Command),
        ("libpq", &["--via", "proxy"], &psql),
        ("libpq", &[], &psql),
        ("url", &["--all"], &psql),
        ("psycopg", &["--via", "members"], &python),
        ("psycopg", &["--via", "proxy"], &python),
        ("sqlalchemy", &["--via", "members"], &python),
        ("sqlalchemy", &["--via", "proxy"], &python),
        ("node-pg", &["--via", "proxy"], &node_postgres),
        ("jdbc", &["--via", "members"], &jdbc),
        ("jdbc", &["--via", "proxy"], &jdbc),
        ("pgx", &["--via", "members"], &pgx),
        ("pgx", &["--via", "proxy"], &pgx),
    ] {
        let string = dsn(world, style, way);
        assert_eq!(Done::of(&mut client(&string)).ok().trim(), expected, "{style} {way:?}: {string}");
    }
    for way in ["members", "proxy"] {
        let config: tokio_postgres::Config = dsn(world, "url", &["--via", way]).parse().unwrap();
        let client = writer::connect(&config).await.unwrap();
        let row = client.query_one(QUESTION, &[]).await.unwrap();
        assert_eq!(row.get::<_, &str>(0), expected, "tokio-postgres, {way}");
    }
    // The leader's own address in the place of a virtual one.
    let file = world.options().directory.join("with-vip.yml");
    let text = std::fs::read_to_string(&world.named("pg1").config_file).unwrap();
    std::fs::write(&file, format!("{text}\nvip: {{address: {}/32}}\n", world.named(leader).address)).unwrap();
    let mut command = Command::new(&world.options().quorate);
    command.arg("-c").arg(&file).args(["dsn", "-s", "node-pg", "--via", "vip", "--show-password"]);
    let string = Done::of(&mut command).ok();
    assert_eq!(Done::of(&mut node_postgres(string.trim())).ok().trim(), expected, "{string}");
    let host = format!("{}:{}", world.named("pg2").address, ports::PROXY_PRIMARY);
    let string = dsn(world, "libpq", &["--host", &host, "--database", "template1"]);
    assert_eq!(Done::of(&mut psql(&string)).ok().trim(), expected, "{string}");
}

async fn replicas_are_preferred_where_they_are_asked_for(world: &World, leader: &str) {
    // Not pgx: the version here takes `prefer-standby` for `any`.
    let leader = world.named(leader).address.to_string();
    for (style, way, client) in [
        ("libpq", "members", &psql as &dyn Fn(&str) -> Command),
        ("libpq", "proxy", &psql),
        ("sqlalchemy", "members", &python),
        ("jdbc", "members", &jdbc),
    ] {
        let string = dsn(world, style, &["--via", way, "--role", "replica"]);
        eventually("a replica answers", async || {
            let said = Done::of(&mut client(&string)).ok();
            (said.trim().ends_with(" true") && !said.starts_with(&leader)).then_some(())
        })
        .await;
    }
}

async fn redis_clients_reach_the_master(world: &mut RedisWorld) {
    let master = world.redis_master().await;
    let go_redis = |line: &str| go_redis(world, line);
    for (style, client) in
        [("redis-py", &redis_py as &dyn Fn(&str) -> Command), ("ioredis", &ioredis), ("go-redis", &go_redis)]
    {
        for way in ["sentinel", "proxy"] {
            let line = dsn(world, style, &["--via", way]);
            assert_eq!(Done::of(&mut client(&line)).ok().trim(), format!("{master} master"), "{style} {way}: {line}");
        }
    }
}

fn nothing_prints_a_password_by_itself(world: &World) {
    for style in STYLES {
        let printed = world.quorate("pg1", &["dsn", "-s", style, "--via", via(style)]).ok();
        assert!(!printed.contains(world.password()) && !printed.trim().is_empty(), "{style}: {printed}");
        let asked = dsn(world, style, &["--via", via(style)]);
        assert!(asked.contains(world.password()), "{style}: {asked}");
    }
}

fn what_cannot_work_is_said(world: &World) {
    for (arguments, said) in [
        (&["-s", "node-pg", "--via", "members"][..], "takes one host"),
        (&["-s", "jedis", "--via", "members"], "--via sentinel or --via proxy"),
        (&["-s", "libpq", "--via", "sentinel"], "Sentinel is asked for Redis"),
        (&["-s", "url", "--via", "vip"], "has no vip for the primary"),
        (&["-s", "redis-py", "--name", "other"], "--name with one of: "),
        (&["-s", "url", "--show-password", "-U", "app"], "knows the password of 'postgres' only"),
        (&["-s", "url", "--host", "a:b"], "--host a:b"),
        (&["-s", "odbc"], "possible values"),
    ] {
        let arguments: Vec<&str> = ["dsn"].into_iter().chain(arguments.iter().copied()).collect();
        let error = world.quorate("pg1", &arguments).failed(2);
        assert!(error.contains(said), "{arguments:?}: {error}");
    }
}

const STYLES: [&str; 13] = [
    "libpq",
    "url",
    "jdbc",
    "npgsql",
    "pgx",
    "psycopg",
    "sqlalchemy",
    "node-pg",
    "redis-py",
    "stackexchange-redis",
    "jedis",
    "ioredis",
    "go-redis",
];

fn via(style: &str) -> &'static str {
    match style {
        "redis-py" | "stackexchange-redis" | "jedis" | "ioredis" | "go-redis" => "sentinel",
        _ => "proxy",
    }
}

/// With the password of the configuration.
fn dsn(world: &World, style: &str, more: &[&str]) -> String {
    let arguments: Vec<&str> =
        ["dsn", "-s", style, "--show-password"].into_iter().chain(more.iter().copied()).collect();
    world.quorate("pg1", &arguments).ok().trim().to_owned()
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name)
}

fn psql(dsn: &str) -> Command {
    let mut command = Command::new("psql");
    // libpq's own default database is the user's name, which is the same here.
    command.args(["--no-psqlrc", "-At", "-c", QUESTION, dsn]);
    command
}

fn python(dsn: &str) -> Command {
    let mut command = Command::new(download("postgresql-python").join("bin/python3"));
    command.arg(script("postgresql.py")).arg(dsn);
    command
}

fn node_postgres(dsn: &str) -> Command {
    let mut command = Command::new("node");
    command.env("NODE_PATH", download("node-postgres").join("node_modules")).arg(script("node_postgres.cjs")).arg(dsn);
    command
}

fn jdbc(dsn: &str) -> Command {
    let mut command = Command::new("java");
    command.args(["-cp", JDBC_DRIVER]).arg(script("Jdbc.java")).arg(dsn);
    command
}

/// Compiles it; the libraries are compiled already.
fn go_program(world: &World, source: &Path) -> PathBuf {
    let program = world.options().directory.join(source.file_stem().unwrap());
    let mut command = Command::new("go");
    command.arg("build").arg("-o").arg(&program).arg(source);
    command.env("GO111MODULE", "off").env("GOPATH", GOPATH).env("GOCACHE", download("go-cache"));
    Done::of(&mut command).ok();
    program
}

fn with_argument(program: &Path, argument: &str) -> Command {
    let mut command = Command::new(program);
    command.arg(argument);
    command
}

/// The line is Go, so there is one program for each.
fn go_redis(world: &World, line: &str) -> Command {
    let source = world.options().directory.join("go_redis.go");
    let template = std::fs::read_to_string(script("go_redis.go.template")).unwrap();
    std::fs::write(&source, template.replace("THE_LINE", line)).unwrap();
    Command::new(go_program(world, &source))
}

fn redis_py(line: &str) -> Command {
    let mut command = Command::new(download("redis-py").join("bin/python3"));
    command.arg(script("redis_py_line.py")).arg(line);
    command
}

fn ioredis(line: &str) -> Command {
    let mut command = Command::new("node");
    command.env("NODE_PATH", download("ioredis").join("node_modules")).arg(script("ioredis_line.cjs")).arg(line);
    command
}
