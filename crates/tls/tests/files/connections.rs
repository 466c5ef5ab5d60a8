//! Two ends on this machine.

use crate::directory::Directory;
use std::io;
use std::time::Duration;
use tls::ClientCertificates::{NotAsked, Optional, Required};
use tls::{ClientFiles, ClientTls, ServerTls, Trust, certificate_of};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls::HandshakeKind;

/// Far more than two processes on one machine need.
const PATIENCE: Duration = Duration::from_secs(30);
/// What a slow client gets here.
const SHORT: Duration = Duration::from_millis(200);

/// What became of a connection: whether the server saw a certificate, and how the client's handshake went.
async fn connect(server: &ServerTls, client: &ClientTls) -> io::Result<(bool, HandshakeKind)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let serving = async {
        let mut stream = server.accept(listener.accept().await?.0, PATIENCE).await?;
        stream.write_all(b"!").await?;
        stream.flush().await?;
        // Until the client is done: what it needs to come back quickly is sent meanwhile.
        let _ = stream.read_u8().await;
        Ok(certificate_of(&stream).is_some())
    };
    let connecting = async {
        let mut stream = client.connect("127.0.0.1", TcpStream::connect(address).await?, PATIENCE).await?;
        stream.read_u8().await?;
        stream.write_all(b"!").await?;
        stream.flush().await?;
        Ok(stream.get_ref().1.handshake_kind().unwrap())
    };
    let (shown, kind): (io::Result<bool>, io::Result<HandshakeKind>) = tokio::join!(serving, connecting);
    Ok((shown?, kind?))
}

#[tokio::test]
async fn only_certificates_of_the_authority_get_in() {
    let directory = Directory::new();
    let (ours, foreign) = (directory.authority("ours"), directory.authority("foreign"));
    directory.issue(&ours, "server", "127.0.0.1");
    directory.issue(&ours, "elsewhere", "127.0.0.2");
    directory.issue(&ours, "friend", "127.0.0.1");
    directory.issue(&foreign, "stranger", "127.0.0.1");
    let known = |name: Option<&str>| directory.client(name, "ours");
    let one_of = |hosts: &[&str]| Trust::OneOf(hosts.iter().map(ToString::to_string).collect());
    for (server, clients, client, expected) in [
        ("server", NotAsked, known(None), Some(false)),
        ("server", NotAsked, known(Some("friend")), Some(false)),
        ("server", Optional, known(None), Some(false)),
        ("server", Optional, known(Some("friend")), Some(true)),
        ("server", Optional, known(Some("stranger")), None),
        ("server", Required, known(None), None),
        ("server", Required, known(Some("friend")), Some(true)),
        ("server", Required, known(Some("stranger")), None),
        // The other direction: whom the client believes.
        ("server", NotAsked, directory.client(None, "foreign"), None),
        ("elsewhere", NotAsked, known(None), None),
        ("elsewhere", NotAsked, ClientFiles { trust: Trust::Anybody, ..known(None) }, Some(false)),
        ("elsewhere", NotAsked, ClientFiles { trust: Trust::AnyName, ..known(None) }, Some(false)),
        ("elsewhere", NotAsked, ClientFiles { trust: one_of(&["db", "127.0.0.2"]), ..known(None) }, Some(false)),
        ("elsewhere", NotAsked, ClientFiles { trust: one_of(&["db", "127.0.0.1"]), ..known(None) }, None),
        ("stranger", NotAsked, ClientFiles { trust: Trust::AnyName, ..known(None) }, None),
        ("stranger", NotAsked, ClientFiles { trust: one_of(&["127.0.0.1"]), ..known(None) }, None),
    ] {
        let files = directory.server(server, "ours", clients);
        let result =
            connect(&ServerTls::open(files, &[]).unwrap(), &ClientTls::open(client.clone(), &[]).unwrap()).await;
        assert_eq!(
            result.as_ref().ok().map(|(shown, _)| *shown),
            expected,
            "{server} {clients:?} {client:?}: {result:?}"
        );
    }
}

#[tokio::test]
async fn who_comes_back_needs_no_whole_handshake() {
    let directory = Directory::new();
    let ours = directory.authority("ours");
    for name in ["server", "friend"] {
        directory.issue(&ours, name, "127.0.0.1");
    }
    let server = ServerTls::open(directory.server("server", "ours", Required), &[]).unwrap();
    let client = ClientTls::open(directory.client(Some("friend"), "ours"), &[]).unwrap();
    assert_eq!(connect(&server, &client).await.unwrap(), (true, HandshakeKind::Full));
    assert_eq!(connect(&server, &client).await.unwrap(), (true, HandshakeKind::Resumed));
}

