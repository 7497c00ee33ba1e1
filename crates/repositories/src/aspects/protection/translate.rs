//! Translates a branch rule of a policy into the fields of GraphQL. In the policy, the rule has the
//! same form as the body of a PUT request to the REST API:
//!
//! <https://docs.github.com/rest/branches/branch-protection#update-branch-protection>
//!
//! If the policy does not set a field, Beadle does not change the field.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use beadle_engine::PolicyLocation;
use beadle_github::{Actor, ActorKind, Allowances};
use serde_json::{Value, json};

use crate::policy::{Kind, Node, at_least};

/// A value of a rule: a flag (`true` or `false`) or a number.
pub(super) struct Flag {
    /// The name of the key in the policy.
    pub(super) rest: &'static str,
    /// The name of the field in GraphQL, both in the rule and in the input of a mutation.
    pub(super) graphql: &'static str,
    /// True if a greater value is stricter. `true` is greater than `false`.
    pub(super) strict: bool,
}

const fn flag(rest: &'static str, graphql: &'static str, strict: bool) -> Flag {
    Flag { rest, graphql, strict }
}

pub(super) const REVIEWS: &str = "required_pull_request_reviews";
const CHECKS: &str = "required_status_checks";

/// All flags and numbers of a rule.
pub(super) const FLAGS: &[Flag] = &[
    flag(CHECKS, "requiresStatusChecks", true),
    flag("required_status_checks.strict", "requiresStrictStatusChecks", true),
    flag("enforce_admins", "isAdminEnforced", true),
    flag(REVIEWS, "requiresApprovingReviews", true),
    flag("required_approving_review_count", "requiredApprovingReviewCount", true),
    flag("dismiss_stale_reviews", "dismissesStaleReviews", true),
    flag("require_code_owner_reviews", "requiresCodeOwnerReviews", true),
    flag("require_last_push_approval", "requireLastPushApproval", true),
    flag("dismissal_restrictions", "restrictsReviewDismissals", true),
    flag("restrictions", "restrictsPushes", true),
    flag("required_linear_history", "requiresLinearHistory", true),
    flag("allow_force_pushes", "allowsForcePushes", false),
    flag("allow_deletions", "allowsDeletions", false),
    flag("block_creations", "blocksCreations", true),
    flag("required_conversation_resolution", "requiresConversationResolution", true),
    flag("required_signatures", "requiresCommitSignatures", true),
    flag("lock_branch", "lockBranch", true),
    flag("allow_fork_syncing", "lockAllowsFetchAndMerge", false),
    flag("required_deployment_environments", "requiresDeployments", true),
];

/// The flags that are direct keys of the rule, and not keys of a block in the rule.
pub(super) const OWN: &[&str] = &[
    "enforce_admins",
    "required_linear_history",
    "allow_force_pushes",
    "allow_deletions",
    "block_creations",
    "required_conversation_resolution",
    "required_signatures",
    "lock_branch",
    "allow_fork_syncing",
];

/// The flags and numbers in the block `required_pull_request_reviews`.
pub(super) const OF_REVIEWS: &[&str] = &[
    "required_approving_review_count",
    "dismiss_stale_reviews",
    "require_code_owner_reviews",
    "require_last_push_approval",
];

/// A list of actors in a rule.
pub(super) struct List {
    /// The name of the key in the policy.
    pub(super) rest: &'static str,
    /// The name of the field in the input of a mutation.
    pub(super) graphql: &'static str,
    /// The name of the GraphQL connection that shows the list.
    pub(super) connection: &'static str,
    /// The flag that turns the list on. `None` if the list is always on.
    pub(super) flag: Option<&'static str>,
    /// Takes the four lists of an observed rule, and returns the list that belongs to this entry.
    pub(super) seen: fn(&Allowances) -> &[Actor],
}

/// All lists of actors in a rule.
pub(super) const LISTS: &[List] = &[
    List {
        rest: "restrictions",
        graphql: "pushActorIds",
        connection: "pushAllowances",
        flag: Some("restrictsPushes"),
        seen: |allowances| &allowances.push,
    },
    List {
        rest: "dismissal_restrictions",
        graphql: "reviewDismissalActorIds",
        connection: "reviewDismissalAllowances",
        flag: Some("restrictsReviewDismissals"),
        seen: |allowances| &allowances.dismissal,
    },
    List {
        rest: "bypass_pull_request_allowances",
        graphql: "bypassPullRequestActorIds",
        connection: "bypassPullRequestAllowances",
        flag: None,
        seen: |allowances| &allowances.bypass_pull_request,
    },
    List {
        rest: "force_push_allowances",
        graphql: "bypassForcePushActorIds",
        connection: "bypassForcePushAllowances",
        flag: None,
        seen: |allowances| &allowances.bypass_force_push,
    },
];

