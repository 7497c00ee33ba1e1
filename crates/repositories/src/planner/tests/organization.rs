//! Changes every value that the section `organization` declares, one value at a time. Beadle must
//! find each change and restore the declared value.

use std::collections::BTreeSet;

use super::world::World;
use super::*;

const SETTINGS: &str = include_str!("organization.yml");

/// The parts of an organisation's state that the section declares.
const PARTS: &[&str] = &[
    "settings",
    "actions",
    "oidc_subject",
    "hooks",
    "variables",
    "secrets",
    "dependabot_secrets",
    "codespaces_secrets",
    "property_definitions",
    "repository_roles",
    "organization_roles",
    "runner_groups",
    "blocks",
];

/// The values that the test does not change, because no API can change them or because they differ
/// for each new object.
const SKIPPED: &[&str] = &[
    "id",
    "url",
    "value_type",
    "source",
    "security_manager",
    "default",
    "two_factor_requirement_enabled",
    "default_repository_branch",
    "members_can_delete_repositories",
    "members_can_change_repo_visibility",
    "members_can_invite_outside_collaborators",
    "members_can_delete_issues",
    "members_can_create_teams",
    "members_can_view_dependency_insights",
    "display_commenter_full_name_setting_enabled",
    "readers_can_create_discussions",
];

/// The size of a group of changes. In each group, the test checks the calls of only one change.
const CHECKED: usize = 8;

/// Returns a different valid text that can replace a text of the state.
fn other_text(text: &str) -> String {
    match text {
        "none" => "read".to_owned(),
        "json" => "form".to_owned(),
        "0" => "1".to_owned(),
        "all" => "private".to_owned(),
        "private" | "selected" => "all".to_owned(),
        "read" => "write".to_owned(),
        "triage" => "maintain".to_owned(),
        "org_actors" => "org_and_repo_actors".to_owned(),
        "all_external_contributors" => "first_time_contributors".to_owned(),
        text => format!("{text}-changed"),
    }
}

/// Adds copies of the document to `found`. In each copy, one value below `value` is changed.
fn mutations(document: &Value, path: &str, value: &Value, found: &mut Vec<(String, Value)>) {
    if path.rsplit('/').next().is_some_and(|last| SKIPPED.contains(&last)) {
        return;
    }
    // GitHub does not show the value of a secret. Other tests change the values of secrets.
    if path.ends_with("/value") && path.contains("secrets/") {
        return;
    }
    let mut with = |suffix: &str, new: Value| {
        let mut changed = document.clone();
        *changed.pointer_mut(path).unwrap() = new;
        found.push((format!("{path}{suffix}"), changed));
    };
    let mut children: Vec<(String, Value)> = Vec::new();
    match value {
        Value::Bool(on) => with("", json!(!on)),
        Value::Number(number) => with("", json!(number.as_i64().unwrap() + 1)),
        Value::String(text) => with("", json!(other_text(text))),
        Value::Array(items) => {
            if !items.is_empty() {
                with(" emptied", json!([]));
            }
        }
        Value::Object(map) => {
            if path.matches('/').count() == 1 && !["/settings", "/actions"].contains(&path) {
                for name in map.keys() {
                    let mut fewer = map.clone();
                    fewer.remove(name);
                    with(&format!(" without {name}"), json!(fewer));
                }
            }
            children = map.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        }
        Value::Null => {}
    }
    for (key, child) in children {
        mutations(document, &format!("{path}/{}", key.replace('~', "~0").replace('/', "~1")), &child, found);
    }
}

/// Returns the state without the ids of objects, because a new object has a new id.
fn comparable(value: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .filter(|(key, _)| key.as_str() != "id")
            .map(|(key, value)| (key.clone(), comparable(value)))
            .collect(),
        Value::Array(items) => items.iter().map(comparable).collect(),
        other => other.clone(),
    }
}

fn own(world: &World) -> Value {
    let state = world.sim.state();
    let parts = PARTS.iter().map(|part| ((*part).to_owned(), state["orgs"]["acme"][*part].clone()));
    parts.collect()
}

async fn world(policy: &str) -> World {
    let state = json!({
        "orgs": { "acme": { "repos": {
            "widgets": { "id": 501, "branches": { "main": {} } },
            "gadgets": { "id": 502, "branches": { "main": {} }, "visibility": "public" },
        }, "members": ["mona"], "teams": { "core": { "id": 601 }, "guards": { "id": 602 } } } },
        "users": { "mona": { "id": 701 }, "spammer": { "id": 702 } }, "apps": { "beadle-app": { "id": beadle_sim::APP_ID } },
    });
    let mut world = World::new(state, policy).await;
    world.set_secret("npm", "the value of npm");
    world
}

