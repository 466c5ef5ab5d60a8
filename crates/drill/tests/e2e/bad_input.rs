//! What a person gets wrong: one sentence, a hint, exit code 2, and nothing changed on disk.

use super::support::{Done, PATIENCE, World, address, hand_to_postgres, options, postgres_command, program, run};
use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// A member's files and its configuration, which each case spoils in its own way.
struct Place {
    directory: tempfile::TempDir,
    configuration: String,
}

impl Place {
    /// A member `name` at `address`; `store` is the section that says where the cluster's state is.
    fn new(name: &str, address: Ipv4Addr, store: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        hand_to_postgres(directory.path());
        let path = directory.path().display();
        let store = store.replace("DIRECTORY", &path.to_string());
        let configuration = format!(
            "scope: demo\n\
             name: {name}\n\
             {store}\n\
             restapi: {{listen: '{address}:8008'}}\n\
             postgresql:\n\
             \x20 listen: {address}:5432\n\
             \x20 data_dir: {path}/data\n\
             \x20 parameters: {{unix_socket_directories: {path}}}\n\
             \x20 authentication:\n\
             \x20   superuser: {{username: postgres, password: secret}}\n\
             \x20   replication: {{username: replicator, password: secret}}\n"
        );
        Self { directory, configuration }
    }

    fn alone(address: Ipv4Addr) -> Self {
        Self::new("pg1", address, &format!("store: {{data_dir: DIRECTORY/store, members: {{pg1: {address}}}}}"))
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    fn change(&mut self, old: &str, new: &str) {
        assert!(self.configuration.contains(old), "{old}");
        self.configuration = self.configuration.replace(old, new);
    }

    /// A real, empty cluster of its own.
    fn initdb(&self) {
        let mut initdb = postgres_command("initdb");
        Done::of(initdb.args(["--no-sync", "--auth=trust", "--username=postgres", "-D"]).arg(self.data())).ok();
    }

    /// Starts the agent, which must end by itself with code 2 and leave everything as it was. Returns what it said.
    #[track_caller]
    fn refused(&self) -> String {
        let config = self.path().join("quorate.yml");
        fs::write(&config, &self.configuration).unwrap();
        hand_to_postgres(&config);
        let before = listing(self.path());
        let said = agent(&config);
        assert_eq!(listing(self.path()), before, "something changed on disk; it said: {said}");
        said
    }

    #[track_caller]
    fn refused_with_hint(&self, sentence: &str) {
        let said = self.refused();
        let (what, hint) = said.split_once("hint: ").unwrap_or_else(|| panic!("there is no hint in: {said}"));
        assert!(what.contains(sentence), "{said}");
        // One sentence and one hint; a warning about the configuration, or what was noted on the way, may stand in front.
        let noted = |line: &str| line.starts_with("warning: ") || line.contains(" INFO ");
        let sentences = what.lines().filter(|line| !noted(line)).count();
        assert_eq!((sentences, hint.lines().count()), (1, 1), "{said}");
    }
}

/// Runs an agent that must not stay.
#[track_caller]
fn agent(config: &Path) -> String {
    let log = tempfile::tempfile().unwrap();
    let mut command = Command::new(program("quorate"));
    command.arg("agent").arg(config).stdin(Stdio::null()).stdout(log.try_clone().unwrap());
    let mut child = command.stderr(log.try_clone().unwrap()).spawn().unwrap();
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break Some(status);
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            child.wait().unwrap();
            break None;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    };
    let said = std::io::read_to_string(rewound(log)).unwrap();
    assert_eq!(status.map(|status| status.code()), Some(Some(2)), "{said}");
    said
}

fn rewound(mut file: fs::File) -> fs::File {
    std::io::Seek::rewind(&mut file).unwrap();
    file
}

/// Every file below a directory with what a change would change.
fn listing(directory: &Path) -> BTreeMap<PathBuf, (u64, u32, u32, i64, i64)> {
    let mut found = BTreeMap::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let about = fs::symlink_metadata(&path).unwrap();
            if about.is_dir() {
                directories.push(path.clone());
            }
            found.insert(path, (about.len(), about.mode(), about.uid(), about.mtime(), about.mtime_nsec()));
        }
    }
    found
}

