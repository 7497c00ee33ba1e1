//! The gate for commands that write. If no service has accepted the policy, the plan of a command
//! must pass the gate, as a new generation of a service must.

use std::sync::Arc;

use beadle_engine::{Clock, GateSums, GateVerdict, Key, Mode, Plan, Store, StoreError, check_gate};
use beadle_repositories::Policy;

use crate::app::accepted_policy::AcceptedPolicy;
use crate::app::held_generation::HeldGeneration;
use crate::app::last_sweep::modes;
use crate::app::policy_adoption::let_pass;
use crate::config::OrgConfig;

/// Returns the name under which the hold of a command is stored. The hold of a service has another
/// plan, because it does not contain drift.
fn name(file: &OrgConfig) -> String {
    format!("{} (command)", file.name)
}

/// Checks the plan of a command for the whole organisation. Returns the hold if the plan needs an
/// approval. If the plan is approved, its changes pass the guard.
pub(crate) async fn held_plan(
    file: &OrgConfig,
    policy: &Policy,
    plans: &[(Key, Plan<()>)],
    store: &Arc<dyn Store>,
    clock: &Clock,
) -> anyhow::Result<Option<HeldGeneration>> {
    if file.mode == Mode::Observe {
        return Ok(None);
    }
    let store = store.as_ref();
    let accepted = AcceptedPolicy::of(store, file).await?;
    let is_accepted = accepted
        .as_ref()
        .is_some_and(|accepted| accepted.generation == policy.generation && accepted.modes == modes(file));
    if is_accepted {
        return Ok(None);
    }
    let note = HeldGeneration::note(&name(file));
    let before = note.get(store).await?.filter(|held| held.generation == policy.generation);
    let total = plans.iter().filter(|(key, _)| key.kind() == "repository").count() as u64;
    let GateSums { risks, repositories } = GateSums::of(plans.iter().map(|(_, plan)| plan));
    let verdict = check_gate(&file.gate_limits(), &risks, repositories, total);
    if let GateVerdict::Held { .. } = verdict {
        let since = before.as_ref().map_or(clock.now(), |held| held.since);
        let of = (file.name.as_str(), policy.generation.as_str());
        let held = HeldGeneration::new(of, plans, total, verdict.to_string(), since);
        let approval =
            before.filter(|before| before.digest == held.digest).and_then(|before| before.approved);
        let Some(approval) = approval else {
            note.put(store, &held).await?;
            return Ok(Some(held));
        };
        let_pass(store, plans, &policy.generation, &approval, clock.now()).await?;
    }
    note.forget(store).await?;
    Ok(None)
}

/// Records that a policy was applied, so that its next plans need no gate. If a service uses the
/// store, only the service accepts a generation.
pub(crate) async fn accept(
    file: &OrgConfig,
    policy: &Policy,
    store: &Arc<dyn Store>,
) -> Result<(), StoreError> {
    let store = store.as_ref();
    if file.mode != Mode::Observe && AcceptedPolicy::of(store, file).await?.is_none() {
        AcceptedPolicy::remember(store, file, policy).await?;
    }
    Ok(())
}
