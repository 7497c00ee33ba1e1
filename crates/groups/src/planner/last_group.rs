//! Finds out whether a person has left the last mapped group.

use beadle_engine::{Class, Failure};

use super::GroupPlanner;
use crate::accounts::PersonAccount;

impl GroupPlanner {
    /// Returns whether Beadle created the account and no group needs the account any more. No group
    /// needs the account if two conditions are true. The owner of the account is in no mapped group
    /// of the directory. At the target, the account is in no group except `leaves`, the group from
    /// which the same plan removes the account. In every other group, the removal might wait for an
    /// approval, or the directory's list of the person's groups might be wrong.
    pub(super) async fn left_last_group(
        &self,
        whose: &PersonAccount,
        leaves: Option<&str>,
    ) -> Result<bool, Failure> {
        let (mappings, target) = (self.directory.mappings(), &self.directory.name);
        if !self.accounts.is_made(target, whose).await? {
            return Ok(false);
        }
        let groups = self.directory.source(&whose.source)?.groups_of(&whose.person).await?;
        // The directory has just returned the record of this person.
        let disagrees = || {
            let text = format!("the directory shows no list of the groups of {}", whose.login);
            Failure::new(Class::Retry, text)
        };
        for group in groups.ok_or_else(disagrees)? {
            let keys = mappings.group_keys(&whose.source, &group.id, &group.name);
            if keys.iter().any(|(its, _)| its == target) {
                return Ok(false);
            }
        }
        let has = self.directory.target.groups_of_account(&whose.account, &whose.person).await?;
        Ok(has.iter().all(|group| Some(group.as_str()) == leaves))
    }
}
