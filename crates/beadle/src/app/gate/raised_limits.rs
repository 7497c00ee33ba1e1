//! Starts to use the guard's raised limits, if the gate lets the limits pass. The raised limits
//! would release held changes, so the gate counts these changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use beadle_engine::gate::LIMITS_PREFIX;
use beadle_engine::guard::{RepositoryCount, is_undo};
use beadle_engine::{Class, Failure, GateLimits, Hold, Key, Lane, Mark, Plan, Planner, Store, StoreError};
use beadle_groups::sweep::remembered;
use futures::future::try_join_all;
use sha2::{Digest as _, Sha256};

use crate::app::gate::accepted_limits;
use crate::app::gate::generation_decision::{GateDecision, decide};
use crate::app::gate::generation_holds;
use crate::app::gate::guard_holds_of_approved_plan::let_pass;
use crate::app::gate::guard_limits::GuardLimits;
use crate::app::gate::held_generation::HeldGeneration;
use crate::app::groups::mapping_adoption;
use crate::app::groups::target::GroupTarget;
use crate::app::organisations::open_organisation::GithubOrganisation;
use crate::app::service::Service;

/// The number of keys that Beadle plans at the same time.
const AT_ONCE: usize = 8;
/// The number of marks that one transaction stores.
const BATCH: usize = 500;

/// An organisation or a target with limits of the guard.
#[derive(Clone)]
pub(crate) enum Limited {
    /// An organisation. The guard limits the changes of its repositories.
    Organisation(Arc<GithubOrganisation>),
    /// A target. The guard limits the changes of its groups.
    Target(Arc<GroupTarget>),
}

impl Limited {
    /// Returns the name of the organisation or the target.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Organisation(org) => &org.file.name,
            Self::Target(target) => &target.file.name,
        }
    }

    /// Returns the limits of the configuration.
    fn configured(&self) -> GuardLimits {
        match self {
            Self::Organisation(org) => GuardLimits::of_organisation(&org.file),
            Self::Target(target) => GuardLimits::of_target(&target.file),
        }
    }

    /// Returns the name for the configured limits.
    pub(crate) fn generation(&self) -> String {
        generation_of(&self.configured())
    }

    fn in_force(&self) -> GuardLimits {
        match self {
            Self::Organisation(org) => GuardLimits { guard: org.limits.current(), groups: None },
            Self::Target(target) => target.limits_in_force(),
        }
    }

    fn put_in_force(&self, service: &Service, limits: GuardLimits) {
        match self {
            Self::Organisation(org) => org.limits.replace(limits.guard),
            Self::Target(target) => {
                target.set_limits(limits);
                // The planner of the present reconciler uses the old limits of each group, so
                // Beadle replaces the reconciler.
                service.begin_target(target);
            }
        }
    }

    /// Returns the limits of the gate. If the gate has no separate limits, the gate uses the
    /// guard's limits in force, and not the raised limits.
    async fn gate_limits(&self, service: &Service) -> Result<GateLimits, StoreError> {
        match self {
            Self::Organisation(org) => Ok(org.file.gate_limits_with(&org.limits.current())),
            Self::Target(target) => mapping_adoption::limits(service, &target.file).await,
        }
    }

    /// Returns the number of the organisation's repositories or of the target's groups.
    async fn total(&self, store: &Arc<dyn Store>) -> Result<u64, Failure> {
        match self {
            Self::Organisation(org) => {
                let count = RepositoryCount::note(&org.file.name).get(store.as_ref()).await?;
                Ok(count.map_or(0, |RepositoryCount(count)| u64::from(count)))
            }
            Self::Target(target) => Ok(remembered(&target.file.name, store).await?.len() as u64),
        }
    }

    /// Plans the keys that have held changes. Returns those planned changes that the configured
    /// limits would release. Also returns the generation that causes these changes. For an
    /// organisation, this is the generation of the policy. For a target, it is the generation of
    /// the mappings.
    async fn plan(
        &self,
        service: &Service,
        held: &Released,
    ) -> Result<(Vec<(Key, Plan<()>)>, String), Failure> {
        match self {
            Self::Organisation(org) => {
                plan_held(&org.planner(Some(&service.store)).only_looking(), &held.by_window).await
            }
            Self::Target(target) => {
                target.directory.target.look().await?;
                let planner = target.planner(Some(&service.store), service.clock());
                let (mut plans, mut generation) = plan_held(&planner, &held.by_window).await?;
                if generation.is_empty() {
                    // No change is held because of the guard's window. So Beadle has made no plan
                    // yet that contains the generation of the mappings.
                    generation.clone_from(&service.directories.mappings().generation);
                }
                if let Some(groups) = self.configured().groups {
                    let stopped: Vec<Key> = held.stopped.iter().cloned().collect();
                    let preview = planner.preview_limits(groups, &stopped).await?;
                    if let Some(first) = preview.incomplete.first() {
                        return Err(Failure::new(Class::Retry, first));
                    }
                    plans.extend(preview.plans);
                }
                Ok((plans, generation))
            }
        }
    }
}

