//! A real etcd that wants TLS and a certificate from its clients.

use crate::support::{etcd::free_port, eventually, keys, put_config, until};
use dcs::{Dcs, DcsConfig, DcsError, Written};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::SystemTime;
use tempfile::TempDir;
use tls::{ClientFiles, ClientTls, HTTP2};

struct Secured {
    process: Child,
    directory: TempDir,
    endpoint: String,
}

impl Drop for Secured {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn issue(directory: &Path, authority: &pki::Authority, name: &str) -> (PathBuf, PathBuf) {
    let issued = authority.issue(name, &["127.0.0.1"], SystemTime::now(), pki::MEMBER_LIFE).unwrap();
    let (certificate, key) = (directory.join(format!("{name}.pem")), directory.join(format!("{name}.key")));
    std::fs::write(&certificate, issued.certificate_pem).unwrap();
    std::fs::write(&key, issued.key_pem.expose()).unwrap();
    (certificate, key)
}

impl Secured {
    fn start(authority: &pki::Authority) -> Self {
        let directory = TempDir::new().unwrap();
        let ca = directory.path().join("ca.pem");
        std::fs::write(&ca, authority.certificate_pem()).unwrap();
        let (certificate, key) = issue(directory.path(), authority, "server");
        let (endpoint, peer) =
            (format!("https://127.0.0.1:{}", free_port()), format!("http://127.0.0.1:{}", free_port()));
        let mut command = Command::new("etcd");
        command.arg("--data-dir").arg(directory.path().join("data"));
        command.args(["--listen-client-urls", &endpoint, "--advertise-client-urls", &endpoint]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.args(["--initial-cluster", &format!("default={peer}"), "--client-cert-auth"]);
        command.arg("--trusted-ca-file").arg(ca).arg("--cert-file").arg(certificate).arg("--key-file").arg(key);
        let command = command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().expect("etcd is not installed (`./dev test` installs it)");
        Self { process, directory, endpoint }
    }

    fn client(&self, identity: Option<(PathBuf, PathBuf)>, authorities: &Path) -> Dcs {
        let files = ClientFiles { authorities: Some(authorities.to_owned()), identity, ..Default::default() };
        let tls = Some(ClientTls::open(files, &[HTTP2]).unwrap());
        Dcs::new(DcsConfig { tls, ..DcsConfig::new(vec![self.endpoint.clone()], keys()) })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_shows_a_certificate_is_let_in_and_only_a_known_server_is_believed() {
    let now = SystemTime::now();
    let (ours, foreign) = (pki::Authority::create("ours", now).unwrap(), pki::Authority::create("other", now).unwrap());
    let etcd = Secured::start(&ours);
    let (at, ca) = (etcd.directory.path(), etcd.directory.path().join("ca.pem"));
    let friend = etcd.client(Some(issue(at, &ours, "client")), &ca);
    until("etcd answers", || async { friend.load().await.ok() }).await;
    let _following = friend.start();
    assert!(matches!(friend.write(&put_config(30, None)).await, Ok(Written::Done { .. })));
    eventually(&friend, "the change", |view| view.connected && view.cluster.config.is_some()).await;

    for identity in [None, Some(issue(at, &foreign, "stranger"))] {
        let error = etcd.client(identity, &ca).load().await.unwrap_err();
        assert!(matches!(error, DcsError::Unreachable { .. }), "{error}");
    }
    let other = at.join("other.pem");
    std::fs::write(&other, foreign.certificate_pem()).unwrap();
    let error = etcd.client(Some(issue(at, &ours, "client")), &other).load().await.unwrap_err();
    assert!(error.to_string().contains("UnknownIssuer"), "{error}");
    let plain = Dcs::new(DcsConfig::new(vec![etcd.endpoint.replace("https://", "")], keys()));
    assert!(matches!(plain.load().await, Err(DcsError::Unreachable { .. })));
}
