//! The proxy of a real member, as applications use it: TLS from end to end, the two roles, and what its metrics say.

use super::support::{Done, World, eventually, hand_to_postgres, options, postgres_command, run};
use drill::member::ports::{PROXY_PRIMARY as PRIMARY, PROXY_REPLICAS as REPLICAS};
use serde_json::json;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[test]
fn applications_reach_both_roles_through_any_member_with_tls_from_end_to_end() {
    run(async {
        let certificates = tempfile::tempdir().unwrap();
        fs::set_permissions(certificates.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut options = options("proxy", 31);
        let (certificate, key) = certificate(certificates.path(), options.first_address);
        options.overrides["postgresql"] = json!({ "parameters": {
            "ssl": "on",
            "ssl_cert_file": certificate,
            "ssl_key_file": key,
        } });
        options.overrides["proxy"] = json!({ "replica_max_lag": "1GB", "threads": 2 });
        let mut world = World::whole(options).await;
        tls_passes_through(&world, &certificate);
        readers_are_spread_over_the_replicas(&mut world).await;
        the_metrics_say_so(&world).await;
    });
}

/// A certificate for all three addresses: the client checks the one that it used, which is a proxy's.
fn certificate(directory: &Path, first: Ipv4Addr) -> (PathBuf, PathBuf) {
    let (certificate, key) = (directory.join("server.crt"), directory.join("server.key"));
    let [a, b, c, d] = first.octets();
    let names: Vec<String> = (0..3).map(|n| format!("IP:{}", Ipv4Addr::new(a, b, c, d + n))).collect();
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=quorate", "-addext", &format!("subjectAltName={}", names.join(","))])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .stderr(Stdio::null())
        .status();
    assert!(made.expect("openssl is there").success());
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    hand_to_postgres(&key);
    (certificate, key)
}

fn psql(world: &World, member: &str, port: u16, more: &str, question: &str) -> Done {
    let login = world.login(world.named(member), port);
    let password = String::from_utf8_lossy(login.get_password().unwrap()).into_owned();
    let address = world.named(member).address;
    let mut command = postgres_command("psql");
    // The certificates of whoever runs this test are not PostgreSQL's user's to read.
    command.env("HOME", "/nonexistent").env("PGPASSWORD", password).args(["--no-psqlrc", "-At", "-c", question]);
    Done::of(command.arg(format!("host={address} port={port} user=postgres dbname=postgres {more}")))
}

fn tls_passes_through(world: &World, certificate: &Path) {
    let question = "select ssl, version, pg_is_in_recovery() from pg_stat_ssl where pid = pg_backend_pid()";
    let checked = format!("sslmode=verify-full sslrootcert={}", certificate.display());
    for member in ["pg1", "pg2", "pg3"] {
        for (port, mode, in_recovery) in
            [(PRIMARY, "sslmode=require", "f"), (PRIMARY, checked.as_str(), "f"), (REPLICAS, checked.as_str(), "t")]
        {
            let said = psql(world, member, port, mode, question).ok();
            assert_eq!(said.trim(), format!("t|TLSv1.3|{in_recovery}"), "{member} {port} {mode}");
        }
        assert_eq!(psql(world, member, PRIMARY, "sslmode=disable", "show ssl").ok().trim(), "on");
    }
}

async fn readers_are_spread_over_the_replicas(world: &mut World) {
    let (leader, replicas) = world.roles().await;
    let mut readers = Vec::new();
    let mut seen = Vec::new();
    for _ in 0..4 {
        let reader = drill::writer::connect(&world.login(world.named(&leader), REPLICAS)).await.unwrap();
        let row = reader.query_one("select host(inet_server_addr())", &[]).await.unwrap();
        seen.push(row.get::<_, String>(0));
        readers.push(reader);
    }
    seen.sort();
    let both = replicas.iter().map(|name| world.named(name).address.to_string());
    let mut expected: Vec<String> = both.clone().chain(both).collect();
    expected.sort();
    assert_eq!(seen, expected);
}

async fn the_metrics_say_so(world: &World) {
    let _writer = drill::writer::connect(&world.login(world.named("pg1"), PRIMARY)).await.unwrap();
    let wanted =
        ["quorate_proxy_connections{", "quorate_proxy_server_connections{", "quorate_proxy_bytes_to_clients_total{"];
    eventually("the proxy's numbers are in the metrics", async || {
        let (status, text) = world.get("pg1", "/metrics").await;
        let text = text.as_str().unwrap_or_default().to_owned();
        let now = text.lines().any(|line| {
            line.starts_with("quorate_proxy_connections{") && line.contains("port=\"primary\"") && line.ends_with(" 1")
        });
        (status == 200 && now && wanted.iter().all(|name| text.contains(name))).then_some(())
    })
    .await;
}
