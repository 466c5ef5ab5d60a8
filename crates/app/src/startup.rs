//! `quorate agent`: what is checked before anything starts, so that a mistake is one sentence and changes nothing.

use crate::certificates;
use crate::guard::{EXIT_FATAL, GuardProcess};
use crate::vip_setup;
use config::{MemberConfig, PostgresqlConfig, RedisConfig};
use platform::{RunAs, current_user_is_root, find_user, give_to, keep_new_files_private, may_read};
use postgres::data_directory::{DataDirectoryState, Unusable};
use postgres::{Binaries, Launcher};
use std::collections::BTreeMap;
use std::fmt;
use std::net::{TcpListener, ToSocketAddrs};
use std::path::Path;

/// Whom PostgreSQL runs as when the agent is root and nobody else is named.
const USER_DEFAULT: &str = "postgres";
/// The same on a member that has Redis and no PostgreSQL; the packages of Valkey make a user of their own.
const USERS_DEFAULT_REDIS: [&str; 2] = ["redis", "valkey"];

/// What keeps an agent from starting. The code is the same in `quorate doctor`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub code: &'static str,
    /// One sentence; behind a line end, a hint.
    pub text: String,
}

impl Problem {
    fn of(code: &'static str) -> impl Fn(String) -> Self {
        move |text| Self { code, text }
    }

    pub fn sentence(&self) -> &str {
        self.text.split_once("\nhint: ").map_or(&self.text, |(sentence, _)| sentence)
    }

    pub fn hint(&self) -> Option<&str> {
        self.text.split_once("\nhint: ").map(|(_, hint)| hint)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]", self.sentence(), self.code)?;
        self.hint().map_or(Ok(()), |hint| write!(f, "\nhint: {hint}"))
    }
}

/// Checks, then becomes the guard. Returns the exit code.
pub fn agent(path: &Path) -> i32 {
    match prepare(path) {
        Ok(guard) => guard.run(),
        Err(code) => code,
    }
}

/// Checks, and makes the guard. What is wrong is on standard error by then; the error is the exit code.
pub fn prepare(path: &Path) -> Result<GuardProcess, i32> {
    let env: BTreeMap<String, String> = std::env::vars().collect();
    let member = match config::load(path, &env) {
        Ok(member) => member,
        Err(errors) => {
            eprintln!("{errors}");
            return Err(EXIT_FATAL);
        }
    };
    for warning in &member.warnings {
        eprintln!("warning: {warning}");
    }
    let checked = user(&member)
        .and_then(|run_as| check(path, &member, run_as.as_ref()).map(|()| run_as))
        .and_then(|run_as| vip(&member).map(|()| run_as));
    let run_as = match checked {
        Ok(run_as) => run_as,
        Err(problem) => {
            eprintln!("quorate: {problem}");
            return Err(EXIT_FATAL);
        }
    };
    keep_new_files_private();
    if let Some(settings) = &member.proxy {
        // Root may raise the limit beyond what the worker may; it inherits what is set here.
        platform::allow_open_files(proxy::files_needed(settings.connections_max));
    }
    GuardProcess::new(path, run_as).map_err(|error| {
        eprintln!("quorate: the guard cannot start: {error}");
        EXIT_FATAL
    })
}

/// Everything that would keep the agent from starting, without changing anything. `running`: it runs already, so what it
/// has taken is no obstacle.
pub fn problems(path: &Path, member: &MemberConfig, running: bool) -> Vec<Problem> {
    let mut problems = Vec::new();
    match user(member) {
        Ok(run_as) => {
            problems.extend(configuration_is_readable(path, run_as.as_ref()).err());
            problems.extend(certificates_fit(member, run_as.as_ref()).err());
        }
        Err(problem) => problems.push(problem),
    }
    if !running {
        problems.extend(ports_are_free(member).err());
    }
    if let Some(postgresql) = &member.postgresql {
        problems.extend(binaries_fit(postgresql).err());
    }
    if let Some(redis) = &member.redis {
        problems.extend(redis_fits(redis).err());
    }
    if !running {
        problems.extend(servers_are_ours(member).err());
    }
    problems.extend(vip_setup::resolve(&member.vips).map_err(Problem::of("start-vip")).err());
    problems
}

fn vip(member: &MemberConfig) -> Result<(), Problem> {
    vip_setup::resolve(&member.vips).and_then(|vips| vip_setup::prepare(&vips)).map_err(Problem::of("start-vip"))
}

/// Root hands the servers and the worker to one ordinary user; anybody else runs them as himself.
fn user(member: &MemberConfig) -> Result<Option<RunAs>, Problem> {
    find_run_as(member).map_err(Problem::of("start-user"))
}

/// The user that the worker and its servers run as; `None`: whoever starts the agent.
pub fn worker_user(member: &MemberConfig) -> Result<Option<RunAs>, Problem> {
    user(member)
}