#[test]
fn a_mistake_in_the_configuration_is_named_with_file_line_and_key() {
    for (old, new, expected) in [
        ("  listen: 127", "  lisen: 127", "quorate.yml:6: postgresql.lisen: unknown key"),
        (":5432", ":99999", "quorate.yml:6: postgresql.listen: "),
        (
            "postgresql:\n",
            "proxy: {hold: -1}\npostgresql:\n",
            "quorate.yml:5: proxy.hold: -1 is out of range; expected 0 to 600",
        ),
        ("restapi: {", "restapi: [", "quorate.yml:4"),
        ("name: pg1\n", "", "name: "),
        (
            "members: {pg1: ",
            "members: {pg2: 127.9.9.9, pg1: ",
            "quorate.yml:3: store.members: 2 members vote; the number of voters must be odd (1, 3, 5)",
        ),
    ] {
        let mut place = Place::alone(address(7, 11));
        place.change(old, new);
        let said = place.refused();
        assert!(said.contains(expected), "for {new}: {said}");
    }
    let missing = agent(Path::new("/there/is/no/such/file.yml"));
    assert!(missing.contains("/there/is/no/such/file.yml"), "{missing}");
}

#[test]
fn what_the_machine_does_not_allow_is_said_before_anything_starts() {
    let at = address(7, 21);
    let mut place = Place::alone(at);
    for (port, key) in
        [(5432, "postgresql.listen"), (8008, "restapi.listen"), (2379, "store.listen"), (2380, "store.peer_port")]
    {
        let _taken = TcpListener::bind((at, port)).unwrap();
        place.refused_with_hint(&format!("{key}: cannot listen on {at}:{port}"));
    }
    place.change(&format!("listen: {at}:5432"), "listen: 192.0.2.1:5432");
    place.refused_with_hint("postgresql.listen: cannot listen on 192.0.2.1:5432");

    let mut place = Place::alone(at);
    place.change("postgresql:\n", "postgresql:\n  bin_dir: /there/is/no/postgresql\n");
    place.refused_with_hint("/there/is/no/postgresql");
}

#[test]
fn a_data_directory_that_is_not_ours_is_left_alone() {
    let place = Place::alone(address(7, 31));
    fs::create_dir(place.data()).unwrap();
    fs::write(place.data().join("thesis.doc"), "years of work").unwrap();
    place.refused_with_hint("postgresql.data_dir");

    let place = Place::alone(address(7, 31));
    place.initdb();
    fs::write(place.data().join("PG_VERSION"), "11\n").unwrap();
    place.refused_with_hint("11");
}

#[test]
fn a_member_that_would_disturb_a_running_cluster_does_not_start() {
    run(async {
        let mut options = options("bad-input", 8);
        options.members = 1;
        let mut world = World::starting(options);
        world.wait_whole(PATIENCE).await.unwrap();
        let first = world.named("pg1").address;
        let store = format!("etcd3: {{host: '{first}:2379'}}");
        let other = |name: &str| Place::new(name, address(8, 12), &store);

        let place = other("pg1");
        place.refused_with_hint(&format!("a member named pg1 is already running (http://{first}:8008/patroni)"));

        let place = other("pg2");
        place.initdb();
        place.refused_with_hint("belongs to another cluster");

        let mut place = other("pg2");
        let theirs = world.named("pg1").data_dir();
        place.change(&format!("data_dir: {}", place.data().display()), &format!("data_dir: {}", theirs.display()));
        place.refused_with_hint("PostgreSQL already runs in");

        // The cluster has not noticed.
        let view = world.whole_again().await;
        assert_eq!((view.members.len(), view.leader().unwrap().timeline), (1, Some(1)));
        assert_eq!(world.ask("pg1", "select 1").await, "1");
    });
}
