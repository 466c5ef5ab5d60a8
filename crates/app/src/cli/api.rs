//! Requests to the members' REST API, as `patronictl` sends them.

use super::failure::Failure;
use crate::certificates::{client_files, http_client};
use config::{ClientTls, User};
use ha::cluster::{Cluster, Member};
use serde_json::Value;
use std::sync::OnceLock;
use std::time::Duration;
use types::MemberName;

/// A member that does not take the connection within this time is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Most requests are answered at once; a switchover when it is over.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// A restart may have a long checkpoint in front of it.
pub const RESTART_TIMEOUT: Duration = Duration::from_secs(11 * 60);
/// An answer is some kilobytes at most.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
const SECURED: &str = "https://";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
    Patch,
    Delete,
}

/// What a member answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub text: String,
}

/// No answer. The difference decides whether the request may be made in another way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// Nobody took the request.
    NotSent(String),
    /// It was sent; what became of it is not known.
    Unknown(String),
}

impl NoAnswer {
    pub fn why(&self) -> &str {
        match self {
            Self::NotSent(why) | Self::Unknown(why) => why,
        }
    }
}

pub struct Api {
    client: reqwest::Client,
    /// Made when a member has an `https` address: until then nobody misses a certificate.
    secured: OnceLock<Result<reqwest::Client, String>>,
    tls: ClientTls,
    user: Option<User>,
}

impl Api {
    pub fn new(user: Option<&User>, tls: ClientTls) -> Self {
        let client = builder().build().unwrap_or_default();
        Self { client, secured: OnceLock::new(), tls, user: user.cloned() }
    }

    fn client_for(&self, url: &str) -> Result<&reqwest::Client, NoAnswer> {
        if !url.starts_with(SECURED) {
            return Ok(&self.client);
        }
        let make = || {
            let opened = tls::ClientTls::open(client_files(&self.tls), &[tls::HTTP1]);
            let opened = opened.map_err(|error| format!("{error} (hint: {})", error.hint()))?;
            http_client(builder(), &opened).map_err(|error| error.to_string())
        };
        self.secured.get_or_init(make).as_ref().map_err(|why| NoAnswer::NotSent(why.clone()))
    }

    /// `path` without a slash in front, such as `switchover`.
    pub async fn request(
        &self,
        member: &Member,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, NoAnswer> {
        self.request_within(member, method, path, body, ANSWER_TIMEOUT).await
    }

    pub async fn request_within(
        &self,
        member: &Member,
        method: Method,
        path: &str,
        body: Option<&Value>,
        timeout: Duration,
    ) -> Result<Answer, NoAnswer> {
        self.send(member, method, path, body, timeout).await.map(|(answer, _)| answer)
    }

    /// With the time that the member gave its answer, in HTTP's form.
    pub async fn get_with_date(
        &self,
        member: &Member,
        path: &str,
        timeout: Duration,
    ) -> Result<(Answer, Option<String>), NoAnswer> {
        self.send(member, Method::Get, path, None, timeout).await
    }

    /// An answer that goes on: its head, and the body as it comes. Without a limit in time.
    pub async fn open(&self, member: &Member, path: &str) -> Result<reqwest::Response, NoAnswer> {
        let url = url(&member.data.api_url, path).map_err(NoAnswer::NotSent)?;
        self.client_for(&url)?.get(url).send().await.map_err(|error| no_answer(&error))
    }

    async fn send(
        &self,
        member: &Member,
        method: Method,
        path: &str,
        body: Option<&Value>,
        timeout: Duration,
    ) -> Result<(Answer, Option<String>), NoAnswer> {
        let url = url(&member.data.api_url, path).map_err(NoAnswer::NotSent)?;
        let method = match method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Patch => reqwest::Method::PATCH,
            Method::Delete => reqwest::Method::DELETE,
        };
        let mut request = self.client_for(&url)?.request(method.clone(), url).timeout(timeout);
        if let (Some(user), true) = (&self.user, method != reqwest::Method::GET) {
            request = request.basic_auth(&user.username, user.password.as_ref().map(config::Secret::expose));
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let mut response = request.send().await.map_err(|error| no_answer(&error))?;
        let status = response.status().as_u16();
        let date = response.headers().get(reqwest::header::DATE).and_then(|date| date.to_str().ok()).map(str::to_owned);
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| no_answer(&error))? {
            if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(NoAnswer::Unknown(format!("the answer is longer than {ANSWER_BYTES_MAX} bytes")));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok((Answer { status, text: String::from_utf8_lossy(&bytes).trim_end().to_owned() }, date))
    }

    /// The first answer of a member, the leader asked first. Whoever is not there is named on standard error.
    pub async fn first_answer<'a>(
        &self,
        cluster: &'a Cluster,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(&'a MemberName, Answer), NoMember> {
        let mut tried = 0;
        for (name, member) in leader_first(cluster) {
            tried += 1;
            match self.request(member, method, path, body).await {
                Ok(answer) => return Ok((name, answer)),
                Err(NoAnswer::NotSent(why)) => eprintln!("Member {name} is not accessible: {why}"),
                Err(NoAnswer::Unknown(why)) if method == Method::Get => {
                    eprintln!("Member {name} did not answer: {why}");
                }
                Err(NoAnswer::Unknown(why)) => return Err(NoMember::Unknown { name: name.clone(), why }),
            }
        }
        Err(NoMember::None { tried })
    }
}

