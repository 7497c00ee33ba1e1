//! The facts about a repository besides its layers: the files in repos/ that belong to it, and the
//! waivers that cover it.

use beadle_engine::StoreError;
use beadle_github::Repository;

use super::RepositoryPlanner;
use crate::policy::{OverrideStatus, Policy, WaiverRules};

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
}
