//! A repository from GraphQL's node: each part is known, or unknown and why.

use std::sync::Arc;

use beadle_engine::{Class, Failure};
use serde_json::{Map, Value, json};

use crate::api::Api;
use crate::connection::{Tally, each, entries};
use crate::documents;
use crate::graphql::{PartialAnswer, run};
use crate::repository::{
    Actor, ActorKind, Allowances, Asks, Collaborator, Known, Label, Repository, Rule, StatusCheck, Visibility,
};
use crate::rulesets::Ruleset;
use crate::unsure::Unsure;

/// A failed part is unknown; a used-up budget is a reason to come back later.
pub(crate) fn unless_limited(failure: &Failure) -> Result<Unsure, Failure> {
    match failure.class {
        Class::RateLimited { .. } => Err(failure.clone()),
        _ => Ok(Unsure::of(failure, failure.text.clone())),
    }
}

/// A repository from its node, with every list read to its end.
pub(crate) async fn assemble(
    api: &Api,
    node: &Value,
    asks: Asks,
    answer: &PartialAnswer,
    path: &[Value],
) -> Result<Repository, Failure> {
    const DOING: &str = "reading a repository";
    let error_of = |part: &str| {
        let mut path = path.to_vec();
        path.push(json!(part));
        answer.error_at(&path).map(|error| Unsure::of(&error.failure(DOING), error.message.clone()))
    };
    let (Some(id), Some(node_id), Some(name)) =
        (node["databaseId"].as_u64(), node["id"].as_str(), node["name"].as_str())
    else {
        let error = answer.error_at(path).map(|error| error.failure(DOING));
        return Err(
            error.unwrap_or_else(|| Failure::new(Class::Retry, format!("{DOING}: the answer lacks its id")))
        );
    };
    let visibility: Visibility = node["visibility"]
        .as_str()
        .unwrap_or_default()
        .parse()
        .map_err(|error| Failure::new(Class::Retry, format!("{DOING} {name}: {error}")))?;
    let default_branch = node["defaultBranchRef"]["name"].as_str().map(str::to_owned);
    let mut repository = Repository {
        id,
        node_id: node_id.to_owned(),
        name: name.to_owned(),
        owner: node["owner"]["login"].as_str().unwrap_or_default().to_owned(),
        archived: node["isArchived"].as_bool().unwrap_or(false),
        fork: node["isFork"].as_bool().unwrap_or(false),
        visibility,
        settings: settings(node, visibility, default_branch.as_deref()),
        rest_settings: Known::NotAsked,
        default_branch,
        topics: Known::NotAsked,
        teams: Known::NotAsked,
        has_age: false,
        missing: Arc::default(),
        collaborators: Known::NotAsked,
        invitations: Known::NotAsked,
        protection: Known::NotAsked,
        created_at: node["createdAt"].as_str().unwrap_or_default().to_owned(),
        vulnerability_alerts: node["hasVulnerabilityAlertsEnabled"].as_bool(),
        labels: Known::NotAsked,
        rulesets: Known::NotAsked,
        properties: Known::NotAsked,
    };
    if asks.topics {
        let read = async {
            let rows =
                rows(api, node_id, &node["repositoryTopics"], documents::MORE_TOPICS, "topics").await?;
            each(&rows, DOING, |row| row["topic"]["name"].as_str().map(str::to_owned))
        };
        repository.topics = part(error_of("repositoryTopics"), read).await?;
    }
    if asks.labels {
        let read = async {
            let rows = rows(api, node_id, &node["labels"], documents::MORE_LABELS, "labels").await?;
            each(&rows, DOING, label)
        };
        repository.labels = part(error_of("labels"), read).await?;
    }
    if asks.rulesets {
        let read = async {
            let more = documents::more_rulesets();
            let rows = rows(api, node_id, &node["rulesets"], &more, "rulesets").await?;
            let mut rulesets = Vec::with_capacity(rows.len());
            for row in &rows {
                rulesets.push(ruleset(api, row).await?);
            }
            Ok(rulesets)
        };
        repository.rulesets = part(error_of("rulesets"), read).await?;
    }
    if asks.collaborators {
        let read = async {
            let rows =
                rows(api, node_id, &node["collaborators"], documents::MORE_COLLABORATORS, "collaborators")
                    .await?;
            let all = each(&rows, DOING, collaborator)?;
            Ok(all.into_iter().filter_map(Access::of_its_own).collect())
        };
        repository.collaborators = part(error_of("collaborators"), read).await?;
    }
    if asks.protection {
        let read = async {
            let more = documents::more_rules();
            let rows = rows(api, node_id, &node["branchProtectionRules"], &more, "branch protection").await?;
            let mut rules = Vec::with_capacity(rows.len());
            for row in &rows {
                rules.push(rule(api, row).await?);
            }
            Ok(rules)
        };
        repository.protection = part(error_of("branchProtectionRules"), read).await?;
    }
    Ok(repository)
}

