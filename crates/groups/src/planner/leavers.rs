//! Decides which leavers leave at once, and which wait for an approval. Decides the same for their
//! accounts.

use std::collections::HashSet;

use beadle_engine::{Class, Failure, Plan, Unknown};

use super::compare::Difference;
use super::{Desired, GroupPlanner, MEMBERS, Seen, Write};
use crate::accounts::Whose;
use crate::guard::Leaving;
use crate::mapping::{GroupKey, Users};
use crate::targets::TargetAccount;

/// The directory's answer about one person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// Their access should go.
    Leaves,
    /// Their access stays.
    Stays,
    /// It knows nobody of this id: deleted, or another directory.
    Gone,
    /// It was not asked, or could not be.
    Unknown,
}

/// What a person is asked for by.
#[derive(Clone, Copy)]
enum Named<'a> {
    /// The directory's id.
    Id(&'a str),
    /// A name that the directory takes in place of an id.
    Name(&'a str),
}

/// Some of those who would leave.
#[derive(Default)]
pub(super) struct SomeLeavers {
    /// They leave the group.
    pub(super) go: Vec<TargetAccount>,
    /// Of them, accounts that may not sign in any more.
    pub(super) deactivate: Vec<Whose>,
    /// Of them, accounts that Beadle checks when their person is in no group any more.
    pub(super) watched: Vec<Whose>,
    /// Of them, ids of people of whom the directory, asked for each alone, confirmed that the
    /// access should go.
    pub(super) confirmed: Vec<String>,
    /// Why they wait for somebody.
    pub(super) stop: Option<String>,
}

/// The number of questions for each person who may leave beyond the share of a group.
const ASKS: usize = 5;

impl GroupPlanner {
    /// Parts those who would leave: those who may at once, and those who wait for somebody. An
    /// account is deactivated only if the directory says so of its person, asked for alone; it
    /// waits where the removal waits.
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
            count: difference.go.len(),
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
        for account in std::mem::take(&mut difference.go) {
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
                // One of the two answers is wrong, so none of the list is believed.
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
                    home.map(|source| Whose { source, ..desired.whose(person, &account) })
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
                // The account may be one that Beadle does not remember: only here it learns of it.
                Answer::Stays | Answer::Gone | Answer::Unknown => part.watched.extend(whose),
            }
            part.go.push(account);
        }
        Ok([sure, rest].into_iter().filter(|part| !part.go.is_empty()).collect())
    }

    /// Whether an account may sign in. An account that is remembered as inactive is read again. If it
    /// cannot be read, it counts as active, so that Beadle watches it.
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

    /// Whether an account is this person's now: another person may have it by now. `None`: it could
    /// not be read.
    async fn is_still_theirs(&self, whose: &Whose) -> Result<Option<bool>, Failure> {
        match self.directory.target.account_now(&whose.account).await {
            Ok(found) => Ok(Some(found.is_some_and(|found| found.person.as_ref() == Some(&whose.person)))),
            Err(failure) if matches!(failure.class, Class::RateLimited { .. }) => Err(failure),
            Err(_) => Ok(None),
        }
    }

    /// Asks for a person alone. Returns the answer, and the directory that knows them.
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
                // Who cannot be asked about is one of those who wait for somebody.
                Err(_) => return Ok((Answer::Unknown, None)),
            };
            return Ok((answer, Some(source.to_owned())));
        }
        Ok((Answer::Gone, None))
    }

    /// The directory of a person whom it did not show when it was asked. `None` where several may be meant: the wrong one knows
    /// nobody of this id, and the account would be taken for one whose person was deleted.
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
