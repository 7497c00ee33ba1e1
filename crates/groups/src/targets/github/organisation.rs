//! The membership of the organisation itself, as a group of the target. The owners of the
//! organisation are the maintainers of this group. People with an open invitation count as members.
//!
//! A read of the membership takes one call for each 100 members, one call for each 100 invitations,
//! and one call for each invited account. A write of 10 accounts takes one call for the present
//! logins, and one call for each account.

use std::collections::{BTreeMap, HashSet};

use beadle_engine::Failure;
use beadle_github::{Member, Writer};
use serde_json::json;

use super::people::People;
use super::{TeamReader, lock};
use crate::mapping::Role;
use crate::membership::{GROUP, NAME, PENDING, SOURCE_GROUP, STATE};
use crate::sources::Person;
use crate::targets::{Found, Refused, TargetAccount, TargetGroup};

/// Returns the membership of the organisation as a group.
pub(super) fn group(external_id: Option<&str>) -> TargetGroup {
    TargetGroup {
        id: GROUP.to_owned(),
        name: NAME.to_owned(),
        external_id: external_id.map(str::to_owned),
        description: None,
        settings: BTreeMap::new(),
    }
}

/// Returns whether this `externalId` is the id of the organisation's membership. No Okta group and
/// no team of the policy has this id.
pub(super) fn is_owned_as(external_id: &str) -> bool {
    external_id.rsplit_once('/').is_some_and(|(_, group)| group == SOURCE_GROUP)
}

/// Returns the account of a member, or of an invited person if `is_pending` is true.
fn account(member: &Member, is_owner: bool, is_pending: bool) -> TargetAccount {
    TargetAccount {
        id: member.id.to_string(),
        name: Some(member.login.clone()),
        person: None,
        known_as: Vec::new(),
        email: None,
        role: Some(if is_owner { Role::Maintainer } else { Role::Member }),
        values: is_pending.then(|| (STATE, json!(PENDING))).into_iter().collect(),
        attributes: BTreeMap::new(),
    }
}

impl TeamReader {
    /// Returns the members of the organisation and the invited people, or an error if one of the
    /// two lists is incomplete.
    pub(super) async fn everybody(&self) -> Result<Vec<TargetAccount>, Failure> {
        // If a person accepts an invitation between the two reads, the person is in both lists. If
        // Beadle read the two lists in the opposite order, the person could be missing in both.
        let invitations = self.github.invitations().await?;
        let members = self.github.members().await?;
        let mut accounts: Vec<TargetAccount> =
            members.iter().map(|member| account(member, member.is_owner, false)).collect();
        let ids: HashSet<u64> = members.iter().map(|member| member.id).collect();
        let mut invited = Vec::new();
        for invitation in invitations {
            let found = self.github.person(&invitation.login).await?;
            // If somebody deleted the invited account, nobody can accept the invitation.
            let Some(member) = found.filter(|member| !ids.contains(&member.id)) else { continue };
            accounts.push(account(&member, invitation.is_owner, true));
            invited.push(member);
        }
        let all = members.into_iter().chain(invited);
        lock(&self.seen).accounts.extend(all.map(|member| (member.id, member)));
        Ok(accounts)
    }

    /// Finds the account for a login that a source contains. The account need not be a member.
    pub(super) async fn find_anybody(&self, people: &People, person: &Person) -> Result<Found, Failure> {
        let login = person.account.as_deref().unwrap_or(&person.login);
        let known = {
            let seen = lock(&self.seen);
            people.logins.get(&login.to_ascii_lowercase()).and_then(|id| seen.accounts.get(id)).cloned()
        };
        let found = match known {
            Some(member) => Some(member),
            None => self.github.person(login).await?,
        };
        let Some(member) = found else {
            return Ok(Found::Missing(format!(
                "GitHub has no person with the login {login}; correct the login"
            )));
        };
        let found = account(&member, member.is_owner, false);
        lock(&self.seen).accounts.insert(member.id, member);
        self.same_owner(login, Found::TargetAccount(found)).await
    }
}

/// Sets the role of each account in the organisation. If `role` is `None`, removes the accounts.
pub(super) async fn write(
    github: &Writer,
    members: Vec<Member>,
    role: Option<Role>,
) -> Result<Vec<Refused>, Failure> {
    let nodes: Vec<String> = members.iter().map(|member| member.node_id.clone()).collect();
    let memberships = github.organisation_members(&nodes).await?;
    let mut refused = Vec::new();
    for member in members {
        let why = match role {
            Some(role) => memberships.put(member.id, role == Role::Maintainer).await?,
            None => memberships.remove(member.id).await?,
        };
        let account = member.login;
        refused.extend(why.map(|why| Refused { account, why }));
    }
    Ok(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_source_group_of_the_membership_is_it() {
        assert!(is_owned_as("beadle:teams.members/@organisation"));
        for other in ["beadle:teams/organisation", "beadle:corp/00g1", "@organisation", ""] {
            assert!(!is_owned_as(other), "{other}");
        }
    }

    #[test]
    fn an_invited_owner_is_an_owner_who_has_not_accepted() {
        let member = Member {
            id: 7,
            node_id: "U_7".into(),
            login: "mona".into(),
            is_owner: false,
            emails: Vec::new(),
        };
        let invited = account(&member, true, true);
        assert_eq!((invited.role, &invited.values[STATE]), (Some(Role::Maintainer), &json!(PENDING)));
        assert!(account(&member, false, false).values.is_empty());
    }
}