/// The state of the limits of an organisation or a target.
pub(crate) enum LimitsAdoption {
    /// The limits in force do not change.
    Unchanged,
    /// The limits of the configuration are in force now.
    InForce,
    /// The gate holds the raised limits. The last accepted limits stay in force.
    Held {
        /// The exceeded limits of the gate.
        why: String,
        /// The held changes that the gate has planned.
        planned: Released,
    },
}

/// Returns the name for one version of the limits.
fn generation_of(limits: &GuardLimits) -> String {
    let text = serde_json::to_string(limits).unwrap_or_default();
    let digest = Sha256::digest(text);
    digest.iter().take(6).fold(String::from(LIMITS_PREFIX), |text, byte| format!("{text}{byte:02x}"))
}

/// Returns the name of the note in which Beadle stores held limits of an organisation or a target.
fn note_of(name: &str) -> String {
    format!("{name} limits")
}

/// Starts to use the configured limits, if the gate lets the limits pass. If the process ends at
/// any point of this function, the next call continues. `planned` contains the held changes from
/// this process's last plan of held limits. If some of these changes are no longer held, Beadle
/// makes a new plan, because the limits might pass the gate with fewer changes.
pub(crate) async fn adopt(
    service: &Service,
    of: &Limited,
    planned: Option<&Released>,
) -> Result<LimitsAdoption, Failure> {
    let (store, name, configured) = (service.store.as_ref(), of.name(), of.configured());
    let (note, generation) = (note_of(name), of.generation());
    if of.in_force() == configured {
        // The hold belongs to the process that makes the plans for the gate. That process might
        // have a different configuration.
        if !service.is_chosen() {
            return Ok(LimitsAdoption::Unchanged);
        }
        let now = service.clock().now();
        if let Some(held) = generation_holds::end(store, &note, &generation, now).await? {
            tracing::info!(instance = name, generation = held.generation, "held limits withdrawn");
        }
        return Ok(LimitsAdoption::Unchanged);
    }
    let with_contested = of.in_force().guard.repeats != configured.guard.repeats;
    // Another process might have accepted these limits, and written a part of the changes. With the
    // old limits, this process could hold the remaining changes again.
    if accepted_limits::of(store, name).await? == Some(configured) {
        let held = released(store.holds().await?, name, with_contested);
        let digests: BTreeSet<String> = held.by_window.values().flatten().cloned().collect();
        release(store, &digests).await?;
        of.put_in_force(service, configured);
        mark(service, held.by_window.into_keys().collect()).await?;
        return Ok(LimitsAdoption::InForce);
    }
    let before = HeldGeneration::find(store, &note, &generation).await?;
    let limits = of.gate_limits(service).await?;
    let holds = released(store.holds().await?, name, with_contested);
    let is_planned = planned.is_some_and(|planned| !planned.lost(&holds));
    let waiting = before.filter(|held| is_planned && held.waits(&limits));
    if let (Some(held), Some(planned)) = (waiting, planned) {
        return Ok(LimitsAdoption::Held { why: held.why, planned: planned.clone() });
    }
    // Only one process plans the changes. The other processes start to use the limits after that
    // process has accepted the limits.
    if !service.is_chosen() {
        return Ok(LimitsAdoption::Unchanged);
    }
    let (plans, asking) = of.plan(service, &holds).await?;
    // The plan takes minutes. Another process might start to use the same approved limits during
    // this time. The same changes must not pass the guard twice.
    if !service.is_chosen() || accepted_limits::of(store, name).await? == Some(configured) {
        return Ok(LimitsAdoption::Unchanged);
    }
    let now = service.clock().now();
    let total = of.total(&service.store).await?;
    let changes = HeldGeneration::new((name, generation.as_str()), &plans, total, now);
    let limits = (&limits, "the raised limits would release held changes: ");
    match decide(store, &note, changes, limits, now).await? {
        GateDecision::Held(held) => {
            let (digest, why) = (&held.digest, &held.why);
            tracing::warn!(instance = name, generation, digest, why, "raised limits held");
            return Ok(LimitsAdoption::Held { why: held.why, planned: holds });
        }
        GateDecision::Passes(None) => {}
        GateDecision::Passes(Some(approval)) => {
            // An operator might have decided about a change while Beadle made the plan. After such
            // a decision, the approved plan differs from the plan that is necessary.
            if holds.lost(&released(store.holds().await?, name, with_contested)) {
                let why = "a held change was decided or resolved during the plan";
                return Err(Failure::new(Class::Retry, why));
            }
            let_pass(store, &plans, &asking, &approval, now).await?;
        }
    }
    // The old limits might have caused holds. These holds do not end by themselves when the limits
    // change, so Beadle ends these holds here. If the process ends before it records the limits,
    // the next start uses the old limits and plans the changes again.
    release(store, &digests(&plans)).await?;
    of.put_in_force(service, configured);
    mark(service, holds.by_window.into_keys().chain(holds.stopped).collect()).await?;
    accepted_limits::remember(store, name, configured).await?;
    tracing::info!(instance = name, generation, "limits in force");
    generation_holds::end(store, &note, &generation, now).await?;
    Ok(LimitsAdoption::InForce)
}

