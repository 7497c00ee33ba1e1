//! Plans which members Beadle could remove without an approval if the group limits were different.
//! A preview writes nothing.

use std::collections::BTreeSet;

use beadle_engine::{Failure, Key};

use super::GroupPlanner;
use super::preview::{GroupPreview, Shown};
use crate::guard::GroupLimits;
use crate::mapping::GroupKey;

impl GroupPlanner {
    /// Plans these groups with `limits`. The result contains only the changes that need an approval
    /// with the limits of this planner, but no approval with `limits`.
    pub async fn preview_limits(&self, limits: GroupLimits, keys: &[Key]) -> Result<GroupPreview, Failure> {
        let keys: BTreeSet<GroupKey> = keys.iter().filter_map(|key| key.id().parse().ok()).collect();
        let mut preview = GroupPreview::default();
        if !keys.is_empty() {
            let old = self.with(&self.directory.mappings());
            let new = Self { limits, ..old.clone() };
            preview.add((&old, &new), &keys, Shown::Writes).await?;
        }
        Ok(preview)
    }
}
