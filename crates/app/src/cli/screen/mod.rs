//! `quorate watch`: the cluster on the whole terminal, for as long as somebody looks.
//!
//! Deliberately a client of the public REST API with nothing to press but the key that ends it: what changes something asks
//! first, and a picture that moves is no place to answer.

mod feed;
mod overview;
mod picture;
mod terminal;

use super::arguments::ScreenArguments;
use super::context::Context;
use super::failure::Failure;
use super::output;
use feed::News;
use jiff::tz::TimeZone;
use picture::{Seen, picture};
use std::io::IsTerminal;
use std::time::{Duration, Instant};
use terminal::{Input, Terminal};
use tokio::sync::mpsc;

/// Pieces of news that wait to be drawn.
const NEWS_MAX: usize = 8;
/// How often a silence is said anew, with how long it lasts. Otherwise only news is drawn.
const SILENCE_TICK: Duration = Duration::from_secs(1);

pub async fn watch(context: &Context, arguments: ScreenArguments) -> Result<(), Failure> {
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return Err(Failure::usage("cli-no-terminal", "watch draws on a terminal, and this is none")
            .hint("for a file or another program: quorate list -w 2"));
    }
    let target = context.target(arguments.cluster.as_deref(), arguments.group).await?;
    let (sender, news) = mpsc::channel(NEWS_MAX);
    let feed = feed::run(&context.api, &target.dcs, target.cluster, sender);
    let terminal = Terminal::take(output::in_colour())?;
    tokio::select! {
        shown = show(&terminal, news) => shown,
        () = feed => Ok(()),
    }
}

async fn show(terminal: &Terminal, mut news: mpsc::Receiver<News>) -> Result<(), Failure> {
    let mut inputs = terminal::inputs()?;
    let mut seen = Seen::default();
    let mut lost: Option<(String, Instant)> = None;
    let zone = TimeZone::system();
    loop {
        let (columns, rows) = Terminal::size()?;
        seen.lost = lost.as_ref().map(|(why, since)| (why.clone(), since.elapsed().as_secs()));
        terminal.draw(&picture(&seen, columns, rows, &zone))?;
        tokio::select! {
            input = inputs.recv() => match input {
                Some(Input::Resized) => {}
                Some(Input::End) | None => return Ok(()),
            },
            Some(news) = news.recv() => match news {
                News::Overview(overview) => {
                    seen.overview = Some(*overview);
                    lost = None;
                }
                News::Notes(notes) => seen.notes = notes,
                News::Lost(why) => {
                    let since = lost.map_or_else(Instant::now, |(_, since)| since);
                    lost = Some((why, since));
                }
            },
            () = tokio::time::sleep(SILENCE_TICK), if lost.is_some() => {}
        }
    }
}
