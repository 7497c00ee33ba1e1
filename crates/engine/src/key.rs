//! Keys, the units of work, and the urgency of each.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A key has the form `kind:instance:id` and is opaque to the engine. The id is the vendor's
/// immutable id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Key(String);

/// The reason why a text is not a key.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("invalid key `{0}`: must be kind:instance:id, such as repository:acme:1296269")]
pub struct KeyError(String);

impl Key {
    /// Creates a key from its parts. A colon in `kind` or `instance` would begin the next part and
    /// is written `%3A`, so that the key is of no other instance. No configured name has a colon.
    pub fn new(kind: &str, instance: &str, id: impl fmt::Display) -> Self {
        let part = |text: &str| text.replace(':', "%3A");
        Self(format!("{}:{}:{id}", part(kind), part(instance)))
    }

    fn part(&self, n: usize) -> &str {
        self.0.splitn(3, ':').nth(n).unwrap_or_default()
    }

    /// Returns the kind: `repository`, `organisation`, `target-group`, ...
    pub fn kind(&self) -> &str {
        self.part(0)
    }

    /// Returns the configured instance, such as the name of an organisation.
    pub fn instance(&self) -> &str {
        self.part(1)
    }

    /// Returns the vendor's immutable id.
    pub fn id(&self) -> &str {
        self.part(2)
    }

    /// Returns the whole key.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Key {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let mut parts = text.splitn(3, ':');
        let whole = (0..3).all(|_| parts.next().is_some_and(|part| !part.is_empty()));
        if whole { Ok(Self(text.to_owned())) } else { Err(KeyError(text.to_owned())) }
    }
}

impl TryFrom<String> for Key {
    type Error = KeyError;
    fn try_from(text: String) -> Result<Self, KeyError> {
        text.parse()
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        key.0
    }
}

/// All keys of one kind and one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyScope {
    /// The part that all of the keys begin with.
    prefix: String,
}

impl KeyScope {
    /// Returns the scope of a kind and an instance.
    pub fn new(kind: &str, instance: &str) -> Self {
        Self { prefix: Key::new(kind, instance, "").0 }
    }

    /// Returns whether a key is one of them.
    pub fn covers(&self, key: &Key) -> bool {
        key.as_str().starts_with(&self.prefix)
    }

    /// Returns the bounds of the keys in the order of their bytes: the first is at or after one
    /// bound, the last before the other.
    pub fn bounds(&self) -> (&str, String) {
        // The character after the colon.
        let end = format!("{};", self.prefix.strip_suffix(':').unwrap_or(&self.prefix));
        (&self.prefix, end)
    }
}

/// The reason why a key is due. An earlier lane overtakes a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// A webhook reported a change.
    Event,
    /// An operator asked.
    Manual,
    /// The schedule of a sweep began.
    Sweep,
}

impl Lane {
    /// Every lane, the most urgent one first.
    pub const ALL: [Self; 3] = [Self::Event, Self::Manual, Self::Sweep];

    /// Returns the name that is stored and printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Manual => "manual",
            Self::Sweep => "sweep",
        }
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Lane {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|lane| lane.as_str() == text)
            .ok_or_else(|| format!("invalid lane `{text}`: must be event, manual or sweep"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_three_parts_and_the_id_may_hold_colons() {
        let key: Key = "check:acme:12:34".parse().unwrap();
        assert_eq!((key.kind(), key.instance(), key.id()), ("check", "acme", "12:34"));
        for bad in ["", "a", "a:b", "a::c", ":b:c", "a:b:"] {
            assert!(bad.parse::<Key>().is_err(), "{bad} was taken");
        }
    }

    #[test]
    fn no_part_of_a_key_becomes_two() {
        let key = Key::new("repository", "acme:1", 2);
        assert_eq!((key.kind(), key.instance(), key.id()), ("repository", "acme%3A1", "2"));
        assert_ne!(key, Key::new("repository", "acme", "1:2"));
        let key = Key::new("a:b", "acme", 2);
        assert_eq!((key.kind(), key.instance()), ("a%3Ab", "acme"));
        assert_eq!(Key::new("check", "acme", "12:34").to_string(), "check:acme:12:34");
    }

    #[test]
    fn a_scope_has_the_keys_of_one_kind_and_instance() {
        let scope = KeyScope::new("repository", "acme");
        let (from, to) = scope.bounds();
        for (kind, instance, id, is_covered) in [
            ("repository", "acme", "1", true),
            ("repository", "acme", "\u{10ffff}", true),
            ("repository", "acme2", "1", false),
            ("repository", "acm", "1", false),
            ("repository", "acme:1", "2", false),
            ("repositor", "acme", "1", false),
        ] {
            let key = Key::new(kind, instance, id);
            assert_eq!(scope.covers(&key), is_covered, "{key}");
            assert_eq!(from <= key.as_str() && key.as_str() < to.as_str(), is_covered, "{key}");
        }
    }

    #[test]
    fn lanes_are_ordered_by_urgency() {
        assert!(Lane::Event < Lane::Manual && Lane::Manual < Lane::Sweep);
    }
}