fn label(row: &Value) -> Option<Label> {
    Some(Label {
        name: row["name"].as_str()?.to_owned(),
        color: row["color"].as_str()?.to_owned(),
        description: row["description"].as_str().map(str::to_owned),
    })
}

async fn ruleset(api: &Api, node: &Value) -> Result<Ruleset, Failure> {
    let id = node["id"].as_str().unwrap_or_default();
    let rules =
        rows(api, id, &node["rules"], &documents::more_ruleset_rules(), "the rules of a ruleset").await?;
    let more = documents::more_bypass_actors();
    let actors = rows(api, id, &node["bypassActors"], &more, "who may bypass a ruleset").await?;
    crate::rulesets::ruleset(node, &rules, &actors)
        .ok_or_else(|| Failure::new(Class::Retry, "reading rulesets: one of them has no id or no name"))
}

pub(crate) async fn part<T>(
    error: Option<Unsure>,
    read: impl Future<Output = Result<T, Failure>>,
) -> Result<Known<T>, Failure> {
    if let Some(error) = error {
        return Ok(Known::Unknown(error));
    }
    match read.await {
        Ok(read) => Ok(Known::Known(read)),
        Err(failure) => unless_limited(&failure).map(Known::Unknown),
    }
}

/// Every row of a connection, page by page, checked against its `totalCount`.
async fn rows(api: &Api, owner: &str, first: &Value, more: &str, what: &str) -> Result<Vec<Value>, Failure> {
    let doing = format!("reading {what}");
    let mut rows = Vec::new();
    let mut page = first.clone();
    let mut tally = Tally::default();
    loop {
        let next = tally.page(&page).map_err(|failure| failure.during(&doing))?;
        rows.extend_from_slice(entries(&page));
        let Some(after) = next else { break };
        let variables = json!({ "id": owner, "after": after });
        let mut data = run(api, &doing, more, variables, false).await?.whole(&doing)?;
        page = data["node"]["page"].take();
    }
    tally.complete(&doing)?;
    Ok(rows)
}

/// How somebody comes to a repository.
enum Access {
    /// By a grant on the repository itself.
    Own(Collaborator),
    /// By a team, the organisation or ownership: that is no business of the list of collaborators.
    Other,
}

impl Access {
    fn of_its_own(self) -> Option<Collaborator> {
        match self {
            Self::Own(collaborator) => Some(collaborator),
            Self::Other => None,
        }
    }
}

fn collaborator(edge: &Value) -> Option<Access> {
    let login = edge["node"]["login"].as_str()?.to_owned();
    let id = edge["node"]["databaseId"].as_u64()?;
    let mut sources = edge["permissionSources"].as_array()?.iter();
    let Some(own) = sources.find(|source| source["source"]["__typename"] == "Repository") else {
        return Some(Access::Other);
    };
    let role = own["roleName"].as_str().or(own["permission"].as_str())?;
    Some(Access::Own(Collaborator { id, login, permission: role.to_owned().into() }))
}

