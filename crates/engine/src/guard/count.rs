//! The stored number of repositories of an instance. The guard uses this number to compute in which
//! share of the repositories Beadle changes one aspect.

use serde::{Deserialize, Serialize};

use crate::note::{Metadata, Note};

/// The number of repositories of an instance, as counted by the previous sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RepositoryCount(pub u32);

impl Metadata for RepositoryCount {
    const KIND: &'static str = "repositories";
    // Without the number, the guard could not limit the share. The next sweep stores the number
    // again.
    const IS_NEEDED: bool = true;
}

impl RepositoryCount {
    /// Returns the note that stores the number for an instance.
    pub fn note(instance: &str) -> Note<Self> {
        Note::of(&[instance])
    }
}
