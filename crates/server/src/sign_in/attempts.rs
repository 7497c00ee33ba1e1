//! Sign-ins that have begun but not ended. Beadle derives their secrets from a cookie and from a
//! key in the store. So a sign-in can begin at one process and end at another process.

use std::sync::Arc;
use std::time::Duration;

use beadle_engine::{Metadata, Note, Store, StoreError, Time};
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;

use super::tokens::{are_equal, derived, digest, random};

/// The time limit for the sign-in of a person at the provider.
pub(super) const LIFE: Duration = Duration::from_secs(600);
/// How long the store keeps the note about a returned state. This time is longer than the time
/// limit of a sign-in, because the clocks of two processes might differ.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// The secrets of one sign-in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Secrets {
    pub(super) state: String,
    pub(super) nonce: String,
    pub(super) verifier: String,
}

/// The key from which Beadle derives the secrets. The first process that needs the key creates it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
struct AttemptKey(String);

impl Metadata for AttemptKey {
    const KIND: &'static str = "sign-in-key";
    const IS_PLAIN: bool = true;
}

/// A note about a state that a browser brought back. The note contains the time when the sign-in
/// began. The name of the note contains the digest of the state.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
struct UsedState(Time);

impl Metadata for UsedState {
    const KIND: &'static str = "sign-in-used";
}

/// The sign-ins of all processes that share a store.
pub(super) struct Attempts {
    store: Arc<dyn Store>,
    key: OnceCell<String>,
}

impl Attempts {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, key: OnceCell::new() }
    }

    async fn key(&self) -> Result<&str, StoreError> {
        let key = self.key.get_or_try_init(|| async {
            let (store, note) = (self.store.as_ref(), Note::<AttemptKey>::of(&["key"]));
            let stored = note.stored(store).await?;
            if let Some(AttemptKey(key)) = &stored.value {
                return Ok(key.clone());
            }
            let key = AttemptKey(random());
            if note.replace(store, &stored, &key).await? {
                return Ok(key.0);
            }
            // Another process has stored a key in the meantime.
            let why = "the key of the sign-ins is missing: try again".to_owned();
            let missing = StoreError::Unavailable { doing: "reading the key of the sign-ins", why };
            note.get(store).await?.map(|AttemptKey(key)| key).ok_or(missing)
        });
        key.await.map(String::as_str)
    }

    /// Begins a sign-in. Returns the value of its cookie, and its secrets.
    pub(super) async fn begin(&self, now: Time) -> Result<(String, Secrets), StoreError> {
        let cookie = format!("{}.{}", now.0, random());
        let secrets = secrets(self.key().await?, &cookie);
        Ok((cookie, secrets))
    }

    /// Ends a sign-in. Returns the secrets only if three conditions are true: the same browser
    /// brings back the state, the time limit has not passed, and nobody has brought back this state
    /// before.
    pub(super) async fn finish(
        &self,
        cookie: &str,
        state: &str,
        now: Time,
    ) -> Result<Option<Secrets>, StoreError> {
        let secrets = secrets(self.key().await?, cookie);
        // An equal state also proves that a process with this store created the cookie.
        if !are_equal(&secrets.state, state) {
            return Ok(None);
        }
        let begun = cookie.split_once('.').and_then(|(begun, _)| begun.parse().ok()).map(Time);
        let Some(begun) = begun.filter(|begun| now.since(*begun) < LIFE) else { return Ok(None) };
        let store = self.store.as_ref();
        for (name, UsedState(begun)) in Note::<UsedState>::of(&[""]).list(store).await? {
            if now.since(begun) >= REMEMBERED {
                Note::<UsedState>::of(&[&name]).forget(store).await?;
            }
        }
        let note = Note::<UsedState>::of(&[&digest(&secrets.state)]);
        let stored = note.stored(store).await?;
        let is_first = stored.text().is_none() && note.replace(store, &stored, &UsedState(begun)).await?;
        Ok(is_first.then_some(secrets))
    }
}

fn secrets(key: &str, cookie: &str) -> Secrets {
    let of = |purpose: &str| derived(key, purpose, cookie);
    Secrets { state: of("state"), nonce: of("nonce"), verifier: of("verifier") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::store;

    #[tokio::test]
    async fn a_state_is_valid_once_in_its_browser_and_in_time() {
        let folder = tempfile::tempdir().unwrap();
        let attempts = Attempts::new(store(&folder));
        let (cookie, secrets) = attempts.begin(Time(1_000)).await.unwrap();
        let (other, of_other) = attempts.begin(Time(1_000)).await.unwrap();
        let late = Time(1_000) + LIFE;
        let newer = cookie.replacen("1000.", "9000.", 1);
        for (cookie, state, now, why) in [
            (other.as_str(), secrets.state.as_str(), Time(2_000), "another browser"),
            ("", secrets.state.as_str(), Time(2_000), "no cookie"),
            (cookie.as_str(), "", Time(2_000), "no state"),
            (newer.as_str(), secrets.state.as_str(), Time(2_000), "a changed cookie"),
            (other.as_str(), of_other.state.as_str(), late, "too late"),
        ] {
            assert_eq!(attempts.finish(cookie, state, now).await.unwrap(), None, "{why}");
        }
        let found = attempts.finish(&cookie, &secrets.state, Time(2_000)).await.unwrap();
        assert_eq!(found.as_ref(), Some(&secrets));
        assert_eq!(attempts.finish(&cookie, &secrets.state, Time(3_000)).await.unwrap(), None, "again");
    }

    #[tokio::test]
    async fn a_sign_in_begins_at_one_process_and_ends_once_at_another() {
        let folder = tempfile::tempdir().unwrap();
        let shared = store(&folder);
        let [one, two, three] = [0; 3].map(|_| Attempts::new(shared.clone()));
        let (cookie, secrets) = one.begin(Time(1_000)).await.unwrap();
        let (state, now) = (secrets.state.as_str(), Time(2_000));
        let ended = tokio::join!(two.finish(&cookie, state, now), three.finish(&cookie, state, now));
        let ended: Vec<Secrets> = [ended.0, ended.1].into_iter().filter_map(Result::unwrap).collect();
        assert_eq!(ended.iter().collect::<Vec<_>>(), [&secrets]);
        let elsewhere = tempfile::tempdir().unwrap();
        let other = Attempts::new(store(&elsewhere));
        assert_eq!(other.finish(&cookie, state, now).await.unwrap(), None, "another store");
    }

    #[tokio::test]
    async fn used_states_leave_the_store() {
        let folder = tempfile::tempdir().unwrap();
        let shared = store(&folder);
        let attempts = Attempts::new(shared.clone());
        for at in [Time(1_000), Time(1_000) + REMEMBERED] {
            let (cookie, secrets) = attempts.begin(at).await.unwrap();
            assert!(attempts.finish(&cookie, &secrets.state, at).await.unwrap().is_some());
        }
        assert_eq!(shared.notes("sign-in-used:").await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn the_secrets_of_a_sign_in_differ() {
        let folder = tempfile::tempdir().unwrap();
        let (_, Secrets { state, nonce, verifier }) =
            Attempts::new(store(&folder)).begin(Time(0)).await.unwrap();
        assert!(state != nonce && nonce != verifier && state != verifier);
    }
}
