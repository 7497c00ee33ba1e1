//! Reads the groups of the identity provider that can set the members of teams. Only enterprises with
//! managed users have such groups. Each read is one conditional call.
//!
//! <https://docs.github.com/enterprise-cloud@latest/rest/teams/external-groups>

use beadle_engine::{Class, Failure};
use beadle_github::Path;
use serde_json::Value;

use super::TeamReader;

impl TeamReader {
    /// Returns the name of the group with which a team is connected.
    pub(super) async fn connected_with(&self, slug: &str) -> Result<Option<String>, Failure> {
        let path = Path::at("teams").value(slug).then("external-groups");
        let seen = self.github.of_organisation(path).await?;
        let groups = seen["groups"].as_array().ok_or_else(unreadable)?;
        let name = groups.first().map(|group| group["group_name"].as_str().ok_or_else(unreadable));
        Ok(name.transpose()?.map(str::to_owned))
    }

    /// Returns the id of the group with this name.
    pub(super) async fn external_group_named(&self, name: &str) -> Result<u64, Failure> {
        // GitHub returns all groups whose names contain the text.
        let path = Path::at("external-groups").query("display_name", name).query("per_page", 100);
        let seen = self.github.of_organisation(path).await?;
        let groups = seen["groups"].as_array().ok_or_else(unreadable)?;
        let ids: Vec<&Value> = groups
            .iter()
            .filter(|group| group["group_name"] == name)
            .map(|group| &group["group_id"])
            .collect();
        let [id] = ids.as_slice() else {
            let found = ids.len();
            let text =
                format!("expected one group `{name}` of the identity provider at GitHub, found {found}");
            return Err(Failure::new(Class::Rejected, text));
        };
        id.as_u64().ok_or_else(unreadable)
    }
}

fn unreadable() -> Failure {
    Failure::new(Class::Retry, "GitHub's list of external groups is incomplete")
}
