//! Makes Beadle only observe the values that an undo restored.

use beadle_engine::{Failure, Key, Plan};
use beadle_github::Repository;

use super::RepositoryPlanner;
use crate::aspects::Step;
use crate::policy::Policy;
use crate::undo::{ORGANISATION, shared, split};

impl RepositoryPlanner {
    /// Makes Beadle only observe the values that an undo restored in a repository. If a restored
    /// value is in the same change as other values, Beadle writes the other values with a second
    /// plan, which leaves out the restored values.
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
            // The second plan does not declare the restored values, so Beadle must not record this
            // plan as the declared values. The second plan reads all parts, because Beadle makes it
            // only for a change.
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

    /// Forgets the values that an undo restored for a key, if the policy in the last plan had the
    /// same values.
    pub(super) async fn forget_agreed(&self, key: &Key) -> Result<(), Failure> {
        let Some(memory) = &self.undone else { return Ok(()) };
        let id = if key.kind() == "organisation" { ORGANISATION } else { key.id() };
        Ok(memory.forget_agreed(id).await?)
    }
}
