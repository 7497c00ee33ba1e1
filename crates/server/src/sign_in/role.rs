//! The rights of a signed-in person.

use serde::{Deserialize, Serialize};

/// The role of a person. Each role includes the rights of all roles before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The person can read the pages.
    Viewer,
    /// The person can also reject held changes, pause, resume, retry, and run background tasks.
    Operator,
    /// The person can also approve held changes and policies, undo writes, reload the
    /// configuration, and exempt keys with a waiver.
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
