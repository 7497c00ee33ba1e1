//! The documents of GraphQL, each beside the types of its answer. A document asks for many objects
//! at once.
//!
//! The price of a query is the number of its connections, divided by 100. A query for everything of
//! 40 repositories costs about 11 points.

use serde::Deserialize;
use serde_json::Value;

pub(crate) mod people;
pub(crate) mod protection;
pub(crate) mod repositories;
pub(crate) mod rulesets;
pub(crate) mod teams;

pub(crate) use repositories::{BRANCH, INDEX, by_ids, listing};

/// The number of repositories in one query. GitHub ends a query after 10 s. Beadle halves a batch
/// that GitHub ended.
pub(crate) const BATCH: usize = 40;

/// Fields that older versions of Enterprise Server do not know. One unknown field fails a whole
/// query, so Beadle leaves out such a field, and its value is unknown.
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

/// Returns a document without a field. None of the optional fields has arguments or a selection.
pub(crate) fn without(document: &str, field: &str) -> String {
    let words = document.split_inclusive(char::is_whitespace);
    words.filter(|word| word.trim_end() != field).collect()
}

/// Which of these nodes are Apps. The nodes are [`TypedNode`].
pub(crate) const APPS: &str =
    "query ($ids: [ID!]!) { nodes(ids: $ids) { __typename ... on App { databaseId } } }";

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

#[cfg(test)]
mod tests {
    use super::protection::more_rules;
    use super::*;
    use crate::repository::Asks;

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
