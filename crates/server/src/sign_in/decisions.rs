//! The decisions of signed-in people about held changes.

use async_trait::async_trait;
use beadle_engine::Time;
use beadle_engine::guard::Ruling;

/// What a person decides about a held change, or about a group of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecisionRequest {
    /// The code of the group, or the digest of the change.
    pub code: String,
    /// The decision.
    pub ruling: Ruling,
    /// The reason for the journal.
    pub reason: String,
    /// The person, as the journal names the person.
    pub by: String,
    /// The person's login at GitHub; `None` if it is not known.
    pub login: Option<String>,
    /// The time at which the person saw the changes.
    pub shown: Time,
}

/// What a decision did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecisionDone {
    /// The number of changes about which the person decided.
    pub changes: usize,
}

/// The reason why a decision has no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecisionRefusal {
    /// A value of the request is invalid.
    Invalid(String),
    /// The person may not decide this.
    Forbidden(String),
    /// No held change has the code.
    NotFound(String),
    /// The changes are not as the person saw them, or somebody decided before.
    Conflict(String),
    /// The store or the provider of identities does not answer.
    Unavailable(String),
}

impl DecisionRefusal {
    /// Returns the reason.
    pub fn why(&self) -> &str {
        match self {
            Self::Invalid(why)
            | Self::Forbidden(why)
            | Self::NotFound(why)
            | Self::Conflict(why)
            | Self::Unavailable(why) => why,
        }
    }
}

/// Stores decisions.
#[async_trait]
pub trait Decisions: Send + Sync + 'static {
    /// Checks and stores a decision. Either it is stored for every change that it is about, or the
    /// answer says why not.
    async fn decide(&self, asked: &DecisionRequest) -> Result<DecisionDone, DecisionRefusal>;
}
