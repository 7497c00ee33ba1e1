//! `beadle explain`: shows each declared value, the line that sets the value, and the overridden
//! lines. The command also shows the values that a layer removes.

use std::sync::Arc;

use anyhow::Context as _;
use beadle_groups::sweep::named;
use beadle_repositories::planner::Explanation;
use beadle_repositories::policy::{Did, Explained};
use serde_json::{Value, json};

use crate::app::application::App;
use crate::app::connections::budget_and_cache_options::ClientOptions;
use crate::app::store;
use crate::cli::ExplainArgs;
use crate::commands::FINE;
use crate::config::Config;
use crate::output::plans_and_results::waived_line;
use crate::output::policy_links::PolicyLinks;
use crate::output::printer::{Printer, Tone};

pub(crate) async fn run(config: &Arc<Config>, args: &ExplainArgs, printer: &Printer) -> anyhow::Result<u8> {
    if let Some(name) = &args.group {
        return group(config, name, args.json, printer).await;
    }
    let repository = args.repository.as_deref().unwrap_or_default();
    let (owner, name) = repository.split_once('/').with_context(|| {
        format!("the repository must be OWNER/NAME, such as `acme/widgets`, found `{repository}`")
    })?;
    let store = store::open_if_there(config).await?;
    let app = App::new(config, ClientOptions { store, ..ClientOptions::PATIENT });
    let org = app.organisation(config.orgs(Some(owner))?[0]).await?;
    let planner = org.planner(app.store()).only_looking();
    let explained = planner.explain(name, args.key.as_deref().unwrap_or("")).await?;
    let explained = explained.with_context(|| {
        format!("repository `{repository}` does not exist, or the App has no access to it")
    })?;
    if args.json {
        let mut shown = json!(explained);
        if let Some(links) = org.links() {
            add_links(&mut shown, &links);
        }
        printer.json(&serde_json::to_string_pretty(&shown)?);
        return Ok(FINE);
    }
    tell(&explained, args.key.as_deref(), printer);
    for line in org.links().iter().flat_map(PolicyLinks::lines) {
        printer.line(printer.paint(Tone::Faint, format!("  {line}")));
    }
    Ok(FINE)
}

/// For each value, adds the address of the line that sets the value.
fn add_links(shown: &mut Value, links: &PolicyLinks) {
    for value in shown["values"].as_array_mut().into_iter().flatten() {
        if let Some(link) = value["set_by"].as_str().and_then(|line| links.link_of(line)) {
            value["link"] = json!(link);
        }
    }
}

/// Shows the sources of a group, and the mapping that selects these sources.
async fn group(config: &Arc<Config>, name: &str, as_json: bool, printer: &Printer) -> anyhow::Result<u8> {
    let store = store::open_if_there(config).await?;
    let app = App::new(config, ClientOptions { store, ..ClientOptions::PATIENT });
    let directories = app.directories_with_policies().await?;
    let mut any = false;
    for target in directories.targets.values() {
        let planner = target.planner(app.store(), &app.clock);
        for source in target.directory.sources.keys() {
            let found = named(source, &target.directory, app.store()).await?;
            for one in found.iter().filter(|one| one.is_called(name)) {
                any = true;
                let explained = planner.explain(&one.key).await?;
                if as_json {
                    printer.json(&serde_json::to_string(&explained)?);
                    continue;
                }
                printer.line(printer.paint(Tone::Heading, &explained.subject));
                printer.line(format!("  key      {}", explained.key));
                for (group, by) in &explained.sources {
                    let place = printer.paint(Tone::Faint, format!("[{by}]"));
                    printer.line(format!("  source   {group}  {place}"));
                }
                let mapping = explained.mapping.as_ref().and_then(Value::as_object);
                for (key, value) in mapping.into_iter().flatten().filter(|(_, value)| has_content(value)) {
                    printer.line(format!("  {key:16} {}", shown(value)));
                }
                let remembered = explained.remembered.as_deref();
                printer.line(format!(
                    "  group at target  {}",
                    remembered.unwrap_or("none: Beadle has not written this group yet")
                ));
            }
        }
    }
    anyhow::ensure!(any, "no mapping has a group `{name}`, and the store has no group with this name");
    Ok(FINE)
}

/// Returns whether a value has content. Null and an empty list have no content. An object has
/// content if at least one of its values has content.
fn has_content(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => map.values().any(has_content),
        _ => true,
    }
}

fn tell(explained: &Explanation, key: Option<&str>, printer: &Printer) {
    printer.line(printer.paint(Tone::Heading, &explained.repository));
    if let Some(why) = &explained.skipped {
        return printer.line(format!("  skipped: {why}"));
    }
    for (file, rank) in &explained.layers {
        printer.line(format!("  selected by {file} (rank {rank})"));
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
            let text = format!("  {:widest$}  overrides {}  [{}]", "", shown(&other.value), other.said_by);
            printer.line(printer.paint(Tone::Faint, text));
        }
        for step in &value.layers {
            let word = match step.did {
                Did::Removes => "removed before",
                Did::Keeps if !is_shown(value, &step.line) => "kept",
                Did::Keeps | Did::Sets | Did::Changes => continue,
            };
            let text = format!("  {:widest$}  {word}  [{}]", "", step.line);
            printer.line(printer.paint(Tone::Faint, text));
        }
    }
    for waived in &explained.waived {
        printer.line(format!("  {}", waived_line(printer, waived)));
    }
    for gone in &explained.removed {
        let place = printer.paint(Tone::Faint, format!("[{}]", gone.set_by));
        let by = printer.paint(Tone::Faint, format!("[{}]", gone.removed_by));
        let value = shown(&gone.value);
        printer.line(format!("  removed {}  {value}  {place}  by {}  {by}", gone.path, gone.by));
    }
    if explained.values.is_empty() {
        printer.line(match key {
            _ if !explained.waived.is_empty() => "  no value applies until the waiver ends".to_owned(),
            Some(key) => format!("  no policy file declares a value of `{key}` for this repository"),
            None => "  no policy file declares a value for this repository".to_owned(),
        });
    }
}

/// Returns whether the output for a value already shows this line of a layer.
fn is_shown(value: &Explained, line: &str) -> bool {
    value.set_by == line || value.overrode.iter().any(|other| other.said_by == line)
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
