//! Finds out which repository GitHub returns for a name, before Beadle creates a repository with
//! this name.
//!
//! <https://docs.github.com/graphql/reference/queries#repository>

use beadle_engine::{Class, Failure};
use serde::Deserialize;
use serde_json::json;

use crate::graphql::run;
use crate::read::Reader;
use crate::repository::Visibility;
use crate::shape::shape;

/// Finds the repository of a name. By default, GitHub follows renames and transfers.
const OCCUPANT: &str = "query ($org: String!, $name: String!) { repository(owner: $org, name: $name) { id databaseId name owner { login } } }";

const VISIBILITY: &str =
    "query ($owner: String!, $name: String!) { repository(owner: $owner, name: $name) { visibility } }";

/// The repository that GitHub returns for a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occupant {
    /// The immutable id of the repository.
    pub id: u64,
    /// The node id of the repository.
    pub node_id: String,
    /// The present owner. If the repository was transferred, this owner differs from the
    /// organisation.
    pub owner: String,
    /// The present name. If the repository was renamed, this name differs from the requested name.
    pub name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    id: String,
    database_id: u64,
    name: String,
    owner: Owner,
}

#[derive(Deserialize)]
struct Owner {
    login: String,
}

impl Reader {
    /// Returns the visibility of a repository. The repository can belong to any owner. Returns
    /// `None` if the repository does not exist, or if the credential cannot see it.
    pub async fn visibility_of(&self, owner: &str, name: &str) -> Result<Option<Visibility>, Failure> {
        const DOING: &str = "looking up a repository";
        let variables = json!({ "owner": owner, "name": name });
        let answer = run(self.api(), DOING, VISIBILITY, variables, false).await?;
        if let Some(error) = answer.error_at(&[json!("repository")]) {
            return if error.is_not_found() { Ok(None) } else { Err(error.failure(DOING)) };
        }
        let visibility = answer.data["repository"]["visibility"].as_str().and_then(|text| text.parse().ok());
        visibility.map(Some).ok_or_else(|| {
            Failure::new(
                Class::Retry,
                format!("{DOING}: GitHub does not show the visibility of {owner}/{name}"),
            )
        })
    }

    /// Returns the repository that has this name in the organisation now, or had this name before a
    /// rename or a transfer. Returns `None` if the credential can see no such repository.
    pub async fn occupant(&self, name: &str) -> Result<Option<Occupant>, Failure> {
        const DOING: &str = "looking up the name of a repository";
        let variables = json!({ "org": self.organisation(), "name": name });
        let answer = run(self.api(), DOING, OCCUPANT, variables, false).await?;
        if let Some(error) = answer.error_at(&[json!("repository")]) {
            return if error.is_not_found() { Ok(None) } else { Err(error.failure(DOING)) };
        }
        match shape(&answer.data["repository"]) {
            Some(Found { id: node_id, database_id: id, name, owner }) => {
                Ok(Some(Occupant { id, node_id, owner: owner.login, name }))
            }
            // An answer can lack both the repository and the reason why it is missing. The name
            // might then still be in use.
            None => Err(Failure::new(Class::Retry, format!("{DOING}: the answer is incomplete"))),
        }
    }
}
