//! Handles the values that an undo restored. Beadle only observes these values, and does not write
//! them.

use beadle_engine::{Failure, Key, Plan};
use beadle_github::Repository;

use super::RepositoryPlanner;
use crate::aspects::Step;
use crate::policy::Policy;
use crate::undo::{ORGANISATION, shared, split};

impl RepositoryPlanner {
    /// Handles the changes of a repository that would replace restored values. Beadle only observes
    /// such values. A change can contain both restored values and other values. Beadle then writes
    /// the other values with a second plan that omits the restored values.
    pub(super) async fn observe_undone(
        &self,
        policy: &Policy,
        seen: &Repository,
        plan: &mut Plan<Box<dyn Step>>,
    ) -> Result<(), Failure> {
        let Some(memory) = &self.undone else { return Ok(()) };
        let id = seen.id.to_string();
        let Some(undone) = memory.of(&id, self.waivers.never()).await? else { return Ok(()) };
        let paths = shared(&undone, plan);
        let others = if paths.is_empty() {
            Plan::new("")
        } else {
            // The second plan omits declared values: the restored values that share a change with
            // other values. So this plan must record neither controls nor reads. If a planner does
            // not record its reads, the planner reads all parts. The second plan is rare, because
            // it needs a change with both restored values and other values.
            let waivers = self.waivers.without(paths);
            let apart = Self { waivers, controls: None, looks: None, ..self.clone() };
            Box::pin(apart.attempt(policy, seen)).await?.0
        };
        split(&undone, plan, others);
        let observed = memory.observe((&id, self.waivers.never()), plan, self.reader.clock().now()).await?;
        if let (Some(log), Some(undone)) = (&self.controls, observed) {
            log.keep_undone(seen.id, undone);
        }
        Ok(())
    }

    /// Deletes the stored record of a key's restored values if the policy had the same values in
    /// the most recent plan.
    pub(super) async fn forget_agreed(&self, key: &Key) -> Result<(), Failure> {
        let Some(memory) = &self.undone else { return Ok(()) };
        let id = if key.kind() == "organisation" { ORGANISATION } else { key.id() };
        Ok(memory.forget_agreed(id).await?)
    }
}
