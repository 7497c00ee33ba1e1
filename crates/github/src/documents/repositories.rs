//! The GraphQL documents about repositories, and the types of their answers.

use serde::Deserialize;
use serde_json::Value;

use super::TypedNode;
use super::protection::{RULE, allowance_fragments};
use super::rulesets::ruleset;
use crate::repository::Asks;
use crate::shape::{object, optional};

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

const MILESTONES: &str = "
    milestones(first: 20) {
        totalCount pageInfo { hasNextPage endCursor } nodes { number title description state dueOn }
    }";

const DEPLOY_KEYS: &str = "
    deployKeys(first: 10) { totalCount pageInfo { hasNextPage endCursor } nodes { key title readOnly } }";

const COLLABORATORS: &str = "
    collaborators(affiliation: DIRECT, first: 30) {
        totalCount pageInfo { hasNextPage endCursor } edges { permissionSources { permission roleName source { __typename } } node { databaseId login } }
    }";

fn repository_fragment(asks: Asks) -> String {
    let labels = if asks.labels { LABELS } else { "" };
    let milestones = if asks.milestones { MILESTONES } else { "" };
    let keys = if asks.deploy_keys { DEPLOY_KEYS } else { "" };
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
            {SETTINGS} {topics} {labels} {milestones} {keys} {collaborators} {protection} {rulesets}
        }} {fragments}"
    )
}

/// Returns the document that reads repositories by their node ids ([`RepositoryNode`]).
pub(crate) fn by_ids(asks: Asks) -> String {
    format!("query ($ids: [ID!]!) {{ nodes(ids: $ids) {{ ...repository }} }} {}", repository_fragment(asks))
}

/// Returns the document that reads one page of an organisation's repositories, oldest first. The
/// order is the date of creation, which never changes. So no repository moves to another page while
/// Beadle reads the list.
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

/// A repository. Beadle finds the repository's settings in the JSON by name.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct RepositoryNode {
    #[serde(deserialize_with = "optional")]
    pub(crate) database_id: Option<u64>,
    #[serde(deserialize_with = "optional")]
    pub(crate) id: Option<String>,
    #[serde(deserialize_with = "optional")]
    pub(crate) name: Option<String>,
    #[serde(deserialize_with = "object")]
    pub(crate) owner: Option<OwnerNode>,
    #[serde(deserialize_with = "optional")]
    pub(crate) is_archived: Option<bool>,
    #[serde(deserialize_with = "optional")]
    pub(crate) is_fork: Option<bool>,
    #[serde(deserialize_with = "optional")]
    pub(crate) visibility: Option<String>,
    #[serde(deserialize_with = "object")]
    pub(crate) default_branch_ref: Option<BranchNode>,
    #[serde(deserialize_with = "optional")]
    pub(crate) created_at: Option<String>,
    #[serde(deserialize_with = "optional")]
    pub(crate) has_vulnerability_alerts_enabled: Option<bool>,
    /// The first page of topics ([`TopicNode`]).
    pub(crate) repository_topics: Value,
    /// The first page of labels ([`LabelNode`]).
    pub(crate) labels: Value,
    /// The first page of milestones ([`MilestoneNode`]).
    pub(crate) milestones: Value,
    /// The first page of deploy keys ([`DeployKeyNode`]).
    pub(crate) deploy_keys: Value,
    /// The first page of collaborators ([`CollaboratorEdge`]).
    pub(crate) collaborators: Value,
    /// The first page of [rules](super::protection::RuleNode).
    pub(crate) branch_protection_rules: Value,
    /// The first page of [rulesets](super::rulesets::RulesetNode).
    pub(crate) rulesets: Value,
}

/// The account that owns a repository.
#[derive(Deserialize)]
pub(crate) struct OwnerNode {
    pub(crate) login: String,
}

/// The default branch of a repository.
#[derive(Deserialize)]
pub(crate) struct BranchNode {
    pub(crate) name: String,
}

/// Reads a further page of a repository's topics ([`TopicNode`]).
pub(crate) const MORE_TOPICS: &str = "query ($id: ID!, $after: String) { node(id: $id) { ... on Repository {
    page: repositoryTopics(first: 100, after: $after) {
        totalCount pageInfo { hasNextPage endCursor } nodes { topic { name } }
    } } } }";

/// One topic in the list of a repository.
#[derive(Deserialize)]
pub(crate) struct TopicNode {
    pub(crate) topic: Topic,
}

/// The topic in one row of the list.
#[derive(Deserialize)]
pub(crate) struct Topic {
    pub(crate) name: String,
}

