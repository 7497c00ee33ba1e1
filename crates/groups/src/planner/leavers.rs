//! Decides which leavers leave at once and which wait for an approval, and decides the same for
//! their accounts.

use std::collections::HashSet;

use beadle_engine::{Class, Failure, Plan, Unknown};

use super::compare::Difference;
use super::{Desired, GroupPlanner, MEMBERS, Seen, Write};
use crate::accounts::PersonAccount;
use crate::guard::Leaving;
use crate::mapping::{GroupKey, Users};
use crate::targets::TargetAccount;

/// The directory's answer about one person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// The person's access should go.
    Leaves,
    /// The person's access stays.
    Stays,
    /// The directory has no person with this id: deleted, or it is another directory.
    Gone,
    /// Beadle did not ask, or got no answer.
    Unknown,
}

/// The value by which Beadle asks for a person.
#[derive(Clone, Copy)]
enum Named<'a> {
    /// The directory's id.
    Id(&'a str),
    /// A name that the directory takes in place of an id.
    Name(&'a str),
}

/// A part of the leavers.
#[derive(Default)]
pub(super) struct SomeLeavers {
    /// The accounts that leave the group.
    pub(super) leavers: Vec<TargetAccount>,
    /// The accounts of these that are deactivated.
    pub(super) deactivate: Vec<PersonAccount>,
    /// The accounts of these that Beadle keeps checking when their person is in no group any more.
    pub(super) watched: Vec<PersonAccount>,
    /// The ids of people whose departure the directory confirmed in a read of each person.
    pub(super) confirmed: Vec<String>,
    /// The reason why they wait for an approval.
    pub(super) stop: Option<String>,
}

/// The number of questions for each person who may leave beyond the limit of the group.
const ASKS: usize = 5;

impl GroupPlanner {
    /// Splits the leavers into those who leave at once and those who wait for an approval. Beadle
    /// deactivates an account only if the directory, asked for its person alone, reports that the
    /// access should go. The deactivation waits if the removal waits.
    pub(super) async fn leavers(
        &self,
        desired: &Desired<'_>,
        group_key: &GroupKey,
        seen: &Seen,
        difference: &mut Difference,
        plan: &mut Plan<Write>,
    ) -> Result<Vec<SomeLeavers>, Failure> {
        let members: HashSet<&str> = seen.members.iter().map(|member| member.id.as_str()).collect();
        let (target, now, window) = (&self.directory.name, self.clock.now(), self.limits.window);
        let recent =
            self.departures.recent(target, group_key, now, window, |id| members.contains(id)).await?;
        let leaving = Leaving {
            count: difference.leavers.len(),
            members: seen.members.len(),
            source: desired.listed.iter().map(|(.., listed)| listed).sum(),
            is_protected: desired.is_protected,
            may_empty: desired.may_empty,
        };
        let somebody_leaves = |_: &String| leaving.count > 0;
        let stop = seen
            .why_vanished()
            .filter(somebody_leaves)
            .or_else(|| self.limits.stops(leaving, &recent))
            .or_else(|| desired.why_emptied(seen).filter(somebody_leaves));
        let provisions = desired.mapping.users == Users::Provision;
        let mut asks = self.limits.leavers * ASKS;
        let mut looks = asks;
        // The number of people who may leave although the others wait.
        let mut room = match stop {
            Some(_) => self.limits.leavers.saturating_sub(recent.confirmed),
            None => usize::MAX,
        };
        let mut sure = SomeLeavers::default();
        let mut rest = SomeLeavers { stop, ..SomeLeavers::default() };
        for account in std::mem::take(&mut difference.leavers) {
            let is_held = rest.stop.is_some();
            let listed_as = desired.listed_as_leaving(&account);
            let signs_in =
                provisions && account.person.is_some() && self.signs_in(&account, &mut looks).await?;
            let by_id = account.person.as_deref().map(Named::Id);
            let named = by_id.or_else(|| account.known_as.first().map(|name| Named::Name(name)));
            let (answer, by) = match named {
                Some(person) if asks > 0 && room > 0 && (is_held || listed_as.is_some() || signs_in) => {
                    asks -= 1;
                    self.ask(desired, person).await?
                }
                _ => (Answer::Unknown, None),
            };
            if let (Some(listed), Answer::Stays) = (listed_as, answer) {
                // One of the two answers is wrong, so Beadle trusts nothing of the list.
                let why = format!(
                    "the status of {1} is {0} in the list of members, and another one if Beadle asks the directory for this \
                     person alone: the list is unknown",
                    listed.status,
                    account.label()
                );
                difference.take_nothing();
                plan.unknowns.push(Unknown { aspect: MEMBERS.into(), part: None, why, transient: true });
                return Ok(Vec::new());
            }
            let part = if is_held && answer != Answer::Leaves {
                &mut rest
            } else {
                room = room.saturating_sub(1);
                &mut sure
            };
            let whose = match account.person.as_ref().filter(|_| signs_in) {
                Some(person) => {
                    let home = if by.is_some() { by } else { self.home(desired, person).await? };
                    home.map(|source| PersonAccount { source, ..desired.whose(person, &account) })
                }
                None => None,
            };
            match answer {
                Answer::Leaves => {
                    part.confirmed.push(account.id.clone());
                    if let Some(whose) = whose {
                        match self.is_still_theirs(&whose).await? {
                            Some(true) => part.deactivate.push(whose),
                            Some(false) => {}
                            None => part.watched.push(whose),
                        }
                    }
                }
                // Beadle may not remember this account yet.
                Answer::Stays | Answer::Gone | Answer::Unknown => part.watched.extend(whose),
            }
            part.leavers.push(account);
        }
        Ok([sure, rest].into_iter().filter(|part| !part.leavers.is_empty()).collect())
    }

    /// Returns whether an account can sign in. Beadle reads an account again if it is remembered as
    /// inactive. If the read fails, the account counts as active, so that Beadle keeps checking it.
    async fn signs_in(&self, account: &TargetAccount, looks: &mut usize) -> Result<bool, Failure> {
        if account.is_active() || *looks == 0 {
            return Ok(true);
        }
        *looks -= 1;
        match self.directory.target.account_now(&account.id).await {
            Ok(found) => Ok(found.is_some_and(|found| found.is_active())),
            Err(failure) if matches!(failure.class, Class::RateLimited { .. }) => Err(failure),
            Err(_) => Ok(true),
        }
    }

    /// Returns whether an account still belongs to this person; `None` if the read fails.
    async fn is_still_theirs(&self, whose: &PersonAccount) -> Result<Option<bool>, Failure> {
        match self.directory.target.account_now(&whose.account).await {
            Ok(found) => Ok(Some(found.is_some_and(|found| found.person.as_ref() == Some(&whose.person)))),
            Err(failure) if matches!(failure.class, Class::RateLimited { .. }) => Err(failure),
            Err(_) => Ok(None),
        }
    }

    /// Asks for one person alone. Returns the answer, and the directory that has the person.
    async fn ask(
        &self,
        desired: &Desired<'_>,
        person: Named<'_>,
    ) -> Result<(Answer, Option<String>), Failure> {
        for source in desired.sources() {
            let asked = match person {
                Named::Id(id) => self.directory.person_with_id(source, id).await,
                Named::Name(name) => self.directory.source(source)?.person(name).await,
            };
            let answer = match asked {
                Ok(Some(person)) if person.is_leaving => Answer::Leaves,
                Ok(Some(_)) => Answer::Stays,
                Ok(None) => continue,
                Err(failure) if matches!(failure.class, Class::RateLimited { .. }) => return Err(failure),
                // If the directory does not answer, the person waits for an approval.
                Err(_) => return Ok((Answer::Unknown, None)),
            };
            return Ok((answer, Some(source.to_owned())));
        }
        Ok((Answer::Gone, None))
    }

    /// Returns the directory of a person whom no directory showed; `None` if it may be one of
    /// several. The wrong directory has no such id, and Beadle would take the person for deleted.
    async fn home(&self, desired: &Desired<'_>, person: &str) -> Result<Option<String>, Failure> {
        let sources = desired.sources();
        if desired.homes.contains_key(person) || sources.len() == 1 {
            return Ok(Some(desired.home(person).to_owned()));
        }
        for source in sources {
            if self.accounts.of(&self.directory.name, source, person).await?.is_some() {
                return Ok(Some(source.to_owned()));
            }
        }
        Ok(None)
    }
}
