//! What the journal records about the generations of a policy.

use serde::{Deserialize, Serialize};

use crate::gate::Holder;

/// A generation of a policy that came into force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyInForce {
    /// The name of the generation.
    pub in_force: String,
    /// The commit that contains the files of the policy.
    #[serde(flatten)]
    pub from: PolicyCommitted,
    /// The commit that contains the base of the policy; `None` if the policy has no base.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<PolicyCommitted>,
}

/// A commit that contains files of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyCommitted {
    /// The repository that contains the files, as `owner/name`.
    pub repository: String,
    /// The id of the commit.
    pub commit: String,
    /// The author of the commit.
    pub author: String,
    /// The first line of the commit's message.
    pub subject: String,
}

/// A generation of a policy that the gate holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyHeld {
    /// The name of the generation.
    pub held_generation: String,
    /// The code of the held plan.
    pub plan: String,
    /// The exceeded limits.
    pub why: String,
    /// Who holds the generation.
    pub held_by: Holder,
    /// The commit that contains the files of the policy; `None` if the policy comes from a folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<PolicyCommitted>,
}

/// A generation of a policy that was withdrawn while the gate held it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyWithdrawn {
    /// The name of the generation.
    pub withdrawn_generation: String,
    /// The code of the held plan.
    pub plan: String,
    /// Why the hold ended.
    pub why: String,
    /// Who held the generation.
    pub held_by: Holder,
}
