//! The number of an instance's repositories, which limits the share that one aspect may reach.

use serde::{Deserialize, Serialize};

use crate::note::{Metadata, Note};

/// The number of an instance's repositories, as the last sweep counted them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RepositoryCount(pub u32);

impl Metadata for RepositoryCount {
    const KIND: &'static str = "repositories";
}

impl RepositoryCount {
    /// Returns the note of an instance.
    pub fn note(instance: &str) -> Note<Self> {
        Note::of(&[instance])
    }
}
