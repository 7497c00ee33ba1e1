//! A person who signed in.

use beadle_engine::Time;
use serde::{Deserialize, Serialize};

use super::role::Role;

/// A person. The provider of the sign-in identified the person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The id of the person. The provider never gives this id to another person.
    pub id: String,
    /// The name for the journal and the pages.
    pub name: String,
    /// The login at GitHub. `None` if the login is not known.
    pub login: Option<String>,
}

/// A person with a valid session.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// The person.
    pub person: Person,
    /// The role of the person.
    pub role: Role,
    /// The time at which the person signed in.
    pub since: Time,
    /// The time of the request. Beadle reads the values of a page only after this time.
    pub at: Time,
    /// The token that each form of the session contains.
    pub token: String,
    /// The digest of the session's id.
    pub(super) session: String,
}

#[cfg(test)]
impl Visitor {
    /// Returns a visitor with this role. The token of the forms is `the-token`.
    pub(crate) fn example(role: Role) -> Self {
        let person = Person { id: "7".to_owned(), name: "mona".to_owned(), login: None };
        let (token, session) = ("the-token".to_owned(), String::new());
        Self { person, role, since: Time(1), at: Time(2), token, session }
    }
}
