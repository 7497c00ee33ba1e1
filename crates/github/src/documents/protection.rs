//! The documents about branch protection rules, and the types of their answers.

use serde::Deserialize;
use serde_json::Value;

use crate::shape::{object, optional, texts};

/// The fields of a rule ([`RuleNode`]).
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

/// The actor of an entry of a list ([`AllowanceNode`]).
const ACTOR: &str = "actor { __typename ... on App { id databaseId slug } ... on Team { id databaseId slug } ... on User { id databaseId login } }";

/// Returns the fragments of the four lists of actors. The connections have the same shape and
/// different types.
pub(super) fn allowance_fragments() -> String {
    let page = format!("{{ totalCount pageInfo {{ hasNextPage endCursor }} nodes {{ {ACTOR} }} }}");
    format!(
        "fragment pushes on PushAllowanceConnection {page}
         fragment dismissals on ReviewDismissalAllowanceConnection {page}
         fragment bypassPulls on BypassPullRequestAllowanceConnection {page}
         fragment bypassForce on BypassForcePushAllowanceConnection {page}"
    )
}

/// Returns the document that reads further rules.
pub(crate) fn more_rules() -> String {
    format!(
        "query ($id: ID!, $after: String) {{ node(id: $id) {{ ... on Repository {{
            page: branchProtectionRules(first: 50, after: $after) {{
                totalCount pageInfo {{ hasNextPage endCursor }} nodes {{ {RULE} }}
            }} }} }} }} {}",
        allowance_fragments()
    )
}

/// Returns the document that reads further actors of one of a rule's lists.
pub(crate) fn more_actors(list: &str) -> String {
    format!(
        "query ($id: ID!, $after: String) {{ node(id: $id) {{ ... on BranchProtectionRule {{
            page: {list}(first: 100, after: $after) {{
                totalCount pageInfo {{ hasNextPage endCursor }} nodes {{ {ACTOR} }}
            }} }} }} }}"
    )
}

/// Creates a rule.
pub(crate) const CREATE_RULE: &str = "mutation ($input: CreateBranchProtectionRuleInput!) {
    createBranchProtectionRule(input: $input) { branchProtectionRule { id } }
}";

/// Changes in place what the input names.
pub(crate) const UPDATE_RULE: &str = "mutation ($input: UpdateBranchProtectionRuleInput!) {
    updateBranchProtectionRule(input: $input) { branchProtectionRule { id } }
}";

/// Deletes a rule.
pub(crate) const DELETE_RULE: &str = "mutation ($input: DeleteBranchProtectionRuleInput!) {
    deleteBranchProtectionRule(input: $input) { clientMutationId }
}";

/// A rule. Its flags and numbers are read by name.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct RuleNode {
    #[serde(deserialize_with = "optional")]
    pub(crate) id: Option<String>,
    #[serde(deserialize_with = "optional")]
    pub(crate) pattern: Option<String>,
    /// Entries are [`CheckNode`].
    #[serde(deserialize_with = "optional")]
    pub(crate) required_status_checks: Option<Vec<Value>>,
    #[serde(deserialize_with = "texts")]
    pub(crate) required_deployment_environments: Vec<String>,
    pub(crate) push_allowances: Value,
    pub(crate) review_dismissal_allowances: Value,
    pub(crate) bypass_pull_request_allowances: Value,
    pub(crate) bypass_force_push_allowances: Value,
}

/// A required check.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct CheckNode {
    #[serde(deserialize_with = "optional")]
    pub(crate) context: Option<String>,
    #[serde(deserialize_with = "object")]
    pub(crate) app: Option<CheckApp>,
}

/// The App that has to report a check.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct CheckApp {
    #[serde(deserialize_with = "optional")]
    pub(crate) id: Option<String>,
    #[serde(deserialize_with = "optional")]
    pub(crate) database_id: Option<i64>,
}

/// An entry of a list of actors.
#[derive(Deserialize)]
pub(crate) struct AllowanceNode {
    pub(crate) actor: ActorNode,
}

/// An App or a team, which has a slug, or a user, who has a login.
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
