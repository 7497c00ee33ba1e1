//! Modes: the extent to which Beadle writes.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::plan::{Risk, Risks};

/// The mode of an organisation, layer, aspect or group. If several apply, the most careful one
/// counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Plan and write nothing. New organisations start in this mode.
    #[default]
    Observe,
    /// Never remove, weaken or expose.
    AddOnly,
    /// Write everything, within the guard's limits.
    Enforce,
}

impl Mode {
    /// Returns whether a change with these risks may be written in this mode.
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
