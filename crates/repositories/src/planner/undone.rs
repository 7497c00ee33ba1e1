//! Makes Beadle only observe the values that an operator undid.

use beadle_engine::{Failure, Plan};
use beadle_github::Repository;

use super::RepositoryPlanner;
use crate::aspects::Step;
use crate::policy::Policy;
use crate::undo::{shared, split};

impl RepositoryPlanner {
    /// Makes Beadle only observe the undone values in the plan of a repository. If such a value
    /// shares a change with others, Beadle writes the others with a second plan that leaves out the
    /// undone values.
    pub(super) async fn observe_undone(
        &self,
        policy: &Policy,
        seen: &Repository,
        plan: &mut Plan<Box<dyn Step>>,
    ) -> Result<(), Failure> {
        let Some(memory) = &self.undone else { return Ok(()) };
        let id = seen.id.to_string();
        let Some(undone) = memory.of(&id).await? else { return Ok(()) };
        let paths = shared(&undone, plan);
        let others = if paths.is_empty() {
            Plan::new("")
        } else {
            let apart = Self { waivers: self.waivers.without(paths), ..self.clone() };
            Box::pin(apart.attempt(policy, seen)).await?.0
        };
        split(&undone, plan, others);
        Ok(memory.observe(&id, plan, self.reader.clock().now()).await?)
    }
}