async fn rule(api: &Api, node: &Value) -> Result<Rule, Failure> {
    let id = node["id"].as_str().unwrap_or_default();
    let mut hidden = Vec::new();
    let mut allowances = Allowances::default();
    for (list, actors) in [
        ("pushAllowances", &mut allowances.push),
        ("reviewDismissalAllowances", &mut allowances.dismissal),
        ("bypassPullRequestAllowances", &mut allowances.bypass_pull_request),
        ("bypassForcePushAllowances", &mut allowances.bypass_force_push),
    ] {
        let rows = rows(api, id, &node[list], &documents::more_actors(list), list).await?;
        *actors = rows.iter().filter_map(|row| actor(&row["actor"])).collect();
        if actors.len() < rows.len() {
            hidden.push(list.to_owned());
        }
    }
    let fields = node.as_object().into_iter().flatten();
    let fields = fields.filter(|(_, value)| value.is_boolean() || value.is_number());
    let checks = node["requiredStatusChecks"].as_array().into_iter().flatten();
    let environments = node["requiredDeploymentEnvironments"].as_array().into_iter().flatten();
    Ok(Rule {
        id: id.to_owned(),
        pattern: node["pattern"].as_str().unwrap_or_default().to_owned(),
        fields: fields.map(|(name, value)| (name.clone(), value.clone())).collect(),
        checks: checks
            .map(|check| StatusCheck {
                context: check["context"].as_str().unwrap_or_default().to_owned(),
                app_id: check["app"]["databaseId"].as_i64(),
                app_node: check["app"]["id"].as_str().map(str::to_owned),
            })
            .collect(),
        environments: environments.filter_map(|name| name.as_str().map(str::to_owned)).collect(),
        allowances,
        hidden,
    })
}

fn actor(node: &Value) -> Option<Actor> {
    let (kind, name) = match node["__typename"].as_str()? {
        "App" => (ActorKind::App, &node["slug"]),
        "Team" => (ActorKind::Team, &node["slug"]),
        "User" => (ActorKind::User, &node["login"]),
        _ => return None,
    };
    Some(Actor {
        kind,
        name: name.as_str()?.to_owned(),
        id: node["id"].as_str().map(str::to_owned),
        number: node["databaseId"].as_u64(),
    })
}

/// GraphQL's names of what the body of `PATCH /repos/{owner}/{repo}` calls otherwise.
const NAMES: &[(&str, &str)] = &[
    ("name", "name"),
    ("description", "description"),
    ("homepage", "homepageUrl"),
    ("private", "isPrivate"),
    ("archived", "isArchived"),
    ("has_issues", "hasIssuesEnabled"),
    ("has_projects", "hasProjectsEnabled"),
    ("has_wiki", "hasWikiEnabled"),
    ("has_discussions", "hasDiscussionsEnabled"),
    ("is_template", "isTemplate"),
    ("allow_squash_merge", "squashMergeAllowed"),
    ("allow_merge_commit", "mergeCommitAllowed"),
    ("allow_rebase_merge", "rebaseMergeAllowed"),
    ("allow_auto_merge", "autoMergeAllowed"),
    ("delete_branch_on_merge", "deleteBranchOnMerge"),
    ("allow_update_branch", "allowUpdateBranch"),
    ("squash_merge_commit_title", "squashMergeCommitTitle"),
    ("squash_merge_commit_message", "squashMergeCommitMessage"),
    ("merge_commit_title", "mergeCommitTitle"),
    ("merge_commit_message", "mergeCommitMessage"),
    ("allow_forking", "forkingAllowed"),
    ("web_commit_signoff_required", "webCommitSignoffRequired"),
];

fn settings(node: &Value, visibility: Visibility, default_branch: Option<&str>) -> Map<String, Value> {
    let mut settings: Map<String, Value> = NAMES
        .iter()
        .filter_map(|(rest, graphql)| Some(((*rest).to_owned(), node.get(graphql)?.clone())))
        .collect();
    settings.insert("visibility".into(), json!(visibility.as_str()));
    settings.insert("default_branch".into(), json!(default_branch));
    settings
}
