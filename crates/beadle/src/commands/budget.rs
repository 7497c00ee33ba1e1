//! `beadle budget`: shows the remaining rate limit of GitHub. The request costs no point of the limit.

use beadle_engine::{Clock, Time, note};
use serde_json::{Value, json};

use crate::app::wiring::{self, GithubClients, OpenOptions, Org};
use crate::commands::{FINE, ago};
use crate::config::Config;
use crate::output::printer::{Printer, Tone};

pub(crate) async fn run(
    config: &Config,
    org: Option<&str>,
    as_json: bool,
    printer: &Printer,
) -> anyhow::Result<u8> {
    let clock = Clock::system();
    let store = wiring::store_if_there(config).await?;
    for file in config.orgs(org)? {
        let org = Org::open(config, file, &clock, &OpenOptions::default(), &GithubClients::default()).await?;
        let limits = org.reader.rate_limit().await?;
        let mut processes = Vec::new();
        if let Some(store) = &store {
            for (_, report) in store.notes(&note("process", &[&file.name, ""])).await? {
                processes.extend(serde_json::from_str::<Value>(&report).ok());
            }
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
        for report in &processes {
            let at = Time(report["at"].as_i64().unwrap_or(0));
            printer.line(format!(
                "  process, last report {} ago: {} REST and {} GraphQL points spent in this minute",
                ago(at, clock.now()),
                report["rest"],
                report["graphql"]
            ));
        }
    }
    if !as_json && org.is_none() && !config.file.okta.is_empty() {
        printer.note("Okta reports its limits in each answer only: see `/metrics` of the service");
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
