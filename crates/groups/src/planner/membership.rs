//! Plans the membership of an organisation. The plan never removes the last owners. If an account
//! is unknown, the plan removes no owner.

use std::collections::HashSet;

use beadle_engine::{Plan, Risk, Unknown};

use super::compare::Difference;
use super::{GroupPlanner, MEMBERS, Seen, Write};
use crate::guard::GroupLimits;
use crate::mapping::Role;
use crate::membership::{MembershipLimits, PENDING, STATE};
use crate::targets::TargetAccount;

/// The words that a plan uses for the changes of members.
pub(super) struct Words {
    is_membership: bool,
    pub(super) add: &'static str,
    pub(super) add_above: &'static str,
    pub(super) remove: &'static str,
}

impl Words {
    /// Returns the words for this group. The words for the membership of an organisation differ
    /// from the words for all other groups.
    pub(super) fn of(is_membership: bool) -> Self {
        if is_membership {
            Self {
                is_membership,
                add: "invite",
                add_above: "invite as owners",
                remove: "remove, with their teams and their forks of private repositories",
            }
        } else {
            Self { is_membership, add: "add", add_above: "add as maintainers", remove: "remove" }
        }
    }

    /// Returns the name of a role.
    pub(super) fn role(&self, role: Role) -> &'static str {
        if self.is_membership && role == Role::Maintainer { "owner" } else { role.as_str() }
    }

    /// Returns the risk of a new member with this role.
    pub(super) fn risk_of(&self, role: Role) -> Risk {
        // An owner has access to everything in the organisation.
        if self.is_membership && role == Role::Maintainer { Risk::Exposes } else { Risk::Adds }
    }
}

impl GroupPlanner {
    /// Returns the limits of the membership, if the group is the membership of an organisation.
    pub(super) fn membership(&self, seen: &Seen) -> Option<MembershipLimits> {
        self.directory.target.membership(seen.group.as_deref()?)
    }

    /// Returns the limits for the leavers of a group.
    pub(super) fn limits_of(&self, seen: &Seen) -> GroupLimits {
        self.membership(seen).map_or(self.limits, |membership| membership.of_group(self.limits))
    }

    /// If the group is the membership of an organisation, drops the changes that could leave the
    /// organisation without its owners. `has_doubts` is true if the account of a declared person is
    /// unknown.
    pub(super) fn keep_owners(
        &self,
        seen: &Seen,
        has_doubts: bool,
        difference: &mut Difference,
        plan: &mut Plan<Write>,
    ) {
        let Some(limits) = self.membership(seen) else { return };
        if has_doubts {
            // A login is unknown, so any member or owner might be the person with this login.
            difference.take_nothing();
            return;
        }
        if let Some(why) = restrict(&seen.members, limits, difference) {
            plan.unknowns.push(Unknown { aspect: MEMBERS.into(), part: None, why, transient: true });
        }
    }
}

fn is_owner(account: &TargetAccount) -> bool {
    account.role == Some(Role::Maintainer)
}

