//! Reads which teams have access to repositories. Beadle reads the teams of one repository by REST.
//! For many repositories, Beadle reads the teams of the whole organisation together into a
//! snapshot. If a team has a custom role, GraphQL shows only the base role, but REST shows the
//! custom role. So if the organisation possibly has custom roles, Beadle reads the snapshot by
//! REST.

use std::collections::HashMap;

use beadle_engine::{Class, Failure};
use beadle_transport::Path;
use futures::future::try_join_all;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::api::Api;
use crate::connection::{Tally, entries};
use crate::documents::teams::{RepositoryEdge, TEAM_REPOSITORIES, TEAMS, TeamRow};
use crate::graphql::run;
use crate::repository::Permission;
use crate::shape::shape;

/// A team's permission on a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeamPermission {
    /// The immutable id of the team.
    pub id: u64,
    /// The slug of the team.
    pub slug: String,
    /// The permission. The team can have two permissions: one that the team itself has, and one
    /// that it gets from the team above it. This field has the greater of the two permissions.
    pub permission: Permission,
    /// The slug of the team directly above the team.
    #[serde(default)]
    pub parent: Option<String>,
}

/// The permissions of all teams of the organisation. The keys are the ids of the repositories.
pub(crate) struct Snapshot {
    by_repository: HashMap<u64, Vec<TeamPermission>>,
    /// The number of calls that the read took.
    pub(crate) calls: usize,
}

impl Snapshot {
    pub(crate) fn of(&self, repository: u64) -> Vec<TeamPermission> {
        self.by_repository.get(&repository).cloned().unwrap_or_default()
    }
}

#[derive(Deserialize)]
struct Row {
    id: u64,
    slug: String,
    permission: String,
    /// The source of the team's access. Beadle can remove only access that the repository itself
    /// gives.
    access_source: Option<String>,
    parent: Option<Above>,
}

/// The team directly above a team.
#[derive(Deserialize)]
struct Above {
    slug: String,
}

/// One repository in REST's list of a team's repositories.
#[derive(Deserialize)]
struct Granted {
    id: u64,
    role_name: Option<String>,
}

/// The number of custom repository roles in an organisation.
#[derive(Deserialize)]
struct CustomRoles {
    total_count: u64,
}

/// The number of lists that Beadle reads at the same time.
const AT_ONCE: usize = 16;

