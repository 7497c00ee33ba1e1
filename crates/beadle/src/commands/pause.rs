//! `beadle pause` and `beadle resume`: a pause stops all writes to an organisation, a repository or
//! a target for a time. If there is no pause, `beadle resume` applies the policy again to the
//! values that `beadle undo` restored.

use std::sync::Arc;
use std::time::Duration;

use beadle_engine::Clock;

use crate::app::application::App;
use crate::app::connections::budget_and_cache_options::ClientOptions;
use crate::app::operations::pausing::{NamedScope, PauseScope, Resumed, ScopeNames, check_length, named};
use crate::app::store;
use crate::cli::{DeciderArgs, Scope};
use crate::commands::shared::decided_by::decided_by;
use crate::commands::{FAILED, FINE};
use crate::config::Config;
use crate::output::plural::counted;
use crate::output::printer::Printer;

pub(crate) async fn pause(
    config: &Arc<Config>,
    (scope, time): (&Scope, Duration),
    decider: &DeciderArgs,
    printer: &Printer,
) -> anyhow::Result<u8> {
    check_length(time)?;
    let clock = Clock::system();
    let store = store::open_existing(config).await?;
    let scope = resolve(config, scope).await?;
    let by = decided_by(config, decider, printer).await?;
    let until = scope.pause((config, store.as_ref()), time, by, clock.now()).await?;
    printer.line(format!("{} is paused until {until}; Beadle still stores webhooks", scope.name));
    Ok(FINE)
}

pub(crate) async fn resume(
    config: &Arc<Config>,
    scope: &Scope,
    decider: &DeciderArgs,
    printer: &Printer,
) -> anyhow::Result<u8> {
    let clock = Clock::system();
    let store = store::open_existing(config).await?;
    let scope = resolve(config, scope).await?;
    let (by, name) = (decided_by(config, decider, printer).await?, scope.name.as_str());
    let resumed = scope.resume((config, store.as_ref()), by.clone(), clock.now()).await?;
    if let Resumed::OrganisationPaused { organisation, .. } = &resumed {
        let why = resumed.why_still_paused(name).unwrap_or_default();
        printer.error(&format!("{why}: to end its pause, run `beadle resume --org {organisation}`"));
        return Ok(FAILED);
    }
    let Resumed::Ended { undone } = resumed else {
        let undone = scope.end_undo(store.as_ref(), by, clock.now()).await?;
        if undone == 0 {
            printer.error(&format!("{name} is not paused, and no undo of it is in force"));
            return Ok(FAILED);
        }
        let repositories = counted(undone, "repository", "repositories");
        printer.line(format!("the policy applies to the undone values of {repositories} again"));
        return Ok(FINE);
    };
    printer.line(format!("{name} is no longer paused"));
    if undone > 0 {
        let repositories = counted(undone, "repository has", "repositories have");
        printer.note(format!(
            "{repositories} undone values, which Beadle still only observes; to apply the policy to them again, run the command again"
        ));
    }
    Ok(FINE)
}

/// Returns the scope in the options. Asks GitHub for the id of a repository.
pub(super) async fn resolve(config: &Arc<Config>, scope: &Scope) -> anyhow::Result<PauseScope> {
    let names = ScopeNames {
        org: scope.org.as_deref(),
        repo: scope.repo.as_deref(),
        target: scope.target.as_deref(),
    };
    match named(config, names)? {
        NamedScope::Instance(name) => Ok(PauseScope::of_instance(name)),
        NamedScope::Repository { org, full_name, name } => {
            // The command must also work while the policy is invalid.
            let reader = App::new(config, ClientOptions::default()).reader(&org)?;
            PauseScope::of_repository(&reader, &org.name, (full_name, &name)).await
        }
    }
}