/// Reads a further page of a repository's labels ([`LabelNode`]).
pub(crate) const MORE_LABELS: &str = "query ($id: ID!, $after: String) { node(id: $id) { ... on Repository {
    page: labels(first: 100, after: $after) {
        totalCount pageInfo { hasNextPage endCursor } nodes { name color description }
    } } } }";

/// A label of a repository.
#[derive(Deserialize)]
pub(crate) struct LabelNode {
    pub(crate) name: String,
    pub(crate) color: String,
    #[serde(default, deserialize_with = "optional")]
    pub(crate) description: Option<String>,
}

/// Reads a further page of a repository's milestones ([`MilestoneNode`]).
pub(crate) const MORE_MILESTONES: &str =
    "query ($id: ID!, $after: String) { node(id: $id) { ... on Repository {
    page: milestones(first: 100, after: $after) {
        totalCount pageInfo { hasNextPage endCursor } nodes { number title description state dueOn }
    } } } }";

/// A milestone of a repository.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MilestoneNode {
    pub(crate) number: u64,
    pub(crate) title: String,
    pub(crate) state: String,
    #[serde(default, deserialize_with = "optional")]
    pub(crate) description: Option<String>,
    #[serde(default, deserialize_with = "optional")]
    pub(crate) due_on: Option<String>,
}

/// Reads a further page of a repository's deploy keys ([`DeployKeyNode`]).
pub(crate) const MORE_DEPLOY_KEYS: &str =
    "query ($id: ID!, $after: String) { node(id: $id) { ... on Repository {
    page: deployKeys(first: 100, after: $after) {
        totalCount pageInfo { hasNextPage endCursor } nodes { key title readOnly }
    } } } }";

/// A deploy key of a repository.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeployKeyNode {
    pub(crate) key: String,
    pub(crate) title: String,
    pub(crate) read_only: bool,
}

/// Reads a further page of a repository's collaborators ([`CollaboratorEdge`]).
pub(crate) const MORE_COLLABORATORS: &str =
    "query ($id: ID!, $after: String) { node(id: $id) { ... on Repository {
    page: collaborators(affiliation: DIRECT, first: 100, after: $after) {
        totalCount pageInfo { hasNextPage endCursor }
        edges { permissionSources { permission roleName source { __typename } } node { databaseId login } }
    } } } }";

/// A collaborator, with the sources of the access.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CollaboratorEdge {
    /// The sources of the account's access. Each entry is a [`PermissionSource`].
    pub(crate) permission_sources: Vec<Value>,
    pub(crate) node: CollaboratorNode,
}

/// The account of a collaborator.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CollaboratorNode {
    pub(crate) database_id: u64,
    pub(crate) login: String,
}

/// A source of an account's access: the repository itself, a team or the organisation.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PermissionSource {
    #[serde(default, deserialize_with = "object")]
    pub(crate) source: Option<TypedNode>,
    #[serde(default, deserialize_with = "optional")]
    pub(crate) role_name: Option<String>,
    #[serde(default, deserialize_with = "optional")]
    pub(crate) permission: Option<String>,
}

/// Reads one page of an organisation's repositories. The document reads only a few fields of each
/// repository ([`IndexNode`]).
pub(crate) const INDEX: &str = "query ($org: String!, $after: String) {
    organization(login: $org) {
        repositories(first: 100, after: $after, orderBy: {field: CREATED_AT, direction: ASC}) {
            totalCount pageInfo { hasNextPage endCursor } nodes { id databaseId name isArchived visibility }
        }
    }
}";

/// A repository, with the fields that the document `INDEX` reads.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IndexNode {
    pub(crate) database_id: u64,
    pub(crate) id: String,
    #[serde(default, deserialize_with = "optional")]
    pub(crate) name: Option<String>,
    #[serde(default, deserialize_with = "optional")]
    pub(crate) is_archived: Option<bool>,
    #[serde(default, deserialize_with = "optional")]
    pub(crate) visibility: Option<String>,
}

/// Reads the present name and owner of a repository ([`NamedRepository`]).
pub(crate) const NAME: &str =
    "query ($id: ID!) { node(id: $id) { __typename ... on Repository { databaseId name owner { login } } } }";

/// The present name and the owner of a repository.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NamedRepository {
    pub(crate) database_id: u64,
    pub(crate) name: String,
    pub(crate) owner: OwnerNode,
}

/// Reads whether a repository has a branch.
pub(crate) const BRANCH: &str = "query ($id: ID!, $name: String!) { node(id: $id) { ... on Repository { ref(qualifiedName: $name) { name } } } }";
