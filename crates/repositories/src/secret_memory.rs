//! Stores digests of the secret values that Beadle wrote. GitHub does not show the value of a
//! secret. Beadle therefore keeps a keyed digest (HMAC-SHA256) of each value that it wrote. Beadle
//! never keeps the value itself. The key of the digests is in the store. The digest includes the
//! name of the secret, so two secrets with the same value have different digests.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use beadle_engine::{Clock, Metadata, Note, Store, StoreError, Time};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// The maximum difference between two timestamps of the same write: the time that GitHub shows, and
/// the time on Beadle's clock. The timestamps can differ, because the two clocks can differ.
const TOLERANCE: Duration = Duration::from_secs(300);

/// The key of all digests in one store, in base64.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct DigestKey(String);

impl Metadata for DigestKey {
    const KIND: &'static str = "secret-digest-key";
    const IS_NEEDED: bool = true;
}

/// The stored note about a secret that Beadle wrote.
#[derive(Serialize, Deserialize)]
struct Written {
    /// The keyed digest of the value.
    digest: String,
    /// The time at which Beadle wrote the value. The time comes from GitHub's clock, if GitHub
    /// showed it.
    at: Time,
}

impl Metadata for Written {
    const KIND: &'static str = "secret-written";
}

/// Returns the common prefix for the names of an organisation's notes about secrets. In each name,
/// the text from this prefix to the next colon is the owner of the secret.
pub(crate) fn prefix(organisation: &str) -> String {
    let organisation = organisation.to_lowercase();
    Note::<Written>::of(&[&organisation, ""]).name().to_owned()
}

/// Returns a code for a secret. A preview compares two plans, and uses the code to distinguish
/// secrets. The code is a digest without a key. Beadle therefore never stores or prints this code.
pub(crate) fn fingerprint(value: &SecretString) -> String {
    use sha2::Digest as _;

    let digest = Sha256::digest(value.expose_secret());
    digest.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// The place and the name of a secret at GitHub.
#[derive(Clone, Debug)]
pub(crate) struct SecretName {
    /// The id of the repository, or the word `organisation` for a secret of the organisation.
    pub(crate) owner: String,
    /// The place below the owner, such as `actions` or `environments/production`.
    pub(crate) place: String,
    pub(crate) name: String,
}

/// The result of a comparison between two values: the value in the configuration, and the value
/// that Beadle wrote most recently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compared {
    /// The result is unknown, because there is no store or no value.
    Unknown,
    /// Beadle has not written this secret yet.
    NeverWritten,
    /// The values differ.
    Other,
    /// The values are the same. `at` is the time at which Beadle wrote the value.
    Same { at: Time },
}

impl Compared {
    /// Returns the text that a plan shows for the value at GitHub. Returns `None` if Beadle does
    /// not need to write the value again.
    pub(crate) fn before(self, updated_at: Option<&str>) -> Option<&'static str> {
        match self {
            Self::NeverWritten => Some("a value that Beadle did not write"),
            Self::Other => Some("an earlier value"),
            Self::Same { .. } if self.is_overwritten(updated_at) => Some("a value that somebody else wrote"),
            Self::Unknown | Self::Same { .. } => None,
        }
    }

    /// Returns whether GitHub shows a change that is later than Beadle's own write.
    pub(crate) fn is_overwritten(self, updated_at: Option<&str>) -> bool {
        let Self::Same { at } = self else { return false };
        updated_at.and_then(time).is_some_and(|changed| changed > at + TOLERANCE)
    }
}

/// Parses a time from GitHub.
fn time(text: &str) -> Option<Time> {
    text.parse::<jiff::Timestamp>().ok().map(|at| Time(at.as_millisecond()))
}

/// The memory for the secrets in one organisation. Without a store, this memory is always empty.
#[derive(Clone)]
pub(crate) struct SecretMemory {
    store: Option<Arc<dyn Store>>,
    organisation: String,
    clock: Clock,
    /// True if Beadle only reads its memory, and stores nothing new.
    looks_only: bool,
}

impl SecretMemory {
    pub(crate) fn new(store: Option<Arc<dyn Store>>, organisation: &str, clock: &Clock) -> Self {
        Self { store, organisation: organisation.to_lowercase(), clock: clock.clone(), looks_only: false }
    }

    /// Returns a copy that stores nothing new.
    #[must_use]
    pub(crate) fn only_looking(&self) -> Self {
        Self { looks_only: true, ..self.clone() }
    }

    fn note(&self, of: &SecretName) -> Note<Written> {
        Note::of(&[&self.organisation, &of.owner, &of.place, &of.name])
    }

    /// Compares the value of the configuration with the value that Beadle wrote most recently.
    pub(crate) async fn compare(
        &self,
        of: &SecretName,
        value: &SecretString,
    ) -> Result<Compared, StoreError> {
        let Some(store) = &self.store else { return Ok(Compared::Unknown) };
        let Some(written) = self.note(of).get(store.as_ref()).await? else {
            return Ok(Compared::NeverWritten);
        };
        // A preview knows the names of the secrets, but not the values.
        if value.expose_secret().is_empty() {
            return Ok(Compared::Unknown);
        }
        let key: Note<DigestKey> = Note::of(&[]);
        let Some(DigestKey(key)) = key.get(store.as_ref()).await? else { return Ok(Compared::Other) };
        let is_same = self.digest(&key, of, value) == written.digest;
        Ok(if is_same { Compared::Same { at: written.at } } else { Compared::Other })
    }

    /// Stores a digest of the value that GitHub has now.
    pub(crate) async fn remember(&self, of: &SecretName, value: &SecretString) -> Result<(), StoreError> {
        self.remember_at(of, value, None).await
    }

