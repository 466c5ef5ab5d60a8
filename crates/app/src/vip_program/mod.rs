//! A virtual address alone: `quorate vip FILE`, and this program under the name of `vip-manager`.
//!
//! It has no part in the leadership: it follows what a key says. So unlike the agent's own virtual addresses, which are
//! bound to the lease, it cannot promise that the address is gone before another host has it; how long it may stay when
//! nobody answers is `dcs-timeout`. What it does promise: the key is read again and again and not only watched, an
//! address that nobody confirms goes by itself, also when this program is frozen or killed, and every signal that ends the
//! program ends the address with it.

mod holder;
mod settings;
mod source;

use crate::failover_ip::Asked as FailoverIp;
use holder::{CardHolder, Holder};
use platform::{Addresses, boot_clock, missing_privilege_for_addresses};
use settings::{Asked, DcsType, Settings};
use source::{Answer, Source};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tls::{ClientFiles, ClientTls, HTTP1, HTTP2};
use tokio::sync::{Notify, mpsc};
use tracing_subscriber::EnvFilter;
use types::{Millis, Revision};

/// The name under which this program is a virtual address and nothing else.
const NAME: &str = "vip-manager";
const EXIT_REFUSED: i32 = 1;
/// A question that is not answered in half of the time that the address may stay is asked again while it stays.
const QUESTIONS_PER_TIMEOUT: u32 = 2;
/// After a signal: tries to remove the address.
const REMOVALS_MAX: u32 = 20;

pub fn is_its_name() -> bool {
    let Some(name) = std::env::args_os().next() else { return false };
    Path::new(&name).file_stem().is_some_and(|stem| stem.eq_ignore_ascii_case(NAME))
}

/// As `vip-manager`: arguments from the process.
pub fn run_as_program() -> i32 {
    let arguments: Vec<String> = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    run(&arguments)
}

/// As `quorate vip FILE ...`.
pub fn run_with_file(mut arguments: Vec<String>) -> i32 {
    if arguments.first().is_some_and(|first| !first.starts_with('-')) {
        arguments.insert(0, "--config".to_owned());
    }
    run(&arguments)
}

