//! Finds out whether a person has left the last mapped group.

use beadle_engine::Failure;

use super::GroupPlanner;
use crate::accounts::PersonAccount;
use crate::mapping::GroupKey;

impl GroupPlanner {
    /// Returns whether Beadle created the account and no group needs the account any more. No group
    /// needs the account if two conditions are true. The owner of the account is in no mapped group
    /// of the directory. At the target, the account is only in groups that Beadle manages.
    pub(super) async fn left_last_group(&self, whose: &PersonAccount) -> Result<bool, Failure> {
        let (mappings, target) = (self.directory.mappings(), &self.directory.name);
        if !self.accounts.is_made(target, whose).await? {
            return Ok(false);
        }
        for group in self.directory.source(&whose.source)?.groups_of(&whose.person).await? {
            let keys = mappings.group_keys(&whose.source, &group.id, &group.name);
            if keys.iter().any(|(its, _)| its == target) {
                return Ok(false);
            }
        }
        let has = self.directory.target.groups_of_account(&whose.account, &whose.person).await?;
        if has.is_empty() {
            return Ok(true);
        }
        // Beadle removes the account from the groups that a mapping includes. If the account is in
        // another group, this group gives access that does not come from Beadle.
        let is_mapped = |group_key: &GroupKey, from: &str| match group_key {
            GroupKey::One { source, group } => mappings.one(target, source, group, from).is_some(),
            GroupKey::Union(into) => !mappings.union(target, into).is_empty(),
            GroupKey::TargetAccount { .. } => false,
        };
        let links = self.links.all(target).await?;
        let managed = |id: &String| {
            links.iter().any(|(group_key, link)| link.group == *id && is_mapped(group_key, &link.from))
        };
        Ok(has.iter().all(managed))
    }
}
