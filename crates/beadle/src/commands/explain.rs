//! `beadle explain`: every value that a repository is asked for, the line that set it, and what it overrode.

use anyhow::Context as _;
use beadle_engine::{Clock, Store};
use beadle_repositories::planner::Explanation;
use serde_json::{Value, json};

use crate::cli::ExplainArgs;
use crate::commands::FINE;
use crate::config::Config;
use crate::printer::{Printer, Tone};
use crate::wiring::{self, Opening, Org};

pub(crate) async fn run(config: &Config, args: &ExplainArgs, printer: &Printer) -> anyhow::Result<u8> {
    let clock = Clock::system();
    let (owner, name) = args.repository.split_once('/').context("say OWNER/NAME, as acme/widgets")?;
    let store: Option<std::sync::Arc<dyn Store>> =
        config.database().exists().then(|| wiring::store(config)).transpose()?;
    let opening = Opening { store: store.as_ref(), patient: true, parts: 1 };
    let org = Org::open(config, config.orgs(Some(owner))?[0], &clock, opening)?;
    let explained = org.planner(store.as_ref()).explain(name, args.key.as_deref().unwrap_or("")).await?;
    let explained = explained.with_context(|| format!("there is no repository {}", args.repository))?;
    if args.json {
        printer.line(serde_json::to_string_pretty(&json!(explained))?);
        return Ok(FINE);
    }
    tell(&explained, printer);
    Ok(FINE)
}

fn tell(explained: &Explanation, printer: &Printer) {
    printer.line(printer.paint(Tone::Heading, &explained.repository));
    if let Some(why) = &explained.skipped {
        return printer.line(format!("  it is left alone: {why}"));
    }
    for (file, rank) in &explained.layers {
        printer.line(format!("  reached by {file} (rank {rank})"));
    }
    for (section, why) in &explained.doubtful {
        let label = printer.paint(Tone::Danger, "? unknown");
        printer.line(format!("  {label} {section}: {why}"));
    }
    let widest = explained.values.iter().map(|value| value.path.len()).max().unwrap_or(0);
    for value in &explained.values {
        let place = printer.paint(Tone::Faint, format!("[{}]", value.set_by));
        printer.line(format!("  {:widest$}  {}  {place}", value.path, shown(&value.value)));
        for other in &value.overrode {
            let text = format!("  {:widest$}  overrode {}  [{}]", "", shown(&other.value), other.said_by);
            printer.line(printer.paint(Tone::Faint, text));
        }
    }
    if explained.values.is_empty() {
        printer.line("  nothing is asked for");
    }
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
