//! The values that a policy asks for in one repository, as types. They are parsed once, in
//! `desired.rs`.

use std::collections::BTreeMap;

use beadle_engine::PolicyLocation;
use beadle_github::Permission;
use serde_json::Value;

use super::node::Node;

/// One setting.
#[derive(Clone, Debug, PartialEq)]
pub struct Want {
    /// Its key in the REST body.
    pub key: String,
    /// Its value.
    pub value: Value,
    /// The line of the policy that asks for it.
    pub asked: PolicyLocation,
}

/// A list, and whether what is not in it has to go.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed<T> {
    /// Others have to go.
    pub exclusive: bool,
    /// The line of the list.
    pub asked: PolicyLocation,
    /// The entries that the policy asks for.
    pub items: Vec<T>,
}

/// A team with its permission.
#[derive(Clone, Debug, PartialEq)]
pub struct TeamWant {
    /// Its slug.
    pub slug: String,
    /// The permission that the team shall have.
    pub permission: Permission,
    /// The line of the policy that asks for it.
    pub asked: PolicyLocation,
}

/// A person with direct access.
#[derive(Clone, Debug, PartialEq)]
pub struct CollaboratorWant {
    /// Their login.
    pub login: String,
    /// The permission that the person shall have.
    pub permission: Permission,
    /// The line of the policy that asks for it.
    pub asked: PolicyLocation,
}

/// A branch protection rule.
#[derive(Clone, Debug, PartialEq)]
pub struct BranchWant {
    /// A branch or pattern; `None` for the default branch.
    pub pattern: Option<String>,
    /// The rule; `None` takes it away.
    pub protection: Option<Node>,
    /// The line of the policy that asks for it.
    pub asked: PolicyLocation,
    /// The rank of the layer that does.
    pub rank: i64,
}

/// The values that the policy asks for in one repository. `None`: the policy asks for nothing, and
/// Beadle reads nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Desired {
    /// Settings.
    pub settings: Vec<Want>,
    /// Topics.
    pub topics: Option<Listed<String>>,
    /// Teams.
    pub teams: Option<Listed<TeamWant>>,
    /// Direct collaborators.
    pub collaborators: Option<Listed<CollaboratorWant>>,
    /// Branch protection rules. What is not listed stays.
    pub branches: Vec<BranchWant>,
    /// Security features as the incumbent writes them: `repository.security`.
    pub security: Option<Node>,
    /// The sections that their aspects read themselves, by name.
    pub sections: BTreeMap<&'static str, Section>,
}

/// A section of the policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    /// The values of the section.
    pub node: Node,
    /// True if Beadle removes entries that are not listed.
    pub exclusive: bool,
}

impl Section {
    /// Its entries: a list, or what a block lists below `include`.
    pub fn items(&self) -> &[Node] {
        self.node.get("include").unwrap_or(&self.node).items()
    }
}
