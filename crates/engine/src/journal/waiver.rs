//! The journal's record of the ends of waivers.

use serde::{Deserialize, Serialize};

/// A waiver that ended, or that somebody removed. Beadle compares the keys of the waiver again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaiverEnded {
    /// The code of the waiver.
    pub waiver_ended: String,
    /// The keys that the waiver exempted.
    pub keys: Vec<String>,
    /// The names of the repositories, or globs for them.
    pub repositories: Vec<String>,
    /// The time that was set as the end of the waiver.
    pub until: String,
    /// The reason why the keys were exempt.
    pub reason: String,
    /// The person or team that was responsible for the waiver.
    pub owner: String,
    /// The number of repositories that are due because the waiver ended.
    pub due: usize,
}
