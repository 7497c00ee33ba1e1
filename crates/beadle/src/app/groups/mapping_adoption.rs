//! Starts to use new mappings, if the gate lets the mappings pass. The mappings are in
//! `beadle.toml` and in the files of `groups_from`. The mappings to each target form a separate
//! generation.

use std::sync::Arc;

use beadle_engine::{Class, Failure, GateLimits, Mode, StoreError};
use beadle_groups::{GroupPreview, Mapping, Mappings};

use crate::app::gate::accepted_limits::usable;
use crate::app::gate::generation_decision::{GateDecision, decide};
use crate::app::gate::generation_holds;
use crate::app::gate::guard_holds_of_approved_plan::{let_pass, take_back};
use crate::app::gate::guard_limits::GuardLimits;
use crate::app::gate::held_generation::HeldGeneration;
use crate::app::groups::accepted_mappings::{self, generation_of, to_target};
use crate::app::service::Service;
use crate::app::service::record::ServiceRecord;
use crate::config::TargetConfig;

/// The number of marks that one transaction stores.
const BATCH: usize = 500;

/// The state of new mappings to a target: in force, or held.
pub(crate) enum MappingAdoption {
    /// The mappings in force do not change.
    Unchanged,
    /// The mappings of this generation are in force now.
    InForce(String),
    /// The gate holds the mappings. The last accepted mappings stay in force.
    Held {
        /// The name of the held generation.
        generation: String,
        /// The exceeded limits.
        why: String,
    },
}

/// Starts to use the configured mappings to a target, if the gate lets the mappings pass. If the
/// process ends at any point of this function, the next call continues.
pub(crate) async fn adopt(
    service: &Service,
    target: &TargetConfig,
    wanted: Vec<Mapping>,
) -> Result<MappingAdoption, Failure> {
    let (store, in_force) = (service.store.as_ref(), &service.directories.in_force);
    let name = target.name.as_str();
    let generation = generation_of(&wanted);
    let held = HeldGeneration::note(name).get(store).await?;
    let accepted = accepted_mappings::stored(store, name).await?;
    let is_used = generation_of(&in_force.configured_of(name)) == generation;
    // A process with another configuration might accept its mappings and then end. This happens,
    // for example, if somebody undoes an upgrade. The fence then stops the runs of this process
    // until the mappings of this process are accepted again.
    let other = accepted.value.as_ref().filter(|accepted| accepted.generation != generation);
    let mut other = other.filter(|_| is_used && service.is_chosen());
    if other.is_some() && has_newer(service).await? {
        other = None;
    }
    if is_used && other.is_none() {
        // The hold belongs to the process that makes the plans for the gate. That process might
        // have a different configuration.
        if held.is_some()
            && service.is_chosen()
            && let Some(held) = generation_holds::end(store, name, &generation, service.clock().now()).await?
        {
            tracing::info!(target_name = name, generation = held.generation, "held mappings withdrawn");
        }
        return Ok(MappingAdoption::Unchanged);
    }
    // Another process might have written a part of the changes, so a plan would differ from the
    // approved one.
    if accepted.value.as_ref().is_some_and(|accepted| accepted.generation == generation) {
        in_force.replace_configured(name, wanted);
        return Ok(MappingAdoption::InForce(generation));
    }
    let held = held.filter(|held| held.generation == generation);
    let limits = limits(service, target).await?;
    if let Some(held) = held.filter(|held| held.waits(&limits)) {
        return Ok(MappingAdoption::Held { generation, why: held.why });
    }
    // Only one process plans the changes. The other processes start to use the mappings after that
    // process has accepted the mappings.
    if !service.is_chosen() {
        return Ok(MappingAdoption::Unchanged);
    }
    let before = match other {
        Some(other) => Arc::new(in_force.with_configured(name, other.mappings(store, name).await?)),
        None => in_force.all(),
    };
    let after = in_force.with_configured(name, wanted.clone());
    let preview = plan(service, name, &before, &after).await?;
    // The plan takes minutes. Another process might start to use the same approved mappings during
    // this time. The changes of the mappings must not pass the guard twice.
    let is_same = accepted_mappings::stored(store, name).await?.text() == accepted.text();
    if !is_same || !service.is_chosen() {
        return Ok(MappingAdoption::Unchanged);
    }
    let now = service.clock().now();
    let planned = HeldGeneration::new((name, generation.as_str()), &preview.plans, preview.total, now);
    let approval = match decide(store, name, planned, (&limits, ""), now).await? {
        GateDecision::Held(held) => {
            let (digest, why) = (&held.digest, &held.why);
            tracing::warn!(target_name = name, generation, digest, why, "generation of the mappings held");
            return Ok(MappingAdoption::Held { generation, why: held.why });
        }
        GateDecision::Passes(approval) => approval,
    };
    if let Some(approval) = &approval {
        // The plan of a group contains the generation of all mappings in force.
        let_pass(store, &preview.approvable, &after.generation, approval, now).await?;
    }
    if !accepted_mappings::accept_after(store, name, &wanted, &accepted).await? {
        if approval.is_some() {
            take_back(store, &preview.approvable).await?;
        }
        return Ok(MappingAdoption::Unchanged);
    }
    in_force.replace_configured(name, wanted);
    tracing::info!(target_name = name, generation, "mappings in force");
    for batch in preview.marks().chunks(BATCH) {
        store.mark_readable(batch.to_vec(), now).await?;
    }
    service.bell.notify_one();
    generation_holds::end(store, name, &generation, now).await?;
    Ok(MappingAdoption::InForce(generation))
}