fn find_run_as(member: &MemberConfig) -> Result<Option<RunAs>, String> {
    if !current_user_is_root() {
        return Ok(None);
    }
    let (key, server, named, otherwise): (_, _, Option<&str>, Vec<&str>) = match (&member.postgresql, &member.redis) {
        (Some(it), _) => ("postgresql.os_user", "PostgreSQL", it.os_user.as_deref(), vec![USER_DEFAULT]),
        (None, Some(it)) => ("redis.os_user", "Redis", it.os_user.as_deref(), USERS_DEFAULT_REDIS.to_vec()),
        // Whichever there is.
        (None, None) => {
            ("postgresql.os_user", "the worker", None, [&[USER_DEFAULT], USERS_DEFAULT_REDIS.as_slice()].concat())
        }
    };
    let candidates = named.map_or(otherwise, |named| vec![named]);
    match candidates.iter().find_map(|name| find_user(name)) {
        Some(user) if user.run_as.uid == 0 => {
            Err(format!("{server} must not run as {}\nhint: name an ordinary user in {key}", user.name))
        }
        Some(user) => Ok(Some(user.run_as)),
        None => Err(format!(
            "there is no user '{}' to run {server} as\nhint: install {server}, or name a user in {key}",
            candidates.join("' or '")
        )),
    }
}

fn check(path: &Path, member: &MemberConfig, run_as: Option<&RunAs>) -> Result<(), Problem> {
    configuration_is_readable(path, run_as)?;
    certificates_fit(member, run_as)?;
    ports_are_free(member)?;
    if let Some(postgresql) = &member.postgresql {
        binaries_fit(postgresql)?;
    }
    if let Some(redis) = &member.redis {
        redis_fits(redis)?;
    }
    servers_are_ours(member)?;
    prepare_directories(member, run_as).map_err(Problem::of("start-directory"))
}

fn configuration_is_readable(path: &Path, run_as: Option<&RunAs>) -> Result<(), Problem> {
    if let Some(user) = run_as.filter(|user| path.is_file() && !may_read(user, path)) {
        return Err(Problem::of("start-config-unreadable")(format!(
            "{}: the user that the worker and its servers run as (uid {}) cannot read it\nhint: chown {} {}",
            path.display(),
            user.uid,
            user.uid,
            path.display()
        )));
    }
    Ok(())
}

fn certificates_fit(member: &MemberConfig, run_as: Option<&RunAs>) -> Result<(), Problem> {
    certificates::check(member, run_as).map_err(Problem::of("start-certificate"))
}

fn servers_are_ours(member: &MemberConfig) -> Result<(), Problem> {
    let nobody_works_in = |server, data_dir| nobody_works_in(server, data_dir).map_err(Problem::of("start-running"));
    if let Some(postgresql) = &member.postgresql {
        nobody_works_in("PostgreSQL", &postgresql.data_dir)?;
    }
    if let Some(redis) = &member.redis {
        nobody_works_in("Redis", &redis.data_dir)?;
    }
    Ok(())
}

fn nobody_works_in(server: &str, data_dir: &Path) -> Result<(), String> {
    match platform::processes_in(data_dir).first() {
        Some(process) => Err(format!(
            "{server} already runs in {} (process {process}), started by somebody else\nhint: stop it first; Quorate starts it itself",
            data_dir.display(),
        )),
        None => Ok(()),
    }
}

fn ports_are_free(member: &MemberConfig) -> Result<(), Problem> {
    listen_once(member).map_err(Problem::of("start-port"))
}

fn listen_once(member: &MemberConfig) -> Result<(), String> {
    let mut wanted = vec![("restapi.listen", member.restapi.listen.host.clone(), member.restapi.listen.port)];
    if let Some(store) = &member.store {
        wanted.push(("store.listen", store.listen.host.clone(), store.listen.port));
        wanted.push(("store.peer_port", store.listen.host.clone(), store.peer_port));
    }
    if let Some(postgresql) = &member.postgresql {
        for host in &postgresql.listen_hosts {
            wanted.push(("postgresql.listen", host.clone(), postgresql.port));
        }
    }
    if let Some(redis) = &member.redis {
        wanted.extend(redis.listen_hosts.iter().map(|host| ("redis.listen", host.clone(), redis.port)));
    }
    if let Some(sentinel) = &member.sentinel {
        wanted.extend(sentinel.listen_hosts.iter().map(|host| ("sentinel.listen", host.clone(), sentinel.port)));
    }
    for (proxy, host) in member.proxy.iter().flat_map(|proxy| proxy.listen.iter().map(move |host| (proxy, host))) {
        if member.postgresql.is_some() {
            wanted.push(("proxy.primary_port", host.clone(), proxy.primary_port));
            wanted.push(("proxy.replica_port", host.clone(), proxy.replica_port));
        }
        wanted.extend(proxy.redis_port.map(|port| ("proxy.redis_port", host.clone(), port)));
    }
    for (key, host, port) in wanted {
        let host = if host == "*" { "0.0.0.0".to_owned() } else { host };
        let addresses = (host.as_str(), port).to_socket_addrs().map_err(|error| {
            format!("{key}: '{host}' is not an address of this machine ({error})\nhint: use one of its own addresses, or 0.0.0.0")
        })?;
        for address in addresses.take(1) {
            if let Err(error) = TcpListener::bind(address) {
                let hint = match error.kind() {
                    std::io::ErrorKind::AddrInUse if cfg!(windows) => {
                        "another program listens there; find it with: netstat -ano"
                    }
                    std::io::ErrorKind::AddrInUse => "another program listens there; find it with: ss -ltnp",
                    std::io::ErrorKind::AddrNotAvailable => "use one of this machine's own addresses, or 0.0.0.0",
                    _ => "choose another address or port",
                };
                return Err(format!("{key}: cannot listen on {address} ({error})\nhint: {hint}"));
            }
        }
    }
    Ok(())
}

