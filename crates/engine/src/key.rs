//! Keys, which are the units of work, and lanes, which decide the order of the keys.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The name of a unit of work, in the form `kind:instance:id`. The engine does not interpret the
/// parts. The id comes from the vendor and never changes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Key(String);

/// The error for a text that does not have the form of a key.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("invalid key `{0}`: must be kind:instance:id, such as repository:acme:1296269")]
pub struct KeyError(String);

impl Key {
    /// Creates a key from its parts. A colon in `kind` or `instance` is written as `%3A`. A plain
    /// colon would end the part. The key would then belong to another instance. Names in the
    /// configuration cannot contain a colon.
    pub fn new(kind: &str, instance: &str, id: impl fmt::Display) -> Self {
        let part = |text: &str| text.replace(':', "%3A");
        Self(storable(format!("{}:{}:{id}", part(kind), part(instance))))
    }

    fn part(&self, n: usize) -> &str {
        self.0.splitn(3, ':').nth(n).unwrap_or_default()
    }

    /// Returns the kind of the key, such as `repository`, `organisation` or `target-group`.
    pub fn kind(&self) -> &str {
        self.part(0)
    }

    /// Returns the instance: the configured organisation, directory or target that the key belongs
    /// to.
    pub fn instance(&self) -> &str {
        self.part(1)
    }

    /// Returns the vendor's id, which never changes.
    pub fn id(&self) -> &str {
        self.part(2)
    }

    /// Returns the whole key as text.
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
        if whole { Ok(Self(storable(text.to_owned()))) } else { Err(KeyError(text.to_owned())) }
    }
}

/// Replaces the character U+0000, which PostgreSQL cannot store. Otherwise, if one id in a vendor's
/// list had this character, no key of the list could become due.
fn storable(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
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
    /// The text at the beginning of all keys of the scope.
    prefix: String,
}

impl KeyScope {
    /// Returns the scope of a kind and an instance.
    pub fn new(kind: &str, instance: &str) -> Self {
        Self { prefix: Key::new(kind, instance, "").0 }
    }

    /// Returns whether a key belongs to the scope.
    pub fn covers(&self, key: &Key) -> bool {
        key.as_str().starts_with(&self.prefix)
    }

    /// Returns the text at the beginning of all keys of the scope.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Returns a lower and an upper bound for a search in byte order. Every key of the scope is at
    /// or after the first bound, and before the second bound.
    pub fn bounds(&self) -> (&str, String) {
        // The semicolon is the character that follows the colon in byte order.
        let end = format!("{};", self.prefix.strip_suffix(':').unwrap_or(&self.prefix));
        (&self.prefix, end)
    }
}

/// The reason why a key is due. Keys in an earlier lane are claimed before keys in a later lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", from = "String")]
pub enum Lane {
    /// A webhook reported a change of the key.
    Event,
    /// An operator asked for a run of the key.
    Manual,
    /// A sweep checks the key.
    Sweep,
}

impl Lane {
    /// All lanes, with the most urgent lane first.
    pub const ALL: [Self; 3] = [Self::Event, Self::Manual, Self::Sweep];

    /// Returns the name that is stored and printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Manual => "manual",
            Self::Sweep => "sweep",
        }
    }

    /// Returns the lane with this stored name. If a newer version wrote the lane and this version
    /// does not know the lane, the result is the last lane. The key stays due, and does not delay a
    /// more urgent key.
    pub fn stored(name: &str) -> Self {
        name.parse().unwrap_or(Self::Sweep)
    }
}

impl From<String> for Lane {
    fn from(name: String) -> Self {
        Self::stored(&name)
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
    fn a_key_can_be_stored_everywhere() {
        let key = Key::new("group", "okta", "a\0b");
        assert_eq!(key.as_str(), "group:okta:a\u{fffd}b");
        assert_eq!("group:okta:a\0b".parse::<Key>().unwrap(), key);
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
