//! Builds a repository from its GraphQL node. Each part of the repository is known, or has a reason
//! why the part is unknown.

use std::sync::Arc;

use beadle_engine::{Class, Failure};
use serde_json::{Map, Value, json};

use crate::api::Api;
use crate::connection::{Tally, each, entries};
use crate::documents::protection::{AllowanceNode, CheckNode, RuleNode, more_actors, more_rules};
use crate::documents::repositories::{
    CollaboratorEdge, DeployKeyNode, LabelNode, MORE_COLLABORATORS, MORE_DEPLOY_KEYS, MORE_LABELS,
    MORE_MILESTONES, MORE_TOPICS, MilestoneNode, PermissionSource, RepositoryNode, TopicNode,
};
use crate::documents::rulesets::{RulesetNode, more_bypass_actors, more_ruleset_rules, more_rulesets};
use crate::graphql::{PartialAnswer, run};
use crate::repository::{
    Actor, ActorKind, Allowances, Asks, Collaborator, DeployKey, Known, Label, Milestone, Repository, Rule,
    StatusCheck, Visibility,
};
use crate::rulesets::Ruleset;
use crate::shape::shape;
use crate::unsure::Unsure;

/// Returns the reason why a part is unknown, after the read of the part failed. If a budget is used
/// up, the function returns the failure instead. The read of the whole repository then fails, and
/// Beadle repeats this read later.
pub(crate) fn unless_limited(failure: &Failure) -> Result<Unsure, Failure> {
    match failure.class {
        Class::RateLimited { .. } => Err(failure.clone()),
        _ => Ok(Unsure::of(failure, failure.text.clone())),
    }
}

