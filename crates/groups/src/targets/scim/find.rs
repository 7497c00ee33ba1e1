//! Finds the account of a person at a SCIM server.

use beadle_engine::{Class, Failure, Time};
use beadle_scim::Answered;

use super::ScimReader;
use crate::sources::Person;
use crate::targets::{Found, TargetAccount};

impl ScimReader {
    /// Finds the account of a person. Uses a remembered account if Beadle read it recently enough
    /// for the lane of this reader.
    pub(super) async fn find_one(&self, person: &Person) -> Result<Found, Failure> {
        self.find_since(person, self.believed_since()).await
    }

    /// Finds the account of a person. Uses a remembered account only if Beadle read the account at
    /// `since` or later.
    pub(super) async fn find_since(&self, person: &Person, since: Time) -> Result<Found, Failure> {
        let asked = self.now();
        let known = || self.seen().people.get(&person.id).cloned();
        if let Some(known) = known() {
            if self.seen().knows(&person.id, since) {
                return Ok(Found::TargetAccount(known));
            }
            match self.scim.user(&known.id).await? {
                Some(user) => {
                    let found = self.account(user);
                    self.remember(&found, asked);
                    if found.person.as_ref() == Some(&person.id) {
                        return Ok(Found::TargetAccount(found));
                    }
                }
                None => self.seen().forget(&known.id),
            }
        }
        let by_id = self.scim.user_with_external_id(&person.id).await?;
        let mut is_sure = by_id == Answered::None;
        if let Some(user) = by_id.one() {
            let found = self.account(user);
            self.remember(&found, asked);
            return Ok(Found::TargetAccount(found));
        }
        let by_name = self.scim.user_named(&person.login).await?;
        is_sure &= by_name != Answered::Unreliable;
        let mut named = by_name.one().map(|user| self.account(user));
        let is_theirs = |found: &TargetAccount| found.person.as_ref() == Some(&person.id);
        if !is_sure && !named.as_ref().is_some_and(is_theirs) {
            // If the server cannot filter by the id or by the name, only a complete list can show
            // that the account does not exist.
            is_sure = self.users_of_now().await?;
            if let Some(known) = known() {
                return Ok(Found::TargetAccount(known));
            }
            let is_named = |account: &&TargetAccount| {
                account.name.as_ref().is_some_and(|name| name.eq_ignore_ascii_case(&person.login))
            };
            named = named.or_else(|| self.seen().accounts.values().find(is_named).cloned());
        }
        match named {
            // The account belongs to the person in two cases: the account has no id and has the
            // person's name, or the account has the person's id but the server cannot filter by the
            // id.
            Some(found) if found.person.is_none() || is_theirs(&found) => {
                self.remember(&found, asked);
                Ok(Found::TargetAccount(found))
            }
            Some(found) => Ok(Found::Another(format!(
                "the user {} of the target belongs to another person: its externalId is {}, and {} has the id {} in the \
                 directory; correct the externalId at the target, or the login",
                found.label(),
                found.person.as_deref().unwrap_or_default(),
                person.login,
                person.id
            ))),
            None if !is_sure => {
                let text = format!(
                    "whether the target has a user {} is unknown: its filters do not find users, and its list of users is \
                     incomplete",
                    person.login
                );
                Err(Failure::new(Class::Retry, text))
            }
            None => Ok(Found::Missing(format!(
                "the target has no user {} (or with the externalId {})",
                person.login, person.id
            ))),
        }
    }
}
