//! The membership of an organisation, which Beadle treats as a group. This module defines the
//! group's identity and its limits. These limits apply in addition to the usual limits of a group.

use crate::guard::GroupLimits;

/// The id of the source group that declares the members of an organisation. No team can have this
/// id, because an id of a team has no `@`.
pub const SOURCE_GROUP: &str = "@organisation";
/// The name of this group, at the source and at the target. The name never changes.
pub const NAME: &str = "members of the organisation";
/// The id of this group at the target. The webhooks about members also use this id.
pub(crate) const GROUP: &str = beadle_hooks::github::MEMBERSHIP;
/// The name of an account's value that shows whether the person has accepted the invitation.
pub(crate) const STATE: &str = "state";
/// The state of an account with an open invitation.
pub(crate) const PENDING: &str = "pending";

/// The limits of an organisation's membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MembershipLimits {
    /// The number of owners that the organisation must keep. People who have not accepted their
    /// invitation do not count.
    pub owners: usize,
    /// The maximum percentage of the members who can leave within the window without an approval.
    /// One member can always leave.
    pub percent: usize,
}

impl MembershipLimits {
    /// Returns the limits of the group. `usual` has the limits of all other groups of the target.
    pub(crate) fn of_group(self, usual: GroupLimits) -> GroupLimits {
        // If a group has fewer members than this number, the percentage allows less than one member
        // to leave.
        let large = 100_usize.div_ceil(self.percent.max(1));
        GroupLimits { large, percent: self.percent, count: 1, ..usual }
    }

    /// Returns why owners need an approval before they become ordinary members. `lost` is the
    /// number of these owners, and `owners` is the number of all owners.
    pub(crate) fn stops_lost_owners(self, lost: usize, owners: usize) -> Option<String> {
        let is_too_many = lost > 1 && lost * 100 > owners * self.percent;
        is_too_many.then(|| {
            format!(
                "{lost} of {owners} owners would become members, more than the limit of {} %",
                self.percent
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::{Leaving, Recent};

    const LIMITS: MembershipLimits = MembershipLimits { owners: 2, percent: 10 };

    #[test]
    fn a_tenth_of_the_members_may_leave_and_always_one() {
        let stops = |count, members| {
            let leaving =
                Leaving { count, members, source: members - count, is_protected: false, may_empty: false };
            LIMITS.of_group(GroupLimits::default()).stops(leaving, &Recent::default()).is_some()
        };
        for (members, most) in [(3, 1), (9, 1), (10, 1), (19, 1), (20, 2), (100, 10)] {
            assert!(!stops(most, members) && stops(most + 1, members), "{most} of {members}");
        }
    }

    #[test]
    fn who_left_one_at_a_time_count_too() {
        let leaving = Leaving { count: 1, members: 19, source: 18, is_protected: false, may_empty: false };
        let limits = LIMITS.of_group(GroupLimits::default());
        let recent = |gone| Recent { gone, confirmed: 0, members: 20 };
        assert!(limits.stops(leaving, &recent(1)).is_none());
        assert!(limits.stops(leaving, &recent(2)).is_some());
    }

    #[test]
    fn one_owner_may_become_a_member_and_further_ones_within_the_share() {
        assert!(LIMITS.stops_lost_owners(1, 3).is_none());
        assert!(LIMITS.stops_lost_owners(2, 3).is_some());
        assert!(LIMITS.stops_lost_owners(2, 20).is_none() && LIMITS.stops_lost_owners(3, 20).is_some());
    }
}
