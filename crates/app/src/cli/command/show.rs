//! `list`, `topology`, `history`.

use crate::cli::arguments::{GroupArgument, HistoryArguments, ListArguments, TopologyArguments};
use crate::cli::context::{Context, Target, refuse_group};
use crate::cli::failure::Failure;
use crate::cli::render::{self, Clusters, Format};
use crate::cli::{local_time, output, watch};
use dcs::Dcs;
use types::Scope;

pub async fn list(context: &Context, arguments: ListArguments) -> Result<(), Failure> {
    let clusters = stores(context, &arguments.clusters, arguments.group)?;
    let interval = watch::interval(arguments.watch)?;
    let (format, extended) = (arguments.format.format, arguments.extended);
    watch::draw_every(interval, async || {
        let time = if arguments.timestamp { format!("{}\n", local_time::second()) } else { String::new() };
        Ok(time + &draw(&clusters, format, extended).await?)
    })
    .await
}

pub async fn topology(context: &Context, arguments: TopologyArguments) -> Result<(), Failure> {
    let clusters = stores(context, &arguments.clusters, arguments.group)?;
    let interval = watch::interval(arguments.watch)?;
    watch::draw_every(interval, async || draw(&clusters, Format::Topology, false).await).await
}

pub async fn history(context: &Context, arguments: HistoryArguments) -> Result<(), Failure> {
    let target = context.target(arguments.cluster.as_deref(), arguments.group).await?;
    let lines = target.cluster.history.map(|history| history.value).unwrap_or_default();
    output::emit(&render::history(&lines, arguments.format.format))
}

/// The members, as they are printed before and after an action.
pub fn print_members(target: &Target) -> Result<(), Failure> {
    let of = Clusters { scope: &target.scope, cluster: &target.cluster };
    output::emit(&render::members(&of, Format::Pretty, false))
}

fn stores(context: &Context, names: &[String], group: GroupArgument) -> Result<Vec<(Scope, Dcs)>, Failure> {
    refuse_group(group)?;
    let scopes = match names {
        [] => vec![context.scope(None)?],
        names => names.iter().map(|name| Scope::new(name.as_str())).collect(),
    };
    scopes.into_iter().map(|scope| Ok((scope.clone(), context.store(&scope)?))).collect()
}

async fn draw(clusters: &[(Scope, Dcs)], format: Format, extended: bool) -> Result<String, Failure> {
    let mut text = String::new();
    for (scope, dcs) in clusters {
        let cluster = dcs.load().await?;
        for (key, why) in &cluster.unreadable {
            eprintln!("The key '{key}' of {scope} cannot be read: {why}");
        }
        text += &render::scope(&Clusters { scope, cluster: &cluster }, format, extended);
    }
    Ok(text)
}
