//! The GraphQL documents about rulesets, and the types of their answers.

use serde::Deserialize;
use serde_json::{Number, Value};

use crate::shape::{object, optional};

/// The fields of a rule that compares a text with a pattern. Five types of rules compare a text
/// with a pattern, and all five types have these fields.
const PATTERN: &str = "{ name negate operator pattern }";

/// Returns the fields that Beadle reads from a ruleset ([`RulesetNode`]). The fields cover every
/// rule type in GitHub's GraphQL API.
pub(super) fn ruleset() -> String {
    format!(
        "databaseId id name target enforcement updatedAt conditions {{ refName {{ include exclude }} }}
        rules(first: 20) {{ totalCount pageInfo {{ hasNextPage endCursor }} nodes {{ type parameters {{ {} }} }} }}
        bypassActors(first: 10) {{ totalCount pageInfo {{ hasNextPage endCursor }} nodes {{ {BYPASS} }} }}",
        parameters()
    )
}

/// The fields that Beadle reads from a bypass actor ([`BypassNode`]).
const BYPASS: &str = "bypassMode deployKey enterpriseOwner organizationAdmin repositoryRoleDatabaseId
    actor { __typename ... on App { databaseId } ... on Team { databaseId } }";

fn parameters() -> String {
    format!(
        "__typename
        ... on UpdateParameters {{ updateAllowsFetchAndMerge }}
        ... on MergeQueueParameters {{
            checkResponseTimeoutMinutes groupingStrategy maxEntriesToBuild maxEntriesToMerge mergeMethod minEntriesToMerge
            minEntriesToMergeWaitMinutes
        }}
        ... on RequiredDeploymentsParameters {{ requiredDeploymentEnvironments }}
        ... on PullRequestParameters {{
            allowedMergeMethods dismissStaleReviewsOnPush requireCodeOwnerReview requireLastPushApproval
            requiredApprovingReviewCount requiredReviewThreadResolution
        }}
        ... on RequiredStatusChecksParameters {{
            doNotEnforceOnCreate strictRequiredStatusChecksPolicy requiredStatusChecks {{ context integrationId }}
        }}
        ... on CommitMessagePatternParameters {PATTERN}
        ... on CommitAuthorEmailPatternParameters {PATTERN}
        ... on CommitterEmailPatternParameters {PATTERN}
        ... on BranchNamePatternParameters {PATTERN}
        ... on TagNamePatternParameters {PATTERN}
        ... on WorkflowsParameters {{ doNotEnforceOnCreate workflows {{ path ref repositoryId sha }} }}
        ... on CodeScanningParameters {{ codeScanningTools {{ alertsThreshold securityAlertsThreshold tool }} }}
        ... on FilePathRestrictionParameters {{ restrictedFilePaths }}
        ... on MaxFilePathLengthParameters {{ maxFilePathLength }}
        ... on FileExtensionRestrictionParameters {{ restrictedFileExtensions }}
        ... on MaxFileSizeParameters {{ maxFileSize }}"
    )
}

/// Returns the document that reads a further page of a repository's rulesets.
pub(crate) fn more_rulesets() -> String {
    format!(
        "query ($id: ID!, $after: String) {{ node(id: $id) {{ ... on Repository {{
            page: rulesets(first: 25, after: $after, includeParents: false) {{
                totalCount pageInfo {{ hasNextPage endCursor }} nodes {{ {} }}
            }} }} }} }}",
        ruleset()
    )
}

/// Returns the document that reads a further page of a ruleset's rules.
pub(crate) fn more_ruleset_rules() -> String {
    format!(
        "query ($id: ID!, $after: String) {{ node(id: $id) {{ ... on RepositoryRuleset {{
            page: rules(first: 100, after: $after) {{
                totalCount pageInfo {{ hasNextPage endCursor }} nodes {{ type parameters {{ {} }} }}
            }} }} }} }}",
        parameters()
    )
}

/// Returns the document that reads a further page of a ruleset's bypass actors.
pub(crate) fn more_bypass_actors() -> String {
    format!(
        "query ($id: ID!, $after: String) {{ node(id: $id) {{ ... on RepositoryRuleset {{
            page: bypassActors(first: 100, after: $after) {{
                totalCount pageInfo {{ hasNextPage endCursor }} nodes {{ {BYPASS} }}
            }} }} }} }}"
    )
}

/// A ruleset of a repository.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RulesetNode {
    pub(crate) database_id: u64,
    #[serde(default, deserialize_with = "optional")]
    pub(crate) id: Option<String>,
    pub(crate) name: String,
    #[serde(default, deserialize_with = "optional")]
    pub(crate) target: Option<String>,
    #[serde(default, deserialize_with = "optional")]
    pub(crate) enforcement: Option<String>,
    #[serde(default, deserialize_with = "optional")]
    pub(crate) updated_at: Option<String>,
    #[serde(default, deserialize_with = "object")]
    pub(crate) conditions: Option<Conditions>,
    /// The first page of rules ([`RulesetRule`]).
    #[serde(default)]
    pub(crate) rules: Value,
    /// The first page of bypass actors ([`BypassNode`]).
    #[serde(default)]
    pub(crate) bypass_actors: Value,
}

/// The conditions that decide where a ruleset applies.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Conditions {
    #[serde(default, deserialize_with = "object")]
    pub(crate) ref_name: Option<RefName>,
}

/// The branches or tags of a ruleset.
#[derive(Deserialize)]
pub(crate) struct RefName {
    #[serde(default)]
    pub(crate) include: Value,
    #[serde(default)]
    pub(crate) exclude: Value,
}

/// One rule of a ruleset.
#[derive(Deserialize)]
pub(crate) struct RulesetRule {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) parameters: Value,
}

/// An actor that can bypass a ruleset, and when the actor can do so.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BypassNode {
    #[serde(default, deserialize_with = "optional")]
    pub(crate) bypass_mode: Option<String>,
    #[serde(default, deserialize_with = "optional")]
    pub(crate) deploy_key: Option<bool>,
    #[serde(default, deserialize_with = "optional")]
    pub(crate) enterprise_owner: Option<bool>,
    #[serde(default, deserialize_with = "optional")]
    pub(crate) organization_admin: Option<bool>,
    #[serde(default, deserialize_with = "optional")]
    pub(crate) repository_role_database_id: Option<Number>,
    #[serde(default, deserialize_with = "object")]
    pub(crate) actor: Option<BypassActor>,
}

/// An App or a team that can bypass a ruleset. GraphQL shows no other type of actor in this field.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BypassActor {
    #[serde(rename = "__typename")]
    pub(crate) typename: String,
    #[serde(default)]
    pub(crate) database_id: Value,
}
