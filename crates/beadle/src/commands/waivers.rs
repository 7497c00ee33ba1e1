//! `beadle waivers`: lists the waivers, or ends a waiver of `beadle waive`.

use std::sync::Arc;

use beadle_engine::{Clock, Time};
use beadle_repositories::policy::{Waiver, WaiverRules, WaiverState};
use beadle_repositories::readable_waivers;
use serde_json::json;

use crate::app::application::App;
use crate::app::connections::budget_and_cache_options::ClientOptions;
use crate::app::operations::waiver_repositories::covered;
use crate::app::operations::waiving;
use crate::app::store;
use crate::cli::WaiversArgs;
use crate::commands::shared::decided_by::decided_by;
use crate::commands::{FAILED, FINE};
use crate::config::{Config, waiver_rules};
use crate::output::escape;
use crate::output::printer::{Printer, Tone};

pub(crate) async fn run(config: &Arc<Config>, args: &WaiversArgs, printer: &Printer) -> anyhow::Result<u8> {
    if let Some(code) = &args.end {
        return end(config, args, code, printer).await;
    }
    let now = Clock::system().now();
    let store = store::open_if_there(config).await?;
    let app = App::new(config, ClientOptions { store: store.clone(), ..ClientOptions::PATIENT });
    let (mut is_empty, mut result) = (true, FINE);
    for file in config.orgs(args.org.as_deref())? {
        let policy = app.organisation(file).await?.policy.current();
        let mut waivers = policy.waivers.clone();
        if let Some(store) = &store {
            let (stored, unreadable) = readable_waivers(store.as_ref(), &file.name).await?;
            waivers.extend(stored);
            for name in unreadable {
                (is_empty, result) = (false, FAILED);
                printer.error(&format!(
                    "cannot read {name}\nhint: Beadle changes no repository of {} until you use the newest version of \
                     Beadle that has used this store, or end the waiver with `beadle waivers --end CODE`",
                    file.name
                ));
            }
        }
        waivers.sort_by_key(|waiver| waiver.until);
        let rules = waiver_rules(file);
        for waiver in &waivers {
            is_empty = false;
            show(&file.name, waiver, (&rules, now), (args.json, printer));
        }
    }
    if is_empty && !args.json {
        printer.line("no waivers");
    }
    Ok(result)
}

/// Prints one waiver.
fn show(
    organisation: &str,
    waiver: &Waiver,
    (rules, now): (&WaiverRules, Time),
    (as_json, printer): (bool, &Printer),
) {
    let state = state(waiver, rules, now);
    if as_json {
        let shown = json!({
            "code": waiver.id(), "organisation": organisation, "keys": waiver.keys,
            "repositories": waiver.repositories, "until": waiver.until.to_string(), "reason": waiver.reason,
            "owner": waiver.owner, "in_force": waiver.is_in_force(rules, now), "state": state,
            "declared_by": waiver.place(),
        });
        printer.json(&shown.to_string());
        return;
    }
    let repositories: Vec<String> =
        waiver.repositories.iter().map(|name| format!("{organisation}/{name}")).collect();
    let head = printer.paint(Tone::Heading, format!("{}  {}", waiver.id(), repositories.join(", ")));
    printer.line(format!("{head}  {state}  {}", printer.paint(Tone::Faint, format!("[{}]", waiver.place()))));
    let text = format!("{}: {} ({})", waiver.keys.join(", "), waiver.reason, waiver.owner);
    printer.line(format!("  {}", escape::one_line(&text)));
}

/// Returns the state of a waiver as readable text.
fn state(waiver: &Waiver, rules: &WaiverRules, now: Time) -> String {
    match waiver.state(rules, now) {
        WaiverState::InForce => format!("in force until {}", waiver.until),
        WaiverState::Ended => format!("ended at {}", waiver.until),
        WaiverState::From(begin) => format!("in force from {begin} until {}", waiver.until),
        WaiverState::Never(key) => format!("no effect: `never_waive` has {key}"),
    }
}

/// Ends a waiver of `beadle waive`.
async fn end(config: &Arc<Config>, args: &WaiversArgs, code: &str, printer: &Printer) -> anyhow::Result<u8> {
    let now = Clock::system().now();
    let store = store::open_existing(config).await?;
    for file in config.orgs(args.org.as_deref())? {
        let Some(waiver) = waiving::to_end(store.as_ref(), file, code).await? else { continue };
        let reader = App::new(config, ClientOptions::default()).reader(file)?;
        let rows = covered(&reader, std::slice::from_ref(&waiver)).await?;
        let by = decided_by(config, &args.decider, printer).await?;
        waiving::end(store.as_ref(), file, (code, &waiver), (&rows, by), now).await?;
        printer.line(format!("waiver {code} of {} ended: Beadle compares its keys again", file.name));
        return Ok(FINE);
    }
    printer.error(&format!(
        "`beadle waive` made no waiver `{code}`\nhint: remove a waiver of the policy from `waivers.yml`"
    ));
    Ok(FAILED)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_state_of_a_waiver_says_from_when_and_until_when() {
        let day = Duration::from_secs(24 * 3600);
        let waiver = Waiver {
            keys: vec!["teams".into()],
            repositories: vec!["shop".into()],
            until: Time(0) + day * 10,
            reason: "release".into(),
            owner: "mona".into(),
            asked: None,
        };
        let rules = WaiverRules { longest: day * 5, never: Vec::new() };
        for (now, expected) in [
            (0, "in force from 1970-01-06T00:00:00Z until 1970-01-11T00:00:00Z"),
            (6, "in force until 1970-01-11T00:00:00Z"),
            (10, "ended at 1970-01-11T00:00:00Z"),
        ] {
            assert_eq!(state(&waiver, &rules, Time(0) + day * now), expected);
        }
        let rules = WaiverRules { never: vec!["teams[core]".into()], ..rules };
        assert_eq!(state(&waiver, &rules, Time(0)), "no effect: `never_waive` has teams");
    }
}