/// No member took a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoMember {
    None {
        tried: usize,
    },
    /// One took it and did not say what became of it, so it was not sent to another.
    Unknown {
        name: MemberName,
        why: String,
    },
}

impl From<NoMember> for Failure {
    fn from(none: NoMember) -> Self {
        match none {
            NoMember::None { tried: 0 } => Self::new("cli-no-member", "the cluster has no member with a REST API"),
            NoMember::None { .. } => Self::new("cli-no-member", "Can not find accessible cluster member"),
            NoMember::Unknown { name, why } => {
                Self::new("cli-outcome-unknown", format!("{name} took the request and did not answer: {why}"))
                    .hint("look at the result before trying again: quorate list")
            }
        }
    }
}

/// The members with a REST API, the leader in front.
pub fn leader_first(cluster: &Cluster) -> Vec<(&MemberName, &Member)> {
    let mut members: Vec<_> = cluster.members.iter().filter(|(_, member)| !member.data.api_url.is_empty()).collect();
    members.sort_by_key(|(name, _)| (!cluster.is_leader(name), *name));
    members
}

/// `api_url` is `http://host:port/patroni`, or `https`; the path is put in the place of its last part.
fn url(api_url: &str, path: &str) -> Result<String, String> {
    let Some((scheme, rest)) = api_url.split_once("://") else {
        return Err("it has told no address of its REST API".to_owned());
    };
    if !matches!(scheme, "http" | "https") {
        return Err(format!("its REST API uses {scheme}, which is not spoken here"));
    }
    let host = rest.split('/').next().unwrap_or_default();
    Ok(format!("{scheme}://{host}/{path}"))
}

fn builder() -> reqwest::ClientBuilder {
    // Members are addressed directly; a proxy for the web is not in between.
    reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).no_proxy()
}

fn no_answer(error: &reqwest::Error) -> NoAnswer {
    // The source says what happened ("connection refused"); the error itself repeats the URL.
    let mut why = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        why = inner.to_string();
        source = inner.source();
    }
    if error.is_connect() || error.is_builder() { NoAnswer::NotSent(why) } else { NoAnswer::Unknown(why) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_made_from_what_the_member_told() {
        assert_eq!(url("http://10.0.0.1:8008/patroni", "switchover").unwrap(), "http://10.0.0.1:8008/switchover");
        assert_eq!(url("http://[::1]:8008/patroni", "quorate/explain").unwrap(), "http://[::1]:8008/quorate/explain");
        assert_eq!(url("https://10.0.0.1:8008/patroni", "x").unwrap(), "https://10.0.0.1:8008/x");
        assert!(url("ftp://10.0.0.1:8008/patroni", "x").is_err());
        assert!(url("", "x").is_err());
    }
}
