//! A waiver exempts some keys of some repositories until a certain time. While a waiver is in
//! force, Beadle does not compare the keys of the waiver.

use std::fmt::Write as _;
use std::time::Duration;

use beadle_engine::{PolicyLocation, Time, Waived};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::pattern::{META, Pattern};
use super::waived_key::{contains, exempts, key_paths};

/// The default for the maximum duration of a waiver. If the end of a waiver is too far away, the
/// waiver is not in force yet. It comes into force when the remaining time is equal to the maximum
/// duration.
const LONGEST: Duration = Duration::from_secs(90 * 24 * 3600);

/// The length of a date, such as `2026-12-01`.
const DATE: usize = 10;

/// An exemption of some keys of some repositories until a certain time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiver {
    /// The paths of the keys, such as `branches[main].protection.enforce_admins`.
    pub keys: Vec<String>,
    /// The names of the repositories, or globs for their names.
    pub repositories: Vec<String>,
    /// The end of the waiver.
    pub until: Time,
    /// The reason why the keys are exempt.
    pub reason: String,
    /// The person or team that is responsible for the waiver.
    pub owner: String,
    /// The line of the policy that declares the waiver. The value is `None` for a waiver that
    /// `beadle waive` made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<PolicyLocation>,
}

/// The limits of an organisation's waivers, from the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaiverRules {
    /// The maximum duration of a waiver. If the end of a waiver is too far away, the waiver is not
    /// in force yet. It comes into force when the remaining time is equal to the maximum duration.
    pub longest: Duration,
    /// The paths of the keys that no waiver is allowed to exempt.
    pub never: Vec<String>,
}

impl Default for WaiverRules {
    fn default() -> Self {
        Self { longest: LONGEST, never: Vec::new() }
    }
}

impl WaiverRules {
    /// Returns whether waivers are allowed to exempt this key.
    pub fn allows(&self, key: &str) -> bool {
        !self.never.iter().any(|never| exempts(key, never))
    }

    /// Returns the paths of all sections. For a section with the form of a block, also returns the
    /// paths of its keys. A waiver can use each of these paths.
    pub fn waivable_keys(&self) -> Vec<String> {
        key_paths().into_iter().filter(|key| self.allows(key)).collect()
    }
}

/// The state of a waiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaiverState {
    /// Beadle does not compare the keys of the waiver.
    InForce,
    /// The waiver has ended.
    Ended,
    /// The end of the waiver is too far away, so the waiver comes into force only at this time.
    From(Time),
    /// The waiver contains this key, but no waiver is allowed to exempt the key.
    Never(String),
}

