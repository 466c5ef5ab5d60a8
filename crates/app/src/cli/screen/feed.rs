//! Where the picture comes from: the stream of one member's REST API, and of the next one when that falls silent.
//!
//! Deliberately not the leader's as long as another member answers, because the leader's death is what one wants to see. Nothing
//! is asked again and again: the member says when something changes.

use super::overview::{Note, Overview};
use crate::cli::api::{Api, Method, leader_first};
use dcs::Dcs;
use ha::cluster::{Cluster, Member};
use std::time::Duration;
use tokio::sync::mpsc;

/// A member that lives says at least every 3 s that it does.
const SILENCE_MAX: Duration = Duration::from_secs(7);
/// Between two rounds in which nobody answered.
const ROUND_PAUSE: Duration = Duration::from_secs(1);
/// What happened is looked up in milliseconds.
const NOTES_PATIENCE: Duration = Duration::from_secs(3);
/// An overview of a large cluster is some tens of kilobytes.
const EVENT_BYTES_MAX: usize = 1024 * 1024;
const STREAM: &str = "quorate/stream";

#[derive(Debug)]
pub enum News {
    Overview(Box<Overview>),
    Notes(Vec<Note>),
    Lost(String),
}

/// Until nobody listens.
pub async fn run(api: &Api, dcs: &Dcs, mut cluster: Cluster, news: mpsc::Sender<News>) {
    loop {
        let members: Vec<Member> = leader_first(&cluster).into_iter().rev().map(|(_, member)| member.clone()).collect();
        if members.is_empty()
            && news.send(News::Lost("the cluster has no member with a REST API".into())).await.is_err()
        {
            return;
        }
        for member in members {
            let why = match follow(api, &member, &news).await {
                Ok(()) => return,
                Err(why) => why,
            };
            if news.send(News::Lost(why)).await.is_err() {
                return;
            }
        }
        tokio::time::sleep(ROUND_PAUSE).await;
        // Members may have come and gone. Without the store those that are known are tried again.
        if let Ok(now) = dcs.load().await {
            cluster = now;
        }
    }
}

/// `Ok`: nobody listens any more. Otherwise why the member has fallen silent.
async fn follow(api: &Api, member: &Member, news: &mpsc::Sender<News>) -> Result<(), String> {
    let mut stream = api.open(member, STREAM).await.map_err(|none| none.why().to_owned())?;
    if stream.status().as_u16() != 200 {
        return Err(format!("it answered {}", stream.status()));
    }
    let mut events = Events::default();
    loop {
        let chunk = match tokio::time::timeout(SILENCE_MAX, stream.chunk()).await {
            Ok(Ok(Some(chunk))) => chunk,
            Ok(Ok(None)) => return Err("it closed the connection".to_owned()),
            Ok(Err(error)) => return Err(error.without_url().to_string()),
            Err(_) => return Err(format!("nothing was heard for {} s", SILENCE_MAX.as_secs())),
        };
        if let Some(data) = events.push(&chunk)? {
            let overview = serde_json::from_str(&data).map_err(|error| format!("it is not understood: {error}"))?;
            if news.send(News::Overview(overview)).await.is_err() {
                return Ok(());
            }
            let notes = notes(api, member).await.unwrap_or_default();
            if !notes.is_empty() && news.send(News::Notes(notes)).await.is_err() {
                return Ok(());
            }
        }
    }
}

async fn notes(api: &Api, member: &Member) -> Option<Vec<Note>> {
    let answer = api.request_within(member, Method::Get, "quorate/notes", None, NOTES_PATIENCE).await.ok()?;
    serde_json::from_str(&answer.text).ok()
}

/// Server-sent events, put together of what the network brings.
#[derive(Default)]
struct Events {
    bytes: Vec<u8>,
}

impl Events {
    /// The data of the event that this completes; of several the newest, for each says everything.
    fn push(&mut self, chunk: &[u8]) -> Result<Option<String>, String> {
        if self.bytes.len() + chunk.len() > EVENT_BYTES_MAX {
            return Err(format!("it sent more than {EVENT_BYTES_MAX} bytes at once"));
        }
        self.bytes.extend_from_slice(chunk);
        let mut newest = None;
        while let Some(end) = self.bytes.windows(2).position(|pair| pair == b"\n\n") {
            let event: Vec<u8> = self.bytes.drain(..end + 2).collect();
            let event = String::from_utf8_lossy(&event).into_owned();
            let is_overview = event.lines().any(|line| line == "event: overview");
            let data = event.lines().find_map(|line| line.strip_prefix("data: ")).filter(|_| is_overview);
            newest = data.map(str::to_owned).or(newest);
        }
        Ok(newest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_put_together_and_the_newest_counts() {
        let mut events = Events::default();
        assert_eq!(events.push(b"retry: 300\n\nevent: overview\nda").unwrap(), None);
        assert_eq!(events.push(b"ta: {\"a\":1}\n").unwrap(), None);
        let more = b"\nevent: overview\ndata: {\"a\":2}\n\nevent: alive\ndata: {}\n\nevent: overview\ndata: {";
        assert_eq!(events.push(more).unwrap().as_deref(), Some("{\"a\":2}"));
        assert_eq!(events.push(b"}\n\n").unwrap().as_deref(), Some("{}"));
        assert!(events.push(&vec![b'x'; EVENT_BYTES_MAX + 1]).is_err());
    }
}
