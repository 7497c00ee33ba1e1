//! Sign-ins that have begun. Beadle stores nothing about them: their secrets follow from a cookie
//! and from a key of the process.

use std::collections::BTreeMap;
use std::time::Duration;

use beadle_engine::Time;
use parking_lot::Mutex;

use super::tokens::{are_equal, derived, random};

/// How long a person may take to sign in at the provider.
pub(super) const LIFE: Duration = Duration::from_secs(600);

/// The secrets of one sign-in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Secrets {
    pub(super) state: String,
    pub(super) nonce: String,
    pub(super) verifier: String,
}

/// The sign-ins of a process.
pub(super) struct Attempts {
    key: String,
    /// The states that came back, each with the time at which its sign-in began.
    used: Mutex<BTreeMap<String, Time>>,
}

impl Attempts {
    pub(super) fn new() -> Self {
        Self { key: random(), used: Mutex::default() }
    }

    /// Begins a sign-in. Returns the value of its cookie, and its secrets.
    pub(super) fn begin(&self, now: Time) -> (String, Secrets) {
        let cookie = format!("{}.{}", now.0, random());
        let secrets = self.secrets(&cookie);
        (cookie, secrets)
    }

    fn secrets(&self, cookie: &str) -> Secrets {
        let of = |purpose: &str| derived(&self.key, purpose, cookie);
        Secrets { state: of("state"), nonce: of("nonce"), verifier: of("verifier") }
    }

    /// Ends a sign-in. Returns its secrets only if the same browser brings back the state, in time,
    /// for the first time.
    pub(super) fn finish(&self, cookie: &str, state: &str, now: Time) -> Option<Secrets> {
        let secrets = self.secrets(cookie);
        // An equal state also proves that the cookie is from this process.
        if !are_equal(&secrets.state, state) {
            return None;
        }
        let begun = Time(cookie.split_once('.')?.0.parse().ok()?);
        if now.since(begun) >= LIFE {
            return None;
        }
        let mut used = self.used.lock();
        used.retain(|_, begun| now.since(*begun) < LIFE);
        used.insert(secrets.state.clone(), begun).is_none().then_some(secrets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_valid_once_in_its_browser_and_in_time() {
        let attempts = Attempts::new();
        let (cookie, secrets) = attempts.begin(Time(1_000));
        let (other, of_other) = attempts.begin(Time(1_000));
        let late = Time(1_000) + LIFE;
        assert_eq!(attempts.finish(&other, &secrets.state, Time(2_000)), None, "another browser");
        assert_eq!(attempts.finish("", &secrets.state, Time(2_000)), None, "no cookie");
        assert_eq!(attempts.finish(&cookie, "", Time(2_000)), None, "no state");
        let newer = cookie.replacen("1000.", "9000.", 1);
        assert_eq!(attempts.finish(&newer, &secrets.state, Time(2_000)), None, "a changed cookie");
        assert_eq!(Attempts::new().finish(&cookie, &secrets.state, Time(2_000)), None, "another process");
        assert_eq!(attempts.finish(&other, &of_other.state, late), None, "too late");
        assert_eq!(attempts.finish(&cookie, &secrets.state, Time(2_000)).as_ref(), Some(&secrets));
        assert_eq!(attempts.finish(&cookie, &secrets.state, Time(3_000)), None, "a second time");
    }

    #[test]
    fn the_secrets_of_a_sign_in_differ() {
        let (_, Secrets { state, nonce, verifier }) = Attempts::new().begin(Time(0));
        assert!(state != nonce && nonce != verifier && state != verifier);
    }
}
