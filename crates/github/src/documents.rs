//! The GraphQL documents, and how many things they ask for at once.
//!
//! Cost: the connections asked for, divided by 100. With everything asked for, 40 repositories cost about 11 points.

use serde::Deserialize;
use serde_json::Value;

use crate::repository::Asks;

pub(crate) mod people;
pub(crate) mod teams;

/// An object of which only the immutable id is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Numbered {
    pub(crate) database_id: u64,
}

/// A node of which only the type is read.
#[derive(Deserialize)]
pub(crate) struct TypedNode {
    #[serde(rename = "__typename")]
    pub(crate) typename: String,
}

/// The answer to a question about several ids: an entry for each id, in their order.
#[derive(Deserialize)]
pub(crate) struct Nodes {
    pub(crate) nodes: Vec<Value>,
}

/// Repositories in one query. GitHub cuts queries off after 10 s; a batch that is cut is halved.
pub(crate) const BATCH: usize = 40;

/// Fields that came to Enterprise Server one version after the other. One unknown field fails a whole query, so a field
/// that turns out to be unknown is left out, and what it would have said is unknown.
pub(crate) const OPTIONAL: &[&str] = &[
    "hasDiscussionsEnabled",
    "allowUpdateBranch",
    "squashMergeCommitTitle",
    "squashMergeCommitMessage",
    "mergeCommitTitle",
    "mergeCommitMessage",
    "forkingAllowed",
    "webCommitSignoffRequired",
    "hasVulnerabilityAlertsEnabled",
    "roleName",
    "requireLastPushApproval",
    "lockBranch",
    "lockAllowsFetchAndMerge",
    "blocksCreations",
    "requiresDeployments",
    "requiredDeploymentEnvironments",
];

/// A document without a field (of those, none has arguments or a selection).
pub(crate) fn without(document: &str, field: &str) -> String {
    let words = document.split_inclusive(char::is_whitespace);
    words.filter(|word| word.trim_end() != field).collect()
}

const SETTINGS: &str = "
    __typename id databaseId name owner { login } isArchived isFork isPrivate visibility description homepageUrl
    hasIssuesEnabled hasProjectsEnabled hasWikiEnabled hasDiscussionsEnabled isTemplate defaultBranchRef { name }
    squashMergeAllowed mergeCommitAllowed rebaseMergeAllowed autoMergeAllowed deleteBranchOnMerge allowUpdateBranch
    squashMergeCommitTitle squashMergeCommitMessage mergeCommitTitle mergeCommitMessage forkingAllowed
    webCommitSignoffRequired hasVulnerabilityAlertsEnabled createdAt";

const TOPICS: &str = "
    repositoryTopics(first: 20) { totalCount pageInfo { hasNextPage endCursor } nodes { topic { name } } }";

const LABELS: &str = "
    labels(first: 50) { totalCount pageInfo { hasNextPage endCursor } nodes { name color description } }";

const COLLABORATORS: &str = "
    collaborators(affiliation: DIRECT, first: 30) {
        totalCount pageInfo { hasNextPage endCursor } edges { permissionSources { permission roleName source { __typename } } node { databaseId login } }
    }";

const RULE: &str = "
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

const ACTOR: &str = "actor { __typename ... on App { id databaseId slug } ... on Team { id databaseId slug } ... on User { id databaseId login } }";

/// The fragments of a rule's four lists; the connections have the same shape and different types.
fn allowance_fragments() -> String {
    let page = format!("{{ totalCount pageInfo {{ hasNextPage endCursor }} nodes {{ {ACTOR} }} }}");
    format!(
        "fragment pushes on PushAllowanceConnection {page}
         fragment dismissals on ReviewDismissalAllowanceConnection {page}
         fragment bypassPulls on BypassPullRequestAllowanceConnection {page}
         fragment bypassForce on BypassForcePushAllowanceConnection {page}"
    )
}

/// A pattern that a text has to match; the five types have the same fields.
const PATTERN: &str = "{ name negate operator pattern }";

/// A ruleset, with what GraphQL knows of its rules.
fn ruleset() -> String {
    format!(
        "databaseId id name target enforcement updatedAt conditions {{ refName {{ include exclude }} }}
        rules(first: 20) {{ totalCount pageInfo {{ hasNextPage endCursor }} nodes {{ type parameters {{ {} }} }} }}
        bypassActors(first: 10) {{ totalCount pageInfo {{ hasNextPage endCursor }} nodes {{ {BYPASS} }} }}",
        parameters()
    )
}

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

fn repository_fragment(asks: Asks) -> String {
    let labels = if asks.labels { LABELS } else { "" };
    let rulesets = if asks.rulesets {
        format!(
            "rulesets(first: 5, includeParents: false) {{
                totalCount pageInfo {{ hasNextPage endCursor }} nodes {{ {} }}
            }}",
            ruleset()
        )
    } else {
        String::new()
    };
    let topics = if asks.topics { TOPICS } else { "" };
    let collaborators = if asks.collaborators { COLLABORATORS } else { "" };
    let protection = if asks.protection {
        format!(
            "branchProtectionRules(first: 5) {{
                totalCount pageInfo {{ hasNextPage endCursor }} nodes {{ {RULE} }}
            }}"
        )
    } else {
        String::new()
    };
    let fragments = if asks.protection { allowance_fragments() } else { String::new() };
    format!(
        "fragment repository on Repository {{
            {SETTINGS} {topics} {labels} {collaborators} {protection} {rulesets}
        }} {fragments}"
    )
}

/// Repositories by id.
pub(crate) fn by_ids(asks: Asks) -> String {
    format!("query ($ids: [ID!]!) {{ nodes(ids: $ids) {{ ...repository }} }} {}", repository_fragment(asks))
}

