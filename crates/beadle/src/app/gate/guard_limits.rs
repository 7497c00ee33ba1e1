//! All guard limits of an organisation or a target. This module also compares two versions of these
//! limits.

use beadle_engine::Limits;
use beadle_groups::GroupLimits;
use serde::{Deserialize, Serialize};

use crate::config::{self, OrgConfig, TargetConfig};

/// The limits of `[org.guard]`, or the limits of `[target.guard]` and `[target.group_guard]`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct GuardLimits {
    /// The limits for all repositories of the organisation, or for all groups of the target.
    pub(crate) guard: Limits,
    /// The limits of each group of the target. `None` for an organisation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) groups: Option<GroupLimits>,
}

impl GuardLimits {
    /// Returns the configured limits of an organisation.
    pub(crate) fn of_organisation(file: &OrgConfig) -> Self {
        Self { guard: file.limits(), groups: None }
    }

    /// Returns the configured limits of a target.
    pub(crate) fn of_target(file: &TargetConfig) -> Self {
        Self { guard: file.limits(), groups: Some(config::group_limits(&file.group_guard)) }
    }

    /// Returns these limits, but with the accepted value for each raised limit.
    pub(crate) fn restrained_by(&self, accepted: &Self) -> Self {
        let groups = match (&self.groups, &accepted.groups) {
            (Some(own), Some(accepted)) => Some(own.restrained_by(accepted)),
            (own, _) => *own,
        };
        Self { guard: self.guard.strictest(&accepted.guard), groups }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raised_limit_of_each_group_is_restrained() {
        let groups = GroupLimits::default();
        let accepted = GuardLimits { guard: Limits::default(), groups: Some(groups) };
        let raised = GuardLimits { groups: Some(GroupLimits { count: 9, ..groups }), ..accepted };
        assert_eq!(raised.restrained_by(&accepted), accepted);
        assert_eq!(accepted.restrained_by(&raised), accepted);
        let organisation = GuardLimits { groups: None, ..accepted };
        assert_eq!(organisation.restrained_by(&organisation), organisation);
    }
}
