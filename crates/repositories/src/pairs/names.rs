//! Tests every place of a policy that can contain a name. This can be the name of a team, an
//! account, an App, a role, a property, a branch or a repository. There are three cases: the name
//! does not exist, somebody renamed the thing that had the name, or another thing now has the name.
//! In each case, an apply must not change a repository.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use beadle_sim::Sim;
use serde_json::{Value, json};

use super::state::ORGANISATION;
use super::{ROUNDS, Stage, folder, simulated};
use crate::Policy;
use crate::policy::described::{Key, LAYER, REPO, SETTINGS, SUBORG, Shape, Status};

const OLD: &str = "nametoday";
const NEW: &str = "nametomorrow";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Team,
    User,
    App,
    Role,
    Property,
    Branch,
    Repository,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Situation {
    /// The name does not exist, and Beadle has stored no id for it.
    Missing,
    /// Somebody renamed the thing that had the name, and Beadle has stored the id of this thing.
    Renamed,
    /// Another thing now has the name.
    Taken,
}

/// A place of a policy that contains a name.
struct Place {
    path: String,
    kind: Kind,
    file: &'static str,
    body: Value,
}

fn place(path: impl Into<String>, kind: Kind, file: &'static str, body: Value) -> Place {
    Place { path: path.into(), kind, file, body }
}

/// The reason why the test skips the names in the section `organization`.
const OF_ORGANISATION: &str = "no repository has it: planner/tests/organization.rs";

/// The places that this test skips. Each place comes with a reason: the name does not have to
/// exist, or another test covers the place.
const OTHERS: &[(&str, &str)] = &[
    ("branches[].name", "it is a pattern, and GitHub takes any"),
    ("branches[].protection.required_deployment_environments[]", "GitHub takes any name"),
    ("environments[].name", "GitHub takes any name"),
    ("pages.source.branch", "Beadle publishes no branch that does not exist: planner/tests/github_pages.rs"),
    ("organization.actions.selected_repositories[]", OF_ORGANISATION),
    ("organization.actions.self_hosted_runner_repositories[]", OF_ORGANISATION),
    ("organization.blocked_users[]", OF_ORGANISATION),
    ("organization.codespaces_secrets[].selected_repositories[]", OF_ORGANISATION),
    ("organization.custom_properties[].name", "the definition of the property, which Beadle creates"),
    ("organization.dependabot_secrets[].selected_repositories[]", OF_ORGANISATION),
    ("organization.organization_roles[].teams[]", OF_ORGANISATION),
    ("organization.organization_roles[].users[]", OF_ORGANISATION),
    ("organization.runner_groups[].selected_repositories[]", OF_ORGANISATION),
    ("organization.secrets[].selected_repositories[]", OF_ORGANISATION),
    ("organization.variables[].selected_repositories[]", OF_ORGANISATION),
    ("repository.name", "the name that a repository gets: tests/e2e/renamed.rs"),
];

/// Returns whether only the name counts in this place, and not the id. In such a place, Beadle
/// correctly uses the thing that has the name now.
fn is_by_name(place: &Place) -> bool {
    // Another App can get a slug only after the App with this slug has given it up. A name in
    // `except` only excludes a repository, so the file applies to all other repositories.
    matches!(place.kind, Kind::App | Kind::Role | Kind::Property | Kind::Branch)
        || place.path.starts_with("except.")
}

