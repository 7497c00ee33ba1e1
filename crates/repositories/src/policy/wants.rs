//! The values that a policy asks for in one repository, as types. They are parsed once, in
//! `desired.rs`.

use std::collections::BTreeMap;

use beadle_engine::PolicyLocation;
use beadle_github::Permission;
use serde_json::Value;

use super::node::Node;
use super::pattern::Pattern;

/// One setting.
#[derive(Clone, Debug, PartialEq)]
pub struct Want {
    /// The key in the REST body.
    pub key: String,
    /// The desired value.
    pub value: Value,
    /// The line of the policy that asks for it.
    pub asked: PolicyLocation,
}

/// A list, exclusive or additive.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed<T> {
    /// True if Beadle removes entries that are not in the list.
    pub exclusive: bool,
    /// The line of the list.
    pub asked: PolicyLocation,
    /// The entries that the policy asks for.
    pub items: Vec<T>,
}

/// A team with its permission.
#[derive(Clone, Debug, PartialEq)]
pub struct TeamWant {
    /// The slug of the team.
    pub slug: String,
    /// The desired permission of the team.
    pub permission: Permission,
    /// False if the policy has no permission: Beadle does not change the access that the team has.
    pub is_stated: bool,
    /// The line of the policy that asks for it.
    pub asked: PolicyLocation,
}

/// A person with direct access.
#[derive(Clone, Debug, PartialEq)]
pub struct CollaboratorWant {
    /// The login of the person.
    pub login: String,
    /// The desired permission of the person.
    pub permission: Permission,
    /// False if the policy has no permission: Beadle does not change the access that the person has.
    pub is_stated: bool,
    /// The line of the policy that asks for it.
    pub asked: PolicyLocation,
}

/// A branch protection rule.
#[derive(Clone, Debug, PartialEq)]
pub struct BranchWant {
    /// A branch or pattern; `None` for the default branch.
    pub pattern: Option<String>,
    /// The rule; `None` if Beadle must remove the rule.
    pub protection: Option<Node>,
    /// The line of the policy that asks for it.
    pub asked: PolicyLocation,
    /// The rank of the layer that asks for it.
    pub rank: i64,
}

/// The values that the policy asks for in one repository. If the policy does not set a part, its
/// field is `None`, and Beadle does not read the part.
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
    /// Branch protection rules. Beadle keeps rules that are not listed.
    pub branches: Vec<BranchWant>,
    /// Security features in the form of safe-settings: `repository.security`.
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
    /// Returns the entries of the section: a list, or the list in `include` of a block.
    pub fn items(&self) -> &[Node] {
        self.node.get("include").unwrap_or(&self.node).items()
    }

    /// Returns the patterns of the names that Beadle keeps although they are not listed: `exclude` of
    /// a block.
    pub(crate) fn kept(&self) -> Vec<Pattern> {
        let exclude = self.node.get("exclude").map(Node::items).unwrap_or_default();
        let texts = exclude.iter().filter_map(|item| item.get("name").unwrap_or(item).text());
        texts.filter_map(|text| Pattern::regex(text).ok()).collect()
    }
}
