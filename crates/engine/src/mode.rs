//! Modes, which decide how far Beadle may go.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::plan::{Risk, Risks};

/// The mode of an organisation, a layer, an aspect or a group. If several modes apply to one
/// change, Beadle uses the most careful mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Beadle makes plans and writes nothing. New organisations start in this mode.
    #[default]
    Observe,
    /// Beadle writes no change that removes, weakens or exposes something.
    AddOnly,
    /// Beadle writes all changes within the guard's limits.
    Enforce,
}

impl Mode {
    /// Returns whether Beadle may write a change with these risks in this mode.
    pub fn allows(self, risks: &Risks) -> bool {
        match self {
            Self::Observe => false,
            Self::AddOnly => {
                [Risk::Removes, Risk::Weakens, Risk::Exposes].iter().all(|risk| risks.count(*risk) == 0)
            }
            Self::Enforce => true,
        }
    }

    /// Returns the name that is configured and printed.
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
