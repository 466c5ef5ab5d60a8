//! Servers become members with a token or a bundle, strangers do not, and certificates are renewed while the cluster works.

mod renewed;
mod security;
mod servers;
mod watch;

use super::support::{Done, eventually, program, run};
use plan::Role;
use serde_json::json;
use servers::{Servers, given, join_command};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;
use watch::ProcessWatch;

const EVERYTHING: &[Role] = &[Role::Database, Role::Store, Role::Cache];
const ALL: [&[Role]; 3] = [EVERYTHING, EVERYTHING, &[Role::Witness]];

#[test]
fn servers_join_with_a_token_or_a_bundle_and_strangers_change_nothing() {
    run(async {
        let mut servers = Servers::planned(61, &ALL, None);
        let watch = ProcessWatch::start(servers.secret_texts());
        servers.all[0].start();
        // Its store has no majority yet.
        servers.first().answers().await;

        servers.first().quorate("token", &["revoke", "pg3"]).ok();
        let token = servers.invitation(1).to_owned();
        watch.also(&token);
        assert!(servers.join(1, &token).ok().is_empty(), "data alone goes to standard output");
        private_files_are_private(&servers.all[1].home);
        bad_tokens_are_refused(&servers, &token).await;
        a_bundle_carries_everything(&servers);

        for server in [1, 2] {
            servers.all[server].settle();
            servers.all[server].start();
        }
        servers.whole().await;
        for secret in servers.secret_texts() {
            watch.also(&secret);
        }
        security::strangers_change_nothing(&servers).await;
        security::only_members_are_renewed(&servers).await;
        a_changed_plan_is_fetched(&mut servers);
        security::nothing_secret_is_told(&servers, &token);
        assert_eq!(watch.found(), [].into());
    });
}

fn private_files_are_private(home: &Path) {
    // A witness has no use for the passwords.
    let passwords = home.join("secrets.yaml").exists().then_some("secrets.yaml");
    for file in ["quorate.yml", "tls/member.key"].into_iter().chain(passwords) {
        let mode = std::fs::metadata(home.join(file)).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o600, "{file}");
    }
    assert!(!home.join("tls/ca.key").exists(), "the authority's key stays where it is");
}

/// A token that was used, that has expired, that is of another cluster, that is none; and one that two use at once.
async fn bad_tokens_are_refused(servers: &Servers, used: &str) {
    let elsewhere = servers.directory.path().join("elsewhere");
    let refused = |token: &str, code: i32, expected: &str| {
        let said = servers.join_into(&elsewhere, token).failed(code);
        assert!(said.contains(expected) && said.contains("hint: "), "{said}");
        assert!(!said.contains(token) || token.is_empty(), "{said}");
        assert!(!elsewhere.join("quorate.yml").exists() && !elsewhere.join("tls/member.key").exists());
    };
    refused(used, 1, "[join-refused]");
    refused(&used[..used.len() - 1], 2, "[join-token]");
    refused("", 2, "[join-token]");
    let other = Servers::planned(62, &ALL, None);
    refused(&other.token("pg2", "1h"), 1, "[join-token-foreign]");
    let second = other.token("pg3", "1h");
    refused(&second, 1, "nothing was sent");
    // A home of one cluster does not become another's.
    let said = given(join_command(servers.first().address, &other.first().home), &servers.token("pg3", "1h")).failed(2);
    assert!(said.contains("[join-other-cluster]"), "{said}");

    let short = servers.token("pg3", "1s");
    eventually("the token expires", async || {
        let open = servers.first().quorate("token", &["list"]).ok();
        open.is_empty().then_some(())
    })
    .await;
    refused(&short, 2, "[join-token-expired]");
    // The network hears the same of each; the log says which.
    let client = servers.first().http(false);
    for token in [used, &short] {
        let body = json!({ "token": token, "request": "", "directory": "/x", "version": 1 });
        let answer = client.post(servers.first().url("/join")).json(&body).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 403);
        assert_eq!(answer.text().await.unwrap(), "the token is not accepted");
    }
    let log = std::fs::read_to_string(servers.first().log_file()).unwrap();
    assert!(log.contains("it was used or revoked"), "{log}");

    let token = servers.token("pg3", "1h");
    let both: Vec<Done> = std::thread::scope(|scope| {
        let one = |name: &'static str| {
            let home = servers.directory.path().join(name);
            let token = &token;
            scope.spawn(move || servers.join_into(&home, token))
        };
        [one("twice-a"), one("twice-b")].map(|thread| thread.join().unwrap()).into()
    });
    assert_eq!(both.iter().filter(|done| done.code == Some(0)).count(), 1, "{both:?}");
    let revoked = servers.token("pg3", "1h");
    servers.first().quorate("token", &["revoke", "pg3"]).ok();
    refused(&revoked, 1, "[join-refused]");
    // Enough is enough.
    refused(&revoked, 1, "[join-too-often]");
}

/// By who has joined, with its certificate. The agents are not disturbed.
fn a_changed_plan_is_fetched(servers: &mut Servers) {
    let (key, certificate) = (servers.all[1].tls().key, servers.all[1].tls().certificate);
    let read = |file: &Path| std::fs::read_to_string(file).unwrap();
    let before = (read(&key), read(&certificate));
    servers.plan.promise = plan::Promise::Fastest;
    servers.change_plan();
    let refresh = |server: usize| servers.all[server].quorate("join", &["--refresh"]);
    let said = refresh(1);
    assert!(said.err.contains("pg1 has given this server anew: cluster.yaml, quorate.yml\n  hint: "), "{said:?}");
    assert!(said.ok().is_empty());
    for file in ["cluster.yaml", "quorate.yml"] {
        let wanted = if file == "cluster.yaml" { "promise: fastest" } else { "synchronous_mode: false" };
        assert!(read(&servers.all[1].home.join(file)).contains(wanted), "{file}");
    }
    private_files_are_private(&servers.all[1].home);
    assert!(read(&key) == before.0 && read(&certificate) != before.1, "the key stays");
    let again = refresh(1);
    assert!(again.err.contains("nothing has changed") && again.code == Some(0), "{again:?}");
    servers.all[1].settle();
    assert!(refresh(0).failed(2).contains("[join-first]"));
    // Whoever has joined changes no plan of its own.
    let said = servers.set_up(1, &["--yes", "--no-start"]).failed(2);
    assert!(said.contains("[setup-first]"), "{said}");
}

fn a_bundle_carries_everything(servers: &Servers) {
    let file = servers.directory.path().join("pg3.tar.gz");
    let home = servers.all[2].home.display().to_string();
    let path = file.display().to_string();
    servers.first().quorate("bundle", &["pg3", &path, "--their-directory", &home]).ok();
    assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    let again = servers.first().quorate("bundle", &["pg3", &path]).failed(2);
    assert!(again.contains("[join-file]"), "an old bundle is not overwritten: {again}");
    let join = |directory: &str| {
        let mut command = Command::new(program("quorate"));
        Done::of(command.args(["join", "--no-start", "--bundle", &path, "--directory", directory]))
    };
    let elsewhere = servers.directory.path().join("not-there").display().to_string();
    assert!(join(&elsewhere).failed(2).contains("[join-bundle]"));
    join(&home).ok();
    private_files_are_private(&servers.all[2].home);

    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    assert!(join(&home).failed(2).contains("[join-bundle]"));
}

/// Of the certificate that a server has on its disk.
fn renewed_at(home: &Path) -> Option<SystemTime> {
    Some(pki::life_of(&std::fs::read_to_string(home.join("tls/member.crt")).ok()?)?.ends)
}
