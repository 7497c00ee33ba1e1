//! Which teams have access to which repositories. One repository's teams are read by REST; many repositories' by
//! organisation, as a snapshot.

use std::collections::HashMap;

use beadle_engine::{Class, Failure};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::api::{Api, segment};
use crate::documents;
use crate::graphql::run;
use crate::repository::Permission;

/// A team's permission on a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeamPermission {
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
    let path = format!("repos/{}/{}/teams?per_page=100", segment(owner), segment(name));
    let rows: Vec<Row> = api.list(&path).await?;
    let direct =
        rows.into_iter().filter(|row| row.access_source.as_deref().is_none_or(|source| source == "direct"));
    Ok(direct.map(|row| TeamPermission { slug: row.slug, permission: row.permission.into() }).collect())
}

/// The teams of all repositories.
pub(crate) async fn snapshot(api: &Api) -> Result<Snapshot, Failure> {
    const DOING: &str = "reading the organisation's teams";
    let mut snapshot = Snapshot { by_repository: HashMap::new(), calls: 0 };
    let mut after = Value::Null;
    let mut seen = 0;
    loop {
        let variables = json!({ "org": api.organisation(), "after": after });
        let data = run(api, DOING, documents::TEAMS, variables, false).await?.whole(DOING)?;
        snapshot.calls += 1;
        let teams = &data["organization"]["teams"];
        for team in teams["nodes"].as_array().into_iter().flatten() {
            seen += 1;
            read_team(api, team, &mut snapshot).await?;
        }
        if let Some(cursor) = next(teams)? {
            after = cursor;
        } else {
            complete(DOING, seen, teams)?;
            return Ok(snapshot);
        }
    }
}

async fn read_team(api: &Api, team: &Value, snapshot: &mut Snapshot) -> Result<(), Failure> {
    let slug = team["slug"].as_str().unwrap_or_default();
    let doing = format!("reading the repositories of team {slug}");
    let mut page = team["repositories"].clone();
    let mut seen = 0;
    loop {
        for edge in page["edges"].as_array().into_iter().flatten() {
            seen += 1;
            // A repository that we may not see is no repository of ours.
            let Some(id) = edge["node"]["databaseId"].as_u64() else { continue };
            let permission = edge["permission"].as_str().unwrap_or_default().to_owned().into();
            snapshot
                .by_repository
                .entry(id)
                .or_default()
                .push(TeamPermission { slug: slug.to_owned(), permission });
        }
        let Some(after) = next(&page)? else { break };
        let variables = json!({ "org": api.organisation(), "slug": slug, "after": after });
        let mut data =
            run(api, &doing, documents::TEAM_REPOSITORIES, variables, false).await?.whole(&doing)?;
        snapshot.calls += 1;
        page = data["organization"]["team"]["repositories"].take();
    }
    complete(&doing, seen, &page)
}

/// The cursor of a connection's next page.
pub(crate) fn next(connection: &Value) -> Result<Option<Value>, Failure> {
    let info = &connection["pageInfo"];
    match (info["hasNextPage"].as_bool(), &info["endCursor"]) {
        (Some(false), _) => Ok(None),
        (Some(true), cursor) if cursor.is_string() => Ok(Some(cursor.clone())),
        _ => Err(Failure::new(Class::Retry, "a page of the answer does not say whether another follows")),
    }
}

/// A list that is shorter than its `totalCount` is unknown.
pub(crate) fn complete(doing: &str, seen: usize, connection: &Value) -> Result<(), Failure> {
    let total = connection["totalCount"].as_u64().unwrap_or(u64::MAX);
    if seen as u64 >= total {
        return Ok(());
    }
    let text = format!("{doing}: the list came back short ({seen} of {total})");
    Err(Failure::new(Class::Retry, text))
}
