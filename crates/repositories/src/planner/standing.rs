//! The facts about a repository besides its layers: the files in repos/ that belong to it, and the
//! waivers that cover it.

use beadle_engine::StoreError;
use beadle_github::Repository;

use super::RepositoryPlanner;
use crate::policy::{OverrideStatus, Policy, Waiver, WaiverRules};

impl RepositoryPlanner {
    /// Sets the limits of waivers.
    #[must_use]
    pub fn waiving(mut self, rules: WaiverRules) -> Self {
        self.waivers = self.waivers.limited_by(rules);
        self
    }

    /// Returns the facts about a repository besides its layers.
    pub(super) async fn standing<'a>(
        &self,
        policy: &'a Policy,
        seen: &Repository,
    ) -> Result<OverrideStatus<'a>, StoreError> {
        let mut standing = self.overrides.of(policy, seen).await?;
        standing.waivers = self.waivers.of(policy, &seen.name).await?;
        Ok(standing)
    }

    /// Returns a planner that ignores the new waivers of its policy: those that `base` does not
    /// have, and those that end earlier than in `base`. The waivers of `beadle waive` stay.
    pub(super) fn without_new_waivers(&self, base: Option<&Policy>) -> Self {
        let base = base.map(|base| base.waivers.clone()).unwrap_or_default();
        Self { waivers: self.waivers.without_new(base), ..self.clone() }
    }

    /// Returns the waivers in force that cover the repository and that the planner ignores. Each
    /// waiver has only its ignored keys.
    pub(super) fn new_waivers(&self, policy: &Policy, seen: &Repository) -> Vec<Waiver> {
        self.waivers.new_of(policy, &seen.name)
    }
}