/// Builds a repository from a GraphQL node, and reads all pages of every list of the repository.
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
    let RepositoryNode {
        database_id: Some(id),
        id: Some(node_id),
        name: Some(name),
        owner,
        is_archived,
        is_fork,
        visibility,
        default_branch_ref,
        created_at,
        has_vulnerability_alerts_enabled: vulnerability_alerts,
        repository_topics,
        labels,
        milestones,
        deploy_keys,
        collaborators,
        branch_protection_rules,
        rulesets,
    } = shape(node).unwrap_or_default()
    else {
        let error = answer.error_at(path).map(|error| error.failure(DOING));
        return Err(
            error.unwrap_or_else(|| Failure::new(Class::Retry, format!("{DOING}: the answer has no id")))
        );
    };
    let visibility: Visibility = visibility
        .unwrap_or_default()
        .parse()
        .map_err(|error| Failure::new(Class::Retry, format!("{DOING} {name}: {error}")))?;
    let default_branch = default_branch_ref.map(|branch| branch.name);
    let mut repository = Repository {
        id,
        node_id: node_id.clone(),
        name,
        owner: owner.map(|owner| owner.login).unwrap_or_default(),
        archived: is_archived.unwrap_or(false),
        fork: is_fork.unwrap_or(false),
        visibility,
        settings: settings(node, visibility, default_branch.as_deref()),
        rest_settings: Known::NotAsked,
        default_branch,
        topics: Known::NotAsked,
        teams: Known::NotAsked,
        has_age: false,
        last_seen: None,
        missing: Arc::default(),
        collaborators: Known::NotAsked,
        invitations: Known::NotAsked,
        protection: Known::NotAsked,
        created_at: created_at.unwrap_or_default(),
        vulnerability_alerts,
        labels: Known::NotAsked,
        milestones: Known::NotAsked,
        deploy_keys: Known::NotAsked,
        rulesets: Known::NotAsked,
        properties: Known::NotAsked,
    };
    if asks.topics {
        let read = async {
            let rows = rows(api, &node_id, repository_topics, MORE_TOPICS, "topics").await?;
            each(&rows, DOING, |row| shape(row).map(|row: TopicNode| row.topic.name))
        };
        repository.topics = part(error_of("repositoryTopics"), read).await?;
    }
    if asks.labels {
        let read = async {
            let rows = rows(api, &node_id, labels, MORE_LABELS, "labels").await?;
            each(&rows, DOING, label)
        };
        repository.labels = part(error_of("labels"), read).await?;
    }
    if asks.milestones {
        let read = async {
            let rows = rows(api, &node_id, milestones, MORE_MILESTONES, "milestones").await?;
            each(&rows, DOING, milestone)
        };
        repository.milestones = part(error_of("milestones"), read).await?;
    }
    if asks.deploy_keys {
        let read = async {
            let rows = rows(api, &node_id, deploy_keys, MORE_DEPLOY_KEYS, "deploy keys").await?;
            each(&rows, DOING, deploy_key)
        };
        repository.deploy_keys = part(error_of("deployKeys"), read).await?;
    }
    if asks.rulesets {
        let read = async {
            let rows = rows(api, &node_id, rulesets, &more_rulesets(), "rulesets").await?;
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
            let rows = rows(api, &node_id, collaborators, MORE_COLLABORATORS, "collaborators").await?;
            let all = each(&rows, DOING, collaborator)?;
            Ok(all.into_iter().filter_map(Access::of_its_own).collect())
        };
        repository.collaborators = part(error_of("collaborators"), read).await?;
    }
    if asks.protection {
        let read = async {
            let more = more_rules();
            let rows = rows(api, &node_id, branch_protection_rules, &more, "branch protection").await?;
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
    let LabelNode { name, color, description } = shape(row)?;
    Some(Label { name, color, description })
}

fn milestone(row: &Value) -> Option<Milestone> {
    let MilestoneNode { number, title, state, description, due_on } = shape(row)?;
    Some(Milestone { number, title, description, state: state.to_lowercase(), due_on })
}

fn deploy_key(row: &Value) -> Option<DeployKey> {
    let DeployKeyNode { key, title, read_only } = shape(row)?;
    Some(DeployKey { key, title, read_only })
}

async fn ruleset(api: &Api, row: &Value) -> Result<Ruleset, Failure> {
    let no_identity = || Failure::new(Class::Retry, "reading rulesets: one of them has no id or no name");
    let mut node: RulesetNode = shape(row).ok_or_else(no_identity)?;
    let id = node.id.take().unwrap_or_default();
    let rules = rows(api, &id, node.rules.take(), &more_ruleset_rules(), "the rules of a ruleset").await?;
    let more = more_bypass_actors();
    let actors = rows(api, &id, node.bypass_actors.take(), &more, "the bypass actors of a ruleset").await?;
    Ok(crate::rulesets::ruleset(node, &rules, &actors))
}

/// Reads one part of a repository with `read`. If the first answer has an error about this part
/// (`error`), the part is unknown.
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

/// Returns all rows of a connection. `first` is the first page. The function compares the number of
/// rows with the connection's `totalCount`.
async fn rows(api: &Api, owner: &str, first: Value, more: &str, what: &str) -> Result<Vec<Value>, Failure> {
    let doing = format!("reading {what}");
    let mut rows = Vec::new();
    let mut page = first;
    let mut tally = Tally::default();
    loop {
        let next = tally.page(&page).map_err(|failure| failure.during(&doing))?;
        rows.extend_from_slice(entries(&page));
        let Some(after) = next else { break };
        let variables = json!({ "id": owner, "after": after });
        let mut data = run(api, &doing, more, variables, false).await?.whole(&doing)?;
        page = data.pointer_mut("/node/page").map(Value::take).unwrap_or_default();
    }
    tally.complete(&doing)?;
    Ok(rows)
}

/// The source of an account's access to a repository.
enum Access {
    /// The repository itself gives the account a role.
    Own(Collaborator),
    /// An account that has access through a team, the organisation or ownership. Beadle does not
    /// list this account as a collaborator.
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
    let CollaboratorEdge { permission_sources, node } = shape(edge)?;
    let is_own = |source: &PermissionSource| {
        source.source.as_ref().is_some_and(|source| source.typename == "Repository")
    };
    let Some(own) = permission_sources.iter().filter_map(shape::<PermissionSource>).find(is_own) else {
        return Some(Access::Other);
    };
    let permission = own.role_name.or(own.permission)?.into();
    Some(Access::Own(Collaborator { id: node.database_id, login: node.login, permission }))
}

async fn rule(api: &Api, row: &Value) -> Result<Rule, Failure> {
    let node: RuleNode = shape(row).unwrap_or_default();
    let unknown = |why: &str| Failure::new(Class::Retry, format!("reading a branch protection rule: {why}"));
    let (Some(id), Some(pattern)) = (node.id, node.pattern) else {
        return Err(unknown("an entry of the list has no identity"));
    };
    // A write replaces the whole list of required checks or of required environments, so Beadle
    // must not treat an unreadable list as empty.
    let is_list = |list: &Value, is_entry: fn(&Value) -> bool| match list {
        Value::Null => true,
        Value::Array(entries) => entries.iter().all(is_entry),
        _ => false,
    };
    if !is_list(&row["requiredStatusChecks"], |check| check["context"].is_string()) {
        return Err(unknown("the required checks are not a list of names"));
    }
    if !is_list(&row["requiredDeploymentEnvironments"], Value::is_string) {
        return Err(unknown("the required environments are not a list of names"));
    }
    let mut hidden = Vec::new();
    let mut allowances = Allowances::default();
    for (list, first, actors) in [
        ("pushAllowances", node.push_allowances, &mut allowances.push),
        ("reviewDismissalAllowances", node.review_dismissal_allowances, &mut allowances.dismissal),
        (
            "bypassPullRequestAllowances",
            node.bypass_pull_request_allowances,
            &mut allowances.bypass_pull_request,
        ),
        ("bypassForcePushAllowances", node.bypass_force_push_allowances, &mut allowances.bypass_force_push),
    ] {
        let rows = rows(api, &id, first, &more_actors(list), list).await?;
        *actors = rows.iter().filter_map(actor).collect();
        if actors.len() < rows.len() {
            hidden.push(list.to_owned());
        }
    }
    // If GitHub lists the same check twice, Beadle keeps only one of the two entries.
    let mut checks: Vec<StatusCheck> = Vec::new();
    for check in node.required_status_checks.unwrap_or_default().iter().map(check) {
        if !checks.contains(&check) {
            checks.push(check);
        }
    }
    let fields = row.as_object().into_iter().flatten();
    let fields = fields.filter(|(_, value)| value.is_boolean() || value.is_number());
    Ok(Rule {
        id,
        pattern,
        fields: fields.map(|(name, value)| (name.clone(), value.clone())).collect(),
        checks,
        environments: node.required_deployment_environments,
        allowances,
        hidden,
    })
}

fn check(row: &Value) -> StatusCheck {
    let CheckNode { context, app } = shape(row).unwrap_or_default();
    let app = app.unwrap_or_default();
    StatusCheck { context: context.unwrap_or_default(), app_id: app.database_id, app_node: app.id }
}

fn actor(row: &Value) -> Option<Actor> {
    let AllowanceNode { actor } = shape(row)?;
    let (kind, name) = match actor.typename.as_str() {
        "App" => (ActorKind::App, actor.slug),
        "Team" => (ActorKind::Team, actor.slug),
        "User" => (ActorKind::User, actor.login),
        _ => return None,
    };
    Some(Actor { kind, name: name?, id: actor.id, number: actor.database_id })
}

/// The settings in the body of `PATCH /repos/{owner}/{repo}`, each with its name in GraphQL.
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

#[cfg(test)]
mod tests {
    use beadle_engine::{Budgets, Clock, Time};
    use beadle_transport::ClientSettings;
    use beadle_transport::testing::Recorder;
    use secrecy::SecretString;

    use super::*;
    use crate::auth::Credential;
    use crate::endpoint::Endpoint;

    #[tokio::test(start_paused = true)]
    async fn a_rule_with_an_unreadable_part_is_unknown() {
        let settings =
            ClientSettings { wire: Some(Recorder::new(|_| (200, json!({})))), ..ClientSettings::default() };
        let token = Credential::Token(SecretString::from("token"));
        let (endpoint, budgets) = (Endpoint::new("https://github.test"), Budgets::new("acme", 0));
        let clock = Clock::simulated(Time(0));
        let api = Api::new(&endpoint, "acme", token, budgets, &clock, settings).unwrap();
        let none = json!({ "totalCount": 0, "nodes": [], "pageInfo": { "hasNextPage": false } });
        let whole = json!({
            "id": "BPR_1", "pattern": "main", "requiredStatusChecks": [{ "context": "ci", "app": null }],
            "requiredDeploymentEnvironments": ["production"], "pushAllowances": none,
            "reviewDismissalAllowances": none, "bypassPullRequestAllowances": none,
            "bypassForcePushAllowances": none,
        });
        let read = rule(&api, &whole).await.unwrap();
        assert_eq!((read.checks.len(), read.environments.len()), (1, 1));
        for (key, value) in [
            ("id", Value::Null),
            ("pattern", json!(7)),
            ("requiredStatusChecks", json!({})),
            ("requiredStatusChecks", json!([{ "context": null }])),
            ("requiredDeploymentEnvironments", json!(["production", null])),
        ] {
            let mut odd = whole.clone();
            odd[key] = value;
            assert!(rule(&api, &odd).await.is_err(), "{odd}");
        }
    }

    #[test]
    fn a_label_without_a_description_is_read_and_one_without_a_color_is_not() {
        let row = json!({ "name": "bug", "color": "d73a4a", "description": null });
        let bug = Label { name: "bug".into(), color: "d73a4a".into(), description: None };
        assert_eq!(label(&row), Some(bug));
        for row in [
            json!({ "name": "bug" }),
            json!({ "name": "bug", "color": null }),
            json!({ "name": 7, "color": "d73a4a" }),
        ] {
            assert_eq!(label(&row), None, "{row}");
        }
    }

    #[test]
    fn a_milestone_has_the_words_of_rest_and_needs_a_title() {
        let row =
            json!({ "number": 3, "title": "v1", "state": "CLOSED", "description": null, "dueOn": null });
        let read = milestone(&row).unwrap();
        assert_eq!((read.number, read.state.as_str(), read.due_on), (3, "closed", None));
        assert_eq!(milestone(&json!({ "number": 3, "title": null, "state": "OPEN" })), None);
    }

    #[test]
    fn a_grant_on_the_repository_makes_a_collaborator_known() {
        // The permission that the repository itself gives to the account. The outer option is
        // `None` if the permission is unknown.
        let own = |sources: &Value, node: &Value| {
            let access = collaborator(&json!({ "permissionSources": sources, "node": node }))?;
            Some(access.of_its_own().map(|collaborator| collaborator.permission.to_string()))
        };
        let mona = json!({ "databaseId": 9, "login": "mona" });
        let of = |kind: &str, role: Value| json!({ "permission": "WRITE", "roleName": role, "source": { "__typename": kind } });
        let admin = || json!("admin");
        let team = of("Team", admin());
        assert_eq!(own(&json!([team]), &mona), Some(None));
        assert_eq!(own(&json!([team, of("Repository", admin())]), &mona), Some(Some("admin".into())));
        assert_eq!(own(&json!([of("Repository", Value::Null)]), &mona), Some(Some("push".into())));
        let bare = json!({ "permission": null, "roleName": null, "source": { "__typename": "Repository" } });
        assert_eq!(own(&json!([bare]), &mona), None, "neither a role nor a permission");
        assert_eq!(own(&json!([null, { "source": null }]), &mona), Some(None));
        for sources in [Value::Null, json!({}), json!("admin")] {
            assert_eq!(own(&sources, &mona), None, "{sources}");
        }
        for node in [
            Value::Null,
            json!({ "databaseId": 9 }),
            json!({ "databaseId": "9", "login": "mona" }),
            json!({ "databaseId": 9, "login": null }),
        ] {
            assert_eq!(own(&json!([team]), &node), None, "{node}");
        }
    }

    #[test]
    fn an_actor_without_a_name_or_of_another_type_is_hidden() {
        let of = |actor: Value| actor_of(&actor).map(|actor| (actor.kind, actor.name, actor.number));
        let team = json!({ "__typename": "Team", "id": "T_5", "databaseId": 5, "slug": "platform" });
        assert_eq!(of(team), Some((ActorKind::Team, "platform".into(), Some(5))));
        let user = json!({ "__typename": "User", "login": "mona", "databaseId": null });
        assert_eq!(of(user), Some((ActorKind::User, "mona".into(), None)), "the id is optional");
        for actor in [
            Value::Null,
            json!({}),
            json!({ "__typename": "User", "slug": "mona" }),
            json!({ "__typename": "Team", "slug": null }),
            json!({ "__typename": "Mannequin", "login": "mona" }),
        ] {
            assert!(actor_of(&actor).is_none(), "{actor}");
        }
    }

    fn actor_of(node: &Value) -> Option<Actor> {
        actor(&json!({ "actor": node }))
    }

    #[test]
    fn a_check_without_an_app_may_come_from_any_source() {
        let from = |app: Value| check(&json!({ "context": "build", "app": app }));
        let known = from(json!({ "databaseId": 15368, "id": "A_1" }));
        assert_eq!((known.app_id, known.app_node.as_deref()), (Some(15368), Some("A_1")));
        for app in [Value::Null, json!("actions"), json!({ "databaseId": null, "id": 7 })] {
            let check = from(app);
            assert_eq!((check.context.as_str(), check.app_id, check.app_node), ("build", None, None));
        }
    }
}