/// Returns whether the organisation possibly has custom repository roles. A GitHub server without
/// custom roles answers 404. If the credential lacks the permission for this call (403), the result
/// is `true`.
async fn may_have_custom_roles(api: &Api) -> Result<bool, Failure> {
    match api.read(&Path::at("orgs").value(api.organisation()).then("custom-repository-roles")).await {
        Ok(answer) => {
            let roles: Value = answer.json().map_err(Failure::from)?;
            Ok(shape(&roles).is_none_or(|CustomRoles { total_count }| total_count != 0))
        }
        Err(error) if error.status() == Some(404) => Ok(false),
        Err(error) if error.status() == Some(403) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// Reads the repositories of a team by REST. REST shows the names of custom roles. The function
/// also returns the team's slug. Returns `None` if the team no longer exists or was renamed.
async fn granted(api: &Api, team: &TeamRow) -> Result<Option<(String, Vec<Granted>)>, Failure> {
    let slug = team.slug.as_deref().unwrap_or_default();
    let path =
        Path::at("orgs").value(api.organisation()).then("teams").value(slug).then("repos?per_page=100");
    match api.list(&path).await {
        Ok(rows) => Ok(Some((slug.to_owned(), rows))),
        Err(error) if error.status() == Some(404) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Returns whether a list has as many rows as GraphQL counts. GraphQL can also count repositories
/// that Beadle cannot see. The function then cannot compare the numbers, and returns `true`.
fn is_complete(repositories: &Value, rows: usize) -> bool {
    let is_hidden = |edge: &Value| edge["node"]["databaseId"].is_null();
    entries(repositories).iter().any(is_hidden) || repositories["totalCount"] == json!(rows)
}

/// Reads the repositories of teams by REST and adds them to the snapshot. Returns `false` if a list
/// changed during the read.
async fn read_by_rest(api: &Api, teams: &[TeamRow], snapshot: &mut Snapshot) -> Result<bool, Failure> {
    for teams in teams.chunks(AT_ONCE) {
        let lists = try_join_all(teams.iter().map(|team| granted(api, team))).await?;
        for (team, list) in teams.iter().zip(lists) {
            let Some((slug, rows)) = list else { return Ok(false) };
            if !is_complete(&team.repositories, rows.len()) {
                return Ok(false);
            }
            snapshot.calls += 1;
            for row in rows {
                // If a row has no role, the permission is unknown, and Beadle reads the teams of
                // this repository separately.
                let permission = row.role_name.unwrap_or_default().into();
                let Some(id) = team.database_id else { return Ok(false) };
                let parent = team.parent_team.as_ref().map(|parent| parent.slug.clone());
                let team = TeamPermission { id, slug: slug.clone(), permission, parent };
                snapshot.by_repository.entry(row.id).or_default().push(team);
            }
        }
    }
    Ok(true)
}

/// Reads the teams that have access to one repository.
pub(crate) async fn of_repository(
    api: &Api,
    owner: &str,
    name: &str,
) -> Result<Vec<TeamPermission>, Failure> {
    let path = Path::at("repos").value(owner).value(name).then("teams?per_page=100");
    let rows: Vec<Row> = api.list(&path).await?;
    let is_direct = |row: &Row| row.access_source.as_deref().is_none_or(|source| source == "direct");
    let direct: Vec<Row> = rows.into_iter().filter(is_direct).collect();
    let team = |row: Row| TeamPermission {
        id: row.id,
        slug: row.slug,
        permission: row.permission.into(),
        parent: row.parent.map(|above| above.slug),
    };
    Ok(direct.into_iter().map(team).collect())
}

/// Reads the teams of all repositories. Returns `None` if a list changed during the read.
pub(crate) async fn snapshot(api: &Api) -> Result<Option<Snapshot>, Failure> {
    const DOING: &str = "reading the organisation's teams";
    let mut snapshot = Snapshot { by_repository: HashMap::new(), calls: 1 };
    let by_rest = may_have_custom_roles(api).await?;
    let mut after = Value::Null;
    let mut tally = Tally::default();
    loop {
        let variables = json!({ "org": api.organisation(), "after": after });
        let data = run(api, DOING, TEAMS, variables, false).await?.whole(DOING)?;
        snapshot.calls += 1;
        let page = data.pointer("/organization/teams").unwrap_or(&Value::Null);
        let Ok(next) = tally.page(page) else { return Ok(None) };
        let teams: Vec<TeamRow> = entries(page).iter().map(|row| shape(row).unwrap_or_default()).collect();
        if by_rest {
            if !read_by_rest(api, &teams, &mut snapshot).await? {
                return Ok(None);
            }
        } else {
            for team in teams {
                if !read_team(api, team, &mut snapshot).await? {
                    return Ok(None);
                }
            }
        }
        if let Some(cursor) = next {
            after = cursor;
        } else if tally.moved {
            return Ok(None);
        } else {
            tally.complete(DOING)?;
            return Ok(Some(snapshot));
        }
    }
}

/// Adds the repositories of one team to the snapshot. Returns `false` if the list changed during
/// the read.
async fn read_team(api: &Api, team: TeamRow, snapshot: &mut Snapshot) -> Result<bool, Failure> {
    let TeamRow { database_id: Some(team_id), slug: Some(slug), parent_team, repositories: mut page } = team
    else {
        let text = "reading the organisation's teams: an entry of the list has no identity";
        return Err(Failure::new(Class::Retry, text));
    };
    let parent = parent_team.map(|parent| parent.slug);
    let doing = format!("reading the repositories of team {slug}");
    let mut tally = Tally::default();
    loop {
        let Ok(next) = tally.page(&page) else { return Ok(false) };
        for RepositoryEdge { node, permission } in entries(&page).iter().filter_map(shape) {
            // Beadle cannot see this repository, so Beadle does not manage the repository.
            let Some(repository) = node else { continue };
            snapshot.by_repository.entry(repository.database_id).or_default().push(TeamPermission {
                id: team_id,
                slug: slug.clone(),
                permission: permission.unwrap_or_default().into(),
                parent: parent.clone(),
            });
        }
        let Some(after) = next else { break };
        let variables = json!({ "org": api.organisation(), "slug": slug, "after": after });
        let mut data = run(api, &doing, TEAM_REPOSITORIES, variables, false).await?.whole(&doing)?;
        snapshot.calls += 1;
        let further = data.pointer_mut("/organization/team/repositories");
        page = further.map(Value::take).unwrap_or_default();
    }
    if tally.moved {
        return Ok(false);
    }
    tally.complete(&doing)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use beadle_engine::{Budgets, Clock, Time};
    use beadle_transport::ClientSettings;
    use beadle_transport::testing::Recorder;
    use secrecy::SecretString;

    use super::*;
    use crate::auth::Credential;
    use crate::endpoint::Endpoint;

    #[test]
    fn a_list_shorter_than_its_count_is_no_snapshot() {
        let edge = |id: Value| json!({ "permission": "WRITE", "node": { "databaseId": id } });
        let team = |total: u64, edges: &[Value]| json!({ "totalCount": total, "edges": edges });
        assert!(is_complete(&team(1, &[edge(json!(5))]), 1));
        assert!(!is_complete(&team(2, &[edge(json!(5)), edge(json!(6))]), 1));
        assert!(
            is_complete(&team(2, &[edge(json!(5)), edge(Value::Null)]), 1),
            "a repository that Beadle may not see"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_team_deleted_before_its_list_is_read_is_a_change_and_no_failure() {
        let page = |nodes: Value| {
            let info = json!({ "hasNextPage": false, "endCursor": null });
            json!({ "totalCount": nodes.as_array().unwrap().len(), "pageInfo": info, "nodes": nodes })
        };
        let team = json!({ "databaseId": 5, "slug": "core", "repositories": page(json!([])) });
        let teams = json!({ "data": { "organization": { "teams": page(json!([team])) } } });
        let wire = Recorder::new(move |arrived| match arrived.segments.last().map(String::as_str) {
            Some("custom-repository-roles") => (200, json!({ "total_count": 1 })),
            Some("repos") => (404, json!({ "message": "Not Found" })),
            _ => (200, teams.clone()),
        });
        let settings = ClientSettings { wire: Some(wire), ..ClientSettings::default() };
        let token = Credential::Token(SecretString::from("token"));
        let (endpoint, budgets) = (Endpoint::new("https://github.test"), Budgets::new("acme", 0));
        let clock = Clock::simulated(Time(0));
        let api = Api::new(&endpoint, "acme", token, budgets, &clock, settings).unwrap();
        assert!(snapshot(&api).await.unwrap().is_none());
    }
}
