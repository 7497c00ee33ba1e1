//! Some parts of a repository are not read by every sweep. For each key, one note contains the
//! times of the last reads of these parts.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::key::Key;
use crate::note::{Metadata, Note};
use crate::store::{Store, StoreError};

/// The last read of one part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartRead {
    /// A time before the read. The read certainly began at this time or later.
    pub at: Time,
    /// The digest of what the policy declared for the part. It is empty if the next sweep must read
    /// the part.
    pub declared: String,
    /// The digest of everything else that Beadle compared. It is set if the part was as declared
    /// and the store must not keep the vendor's answer. A sweep can then use this digest in place
    /// of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreed: Option<String>,
}

/// The last reads of the parts of one key.
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
    /// Returns the note that contains the last reads of a key.
    pub fn note(key: &Key) -> Note<Self> {
        Note::of(&[key.as_str()])
    }

    /// Forgets the reads of a key, so that the next sweep reads all parts. The note itself stays,
    /// because it shows that sweeps do not read all parts of this key each time.
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
        for (agreed, stored) in [
            (None, json!({ "at": 7, "declared": "d" })),
            (Some("a".to_owned()), json!({ "at": 7, "declared": "d", "agreed": "a" })),
        ] {
            let part = PartRead { at: Time(7), declared: "d".into(), agreed };
            let reads = LastRead { parts: [("pages".to_owned(), part)].into() };
            let stored = json!({ "parts": { "pages": stored } });
            assert_eq!(serde_json::to_value(&reads).unwrap(), stored);
            assert_eq!(serde_json::from_value::<LastRead>(stored).unwrap(), reads);
        }
    }
}
