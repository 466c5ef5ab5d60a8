//! A wire that can be cut: passes bytes between a client and one endpoint, until told to misbehave.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    Whole,
    /// Connections are closed, and new ones at once.
    Cut,
    /// Connections stay open and nothing passes: a frozen host.
    Silent,
    /// Requests arrive, answers do not.
    OneWay,
}

/// Stands between the client and an endpoint.
pub struct Link {
    address: String,
    wire: watch::Sender<Wire>,
    task: JoinHandle<()>,
}

impl Link {
    pub async fn to(endpoint: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address").to_string();
        let (wire, state) = watch::channel(Wire::Whole);
        let endpoint = endpoint.to_owned();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, endpoint.clone(), state.clone()));
            }
        });
        Self { address, wire, task }
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn set(&self, wire: Wire) {
        self.wire.send_replace(wire);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(client: TcpStream, endpoint: String, mut state: watch::Receiver<Wire>) {
    let passing = [Wire::Whole, Wire::OneWay];
    if *state.borrow_and_update() == Wire::Cut {
        return;
    }
    let Ok(server) = TcpStream::connect(endpoint).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((client_read, client_write), (server_read, server_write)) = (client.into_split(), server.into_split());
    tokio::select! {
        () = copy(client_read, server_write, state.clone(), &passing) => {}
        () = copy(server_read, client_write, state.clone(), &passing[..1]) => {}
        _ = state.wait_for(|wire| *wire == Wire::Cut) => {}
    }
}

/// Passes on what comes while the wire is in one of the `passing` states, and holds it back otherwise.
async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut state: watch::Receiver<Wire>, passing: &[Wire]) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(bytes @ 1..) = from.read(&mut buffer).await {
        if state.wait_for(|wire| passing.contains(wire)).await.is_err() || to.write_all(&buffer[..bytes]).await.is_err()
        {
            return;
        }
    }
}
