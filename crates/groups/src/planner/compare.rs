//! Who is to come and who to go.

use std::collections::{BTreeSet, HashMap, HashSet};

use beadle_engine::{Class, Failure, Plan, Unknown};

use super::{Desired, GroupPlanner, MEMBERS, Seen, Write, unknown};
use crate::mapping::{OnMissingUser, Users};
use crate::sources::Person;
use crate::targets::{Account, Found};

/// Who is to come and who to go.
#[derive(Default)]
pub(super) struct Difference {
    pub(super) come: Vec<(Person, Account)>,
    pub(super) provision: Vec<Person>,
    pub(super) go: Vec<Account>,
}

impl GroupPlanner {
    pub(super) async fn compare(
        &self,
        desired: &Desired<'_>,
        seen: &Seen,
        plan: &mut Plan<Write>,
    ) -> Result<Difference, Failure> {
        let mut difference = Difference::default();
        let by_person: HashMap<&str, &Account> =
            seen.members.iter().filter_map(|account| Some((account.person.as_deref()?, account))).collect();
        let mut stay: HashSet<&str> = HashSet::new();
        let mut strange = Vec::new();
        for person in desired.people.values() {
            match by_person.get(person.id.as_str()) {
                Some(account) => {
                    stay.insert(&account.id);
                }
                None => strange.push(person.clone()),
            }
        }
        // Names and addresses of people whose account is not known: whoever has one of them may be that person.
        let mut doubtful: BTreeSet<String> = BTreeSet::new();
        let found = if strange.is_empty() { Vec::new() } else { self.directory.target.find(&strange).await };
        for (person, found) in strange.into_iter().zip(found) {
            let mut doubt = |person: &Person, why: String, transient: bool| {
                doubtful.insert(person.login.to_lowercase());
                doubtful.extend(person.email.as_ref().map(|email| email.to_lowercase()));
                let part = Some(person.login.clone());
                plan.unknowns.push(Unknown { aspect: MEMBERS.into(), part, why, transient });
            };
            match found {
                Ok(Found::Account(account)) => match seen.members.iter().find(|other| other.id == account.id)
                {
                    Some(is) => {
                        stay.insert(&is.id);
                    }
                    None => difference.come.push((person, account)),
                },
                Ok(Found::Another(why)) => doubt(&person, why, false),
                Ok(Found::Missing) if desired.mapping.users == Users::Provision => {
                    difference.provision.push(person);
                }
                Ok(Found::Missing) => {
                    let why = format!(
                        "the target has no user {} (or with the externalId {})",
                        person.login, person.id
                    );
                    match desired.mapping.on_missing_user {
                        OnMissingUser::Skip => tracing::info!(group = plan.subject, why, "skipped"),
                        OnMissingUser::Wait => doubt(&person, format!("{why}; it is looked for again"), true),
                        OnMissingUser::Error => doubt(&person, why, false),
                    }
                }
                Err(failure) if matches!(failure.class, Class::RateLimited { .. }) => return Err(failure),
                // Who it is is not known: nobody is taken out while that is so.
                Err(failure) => plan.unknowns.push(unknown(MEMBERS, None, &failure)),
            }
        }
        let may_be = |account: &Account| {
            let known = [account.name.as_ref(), account.email.as_ref()];
            known.into_iter().flatten().any(|text| doubtful.contains(&text.to_lowercase()))
        };
        difference.go = seen
            .members
            .iter()
            .filter(|account| !stay.contains(account.id.as_str()) && !may_be(account))
            .cloned()
            .collect();
        Ok(difference)
    }

    /// Why a list may have been short all the same, asked before anybody leaves: one that somebody joined while it was
    /// counted and read would hide that it lacks another.
    pub(super) async fn listed_less(&self, desired: &Desired<'_>) -> Result<Option<String>, Failure> {
        for (source, id, listed) in &desired.listed {
            let count = self.directory.source(source)?.count(id).await?;
            if count.is_none_or(|count| count > *listed as u64) {
                return Ok(Some(format!(
                    "{source}/{id} changed while it was read; nobody is removed before it was read again"
                )));
            }
        }
        Ok(None)
    }
}
