//! When Beadle last read the parts of a thing that it does not read in every sweep. The store keeps
//! one note for each key.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::key::Key;
use crate::note::{Metadata, Note};
use crate::store::{Store, StoreError};

/// The last read of one part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartRead {
    /// A time before the read began. The part was not read at an earlier time.
    pub at: Time,
    /// The digest of what the policy declared for the part. It is empty if the next sweep must read
    /// the part.
    pub declared: String,
}

/// When Beadle last read each part of a thing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRead {
    /// The reads, by the name of the part.
    #[serde(default)]
    pub parts: BTreeMap<String, PartRead>,
}

impl Metadata for LastRead {
    const KIND: &'static str = "last-read";
}

impl LastRead {
    /// Returns the note that has the reads of a key.
    pub fn note(key: &Key) -> Note<Self> {
        Note::of(&[key.as_str()])
    }

    /// Forgets the reads of a key, so that the next sweep reads all parts. The note stays: it shows
    /// that sweeps do not read all parts of this key each time.
    pub async fn clear(store: &dyn Store, key: &Key) -> Result<(), StoreError> {
        let note = Self::note(key);
        match note.get(store).await? {
            Some(reads) if !reads.parts.is_empty() => note.put(store, &Self::default()).await,
            _ => Ok(()),
        }
    }

    /// Makes the next sweep read some parts of a key. The times of their last reads stay.
    pub async fn expire(store: &dyn Store, key: &Key, parts: &BTreeSet<&str>) -> Result<(), StoreError> {
        if parts.is_empty() {
            return Ok(());
        }
        let note = Self::note(key);
        let Some(mut reads) = note.get(store).await? else { return Ok(()) };
        let mut is_news = false;
        for (part, read) in &mut reads.parts {
            if parts.contains(part.as_str()) && !read.declared.is_empty() {
                read.declared.clear();
                is_news = true;
            }
        }
        if is_news { note.put(store, &reads).await } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_stored_words_stay_the_same() {
        let note = LastRead::note(&Key::new("repository", "acme", 7));
        assert_eq!(note.name(), "last-read:repository:acme:7");
        let parts = [("pages".to_owned(), PartRead { at: Time(7), declared: "d".into() })];
        let stored = json!({ "parts": { "pages": { "at": 7, "declared": "d" } } });
        assert_eq!(serde_json::to_value(LastRead { parts: parts.into() }).unwrap(), stored);
    }
}
