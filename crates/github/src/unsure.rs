//! Why Beadle could not find out something about a repository.

use std::fmt;

use beadle_engine::{Class, Failure};

/// Why Beadle does not know whether something is true for a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsure {
    /// The reason, as a text for people.
    pub why: String,
    /// True if a retry can help, because the cause is a failed read.
    pub transient: bool,
}

impl Unsure {
    /// Creates a reason for a temporary problem, which a retry can solve.
    pub fn for_now(why: String) -> Self {
        Self { why, transient: true }
    }

    /// Creates a reason for a permanent problem. A retry cannot solve this problem, so a person
    /// must change the policy or GitHub.
    pub fn for_people(why: String) -> Self {
        Self { why, transient: false }
    }

    /// Creates a reason from a failed read. A retry cannot help if GitHub refuses the read
    /// permanently.
    pub(crate) fn of(failure: &Failure, why: String) -> Self {
        Self { why, transient: !matches!(failure.class, Class::Rejected | Class::Fatal) }
    }

    /// Adds the name of the policy file that needs the answer.
    #[must_use]
    pub fn of_file(&self, file: &str) -> Self {
        Self { why: format!("{file}: {}", self.why), transient: self.transient }
    }

    /// Returns the more useful of two reasons. The function returns `other` if `one` is `None`, or
    /// if a retry can help only for `other`. Otherwise, the function returns `one`.
    pub fn sooner<'a>(one: Option<&'a Self>, other: &'a Self) -> &'a Self {
        one.filter(|one| one.transient || !other.transient).unwrap_or(other)
    }
}

impl fmt::Display for Unsure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.why)
    }
}