#[tokio::test(start_paused = true)]
async fn drift_of_every_value_of_the_section_organization_is_repaired() {
    let world = world(SETTINGS).await;
    world.apply().await;
    assert_eq!(world.changes().await, Vec::<String>::new());
    world.check_calls();
    let declared = own(&world);
    let mut table = Vec::new();
    for part in PARTS {
        mutations(&declared, &format!("/{part}"), &declared[*part], &mut table);
    }
    assert!(table.len() >= 30, "the table has shrunk: {}", table.len());
    for (at, (what, mutated)) in table.iter().enumerate() {
        let mut state = world.sim.state();
        for part in PARTS {
            state["orgs"]["acme"][*part] = mutated[*part].clone();
        }
        world.control("PUT", &state).await;
        assert!(!world.changes().await.is_empty(), "{what} was not found");
        world.apply().await;
        assert_eq!(comparable(&own(&world)), comparable(&declared), "{what} was repaired otherwise");
        assert_eq!(world.changes().await, Vec::<String>::new(), "{what}: the plan after is not empty");
        // Most changes cause the same calls, so the test checks only some of them.
        if at.is_multiple_of(CHECKED) {
            world.check_calls();
        }
        world.sim.forget_calls();
    }
}

#[tokio::test(start_paused = true)]
async fn without_the_section_beadle_makes_no_call_for_it() {
    let world = world("repository: { has_wiki: false }\n").await;
    world.apply().await;
    let calls = world.sim.calls();
    assert!(calls.iter().all(|call| call["path"] != "/orgs/acme"), "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn a_name_that_does_not_exist_is_unknown_and_removes_nothing() {
    let policy = "organization:
  variables: [{ name: TIER, value: x, visibility: selected, selected_repositories: [nothing] }]
  organization_roles: [{ name: security_manager, teams: [nobody, core] }, { name: unheard-of, teams: [core] }]
  blocked_users: [nobody-has-it]
  runner_groups: { additive: [{ name: fast, visibility: selected, selected_repositories: [nothing] }] }
";
    let world = world(policy).await;
    let before = json!({ "orgs": { "acme": {
        "blocks": ["spammer"],
        "variables": { "TIER": { "value": "x", "visibility": "all", "repositories": [] } },
        "organization_roles": { "security_manager": { "teams": ["guards"] } },
    } } });
    world.control("PATCH", &before).await;
    let (planner, _) = world.parts();
    let whole = planner.organisation("acme", &[], Shard::default(), &|_, _| {}).await.unwrap();
    let (_, plan) = whole.plans.iter().find(|(key, _)| key.kind() == "organisation").unwrap();
    let parts: BTreeSet<&str> = plan.unknowns.iter().filter_map(|unknown| unknown.part.as_deref()).collect();
    let expected = [
        "logins",
        "organization role security_manager: teams",
        "organization role unheard-of",
        "runner group fast",
        "variable TIER",
    ];
    assert_eq!(parts, BTreeSet::from(expected));
    // The existing team gets the role. Beadle does not remove anything.
    let planned: Vec<&str> = plan.changes.iter().map(|change| change.what.as_str()).collect();
    assert_eq!(planned, ["organization role security_manager"]);
    assert_eq!(plan.changes[0].fields[0].after, json!("core"));
}

#[tokio::test(start_paused = true)]
async fn a_setting_that_no_api_can_change_is_reported() {
    let world = world("organization: { two_factor_requirement_enabled: false }\n").await;
    let (planner, _) = world.parts();
    let whole = planner.organisation("acme", &[], Shard::default(), &|_, _| {}).await.unwrap();
    let (_, plan) = whole.plans.iter().find(|(key, _)| key.kind() == "organisation").unwrap();
    assert!(plan.changes.is_empty());
    let [unknown] = plan.unknowns.as_slice() else { panic!("{:?}", plan.unknowns) };
    assert_eq!(unknown.part.as_deref(), Some("two_factor_requirement_enabled"));
    assert!(!unknown.transient && unknown.why.contains("no API can change it"), "{}", unknown.why);
}

#[tokio::test(start_paused = true)]
async fn the_removal_of_a_role_counts_once_for_each_repository() {
    let world = world("custom_repository_roles: []\norganization: { organization_roles: [] }\n").await;
    let roles = json!({ "orgs": { "acme": {
        "repository_roles": { "keeper": { "id": 9_101 } },
        "organization_roles": {
            "auditor": { "id": 9_102, "source": "Organization", "teams": [], "users": [] },
        },
    } } });
    world.control("PATCH", &roles).await;
    let (planner, _) = world.parts();
    let whole = planner.organisation("acme", &[], Shard::default(), &|_, _| {}).await.unwrap();
    let (_, plan) = whole.plans.iter().find(|(key, _)| key.kind() == "organisation").unwrap();
    let mut removed: Vec<(&str, u32)> =
        plan.changes.iter().map(|change| (change.what.as_str(), change.reaches)).collect();
    removed.sort_unstable();
    assert_eq!(removed, [("organization role auditor", 2), ("repository role keeper", 2)]);
}
