//! Carries out what `ha::sentinel` wants, and reports what happened: time, connections, the disk, processes, names.
//!
//! Deliberately without a decision. The invariant: every effect that has an answer gets one.

mod link_task;
pub mod links;
pub mod resolve;
pub mod save;
pub mod scripts;

use crate::handle::ToSentinel;
use crate::server::client::Life;
use crate::server::listener::Ports;
use crate::world::{Parts, Shared, World};
use ha::sentinel::{Event, Level};
use std::io;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::LocalSet;

/// How often clients are looked at that have been silent for long or do not read.
const CLIENTS_PERIOD: Duration = Duration::from_secs(1);
/// For the last output of clients when the Sentinel ends, such as the answer to SHUTDOWN's sender.
const LAST_WORDS: Duration = Duration::from_millis(50);

/// Until the Sentinel ends; its exit code.
pub fn run(ports: Ports, parts: Parts, told: mpsc::Receiver<ToSentinel>) -> io::Result<i32> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = LocalSet::new();
    let code = local.block_on(&runtime, async {
        let world = World::new(parts);
        ports.serve(&world)?;
        {
            let mut world = world.borrow_mut();
            world.event(Event::Start);
            world.log(Level::Notice, format_args!("Sentinel ID is {}", world.sentinel.my_id()));
        }
        tokio::task::spawn_local(look_at_clients(world.clone()));
        let code = main_loop(&world, told).await;
        tokio::time::sleep(LAST_WORDS).await;
        Ok::<_, io::Error>(code)
    })?;
    // Whatever still runs (a script, a write to a slow disk) does not keep the program.
    runtime.shutdown_background();
    Ok(code)
}

async fn main_loop(world: &Shared, mut told: mpsc::Receiver<ToSentinel>) -> i32 {
    let (rearm, exited) = {
        let world = world.borrow();
        (world.rearm.clone(), world.exited.clone())
    };
    let boot = platform::boot_clock();
    let start = tokio::time::Instant::now();
    loop {
        let due = world.borrow_mut().arm();
        let due = start + Duration::from(due.since(boot));
        tokio::select! {
            biased;
            () = exited.notified() => {}
            message = told.recv() => match message {
                Some(message) => tell(world, message),
                // The handle is gone.
                None => world.borrow_mut().end(0),
            },
            () = rearm.notified() => {}
            () = tokio::time::sleep_until(due) => {
                let mut world = world.borrow_mut();
                world.disarm();
                world.event(Event::Tick);
            }
        }
        if let Some(code) = world.borrow().exit {
            return code;
        }
    }
}

fn tell(world: &Shared, message: ToSentinel) {
    let mut world = world.borrow_mut();
    match message.into_event() {
        Ok(event) => world.event(event),
        Err(ToSentinel::FailoverAnswered { token, answer }) => world.answer(token, answer),
        Err(_shutdown) => world.end(0),
    }
}

/// Ends clients that are silent for longer than `timeout`, and subscribers that are over their soft limit for too long.
async fn look_at_clients(world: Shared) {
    loop {
        tokio::time::sleep(CLIENTS_PERIOD).await;
        let mut world = world.borrow_mut();
        let world = &mut *world;
        let now = world.now();
        let timeout = world.settings.timeout;
        for client in world.clients.values_mut() {
            let subscribed = client.is_subscribed();
            let silent = Duration::from(now.since(client.active_at));
            if !timeout.is_zero() && !subscribed && client.waiting.is_none() && silent > timeout {
                client.kill();
            }
            let limit = if subscribed { world.settings.pubsub_limit } else { world.settings.normal_limit };
            if client.life == Life::Open {
                client.bound_output(now, limit);
            }
        }
    }
}
