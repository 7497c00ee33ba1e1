//! The operations of signed-in people. The module `decisions` contains the decisions about held
//! changes. People can pause, resume, retry keys, begin sweeps, run background tasks, approve held
//! policies, end waivers and undo writes.

use std::time::Duration;

use beadle_engine::{Key, Plan, Time};
use serde::{Deserialize, Serialize};

use super::role::Role;

/// The scope of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScopeRequest {
    /// The name of an organisation.
    Organisation(String),
    /// A repository, such as `acme/widgets`.
    Repository(String),
    /// The name of a target of groups.
    Target(String),
}

/// The writes that a person wants to undo.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UndoRequest {
    /// Each item is one of these: the journal number of a run, a sweep, a policy, an undo or a
    /// write; the code of a change or of an approved group; the generation of a policy. The list is
    /// empty if `since` is set.
    pub runs: Vec<String>,
    /// The start of the undo's period. The undo reverts everything that Beadle wrote after this
    /// time.
    pub since: Option<Time>,
    /// If this value is set, the undo covers only this organisation.
    pub organisation: Option<String>,
    /// The undo covers only these repositories. An empty list means all repositories.
    pub repositories: Vec<String>,
    /// The undo restores only the values of these keys of the policy, such as `branches[main]`. An
    /// empty list means all values.
    pub keys: Vec<String>,
}

/// An operation that a person asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Approve the held policy with this plan.
    ApprovePolicy {
        /// The code of the plan that the person saw.
        plan: String,
        /// The generation that the person saw. A different generation might have the same plan but
        /// a different author.
        generation: String,
        /// The reason for the journal.
        reason: String,
    },
    /// Stop all writes to the scope until the pause ends.
    Pause {
        /// The scope to pause.
        scope: ScopeRequest,
        /// The length of the pause.
        time: Duration,
    },
    /// End a pause.
    Resume {
        /// The scope to resume.
        scope: ScopeRequest,
    },
    /// Apply the policy again to the values that an undo restored.
    EndUndo {
        /// The scope that contains the values.
        scope: ScopeRequest,
    },
    /// Make all keys with this name due.
    Retry {
        /// The key, or the name of a repository or a group.
        name: String,
    },
    /// Begin a sweep now.
    Sweep {
        /// The name of the organisation or the directory.
        name: String,
    },
    /// End a waiver that the policy does not declare.
    EndWaiver {
        /// The code of the waiver.
        code: String,
    },
    /// Make the service read its configuration again.
    Reload,
    /// Run a background task now.
    RunTask {
        /// The name of the task.
        name: String,
    },
    /// Undo writes.
    Undo {
        /// The writes.
        request: UndoRequest,
        /// The code of the plan that the person saw.
        plan: String,
        /// The reason for the journal. `None` if the person gave no reason.
        reason: Option<String>,
    },
}

impl Operation {
    /// Returns the role that a person needs. If an operation allows Beadle to write, or undoes
    /// Beadle's writes, it needs an approver.
    pub(crate) fn role(&self) -> Role {
        match self {
            Self::Pause { .. }
            | Self::Resume { .. }
            | Self::Retry { .. }
            | Self::Sweep { .. }
            | Self::RunTask { .. } => Role::Operator,
            Self::ApprovePolicy { .. }
            | Self::Reload
            | Self::EndWaiver { .. }
            | Self::EndUndo { .. }
            | Self::Undo { .. } => Role::Approver,
        }
    }
}

/// An operation, and the person who asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationRequest {
    /// The operation.
    pub operation: Operation,
    /// The name of the person in the journal.
    pub by: String,
    /// The person's login at GitHub. `None` if the login is not known.
    pub login: Option<String>,
}

/// The effect of an operation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OperationDone {
    /// Sentences for people. Each sentence is one line.
    pub done: Vec<String>,
    /// The numbers of the journal entries that a person needs to undo the operation. The list is
    /// empty if the operation is not an undo.
    pub undo: Vec<u64>,
}

/// The plan of an undo.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UndoPreview {
    /// The name of the undo, such as `undo of run 1234`.
    pub name: String,
    /// The code that identifies all changes in the plans. A confirmation is valid only for this
    /// code.
    pub plan: String,
    /// The numbers of changes by risk, one line for each organisation. These are the lines that
    /// `beadle undo` prints.
    pub summary: Vec<String>,
    /// The writes that Beadle would undo. This request contains a fixed time, so that the same
    /// request leads to the same plan later.
    pub request: UndoRequest,
    /// The plans. Each plan has its key.
    pub plans: Vec<KeyPlan>,
    /// The writes that Beadle cannot undo. Each text contains the reason. Identical writes to
    /// several repositories share a text.
    pub left: Vec<String>,
    /// Sentences about writes that belong to two policies: one policy first asked for the change,
    /// and another policy was in force when Beadle wrote the change. Also sentences about keys and
    /// policies without a write.
    pub notes: Vec<String>,
    /// The undos that already reverted some of the writes.
    pub earlier_undos: Vec<EarlierUndo>,
    /// Sentences about the changes that the guard would hold: how many, why, and the next step.
    pub guard: Vec<String>,
    /// Sentences about what happens after the undo: the policies that ask for the values, and the
    /// end of the observation.
    pub afterwards: Vec<String>,
}

/// An undo that already reverted some of the writes that a person wants to undo.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EarlierUndo {
    /// The number of the undo in the journal. With this number, a person can undo the undo.
    pub number: u64,
    /// A sentence with the time of the undo, its operator, and the command that undoes it.
    pub sentence: String,
}

/// The plan of one key.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KeyPlan {
    /// The key.
    pub key: Key,
    /// The plan.
    pub plan: Plan<()>,
}