    /// Stores a digest of the value that GitHub has now. If GitHub shows the time of the write,
    /// `updated_at` is this time. Beadle's own clock might be slow. With a time from a slow clock,
    /// Beadle's own write would look like a later change.
    pub(crate) async fn remember_at(
        &self,
        of: &SecretName,
        value: &SecretString,
        updated_at: Option<&str>,
    ) -> Result<(), StoreError> {
        let Some(store) = self.store.as_ref().filter(|_| !self.looks_only) else { return Ok(()) };
        let digest = self.digest(&key(store.as_ref()).await?, of, value);
        let at = updated_at.and_then(time).unwrap_or_else(|| self.clock.now());
        self.note(of).put(store.as_ref(), &Written { digest, at }).await
    }

    /// Deletes the stored note about a secret that Beadle removed.
    pub(crate) async fn forget(&self, of: &SecretName) -> Result<(), StoreError> {
        match &self.store {
            Some(store) => self.note(of).forget(store.as_ref()).await,
            None => Ok(()),
        }
    }

    /// Returns the keyed digest of a value. The function does not store anything about the value.
    /// Returns `None` if there is no store.
    pub(crate) async fn keyed_digest(
        &self,
        of: &SecretName,
        value: &SecretString,
    ) -> Result<Option<String>, StoreError> {
        let Some(store) = &self.store else { return Ok(None) };
        Ok(Some(self.digest(&key(store.as_ref()).await?, of, value)))
    }

    fn digest(&self, key: &str, of: &SecretName, value: &SecretString) -> String {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.as_bytes()) else { return String::new() };
        for part in [&self.organisation, &of.owner, &of.place, &of.name] {
            mac.update(part.as_bytes());
            mac.update(&[0]);
        }
        mac.update(value.expose_secret().as_bytes());
        STANDARD.encode(mac.finalize().into_bytes())
    }
}

/// Returns the key of the digests. If the store has no key yet, the function creates the key.
async fn key(store: &dyn Store) -> Result<String, StoreError> {
    let note: Note<DigestKey> = Note::of(&[]);
    if let Some(DigestKey(key)) = note.get(store).await? {
        return Ok(key);
    }
    let made = DigestKey(STANDARD.encode(rand::random::<[u8; 32]>()));
    note.put(store, &made).await?;
    // Another process might have created a key at the same time. All processes use the key that is
    // in the store. If Beadle made a digest with a different key, Beadle writes the secret again.
    let kept = note.get(store).await?;
    Ok(kept.map_or(made.0, |DigestKey(key)| key))
}

#[cfg(test)]
mod tests {
    use beadle_store_sqlite::{SqliteSettings, SqliteStore};

    use super::*;

    fn name(name: &str) -> SecretName {
        SecretName { owner: "101".into(), place: "actions".into(), name: name.into() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_value_is_remembered_as_a_digest_that_differs_for_another_value() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open_inline(&folder.path().join("b.db"), SqliteSettings::default()).unwrap();
        let store: Arc<dyn Store> = Arc::new(store);
        let clock = Clock::simulated(Time::from_seconds(1_800_000_000));
        let memory = SecretMemory::new(Some(store.clone()), "Acme", &clock);
        let (one, two) = (SecretString::from("hunter2"), SecretString::from("hunter3"));
        assert_eq!(memory.compare(&name("A"), &one).await, Ok(Compared::NeverWritten));
        memory.only_looking().remember(&name("A"), &one).await.unwrap();
        assert_eq!(memory.compare(&name("A"), &one).await, Ok(Compared::NeverWritten));
        memory.remember(&name("A"), &one).await.unwrap();
        memory.remember(&name("B"), &one).await.unwrap();
        let same = Compared::Same { at: clock.now() };
        assert_eq!(memory.compare(&name("A"), &one).await, Ok(same));
        assert_eq!(memory.compare(&name("A"), &two).await, Ok(Compared::Other));
        assert_eq!(memory.compare(&name("A"), &SecretString::default()).await, Ok(Compared::Unknown));
        let notes = store.notes("secret-written").await.unwrap();
        assert_eq!(notes.len(), 2);
        assert_ne!(notes[0].1, notes[1].1, "the digest includes the name");
        assert!(!format!("{notes:?}").contains("hunter"), "{notes:?}");
        let digest = memory.keyed_digest(&name("A"), &one).await.unwrap();
        assert!(digest.as_ref().is_some_and(|digest| !digest.contains("hunter")), "{digest:?}");
        assert_eq!(memory.keyed_digest(&name("A"), &one).await.unwrap(), digest);
        assert_ne!(memory.keyed_digest(&name("A"), &two).await.unwrap(), digest);
        assert_ne!(memory.keyed_digest(&name("B"), &one).await.unwrap(), digest);
        memory.forget(&name("A")).await.unwrap();
        assert_eq!(memory.compare(&name("A"), &one).await, Ok(Compared::NeverWritten));
        let none = SecretMemory::new(None, "acme", &clock);
        none.remember(&name("A"), &one).await.unwrap();
        assert_eq!(none.compare(&name("A"), &one).await, Ok(Compared::Unknown));
        assert_eq!(none.keyed_digest(&name("A"), &one).await, Ok(None));
    }

    #[test]
    fn only_a_later_change_belongs_to_somebody_else() {
        let same = Compared::Same { at: Time::from_seconds(1_800_000_000) };
        for (updated_at, expected) in [
            (Some("2027-01-15T08:00:00Z"), false),
            (Some("2027-01-15T08:04:00Z"), false),
            (Some("2027-01-15T08:06:00Z"), true),
            (Some("soon"), false),
            (None, false),
        ] {
            assert_eq!(same.is_overwritten(updated_at), expected, "{updated_at:?}");
        }
        assert!(!Compared::Other.is_overwritten(Some("2027-01-15T08:06:00Z")));
    }
}
