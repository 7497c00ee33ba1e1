//! Which teams have access to which repositories. One repository's teams are read by REST; many repositories' by
//! organisation, as a snapshot.

use std::collections::HashMap;

use beadle_engine::Failure;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::api::{Api, segment};
use crate::connection::{Tally, entries, next};
use crate::documents;
use crate::graphql::run;
use crate::repository::Permission;

/// A team's permission on a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeamPermission {
    /// The team's slug.
    pub slug: String,
    /// What it may do: the greater of what it was granted and of what the team above it may do.
    pub permission: Permission,
    /// The slug of the team above it.
    #[serde(default)]
    pub parent: Option<String>,
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
    slug: String,
    permission: String,
    /// How the team came to it: only what was granted on the repository itself can be taken from it.
    access_source: Option<String>,
    parent: Option<Above>,
}

/// The team above another one.
#[derive(Deserialize)]
struct Above {
    slug: String,
}

/// The teams of one repository, now.
pub(crate) async fn of_repository(
    api: &Api,
    owner: &str,
    name: &str,
) -> Result<Vec<TeamPermission>, Failure> {
    let path = format!("repos/{}/{}/teams?per_page=100", segment(owner), segment(name));
    let rows: Vec<Row> = api.list(&path).await?;
    let direct =
        rows.into_iter().filter(|row| row.access_source.as_deref().is_none_or(|source| source == "direct"));
    let team = |row: Row| TeamPermission {
        slug: row.slug,
        permission: row.permission.into(),
        parent: row.parent.map(|above| above.slug),
    };
    Ok(direct.map(team).collect())
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
        tally.page(teams);
        for team in entries(teams) {
            if !read_team(api, team, &mut snapshot).await? {
                return Ok(None);
            }
        }
        if let Some(cursor) = next(teams)? {
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
    let slug = team["slug"].as_str().unwrap_or_default();
    let parent = team["parentTeam"]["slug"].as_str().map(str::to_owned);
    let doing = format!("reading the repositories of team {slug}");
    let mut page = team["repositories"].clone();
    let mut tally = Tally::default();
    loop {
        tally.page(&page);
        for edge in entries(&page) {
            // A repository that we may not see is no repository of ours.
            let Some(id) = edge["node"]["databaseId"].as_u64() else { continue };
            let permission = edge["permission"].as_str().unwrap_or_default().to_owned().into();
            snapshot.by_repository.entry(id).or_default().push(TeamPermission {
                slug: slug.to_owned(),
                permission,
                parent: parent.clone(),
            });
        }
        let Some(after) = next(&page)? else { break };
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
