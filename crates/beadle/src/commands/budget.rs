//! `beadle budget`: shows the remaining rate limit of GitHub. The request of this command does not
//! count against the limit.

use std::sync::Arc;
use std::time::Duration;

use beadle_engine::{Clock, Time};
use beadle_transport::sharing::ProcessUsage;
use serde_json::{Value, json};

use crate::app::application::App;
use crate::app::connections::budget_and_cache_options::ClientOptions;
use crate::app::store;
use crate::commands::{FINE, ago};
use crate::config::Config;
use crate::output::printer::{Printer, Tone};

pub(crate) async fn run(
    config: &Arc<Config>,
    org: Option<&str>,
    as_json: bool,
    printer: &Printer,
) -> anyhow::Result<u8> {
    let clock = Clock::system();
    let store = store::open_if_there(config).await?;
    let app = App::new(config, ClientOptions::default());
    for file in config.orgs(org)? {
        let org = app.organisation(file).await?;
        let limits = org.reader.rate_limit().await?;
        let mut processes = Vec::new();
        if let Some(store) = &store {
            let usages = ProcessUsage::note(&file.name, "").list(store.as_ref()).await?;
            // If a process created content, the store keeps the report of this process after the
            // points in the report are out of date. So the command leaves such old reports out.
            let window: Duration = file.budget.minute.into();
            let is_recent = |usage: &ProcessUsage| usage.at + window > clock.now();
            processes.extend(usages.into_iter().map(|(_, usage)| usage).filter(is_recent));
        }
        if as_json {
            let shown = json!({
                "organisation": file.name, "reserve_percent": file.budget.reserve,
                "resources": limits["resources"], "processes": processes,
            });
            printer.json(&serde_json::to_string(&shown)?);
            continue;
        }
        printer.line(printer.paint(Tone::Heading, &file.name));
        for resource in ["core", "graphql"] {
            printer.line(account(resource, &limits["resources"][resource], file.budget.reserve, &clock));
        }
        for usage in &processes {
            printer.line(format!(
                "  process, last report {} ago: {} REST and {} GraphQL points spent in this minute",
                ago(usage.at, clock.now()),
                usage.rest,
                usage.graphql
            ));
        }
    }
    if !as_json && org.is_none() && !config.file.okta.is_empty() {
        printer.note("Okta shows its limits only in its answers: see `/metrics` of the service");
    }
    Ok(FINE)
}

fn account(name: &str, account: &Value, reserve: u64, clock: &Clock) -> String {
    let figure = |key: &str| account[key].as_u64().unwrap_or(0);
    let (limit, remaining) = (figure("limit"), figure("remaining"));
    let kept = limit * reserve / 100;
    let reset = Time::from_seconds(account["reset"].as_i64().unwrap_or(0));
    let minutes = reset.since(clock.now()).as_secs().div_ceil(60);
    format!(
        "  {name:8} {remaining} of {limit} left, {} of them for sweeps (reserve for events and operators: {reserve} %); \
         reset in {minutes} min",
        remaining.saturating_sub(kept)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_one_line() {
        let in_ten_minutes = Clock::system().now().seconds() + 600;
        let core = json!({ "limit": 5000, "remaining": 4321, "reset": in_ten_minutes });
        insta::assert_snapshot!(account("core", &core, 20, &Clock::system()));
    }
}
