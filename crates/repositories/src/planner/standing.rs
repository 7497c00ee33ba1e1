//! Finds two facts about a repository that do not come from its layers: the files in repos/ that
//! belong to the repository, and the waivers that cover the repository.

use beadle_engine::StoreError;
use beadle_github::{NameKind, Repository};

use super::RepositoryPlanner;
use crate::policy::{OverrideStatus, Policy, Waiver, WaiverRules};

impl RepositoryPlanner {
    /// Sets the limits of waivers.
    #[must_use]
    pub fn waiving(mut self, rules: WaiverRules) -> Self {
        self.waivers = self.waivers.limited_by(rules);
        self
    }

    /// Returns the facts about a repository that do not come from its layers.
    pub(super) async fn standing<'a>(
        &self,
        policy: &'a Policy,
        seen: &Repository,
    ) -> Result<OverrideStatus<'a>, StoreError> {
        let mut standing = self.overrides.of(policy, seen).await?;
        standing.waivers = self.waivers.of(policy, &seen.name).await?;
        let home = format!("{}/{}", self.reader.organisation(), policy.home);
        let home = self.names.remembered_lately(NameKind::Repository, &home).await?;
        standing.is_home = home == Some(seen.id);
        Ok(standing)
    }

    /// Returns a planner that ignores all waivers, including those of `beadle waive`. This planner
    /// plans the changes that the policy will cause after the end of the waivers.
    pub(super) fn without_waivers(&self) -> Self {
        Self { waivers: self.waivers.without_any(), ..self.clone() }
    }

    /// Returns a planner for an earlier policy. The caller compares the plans of this planner with
    /// the plans of [`Self::without_waivers`] for the policy `after`. The planner ignores the
    /// waivers of `beadle waive`, and the waivers that both policies have. But the planner uses the
    /// waivers that `after` removes or shortens, because the changes that these waivers hide are
    /// effects of `after`.
    pub(super) fn without_waivers_in(&self, after: &Policy) -> Self {
        Self { waivers: self.waivers.without_kept(after.waivers.clone()), ..self.clone() }
    }

    /// Returns the waivers that are in force and cover the repository. The result does not contain
    /// the waivers that the planner ignores.
    pub(super) async fn waivers_of(
        &self,
        policy: &Policy,
        seen: &Repository,
    ) -> Result<Vec<Waiver>, StoreError> {
        self.waivers.of(policy, &seen.name).await
    }
}