/// The App that must report a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binding {
    /// The policy does not set an App. GitHub binds the check to the App with the most recent
    /// report of the check. Beadle therefore accepts every App.
    Unsaid,
    /// Any App can report the check.
    Any,
    /// Only the App with this id can report the check.
    App(i64),
}

/// A status check that a policy requires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WantedCheck {
    pub(super) context: String,
    pub(super) binding: Binding,
}

/// The marker for checks that somebody manages outside of the policy. Policies of safe-settings
/// contain this marker. If a list has the marker, Beadle keeps the live checks.
const EXTERNALLY_DEFINED: &str = "{{EXTERNALLY_DEFINED}}";

/// The declared values of a rule. The keys are the names in GraphQL.
#[derive(Debug, Default)]
pub(super) struct DesiredRule {
    pub(super) fields: BTreeMap<&'static str, (Value, PolicyLocation)>,
    pub(super) checks: Option<(Vec<WantedCheck>, PolicyLocation)>,
    pub(super) environments: Option<(Vec<String>, PolicyLocation)>,
    pub(super) lists: BTreeMap<&'static str, (Vec<Actor>, PolicyLocation)>,
}

impl DesiredRule {
    pub(super) fn read(protection: &Node) -> Self {
        let mut wanted = Self::default();
        for key in OWN {
            if let Some(node) = protection.get(key) {
                wanted.set(key, json!(node.bool().unwrap_or(false)), node);
            }
        }
        if let Some(node) = protection.get(CHECKS) {
            wanted.set(CHECKS, json!(!node.is_null()), node);
            wanted.read_checks(node);
        }
        if let Some(node) = protection.get(REVIEWS) {
            wanted.set(REVIEWS, json!(!node.is_null()), node);
            wanted.read_reviews(node);
        }
        if let Some(node) = protection.get("restrictions") {
            wanted.set("restrictions", json!(!node.is_null()), node);
            wanted.list("restrictions", node);
        }
        if let Some(node) = protection.get("force_push_allowances") {
            wanted.list("force_push_allowances", node);
        }
        if let Some(node) = protection.get("required_deployment_environments") {
            let names = node.texts();
            wanted.set("required_deployment_environments", json!(!names.is_empty()), node);
            wanted.environments = Some((names, node.asked.clone()));
        }
        wanted
    }

    fn set(&mut self, rest: &str, value: Value, node: &Node) {
        if let Some(flag) = FLAGS.iter().find(|flag| flag.rest == rest) {
            self.fields.insert(flag.graphql, (value, node.asked.clone()));
        }
    }

    fn list(&mut self, rest: &str, node: &Node) {
        let Some(list) = LISTS.iter().find(|list| list.rest == rest) else { return };
        let mut actors = Vec::new();
        for (key, kind) in [("users", ActorKind::User), ("teams", ActorKind::Team), ("apps", ActorKind::App)]
        {
            let names = node.get(key).map(Node::texts).unwrap_or_default();
            actors.extend(names.into_iter().map(|name| Actor { kind, name, id: None, number: None }));
        }
        self.lists.insert(list.graphql, (actors, node.asked.clone()));
    }

    fn read_checks(&mut self, node: &Node) {
        if let Some(strict) = node.get("strict") {
            self.set("required_status_checks.strict", strict.json(), strict);
        }
        let (contexts, checks) = (node.get("contexts"), node.get("checks"));
        let Some(first) = checks.or(contexts) else { return };
        let mut all: Vec<WantedCheck> = Vec::new();
        for check in checks.map(Node::items).unwrap_or_default() {
            let Some(context) = check.get("context").and_then(Node::text) else { continue };
            let binding = match check.get("app_id").map(Node::int) {
                None => Binding::Unsaid,
                Some(None | Some(..=0)) => Binding::Any,
                Some(Some(app)) => Binding::App(app),
            };
            let check = WantedCheck { context: context.to_owned(), binding };
            if !all.contains(&check) {
                all.push(check);
            }
        }
        for context in contexts.map(Node::texts).unwrap_or_default() {
            // If both lists contain the same check, Beadle uses the entry of `checks`, because only
            // this entry contains the App.
            if !all.iter().any(|check| check.context == context) {
                all.push(WantedCheck { context, binding: Binding::Unsaid });
            }
        }
        if all.iter().any(|check| check.context == EXTERNALLY_DEFINED) {
            return;
        }
        self.checks = Some((all, first.asked.clone()));
    }

