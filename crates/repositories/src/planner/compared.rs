//! Compares an aspect with the live values. The values come from reads in this run, or from earlier
//! reads.

use std::collections::BTreeSet;
use std::sync::Arc;

use beadle_engine::sweep::begun_at;
use beadle_engine::{Failure, Key, Lane, LastRead, Plan, StoreError, Time};

use super::RepositoryPlanner;
use crate::agreed::{AGREED, agreement};
use crate::aspects::{Aspect, AspectPlan, Context, Step};
use crate::creation::name_in;
use crate::looks::{Looks, declared, is_spread};
use crate::reread::{LOADED, Reread};

impl RepositoryPlanner {
    /// Sets the rule for the parts that only REST shows. The rule decides when a sweep's run reads
    /// these parts. All other runs read all parts.
    #[must_use]
    pub fn rereading(mut self, rule: Reread) -> Self {
        self.reread = Some(rule);
        self
    }

    /// Returns a copy of the planner for one run of a key. `is_swept` is true if only a sweep
    /// marked the key as due.
    pub(super) async fn looking(&self, key: &Key, lane: Lane, is_swept: bool) -> Result<Self, StoreError> {
        let rule = self.reread.as_ref().filter(|_| is_repository(key) && is_swept && lane == Lane::Sweep);
        // The stored answers and their read times must be in the same store.
        let Some((rule, store)) = rule.zip(self.reader.store()) else {
            return Ok(Self { looks: None, ..self.clone() });
        };
        let looks = Looks::begin(store, key, rule, self.reader.clock().now());
        let begun = begun_at(store.as_ref(), key.instance());
        let (looks, begun, holds) = futures::try_join!(looks, begun, store.holds_of(key))?;
        // All runs of a sweep share some lists. If a command created a hold, these lists might be
        // older than the held change. A run that used these lists would not see the change, and
        // would release the hold.
        let reader = self.reader.in_sweep(begun.filter(|_| holds.is_empty()));
        Ok(Self { looks: Some(Arc::new(looks)), reader, ..self.clone() })
    }

    /// Expires the stored reads of the parts that differ from the policy or are unknown in this
    /// run, so that the next sweep reads these parts. The function is for a run that reads all
    /// parts and does not record its reads, such as the run of a command. The run of a command can
    /// create holds. If the next sweep used an older agreement or an older stored answer, it would
    /// see no difference and release the holds.
    pub(super) async fn expire_open(&self, key: &Key, plan: &Plan<Box<dyn Step>>) -> Result<(), StoreError> {
        // A planner with a read-only memory stores nothing and creates no hold.
        let is_recorded = self.controls.is_some() && is_repository(key);
        let Some(store) = self.reader.store().filter(|_| is_recorded) else { return Ok(()) };
        let different = plan.changes.iter().map(|change| change.aspect.as_str());
        let unknown = plan.unknowns.iter().map(|unknown| unknown.aspect.as_str());
        let open: BTreeSet<&str> = different.chain(unknown).filter(|aspect| is_spread(aspect)).collect();
        LastRead::expire(store.as_ref(), key, &open).await
    }

    /// Compares an aspect. Beadle makes no call if a sweep can skip the read of the aspect and the
    /// stored answers match the policy. For an aspect whose answers must not be in the store,
    /// Beadle compares the agreement. If the stored answers differ from the policy, Beadle reads
    /// the aspect. So Beadle never plans a change because of an old value.
    pub(super) async fn compare(
        &self,
        aspect: &Aspect,
        context: &Context<'_>,
    ) -> Result<AspectPlan, Failure> {
        let Some(looks) = self.looks.as_ref().filter(|_| is_spread(aspect.name)) else {
            return planned(aspect, context).await;
        };
        let declared = declared(aspect, context.desired, context.repository);
        let since = looks.kept_since(aspect.name, declared.as_deref());
        if LOADED.contains(&aspect.name) {
            let plan = planned(aspect, context).await?;
            if context.repository.last_seen.is_none() {
                record(looks, aspect, (declared, None), &plan);
            } else if declared.is_some() && (since.is_none() || !plan.is_empty()) {
                looks.ask_for_loaded();
            }
            return Ok(plan);
        }
        if AGREED.contains(&aspect.name) {
            let agreement = agreement(aspect, context).await;
            let is_agreed = |agreement: &String| looks.agrees(aspect.name, declared.as_deref(), agreement);
            if agreement.as_ref().is_some_and(is_agreed) {
                return Ok(AspectPlan::default());
            }
            let plan = planned(aspect, context).await?;
            let agreement = agreement.filter(|_| plan.is_empty());
            record(looks, aspect, (declared, agreement), &plan);
            return Ok(plan);
        }
        if let Some(since) = since
            && let Some(plan) = as_last_seen(aspect, context, since).await
        {
            return Ok(plan);
        }
        let plan = planned(aspect, context).await?;
        record(looks, aspect, (declared, None), &plan);
        Ok(plan)
    }
}

/// Returns whether a key belongs to a repository that exists.
fn is_repository(key: &Key) -> bool {
    key.kind() == "repository" && name_in(key).is_none()
}

/// Plans an aspect with the answers from the context's reader.
async fn planned(aspect: &Aspect, context: &Context<'_>) -> Result<AspectPlan, Failure> {
    let mut plan = AspectPlan::default();
    match aspect.planner.plan(context, &mut plan).await {
        Ok(()) => Ok(plan),
        Err(failure) => AspectPlan::failed(failure),
    }
}

/// Plans an aspect with the answers that were stored at or after the time `since`. If these answers
/// match the policy, the function returns the empty plan. Returns `None` if Beadle must read the
/// aspect.
async fn as_last_seen(aspect: &Aspect, context: &Context<'_>, since: Time) -> Option<AspectPlan> {
    let reader = context.reader.as_last_seen(since);
    let context = Context { reader: &reader, ..*context };
    planned(aspect, &context).await.ok().filter(AspectPlan::is_empty)
}

/// Records that the run read an aspect. The record contains the digest of the declared values, and
/// the agreement. If a part of the aspect is unknown, the next sweep also reads the aspect.
fn record(
    looks: &Looks,
    aspect: &Aspect,
    (declared, agreed): (Option<String>, Option<String>),
    plan: &AspectPlan,
) {
    if plan.unresolved.is_empty() {
        looks.read(aspect.name, declared, agreed);
    } else {
        looks.forget(aspect.name);
    }
}