fn run(arguments: &[String]) -> i32 {
    let env: BTreeMap<String, String> = std::env::vars().collect();
    let settings = match settings::read(arguments, &env, &platform::host_name()) {
        Ok(Asked::Run(settings)) => *settings,
        Ok(Asked::Help(text)) => {
            print!("{text}");
            return 0;
        }
        Ok(Asked::Version) => {
            println!("vip-manager (quorate {})", env!("CARGO_PKG_VERSION"));
            return 0;
        }
        Err(problem) => return refuse(&problem),
    };
    let level = if settings.verbose { "debug" } else { "info" };
    let filter = EnvFilter::try_from_env("QUORATE_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
    platform::set_process_name(NAME);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = runtime
        .map_err(|error| error.to_string())
        .and_then(|runtime| runtime.block_on(async { follow(&settings, prepare(&settings)?).await }));
    done.map_or_else(|problem| refuse(&problem), |()| 0)
}

fn refuse(problem: &str) -> i32 {
    eprintln!("{NAME}: {problem}");
    EXIT_REFUSED
}

/// Inside the runtime.
fn prepare(settings: &Settings) -> Result<Holder, String> {
    if let Some(hetzner) = &settings.hetzner {
        return FailoverIp::start(settings.address.ip, hetzner).map(Holder::Provider);
    }
    let mut addresses = Addresses::open().map_err(|error| error.to_string())?;
    settings::check_interface(&mut addresses, &settings.address)?;
    if let Some(missing) = missing_privilege_for_addresses() {
        return Err(format!("{missing} is missing, so the address cannot be set\nhint: run it as root"));
    }
    Ok(Holder::Card(Box::new(CardHolder::new(addresses, settings.address.clone()))))
}

async fn follow(settings: &Settings, mut holder: Holder) -> Result<(), String> {
    let tls = settings.tls.clone().map(|files| open(files, settings.dcs_type)).transpose()?;
    let refreshers = tls.iter().map(ClientTls::refresher).collect();
    tokio::spawn(tls::keep_fresh(refreshers, Arc::new(Notify::new())));
    let source = Source::new(settings, tls, settings.dcs_timeout / QUESTIONS_PER_TIMEOUT)?;
    let (ends, mut ended) = mpsc::channel::<()>(1);
    platform::on_every_termination(move || {
        // One that does not fit follows another.
        let _ = ends.try_send(());
    })
    .map_err(|error| format!("signals cannot be received: {error}"))?;
    if let Err(error) = platform::notify_service_manager("READY=1\n") {
        tracing::warn!("systemd could not be notified: {error}");
    }
    tracing::info!("{} is held while {} is '{}'", settings.address, settings.trigger_key, settings.trigger_value);
    // Whatever another program, or this one before, has left.
    holder.release();
    tokio::select! {
        () = keep_asking(settings, &source, &mut holder) => {}
        _ = ended.recv() => {}
    }
    tracing::info!("told to end");
    for _ in 0..REMOVALS_MAX {
        holder.release();
        if !holder.is_here() {
            return Ok(());
        }
        tokio::time::sleep(ha::guard::REMOVE_AGAIN_AFTER.into()).await;
        holder.tick();
    }
    Err(format!("{} could not be removed", settings.address))
}

fn open(files: ClientFiles, dcs_type: DcsType) -> Result<ClientTls, String> {
    let protocol = match dcs_type {
        DcsType::Etcd => HTTP2,
        DcsType::Patroni => HTTP1,
    };
    ClientTls::open(files, &[protocol]).map_err(|error| format!("{error}\nhint: {}", error.hint()))
}

async fn keep_asking(settings: &Settings, source: &Source, holder: &mut Holder) {
    let mut saying = Saying::default();
    let mut changed = Box::pin(source.changed(Revision(0)));
    let mut watched = false;
    loop {
        let asked = boot_clock();
        let answer = while_holding(holder, source.read()).await;
        let mut pause = settings.interval;
        match &answer {
            Ok(Answer { value, .. }) if value.as_deref() == Some(settings.trigger_value.as_str()) => {
                holder.hold(asked + milliseconds(settings.dcs_timeout));
                if !holder.is_here() {
                    pause = pause.min(settings.retry_after);
                }
            }
            Ok(_) if holder.is_here() => holder.release(),
            Ok(_) => {}
            Err(_) => pause = pause.min(settings.retry_after),
        }
        saying.say(settings, &answer);
        if let Ok(answer) = &answer
            && !watched
        {
            changed = Box::pin(source.changed(answer.version));
            watched = true;
        }
        let waiting = async {
            tokio::select! {
                () = &mut changed, if watched => true,
                () = tokio::time::sleep(pause) => false,
            }
        };
        if while_holding(holder, waiting).await {
            watched = false;
        }
    }
}

/// Waits, and meanwhile lets the address fall in time and announces it.
async fn while_holding<T>(holder: &mut Holder, waiting: impl Future<Output = T>) -> T {
    tokio::pin!(waiting);
    loop {
        let tick = holder.next_tick().map(|at| Duration::from(at.since(boot_clock())));
        tokio::select! {
            done = &mut waiting => return done,
            () = tokio::time::sleep(tick.unwrap_or(Duration::MAX)), if tick.is_some() => holder.tick(),
        }
    }
}

fn milliseconds(duration: Duration) -> Millis {
    Millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

/// Says what is new, once.
#[derive(Default)]
struct Saying {
    last: Option<Result<Option<String>, String>>,
}

impl Saying {
    fn say(&mut self, settings: &Settings, answer: &Result<Answer, String>) {
        let news = answer.as_ref().map(|answer| answer.value.clone()).map_err(Clone::clone);
        // The words of a failure may differ from one to the next.
        let same = match (&self.last, &news) {
            (Some(Ok(before)), Ok(now)) => before == now,
            (Some(Err(_)), Err(_)) => true,
            (Some(_) | None, _) => false,
        };
        if same {
            return;
        }
        let (key, mine) = (&settings.trigger_key, &settings.trigger_value);
        match &news {
            Ok(Some(value)) if value == mine => tracing::info!("{key} is '{value}': the address belongs here"),
            Ok(Some(value)) => {
                tracing::info!("{key} is '{value}', and this host holds the address for '{mine}'");
                if value.eq_ignore_ascii_case(mine) || value.trim() == mine.trim() {
                    tracing::warn!(
                        "hint: they differ only in spelling; trigger-value must be exactly what is in the key"
                    );
                }
            }
            Ok(None) => tracing::info!("{key} does not exist: the address belongs nowhere"),
            Err(why) => tracing::warn!(
                "nobody answers for {key} ({why}); the address stays for at most {} ms",
                settings.dcs_timeout.as_millis()
            ),
        }
        self.last = Some(news);
    }
}
