//! Converts the values of the configuration file to types of the reconcilers.

use std::time::Duration;

use beadle_config::{AttributesFile, GroupGuardFile, OktaFile, OrgFile, ScimFile, TeamsFile};
use beadle_groups::membership::MembershipLimits;
use beadle_groups::targets::Match;
use beadle_groups::{Attributes, GroupLimits, mapping};
use beadle_okta::Status;
use beadle_repositories::policy::WaiverRules;
use beadle_repositories::{DispatchRule, Modes};
use beadle_scim::{Attribute, Dialect, Members, Paging, Removal};

/// A type of the configuration file that has a corresponding type in a reconciler.
pub(super) trait Choice {
    /// The corresponding type in the reconciler.
    type Domain;

    /// Converts the value to the reconciler's type.
    fn domain(self) -> Self::Domain;
}

/// Implements [`Choice`] for types that have the same variants.
macro_rules! same_choices {
    ($($shape:ident => $domain:ty { $($choice:ident),+ })+) => {
        $(
            impl Choice for beadle_config::$shape {
                type Domain = $domain;

                fn domain(self) -> $domain {
                    match self {
                        $(Self::$choice => <$domain>::$choice),+
                    }
                }
            }
        )+
    };
}

same_choices! {
    Case => mapping::Case { Lower, Upper }
    OnMissingGroup => mapping::OnMissingGroup { Create, Wait, Error }
    OnMissingUser => mapping::OnMissingUser { Wait, Skip, Error }
    Users => mapping::Users { Leave, Provision }
    OnRename => mapping::OnRename { Follow, Hold }
    OnDelete => mapping::OnDelete { Keep, Empty, Delete }
    Role => mapping::Role { Member, Maintainer }
    Match => Match { Saml, Mail, File }
    Paging => Paging { Index, Cursor }
    Members => Members { Group, Users }
    Removal => Removal { Path, Array }
}

/// Returns the mode of each aspect of an organisation.
pub(crate) fn modes(org: &OrgFile) -> Modes {
    Modes { organisation: org.mode, aspects: org.modes.clone() }
}

/// Returns the limits that an organisation sets for waivers.
pub(crate) fn waiver_rules(org: &OrgFile) -> WaiverRules {
    let default = WaiverRules::default();
    WaiverRules {
        longest: org.waivers.longest.map_or(default.longest, Duration::from),
        never: org.waivers.never_waive.clone(),
    }
}

/// Returns the rules that dispatch workflows. If the mode of a rule differs from the mode of its
/// organisation, the more careful mode applies.
pub(crate) fn rules(org: &OrgFile) -> Vec<DispatchRule> {
    let rules = org.dispatch.iter().map(|rule| DispatchRule {
        name: rule.name.clone(),
        when: rule.when.clone(),
        repository: rule.repository.clone(),
        workflow: rule.workflow.clone(),
        reference: rule.reference.clone(),
        inputs: rule.inputs.clone(),
        token_input: rule.token_input.clone(),
        mode: rule.mode.min(org.mode),
    });
    rules.collect()
}

/// Returns the Okta statuses that make Beadle remove the access of a person.
pub(crate) fn leaving(okta: &OktaFile) -> Vec<Status> {
    okta.leaving.iter().cloned().map(Status::from).collect()
}

/// Returns the Okta statuses that allow Beadle to create an account for a person.
pub(crate) fn provisioned(okta: &OktaFile) -> Vec<Status> {
    let stay = okta.provisioned.iter().filter(|status| !okta.leaving.contains(status));
    stay.cloned().map(Status::from).collect()
}

/// Returns the dialect of a SCIM server. Values in the file replace the values of the dialect.
/// Returns `None` if the dialect is unknown. In that case, validation of the file has already
/// failed.
pub(crate) fn dialect(scim: &ScimFile) -> Option<Dialect> {
    let base = Dialect::named(&scim.dialect)?;
    Some(Dialect {
        paging: scim.paging.map_or(base.paging, Choice::domain),
        members: scim.members.map_or(base.members, Choice::domain),
        removal: scim.removal.map_or(base.removal, Choice::domain),
        page: scim.page.unwrap_or(base.page).max(1),
        changes: scim.changes.unwrap_or(base.changes).max(1),
        attributes: scim.attributes.unwrap_or(base.attributes),
        trusted: base.trusted,
    })
}

/// An invalid entry of `[target.attributes]`: the table, the key and the expected form of this
/// entry.
pub(super) struct InvalidAttribute {
    pub(super) is_custom: bool,
    pub(super) key: String,
    pub(super) rule: String,
}

/// Returns the mapped attributes of a SCIM server's accounts.
pub(super) fn checked_attributes(
    file: &AttributesFile,
) -> Result<(Vec<Attribute>, Attributes), InvalidAttribute> {
    let mut all = Vec::new();
    for (key, expression) in file.named() {
        let attribute = Attribute::named(key).ok_or_else(|| InvalidAttribute {
            is_custom: false,
            key: key.to_owned(),
            rule: "be an attribute of SCIM".into(),
        })?;
        all.push((attribute, expression.to_owned()));
    }
    for (path, expression) in &file.custom {
        let attribute = Attribute::with_path(path).map_err(|rule| InvalidAttribute {
            is_custom: true,
            key: path.clone(),
            rule,
        })?;
        all.push((attribute, expression.clone()));
    }
    let names = all.iter().map(|(attribute, _)| attribute.clone()).collect();
    match Attributes::new(all) {
        Ok(attributes) => Ok((names, attributes)),
        Err((attribute, why)) => Err(InvalidAttribute {
            is_custom: file.custom.contains_key(attribute.name()),
            key: attribute.name().to_owned(),
            rule: format!("be an expression: {why}"),
        }),
    }
}

/// Returns the mapped attributes of a SCIM server's accounts. If an entry is invalid, returns no
/// attributes. In that case, validation of the file has already failed.
pub(crate) fn attributes(file: &AttributesFile) -> Attributes {
    checked_attributes(file).map(|(_, attributes)| attributes).unwrap_or_default()
}

/// Returns the ways to find a person's account at GitHub. The most reliable way comes first.
pub(crate) fn found_by(teams: &TeamsFile) -> Vec<Match> {
    teams.found_by.iter().copied().map(Choice::domain).collect()
}

/// If the policy declares the members of the organisation, returns the limits for changes to its
/// members.
pub(crate) fn membership_limits(teams: &TeamsFile) -> Option<MembershipLimits> {
    teams.members_from_policy.then(|| MembershipLimits {
        owners: teams.min_owners.unwrap_or(2),
        percent: teams.members_percent.unwrap_or(10),
    })
}

/// Returns the limits on the number of members that Beadle can remove from one group. If a value is
/// missing in the file, its default applies.
pub(crate) fn group_limits(guard: &GroupGuardFile) -> GroupLimits {
    let default = GroupLimits::default();
    GroupLimits {
        large: guard.large.unwrap_or(default.large),
        percent: guard.percent.unwrap_or(default.percent),
        count: guard.count.unwrap_or(default.count),
        leavers: guard.leavers.unwrap_or(default.leavers),
        window: guard.window.map_or(default.window, Into::into),
    }
}

/// Opens the Identity Store of AWS.
#[cfg(feature = "aws")]
pub(crate) fn identity_store(
    file: &beadle_config::IdentityStoreFile,
    clock: &beadle_engine::Clock,
) -> beadle_groups::targets::IdentityStore {
    let endpoint = file.endpoint.as_deref();
    beadle_groups::targets::IdentityStore::new(&file.id, &file.region, endpoint, clock.clone())
}
