//! Begins the work on a target, if the gate lets the target pass. If a target is new, its groups
//! are also new. If the address, the organisation or the kind of a target has changed, the target
//! contains different groups than before. For a new or changed target, the gate counts everything
//! that Beadle would write to the target.

use std::sync::Arc;

use beadle_engine::gate::TARGET_PREFIX;
use beadle_engine::{Class, Failure, Mode, Store, StoreError, Time};
use beadle_groups::Mappings;
use beadle_groups::sweep::remembered;
use sha2::{Digest as _, Sha256};

use crate::app::gate::accepted_target_place::{self, place};
use crate::app::gate::generation_decision::{GateDecision, decide};
use crate::app::gate::generation_holds;
use crate::app::gate::guard_holds_of_approved_plan::let_pass;
use crate::app::gate::held_generation::HeldGeneration;
use crate::app::groups::mapping_adoption::limits;
use crate::app::groups::target::GroupTarget;
use crate::app::organisations::served_organisation::is_first_gated;
use crate::app::service::Service;
use crate::config::{Config, TargetConfig};

/// The number of marks that one transaction stores.
const BATCH: usize = 500;

/// Returns the name for one version of a target.
fn generation_of(place: &str) -> String {
    let digest = Sha256::digest(place);
    digest.iter().take(6).fold(String::from(TARGET_PREFIX), |text, byte| format!("{text}{byte:02x}"))
}

/// Returns the name of the note about a held target.
fn note_of(name: &str) -> String {
    format!("{name} target")
}

/// Returns the hold, if the gate of a service holds the configured version of a target.
pub(crate) async fn held(
    config: &Config,
    file: &TargetConfig,
    store: &dyn Store,
) -> Result<Option<HeldGeneration>, StoreError> {
    let generation = generation_of(&place(config, file));
    let held = HeldGeneration::find(store, &note_of(&file.name), &generation).await?;
    Ok(held.filter(|held| held.approved.is_none()))
}

/// Returns `None` if the gate lets the target pass. Otherwise, returns the exceeded limits. Until
/// the gate lets the target pass, Beadle writes nothing to the target. If the process ends at any
/// point of this function, the next call continues. `planned` is the generation of the mappings
/// that this process used for its last plan of the held target. If the mappings have changed since
/// that plan, Beadle plans the target again, because the target might pass the gate with the new
/// mappings.
pub(crate) async fn adopt(
    service: &Service,
    target: &GroupTarget,
    planned: Option<&str>,
) -> Result<Option<String>, Failure> {
    let (store, name) = (&service.store, target.file.name.as_str());
    let place = place(service.config(), &target.file);
    let (note, generation) = (note_of(name), generation_of(&place));
    let mappings = service.directories.mappings();
    let is_planned = planned == Some(mappings.generation.as_str());
    let before = HeldGeneration::find(store.as_ref(), &note, &generation).await?;
    let limits = limits(service, &target.file).await?;
    let known = accepted_target_place::of(store.as_ref(), name).await?;
    let mut passes = known.as_ref() == Some(&place);
    if !passes {
        if let Some(held) = before.filter(|held| is_planned && held.waits(&limits)) {
            return Ok(Some(held.why));
        }
        passes = needs_none(known.is_none(), name, &mappings, store).await?;
    }
    if passes {
        let now = service.clock().now();
        accept(store.as_ref(), name, (note.as_str(), generation.as_str()), place, now).await?;
        return Ok(None);
    }
    // Only one process plans the changes. The other processes use the target after that process has
    // accepted it.
    let elsewhere = || Ok(Some("another process plans its changes for the gate".to_owned()));
    if !service.is_chosen() {
        return elsewhere();
    }
    if let Some(why) = mappings.incomplete.get(name) {
        return Err(Failure::new(Class::Retry, format!("the target {name} waits for the gate: {why}")));
    }
    let planner = target.planner(Some(store), service.clock());
    // Beadle compares the mappings with an empty list of mappings, so the gate counts each change
    // to the target.
    let preview = Box::pin(planner.preview(&Mappings::default(), &mappings)).await?;
    if let Some(first) = preview.incomplete.first() {
        let text = format!("the target {name} waits for the gate: {first}");
        return Err(Failure::new(Class::Retry, text));
    }
    // The plan takes minutes. Another process might have accepted the same approved target during
    // this time. The same changes must not pass the guard twice.
    let known = accepted_target_place::of(store.as_ref(), name).await?;
    if !service.is_chosen() || known.as_ref() == Some(&place) {
        return elsewhere();
    }
    let now = service.clock().now();
    let planned = HeldGeneration::new((name, generation.as_str()), &preview.plans, preview.total, now);
    let limits = (&limits, "the target is new or has another address: ");
    match decide(store.as_ref(), &note, planned, limits, now).await? {
        GateDecision::Held(held) => {
            let (digest, why) = (&held.digest, &held.why);
            tracing::warn!(target_name = name, generation, digest, why, "target held");
            return Ok(Some(held.why));
        }
        GateDecision::Passes(None) => {}
        GateDecision::Passes(Some(approval)) => {
            let_pass(store.as_ref(), &preview.approvable, &mappings.generation, &approval, now).await?;
        }
    }
    accept(store.as_ref(), name, (note.as_str(), generation.as_str()), place, now).await?;
    tracing::info!(target_name = name, generation, "target in use");
    for batch in preview.marks().chunks(BATCH) {
        store.mark_readable(batch.to_vec(), now).await?;
    }
    Ok(None)
}

/// Returns whether Beadle can use a target without the gate, although no service has accepted the
/// target. Beadle can do this in two cases. In the first case, the mode is `observe`, so Beadle
/// writes nothing. In the second case, no service has accepted any place (`is_new`), but the store
/// contains the groups of the target, because an older version of Beadle used the target.
async fn needs_none(
    is_new: bool,
    name: &str,
    mappings: &Mappings,
    store: &Arc<dyn Store>,
) -> Result<bool, Failure> {
    let mut its = mappings.all.iter().filter(|mapping| mapping.target == name);
    if its.all(|mapping| mapping.mode == Mode::Observe) && !mappings.incomplete.contains_key(name) {
        return Ok(true);
    }
    Ok(is_new && (!is_first_gated() || !remembered(name, store).await?.is_empty()))
}

/// Records the place, and ends the hold of the target.
async fn accept(
    store: &dyn Store,
    name: &str,
    (note, generation): (&str, &str),
    place: String,
    now: Time,
) -> Result<(), Failure> {
    if accepted_target_place::of(store, name).await?.as_ref() != Some(&place) {
        accepted_target_place::remember(store, name, place).await?;
    }
    generation_holds::end(store, note, generation, now).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::gate::accepted_target_place::tests::{SCIM, config};
    use crate::app::store;

    #[tokio::test]
    async fn a_new_target_that_writes_needs_the_gate_and_one_that_only_observes_does_not() {
        let (_folder, store) = store::temporary().unwrap();
        let mut mappings = config(SCIM).mappings;
        for (is_new, mode, needs) in
            [(true, Mode::Enforce, true), (false, Mode::AddOnly, true), (true, Mode::Observe, false)]
        {
            mappings.all.iter_mut().for_each(|mapping| mapping.mode = mode);
            let none = needs_none(is_new, "t", &mappings, &store).await.unwrap();
            assert_eq!(!none, needs, "{is_new} {mode}");
        }
        assert!(needs_none(true, "other", &mappings, &store).await.unwrap(), "it has no mapping");
    }
}
