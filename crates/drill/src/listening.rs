//! A thread at the switch that hears every frame, until it is dropped.
//!
//! Deliberately ignorant of what is in them. The invariant: when it has started, no frame that passes is missed but for want of
//! room in the kernel.

use crate::net::enter;
use anyhow::{Context, Result};
use rustix::net::sockopt::{Timeout, set_socket_recv_buffer_size, set_socket_timeout};
use rustix::net::{AddressFamily, Protocol, RecvFlags, SocketType, recv, socket};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// What of a frame is passed on: Ethernet, the longest headers of IP and TCP, and the beginning of what is in them.
const FRAME_BYTES: usize = 14 + 60 + 60 + crate::eavesdrop::BEGINNING_BYTES;
/// How often one that hears nothing looks whether it is to end.
const LOOK: Duration = Duration::from_millis(20);
const BUFFER_BYTES: usize = 8 << 20;

#[derive(Debug)]
pub(crate) struct Listening<T> {
    heard: Arc<Mutex<T>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl<T: Default + Send + 'static> Listening<T> {
    /// `hear` makes something of one frame.
    pub fn start(namespace: &str, name: &str, hear: fn(&mut T, &[u8])) -> Result<Self> {
        let (heard, stop) = (Arc::<Mutex<T>>::default(), Arc::<AtomicBool>::default());
        let (found, stopped, namespace) = (heard.clone(), stop.clone(), namespace.to_owned());
        let (ready, is_ready) = channel();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            // A socket stays in the namespace it was made in, and so does this thread.
            match enter(&namespace).and_then(|()| listening_socket()) {
                Ok(socket) => {
                    let _ = ready.send(Ok(()));
                    let mut frame = [0; FRAME_BYTES];
                    while !stopped.load(Ordering::Acquire) {
                        let Ok((length, _)) = recv(&socket, &mut frame, RecvFlags::empty()) else { continue };
                        hear(&mut lock(&found), &frame[..length.min(FRAME_BYTES)]);
                    }
                }
                Err(error) => drop(ready.send(Err(error))),
            }
        })?;
        is_ready.recv().with_context(|| format!("the {name} ended at once"))??;
        Ok(Self { heard, stop, thread: Some(thread) })
    }

    pub fn heard(&self) -> MutexGuard<'_, T> {
        lock(&self.heard)
    }
}

impl<T> Drop for Listening<T> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn listening_socket() -> Result<OwnedFd> {
    const EVERY_PROTOCOL: u16 = 0x0003; // ETH_P_ALL
    let every = std::num::NonZeroU32::new(EVERY_PROTOCOL.to_be().into()).map(Protocol::from_raw);
    let listening = socket(AddressFamily::PACKET, SocketType::RAW, every).context("cannot listen on the switch")?;
    set_socket_timeout(&listening, Timeout::Recv, Some(LOOK))?;
    set_socket_recv_buffer_size(&listening, BUFFER_BYTES)?;
    Ok(listening)
}
