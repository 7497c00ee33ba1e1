//! Which teams have access to which repositories. One repository's teams are read by REST; many repositories' by
//! organisation, as a snapshot.

use std::collections::HashMap;

use beadle_engine::{Class, Failure};
use beadle_transport::Path;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::api::Api;
use crate::connection::{Tally, entries};
use crate::documents;
use crate::graphql::run;
use crate::repository::Permission;

/// A team's permission on a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeamPermission {
    /// The team's immutable id.
    pub id: u64,
    /// The team's slug.
    pub slug: String,
    /// What it may do.
    pub permission: Permission,
}

/// Every team's permissions, by repository id.
pub(crate) struct Snapshot {
    by_repository: HashMap<u64, Vec<TeamPermission>>,
    /// How many calls it took.
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
    /// How the team came to it: only what was granted on the repository itself can be taken from it.
    access_source: Option<String>,
}

/// The teams of one repository, now.
pub(crate) async fn of_repository(
    api: &Api,
    owner: &str,
    name: &str,
) -> Result<Vec<TeamPermission>, Failure> {
    let path = Path::at("repos").value(owner).value(name).then("teams?per_page=100");
    let rows: Vec<Row> = api.list(&path).await?;
    let direct =
        rows.into_iter().filter(|row| row.access_source.as_deref().is_none_or(|source| source == "direct"));
    Ok(direct.map(|row| TeamPermission { id: row.id, slug: row.slug, permission: row.permission.into() }).collect())
}

/// The teams of all repositories. `None`: they would not keep still while they were read.
pub(crate) async fn snapshot(api: &Api) -> Result<Option<Snapshot>, Failure> {
    const DOING: &str = "reading the organisation's teams";
    let mut snapshot = Snapshot { by_repository: HashMap::new(), calls: 0 };
    let mut after = Value::Null;
    let mut tally = Tally::default();
    loop {
        let variables = json!({ "org": api.organisation(), "after": after });
        let data = run(api, DOING, documents::TEAMS, variables, false).await?.whole(DOING)?;
        snapshot.calls += 1;
        let teams = &data["organization"]["teams"];
        let Ok(next) = tally.page(teams) else { return Ok(None) };
        for team in entries(teams) {
            if !read_team(api, team, &mut snapshot).await? {
                return Ok(None);
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

/// `false`: the list changed while it was read.
async fn read_team(api: &Api, team: &Value, snapshot: &mut Snapshot) -> Result<bool, Failure> {
    let (Some(team_id), Some(slug)) = (team["databaseId"].as_u64(), team["slug"].as_str()) else {
        let text = "reading the organisation's teams: an entry of the list lacks what identifies it";
        return Err(Failure::new(Class::Retry, text));
    };
    let doing = format!("reading the repositories of team {slug}");
    let mut page = team["repositories"].clone();
    let mut tally = Tally::default();
    loop {
        let Ok(next) = tally.page(&page) else { return Ok(false) };
        for edge in entries(&page) {
            // A repository that we may not see is no repository of ours.
            let Some(id) = edge["node"]["databaseId"].as_u64() else { continue };
            let permission = edge["permission"].as_str().unwrap_or_default().to_owned().into();
            snapshot
                .by_repository
                .entry(id)
                .or_default()
                .push(TeamPermission { id: team_id, slug: slug.to_owned(), permission });
        }
        let Some(after) = next else { break };
        let variables = json!({ "org": api.organisation(), "slug": slug, "after": after });
        let mut data =
            run(api, &doing, documents::TEAM_REPOSITORIES, variables, false).await?.whole(&doing)?;
        snapshot.calls += 1;
        page = data["organization"]["team"]["repositories"].take();
    }
    if tally.moved {
        return Ok(false);
    }
    tally.complete(&doing)?;
    Ok(true)
}
