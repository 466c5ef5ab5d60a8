//! Servers for the tests: real Redis processes, real Sentinels, and ours.

pub mod process;

use resp::Value;
use resp::client::{Connection, Target};
use sentinel::{Handle, Settings};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// For everything that should happen soon. Generous, because machines that run tests are busy.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// A port that nobody listens on. Somebody could take it before we do, which the tests would show.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("bound").port()
}

/// One of ours, in this process.
pub struct Ours {
    pub port: u16,
    pub file: PathBuf,
    handle: Handle,
    _directory: tempfile::TempDir,
}

impl Ours {
    /// `lines`: the configuration without `port`.
    pub fn start(lines: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("sentinel.conf");
        let port = free_port();
        std::fs::write(&file, format!("port {port}\nbind 127.0.0.1\n{lines}\n")).expect("written");
        let handle = start(&file);
        Self { port, file, handle, _directory: directory }
    }

    /// With the file and the port of another one that has ended.
    pub fn take_over(file: &Path, port: u16) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        Self { port, file: file.to_owned(), handle: start(file), _directory: directory }
    }

    pub async fn stop(mut self) {
        self.handle.tell(sentinel::ToSentinel::Shutdown);
        self.handle.ended().await;
    }

    /// Ends it and starts it again with the same file.
    pub async fn restart(&mut self) {
        self.handle.tell(sentinel::ToSentinel::Shutdown);
        self.handle.ended().await;
        self.handle = start(&self.file);
    }

    pub async fn ended(&mut self) -> i32 {
        self.handle.ended().await
    }

    pub async fn connect(&self) -> Connection {
        connect(self.port).await
    }

    pub async fn ask(&self, command: &str) -> Value {
        ask(self.port, command).await
    }
}

fn start(file: &Path) -> Handle {
    let settings = Settings::from_file(file, &[]).expect("a valid configuration");
    sentinel::start(settings, None).expect("started")
}

pub async fn connect(port: u16) -> Connection {
    wait_for(&format!("port {port} to answer"), || async {
        Connection::open(&Target::plain("127.0.0.1", port)).await.ok()
    })
    .await
}

/// One command on a connection of its own. Words are separated by blanks, with Redis's quotes.
pub async fn ask(port: u16, command: &str) -> Value {
    call(&mut connect(port).await, command).await
}

pub async fn call(connection: &mut Connection, command: &str) -> Value {
    let words = resp::split_arguments(command.as_bytes()).expect("balanced quotes");
    connection.call(&words, PATIENCE).await.expect("a reply")
}

/// Until it says `Some`.
pub async fn wait_for<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A field of a flat array such as SENTINEL MASTER's reply.
pub fn field(value: &Value, name: &str) -> Option<String> {
    value
        .as_pairs()?
        .into_iter()
        .find(|(key, _)| key.as_bytes() == Some(name.as_bytes()))
        .and_then(|(_, value)| value.as_text().map(std::borrow::Cow::into_owned))
}

pub fn text(value: &Value) -> String {
    match value {
        Value::Error(text) => format!("-{text}"),
        Value::Integer(number) => format!(":{number}"),
        Value::Array(items) => format!("[{}]", items.iter().map(text).collect::<Vec<_>>().join(", ")),
        Value::Null | Value::NullArray => "null".to_owned(),
        other => other.as_text().map_or_else(|| format!("{other:?}"), std::borrow::Cow::into_owned),
    }
}