impl Waiver {
    /// Returns a short code for the keys and the repositories of the waiver. Two waivers that
    /// differ only in the end, the reason or the owner have the same code.
    pub fn id(&self) -> String {
        let mut hash = Sha256::new();
        for list in [&self.keys, &self.repositories] {
            let mut list: Vec<String> = list.iter().map(|text| text.to_lowercase()).collect();
            list.sort_unstable();
            for text in list {
                hash.update(text.as_bytes());
                hash.update([0]);
            }
            hash.update([1]);
        }
        hash.finalize().iter().take(4).fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// Returns whether the waiver exempts keys of the repository with this name.
    pub fn covers(&self, repository: &str) -> bool {
        let is_match = |text: &String| {
            // Most waivers contain plain names, and compiling a glob takes longer than comparing a
            // name. There are no invalid globs here, because validation of the waiver rejects them.
            if !text.contains(META) {
                return text.eq_ignore_ascii_case(repository);
            }
            Pattern::glob(text).is_ok_and(|glob| glob.is_match(repository))
        };
        self.repositories.iter().any(is_match)
    }

    /// Returns whether the waiver is in force. The answer depends only on the waiver, the limits
    /// and the time. If a clock jumps to a time after the end and then back, the waiver is in force
    /// again.
    pub fn state(&self, rules: &WaiverRules, now: Time) -> WaiverState {
        if let Some(key) = self.keys.iter().find(|key| !rules.allows(key)) {
            return WaiverState::Never(key.clone());
        }
        if self.until <= now {
            return WaiverState::Ended;
        }
        if self.until.since(now) > rules.longest {
            return WaiverState::From(self.until - rules.longest);
        }
        WaiverState::InForce
    }

    /// Returns whether the waiver is in force, see [`Self::state`].
    pub fn is_in_force(&self, rules: &WaiverRules, now: Time) -> bool {
        self.state(rules, now) == WaiverState::InForce
    }

    /// Returns the source of the waiver, for messages.
    pub fn place(&self) -> String {
        self.asked.as_ref().map_or_else(|| "beadle waive".to_owned(), ToString::to_string)
    }

    /// Returns whether an entry of a plan or an explanation comes from this waiver. The policy can
    /// declare the default branch with the name `default`. The key of the entry then also contains
    /// `default`, although the key of the waiver contains the branch's name at GitHub.
    pub fn is_source_of(&self, waived: &Waived) -> bool {
        let is_same = |key: &String| contains(key, &waived.key) && contains(&waived.key, key);
        waived.asked == self.asked
            && waived.until == self.until.to_string()
            && waived.reason == self.reason
            && waived.owner == self.owner
            && self.keys.iter().any(is_same)
    }

    /// Returns one entry for each key of the waiver. A plan shows these entries.
    pub(crate) fn waived(&self) -> impl Iterator<Item = Waived> {
        self.keys.iter().map(move |key| Waived {
            key: key.clone(),
            until: self.until.to_string(),
            reason: self.reason.clone(),
            owner: self.owner.clone(),
            asked: self.asked.clone(),
        })
    }
}

/// Parses the end of a waiver: a date such as `2026-12-01`, or a time such as
/// `2026-12-01T18:00:00Z`. For a date, the end is the last moment of the day in UTC. The error
/// describes a valid text.
pub fn parse_until(text: &str) -> Result<Time, String> {
    let wrong = || "be a date such as `2026-12-01` or a time such as `2026-12-01T18:00:00Z`".to_owned();
    let time = if text.len() == DATE {
        let date: jiff::civil::Date = text.parse().map_err(|_| wrong())?;
        let next = date.tomorrow().map_err(|_| wrong())?;
        next.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| wrong())?.timestamp()
    } else {
        text.parse::<jiff::Timestamp>().map_err(|_| wrong())?
    };
    Ok(Time(time.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn waiver(keys: &[&str], repositories: &[&str], until: Time) -> Waiver {
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        Waiver {
            keys: owned(keys),
            repositories: owned(repositories),
            until,
            reason: "release".into(),
            owner: "mona".into(),
            asked: None,
        }
    }

    #[test]
    fn a_waiver_is_in_force_for_the_longest_time_before_its_end() {
        let (rules, until) = (WaiverRules::default(), Time(0) + DAY * 100);
        let waiver = waiver(&["teams"], &["shop"], until);
        let begin = Time(0) + DAY * 10;
        // The clock jumps in both directions.
        for (now, expected) in [
            (Time(0), WaiverState::From(begin)),
            (begin, WaiverState::InForce),
            (until, WaiverState::Ended),
            (until + DAY * 1_000, WaiverState::Ended),
            (until - Duration::from_millis(1), WaiverState::InForce),
            (begin - Duration::from_millis(1), WaiverState::From(begin)),
        ] {
            assert_eq!(waiver.state(&rules, now), expected, "{now}");
        }
        let none = WaiverRules { longest: Duration::ZERO, never: Vec::new() };
        assert!(!waiver.is_in_force(&none, until - Duration::from_millis(1)));
    }

    #[test]
    fn a_key_that_must_not_be_waived_makes_the_waiver_void() {
        let never = vec!["branches[*].protection.enforce_admins".to_owned()];
        let rules = WaiverRules { never, ..WaiverRules::default() };
        for (key, is_in_force) in [
            ("branches[main].protection.enforce_admins", false),
            ("branches.main.enforce_admins", false),
            ("branches", false),
            ("branches[main].protection.required_linear_history", true),
        ] {
            let waiver = waiver(&["teams", key], &["shop"], Time(1));
            assert_eq!(waiver.is_in_force(&rules, Time(0)), is_in_force, "{key}");
        }
    }

    #[test]
    fn no_key_is_suggested_that_must_not_be_waived() {
        let all = WaiverRules::default().waivable_keys();
        let never = vec!["branches[*].protection.enforce_admins".to_owned(), "repository.topics".to_owned()];
        let rules = WaiverRules { never, ..WaiverRules::default() };
        let paths = rules.waivable_keys();
        for (path, is_suggested) in [
            ("branches", false),
            ("repository", false),
            ("repository.topics", false),
            ("repository.has_wiki", true),
            ("teams", true),
        ] {
            assert!(all.iter().any(|known| known == path), "{path} is not in {all:?}");
            assert_eq!(paths.iter().any(|known| known == path), is_suggested, "{path}");
        }
        assert_eq!(paths.len(), all.len() - 3);
    }

    #[test]
    fn a_waiver_covers_names_and_globs_without_case() {
        let waiver = waiver(&["teams"], &["Shop", "api-*"], Time(1));
        for (name, covered) in [("shop", true), ("shop-2", false), ("API-x", true), ("my-api-x", false)] {
            assert_eq!(waiver.covers(name), covered, "{name}");
        }
    }

    #[test]
    fn a_waiver_is_the_source_of_its_keys_in_the_form_of_the_policy() {
        let of = waiver(&["branches.main.enforce_admins"], &["shop"], Time(1));
        let declared = |key: &str| waiver(&[key], &["shop"], Time(1));
        for (other, expected) in [
            (declared("branches.main.enforce_admins"), true),
            (declared("branches[default].enforce_admins"), true),
            (declared("branches[default].protection.enforce_admins"), true),
            (declared("branches[default].required_linear_history"), false),
            (declared("branches[default]"), false),
            (declared("branches[next].enforce_admins"), false),
            (Waiver { until: Time(2_000), ..of.clone() }, false),
            (Waiver { reason: "other".into(), ..of.clone() }, false),
            (Waiver { owner: "ann".into(), ..of.clone() }, false),
        ] {
            let found: Vec<bool> = other.waived().map(|waived| of.is_source_of(&waived)).collect();
            assert_eq!(found, [expected], "{other:?}");
        }
    }

    #[test]
    fn the_code_of_a_waiver_depends_on_its_keys_and_repositories() {
        let id = |keys: &[&str], repositories: &[&str]| waiver(keys, repositories, Time(0)).id();
        assert_eq!(id(&["a", "b"], &["x"]), id(&["B", "a"], &["X"]));
        assert_ne!(id(&["a", "b"], &["x"]), id(&["a"], &["b", "x"]));
        assert_ne!(id(&["a"], &["x"]), id(&["a"], &["y"]));
        let later = Waiver { until: Time(9), ..waiver(&["a"], &["x"], Time(0)) };
        assert_eq!(later.id(), id(&["a"], &["x"]));
    }

    #[test]
    fn the_end_is_a_date_or_a_time() {
        for (text, expected) in [
            ("1970-01-01", Some(86_400_000)),
            ("1970-01-01T00:00:01Z", Some(1_000)),
            ("1970-01-01T02:00:00+02:00", Some(0)),
            ("1970-01-01T00:00", None),
            ("1970-13-01", None),
            ("1970-01", None),
            ("tomorrow", None),
            ("", None),
        ] {
            assert_eq!(parse_until(text).ok(), expected.map(Time), "{text}");
        }
    }
}
