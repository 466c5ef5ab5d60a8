//! Hetzner's web service "Robot", as far as failover addresses go: where one leads, and lead it elsewhere.
//!
//! Source: https://robot.hetzner.com/doc/webservice/en.html, section Failover.

use serde::Deserialize;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;
use types::Secret;

/// The service answers when the route is changed, which it says may take most of a minute.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(90);
const ALREADY_THERE: &str = "FAILOVER_ALREADY_ROUTED";

/// Why a request came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum RobotError {
    /// After three of these the service refuses everything from this host for ten minutes.
    #[error(
        "Hetzner's web service does not accept user and password\nhint: they are those of a web service user, in {file}"
    )]
    Login { file: String },
    #[error("Hetzner's web service refuses: {message} ({code})")]
    Refused { code: String, message: String },
    #[error("Hetzner's web service cannot be reached: {0}")]
    Unreachable(#[from] reqwest::Error),
    #[error("Hetzner's web service answers with status {status} and something else than expected")]
    NotUnderstood { status: u16 },
}

/// One failover address.
#[derive(Debug)]
pub struct Robot {
    http: reqwest::Client,
    url: String,
    user: String,
    password: Secret,
    credentials_file: String,
}

#[derive(Deserialize)]
struct Answer {
    failover: Option<Failover>,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Failover {
    active_server_ip: Option<IpAddr>,
}

#[derive(Deserialize)]
struct Refusal {
    code: String,
    message: String,
}

impl Robot {
    pub fn new(api_url: &str, credentials_file: &Path, ip: IpAddr) -> Result<Self, String> {
        let shown = credentials_file.display().to_string();
        let text = std::fs::read_to_string(credentials_file).map_err(|error| {
            format!("{shown}: {error}\nhint: the file has two lines, user=\"...\" and pass=\"...\", of a web service user of Hetzner's Robot")
        })?;
        let (user, password) = credentials(&text).ok_or_else(|| {
            format!("{shown}: there is no user or no password in it\nhint: expected are two lines, user=\"...\" and pass=\"...\"")
        })?;
        let http =
            reqwest::Client::builder().timeout(REQUEST_TIME_MAX).redirect(reqwest::redirect::Policy::none()).build();
        Ok(Self {
            http: http.map_err(|error| error.to_string())?,
            url: format!("{}/failover/{ip}", api_url.trim_end_matches('/')),
            user,
            password,
            credentials_file: shown,
        })
    }

    /// The server that the address leads to; `None`: to nobody.
    pub async fn active_server(&self) -> Result<Option<IpAddr>, RobotError> {
        self.answer(self.http.get(&self.url)).await
    }

    /// Leads the address to `server`, and returns where it leads now.
    pub async fn lead_to(&self, server: IpAddr) -> Result<Option<IpAddr>, RobotError> {
        let form = format!("active_server_ip={server}");
        let request = self.http.post(&self.url).header("Content-Type", "application/x-www-form-urlencoded").body(form);
        match self.answer(request).await {
            Err(RobotError::Refused { code, .. }) if code == ALREADY_THERE => Ok(Some(server)),
            other => other,
        }
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> Result<Option<IpAddr>, RobotError> {
        let response = request.basic_auth(&self.user, Some(self.password.expose())).send().await?;
        let status = response.status().as_u16();
        if status == 401 {
            return Err(RobotError::Login { file: self.credentials_file.clone() });
        }
        let answer: Answer = response.json().await.map_err(|_| RobotError::NotUnderstood { status })?;
        match answer {
            Answer { error: Some(Refusal { code, message }), .. } => Err(RobotError::Refused { code, message }),
            Answer { failover: Some(failover), .. } => Ok(failover.active_server_ip),
            Answer { failover: None, error: None } => Err(RobotError::NotUnderstood { status }),
        }
    }
}

/// `user="..."` and `pass="..."`, each on a line of its own.
fn credentials(text: &str) -> Option<(String, Secret)> {
    let value = |wanted: &[&str]| {
        text.lines().find_map(|line| {
            let (name, value) = line.split_once('=')?;
            wanted.contains(&name.trim()).then(|| value.trim().trim_matches('"').to_owned())
        })
    };
    let (user, password) = (value(&["user"])?, value(&["pass", "password"])?);
    (!user.is_empty() && !password.is_empty()).then(|| (user, Secret::new(password)))
}

/// The address with which this host would go to the provider's side of the world. Nothing is sent.
pub fn own_address(like: IpAddr) -> std::io::Result<IpAddr> {
    /// Any address beyond the own networks does.
    const FAR_V4: Ipv4Addr = Ipv4Addr::new(8, 8, 8, 8);
    const FAR_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0x4860, 0x4860, 0, 0, 0, 0, 0x8888);
    let (from, far): (IpAddr, IpAddr) = if like.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED.into(), FAR_V4.into())
    } else {
        (Ipv6Addr::UNSPECIFIED.into(), FAR_V6.into())
    };
    let socket = UdpSocket::bind(SocketAddr::new(from, 0))?;
    socket.connect(SocketAddr::new(far, 53))?;
    Ok(socket.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_password_are_found_however_they_are_written() {
        for text in ["user=\"u\"\npass=\"p=1\"\n", "pass = p=1\n# note\nuser = u", "user=u\r\npassword=p=1\r\n"] {
            let (user, password) = credentials(text).unwrap();
            assert_eq!((user.as_str(), password.expose()), ("u", "p=1"), "{text:?}");
        }
        for text in ["", "user=u", "user=\"\"\npass=\"p\"", "name=u\npass=p"] {
            assert!(credentials(text).is_none(), "{text:?}");
        }
    }
}
