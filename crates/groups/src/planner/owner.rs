//! Checks who owns an account that Beadle found by a mail address. The address of one person can be the
//! sign-in name of another person.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use beadle_engine::{Class, Failure, Time};
use parking_lot::Mutex;

use super::{Desired, GroupPlanner};
use crate::sources::Person;
use crate::targets::TargetAccount;

/// How long Beadle remembers that nobody signs in with an address. Only members who stay can stay
/// because of a remembered answer. Nobody joins because of it.
const BELIEVED: Duration = Duration::from_secs(24 * 3600);

/// The owner of an account.
pub(super) enum Owner {
    /// The person for whom Beadle searched.
    Person,
    /// Another person. The text names the account and the address.
    Another(String),
    /// The owner is unknown for the reason in the text. The second value is `true` if a retry might
    /// help.
    Unknown(String, bool),
}

/// Where the answer about an owner can come from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum OwnerFrom {
    /// A new answer of the directory.
    Directory,
    /// A new or a remembered answer.
    Memory,
}

/// The address of a person in a directory.
#[derive(PartialEq, Eq, Hash)]
struct Address {
    source: String,
    person: String,
    mail: String,
}

/// The addresses that no other person signs in with, and the time of the directory's answer.
#[derive(Clone, Default)]
pub(super) struct Unclaimed(Arc<Mutex<HashMap<Address, Time>>>);

impl Unclaimed {
    fn contains(&self, key: &Address, now: Time) -> bool {
        self.0.lock().get(key).is_some_and(|at| *at <= now && now.since(*at) < BELIEVED)
    }

    fn insert(&self, key: Address, now: Time) {
        self.0.lock().insert(key, now);
    }
}

impl GroupPlanner {
    /// Returns the owner of an account that Beadle found for `person`. If another person signs in at
    /// the directory with the address of `person`, the account belongs to that other person.
    pub(super) async fn owner(
        &self,
        desired: &Desired<'_>,
        person: &Person,
        account: &TargetAccount,
        from: OwnerFrom,
    ) -> Result<Owner, Failure> {
        let own = |name: &String| name.eq_ignore_ascii_case(&person.login) || *name == person.id;
        let Some(address) = person.email.as_ref() else { return Ok(Owner::Person) };
        if account.known_as.is_empty() || account.known_as.iter().any(own) {
            return Ok(Owner::Person);
        }
        for source in desired.sources() {
            let key = Address {
                source: source.to_owned(),
                person: person.id.clone(),
                mail: address.to_lowercase(),
            };
            let now = self.clock.now();
            if from == OwnerFrom::Memory && self.unclaimed.contains(&key, now) {
                continue;
            }
            match self.directory.source(source)?.person(address).await {
                // Somebody who left can have been the same person, with an older record.
                Ok(Some(other)) if other.id != person.id && other.is_leaving && from == OwnerFrom::Memory => {
                    let why = format!(
                        "the account {} has the address {address}, which is the address of {} but the login of a person \
                         who left; Beadle keeps the member, so check whose account it is",
                        account.label(),
                        person.login
                    );
                    return Ok(Owner::Unknown(why, false));
                }
                Ok(Some(other)) if other.id != person.id => {
                    return Ok(Owner::Another(format!(
                        "the account {} has the address {address}, which is the address of {} but the login of another \
                         person; Beadle does not use the account for {1}",
                        account.label(),
                        person.login
                    )));
                }
                Ok(_) => self.unclaimed.insert(key, now),
                Err(failure) if matches!(failure.class, Class::RateLimited { .. }) => return Err(failure),
                Err(failure) => {
                    let why = "the directory does not show who signs in with that address";
                    let why = format!(
                        "the account {} has the address {address}, but {why}: {failure}",
                        account.label()
                    );
                    return Ok(Owner::Unknown(why, failure.class != Class::Rejected));
                }
            }
        }
        Ok(Owner::Person)
    }
}
