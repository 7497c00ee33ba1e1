//! `beadle waive`: exempts keys of repositories until a time. The waiver is in the store.

use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use beadle_engine::journal::OperatorAction;
use beadle_engine::{Clock, Detail, Entry, EntryKind, Lane, Store, Time, parse_span};
use beadle_repositories::policy::{Waiver, WaiverState, check_waived_key, parse_until};
use beadle_repositories::stored_waiver;

use crate::app::application::App;
use crate::app::client_options::OpenOptions;
use crate::app::store;
use crate::app::waived_repositories::{covered, mark};
use crate::cli::WaiveArgs;
use crate::commands::{FINE, operator};
use crate::config::{Config, OrgConfig, waiver_rules};
use crate::output::count::counted;
use crate::output::printer::Printer;

pub(crate) async fn run(config: &Arc<Config>, args: &WaiveArgs, printer: &Printer) -> anyhow::Result<u8> {
    let clock = Clock::system();
    let now = clock.now();
    let (owner, pattern) = args.name.split_once('/').with_context(|| {
        format!("the repository must be OWNER/NAME, such as `acme/widgets`, found `{}`", args.name)
    })?;
    let file = config.orgs(Some(owner))?[0];
    let by = operator(config).await;
    let waiver = Waiver {
        keys: args.keys.clone(),
        repositories: vec![pattern.to_owned()],
        until: until(&args.until, now)?,
        reason: args.reason.trim().to_owned(),
        owner: args.owner.clone().unwrap_or_else(|| by.clone()),
        asked: None,
    };
    check(&waiver, file, now)?;
    let store = store::open_existing(config).await?;
    let app = App::new(config, OpenOptions { store: Some(store.clone()), ..OpenOptions::PATIENT });
    let reader = app.reader(file)?;
    let rows = covered(&reader, std::slice::from_ref(&waiver)).await?;
    ensure!(!rows.is_empty(), "no repository of {} has the name `{pattern}`", file.name);
    stored_waiver(&file.name, &waiver.id()).put(store.as_ref(), &waiver).await?;
    let action = OperatorAction::Waived {
        waived: waiver.keys.clone(),
        repositories: waiver.repositories.clone(),
        waived_until: waiver.until.to_string(),
        reason: waiver.reason.clone(),
        owner: waiver.owner.clone(),
        by,
    };
    record(store.as_ref(), file, &args.name, action, now).await?;
    // The next run of each repository ends the holds of the exempt keys.
    mark(store.as_ref(), &file.name, &rows, (Lane::Manual, now)).await?;
    let count = counted(rows.len() as u64, "repository", "repositories");
    printer.line(format!(
        "{} waived in {count} of {} until {} (code {})",
        waiver.keys.join(", "),
        file.name,
        waiver.until,
        waiver.id()
    ));
    if let Some(row) = rows.first() {
        // The waiver is stored, so a policy that cannot be read is no failure of the command.
        let noted = Box::pin(note_idle_keys(&app, file, (row.name.as_str(), &waiver), printer)).await;
        if let Err(error) = noted {
            printer.note(format!("the keys were not compared with the policy: {error:#}"));
        }
    }
    Ok(FINE)
}

/// Prints a note if the policy does not declare some of the exempt keys for a repository. The
/// operator may have written the name of an entry wrong.
async fn note_idle_keys(
    app: &App,
    file: &Arc<OrgConfig>,
    (repository, waiver): (&str, &Waiver),
    printer: &Printer,
) -> anyhow::Result<()> {
    let planner = app.organisation(file).await?.planner(app.store()).only_looking();
    let Some(explained) = planner.explain(repository, "").await? else { return Ok(()) };
    let until = waiver.until.to_string();
    let own = explained.waived.iter().filter(|waived| waived.asked.is_none() && waived.until == until);
    let idle = waiver.keys.len().saturating_sub(own.count());
    if idle > 0 {
        let keys = counted(idle as u64, "key", "keys");
        printer.note(format!(
            "the policy does not declare {keys} of the waiver for {}/{repository}; `beadle explain {0}/{repository}` \
             shows the paths",
            file.name
        ));
    }
    Ok(())
}

/// Parses the end of a waiver: a duration from now, a date or a time.
fn until(text: &str, now: Time) -> anyhow::Result<Time> {
    if let Ok(span) = parse_span(text) {
        return Ok(now + span);
    }
    let invalid = |must: String| anyhow::anyhow!("`--until` must be a duration such as `2d`, or {must}");
    parse_until(text).map_err(|must| invalid(must.replacen("be a date", "a date", 1)))
}

/// Checks a waiver against the limits of the configuration.
fn check(waiver: &Waiver, file: &OrgConfig, now: Time) -> anyhow::Result<()> {
    for key in &waiver.keys {
        if let Err(must) = check_waived_key(key) {
            bail!("`{key}` must {must}\nhint: `beadle explain` shows the paths of the declared keys");
        }
    }
    ensure!(!waiver.reason.is_empty(), "`--reason` must not be empty");
    let rules = waiver_rules(file);
    match waiver.state(&rules, now) {
        WaiverState::InForce => Ok(()),
        WaiverState::Ended => bail!("`--until` must be in the future, found {}", waiver.until),
        WaiverState::From(_) => {
            let latest = now + rules.longest;
            bail!("`--until` must be at most {latest}\nhint: `longest` in [org.waivers] sets this limit")
        }
        WaiverState::Never(key) => {
            bail!("`{key}` must not be waived, because `never_waive` in [org.waivers] has it")
        }
    }
}

/// Records an action about a waiver in the journal. The `subject` names the repositories.
pub(super) async fn record(
    store: &dyn Store,
    file: &OrgConfig,
    subject: &str,
    action: OperatorAction,
    at: Time,
) -> anyhow::Result<()> {
    let (key, subject, detail) = (file.name.clone(), subject.to_owned(), Detail::Operator(action));
    let entry = Entry { seq: 0, at, kind: EntryKind::Operator, key, subject, intent: None, detail };
    store.journal(None, vec![entry], at).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_a_duration_a_date_or_a_time() {
        for (text, expected) in
            [("2d", 172_800_005), ("1970-01-01", 86_400_000), ("1970-01-01T00:00:01Z", 1_000)]
        {
            assert_eq!(until(text, Time(5)).unwrap(), Time(expected), "{text}");
        }
        let error = until("soon", Time(5)).unwrap_err().to_string();
        assert!(error.starts_with("`--until` must be a duration such as `2d`, or a date such as"), "{error}");
    }
}
