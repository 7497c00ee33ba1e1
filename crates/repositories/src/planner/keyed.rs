//! Plans the repository or the organisation of one key. The engine's runs use this module.

use async_trait::async_trait;
use beadle_engine::apply::OLDEST;
use beadle_engine::plan::NOT_FOUND;
use beadle_engine::{Class, Failure, Key, Lane, Plan, Planner, Report, read_hint};

use super::{RepositoryPlanner, meant};
use crate::aspects::Step;
use crate::creation::name_in;
use crate::policy::Policy;
use crate::requirements::events_of;
use crate::undo::can_hide;

/// The maximum number of attempts to plan a repository if its reads take too long.
const PLANS: u32 = 3;

impl RepositoryPlanner {
    /// Makes this planner share two records with another planner: the record of controls, and the
    /// record of restored values. A command uses two planners: one for its plan, and one for its
    /// writes.
    #[must_use]
    pub fn recording_with(mut self, other: &Self) -> Self {
        self.controls.clone_from(&other.controls);
        self.undone.clone_from(&other.undone);
        self
    }

    /// Reads the repository of a key and plans its changes.
    async fn read_and_plan(
        &self,
        policy: &Policy,
        key: &Key,
        hint: Option<&str>,
    ) -> Result<Plan<Box<dyn Step>>, Failure> {
        if let Some(name) = name_in(key) {
            return self.creation(policy, name).await;
        }
        let id: u64 = key
            .id()
            .parse()
            .map_err(|_| Failure::new(Class::Fatal, format!("`{key}` has no repository id")))?;
        self.reader.ask_for(policy.asks());
        self.reader.select_by(policy.selected_by());
        if key.kind() == "organisation" {
            return self.of_organisation(policy).await;
        }
        self.overrides.follow_once(policy, &self.reader, id).await?;
        let since = self.looks.as_ref().and_then(|looks| looks.loaded_since());
        let mut seen = match (hint, since) {
            (Some(node_id), Some(since)) => self.reader.repository_last_seen(node_id, since).await?,
            (Some(node_id), None) => self.reader.repository(node_id).await?,
            (None, _) => None,
        };
        if seen.as_ref().is_none_or(|repository| repository.id != id) {
            // The id of the key identifies the repository. The hint led to a different repository
            // or to no repository, so Beadle takes the node id from the list of all repositories.
            let index = self.listing.get(self.reader.index()).await?;
            seen = match index.iter().find(|row| row.id == id) {
                Some(row) => meant(row, self.reader.repository(&row.node_id).await?)?,
                None => None,
            };
        }
        if let Some(seen) = seen.filter(|repository| repository.id == id) {
            return self.repository(policy, &seen).await;
        }
        let mut plan = Plan::new(format!("{}/#{id}", self.reader.organisation()));
        plan.skipped = Some(NOT_FOUND.into());
        Ok(plan)
    }
}

#[async_trait]
impl Planner for RepositoryPlanner {
    type Write = Box<dyn Step>;

    /// Plans the changes of a key. If the reads for the plan took too long, Beadle plans again. The
    /// reason is that some writes replace a whole object, and Beadle builds the body of these
    /// writes from its reads. During long reads, somebody might have changed the object.
    async fn plan(&self, key: &Key, hint: Option<&str>, lane: Lane) -> Result<Plan<Box<dyn Step>>, Failure> {
        let in_lane = self.in_lane(lane);
        let clock = in_lane.reader.clock();
        let (hint, is_swept) = hint.map(read_hint).unzip();
        for _ in 0..PLANS {
            let begun = clock.now();
            let planner = in_lane.looking(key, lane, is_swept.unwrap_or(false)).await?;
            let policy = planner.policy.current();
            let mut plan = planner.read_and_plan(&policy, key, hint).await?;
            plan.generation.clone_from(&policy.generation);
            if plan.changes.is_empty() || clock.now().since(begun) <= OLDEST {
                // A write of this run deletes stored reads, so the planner must store its reads
                // before the write.
                match &planner.looks {
                    Some(looks) if plan.skipped.is_none() => looks.end().await?,
                    Some(_) => {}
                    None => planner.expire_open(key, &plan).await?,
                }
                return Ok(plan);
            }
            tracing::debug!(%key, "reading for a plan took too long, planning again");
        }
        let text = format!("the reads of a plan took longer than {} s; Beadle plans again", OLDEST.as_secs());
        let until = clock.now() + OLDEST;
        Err(Failure::new(Class::RateLimited { until, spares_events: true }, text))
    }

    /// Returns `false`. If the policy contains the name of a deleted team, this name is unresolved
    /// for every repository. Beadle must not park the keys of all repositories because of such a
    /// name.
    fn parks_unresolved(&self) -> bool {
        false
    }

    fn reports(&self, aspect: &str, event: &str, sender: Option<&str>) -> bool {
        if sender.is_some_and(|sender| self.reader.is_own_login(sender)) {
            return false;
        }
        // The name of a delivery's event can contain the action, as in `repository.edited`.
        let name = event.split('.').next().unwrap_or_default();
        events_of(aspect).contains(&name)
    }

    fn can_hide(&self, waived: &str, aspect: &str, what: &str) -> bool {
        can_hide(waived, aspect, what)
    }

    async fn record(&self, key: &Key, report: &Report) -> Result<(), Failure> {
        if let Some(log) = &self.controls {
            log.record(key, report).await?;
        }
        self.forget_agreed(key).await
    }

    async fn record_failure(&self, key: &Key, failure: &Failure) -> Result<(), Failure> {
        if let Some(log) = &self.controls {
            log.record_failure(key, failure).await?;
        }
        Ok(())
    }
}
