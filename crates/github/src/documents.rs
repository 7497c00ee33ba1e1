//! The GraphQL documents and the types of their answers. One document reads many objects.
//!
//! GitHub computes the price of a query as the number of its connections divided by 100. A query
//! that reads all parts of 40 repositories costs approximately 11 points.

use serde::Deserialize;
use serde_json::Value;

pub(crate) mod files;
pub(crate) mod people;
pub(crate) mod protection;
pub(crate) mod repositories;
pub(crate) mod rulesets;
pub(crate) mod teams;

pub(crate) use repositories::{BRANCH, INDEX, by_ids, listing};

/// The number of repositories in one query. GitHub ends a query after 10 s. If GitHub ends a query,
/// Beadle splits the batch of the query in half.
pub(crate) const BATCH: usize = 40;

/// Fields that older versions of Enterprise Server do not know. If a query has one unknown field,
/// the whole query fails. So Beadle leaves out a field that the server does not know, and the value
/// of this field is unknown.
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

/// Returns a document without one field. The function supports only a field without arguments and
/// without a selection of fields. All optional fields are of this kind.
pub(crate) fn without(document: &str, field: &str) -> String {
    let words = document.split_inclusive(char::is_whitespace);
    words.filter(|word| word.trim_end() != field).collect()
}

/// Reads the types of nodes ([`TypedNode`]), to find the GitHub Apps among them.
pub(crate) const APPS: &str =
    "query ($ids: [ID!]!) { nodes(ids: $ids) { __typename ... on App { databaseId } } }";

/// An object. Beadle reads only the immutable id of this object.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Numbered {
    pub(crate) database_id: u64,
}

/// A node. Beadle reads only the type of this node.
#[derive(Deserialize)]
pub(crate) struct TypedNode {
    #[serde(rename = "__typename")]
    pub(crate) typename: String,
}

/// The answer to a query for several node ids. The answer has one entry for each id, in the order
/// of the ids.
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
