//! What the page asks and does.

use super::door::{Door, asks_for_this_machine, is_from_the_page};
use crate::cli::Failure;
use crate::setup::bridge::{self, Home};
use crate::setup::draft::{self, Draft};
use crate::setup::machine::Machine;
use crate::setup::preview::{self, preview};
use crate::setup::{Setting, check, first_plan, progress, write};
use axum::body::{Body, to_bytes};
use axum::http::header::{CONTENT_TYPE, HeaderValue, LOCATION, SET_COOKIE};
use axum::http::{Method, Request, Response, StatusCode};
use plan::{Ports, Promise, SecretsError, has_errors};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::process::Child;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use types::{MemberName, Secret};

/// A plan of a hundred members is a tenth of it.
const BODY_BYTES_MAX: usize = 256 * 1024;
/// Long enough to walk to the other server.
const TOKEN_LIFE: Duration = Duration::from_secs(60 * 60);

/// The agent, when it runs below this command.
pub type Agent = Arc<Mutex<Option<Child>>>;

pub struct Wizard {
    setting: Setting,
    machine: Machine,
    door: Door,
    draft: Mutex<Draft>,
    /// By member: the identity of the token that was made for it last.
    invited: Mutex<BTreeMap<MemberName, String>>,
    /// One change of files at a time.
    writing: tokio::sync::Mutex<()>,
    agent: Agent,
    stop: CancellationToken,
}

#[derive(Deserialize)]
struct MemberOnly {
    member: String,
}

type Answer = Result<Value, Failure>;

impl Wizard {
    pub fn new(
        setting: Setting,
        machine: Machine,
        draft: Draft,
        key: Secret,
        stop: CancellationToken,
    ) -> Result<Self, SecretsError> {
        let door = Door { key, session: plan::password()? };
        Ok(Self {
            setting,
            machine,
            door,
            draft: Mutex::new(draft),
            invited: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
            agent: Agent::default(),
            stop,
        })
    }

    pub fn agent(&self) -> Agent {
        self.agent.clone()
    }

    fn home(&self) -> &Home {
        &self.setting.home
    }

    async fn api(&self, what: &str, method: &Method, body: &[u8]) -> Option<Answer> {
        Some(match (method.as_str(), what) {
            ("GET", "state") => Ok(self.state()),
            ("GET", "progress") => self.progress().await,
            ("POST", "draft") => self.keep(body),
            ("POST", "check") => self.check(body).await,
            ("POST", "preview") => self.preview(body),
            ("POST", "write") => self.write(body).await,
            ("POST", "start") => self.start().await,
            ("POST", "invite") => self.invite(body),
            ("POST", "close") => {
                self.stop.cancel();
                Ok(json!({}))
            }
            _ => return None,
        })
    }

