//! `explain`: why the present leader leads, and what keeps every other member from it.

use crate::cli::api::Method;
use crate::cli::arguments::{ExplainArguments, GroupArgument};
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::cli::render::{self, Format};
use serde_json::Value;

pub async fn explain(context: &Context, arguments: ExplainArguments) -> Result<(), Failure> {
    let target = context.target(arguments.cluster.as_deref(), GroupArgument { group: None }).await?;
    let asked = context.api.first_answer(&target.cluster, Method::Get, "quorate/explain", None).await;
    let answered = match asked {
        Ok((name, answer)) if answer.status == 200 => serde_json::from_str::<Value>(&answer.text)
            .ok()
            .filter(Value::is_object)
            .map(|value| (name.to_string(), value)),
        _ => None,
    };
    let (from, explanation) = answered.unwrap_or_else(|| {
        // A real Patroni does not know the question; the store's keys are enough for most of the answer.
        eprintln!("No member explained itself; this is concluded from the store alone");
        (String::new(), render::explanation_from_store(&target.cluster))
    });
    match arguments.format.format {
        Format::Json => output::line(&console::json_text(&explanation)),
        Format::Yaml => output::emit(&config::yaml_from_json(&explanation)),
        Format::Pretty | Format::Tsv | Format::Topology => output::emit(&render::explanation(&explanation, &from)),
    }
}
