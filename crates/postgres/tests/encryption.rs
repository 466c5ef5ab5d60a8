//! Connections of the agent's own to a real server with TLS, as libpq's parameters want them.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod servers;

use postgres::{
    sql::{Local, LocalAddress, Timeouts, needed_certificates, source_state},
    *,
};
use servers::{TestResult, World, secret};
use std::{collections::BTreeMap, path::PathBuf, time::SystemTime};

type Options<'a> = &'a [(&'a str, &'a str)];

fn owned(options: Options<'_>) -> BTreeMap<String, String> {
    options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test]
async fn an_encrypted_server_is_asked_as_sslmode_says() -> TestResult {
    let world = World::new().await?;
    let mut a = world.server("a")?;
    a.initialize().await?;
    // The superuser may come in clear, too; the rewind user needs TLS and a certificate; the replicator must not use it.
    a.settings.hba = [
        "host all postgres all scram-sha-256",
        "hostssl all rewinder all scram-sha-256 clientcert=verify-ca",
        "hostnossl all replicator all scram-sha-256",
    ]
    .map(str::to_owned)
    .into();
    let directory = a.locations.data_dir.parent().unwrap().to_owned();
    let ours = pki::Authority::create("ours", SystemTime::now())?;
    let foreign = pki::Authority::create("foreign", SystemTime::now())?;
    let keep = |name: &str, text: &str| -> std::io::Result<PathBuf> {
        use std::os::unix::fs::PermissionsExt as _;
        let path = directory.join(name);
        std::fs::write(&path, text)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        (world.launcher.adopt)(&path)?;
        Ok(path)
    };
    let text = |path: PathBuf| path.display().to_string();
    let ca = text(keep("ours.ca", ours.certificate_pem())?);
    let other = text(keep("foreign.ca", foreign.certificate_pem())?);
    // The server is reached at 127.0.0.1 and is called db1.
    let issued = ours.issue("db1", &["db1"], SystemTime::now(), pki::MEMBER_LIFE)?;
    let certificate = text(keep("db1.crt", &issued.certificate_pem)?);
    let key = text(keep("db1.key", issued.key_pem.expose())?);
    for (name, value) in [("ssl", "on"), ("ssl_ca_file", &ca), ("ssl_cert_file", &certificate), ("ssl_key_file", &key)]
    {
        a.settings.parameters.insert(name.to_owned(), value.to_owned());
    }
    a.configure(&Role::Primary).await?;
    a.start().await?;
    a.create_roles().await?;

    let (root, wrong) = (("sslrootcert", ca.as_str()), ("sslrootcert", other.as_str()));
    let (shown, with) = (("sslcert", certificate.as_str()), ("sslkey", key.as_str()));
    let cases: [(&str, Options<'_>, Result<bool, &str>); 20] = [
        ("postgres", &[], Ok(false)),
        ("postgres", &[("sslmode", "disable")], Ok(false)),
        ("postgres", &[("sslmode", "allow")], Ok(false)),
        ("postgres", &[("sslmode", "prefer")], Ok(true)),
        ("postgres", &[("sslmode", "prefer"), wrong], Ok(false)),
        ("postgres", &[("sslmode", "require")], Ok(true)),
        ("postgres", &[("sslmode", "require"), ("channel_binding", "require")], Ok(true)),
        ("postgres", &[("channel_binding", "require")], Ok(true)),
        ("postgres", &[("sslmode", "require"), wrong], Err("UnknownIssuer")),
        ("postgres", &[("sslmode", "verify-ca"), root], Ok(true)),
        ("postgres", &[("sslmode", "verify-ca"), wrong], Err("UnknownIssuer")),
        ("postgres", &[("sslmode", "verify-full"), root], Err("NotValidForName")),
        ("rewinder", &[("sslmode", "disable"), shown, with], Err("no pg_hba.conf entry")),
        ("rewinder", &[("sslmode", "require")], Err("client certificate")),
        ("rewinder", &[("sslmode", "verify-ca"), root, shown, with], Ok(true)),
        // Nothing is said of encryption, and the server insists.
        ("rewinder", &[shown, with], Ok(true)),
        ("rewinder", &[], Err("client certificate")),
        ("replicator", &[("sslmode", "prefer")], Ok(false)),
        ("replicator", &[("sslmode", "allow")], Ok(false)),
        ("replicator", &[("sslmode", "require")], Err("no pg_hba.conf entry")),
    ];
    let address = LocalAddress::new("127.0.0.1", a.port, None);
    let encrypted = async |user: &str, options: Options<'_>, name: &str| {
        let local = Local::new(&address, user, Some(secret()), Timeouts::default()).with(owned(options), name);
        let question = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
        local.query("a question", question, &[]).await.map(|rows| rows[0].get::<_, bool>(0))
    };
    for (user, options, expected) in cases {
        let found = encrypted(user, options, "127.0.0.1").await;
        match (&found, expected) {
            (Ok(found), Ok(expected)) if *found == expected => {}
            (Err(error), Err(words)) if error.to_string().contains(words) => {}
            _ => return Err(format!("{user} {options:?}: expected {expected:?}, found {found:?}").into()),
        }
    }
    assert!(encrypted("postgres", &[("sslmode", "verify-full"), root], "db1").await?, "under its own name");

    // The same of questions to others, one connection each.
    let mut source = a.conninfo("rewinder", Some("postgres"));
    source.options = owned(&[("sslmode", "verify-full"), root, shown, with]);
    let error = source_state(&source, Timeouts::default()).await.unwrap_err();
    assert!(error.hint().contains("made out to its address"), "{error}: {}", error.hint());
    source.answered_by = vec!["db0".to_owned(), "db1".to_owned()];
    assert!(!source_state(&source, Timeouts::default()).await?.in_recovery);
    Ok(())
}

#[test]
fn certificates_are_looked_at_before_anything_depends_on_them() {
    let missing = ("sslrootcert", "/nowhere/ca.pem");
    for (options, expected) in [
        (&[][..], Ok(0)),
        (&[("sslmode", "prefer"), missing], Ok(0)),
        (&[("sslmode", "require")], Ok(0)),
        (&[("sslmode", "require"), missing], Err("there is no file /nowhere/ca.pem")),
        (&[("sslmode", "verify-full")], Err("'sslrootcert'")),
    ] {
        let found = needed_certificates(&owned(options)).map(|files| files.len());
        match (&found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(*found, expected, "{options:?}"),
            (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{error}"),
            _ => panic!("{options:?}: {found:?}"),
        }
    }
}
