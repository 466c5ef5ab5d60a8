//! Addresses that the provider routes (Hetzner's failover addresses): led here while this host is to have them.
//!
//! Deliberately nothing of network cards: the provider asks that the address is set on every server for good. The invariant:
//! the address is asked for only before the moment that was promised last, as an address on a card is held. Since there is one
//! route, it never leads to two servers; a request of an old holder that comes late is put right by the next look.

mod robot;

use config::HetznerConfig;
use platform::boot_clock;
use robot::{Robot, RobotError, own_address};
use std::net::IpAddr;
use std::time::Duration;
use tokio::sync::watch;
use types::Millis;

/// Looks after the address leads here, each this long after the one before: a request of the old holder may be under way. The service
/// allows a hundred looks in an hour.
const LOOK_AFTER: [Duration; 4] =
    [Duration::from_secs(5), Duration::from_secs(30), Duration::from_secs(120), Duration::from_secs(300)];
/// Pauses after a failure, the last one from then on. The service allows fifty changes in an hour.
const AGAIN_AFTER: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(30), Duration::from_secs(90)];
/// After a third wrong password the service hears nobody here for ten minutes.
const AGAIN_AFTER_LOGIN: Duration = Duration::from_secs(300);

/// What became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// The provider has said that it leads here, and it is still to do so.
    pub here: bool,
    pub problem: Option<String>,
}

/// The one who asks for it. Dropping it ends the asking.
#[derive(Debug)]
pub struct Asked {
    until: watch::Sender<Option<Millis>>,
    route: watch::Receiver<Route>,
}

impl Asked {
    /// Starts the task that leads `ip` here when it is asked to. Reads the credentials.
    pub fn start(ip: IpAddr, config: &HetznerConfig) -> Result<Self, String> {
        let robot = Robot::new(&config.api_url, &config.credentials_file, ip)?;
        let own = match config.server_ip {
            Some(own) => own,
            None => own_address(ip).map_err(|error| {
                format!("this server's main address cannot be found: {error}\nhint: name it in server_ip")
            })?,
        };
        let (until, asked) = watch::channel(None);
        let (report, route) = watch::channel(Route::default());
        tokio::spawn(Leading { ip, robot, own, asked, report }.run());
        Ok(Self { until, route })
    }

    /// To lead here up to `until`, a time of the boot clock, or not any more.
    pub fn ask(&self, until: Option<Millis>) {
        self.until.send_replace(until);
    }

    pub fn is_asked(&self) -> bool {
        is_asked(*self.until.borrow())
    }

    pub fn route(&self) -> Route {
        self.route.borrow().clone()
    }
}

struct Leading {
    ip: IpAddr,
    robot: Robot,
    own: IpAddr,
    asked: watch::Receiver<Option<Millis>>,
    report: watch::Sender<Route>,
}

impl Leading {
    async fn run(mut self) {
        loop {
            if self.asked.wait_for(|until| is_asked(*until)).await.is_err() {
                return;
            }
            let mut asked = self.asked.clone();
            let over = async move {
                // Nobody who could ask any more is the same.
                let _ = asked.wait_for(Option::is_none).await;
            };
            let Self { ip, robot, own, asked, report } = &self;
            tokio::select! {
                biased;
                () = over => {}
                () = keep_leading(*ip, robot, *own, asked, report) => {}
            }
            self.report.send_replace(Route::default());
            if self.asked.has_changed().is_err() {
                return;
            }
        }
    }
}

fn is_asked(until: Option<Millis>) -> bool {
    until.is_some_and(|until| boot_clock() < until)
}

/// Until what was promised is over.
async fn keep_leading(
    ip: IpAddr,
    robot: &Robot,
    own: IpAddr,
    asked: &watch::Receiver<Option<Millis>>,
    report: &watch::Sender<Route>,
) {
    let (mut looks, mut failures) = (0, 0);
    while is_asked(*asked.borrow()) {
        let led = match robot.active_server().await {
            Ok(Some(server)) if server == own => Ok(Some(server)),
            // The look took its time.
            Ok(_) if !is_asked(*asked.borrow()) => return,
            Ok(before) => {
                looks = 0;
                tracing::info!(address = %ip, "the failover address leads to {}; it is led here, to {own}", shown(before));
                robot.lead_to(own).await
            }
            Err(error) => Err(error),
        };
        let pause = match led {
            Ok(Some(server)) if server == own => {
                if !report.borrow().here {
                    tracing::info!(address = %ip, "the failover address leads here");
                }
                report.send_replace(Route { here: true, problem: None });
                failures = 0;
                looks += 1;
                LOOK_AFTER[(looks - 1).min(LOOK_AFTER.len() - 1)]
            }
            Ok(server) => fail(report, &mut failures, format!("it was led to {own}, and leads to {}", shown(server))),
            Err(error @ RobotError::Login { .. }) => {
                fail(report, &mut failures, error.to_string());
                AGAIN_AFTER_LOGIN
            }
            Err(error) => fail(report, &mut failures, error.to_string()),
        };
        tokio::time::sleep(pause).await;
    }
}

fn fail(report: &watch::Sender<Route>, failures: &mut usize, problem: String) -> Duration {
    if report.borrow().problem.as_deref() != Some(&problem) {
        tracing::error!("{problem}");
    }
    report.send_replace(Route { here: false, problem: Some(problem) });
    *failures += 1;
    AGAIN_AFTER[(*failures - 1).min(AGAIN_AFTER.len() - 1)]
}

fn shown(server: Option<IpAddr>) -> String {
    server.map_or_else(|| "no server".to_owned(), |server| server.to_string())
}