/// Drops the changes that would remove the last owners, and returns why it dropped them. If owners
/// need an approval before they become ordinary members, stores the reason for the approval in the
/// difference.
fn restrict(
    members: &[TargetAccount],
    limits: MembershipLimits,
    difference: &mut Difference,
) -> Option<String> {
    let owners: Vec<&TargetAccount> = members
        .iter()
        .filter(|account| is_owner(account) && account.values.get(STATE).is_none_or(|state| state != PENDING))
        .collect();
    let lowered: Vec<&TargetAccount> = difference
        .roles
        .iter()
        .filter(|(_, role)| *role == Role::Member)
        .map(|(account, _)| account)
        .collect();
    let lost: HashSet<&str> =
        difference.leavers.iter().chain(lowered.iter().copied()).map(|account| account.id.as_str()).collect();
    // A member who becomes an owner in the same plan does not count as an owner yet, because GitHub
    // can refuse this change.
    let staying = owners.iter().filter(|account| !lost.contains(account.id.as_str())).count();
    let lost_owners = owners.len() - staying;
    difference.stop_of_roles = limits.stops_lost_owners(lowered.len(), owners.len());
    if lost_owners == 0 || staying >= limits.owners {
        return None;
    }
    difference.leavers.retain(|account| !is_owner(account));
    difference.roles.retain(|(_, role)| *role != Role::Member);
    Some(format!(
        "only {staying} of the present owners would stay owners, and min_owners is {}; Beadle keeps all owners until \
         enough declared owners have accepted their invitations",
        limits.owners
    ))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    const LIMITS: MembershipLimits = MembershipLimits { owners: 2, percent: 10 };

    fn account(id: &str, role: Role, is_pending: bool) -> TargetAccount {
        TargetAccount {
            id: id.into(),
            name: Some(id.into()),
            person: None,
            known_as: Vec::new(),
            email: None,
            role: Some(role),
            values: is_pending.then(|| (STATE, json!(PENDING))).into_iter().collect(),
            attributes: BTreeMap::new(),
        }
    }

    fn owner(id: &str) -> TargetAccount {
        account(id, Role::Maintainer, false)
    }

    fn difference(leavers: &[&TargetAccount], roles: &[(&TargetAccount, Role)]) -> Difference {
        let mut difference = Difference::default();
        difference.leavers.extend(leavers.iter().copied().cloned());
        difference.roles.extend(roles.iter().map(|(account, role)| ((*account).clone(), *role)));
        difference
    }

    fn ids(accounts: &[TargetAccount]) -> Vec<&str> {
        accounts.iter().map(|account| account.id.as_str()).collect()
    }

    #[test]
    fn an_owner_leaves_only_if_enough_present_owners_stay() {
        let invited = account("new", Role::Maintainer, true);
        let member = account("bob", Role::Member, false);
        let members = [owner("ada"), owner("mona"), owner("olaf"), member.clone(), invited];
        let leaving = |leavers: &[&TargetAccount]| difference(leavers, &[]);
        let mut one = leaving(&[&members[0], &member]);
        assert_eq!(restrict(&members, LIMITS, &mut one), None);
        assert_eq!(ids(&one.leavers), ["ada", "bob"]);
        let mut two = leaving(&[&members[0], &members[1], &member]);
        let why = restrict(&members, LIMITS, &mut two).unwrap();
        assert!(why.contains("only 1 of the present owners"), "an invited owner does not count: {why}");
        assert_eq!(ids(&two.leavers), ["bob"], "a member who is no owner still leaves");
    }

    #[test]
    fn owners_become_members_only_if_enough_stay_and_not_many_at_once() {
        let many: Vec<TargetAccount> = (0..5).map(|n| owner(&format!("o{n}"))).collect();
        let lowering = |count: usize| {
            let lowered: Vec<_> = many.iter().take(count).map(|account| (account, Role::Member)).collect();
            difference(&[], &lowered)
        };
        let (mut one, mut two, mut four) = (lowering(1), lowering(2), lowering(4));
        assert_eq!(restrict(&many, LIMITS, &mut one), None);
        assert_eq!((one.roles.len(), &one.stop_of_roles), (1, &None));
        assert_eq!(restrict(&many, LIMITS, &mut two), None);
        assert!(two.stop_of_roles.is_some() && two.roles.len() == 2, "they wait for an approval");
        assert!(restrict(&many, LIMITS, &mut four).is_some() && four.roles.is_empty());
    }

    #[test]
    fn an_organisation_with_too_few_owners_still_gets_a_further_one() {
        let members = [owner("ada"), account("bob", Role::Member, false)];
        let roles = [(&members[1], Role::Maintainer), (&members[0], Role::Member)];
        let mut difference = difference(&[], &roles);
        assert!(restrict(&members, LIMITS, &mut difference).is_some());
        let left: Vec<_> =
            difference.roles.iter().map(|(account, role)| (account.id.as_str(), *role)).collect();
        assert_eq!(left, [("bob", Role::Maintainer)], "the present owner stays until there are enough");
    }

    #[test]
    fn a_plan_says_what_a_removal_takes_and_that_a_new_owner_sees_everything() {
        let (own, usual) = (Words::of(true), Words::of(false));
        assert!(own.remove.contains("teams") && own.remove.contains("forks"));
        assert_eq!((own.role(Role::Maintainer), usual.role(Role::Maintainer)), ("owner", "maintainer"));
        assert_eq!((own.risk_of(Role::Maintainer), own.risk_of(Role::Member)), (Risk::Exposes, Risk::Adds));
        assert_eq!(usual.risk_of(Role::Maintainer), Risk::Adds);
    }
}
