//! The interface for three actions of signed-in people: decisions about held changes, waivers, and
//! operations.

use async_trait::async_trait;
use beadle_engine::guard::Ruling;
use beadle_engine::{Hold, Time};

use super::operations::{OperationDone, OperationRequest, UndoPreview, UndoRequest};

/// A person's decision about a held change or about groups of held changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecisionRequest {
    /// The codes of the groups, or the digests of single changes. Each code stands for exactly the
    /// changes that the person saw.
    pub codes: Vec<String>,
    /// The decision.
    pub ruling: Ruling,
    /// The reason for the journal.
    pub reason: String,
    /// The name of the person in the journal.
    pub by: String,
    /// The person's login at GitHub. `None` if the login is not known.
    pub login: Option<String>,
    /// The time at which the person saw the changes.
    pub shown: Time,
    /// True if the person confirmed the decision. A request to the API counts as confirmed.
    pub confirmed: bool,
}

/// The effect of a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecisionDone {
    /// The number of changes whose decision was stored.
    pub changes: usize,
}

/// The answer to a decision that Beadle did not refuse.
#[derive(Clone, Debug, PartialEq)]
pub enum DecisionEnd {
    /// The decision is stored.
    Done(DecisionDone),
    /// Nothing is stored, because the person must confirm the decision first. The list contains the
    /// held changes that the decision applies to.
    Unconfirmed(Vec<Hold>),
}

/// A request of a person for a waiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaiverRequest {
    /// The repository, such as `acme/widgets`.
    pub repository: String,
    /// The paths of the exempt keys.
    pub keys: Vec<String>,
    /// The end, as a duration from now, a date or a time.
    pub until: String,
    /// The reason for the journal.
    pub reason: String,
    /// The name of the person in the journal.
    pub by: String,
}

/// A waiver that is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaiverDone {
    /// The code of the waiver.
    pub code: String,
    /// The end of the waiver.
    pub until: Time,
    /// The number of the waiver's keys that the policy does not declare for the repository. `None`
    /// if Beadle could not compare the keys with the policy.
    pub undeclared: Option<usize>,
}

/// The reason why a decision has no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecisionRefusal {
    /// A value of the request is invalid.
    Invalid(String),
    /// The person has no right to make this decision.
    Forbidden(String),
    /// No held change has the code.
    NotFound(String),
    /// The changes are different from the changes that the person saw, or somebody has already
    /// decided about them.
    Conflict(String),
    /// The decision is stored for only a part of the changes. The text contains the number of these
    /// changes, and the reason why no decision is stored for the other changes.
    Partial(String),
    /// The person sends too many requests.
    TooMany(String),
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
            | Self::Partial(why)
            | Self::TooMany(why)
            | Self::Unavailable(why) => why,
        }
    }
}

/// Carries out the decisions and operations of signed-in people.
#[async_trait]
pub trait Decisions: Send + Sync + 'static {
    /// Checks a decision, and stores the decision. If Beadle cannot store the decision for all of
    /// its changes, returns a conflict. If a person must confirm the decision first, stores
    /// nothing.
    async fn decide(&self, asked: &DecisionRequest) -> Result<DecisionEnd, DecisionRefusal>;
    /// Checks a waiver for one repository, and stores the waiver.
    async fn waive(&self, asked: &WaiverRequest) -> Result<WaiverDone, DecisionRefusal>;
    /// Returns the key paths that a waiver in an organisation can use. A form suggests these paths.
    fn waivable_keys(&self, organisation: &str) -> Vec<String>;
    /// Returns the path of the key that a value of a change belongs to. The value has three parts:
    /// the aspect, the part of the aspect, and the name. Returns `None` if no single key has the
    /// value, or if no waiver is allowed to exempt the key.
    fn key_of_value(&self, organisation: &str, value: (&str, &str, &str)) -> Option<String>;
    /// Carries out an operation. Returns a conflict in two cases: the operation is already done, or
    /// its object has changed after the person saw it.
    async fn operate(&self, asked: &OperationRequest) -> Result<OperationDone, DecisionRefusal>;
    /// Plans the undo of writes. Writes nothing.
    async fn plan_undo(&self, asked: &UndoRequest) -> Result<UndoPreview, DecisionRefusal>;
}
