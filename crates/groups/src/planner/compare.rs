//! Finds which people join and which accounts leave a group.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use beadle_engine::{Class, Failure, Plan, Unknown};
use beadle_scim::Attribute;
use serde_json::Value;

use super::owner::{Owner, OwnerFrom};
use super::{Desired, GroupPlanner, MEMBERS, Seen, Write, unknown};
use crate::accounts::PersonAccount;
use crate::mapping::{OnMissingUser, Role, Users};
use crate::sources::Person;
use crate::targets::{Found, TargetAccount};

/// The difference in one value of an account: the path, the present value and the wanted value.
type Differs = (&'static str, Value, Value);

/// An attribute with its present and its wanted value.
pub(super) type AttributeChange = (Attribute, Value, Value);

/// The joiners and the leavers of a group, and other differences in the group's members.
#[derive(Default)]
pub(super) struct Difference {
    pub(super) joiners: Vec<(Person, TargetAccount, Role)>,
    pub(super) provision: Vec<Person>,
    pub(super) leavers: Vec<TargetAccount>,
    /// The accounts of members who stay because they are in the source groups.
    stay: BTreeSet<String>,
    /// The accounts that stay but get a different role.
    pub(super) roles: Vec<(TargetAccount, Role)>,
    /// Why the loss of a role must wait for an approval. `None` if the loss does not have to wait.
    pub(super) stop_of_roles: Option<String>,
    /// True if at least one member who stays or joins should be a maintainer.
    pub(super) has_maintainer: bool,
    /// The accounts that have wrong values, with the differences.
    pub(super) update: Vec<(PersonAccount, Vec<Differs>)>,
    /// The accounts with wrong mapped attributes, with the present and the wanted values.
    pub(super) attributes: Vec<(PersonAccount, Vec<AttributeChange>)>,
}

impl Difference {
    /// Adds a person who joins with this account. If two people have the same account, the account
    /// gets the higher role.
    fn add_joiner(&mut self, person: Person, account: TargetAccount, desired: &Desired<'_>) {
        let role = desired.role(&person.id);
        match self.joiners.iter_mut().find(|(_, other, _)| other.id == account.id) {
            Some((.., known)) => *known = (*known).max(role),
            None => self.joiners.push((person, account, role)),
        }
    }

    /// Returns the ids of all accounts that should be in the group. The result does not contain
    /// accounts that stay only because Beadle does not know their owners.
    pub(super) fn wanted(&self) -> BTreeSet<String> {
        let joiners = self.joiners.iter().map(|(_, account, _)| &account.id);
        self.stay.iter().chain(joiners).cloned().collect()
    }

    /// Returns whether at least one member would lose the membership or the higher role.
    pub(super) fn takes(&self) -> bool {
        !self.leavers.is_empty() || self.roles.iter().any(|(_, role)| *role == Role::Member)
    }

    /// Drops each planned change that would take the membership or the higher role from a member.
    pub(super) fn take_nothing(&mut self) {
        self.leavers.clear();
        self.roles.retain(|(_, role)| *role != Role::Member);
    }
}

impl GroupPlanner {
    pub(super) async fn compare<'a>(
        &self,
        desired: &Desired<'_>,
        seen: &'a Seen,
        plan: &mut Plan<Write>,
    ) -> Result<Difference, Failure> {
        let mut difference = Difference::default();
        let mut by_person: HashMap<&str, &TargetAccount> = HashMap::new();
        let mut stay: HashSet<&str> = HashSet::new();
        for account in &seen.members {
            let Some(person) = account.person.as_deref().and_then(|id| desired.people.get(id)) else {
                continue;
            };
            stay.insert(&account.id);
            if let Some(other) = by_person.insert(&person.id, account) {
                let why = format!(
                    "the accounts {} and {} of the target have the same externalId {}; remove it from one of them",
                    other.label(),
                    account.label(),
                    person.id
                );
                let part = Some(person.login.clone());
                plan.unknowns.push(Unknown { aspect: MEMBERS.into(), part, why, transient: false });
            }
        }
        let mut strange = Vec::new();
        let provisions = desired.mapping.users == Users::Provision;
        let update = |person: &Person, account: &TargetAccount| {
            let values = if provisions { account.differences(person) } else { Vec::new() };
            (!values.is_empty()).then(|| (desired.whose(&person.id, account), values))
        };
        let mapped = if provisions { self.mapped(desired, plan) } else { HashMap::new() };
        let set = |person: &Person, account: &TargetAccount| {
            let values = account.attributes_to_set(mapped.get(&person.id)?);
            (!values.is_empty()).then(|| (desired.whose(&person.id, account), values))
        };
        // If two people have the same account, the account gets the higher role.
        let mut wanted: BTreeMap<&str, Role> = BTreeMap::new();
        let mut role = |person: &Person, account: &'a str| {
            let role = wanted.entry(account).or_default();
            *role = (*role).max(desired.role(&person.id));
        };
        for person in desired.people.values() {
            match by_person.get(person.id.as_str()) {
                Some(account) => {
                    difference.update.extend(update(person, account));
                    difference.attributes.extend(set(person, account));
                    role(person, &account.id);
                }
                None => strange.push(person.clone()),
            }
        }
        // The names and addresses of people without a known account. If a member has one of these
        // names, the member might be one of these people, so the member must stay.
        let mut doubtful: BTreeSet<String> = BTreeSet::new();
        let mut names = |person: &Person| {
            doubtful.insert(person.login.to_lowercase());
            doubtful.extend(person.email.as_ref().map(|email| email.to_lowercase()));
        };
        let mut has_new_owner = false;
        let found = if strange.is_empty() {
            Vec::new()
        } else {
            self.directory.target.find(seen.group.as_deref(), &strange).await
        };
        for (person, found) in strange.into_iter().zip(found) {
            if matches!(found, Ok(Found::Another(_) | Found::Missing(_))) {
                names(&person);
            }
            let mut doubt = |person: &Person, why: String, transient: bool| {
                let part = Some(person.login.clone());
                plan.unknowns.push(Unknown { aspect: MEMBERS.into(), part, why, transient });
            };
            match found {
                // A search can return values that Beadle read earlier. The list of members comes
                // from a read of this run, so Beadle uses the values from the list.
                Ok(Found::TargetAccount(account)) => {
                    match seen.members.iter().find(|other| other.id == account.id) {
                        Some(is) => match self.owner(desired, &person, is, OwnerFrom::Memory).await? {
                            Owner::Person => {
                                stay.insert(&is.id);
                                difference.update.extend(update(&person, is));
                                difference.attributes.extend(set(&person, is));
                                role(&person, &is.id);
                            }
                            // The member stays only if the owner of the account is in the source.
                            Owner::Another(why) => doubt(&person, why, false),
                            Owner::Unknown(why, transient) => {
                                stay.insert(&is.id);
                                doubt(&person, why, transient);
                            }
                        },
                        None => match self.owner(desired, &person, &account, OwnerFrom::Directory).await? {
                            Owner::Person => {
                                // This update also activates the account of a person who was
                                // suspended and is active again.
                                difference.update.extend(update(&person, &account));
                                difference.attributes.extend(set(&person, &account));
                                difference.add_joiner(person, account, desired);
                            }
                            Owner::Another(why) => doubt(&person, why, false),
                            Owner::Unknown(why, transient) => doubt(&person, why, transient),
                        },
                    }
                }
                Ok(Found::Another(why)) => doubt(&person, why, false),
                Ok(Found::NewOwner(why)) => {
                    has_new_owner = true;
                    plan.unknowns.push(Unknown { aspect: MEMBERS.into(), part: None, why, transient: false });
                }
                Ok(Found::Missing(_)) if provisions && person.may_be_made => {
                    difference.provision.push(person);
                }
                Ok(Found::Missing(_)) if provisions => tracing::info!(
                    group = plan.subject,
                    login = person.login,
                    status = person.status,
                    "no account created at the target, because of the person's status in the directory"
                ),
                Ok(Found::Missing(why)) => match desired.mapping.on_missing_user {
                    OnMissingUser::Skip => {
                        tracing::info!(
                            group = plan.subject,
                            why,
                            "person without an account at the target skipped"
                        );
                    }
                    OnMissingUser::Wait => {
                        doubt(&person, format!("{why}; Beadle looks for the account again"), true);
                    }
                    OnMissingUser::Error => doubt(&person, why, false),
                },
                Err(failure) if matches!(failure.class, Class::RateLimited { .. }) => return Err(failure),
                // If Beadle does not know a person's account, it removes no member who might be
                // this person.
                Err(failure) => plan.unknowns.push(unknown(MEMBERS, None, &failure)),
            }
        }
        let mut asked = 0;
        let mut kept: Vec<&str> = Vec::new();
        for account in seen.members.iter().filter(|account| !stay.contains(account.id.as_str())) {
            if account.name.is_none() && account.person.is_none() {
                let why = format!(
                    "the target does not show who the member {} is, so Beadle does not remove the member; look it up at \
                     the target",
                    account.id
                );
                let part = Some(account.id.clone());
                plan.unknowns.push(Unknown { aspect: MEMBERS.into(), part, why, transient: false });
                continue;
            }
            if self.may_be_removed(desired, account, &doubtful, &mut asked).await? {
                difference.leavers.push(account.clone());
            } else if account.name.is_some() {
                kept.push(account.label());
            }
        }
        if !kept.is_empty() {
            let newcomers: Vec<&str> = doubtful.iter().map(String::as_str).collect();
            let why = format!(
                "{} may belong to a person in the source whose account is not known yet ({}); Beadle removes no such \
                 member until the account is known",
                named(&kept),
                named(&newcomers)
            );
            if desired.mapping.on_missing_user == OnMissingUser::Skip {
                tracing::info!(
                    group = plan.subject,
                    why,
                    "members not removed, because each may belong to a person without a known account"
                );
            } else {
                let part = Some(named(&kept));
                plan.unknowns.push(Unknown { aspect: MEMBERS.into(), part, why, transient: true });
            }
        }
        if desired.roles.is_some() {
            for account in &seen.members {
                let (Some(is), Some(wanted)) = (account.role, wanted.get(account.id.as_str())) else {
                    continue;
                };
                if is != *wanted {
                    difference.roles.push((account.clone(), *wanted));
                }
            }
        }
        difference.has_maintainer = wanted.values().any(|role| *role == Role::Maintainer)
            || difference.joiners.iter().any(|(.., role)| *role == Role::Maintainer);
        difference.stay = stay.into_iter().map(str::to_owned).collect();
        if has_new_owner {
            // The earlier owner of the login might be one of these members.
            difference.leavers.clear();
        }
        // The order of the leavers does not depend on the order of the target's answer. So a
        // repeated plan has the same changes, and an earlier approval is still valid.
        difference.leavers.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(difference)
    }

    /// Returns whether Beadle can remove a member. The answer is `false` if the member is possibly
    /// a person of the source whose account Beadle does not know. If Beadle does not know a
    /// person's account, the account might have no id, and might have an older name of the person.
    /// A member without a name might be any person, or a group.
    async fn may_be_removed(
        &self,
        desired: &Desired<'_>,
        account: &TargetAccount,
        doubtful: &BTreeSet<String>,
        asked: &mut usize,
    ) -> Result<bool, Failure> {
        let known = account.name.iter().chain(&account.email).chain(&account.known_as);
        if known.into_iter().any(|text| doubtful.contains(&text.to_lowercase())) {
            return Ok(false);
        }
        if account.person.is_some() || (doubtful.is_empty() && account.name.is_some()) {
            return Ok(true);
        }
        // The directory knows which person owns a name. If the source groups contain this person,
        // the member stays.
        for name in &account.known_as {
            for source in desired.sources() {
                if *asked >= self.limits.leavers * 5 {
                    return Ok(false);
                }
                *asked += 1;
                match self.directory.source(source)?.person(name).await {
                    Ok(Some(person)) => return Ok(!desired.people.contains_key(&person.id)),
                    Ok(None) => {}
                    Err(failure) if matches!(failure.class, Class::RateLimited { .. }) => {
                        return Err(failure);
                    }
                    // If the directory does not answer, the member stays.
                    Err(_) => return Ok(false),
                }
            }
        }
        Ok(false)
    }

    /// Returns why a list of members can be incomplete although its length equals the directory's
    /// count. If one person joined after the count, the list can contain this new person, while
    /// another person is missing.
    pub(super) async fn incomplete_list(&self, desired: &Desired<'_>) -> Result<Option<String>, Failure> {
        for (source, id, listed) in &desired.listed {
            let count = match self.directory.source(source)?.count(id).await {
                Err(failure) if matches!(failure.class, Class::RateLimited { .. }) => return Err(failure),
                Err(failure) => return Ok(Some(failure.text)),
                Ok(count) => count,
            };
            if count.is_none_or(|count| count > *listed as u64) {
                return Ok(Some(format!(
                    "{source}/{id} changed during the read; Beadle removes no member before it has read the group again"
                )));
            }
        }
        Ok(None)
    }
}

