//! The gate for the plans of `beadle apply` and `beadle sweep`. Also the guard's limits for `beadle
//! apply`, `beadle sweep` and `beadle undo`.

use std::sync::Arc;

use beadle_engine::{Clock, Mode, Store};

use crate::app::gate::accepted_limits;
use crate::app::gate::accepted_target_place;
use crate::app::gate::command_plans;
use crate::app::gate::guard_limits::GuardLimits;
use crate::app::gate::new_or_moved_target;
use crate::app::groups::directories_and_targets::Directories;
use crate::app::groups::target::GroupTarget;
use crate::app::organisations::open_organisation::GithubOrganisation;
use crate::cli::Selection;
use crate::config::Config;
use crate::output::plans_and_results::WholePlan;
use crate::output::printer::Printer;

/// Returns whether the gate holds the plan of a command. The gate holds the plan if the plan needs
/// an approval and no service has accepted the policy. Prints how to approve the plan. If the
/// operator named single repositories, only the guard checks the plan.
pub(in crate::commands) async fn is_held(
    org: &GithubOrganisation,
    shown: &WholePlan,
    selection: &Selection,
    (store, clock): (&Arc<dyn Store>, &Clock),
    printer: &Printer,
) -> anyhow::Result<bool> {
    if selection.is_by_name() {
        return Ok(false);
    }
    let (policy, guard) = (org.policy.current(), org.limits.current());
    let plans = (shown.plans.as_slice(), selection.shard);
    let held = command_plans::held_plan((&org.file, &guard), &policy, plans, store, clock).await?;
    let Some(held) = held else { return Ok(false) };
    printer.error(&format!(
        "{}: no service has accepted this policy: {}\nhint: check `beadle holds`, run `beadle approve {} --reason \"TEXT\"`, \
         and then run this command again",
        org.file.name, held.why, held.generation
    ));
    Ok(true)
}

/// Returns the limits of the guard for a command. Raised limits are valid only after a service has
/// accepted them.
async fn usable_limits(
    of: &str,
    configured: GuardLimits,
    store: &Arc<dyn Store>,
    printer: &Printer,
) -> anyhow::Result<GuardLimits> {
    let usable = accepted_limits::usable(store.as_ref(), of, configured).await?;
    if usable != configured {
        printer.note(format!(
            "{of}: the service has not accepted the raised limits of the guard; the last accepted limits apply"
        ));
    }
    Ok(usable)
}

/// Starts to use the limits of a command for an organisation.
pub(in crate::commands) async fn limit_organisation(
    org: &GithubOrganisation,
    store: &Arc<dyn Store>,
    printer: &Printer,
) -> anyhow::Result<()> {
    let configured = GuardLimits::of_organisation(&org.file);
    org.limits.replace(usable_limits(&org.file.name, configured, store, printer).await?.guard);
    Ok(())
}

/// Starts to use the limits of a command for a target.
pub(in crate::commands) async fn limit_target(
    target: &GroupTarget,
    store: &Arc<dyn Store>,
    printer: &Printer,
) -> anyhow::Result<()> {
    let configured = GuardLimits::of_target(&target.file);
    target.set_limits(usable_limits(&target.file.name, configured, store, printer).await?);
    Ok(())
}

/// Returns whether at least one mapping has a mode that allows writes to this target.
fn may_write(directories: &Directories, target: &str) -> bool {
    let mappings = directories.mappings();
    mappings.all.iter().any(|mapping| mapping.target == target && mapping.mode != Mode::Observe)
}

/// Returns whether a command must stop. The command must stop if the service holds the target or
/// the mappings to this target. In that case also prints how to approve the target or the mappings.
pub(in crate::commands) async fn are_mappings_held(
    config: &Config,
    directories: &Directories,
    target: &str,
    store: &Arc<dyn Store>,
    printer: &Printer,
) -> anyhow::Result<bool> {
    let file = config.file.target.iter().find(|file| file.name == target);
    if let Some(file) = file
        && let Some(held) = new_or_moved_target::held(config, file, store.as_ref()).await?
    {
        printer.error(&format!(
            "{target}: the service holds this target: {}\nhint: check `beadle holds`, and run `beadle approve {} --reason \"TEXT\"`",
            held.why, held.generation
        ));
        return Ok(true);
    }
    if let Some(file) = file
        && may_write(directories, target)
        && accepted_target_place::is_used_elsewhere(config, file, store.as_ref()).await?
    {
        printer.error(&format!(
            "{target}: the service has not accepted the new address of this target\nhint: run `beadle reload`, or restart \
             the service, so that the gate checks the target"
        ));
        return Ok(true);
    }
    let held = command_plans::held_mappings(config, directories, target, store.as_ref()).await?;
    let Some(held) = held else { return Ok(false) };
    printer.error(&format!(
        "{target}: the service holds these mappings: {}\nhint: check `beadle holds`, and run `beadle approve {} --reason \"TEXT\"`",
        held.why, held.generation
    ));
    Ok(true)
}

/// Records that a command applied an organisation's policy to all repositories of this
/// organisation. If a part of the plan was unknown, the plan did not show all changes. In that case
/// the next plan must also pass the gate.
pub(in crate::commands) async fn accept(
    org: &GithubOrganisation,
    shown: &WholePlan,
    selection: &Selection,
    store: &Arc<dyn Store>,
) -> anyhow::Result<()> {
    let mut unknowns = shown.plans.iter().flat_map(|(_, plan)| &plan.unknowns);
    let is_complete = shown.short.is_none() && !unknowns.any(|unknown| unknown.transient);
    if is_complete && !selection.is_by_name() && selection.shard.of() == 1 {
        command_plans::accept(&org.file, &org.policy.current(), store).await?;
    }
    Ok(())
}