    fn read_reviews(&mut self, node: &Node) {
        for key in OF_REVIEWS {
            if let Some(value) = node.get(key) {
                self.set(key, value.json(), value);
            }
        }
        if let Some(dismissal) = node.get("dismissal_restrictions") {
            // An empty block means that every person with write access can dismiss reviews. An
            // empty block has the same meaning in REST.
            let restricts = matches!(&dismissal.kind, Kind::Map(entries) if !entries.is_empty());
            self.set("dismissal_restrictions", json!(restricts), dismissal);
            self.list("dismissal_restrictions", dismissal);
        }
        if let Some(bypass) = node.get("bypass_pull_request_allowances") {
            self.list("bypass_pull_request_allowances", bypass);
        }
    }
}

/// Returns the value that a flag must get. `seen` is the value at GitHub. The policy can declare a
/// minimum. If the number at GitHub is greater than this minimum, the function returns the number
/// at GitHub.
pub(super) fn resolved(wanted: &Value, seen: &Value) -> Value {
    let Some(least) = at_least(wanted) else { return wanted.clone() };
    json!(seen.as_i64().map_or(least, |seen| seen.max(least)))
}

/// Returns whether `wanted` is at least as strict as `seen`. If `strict` is true, a greater value
/// is stricter.
pub(super) fn better(seen: &Value, wanted: &Value, strict: bool) -> bool {
    let number = |value: &Value| value.as_i64().or(value.as_bool().map(i64::from)).unwrap_or(0);
    if strict { number(wanted) >= number(seen) } else { number(wanted) <= number(seen) }
}

/// Returns the node id of an App. Beadle computes this node id in its old form from the App's id,
/// so this function needs no read.
///
/// <https://docs.github.com/graphql/guides/migrating-graphql-global-node-ids>
pub(super) fn app_node(id: i64) -> String {
    STANDARD.encode(format!("03:App{id}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_the_shape_reaches_a_field() {
        let node = Node::parse(
            "f.yml",
            "required_status_checks: {strict: true, contexts: [a], checks: [{context: b, app_id: 7}]}
enforce_admins: true
required_pull_request_reviews:
  dismissal_restrictions: {users: [u]}
  dismiss_stale_reviews: true
  require_code_owner_reviews: true
  required_approving_review_count: 2
  require_last_push_approval: true
  bypass_pull_request_allowances: {apps: [bot]}
restrictions: {teams: [t]}
required_linear_history: true
allow_force_pushes: false
force_push_allowances: {users: [u]}
allow_deletions: false
block_creations: true
required_conversation_resolution: true
required_signatures: true
lock_branch: false
allow_fork_syncing: false
required_deployment_environments: [production]
",
        )
        .unwrap();
        let wanted = DesiredRule::read(&node);
        let fields: Vec<&str> = wanted.fields.keys().copied().collect();
        let mut all: Vec<&str> = FLAGS.iter().map(|flag| flag.graphql).collect();
        all.sort_unstable();
        assert_eq!(fields, all);
        assert_eq!(wanted.lists.len(), LISTS.len());
        assert_eq!(wanted.checks.unwrap().0.len(), 2);
    }

    #[test]
    fn a_minimum_never_lowers_a_number() {
        let least = json!({ "at_least": 2 });
        for (seen, expected) in [(json!(null), 2), (json!(0), 2), (json!(2), 2), (json!(5), 5)] {
            assert_eq!(resolved(&least, &seen), json!(expected), "{seen}");
        }
        assert_eq!(resolved(&json!(1), &json!(5)), json!(1));
    }

    #[test]
    fn the_computed_node_id_is_the_one_of_github_actions() {
        assert_eq!(app_node(15368), "MDM6QXBwMTUzNjg=");
    }
}