/// Returns a text with the first few names of the list and the number of the remaining names.
fn named(all: &[&str]) -> String {
    const MOST: usize = 10;
    let shown = all.iter().take(MOST).copied().collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(MOST) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(id: &str) -> TargetAccount {
        TargetAccount {
            id: id.into(),
            name: None,
            person: None,
            known_as: Vec::new(),
            email: None,
            role: None,
            values: BTreeMap::new(),
            attributes: BTreeMap::new(),
        }
    }

    #[test]
    fn without_removals_nobody_leaves_and_nobody_gets_a_lower_role() {
        let mut difference = Difference {
            leavers: vec![account("a1")],
            roles: vec![(account("a2"), Role::Member), (account("a3"), Role::Maintainer)],
            stay: BTreeSet::from(["a2".to_owned(), "a3".to_owned()]),
            ..Difference::default()
        };
        assert!(difference.takes());
        difference.take_nothing();
        assert!(!difference.takes() && difference.leavers.is_empty());
        let roles: Vec<&str> = difference.roles.iter().map(|(account, _)| account.id.as_str()).collect();
        assert_eq!(roles, ["a3"]);
        assert_eq!(difference.wanted(), BTreeSet::from(["a2".to_owned(), "a3".to_owned()]));
    }

    #[test]
    fn a_long_list_of_names_ends_with_a_count() {
        assert_eq!(named(&["a", "b"]), "a, b");
        let names = ["x"; 12];
        assert!(named(&names).ends_with("x, x and 2 more"));
    }
}