fn binaries_fit(postgresql: &PostgresqlConfig) -> Result<(), Problem> {
    find_postgresql(postgresql).map_err(Problem::of("start-postgresql"))
}

fn find_postgresql(postgresql: &PostgresqlConfig) -> Result<(), String> {
    let with_hint = |error: postgres::Error| format!("{error}\nhint: {}", error.hint());
    let binaries = Binaries::find_named(postgresql.bin_dir.as_deref(), &postgresql.bin_name).map_err(with_hint)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let launcher = Launcher::default();
        let version = binaries.version(&launcher).await.map_err(with_hint)?;
        match postgres::data_directory::state(&binaries, &version, &launcher, &postgresql.data_dir).await.map_err(with_hint)? {
            DataDirectoryState::Unusable(why @ (Unusable::Foreign | Unusable::OtherVersion { .. })) => Err(format!(
                "postgresql.data_dir {}: {why}\nhint: name an empty directory, or the programs of the right version in postgresql.bin_dir",
                postgresql.data_dir.display()
            )),
            DataDirectoryState::Unusable(_)
            | DataDirectoryState::Missing
            | DataDirectoryState::Empty
            | DataDirectoryState::Valid(_) => Ok(()),
        }
    })
}

fn redis_fits(settings: &RedisConfig) -> Result<(), Problem> {
    find_redis(settings).map_err(Problem::of("start-redis"))
}

fn find_redis(settings: &RedisConfig) -> Result<(), String> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let found = runtime.block_on(redis::Binary::find(settings.binary.as_deref(), settings.bin_dir.as_deref()));
    found.map(drop).map_err(|error| format!("{error}\nhint: {}", error.hint()))?;
    if let Some(tls) = &settings.tls {
        for (key, file) in [("cert_file", &tls.cert_file), ("key_file", &tls.key_file), ("ca_file", &tls.ca_file)] {
            if let Err(error) = std::fs::File::open(file) {
                return Err(format!(
                    "redis.tls.{key}: {} cannot be read: {error}\nhint: correct the path",
                    file.display()
                ));
            }
        }
    }
    Ok(())
}

/// Directories that the worker, as an ordinary user, could not make itself.
fn prepare_directories(member: &MemberConfig, run_as: Option<&RunAs>) -> Result<(), String> {
    let mut wanted = Vec::new();
    wanted.extend(member.redis.as_ref().map(|redis| redis.data_dir.clone()));
    wanted.extend(member.sentinel.as_ref().and_then(|sentinel| sentinel.config_file.parent().map(Path::to_owned)));
    if let Some(store) = &member.store {
        wanted.push(store.data_dir.clone());
    }
    if let Some(postgresql) = &member.postgresql {
        // The data directory itself is made by initdb or by a clone, in a parent that must let it.
        wanted.extend(postgresql.data_dir.parent().map(Path::to_owned));
        let sockets = postgresql.parameters.get("unix_socket_directories");
        wanted
            .extend(sockets.into_iter().flat_map(|list| list.split(',')).map(|path| Path::new(path.trim()).to_owned()));
    }
    for directory in wanted.into_iter().filter(|directory| directory.is_absolute() && !directory.exists()) {
        let made = make_directory(&directory, run_as);
        made.map_err(|error| {
            format!("cannot make the directory {}: {error}\nhint: make it, or name another", directory.display())
        })?;
    }
    Ok(())
}

/// With everything that is missing above it, all of it the user's: what is made beside it later is the user's to make.
fn make_directory(directory: &Path, owner: Option<&RunAs>) -> std::io::Result<()> {
    let missing: Vec<&Path> = directory.ancestors().take_while(|above| !above.exists()).collect();
    for directory in missing.into_iter().rev() {
        std::fs::create_dir(directory)?;
        if let Some(owner) = owner {
            give_to(directory, owner)?;
        }
    }
    Ok(())
}
