//! `beadle pause` and `beadle resume`: a pause stops all writes to an organisation, a repository or
//! a target for a time. Without a pause, `beadle resume` applies the policy again to the values
//! that `beadle undo` restored.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use beadle_engine::journal::OperatorAction;
use beadle_engine::{Clock, Detail, Entry, EntryKind, Store, revive_paused};
use beadle_repositories::policy::nearest;
use beadle_repositories::undo;

use crate::app::application::App;
use crate::app::client_options::OpenOptions;
use crate::app::store;
use crate::cli::Scope;
use crate::commands::{FAILED, FINE, operator};
use crate::config::{Config, TargetConfig};
use crate::output::count::counted;
use crate::output::printer::Printer;

/// The maximum length of a pause, so that a pause ends even if everybody forgets it.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

pub(crate) async fn pause(
    config: &Arc<Config>,
    scope: &Scope,
    time: Duration,
    printer: &Printer,
) -> anyhow::Result<u8> {
    if time.is_zero() || time > LONGEST {
        bail!("invalid duration of a pause: it must be between `1s` and `30d`");
    }
    let clock = Clock::system();
    let store = store::open_existing(config).await?;
    let (scope, name) = resolve(config, scope).await?;
    let until = clock.now() + time;
    let paused = store.pauses(clock.now()).await?;
    store.pause(&scope, until).await?;
    for target in teams_of(config, &scope) {
        // If the target has its own pause, which is longer, that pause stays in force.
        if !paused.iter().any(|pause| pause.scope == target && pause.until > until) {
            store.pause(target, until).await?;
        }
    }
    let by = operator(config).await;
    let action = OperatorAction::Paused { paused_until: until.to_string(), by };
    note(store.as_ref(), &clock, &scope, &name, action).await?;
    printer.line(format!("{name} is paused until {until}; Beadle still stores webhooks"));
    Ok(FINE)
}

pub(crate) async fn resume(config: &Arc<Config>, scope: &Scope, printer: &Printer) -> anyhow::Result<u8> {
    let clock = Clock::system();
    let store = store::open_existing(config).await?;
    let (scope, name) = resolve(config, scope).await?;
    let paused = store.pauses(clock.now()).await?;
    let until = |scope: &str| paused.iter().find(|pause| pause.scope == scope).map(|pause| pause.until);
    for target in teams_of(config, &scope) {
        // If the target's pause ends at another time, somebody paused the target itself. That pause
        // stays in force.
        if until(target).is_some() && until(target) == until(&scope) {
            store.resume(target).await?;
            revive_paused(store.as_ref(), target, clock.now()).await?;
        }
    }
    let is_paused = store.resume(&scope).await?;
    if !is_paused {
        return end_undo(config, store.as_ref(), (scope.as_str(), name.as_str()), printer).await;
    }
    revive_paused(store.as_ref(), &scope, clock.now()).await?;
    let action = OperatorAction::Resumed { resumed: true, by: operator(config).await };
    note(store.as_ref(), &clock, &scope, &name, action).await?;
    printer.line(format!("{name} is no longer paused"));
    let undone = undo::count(store.as_ref(), &scope).await?;
    if undone > 0 {
        let repositories = counted(undone, "repository has", "repositories have");
        printer.note(format!(
            "{repositories} undone values, which Beadle still only observes; to apply the policy to them again, run the command again"
        ));
    }
    Ok(FINE)
}

/// Lets Beadle write the undone values of a scope again as the policy declares. The end of a pause
/// does not do this: an operator who ends a pause may not know of the undo.
async fn end_undo(
    config: &Config,
    store: &dyn Store,
    (scope, name): (&str, &str),
    printer: &Printer,
) -> anyhow::Result<u8> {
    let clock = Clock::system();
    let undone = undo::forget(store, scope, clock.now()).await?;
    if undone == 0 {
        printer.error(&format!("{name} is not paused, and no undo of it is in force"));
        return Ok(FAILED);
    }
    let action = OperatorAction::EndedUndo { ended_undo: undone, by: operator(config).await };
    note(store, &clock, scope, name, action).await?;
    let repositories = counted(undone, "repository", "repositories");
    printer.line(format!("the policy applies to the undone values of {repositories} again"));
    Ok(FINE)
}

/// Returns the targets that are teams of this organisation. A pause of the organisation must also
/// stop the writes to these teams.
fn teams_of<'a>(config: &'a Config, org: &'a str) -> impl Iterator<Item = &'a str> {
    let is_its =
        move |target: &&Arc<TargetConfig>| target.github.as_ref().is_some_and(|teams| teams.org == org);
    config.file.target.iter().filter(is_its).map(|target| target.name.as_str())
}

async fn note(
    store: &dyn Store,
    clock: &Clock,
    scope: &str,
    name: &str,
    action: OperatorAction,
) -> anyhow::Result<()> {
    let at = clock.now();
    let (key, subject, detail) = (scope.to_owned(), name.to_owned(), Detail::Operator(action));
    let entry =
        Entry { seq: 0, at, kind: EntryKind::Operator, key, subject, intent: None, trace: None, detail };
    store.journal(None, vec![entry], at).await?;
    Ok(())
}

/// Returns the scope in the form that the queue uses, and the name of the scope for people. For a
/// repository, this function asks GitHub for the id.
pub(super) async fn resolve(config: &Arc<Config>, scope: &Scope) -> anyhow::Result<(String, String)> {
    if let Some(target) = &scope.target {
        let known = config.file.target.iter().map(|target| target.name.as_str());
        if !known.clone().any(|name| name == target) {
            let near = nearest(target, known);
            let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            bail!("the configuration has no target `{target}`{hint}");
        }
        return Ok((target.clone(), target.clone()));
    }
    let repository = match (&scope.org, &scope.repo) {
        (Some(org), None) => {
            let org = config.orgs(Some(org))?;
            return Ok((org[0].name.clone(), org[0].name.clone()));
        }
        (org, Some(repo)) if repo.contains('/') && org.is_none() => repo.clone(),
        (Some(org), Some(repo)) if !repo.contains('/') => format!("{org}/{repo}"),
        _ => bail!("specify `--org ORG`, `--repo OWNER/NAME` or `--target TARGET`"),
    };
    let (owner, name) = repository.split_once('/').context("specify `--repo OWNER/NAME`")?;
    let orgs = config.orgs(Some(owner))?;
    let org = App::new(config, OpenOptions::default()).organisation(orgs[0]).await?;
    let index = org.reader.index().await?;
    let row = index.iter().find(|row| row.name.eq_ignore_ascii_case(name));
    let row = row.with_context(|| {
        format!("repository `{repository}` does not exist, or the App has no access to it")
    })?;
    Ok((format!("repository:{}:{}", org.file.name, row.id), repository))
}
