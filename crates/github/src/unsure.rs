//! Reasons why a question about a repository has no answer.

use std::fmt;

use beadle_engine::{Class, Failure};

/// The reason why nobody knows whether something holds for a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsure {
    /// The reason.
    pub why: String,
    /// A retry can help: something could not be read.
    pub transient: bool,
}

impl Unsure {
    /// Creates a reason that a retry can end.
    pub fn for_now(why: String) -> Self {
        Self { why, transient: true }
    }

    /// Creates a reason that a person has to end, in the policy or at GitHub.
    pub fn for_people(why: String) -> Self {
        Self { why, transient: false }
    }

    /// Creates a reason from a failed read. A retry cannot end a final refusal of the vendor.
    pub(crate) fn of(failure: &Failure, why: String) -> Self {
        Self { why, transient: !matches!(failure.class, Class::Rejected | Class::Fatal) }
    }

    /// Adds the name of the policy file that asks.
    #[must_use]
    pub fn of_file(&self, file: &str) -> Self {
        Self { why: format!("{file}: {}", self.why), transient: self.transient }
    }

    /// Returns one of two reasons: the first one, unless a retry can end only the other one.
    pub fn sooner<'a>(one: Option<&'a Self>, other: &'a Self) -> &'a Self {
        one.filter(|one| one.transient || !other.transient).unwrap_or(other)
    }
}

impl fmt::Display for Unsure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.why)
    }
}