fn places() -> Vec<Place> {
    let labels = || json!({ "exclusive": [{ "name": "bug", "color": "cc0000" }] });
    let list = |section: &str, entry: Value| json!({ section: { "exclusive": [entry] } });
    let mut places = vec![
        place(
            "teams[].name",
            Kind::Team,
            "settings.yml",
            list("teams", json!({ "name": OLD, "permission": "push" })),
        ),
        place(
            "teams[].permission",
            Kind::Role,
            "settings.yml",
            list("teams", json!({ "name": "core", "permission": OLD })),
        ),
        place(
            "collaborators[].username",
            Kind::User,
            "settings.yml",
            list("collaborators", json!({ "username": OLD, "permission": "push" })),
        ),
        place(
            "collaborators[].permission",
            Kind::Role,
            "settings.yml",
            list("collaborators", json!({ "username": "ann", "permission": OLD })),
        ),
        place(
            "custom_properties[].name",
            Kind::Property,
            "settings.yml",
            list("custom_properties", json!({ "name": OLD, "value": "gold" })),
        ),
        place(
            "custom_properties[].property_name",
            Kind::Property,
            "settings.yml",
            list("custom_properties", json!({ "property_name": OLD, "value": "gold" })),
        ),
        place(
            "environments[].reviewers[].slug",
            Kind::Team,
            "settings.yml",
            list("environments", json!({ "name": "prod", "reviewers": [{ "type": "Team", "slug": OLD }] })),
        ),
        place(
            "environments[].reviewers[].login",
            Kind::User,
            "settings.yml",
            list("environments", json!({ "name": "prod", "reviewers": [{ "type": "User", "login": OLD }] })),
        ),
        place(
            "environments[].deployment_protection_rules[].app",
            Kind::App,
            "settings.yml",
            list("environments", json!({ "name": "prod", "deployment_protection_rules": [{ "app": OLD }] })),
        ),
        place(
            "repository.default_branch",
            Kind::Branch,
            "settings.yml",
            json!({ "repository": { "default_branch": OLD } }),
        ),
        place(
            "suborgteams[]",
            Kind::Team,
            "suborgs/a.yml",
            json!({ "suborgteams": [OLD], "labels": labels() }),
        ),
        place(
            "suborgproperties[]",
            Kind::Property,
            "suborgs/a.yml",
            json!({ "suborgproperties": [{ OLD: "gold" }], "labels": labels() }),
        ),
        place(
            "repository.security_and_analysis.secret_scanning_delegated_bypass_options.reviewers[].team",
            Kind::Team,
            "settings.yml",
            json!({ "repository": { "security_and_analysis": {
                "secret_scanning_delegated_bypass": { "status": "enabled" },
                "secret_scanning_delegated_bypass_options": { "reviewers": [{ "team": OLD }] },
            } } }),
        ),
        // The name of a file is not a key of the policy, so `walk` does not find it.
        place("repos/*.yml", Kind::Repository, "repos/nametoday.yml", json!({ "labels": labels() })),
    ];
    for key in ["select", "except"] {
        let team = json!({ key: { "team": OLD }, "labels": labels() });
        places.push(place(format!("{key}.team"), Kind::Team, "layers/a.yml", team));
        let property = json!({ key: { "property": { OLD: "gold" } }, "labels": labels() });
        places.push(place(format!("{key}.property"), Kind::Property, "layers/a.yml", property));
    }
    for (block, key) in [
        ("required_pull_request_reviews", "dismissal_restrictions"),
        ("required_pull_request_reviews", "bypass_pull_request_allowances"),
        ("", "restrictions"),
        ("", "force_push_allowances"),
    ] {
        for (list, kind) in [("users", Kind::User), ("teams", Kind::Team), ("apps", Kind::App)] {
            let actors = json!({ key: { list: [OLD] } });
            let (protection, at) = if block.is_empty() {
                (actors, key.to_owned())
            } else {
                (json!({ block: actors }), format!("{block}.{key}"))
            };
            let body = json!({ "branches": [{ "name": "main", "protection": protection }] });
            places.push(place(format!("branches[].protection.{at}.{list}[]"), kind, "settings.yml", body));
        }
    }
    places
}

/// Finds the path of each key whose value is the name of a thing at GitHub.
fn walk(path: &str, shape: &Shape, found: &mut BTreeSet<String>) {
    const NAMES: &[&str] = &[
        "a slug",
        "a login",
        "a property's name",
        "a repository's name",
        "an environment's name",
        "a branch",
        "a branch or a pattern",
    ];
    match shape {
        Shape::Form(form) if NAMES.contains(&form.what) || path.ends_with(".permission") => {
            found.insert(path.to_owned());
        }
        Shape::Free if path.ends_with(".property") || path == "suborgproperties[]" => {
            found.insert(path.to_owned());
        }
        Shape::List(item) => walk(&format!("{path}[]"), item, found),
        Shape::OrNull(inner) | Shape::Either(inner, _) | Shape::Layered(inner, _) => walk(path, inner, found),
        Shape::Map(keys) => walk_keys(path, keys, found),
        _ => {}
    }
}

fn walk_keys(path: &str, keys: &[Key], found: &mut BTreeSet<String>) {
    // An entry of `first_match` has the same keys as a layer, so `walk` skips it.
    for key in keys.iter().filter(|key| key.status == Status::Carried && key.name != "first_match") {
        let path = if path.is_empty() { key.name.to_owned() } else { format!("{path}.{}", key.name) };
        walk(&path, &key.shape, found);
    }
}

#[test]
fn every_place_of_a_name_is_tried() {
    let mut found = BTreeSet::new();
    for keys in [SETTINGS, SUBORG, LAYER, REPO] {
        walk_keys("", keys, &mut found);
    }
    let places = places();
    let is_known = |path: &&String| {
        places.iter().any(|place| place.path == **path) || OTHERS.iter().any(|(other, _)| other == path)
    };
    let missing: Vec<&String> = found.iter().filter(|path| !is_known(path)).collect();
    assert!(missing.is_empty(), "these places have no entry: {missing:?}");
    for place in places.iter().filter(|place| place.kind != Kind::Repository) {
        assert!(found.contains(&place.path), "`{}` is no place of a policy", place.path);
    }
}

