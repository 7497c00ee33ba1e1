//! The documents that read the access of teams to repositories, and the types of their answers.

use serde::Deserialize;
use serde_json::Value;

use super::Numbered;
use crate::shape::{object, optional};

/// Reads the teams of an organisation ([`TeamRow`]), with the first page of each team's
/// repositories.
pub(crate) const TEAMS: &str = "query ($org: String!, $after: String) {
    organization(login: $org) {
        teams(first: 100, after: $after, orderBy: {field: NAME, direction: ASC}) {
            totalCount pageInfo { hasNextPage endCursor }
            nodes {
                databaseId slug parentTeam { slug }
                repositories(first: 100, orderBy: {field: CREATED_AT, direction: ASC}) {
                    totalCount pageInfo { hasNextPage endCursor } edges { permission node { databaseId } }
                }
            }
        }
    }
}";

/// A team. No field is required, because two functions read this row. Each function treats a team
/// without an identity in its own way.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct TeamRow {
    #[serde(deserialize_with = "optional")]
    pub(crate) database_id: Option<u64>,
    #[serde(deserialize_with = "optional")]
    pub(crate) slug: Option<String>,
    #[serde(deserialize_with = "object")]
    pub(crate) parent_team: Option<ParentTeam>,
    /// The first page of the team's repositories ([`RepositoryEdge`]).
    pub(crate) repositories: Value,
}

/// The team directly above a team.
#[derive(Deserialize)]
pub(crate) struct ParentTeam {
    pub(crate) slug: String,
}

/// Reads a further page of one team's repositories ([`RepositoryEdge`]).
pub(crate) const TEAM_REPOSITORIES: &str = "query ($org: String!, $slug: String!, $after: String) {
    organization(login: $org) {
        team(slug: $slug) {
            repositories(first: 100, after: $after, orderBy: {field: CREATED_AT, direction: ASC}) {
                totalCount pageInfo { hasNextPage endCursor } edges { permission node { databaseId } }
            }
        }
    }
}";

/// A repository of a team. `node` is `None` if Beadle cannot see the repository.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct RepositoryEdge {
    #[serde(deserialize_with = "optional")]
    pub(crate) permission: Option<String>,
    #[serde(deserialize_with = "object")]
    pub(crate) node: Option<Numbered>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::shape::shape;

    #[test]
    fn a_repository_that_beadle_may_not_see_has_no_node() {
        let id =
            |row: Value| shape(&row).and_then(|edge: RepositoryEdge| edge.node).map(|node| node.database_id);
        assert_eq!(id(json!({ "permission": "WRITE", "node": { "databaseId": 5 } })), Some(5));
        for node in
            [Value::Null, json!({}), json!({ "databaseId": null }), json!({ "databaseId": "5" }), json!(5)]
        {
            assert_eq!(id(json!({ "permission": "WRITE", "node": node })), None, "{node}");
        }
    }

    #[test]
    fn a_team_without_an_identity_is_read_and_says_so() {
        for value in [Value::Null, json!(true), json!({})] {
            let row =
                json!({ "databaseId": value, "slug": value, "parentTeam": value, "repositories": value });
            let team: TeamRow = shape(&row).unwrap();
            assert!(team.database_id.is_none() && team.slug.is_none() && team.parent_team.is_none(), "{row}");
        }
    }
}
