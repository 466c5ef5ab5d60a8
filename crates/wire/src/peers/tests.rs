//! Two ends on this machine.

use super::{
    PeerReport, PeerTls, Peers, PeersConfig,
    frame::{self, Answer, Greeting},
};
use std::time::Duration;
use store::PeerMessage;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const DEADLINE: Duration = Duration::from_secs(10);

struct End {
    peers: Peers,
    reports: mpsc::Receiver<PeerReport>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

fn start(me: u64, other: (u64, String), listener: TcpListener) -> End {
    start_with(me, other, listener, None)
}

fn start_with(me: u64, other: (u64, String), listener: TcpListener, tls: Option<PeerTls>) -> End {
    let (reports_in, reports) = mpsc::channel(16);
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let config = PeersConfig { cluster_id: 7, me, others: [other].into(), tls };
    let peers = Peers::start(&config, vec![listener], &reports_in, &tasks, &stop);
    tasks.close();
    End { peers, reports, tasks, stop }
}

async fn stop(end: End) {
    end.stop.cancel();
    timeout(DEADLINE, end.tasks.wait()).await.unwrap();
}

impl End {
    async fn next(&mut self) -> PeerReport {
        timeout(DEADLINE, self.reports.recv()).await.expect("no report").unwrap()
    }

    async fn until(&mut self, wanted: impl Fn(&PeerReport) -> bool) {
        while !wanted(&self.next().await) {}
    }
}

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

#[tokio::test]
async fn messages_arrive_and_a_dead_process_is_told_from_a_silent_one() {
    let ((here, here_at), (there, there_at)) = (listener().await, listener().await);
    let mut one = start(1, (2, there_at.clone()), here);
    let mut two = start(2, (1, here_at.clone()), there);
    let message = PeerMessage::Transfer { to: 9 };
    one.peers.send(2, &message);
    let wanted = message.clone();
    two.until(move |report| matches!(report, PeerReport::Received { from: 1, message } if *message == wanted)).await;
    stop(two).await;
    one.until(|report| matches!(report, PeerReport::ProcessGone { id: 2 })).await;
    // And it is found again when it is back.
    let there = TcpListener::bind(&there_at).await.unwrap();
    let mut two = start(2, (1, here_at), there);
    one.peers.send(2, &message);
    two.until(move |report| matches!(report, PeerReport::Received { from: 1, message: m } if *m == message)).await;
    stop(one).await;
    stop(two).await;
}

#[tokio::test]
async fn only_members_of_this_cluster_are_listened_to() {
    let (here, address) = listener().await;
    let mut end = start(1, (2, "127.0.0.1:1".to_owned()), here);
    let right = Greeting { cluster_id: 7, from: 2, to: 1 };
    for (greeting, expected) in [
        (Greeting { cluster_id: 8, ..right }, Answer::OtherCluster),
        (Greeting { from: 3, ..right }, Answer::UnknownMember),
        (Greeting { to: 4, ..right }, Answer::WrongMember),
        (right, Answer::Welcome),
    ] {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        frame::write_greeting(&mut stream, greeting).await.unwrap();
        assert_eq!(timeout(DEADLINE, frame::read_answer(&mut stream)).await.unwrap().unwrap(), expected);
        if expected == Answer::Welcome {
            let mut bytes = Vec::new();
            frame::put_message(&PeerMessage::Transfer { to: 5 }.encode(), &mut bytes);
            stream.write_all(&bytes).await.unwrap();
            end.until(|report| matches!(report, PeerReport::Received { from: 2, .. })).await;
            // A length that is none ends the connection.
            stream.write_all(&[0xFF; 8]).await.unwrap();
            let mut ended = [0; 16];
            let read =
                async { while tokio::io::AsyncReadExt::read(&mut stream, &mut ended).await.is_ok_and(|n| n > 0) {} };
            timeout(DEADLINE, read).await.expect("the connection stays open");
        }
    }
    stop(end).await;
}

fn tls(directory: &std::path::Path, shown: &pki::Authority, trusted: &pki::Authority) -> PeerTls {
    tls_of(directory, shown, trusted, "127.0.0.1")
}

fn tls_of(directory: &std::path::Path, shown: &pki::Authority, trusted: &pki::Authority, host: &str) -> PeerTls {
    let now = std::time::SystemTime::now();
    let issued = shown.issue("m", &[host], now, pki::MEMBER_LIFE).unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let certificate = file("cert.pem", &issued.certificate_pem);
    let key = file("key.pem", issued.key_pem.expose());
    let authorities = Some(file("ca.pem", trusted.certificate_pem()));
    let clients = tls::ClientCertificates::Required;
    let server = tls::ServerFiles {
        certificate: certificate.clone(),
        key: key.clone(),
        authorities: authorities.clone(),
        clients,
    };
    let client = tls::ClientFiles { authorities, identity: Some((certificate, key)), ..Default::default() };
    PeerTls { server: tls::ServerTls::open(server, &[]).unwrap(), client: tls::ClientTls::open(client, &[]).unwrap() }
}

/// Whether a message of 2 arrives at 1.
async fn hears(one: Option<PeerTls>, two: Option<PeerTls>) -> bool {
    let ((here, here_at), (there, there_at)) = (listener().await, listener().await);
    let mut one = start_with(1, (2, there_at), here, one);
    let mut two = start_with(2, (1, here_at), there, two);
    let message = PeerMessage::Transfer { to: 9 };
    two.peers.send(1, &message);
    // Either it arrives, or the sender hears that it cannot connect.
    let heard = tokio::select! {
        () = one.until(|report| matches!(report, PeerReport::Received { from: 2, .. })) => true,
        () = two.until(|report| matches!(report, PeerReport::Unreachable { id: 1 })) => false,
    };
    stop(one).await;
    stop(two).await;
    heard
}

#[tokio::test]
async fn with_tls_only_certificates_of_the_clusters_authority_are_listened_to() {
    let now = std::time::SystemTime::now();
    let (ours, foreign) = (pki::Authority::create("ours", now).unwrap(), pki::Authority::create("other", now).unwrap());
    let directories: Vec<_> = (0..5).map(|_| tempfile::tempdir().unwrap()).collect();
    let at = |index: usize| directories[index].path();
    let one = tls(at(0), &ours, &ours);
    assert!(hears(Some(one.clone()), Some(tls(at(1), &ours, &ours))).await);
    assert!(!hears(Some(one.clone()), Some(tls(at(2), &foreign, &ours))).await, "a stranger's certificate");
    let elsewhere = tls_of(at(4), &ours, &ours, "127.0.0.2");
    assert!(!hears(Some(one.clone()), Some(elsewhere)).await, "the authority's, and not the member's");
    assert!(!hears(Some(one.clone()), None).await, "no TLS at all");
    assert!(!hears(Some(tls(at(3), &foreign, &ours)), Some(one)).await, "a stranger in a member's place");
}

#[tokio::test]
async fn a_dead_process_is_told_from_a_silent_one_under_tls_too() {
    let now = std::time::SystemTime::now();
    let ours = pki::Authority::create("ours", now).unwrap();
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let ((here, here_at), (there, there_at)) = (listener().await, listener().await);
    let mut one = start_with(1, (2, there_at.clone()), here, Some(tls(directories[0].path(), &ours, &ours)));
    let mut two = start_with(2, (1, here_at), there, Some(tls(directories[1].path(), &ours, &ours)));
    one.peers.send(2, &PeerMessage::Transfer { to: 9 });
    two.until(|report| matches!(report, PeerReport::Received { from: 1, .. })).await;
    stop(two).await;
    one.until(|report| matches!(report, PeerReport::ProcessGone { id: 2 })).await;
    stop(one).await;
}
