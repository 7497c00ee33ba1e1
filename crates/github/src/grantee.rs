//! Teams and accounts that get or lose access through a write. At GitHub, the address of a team or
//! an account contains a name, not an id. Another team or account can take this name (a slug or a
//! login) at any time. A planned change therefore contains the id of the team or the account. A
//! write uses the name only if GitHub confirmed a moment ago that the name belongs to this id.

use beadle_engine::{Class, Failure, Time};

use crate::api::Api;
use crate::fresh::is_fresh;
use crate::names::{Resolved, resolve};
use crate::owners::Owner;
use crate::repository::{Actor, ActorKind};

/// The team or the account that gets or loses access through a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grantee {
    kind: ActorKind,
    id: u64,
    /// The name that the team or the account had when Beadle made the plan.
    name: String,
    /// The time at which Beadle resolved the name. `None` if the name comes from a list, because
    /// the age of the list is unknown.
    asked: Option<Time>,
}

impl Grantee {
    /// Returns a team that Beadle found in a list.
    pub fn team(id: u64, slug: &str) -> Self {
        Self { kind: ActorKind::Team, id, name: slug.to_owned(), asked: None }
    }

    /// Returns an account that Beadle found in a list.
    pub fn user(id: u64, login: &str) -> Self {
        Self { kind: ActorKind::User, id, name: login.to_owned(), asked: None }
    }

    /// Returns the team that GitHub resolved from a slug.
    pub fn resolved_team(found: &Resolved) -> Self {
        Self { asked: Some(found.asked), ..Self::team(found.id, &found.name) }
    }

    /// Returns the account that GitHub resolved from a login.
    pub fn resolved_user(found: &Resolved) -> Self {
        Self { asked: Some(found.asked), ..Self::user(found.id, &found.name) }
    }

    /// Returns the part of a path before the name: `teams` for a team, `users` for an account.
    pub(crate) fn list(&self) -> &'static str {
        if self.kind == ActorKind::Team { "teams" } else { "users" }
    }

    /// Checks that the name belongs to the planned id now. If Beadle resolved the name less than
    /// five seconds ago, for example for the plan or for another write, the method makes no call.
    pub(crate) async fn confirm(&self, api: &Api, purpose: Purpose) -> Result<Confirmed, Failure> {
        let now = api.clock().now();
        if let Some(asked) = self.asked.filter(|asked| is_fresh(*asked, now)) {
            return Ok(Confirmed { name: self.name.clone(), asked });
        }
        let answer = api.owners().of(self.kind, &self.name);
        let mut last = answer.lock().await;
        let now = api.clock().now();
        if let Some(owner) = last.filter(|owner| owner.id == self.id && is_fresh(owner.asked, now)) {
            return Ok(Confirmed { name: self.name.clone(), asked: owner.asked });
        }
        let actor = Actor { kind: self.kind, name: self.name.clone(), id: None, number: None };
        let found = resolve(api, &[actor]).await?.into_iter().next();
        *last = match &found {
            Some(Ok(found)) => Some(Owner { id: found.id, asked: found.asked }),
            _ => None,
        };
        let why = match found {
            Some(Ok(found)) if found.id == self.id => {
                return Ok(Confirmed { name: self.name.clone(), asked: found.asked });
            }
            Some(Ok(found)) => format!("has the id {} now, the plan has the id {}", found.id, self.id),
            // Nobody has this name, so a write that removes the access of this name affects nobody.
            _ if purpose == Purpose::Remove => {
                return Ok(Confirmed { name: self.name.clone(), asked: now });
            }
            _ => "no longer exists".to_owned(),
        };
        let what = if self.kind == ActorKind::Team { "team" } else { "user" };
        let text = format!("{what} `{}` {why}; nothing was written, Beadle plans again", self.name);
        Err(Failure::new(Class::Conflict, text))
    }
}

/// The kind of a write for a team or an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The write gives access.
    Grant,
    /// The write removes access.
    Remove,
}

/// A name that GitHub confirmed for the planned id. Only [`Grantee::confirm`] creates this type.
/// Code can build the path of a write to a team or an account only from a value of this type.
pub(crate) struct Confirmed {
    name: String,
    asked: Time,
}

impl Confirmed {
    /// Returns the slug or the login.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns when Beadle asked GitHub about the name.
    pub(crate) fn asked(&self) -> Time {
        self.asked
    }
}