/// One page of an organisation's repositories, oldest first: an order that nothing done meanwhile changes.
pub(crate) fn listing(asks: Asks) -> String {
    format!(
        "query ($org: String!, $first: Int!, $after: String) {{
            organization(login: $org) {{
                repositories(first: $first, after: $after, orderBy: {{field: CREATED_AT, direction: ASC}}) {{
                    totalCount pageInfo {{ hasNextPage endCursor }} nodes {{ ...repository }}
                }}
            }}
        }} {}",
        repository_fragment(asks)
    )
}

/// One page of ids of an organisation's repositories.
pub(crate) const INDEX: &str = "query ($org: String!, $after: String) {
    organization(login: $org) {
        repositories(first: 100, after: $after, orderBy: {field: CREATED_AT, direction: ASC}) {
            totalCount pageInfo { hasNextPage endCursor } nodes { id databaseId name isArchived visibility }
        }
    }
}";

/// What a repository is called now, and whose it is.
pub(crate) const NAME: &str =
    "query ($id: ID!) { node(id: $id) { __typename ... on Repository { databaseId name owner { login } } } }";

/// Whether a branch exists.
pub(crate) const BRANCH: &str = "query ($id: ID!, $name: String!) { node(id: $id) { ... on Repository { ref(qualifiedName: $name) { name } } } }";

/// Asks which of these nodes are Apps.
pub(crate) const APPS: &str =
    "query ($ids: [ID!]!) { nodes(ids: $ids) { __typename ... on App { databaseId } } }";

/// Further topics.
pub(crate) const MORE_TOPICS: &str = "query ($id: ID!, $after: String) { node(id: $id) { ... on Repository {
    page: repositoryTopics(first: 100, after: $after) {
        totalCount pageInfo { hasNextPage endCursor } nodes { topic { name } }
    } } } }";

/// Further labels.
pub(crate) const MORE_LABELS: &str = "query ($id: ID!, $after: String) { node(id: $id) { ... on Repository {
    page: labels(first: 100, after: $after) {
        totalCount pageInfo { hasNextPage endCursor } nodes { name color description }
    } } } }";

/// Further rulesets.
pub(crate) fn more_rulesets() -> String {
    format!(
        "query ($id: ID!, $after: String) {{ node(id: $id) {{ ... on Repository {{
            page: rulesets(first: 25, after: $after, includeParents: false) {{
                totalCount pageInfo {{ hasNextPage endCursor }} nodes {{ {} }}
            }} }} }} }}",
        ruleset()
    )
}

/// Further rules of a ruleset.
pub(crate) fn more_ruleset_rules() -> String {
    format!(
        "query ($id: ID!, $after: String) {{ node(id: $id) {{ ... on RepositoryRuleset {{
            page: rules(first: 100, after: $after) {{
                totalCount pageInfo {{ hasNextPage endCursor }} nodes {{ type parameters {{ {} }} }}
            }} }} }} }}",
        parameters()
    )
}

/// Further bypass actors of a ruleset.
pub(crate) fn more_bypass_actors() -> String {
    format!(
        "query ($id: ID!, $after: String) {{ node(id: $id) {{ ... on RepositoryRuleset {{
            page: bypassActors(first: 100, after: $after) {{
                totalCount pageInfo {{ hasNextPage endCursor }} nodes {{ {BYPASS} }}
            }} }} }} }}"
    )
}

/// Further collaborators.
pub(crate) const MORE_COLLABORATORS: &str =
    "query ($id: ID!, $after: String) { node(id: $id) { ... on Repository {
    page: collaborators(affiliation: DIRECT, first: 100, after: $after) {
        totalCount pageInfo { hasNextPage endCursor }
        edges { permissionSources { permission roleName source { __typename } } node { databaseId login } }
    } } } }";

/// Further rules.
pub(crate) fn more_rules() -> String {
    format!(
        "query ($id: ID!, $after: String) {{ node(id: $id) {{ ... on Repository {{
            page: branchProtectionRules(first: 50, after: $after) {{
                totalCount pageInfo {{ hasNextPage endCursor }} nodes {{ {RULE} }}
            }} }} }} }} {}",
        allowance_fragments()
    )
}

/// Further actors of one of a rule's lists.
pub(crate) fn more_actors(list: &str) -> String {
    format!(
        "query ($id: ID!, $after: String) {{ node(id: $id) {{ ... on BranchProtectionRule {{
            page: {list}(first: 100, after: $after) {{
                totalCount pageInfo {{ hasNextPage endCursor }} nodes {{ {ACTOR} }}
            }} }} }} }}"
    )
}

/// The mutations.
pub(crate) const CREATE_RULE: &str = "mutation ($input: CreateBranchProtectionRuleInput!) {
    createBranchProtectionRule(input: $input) { branchProtectionRule { id } }
}";
/// Changes in place what the input names.
pub(crate) const UPDATE_RULE: &str = "mutation ($input: UpdateBranchProtectionRuleInput!) {
    updateBranchProtectionRule(input: $input) { branchProtectionRule { id } }
}";
/// Takes a rule away.
pub(crate) const DELETE_RULE: &str = "mutation ($input: DeleteBranchProtectionRuleInput!) {
    deleteBranchProtectionRule(input: $input) { clientMutationId }
}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_optional_field_can_be_left_out() {
        let asks = Asks { collaborators: true, protection: true, ..Asks::default() };
        let whole = format!("{} {}", by_ids(asks), more_rules());
        for field in OPTIONAL {
            assert!(whole.split_whitespace().any(|word| word == *field), "{field} is not asked for");
            assert!(!without(&whole, field).contains(field), "{field} is still there");
        }
    }
}