#[tokio::test]
async fn a_new_certificate_is_in_force_when_it_is_whole_and_not_before() {
    let directory = Directory::new();
    let (old, new) = (directory.authority("old"), directory.authority("new"));
    directory.issue(&old, "server", "127.0.0.1");
    let server = ServerTls::open(directory.server("server", "old", NotAsked), &[]).unwrap();
    let trusting = |ca: &str| ClientTls::open(directory.client(None, ca), &[]).unwrap();
    let works = async |ca: &str| connect(&server, &trusting(ca)).await.is_ok();
    assert!(works("old").await && !works("new").await);

    // Half of the change: the certificate is new, the key is not.
    let next = new.issue("server", &["127.0.0.1"], std::time::SystemTime::now(), pki::MEMBER_LIFE).unwrap();
    directory.write("server.pem", &next.certificate_pem);
    server.refresher().refresh();
    assert!(works("old").await, "what was read before stays in force");
    directory.write("server.key", "");
    server.refresher().refresh();
    assert!(works("old").await);
    directory.write("server.key", next.key_pem.expose());
    server.refresher().refresh();
    assert!(works("new").await && !works("old").await);

    // A client's, too: its next connection shows the new one.
    directory.issue(&old, "friend", "127.0.0.1");
    let strict = ServerTls::open(directory.server("server", "new", Required), &[]).unwrap();
    let client = ClientTls::open(directory.client(Some("friend"), "new"), &[]).unwrap();
    assert!(connect(&strict, &client).await.is_err());
    assert_eq!(client.generation(), 0);
    directory.issue(&new, "friend", "127.0.0.1");
    client.refresher().refresh();
    assert_eq!(client.generation(), 1);
    assert!(connect(&strict, &client).await.is_ok());
    client.refresher().refresh();
    assert_eq!(client.generation(), 1, "nothing has changed");
}

#[tokio::test]
async fn a_handshake_that_does_not_go_on_ends_with_its_time() {
    let directory = Directory::new();
    directory.issue(&directory.authority("ours"), "server", "127.0.0.1");
    let server = ServerTls::open(directory.server("server", "ours", NotAsked), &[]).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    // Nothing; the beginning of a greeting; another protocol.
    for (bytes, expected) in [
        (&b""[..], io::ErrorKind::TimedOut),
        (b"\x16\x03\x01\x02\x00\x01", io::ErrorKind::TimedOut),
        (b"GET / HTTP/1.1\r\n\r\n", io::ErrorKind::InvalidData),
    ] {
        let mut slow = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        slow.write_all(bytes).await.unwrap();
        let accepted = server.accept(listener.accept().await.unwrap().0, SHORT).await;
        assert_eq!(accepted.unwrap_err().kind(), expected);
    }
}

/// Known by no more than the digest of its authority's certificate.
#[tokio::test]
async fn a_server_is_believed_by_the_digest_of_its_authority_alone() {
    let directory = Directory::new();
    let (ours, foreign) = (directory.authority("ours"), directory.authority("foreign"));
    for (name, authority, shown, address) in [
        ("whole", &ours, Some(&ours), "127.0.0.1"),
        ("alone", &ours, None, "127.0.0.1"),
        ("elsewhere", &ours, Some(&ours), "127.0.0.2"),
        // Anybody can show our authority's certificate behind one that it has not signed.
        ("impostor", &foreign, Some(&ours), "127.0.0.1"),
        ("stranger", &foreign, Some(&foreign), "127.0.0.1"),
    ] {
        let mut issued = authority.issue(name, &[address], std::time::SystemTime::now(), pki::MEMBER_LIFE).unwrap();
        issued.certificate_pem.push_str(shown.map_or("", |shown| shown.certificate_pem()));
        directory.keep(name, &issued);
    }
    for (server, believed) in
        [("whole", true), ("alone", false), ("elsewhere", false), ("impostor", false), ("stranger", false)]
    {
        let tls = ServerTls::open(directory.server(server, "ours", Optional), &[]).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = async { tls.accept(listener.accept().await.unwrap().0, PATIENCE).await };
        let connecting = async {
            let config = tls::pinned_client(ours.fingerprint().0, &[]).unwrap();
            let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
            let stream = TcpStream::connect(address).await.unwrap();
            connector.connect("127.0.0.1".try_into().unwrap(), stream).await
        };
        let (_served, connected) = tokio::join!(serving, connecting);
        assert_eq!(connected.is_ok(), believed, "{server}: {connected:?}");
    }
}