/// Returns an organisation that contains one thing of each kind. Each thing has the given name.
fn organisation() -> Value {
    let repository = |id: u64| {
        json!({
            "id": id, "created_at": "2026-01-01T00:00:00Z", "default_branch": "main",
            "branches": { "main": {}, OLD: {} },
            "teams": { OLD: "push", "core": "push" }, "collaborators": { OLD: "push", "ann": "push" },
            "properties": { OLD: "gold" }, "labels": { "kept": { "color": "ededed", "description": null } },
        })
    };
    json!({
        "users": { OLD: { "id": 7_001 }, "ann": { "id": 7_002 } },
        "apps": { OLD: { "id": 7_003 } },
        "orgs": { ORGANISATION: {
            "id": 1, "plan": "enterprise", "members": [OLD, "ann"], "owners": [], "custom_roles": [OLD],
            "teams": { OLD: { "id": 7_004 }, "core": { "id": 7_005 } },
            "property_definitions": { OLD: { "value_type": "string" } },
            "repos": { "shop": repository(101), OLD: repository(102) },
        } },
    })
}

/// Returns the state in which the new name replaces the old name.
fn renamed(state: &Value) -> Result<Value, String> {
    serde_json::from_str(&state.to_string().replace(OLD, NEW)).map_err(|error| error.to_string())
}

/// Creates new things that have the old name.
fn take(state: &mut Value, kind: Kind) {
    let organisation = &mut state["orgs"][ORGANISATION];
    match kind {
        Kind::Team => organisation["teams"][OLD] = json!({ "id": 7_104 }),
        Kind::Repository => {
            organisation["repos"][OLD] = json!({
                "id": 202, "created_at": "2026-02-01T00:00:00Z", "branches": { "main": {} },
                "labels": { "theirs": { "color": "ededed", "description": null } },
            });
        }
        Kind::User => {
            state["users"][OLD] = json!({ "id": 7_101 });
            if let Some(members) = state["orgs"][ORGANISATION]["members"].as_array_mut() {
                members.push(json!(OLD));
            }
        }
        Kind::App | Kind::Role | Kind::Property | Kind::Branch => {}
    }
}

async fn tried(place: &Place, sim: &Arc<Sim>, folder: &Path) -> Result<(), String> {
    let policy = || {
        let sources = BTreeMap::from([(place.file.to_owned(), place.body.to_string())]);
        Policy::from_sources(sources, "admin", Path::new("policy")).map_err(|error| error.to_string())
    };
    let store = |name: &str| {
        let path: String = place.path.chars().filter(char::is_ascii_alphanumeric).collect();
        folder.join(format!("{path}-{name}.db"))
    };
    sim.begin_with(organisation());
    let mut stage = Stage::open(sim, &store("known"), policy()?)?;
    for n in 0.. {
        let round = stage.round().await?;
        if let Some(refusal) = round.refusals.first() {
            return Err(format!("GitHub refuses the policy: {refusal}"));
        }
        if round.calls == 0 && round.held == 0 {
            break;
        }
        if n == ROUNDS {
            return Err(format!("it does not rest: {:#?}", round.made));
        }
    }
    let settled = sim.state();
    for situation in [Situation::Missing, Situation::Renamed, Situation::Taken] {
        if situation == Situation::Taken && is_by_name(place) {
            continue;
        }
        let mut state = renamed(&settled)?;
        if situation == Situation::Taken {
            take(&mut state, place.kind);
        }
        sim.begin_with(state);
        let before = sim.state();
        if situation == Situation::Missing {
            Stage::open(sim, &store("new"), policy()?)?.applied().await?;
        } else {
            stage.token = sim.token();
            stage.applied().await?;
        }
        let after = sim.state();
        let (before, after) = (&before["orgs"][ORGANISATION]["repos"], &after["orgs"][ORGANISATION]["repos"]);
        if before != after {
            return Err(format!(
                "{situation:?}: it changed a repository\nbefore: {before:#}\nafter: {after:#}"
            ));
        }
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_missing_renamed_or_taken_changes_nothing() {
    let (sim, folder) = (simulated().await, folder());
    let mut failures = Vec::new();
    for place in places() {
        if let Err(why) = Box::pin(tried(&place, &sim, folder.path())).await {
            failures.push(format!("{}: {why}", place.path));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