/// Returns the digests of all changes in these plans.
fn digests(plans: &[(Key, Plan<()>)]) -> BTreeSet<String> {
    plans.iter().flat_map(|(key, plan)| plan.changes.iter().map(|change| change.digest(key))).collect()
}

/// Ends the holds with these digests, so that the guard checks the changes again. A hold stays if
/// an operator has decided about its change, even if the decision arrives during this call.
async fn release(store: &dyn Store, digests: &BTreeSet<String>) -> Result<(), StoreError> {
    let is_open = |hold: &Hold| hold.is_open() && !is_undo(&hold.generation);
    let holds = store.holds().await?.into_iter();
    let open: Vec<Hold> = holds.filter(|hold| digests.contains(&hold.digest) && is_open(hold)).collect();
    if open.is_empty() { Ok(()) } else { store.release(open).await }
}

/// Marks keys as due.
async fn mark(service: &Service, keys: BTreeSet<Key>) -> Result<(), StoreError> {
    let marks: Vec<Mark> = keys.into_iter().map(|key| Mark::new(key, Lane::Event)).collect();
    for batch in marks.chunks(BATCH) {
        service.store.mark_readable(batch.to_vec(), service.clock().now()).await?;
    }
    service.bell.notify_one();
    Ok(())
}

/// The held changes that wider limits can release.
#[derive(Clone, Default)]
pub(crate) struct Released {
    /// For each key, the digests of the changes that are held because of a limit of the guard's
    /// window.
    by_window: BTreeMap<Key, BTreeSet<String>>,
    /// The keys with a change that needs an approval, for example because of the limits of a group.
    stopped: BTreeSet<Key>,
}

impl Released {
    /// Returns whether some of these changes are not held any more. Ignores newly held changes,
    /// because they can only make the sums larger.
    fn lost(&self, now: &Self) -> bool {
        let is_held = |(key, digests): (&Key, &BTreeSet<String>)| {
            now.by_window.get(key).is_some_and(|held| digests.is_subset(held))
        };
        !self.by_window.iter().all(is_held) || !self.stopped.is_subset(&now.stopped)
    }
}

/// Returns the held changes that wider limits can release. If an operator decided about a change,
/// the change does not depend on the limits. A contested change depends only on the limit
/// `repeats`. A held change that belongs to an undo waits until the operator runs the undo again.
fn released(holds: Vec<Hold>, instance: &str, with_contested: bool) -> Released {
    let mut found = Released::default();
    for hold in holds.into_iter().filter(|hold| hold.key.instance() == instance) {
        if !hold.is_open() || is_undo(&hold.generation) || (hold.contested && !with_contested) {
            continue;
        }
        if hold.change.stop.is_some() {
            found.stopped.insert(hold.key);
        } else {
            found.by_window.entry(hold.key).or_default().insert(hold.digest);
        }
    }
    found
}

