//! The types of the values that a policy declares for one repository. `desired.rs` creates these
//! values, so that the aspects do not have to parse the policy.

use std::collections::BTreeMap;

use beadle_engine::PolicyLocation;
use beadle_github::Permission;
use serde_json::Value;

use super::node::Node;
use super::pattern::Pattern;

/// The declared value of one setting.
#[derive(Clone, Debug, PartialEq)]
pub struct Want {
    /// The name of the field in the body of the REST request.
    pub key: String,
    /// The desired value.
    pub value: Value,
    /// The line of the policy that declares the value.
    pub asked: PolicyLocation,
}

/// A declared list that is exclusive or additive.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed<T> {
    /// True if Beadle removes entries that the list does not contain.
    pub exclusive: bool,
    /// The line of the policy with the key of the list.
    pub asked: PolicyLocation,
    /// The entries that the policy declares.
    pub items: Vec<T>,
}

/// A topic of the repository.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicWant {
    /// The name of the topic.
    pub name: String,
    /// The line of the policy that declares the topic.
    pub asked: PolicyLocation,
}

/// A team that gets access from the policy.
#[derive(Clone, Debug, PartialEq)]
pub struct TeamWant {
    /// The slug of the team.
    pub slug: String,
    /// The desired permission of the team.
    pub permission: Permission,
    /// True if the policy sets a permission. If the policy sets none and the team already has
    /// access, Beadle does not change the team's permission.
    pub is_stated: bool,
    /// The line of the policy that declares the team.
    pub asked: PolicyLocation,
}

/// A person who gets direct access from the policy.
#[derive(Clone, Debug, PartialEq)]
pub struct CollaboratorWant {
    /// The login of the person.
    pub login: String,
    /// The desired permission of the person.
    pub permission: Permission,
    /// True if the policy sets a permission. If the policy sets none and the person already has
    /// access, Beadle does not change the person's permission.
    pub is_stated: bool,
    /// The line of the policy that declares the person.
    pub asked: PolicyLocation,
}

/// The key of the section `repository` whose value is a [`MissingBranch`].
pub(crate) const WHEN_MISSING: &str = "default_branch_when_missing";

/// The action if the declared default branch does not exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissingBranch {
    /// Beadle reports the missing branch.
    #[default]
    Report,
    /// Beadle renames the present default branch.
    Rename,
    /// Beadle creates the branch at the head of the present default branch.
    Create,
}

impl MissingBranch {
    /// Returns the action for a text of the policy. Any other text means [`Self::Report`].
    pub(crate) fn of(text: Option<&str>) -> Self {
        match text {
            Some("rename") => Self::Rename,
            Some("create") => Self::Create,
            _ => Self::Report,
        }
    }
}

/// A branch protection rule that the policy declares.
#[derive(Clone, Debug, PartialEq)]
pub struct BranchWant {
    /// The name of a branch, or a pattern. `None` if the rule is for the default branch.
    pub pattern: Option<String>,
    /// The content of the rule. `None` if Beadle must remove the rule.
    pub protection: Option<Node>,
    /// The line of the policy that declares the rule.
    pub asked: PolicyLocation,
    /// The rank of the layer that declares the rule.
    pub rank: i64,
}

/// Everything that a policy declares for one repository. If the policy does not declare a part, the
/// field of this part is `None`, and Beadle does not read the part.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Desired {
    /// The settings of the repository.
    pub settings: Vec<Want>,
    /// The action if the declared default branch does not exist.
    pub missing_branch: MissingBranch,
    /// The topics of the repository.
    pub topics: Option<Listed<TopicWant>>,
    /// The teams that have access.
    pub teams: Option<Listed<TeamWant>>,
    /// The people who have direct access.
    pub collaborators: Option<Listed<CollaboratorWant>>,
    /// The branch protection rules. Beadle keeps rules that the policy does not list.
    pub branches: Vec<BranchWant>,
    /// The security features in `repository.security`, the form of safe-settings.
    pub security: Option<Node>,
    /// The sections without a separate field in this struct. The key is the section's name. The
    /// aspect of a section interprets its values.
    pub sections: BTreeMap<&'static str, Section>,
}

/// A section of the policy in the form for its aspect.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    /// The values of the section.
    pub node: Node,
    /// True if Beadle removes entries that the section does not list.
    pub exclusive: bool,
}

impl Section {
    /// Returns the entries of the section. The section is either a list, or a block whose key
    /// `include` contains the list.
    pub fn items(&self) -> &[Node] {
        self.node.get("include").unwrap_or(&self.node).items()
    }

    /// Returns the patterns in `exclude`. Beadle keeps an entry whose name matches a pattern, even
    /// if the policy does not list the entry.
    pub(crate) fn kept(&self) -> Vec<Pattern> {
        let exclude = self.node.get("exclude").map(Node::items).unwrap_or_default();
        let texts = exclude.iter().filter_map(|item| item.get("name").unwrap_or(item).text());
        texts.filter_map(|text| Pattern::regex(text).ok()).collect()
    }
}
