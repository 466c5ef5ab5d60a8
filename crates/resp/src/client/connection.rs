//! One connection.

use super::error::ClientError;
use super::target::Target;
use crate::encode::encode_command;
use crate::limits::Limits;
use crate::reply::ReplyDecoder;
use crate::value::Value;
use bytes::BytesMut;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Room for what one read brings. Replies to PING and ROLE fit, INFO takes two or three.
const READ_BYTES: usize = 4096;

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// An open connection that has said who it is.
pub struct Connection {
    sender: Sender,
    receiver: Receiver,
    /// A reply is missing or the bytes made no sense: which reply belongs to which command is no longer known.
    broken: bool,
}

/// The half that sends commands.
pub struct Sender {
    stream: WriteHalf<Box<dyn Stream>>,
    buffer: BytesMut,
}

/// The half that receives replies and, after SUBSCRIBE, messages.
pub struct Receiver {
    stream: ReadHalf<Box<dyn Stream>>,
    buffer: BytesMut,
    decoder: ReplyDecoder,
}

impl Connection {
    /// Connects, and sends AUTH and CLIENT SETNAME as the target says. A server that refuses the name is no error.
    pub async fn open(target: &Target) -> Result<Self, ClientError> {
        match timeout(target.connect_timeout, Self::open_without_end(target)).await {
            Ok(result) => result,
            Err(_) => Err(ClientError::Timeout),
        }
    }

    async fn open_without_end(target: &Target) -> Result<Self, ClientError> {
        let stream = TcpStream::connect((target.address.host.as_str(), target.address.port)).await?;
        stream.set_nodelay(true)?;
        let stream: Box<dyn Stream> = match &target.tls {
            None => Box::new(stream),
            Some(tls) => Box::new(tls.connect(&target.address.host, stream).await?),
        };
        let (reader, writer) = tokio::io::split(stream);
        let mut connection = Self {
            sender: Sender { stream: writer, buffer: BytesMut::new() },
            receiver: Receiver { stream: reader, buffer: BytesMut::new(), decoder: ReplyDecoder::new(Limits::REPLIES) },
            broken: false,
        };
        connection.introduce(target).await?;
        Ok(connection)
    }

    async fn introduce(&mut self, target: &Target) -> Result<(), ClientError> {
        if let Some(password) = &target.password {
            let mut command = vec!["AUTH"];
            command.extend(target.username.as_deref());
            command.push(password.expose());
            self.sender.push(&command);
        }
        if let Some(name) = &target.name {
            self.sender.push(&["CLIENT", "SETNAME", name]);
        }
        self.sender.flush().await?;
        if target.password.is_some()
            && let Value::Error(text) = self.receiver.receive().await?
        {
            return Err(ClientError::Auth(text));
        }
        if target.name.is_some() {
            self.receiver.receive().await?;
        }
        Ok(())
    }

    /// Sends one command and waits for its reply. The server's error replies are `Ok(Value::Error(..))`.
    pub async fn call<A: AsRef<[u8]>>(&mut self, arguments: &[A], patience: Duration) -> Result<Value, ClientError> {
        self.sender.push(arguments);
        let mut replies = self.exchange(1, patience).await?;
        replies.pop().ok_or(ClientError::Closed)
    }

    /// Sends several commands at once and waits for all replies, which come in the order of the commands.
    pub async fn pipeline<A: AsRef<[u8]>>(
        &mut self,
        commands: &[Vec<A>],
        patience: Duration,
    ) -> Result<Vec<Value>, ClientError> {
        for command in commands {
            self.sender.push(command);
        }
        self.exchange(commands.len(), patience).await
    }

    async fn exchange(&mut self, count: usize, patience: Duration) -> Result<Vec<Value>, ClientError> {
        if self.broken {
            return Err(ClientError::Closed);
        }
        // Until all replies are here. A caller that drops this future half-way leaves it so.
        self.broken = true;
        let exchange = async {
            self.sender.flush().await?;
            let mut replies = Vec::with_capacity(count);
            while replies.len() < count {
                match self.receiver.receive().await? {
                    Value::Push(_) => {}
                    reply => replies.push(reply),
                }
            }
            Ok::<_, ClientError>(replies)
        };
        let replies = timeout(patience, exchange).await.map_err(|_| ClientError::Timeout)??;
        self.broken = false;
        Ok(replies)
    }

    /// For pub/sub and for pipelines that do not wait: sending and receiving apart from each other.
    pub fn into_split(self) -> (Sender, Receiver) {
        (self.sender, self.receiver)
    }
}

impl Sender {
    /// Puts a command into the buffer; [`Self::flush`] sends it.
    pub fn push<A: AsRef<[u8]>>(&mut self, arguments: &[A]) {
        encode_command(arguments, &mut self.buffer);
    }

    pub async fn flush(&mut self) -> Result<(), ClientError> {
        self.stream.write_all(&self.buffer).await?;
        self.buffer.clear();
        self.stream.flush().await?;
        Ok(())
    }

    pub async fn send<A: AsRef<[u8]>>(&mut self, arguments: &[A]) -> Result<(), ClientError> {
        self.push(arguments);
        self.flush().await
    }
}

impl Receiver {
    /// The next reply or message; waits without end. Dropping the future loses nothing.
    pub async fn receive(&mut self) -> Result<Value, ClientError> {
        loop {
            if let Some(value) = self.decoder.decode(&mut self.buffer)? {
                return Ok(value);
            }
            self.buffer.reserve(READ_BYTES);
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(ClientError::Closed);
            }
        }
    }
}