/// Plans these keys. Returns the plans and their generation. The plans keep only the changes with
/// the given digests.
async fn plan_held<P: Planner>(
    planner: &P,
    held: &BTreeMap<Key, BTreeSet<String>>,
) -> Result<(Vec<(Key, Plan<()>)>, String), Failure> {
    let all: Vec<(&Key, &BTreeSet<String>)> = held.iter().collect();
    let (mut plans, mut generation) = (Vec::new(), None);
    for batch in all.chunks(AT_ONCE) {
        let planned = try_join_all(batch.iter().map(|(key, _)| planner.plan(key, None, Lane::Sweep))).await?;
        for ((key, digests), plan) in batch.iter().zip(planned) {
            let mut plan = plan.describe();
            if *generation.get_or_insert_with(|| plan.generation.clone()) != plan.generation {
                return Err(Failure::new(Class::Retry, "another policy came into force during the plan"));
            }
            if let Some(unknown) =
                plan.unknowns.iter().find(|unknown| unknown.transient && unknown.part.is_none())
            {
                let text = format!("{}: {} is unknown: {}", plan.subject, unknown.aspect, unknown.why);
                return Err(Failure::new(Class::Retry, text));
            }
            plan.changes.retain(|change| digests.contains(&change.digest(key)));
            if !plan.changes.is_empty() {
                plans.push(((*key).clone(), plan));
            }
        }
    }
    Ok((plans, generation.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use beadle_engine::guard::Decision;
    use beadle_engine::testing::change;
    use beadle_engine::{Limits, Risk, StoreRecord, Time, Verdict};

    use super::*;
    use crate::app::store;

    fn hold(id: u64, digest: &str) -> Hold {
        let key = Key::new("repository", "acme", id);
        let change = change("teams", "team a", &[Risk::Removes]);
        Hold {
            digest: digest.to_owned(),
            why: "guard limit reached".to_owned(),
            ..Hold::new(&key, &format!("acme/r{id}"), "g1", change, Time(0))
        }
    }

    #[test]
    fn only_changes_that_the_limits_hold_are_released() {
        let mut doubt = hold(3, "d4");
        doubt.change.stop = Some("the team is gone".to_owned());
        let holds = vec![
            hold(1, "d1"),
            hold(1, "d2"),
            Hold { contested: true, ..hold(2, "d3") },
            doubt,
            Hold { approved_by: Some("ann".to_owned()), ..hold(4, "d5") },
            Hold { key: Key::new("repository", "labs", 1), ..hold(1, "d6") },
            Hold { generation: "undo of 7".to_owned(), ..hold(5, "d7") },
        ];
        let shown = |with_contested: bool| -> Vec<(String, usize)> {
            let found = released(holds.clone(), "acme", with_contested);
            assert_eq!(found.stopped, BTreeSet::from([Key::new("repository", "acme", 3)]));
            let by_window = found.by_window.into_iter();
            by_window.map(|(key, digests)| (key.to_string(), digests.len())).collect()
        };
        assert_eq!(shown(false), [("repository:acme:1".to_owned(), 2)]);
        assert_eq!(shown(true)[1..], [("repository:acme:2".to_owned(), 1)]);
    }

    #[test]
    fn held_limits_are_planned_again_if_a_held_change_is_gone() {
        let of = |holds: &[(u64, &str)]| {
            released(holds.iter().map(|(id, digest)| hold(*id, digest)).collect(), "acme", false)
        };
        let both = of(&[(1, "d1"), (2, "d2")]);
        assert!(!both.lost(&both) && !of(&[(1, "d1")]).lost(&both), "more changes are held now");
        assert!(both.lost(&of(&[(1, "d1")])) && both.lost(&of(&[(1, "d1"), (2, "d3")])));
        let stopped = Released { stopped: [Key::new("repository", "acme", 3)].into(), ..both.clone() };
        assert!(stopped.lost(&both) && !both.lost(&stopped));
    }

    #[tokio::test]
    async fn the_guard_checks_released_changes_again_and_keeps_decisions() {
        let (_folder, store) = store::temporary().unwrap();
        let store = store.as_ref();
        for (id, digest) in [(1, "open"), (2, "rejected"), (3, "other")] {
            store.take(StoreRecord::Hold(hold(id, digest))).await.unwrap();
        }
        let reject = Decision::reject("ann", Some("it stays"));
        store.decide("rejected", &reject, Time(1)).await.unwrap().unwrap();
        let guard = async |id: u64, digest: &str| {
            let asked = Hold { why: String::new(), ..hold(id, digest) };
            let verdicts = store.reserve(None, &Limits::default(), vec![asked], Time(2)).await;
            verdicts.unwrap().unwrap().remove(0)
        };
        assert_ne!(guard(1, "open").await, Verdict::Pass, "a hold outlives the limits that caused it");
        let digests = BTreeSet::from(["open", "rejected"].map(str::to_owned));
        release(store, &digests).await.unwrap();
        let left = store.holds().await.unwrap();
        let left: BTreeSet<&str> = left.iter().map(|hold| hold.digest.as_str()).collect();
        assert_eq!(left, BTreeSet::from(["other", "rejected"]));
        assert_eq!(guard(1, "open").await, Verdict::Pass);
        assert_ne!(guard(2, "rejected").await, Verdict::Pass);
    }

    #[test]
    fn a_version_of_limits_has_a_name_of_its_own() {
        let limits =
            |removes: u32| GuardLimits { guard: Limits { removes, ..Limits::default() }, groups: None };
        let (one, other) = (limits(50), limits(51));
        assert!(generation_of(&one).starts_with("limits-"));
        assert_ne!(generation_of(&one), generation_of(&other));
        assert_eq!(note_of("acme"), "acme limits");
    }
}
