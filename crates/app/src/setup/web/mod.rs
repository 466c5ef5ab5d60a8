//! The wizard in the browser: a server on this machine for one person, until the person is done.
//!
//! The invariants: nothing is answered to whoever does not have the address that was printed; what changes something comes
//! from the page itself; and no password leaves the process, except in a join line, which is what it is for.

mod api;
mod door;

use super::bridge::Home;
use super::{Setting, SetupArguments, first_plan, machine};
use crate::cli::{EXIT_DONE, Failure};
use api::Wizard;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::process::Child;
use tokio_util::sync::CancellationToken;

pub fn run(setting: &Setting, arguments: &SetupArguments) -> Result<i32, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let child = runtime.block_on(serve(setting.clone(), arguments))?;
    // What still runs on a thread of the runtime is a look at this machine.
    runtime.shutdown_background();
    match child {
        None => Ok(EXIT_DONE),
        Some(child) => wait_for_agent(child),
    }
}

/// Until the person is done. Returns the agent, when it was started below this command.
async fn serve(setting: Setting, arguments: &SetupArguments) -> Result<Option<Child>, Failure> {
    writable(&setting.home)?;
    let listen = SocketAddr::new(arguments.listen, arguments.port);
    let listener = tokio::net::TcpListener::bind(listen).await.map_err(|error| {
        Failure::usage("setup-listen", format!("the page cannot be served at {listen}: {error}"))
            .hint("name another port with --port, or none, and a free one is taken")
    })?;
    let machine = machine::look().await;
    let draft = first_plan::begin(&setting.home, &machine)?;
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    platform::on_termination(move || stopping.cancel())?;
    let random = |error: plan::SecretsError| Failure::new("setup-random", error.to_string());
    let key = plan::password().map_err(random)?;
    let address = listener.local_addr()?;
    let url = format!("http://{}/?key={}", host_and_port(address), key.expose());
    let wizard = Wizard::new(setting, machine, draft, key, stop.clone()).map_err(random)?;
    announce(&url, address)?;
    let agent = wizard.agent();
    console::serve(listener, None, wizard, stop.cancelled_owned()).await;
    Ok(agent.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take())
}

/// On standard output only the address, for a script; the sentences are for people.
fn announce(url: &str, address: SocketAddr) -> Result<(), Failure> {
    eprintln!("Open this address in a browser on this machine; whoever has it can set the cluster up:\n");
    let mut out = std::io::stdout();
    writeln!(out, "{url}").and_then(|()| out.flush())?;
    eprintln!(
        "\nFrom another machine: ssh -L {0}:{1} THIS-SERVER, and then the same address there.\nCtrl-C ends the wizard; what was typed is kept.",
        address.port(),
        host_and_port(address)
    );
    Ok(())
}

fn host_and_port(address: SocketAddr) -> String {
    match address.ip() {
        IpAddr::V4(ip) => format!("{ip}:{}", address.port()),
        IpAddr::V6(ip) => format!("[{ip}]:{}", address.port()),
    }
}

/// Better now than after ten minutes of typing.
fn writable(home: &Home) -> Result<(), Failure> {
    home.prepare()?;
    tempfile::tempfile_in(home.directory()).map(drop).map_err(|error| {
        Failure::usage("setup-home", format!("nothing can be written to {}: {error}", home.directory().display()))
            .hint("run it as root (an administrator), or name a directory of your own with --directory")
    })
}

/// The page is closed; the agent goes on here. Being asked to end is passed on to it.
fn wait_for_agent(mut child: Child) -> Result<i32, Failure> {
    let (ask, asked) = std::sync::mpsc::sync_channel(1);
    platform::on_termination(move || {
        let _ = ask.try_send(());
    })?;
    eprintln!("The page is closed; the agent goes on below this command. Ctrl-C stops it.");
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.code().unwrap_or(crate::cli::EXIT_FAILED));
        }
        if asked.recv_timeout(AGENT_LOOK_EVERY).is_ok() {
            platform::ask_to_end(&mut child)?;
        }
    }
}

/// How soon the end of the agent is noticed.
const AGENT_LOOK_EVERY: std::time::Duration = std::time::Duration::from_millis(200);
