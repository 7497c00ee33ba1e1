//! The rights of a signed-in person.

use serde::{Deserialize, Serialize};

/// The role of a person. Each role includes the roles before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The person reads the pages.
    Viewer,
    /// The person also rejects held changes, pauses, resumes, retries and runs background tasks.
    Operator,
    /// The person also approves held changes and policies, undoes writes, reloads the
    /// configuration, and exempts keys with a waiver.
    Approver,
}

impl Role {
    /// Returns the name of the role.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Approver => "approver",
        }
    }
}
