//! The GraphQL documents about branch protection rules, and the types of their answers.

use serde::Deserialize;
use serde_json::Value;

use crate::shape::{object, optional, texts};

/// The fields that Beadle reads from a branch protection rule ([`RuleNode`]).
pub(super) const RULE: &str = "
    id pattern allowsDeletions allowsForcePushes blocksCreations dismissesStaleReviews isAdminEnforced
    lockAllowsFetchAndMerge lockBranch requireLastPushApproval requiredApprovingReviewCount
    requiredDeploymentEnvironments requiresApprovingReviews requiresCodeOwnerReviews requiresCommitSignatures
    requiresConversationResolution requiresDeployments requiresLinearHistory requiresStatusChecks
    requiresStrictStatusChecks restrictsPushes restrictsReviewDismissals
    requiredStatusChecks { context app { id databaseId slug } }
    pushAllowances(first: 10) { ...pushes }
    reviewDismissalAllowances(first: 10) { ...dismissals }
    bypassPullRequestAllowances(first: 10) { ...bypassPulls }
    bypassForcePushAllowances(first: 10) { ...bypassForce }";

/// The fields that Beadle reads from the actor in a list entry ([`AllowanceNode`]).
const ACTOR: &str = "actor { __typename ... on App { id databaseId slug } ... on Team { id databaseId slug } ... on User { id databaseId login } }";

/// Returns the GraphQL fragments for the four lists of actors of a rule. Each list has a separate
/// GraphQL type with the same fields, so each list needs a separate fragment.
pub(super) fn allowance_fragments() -> String {
    let page = format!("{{ totalCount pageInfo {{ hasNextPage endCursor }} nodes {{ {ACTOR} }} }}");
    format!(
        "fragment pushes on PushAllowanceConnection {page}
         fragment dismissals on ReviewDismissalAllowanceConnection {page}
         fragment bypassPulls on BypassPullRequestAllowanceConnection {page}
         fragment bypassForce on BypassForcePushAllowanceConnection {page}"
    )
}

/// Returns the document that reads a further page of a repository's rules.
pub(crate) fn more_rules() -> String {
    format!(
        "query ($id: ID!, $after: String) {{ node(id: $id) {{ ... on Repository {{
            page: branchProtectionRules(first: 50, after: $after) {{
                totalCount pageInfo {{ hasNextPage endCursor }} nodes {{ {RULE} }}
            }} }} }} }} {}",
        allowance_fragments()
    )
}

/// Returns the document that reads a further page of the actors in a rule.
pub(crate) fn more_actors(list: &str) -> String {
    format!(
        "query ($id: ID!, $after: String) {{ node(id: $id) {{ ... on BranchProtectionRule {{
            page: {list}(first: 100, after: $after) {{
                totalCount pageInfo {{ hasNextPage endCursor }} nodes {{ {ACTOR} }}
            }} }} }} }}"
    )
}

/// Creates a branch protection rule.
pub(crate) const CREATE_RULE: &str = "mutation ($input: CreateBranchProtectionRuleInput!) {
    createBranchProtectionRule(input: $input) { branchProtectionRule { id } }
}";

/// Updates a branch protection rule. GitHub changes only the fields that are in the input.
pub(crate) const UPDATE_RULE: &str = "mutation ($input: UpdateBranchProtectionRuleInput!) {
    updateBranchProtectionRule(input: $input) { branchProtectionRule { id } }
}";

/// Deletes a branch protection rule.
pub(crate) const DELETE_RULE: &str = "mutation ($input: DeleteBranchProtectionRuleInput!) {
    deleteBranchProtectionRule(input: $input) { clientMutationId }
}";

/// A branch protection rule. Beadle finds the rule's flags and numbers in the JSON by name.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct RuleNode {
    #[serde(deserialize_with = "optional")]
    pub(crate) id: Option<String>,
    #[serde(deserialize_with = "optional")]
    pub(crate) pattern: Option<String>,
    /// The required checks. Each entry is a [`CheckNode`].
    #[serde(deserialize_with = "optional")]
    pub(crate) required_status_checks: Option<Vec<Value>>,
    #[serde(deserialize_with = "texts")]
    pub(crate) required_deployment_environments: Vec<String>,
    pub(crate) push_allowances: Value,
    pub(crate) review_dismissal_allowances: Value,
    pub(crate) bypass_pull_request_allowances: Value,
    pub(crate) bypass_force_push_allowances: Value,
}

/// A check that a rule requires.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct CheckNode {
    #[serde(deserialize_with = "optional")]
    pub(crate) context: Option<String>,
    #[serde(deserialize_with = "object")]
    pub(crate) app: Option<CheckApp>,
}

/// The GitHub App that must report a required check.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct CheckApp {
    #[serde(deserialize_with = "optional")]
    pub(crate) id: Option<String>,
    #[serde(deserialize_with = "optional")]
    pub(crate) database_id: Option<i64>,
}

/// One actor in the list of a rule.
#[derive(Deserialize)]
pub(crate) struct AllowanceNode {
    pub(crate) actor: ActorNode,
}

/// An actor: an App or a team, which has a slug, or a user, who has a login.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ActorNode {
    #[serde(rename = "__typename")]
    pub(crate) typename: String,
    #[serde(default, deserialize_with = "optional")]
    pub(crate) id: Option<String>,
    #[serde(default, deserialize_with = "optional")]
    pub(crate) database_id: Option<u64>,
    #[serde(default, deserialize_with = "optional")]
    pub(crate) slug: Option<String>,
    #[serde(default, deserialize_with = "optional")]
    pub(crate) login: Option<String>,
}
