//! Who may write to a repository, and with which role.

use beadle_engine::Failure;
use beadle_transport::Path;
use serde_json::Value;

use crate::read::Reader;
use crate::repository::Permission;

impl Reader {
    /// Whether somebody may write to one repository, by any way. A custom role counts by what it is based on.
    ///
    /// <https://docs.github.com/rest/collaborators/collaborators#get-repository-permissions-for-a-user>
    pub async fn user_writes(&self, login: &str, owner: &str, name: &str) -> Result<bool, Failure> {
        let path =
            Path::at("repos").value(owner).value(name).then("collaborators").value(login).then("permission");
        match self.api().read(&path).await {
            Ok(answer) => {
                let access: Value = answer.json().map_err(Failure::from)?;
                Ok(matches!(access["permission"].as_str(), Some("admin" | "write")))
            }
            Err(error) if error.status() == Some(404) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// A team's role on one repository, custom roles by their own name; `None` when it has none.
    pub async fn team_role(
        &self,
        slug: &str,
        owner: &str,
        name: &str,
    ) -> Result<Option<Permission>, Failure> {
        let access = self.team_access(slug, owner, name).await?;
        Ok(access.and_then(|access| access["role_name"].as_str().map(|role| role.to_owned().into())))
    }

    /// Whether a team may write to one repository. A custom role counts by what it is based on.
    pub async fn team_writes(&self, slug: &str, owner: &str, name: &str) -> Result<bool, Failure> {
        let access = self.team_access(slug, owner, name).await?;
        Ok(access.is_some_and(|access| access["permissions"]["push"] == true))
    }

    /// A repository as it is shown to a team; `None` where the team has no access.
    async fn team_access(&self, slug: &str, owner: &str, name: &str) -> Result<Option<Value>, Failure> {
        let team = Path::at("orgs").value(self.organisation()).then("teams").value(slug);
        let path = team.then("repos").value(owner).value(name);
        match self.api().get_accepting(&path, "application/vnd.github.v3.repository+json").await {
            Ok(answer) => answer.json().map(Some).map_err(Failure::from),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