    /// Everything that the page begins with.
    fn state(&self) -> Value {
        let draft = lock(&self.draft).clone();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "home": self.home().directory(),
            "origin": first_plan::origin(self.home()),
            "written": self.home().member_file().exists(),
            "written_member": first_plan::written_member(self.home()),
            "passwords": preview::passwords(self.home()),
            "run": self.setting.run,
            "start": self.setting.start,
            "plan": draft.plan,
            "member": draft.member,
            "machine": self.machine,
            "promises": Promise::all(),
            "ports": Ports::default(),
        })
    }

    /// While somebody types: what is wrong with the plan itself, at once.
    fn keep(&self, body: &[u8]) -> Answer {
        let draft: Draft = read(body)?;
        let findings = draft.plan.findings();
        draft::write(self.home(), &draft)?;
        *lock(&self.draft) = draft;
        Ok(json!({ "findings": findings }))
    }

    async fn check(&self, body: &[u8]) -> Answer {
        let Draft { plan, member } = read(body)?;
        let findings = write::findings(self.home(), &plan, &MemberName::new(member)).await;
        Ok(json!({ "findings": findings, "runs": check::runs(self.home()) }))
    }

    fn preview(&self, body: &[u8]) -> Answer {
        let Draft { plan, member } = read(body)?;
        // A plan with errors renders files that nobody should see.
        let findings = plan.findings();
        if has_errors(&findings) {
            return Err(crate::setup::refused(&findings));
        }
        Ok(json!(preview(&self.setting, &plan, &MemberName::new(member))?))
    }

    async fn write(&self, body: &[u8]) -> Answer {
        let Draft { plan, member } = read(body)?;
        let _alone = self.writing.lock().await;
        let findings = write::write(self.home(), &plan, &MemberName::new(member.clone())).await?;
        *lock(&self.draft) = Draft { plan, member };
        Ok(json!({ "findings": findings, "runs": check::runs(self.home()) }))
    }

    async fn start(&self) -> Answer {
        let _alone = self.writing.lock().await;
        if check::runs(self.home()) {
            return Ok(json!({ "text": "The member runs already." }));
        }
        let (home, run, agent) = (self.home().clone(), self.setting.run, self.agent());
        let start = move || {
            if run {
                *lock(&agent) = Some(bridge::agent_below(&home)?);
                return Ok("The agent runs below quorate setup.");
            }
            bridge::start_service(&home).map(|()| "The member is started, and will be with the system.")
        };
        let started = tokio::task::spawn_blocking(start).await;
        let text = started.map_err(|error| Failure::new("setup-start", error.to_string()))??;
        Ok(json!({ "text": text }))
    }

    async fn progress(&self) -> Answer {
        let plan = lock(&self.draft).plan.clone();
        let progress = progress::look(self.home(), &plan).await;
        let invited = lock(&self.invited).clone();
        let open = bridge::open_tokens(self.home())?;
        // A token that is gone before its time was used.
        let used = |identity: &String| !open.contains(identity);
        let joined: Vec<&MemberName> =
            invited.iter().filter(|(_, identity)| used(identity)).map(|(name, _)| name).collect();
        let ended = match lock(&self.agent).as_mut().map(Child::try_wait) {
            Some(Ok(Some(status))) => Some(status.to_string()),
            Some(Ok(None) | Err(_)) | None => None,
        };
        Ok(json!({ "progress": progress, "joined": joined, "agent_ended": ended }))
    }

    /// A line to copy to another server.
    fn invite(&self, body: &[u8]) -> Answer {
        let MemberOnly { member } = read(body)?;
        let name = MemberName::new(member);
        let (identity, line) = bridge::join_line(self.home(), &name, TOKEN_LIFE)?;
        lock(&self.invited).insert(name, identity);
        Ok(json!({ "line": line.expose(), "minutes": TOKEN_LIFE.as_secs() / 60 }))
    }
}

impl console::Service for Wizard {
    const NAME: &'static str = "set-up page";

    async fn respond(&self, _peer: IpAddr, request: Request<Body>) -> Response<Body> {
        let (head, body) = request.into_parts();
        if !asks_for_this_machine(&head.headers) {
            return text(StatusCode::MISDIRECTED_REQUEST, "this page is served for 127.0.0.1 and localhost only");
        }
        if head.method == Method::GET && head.uri.path() == "/" && self.door.key_fits(head.uri.query()) {
            return self.let_in();
        }
        if !self.door.is_signed_in(&head.headers) {
            return text(
                StatusCode::UNAUTHORIZED,
                "open the whole address that `quorate setup` has printed, with its key",
            );
        }
        let Some(what) = head.uri.path().strip_prefix("/api/") else {
            return if head.method == Method::GET {
                console::setup_page(head.uri.path())
            } else {
                text(StatusCode::METHOD_NOT_ALLOWED, "there is only GET here")
            };
        };
        if head.method != Method::GET && !is_from_the_page(&head.headers) {
            return text(StatusCode::FORBIDDEN, "the request does not come from the page itself");
        }
        let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
            return text(StatusCode::PAYLOAD_TOO_LARGE, "the request is too large");
        };
        match self.api(what, &head.method, &body).await {
            None => text(StatusCode::NOT_FOUND, "there is no such thing"),
            Some(Ok(value)) => json_answer(StatusCode::OK, &value),
            Some(Err(failure)) => {
                let Failure { code, message, hint, .. } = failure;
                json_answer(StatusCode::CONFLICT, &json!({ "code": code, "message": message, "hint": hint }))
            }
        }
    }
}

impl Wizard {
    /// The key goes into a cookie, and out of the address.
    fn let_in(&self) -> Response<Body> {
        let mut response = text(StatusCode::SEE_OTHER, "");
        let headers = response.headers_mut();
        headers.insert(LOCATION, HeaderValue::from_static("/"));
        if let Ok(cookie) = HeaderValue::try_from(self.door.cookie()) {
            headers.insert(SET_COOKIE, cookie);
        }
        response
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body)
        .map_err(|error| Failure::usage("setup-request", format!("the request cannot be read: {error}")))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner) // whole at every moment
}

fn text(status: StatusCode, text: &'static str) -> Response<Body> {
    answer(status, "text/plain; charset=utf-8", Body::from(text))
}

fn json_answer(status: StatusCode, value: &Value) -> Response<Body> {
    answer(status, "application/json", Body::from(value.to_string()))
}

fn answer(status: StatusCode, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    console::protect(&mut response);
    response
}
