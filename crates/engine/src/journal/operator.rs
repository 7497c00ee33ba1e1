//! The details of an operator's actions.
//!
//! Older entries stay in the journal, so no version of Beadle may change a shape that an older
//! version wrote.

use serde::{Deserialize, Serialize};

/// An action of an operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OperatorAction {
    /// A held change was approved.
    Approved {
        /// The digest of the approved change.
        approved: String,
        /// The operator who approved the change.
        by: String,
        /// The reason for the approval. `None` in entries of older versions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// The code of the approved group. `None` if the operator approved the change alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<String>,
    },
    /// A held change was rejected.
    Rejected {
        /// The digest of the rejected change.
        rejected: String,
        /// The operator who rejected the change.
        by: String,
        /// The reason for the rejection.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// The code of the rejected group. `None` if the operator rejected the change alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<String>,
    },
    /// A held generation of a policy was approved.
    ApprovedGeneration {
        /// The name of the approved generation.
        approved_generation: String,
        /// The code of the approved plan.
        plan: String,
        /// Why the operator approved the generation.
        reason: String,
        /// The operator who approved the generation.
        by: String,
    },
    /// The operator confirmed the present meaning of a team's or user's name in the policy (`beadle
    /// rebind`).
    AdoptedName {
        /// The kind and the name, such as `team platform`.
        adopted: String,
        /// The id of the team or user that the name means from now on.
        id: u64,
        /// The id of the team or user that the name meant before.
        before: Option<u64>,
        /// The operator who confirmed the name.
        by: String,
        /// The reason of the operator. `None` if the operator gave none, and in entries of older
        /// versions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// The operator confirmed that a file in `repos/` belongs to the repository that has the same
    /// name now.
    AdoptedFile {
        /// The path of the file.
        adopted: String,
        /// The operator who confirmed the file.
        by: String,
        /// The reason of the operator. `None` if the operator gave none, and in entries of older
        /// versions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// The operator paused an instance or a key.
    Paused {
        /// The time when the pause ends.
        paused_until: String,
        /// The operator who began the pause.
        by: String,
        /// The reason of the operator. `None` if the operator gave none, and in entries of older
        /// versions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// The operator used an undo to revert writes of Beadle.
    Undid {
        /// The name of the undo, such as `undo of run 1234`.
        undid: String,
        /// The operator who started the undo.
        by: String,
        /// The reason of the operator. `None` if the operator gave none, and in entries of older
        /// versions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// The operator ended an undo (`beadle resume`). Beadle may then replace the restored values by
    /// the policy's values.
    EndedUndo {
        /// The number of repositories in which an undo had restored values. The organisation itself
        /// counts as one repository.
        ended_undo: usize,
        /// The operator who ended the undo.
        by: String,
        /// The reason of the operator. `None` if the operator gave none, and in entries of older
        /// versions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// The operator ended a pause.
    Resumed {
        /// Always `true`. It distinguishes this shape from the other shapes.
        resumed: bool,
        /// The operator who ended the pause.
        by: String,
        /// The reason of the operator. `None` if the operator gave none, and in entries of older
        /// versions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// The operator exempted keys of repositories until a time (`beadle waive`).
    Waived {
        /// The paths of the exempt keys.
        waived: Vec<String>,
        /// The names of the repositories, or globs for them.
        repositories: Vec<String>,
        /// The time when the waiver ends.
        waived_until: String,
        /// The reason why the keys are exempt.
        reason: String,
        /// The person or team that is responsible for the waiver.
        owner: String,
        /// The operator who exempted the keys.
        by: String,
    },
    /// The operator ended a waiver of `beadle waive`.
    EndedWaiver {
        /// The code of the waiver.
        ended_waiver: String,
        /// The paths of the keys that were exempt.
        waived: Vec<String>,
        /// The names of the repositories, or globs for them.
        repositories: Vec<String>,
        /// The operator who ended the waiver.
        by: String,
        /// The reason of the operator. `None` if the operator gave none, and in entries of older
        /// versions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// The operator made a key due (`beadle queue --retry`).
    Retried {
        /// Always `true`. It distinguishes this shape from the other shapes.
        retried: bool,
        /// The operator who made the key due.
        by: String,
        /// The reason of the operator. `None` if the operator gave none, and in entries of older
        /// versions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// The operator used a page to make the service read its configuration again.
    Reloaded {
        /// Always `true`. It distinguishes this shape from the other shapes.
        reloaded: bool,
        /// The operator who began the reload.
        by: String,
    },
    /// The operator used a page to start a background task.
    RanTask {
        /// The name of the background task.
        ran_task: String,
        /// The operator who started the background task.
        by: String,
    },
}
