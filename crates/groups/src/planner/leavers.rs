//! Decides for each leaver whether Beadle removes the person from the group immediately or waits
//! for an approval. The same decision applies to the deactivation of the leaver's account.

use std::collections::HashSet;

use beadle_engine::{Class, Failure, Plan, Unknown};

use super::compare::Difference;
use super::{Desired, GroupPlanner, MEMBERS, Seen, Write};
use crate::accounts::PersonAccount;
use crate::guard::Leaving;
use crate::mapping::{GroupKey, Users};
use crate::targets::TargetAccount;

/// What the directory answers about one person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// The person must lose the access.
    Leaves,
    /// The person keeps the access.
    Stays,
    /// The directory has no person with this id. There are two possible reasons: somebody deleted
    /// the person at the directory, or somebody configured a different directory.
    Gone,
    /// Beadle did not ask, or got no answer.
    Unknown,
}

/// How Beadle identifies a person in a request to the directory.
#[derive(Clone, Copy)]
enum Named<'a> {
    /// By the directory's id.
    Id(&'a str),
    /// By a name. The directory accepts this name in place of an id.
    Name(&'a str),
}

/// One part of the leavers: either all people who leave immediately, or all people who wait for an
/// approval.
#[derive(Default)]
pub(super) struct SomeLeavers {
    /// The accounts of these leavers.
    pub(super) leavers: Vec<TargetAccount>,
    /// The accounts that Beadle deactivates.
    pub(super) deactivate: Vec<PersonAccount>,
    /// The accounts that Beadle keeps checking after the person has left the last group.
    pub(super) watched: Vec<PersonAccount>,
    /// The ids of the accounts whose owners must lose their access. For each owner, the directory
    /// confirmed this in a separate answer.
    pub(super) confirmed: Vec<String>,
    /// Why these leavers wait for an approval, or `None` if they leave immediately.
    pub(super) stop: Option<String>,
}

/// The number of requests to the directory for each person who can leave after the group's limit
/// is reached.
const ASKS: usize = 5;

impl GroupPlanner {
    /// Splits the leavers into people who leave immediately and people who wait for an approval.
    /// Before Beadle deactivates an account, it asks the directory about the owner of the account.
    /// The directory must confirm that the owner must lose the access. If the removal of a leaver
    /// waits for an approval, the deactivation of the leaver's account also waits.
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
        let limits = self.limits_of(seen);
        let somebody_leaves = |_: &String| leaving.count > 0;
        let stop = seen
            .why_vanished()
            .filter(somebody_leaves)
            .or_else(|| limits.stops(leaving, &recent))
            .or_else(|| desired.why_emptied(seen).filter(somebody_leaves));
        let provisions = desired.mapping.users == Users::Provision;
        let mut asks = self.limits.leavers * ASKS;
        let mut looks = asks;
        // The number of people who can still leave immediately. All leavers beyond this number wait
        // for an approval.
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
            // One account can have the names of several people, so Beadle asks by id if it can.
            let id = account.person.as_deref().or(listed_as.map(|listed| listed.id.as_str()));
            let by_id = id.map(Named::Id);
            let named = by_id.or_else(|| account.known_as.first().map(|name| Named::Name(name)));
            let (answer, by) = match named {
                Some(person) if asks > 0 && room > 0 && (is_held || listed_as.is_some() || signs_in) => {
                    asks -= 1;
                    self.ask(desired, person).await?
                }
                _ => (Answer::Unknown, None),
            };
            if let (Some(listed), Answer::Stays) = (listed_as, answer) {
                // The list and the separate answer disagree. One of these two answers is wrong, so
                // Beadle removes nobody because of this list.
                let why = format!(
                    "the directory's list of members shows {1} with the status {0}, but the record of this person has \
                     another status: Beadle does not use the list",
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
                Answer::Stays => {
                    if let Some(whose) = whose {
                        let group = seen.group.as_deref();
                        let part_of = if self.may_deactivate(&whose, group).await? {
                            &mut part.deactivate
                        } else {
                            &mut part.watched
                        };
                        part_of.push(whose);
                    }
                }
                // Beadle must check this account again later, and it is possible that the store
                // does not have the account yet.
                Answer::Gone | Answer::Unknown => part.watched.extend(whose),
            }
            part.leavers.push(account);
        }
        Ok([sure, rest].into_iter().filter(|part| !part.leavers.is_empty()).collect())
    }

    /// Returns whether an account can sign in. If Beadle remembers the account as inactive, it
    /// reads the account again. If this read fails, Beadle treats the account as active.
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

    /// Returns whether a person left the last group, which is `group`. If the answer is `true`, Beadle
    /// deactivates the account. If a read fails, the answer is `false`, and Beadle checks the account
    /// again after the removal.
    async fn may_deactivate(&self, whose: &PersonAccount, group: Option<&str>) -> Result<bool, Failure> {
        match self.left_last_group(whose, group).await {
            Ok(left) => Ok(left && self.is_still_theirs(whose).await? == Some(true)),
            Err(failure) if matches!(failure.class, Class::RateLimited { .. }) => Err(failure),
            Err(_) => Ok(false),
        }
    }

    /// Returns whether an account still belongs to this person, or `None` if the read fails.
    async fn is_still_theirs(&self, whose: &PersonAccount) -> Result<Option<bool>, Failure> {
        match self.directory.target.account_now(&whose.account).await {
            Ok(found) => Ok(Some(found.is_some_and(|found| found.person.as_ref() == Some(&whose.person)))),
            Err(failure) if matches!(failure.class, Class::RateLimited { .. }) => Err(failure),
            Err(_) => Ok(None),
        }
    }

    /// Asks the directories about one person. Returns the answer, and the directory of the person.
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
                // If the directory does not answer, the person's removal waits for an approval.
                Err(_) => return Ok((Answer::Unknown, None)),
            };
            return Ok((answer, Some(source.to_owned())));
        }
        Ok((Answer::Gone, None))
    }

    /// Returns the directory of a person who is in no list, or `None` if several directories are
    /// possible. If Beadle asked the wrong directory, the directory would not know the id, and
    /// Beadle would wrongly believe that somebody deleted the person.
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
