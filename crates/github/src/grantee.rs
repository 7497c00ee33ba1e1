//! Teams and accounts that a write addresses by their names. GitHub publishes no address by id for
//! them, and a slug or a login can have another owner at any time. So a change carries the id of
//! its plan, and a write uses a name only if the name stood for this id a moment ago.

use beadle_engine::{Class, Failure, Time};

use crate::api::Api;
use crate::fresh::is_fresh;
use crate::names::{Resolved, resolve};
use crate::owners::Owner;
use crate::repository::{Actor, ActorKind};

/// A team or an account that a change means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grantee {
    kind: ActorKind,
    id: u64,
    /// The name at the time of the plan.
    name: String,
    /// The time at which the name was resolved. `None` if the name comes from a list of unknown
    /// age.
    asked: Option<Time>,
}

impl Grantee {
    /// Returns the team that a list showed.
    pub fn team(id: u64, slug: &str) -> Self {
        Self { kind: ActorKind::Team, id, name: slug.to_owned(), asked: None }
    }

    /// Returns the account that a list showed.
    pub fn user(id: u64, login: &str) -> Self {
        Self { kind: ActorKind::User, id, name: login.to_owned(), asked: None }
    }

    /// Returns the team that a slug stands for.
    pub fn resolved_team(found: &Resolved) -> Self {
        Self { asked: Some(found.asked), ..Self::team(found.id, &found.name) }
    }

    /// Returns the account that a login stands for.
    pub fn resolved_user(found: &Resolved) -> Self {
        Self { asked: Some(found.asked), ..Self::user(found.id, &found.name) }
    }

    /// Checks that the name stands for the planned id now. If the name was resolved less than five
    /// seconds ago, for the plan or for another write, the check costs no call.
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
            // The removal of a name that nobody has does no harm.
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

/// The effect of a write on a team or an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// It gives access.
    Grant,
    /// It removes access.
    Remove,
}

/// A name that stood for the planned id at the time of the question. Only [`Grantee::confirm`]
/// creates one, and the path of a write to a team or an account needs one.
pub(crate) struct Confirmed {
    name: String,
    asked: Time,
}

impl Confirmed {
    /// Returns the slug or the login.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the time of the question.
    pub(crate) fn asked(&self) -> Time {
        self.asked
    }
}
