//! How far Beadle may go.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::plan::{Risk, Risks};

/// Set per organisation, layer, aspect and group; where several apply, the most careful one counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Plans, and writes nothing. New organisations start here.
    #[default]
    Observe,
    /// Never removes, weakens or exposes.
    AddOnly,
    /// Makes it so, within the guard's limits.
    Enforce,
}

impl Mode {
    /// Whether a change with these risks may be written in this mode.
    pub fn allows(self, risks: &Risks) -> bool {
        match self {
            Self::Observe => false,
            Self::AddOnly => {
                [Risk::Removes, Risk::Weakens, Risk::Exposes].iter().all(|risk| risks.count(*risk) == 0)
            }
            Self::Enforce => true,
        }
    }

    /// As written in configuration and printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::AddOnly => "add-only",
            Self::Enforce => "enforce",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
