//! One client's connection: reads commands, has them carried out one after the other, writes what comes of it.

use super::client::{Life, OUTPUT_BYTES_BEFORE_NEXT_COMMAND};
use crate::command;
use crate::world::Shared;
use bytes::{Buf, BytesMut};
use resp::{Limits, RequestDecoder, Value};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;

/// Room for one read. Commands to a Sentinel are short.
const READ_BYTES: usize = 4096;

/// Until the client or the server ends it.
pub async fn run<S: AsyncRead + AsyncWrite>(world: &Shared, id: u64, wake: &Notify, stream: S) {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut input = BytesMut::new();
    let mut output = BytesMut::new();
    let mut decoder = RequestDecoder::new(Limits::UNAUTHENTICATED);
    loop {
        let Some(turn) = turn(world, id, &mut decoder, &mut input, &mut output) else { return };
        if output.is_empty() && turn.ending {
            // Whatever the other side does with it: we are done.
            let _ = writer.shutdown().await;
            return;
        }
        tokio::select! {
            () = wake.notified() => {}
            read = read(&mut reader, &mut input), if turn.may_read => match read {
                Ok(count) if count > 0 => {
                    if let Some(client) = world.borrow_mut().clients.get_mut(&id) {
                        client.bytes_in += count as u64;
                    }
                }
                Ok(_) | Err(_) => return,
            },
            written = writer.write(&output), if !output.is_empty() => match written {
                Ok(count) if count > 0 => {
                    output.advance(count);
                    let done = output.is_empty();
                    if let Some(client) = world.borrow_mut().clients.get_mut(&id) {
                        client.bytes_out += count as u64;
                        client.writing = output.len();
                    }
                    if done {
                        output = BytesMut::new();
                        if writer.flush().await.is_err() {
                            return;
                        }
                    }
                }
                Ok(_) | Err(_) => return,
            },
        }
    }
}

async fn read(reader: &mut (impl AsyncRead + Unpin), input: &mut BytesMut) -> std::io::Result<usize> {
    input.reserve(READ_BYTES);
    reader.read_buf(input).await
}

struct Turn {
    may_read: bool,
    ending: bool,
}

/// Carries out the commands that are complete, and takes the output that is to be written next. `None`: the end.
fn turn(
    world: &Shared,
    id: u64,
    decoder: &mut RequestDecoder,
    input: &mut BytesMut,
    output: &mut BytesMut,
) -> Option<Turn> {
    let mut world = world.borrow_mut();
    // Only when everything that has arrived is carried out more is read: what waits here is never more than one read and
    // one incomplete command.
    let may_read = loop {
        let client = world.clients.get_mut(&id)?;
        let clogged = client.output_bytes() > OUTPUT_BYTES_BEFORE_NEXT_COMMAND;
        if client.life != Life::Open || client.waiting.is_some() || clogged {
            break false;
        }
        decoder.set_limits(if client.user.is_some() { Limits::COMMANDS } else { Limits::UNAUTHENTICATED });
        match decoder.decode(input) {
            Ok(None) => break true,
            Ok(Some(words)) => command::execute(&mut world, id, &words),
            Err(error) => {
                client.push(&Value::Error(format!("ERR {error}")));
                client.end_after_output();
                input.clear();
            }
        }
    };
    if input.is_empty() && input.capacity() > READ_BYTES {
        *input = BytesMut::new();
    }
    let client = world.clients.get_mut(&id)?;
    if output.is_empty() {
        *output = client.output.split();
        client.output = BytesMut::new();
        client.writing = output.len();
    }
    match client.life {
        Life::Killed => None,
        Life::Open => Some(Turn { may_read, ending: false }),
        Life::Ending => Some(Turn { may_read: false, ending: client.output.is_empty() }),
    }
}