/// Returns whether a process with another configuration started later than this process and still
/// runs. In an upgrade, the configuration of the later process is the right one.
async fn has_newer(service: &Service) -> Result<bool, StoreError> {
    let running = ServiceRecord::running(service.store.as_ref(), service.clock().now()).await?;
    let is_newer = |record: &ServiceRecord| {
        record.started > service.started && !record.differences(service.config()).is_empty()
    };
    Ok(running.iter().any(is_newer))
}

/// Plans the groups whose mappings would change. Returns an error if Beadle cannot plan a part.
async fn plan(
    service: &Service,
    name: &str,
    before: &Mappings,
    after: &Mappings,
) -> Result<GroupPreview, Failure> {
    if to_target(after, name).iter().all(|mapping| mapping.mode == Mode::Observe) {
        // The mode `observe` writes nothing, so this mode needs no gate. A sweep finds the groups.
        return Ok(GroupPreview::default());
    }
    let Some(target) = service.directories.targets.get(name) else {
        return Err(Failure::new(Class::Retry, format!("the target {name} is unavailable")));
    };
    let planner = target.planner(Some(&service.store), service.clock());
    let preview = Box::pin(planner.preview(before, after)).await?;
    match preview.incomplete.first() {
        None => Ok(preview),
        Some(first) => {
            let more = match preview.incomplete.len() - 1 {
                0 => String::new(),
                more => format!(" (and {more} more)"),
            };
            Err(Failure::new(Class::Retry, format!("{first}{more}")))
        }
    }
}

/// Returns the limits of the gate. If the groups are the teams of an organisation, returns the
/// limits of the organisation. If the groups are on a SCIM server, returns the limits of the
/// target's guard. A raised limit of a guard is valid only after it is accepted. This rule applies
/// even before the target is in use.
pub(in crate::app) async fn limits(
    service: &Service,
    target: &TargetConfig,
) -> Result<GateLimits, StoreError> {
    let store = service.store.as_ref();
    let org =
        target.github.as_ref().and_then(|teams| service.orgs.iter().find(|org| org.file.name == teams.org));
    if let Some(org) = org {
        let configured = GuardLimits::of_organisation(&org.file);
        let GuardLimits { guard, .. } = usable(store, &org.file.name, configured).await?;
        return Ok(org.file.gate_limits_with(&guard));
    }
    let GuardLimits { guard, .. } = usable(store, &target.name, GuardLimits::of_target(target)).await?;
    Ok(GateLimits {
        removes: guard.removes,
        weakens: guard.weakens,
        exposes: guard.exposes,
        creates: GateLimits::CREATES,
        percent: GateLimits::PERCENT,
        repositories: GateLimits::REPOSITORIES,
    })
}
