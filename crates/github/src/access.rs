//! Finds out which accounts and teams can write to a repository, and which roles they have.

use beadle_engine::Failure;
use beadle_transport::Path;
use serde::Deserialize;
use serde_json::Value;

use crate::read::Reader;
use crate::repository::Permission;
use crate::shape::{object, optional, shape};

/// GitHub's report of an account's access to a repository.
#[derive(Deserialize)]
struct UserAccess {
    /// The role: `admin`, `write`, `read` or `none`. For a custom role, GitHub reports the base
    /// role.
    permission: String,
}

/// The part of GitHub's answer that contains the role of a team on a repository.
#[derive(Default, Deserialize)]
#[serde(default)]
struct TeamAccess {
    #[serde(deserialize_with = "optional")]
    role_name: Option<String>,
    #[serde(deserialize_with = "object")]
    permissions: Option<TeamPermissions>,
}

#[derive(Deserialize)]
struct TeamPermissions {
    push: bool,
}

impl Reader {
    /// Returns whether an account can write to a repository. The repository, a team or the
    /// organisation can give this access to the account. If the role is a custom role, the method
    /// uses its base role.
    ///
    /// <https://docs.github.com/rest/collaborators/collaborators#get-repository-permissions-for-a-user>
    pub async fn user_writes(&self, login: &str, owner: &str, name: &str) -> Result<bool, Failure> {
        let path =
            Path::at("repos").value(owner).value(name).then("collaborators").value(login).then("permission");
        match self.api().read(&path).await {
            Ok(answer) => {
                let access: Value = answer.json().map_err(Failure::from)?;
                let writes = |access: UserAccess| matches!(access.permission.as_str(), "admin" | "write");
                Ok(shape(&access).is_some_and(writes))
            }
            Err(error) if error.status() == Some(404) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the role of a team on a repository, or `None` if the team has no role there. If the
    /// role is a custom role, the method returns the name of the custom role.
    pub async fn team_role(
        &self,
        slug: &str,
        owner: &str,
        name: &str,
    ) -> Result<Option<Permission>, Failure> {
        let access = self.team_access(slug, owner, name).await?;
        Ok(access.and_then(|access| access.role_name).map(Permission::from))
    }

    /// Returns whether a team can write to a repository. If the role is a custom role, the method
    /// uses its base role.
    pub async fn team_writes(&self, slug: &str, owner: &str, name: &str) -> Result<bool, Failure> {
        let access = self.team_access(slug, owner, name).await?;
        Ok(access.and_then(|access| access.permissions).is_some_and(|permissions| permissions.push))
    }

    /// Returns the access of a team to a repository, or `None` if the team has no access.
    async fn team_access(&self, slug: &str, owner: &str, name: &str) -> Result<Option<TeamAccess>, Failure> {
        let team = Path::at("orgs").value(self.organisation()).then("teams").value(slug);
        let path = team.then("repos").value(owner).value(name);
        match self.api().get_accepting(&path, "application/vnd.github.v3.repository+json").await {
            Ok(answer) => {
                let access: Value = answer.json().map_err(Failure::from)?;
                Ok(Some(shape(&access).unwrap_or_default()))
            }
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn access_that_github_does_not_show_is_no_access() {
        let role = |row: Value| shape(&row).and_then(|access: TeamAccess| access.role_name);
        let push =
            |row: Value| shape(&row).and_then(|access: TeamAccess| access.permissions).map(|all| all.push);
        let row = json!({ "role_name": "security", "permissions": { "push": true } });
        assert_eq!((role(row.clone()), push(row)), (Some("security".to_owned()), Some(true)));
        for row in [
            json!({}),
            json!({ "role_name": null, "permissions": null }),
            json!({ "role_name": 7, "permissions": { "push": "true" } }),
            json!({ "permissions": [true] }),
        ] {
            assert_eq!((role(row.clone()), push(row.clone())), (None, None), "{row}");
        }
        for row in [json!({ "permission": null }), json!({ "role_name": "admin" }), Value::Null] {
            assert!(shape::<UserAccess>(&row).is_none(), "{row}");
        }
    }
}
