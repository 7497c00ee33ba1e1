//! The journal's record of the changes that a run did not write.

use serde::{Deserialize, Serialize};

use crate::plan::{PolicyLocation, Risk};

/// A change that a run did not write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnwrittenChange {
    /// The aspect that the change belongs to.
    pub aspect: String,
    /// The part of the aspect, such as `team platform`.
    pub what: String,
    /// The gravest risk of the change.
    pub risk: Risk,
    /// The policy line that asks for the change.
    pub asked: Option<PolicyLocation>,
    /// The reason why Beadle did not write the change.
    pub because: Obstacle,
    /// True if the change would replace values that an undo restored. The reason is then
    /// [`Obstacle::Mode`], because older versions know no other reason.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undone: bool,
    /// The digest of the change, if the guard holds it. An operator uses the digest to approve the
    /// change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// The reason why Beadle did not write a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Obstacle {
    /// The guard holds the change.
    Held,
    /// The mode does not allow the change.
    Mode,
    /// Another writer undoes the change, and Beadle writes it again later.
    Contested,
    /// The vendor refused the change, or did not answer.
    Failed,
    /// The run ended before it reached the change, or the change depends on another unwritten
    /// change.
    NotReached,
}
