//! Tests that an import declares exactly the live state. The imported policy must change nothing.
//! Beadle also applies the imported policy to an empty copy of the organisation. The copy must then
//! be equal to the original. The end-to-end tests of `beadle import` use an organisation with every
//! aspect.

use std::collections::BTreeMap;

use super::world::World;
use super::*;
use crate::import_policy;

/// The policy before an import. The content of this policy has no effect on the test.
const SETTINGS: &str = "repository: { has_wiki: false }\n";

/// Returns an organisation with these repositories, and with the given number of teams.
fn organisation(teams: usize, repositories: &Value) -> Value {
    let teams: Value = (0..teams).map(|n| (format!("team-{n}"), json!({}))).collect();
    json!({
        "orgs": { "acme": {
            "teams": teams, "repos": repositories,
            "property_definitions": { "tier": { "value_type": "string" } },
        } },
        "users": {}, "apps": { "beadle-app": { "id": beadle_sim::APP_ID } },
    })
}

pub(super) async fn imported(world: &World) -> BTreeMap<String, String> {
    let (planner, _) = world.parts();
    let read = Box::pin(import_policy(planner.reader(), "admin", &[], &|_, _| {})).await;
    read.unwrap().files
}

/// Imports the organisation, and checks that the plan is empty. Also applies the policy to an empty
/// copy. Returns the files of the policy.
async fn import(teams: usize, repositories: &Value) -> BTreeMap<String, String> {
    let mut world = World::new(organisation(teams, repositories), SETTINGS).await;
    let files = Box::pin(imported(&world)).await;
    world.replace_policy(&files);
    assert_eq!(Box::pin(world.changes()).await, Vec::<String>::new(), "{files:#?}");
    let names = repositories.as_object().unwrap().keys();
    let empty: Value = names.map(|name| (name.clone(), json!({ "branches": { "main": {} } }))).collect();
    let mut copy = World::new(organisation(teams, &empty), SETTINGS).await;
    copy.replace_policy(&files);
    Box::pin(copy.apply()).await;
    assert_eq!(Box::pin(imported(&copy)).await, files);
    files
}

#[tokio::test(start_paused = true)]
async fn a_typical_organisation_is_one_short_file() {
    let equal = json!({
        "branches": { "main": {} }, "has_wiki": false, "delete_branch_on_merge": true, "topics": ["acme"],
        "teams": { "team-0": "push", "team-1": "pull" },
        "protection": { "main": { "required_pull_request_reviews": { "required_approving_review_count": 1 } } },
    });
    let files = import(2, &(0..40).map(|n| (format!("service-{n:02}"), equal.clone())).collect()).await;
    let lines: usize = files.values().map(|text| text.lines().count()).sum();
    assert!(files.len() == 1 && lines <= 20, "{files:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_large_organisation_has_layers() {
    let repository = |n: usize| {
        let group = n % 4;
        let name = format!("label-{group}");
        json!({
            "branches": { "main": {} }, "has_wiki": group == 0, "delete_branch_on_merge": true,
            "topics": ["acme", format!("group-{group}")],
            "teams": { "team-0": "pull", format!("team-{}", group + 1): "push" },
            "labels": { name: { "color": "0052cc", "description": null } },
            "properties": { "tier": format!("tier-{}", n % 3) },
        })
    };
    let files = import(5, &(0..200).map(|n| (format!("r{n:03}"), repository(n))).collect()).await;
    assert!(files.keys().any(|file| file.starts_with("layers/")), "{:?}", files.keys());
}

#[tokio::test(start_paused = true)]
async fn a_messy_organisation_has_a_file_for_each_repository() {
    const NAMES: [&str; 10] =
        ["null", "0x10", "A.b_C", "-dash", "on", "1e3", "True", "_", "a.b.c", "x-ghsa-y"];
    let repository = |n: usize| {
        let permission = ["pull", "push", "admin"][n % 3];
        let label = format!("a{n}: b # c");
        json!({
            "branches": { "main": {} }, "description": format!("{n}: \"yes\" # no"),
            "homepage": format!("https://acme.example/{n}"), "has_wiki": n.is_multiple_of(2),
            "allow_rebase_merge": n.is_multiple_of(3), "delete_branch_on_merge": n.is_multiple_of(4),
            "topics": [format!("only-{n}")],
            "labels": { label: { "color": "5319e7", "description": "null" } },
            "teams": { format!("team-{}", n % 5): permission },
        })
    };
    let names = NAMES.iter().enumerate();
    let files = import(5, &names.map(|(n, name)| ((*name).to_owned(), repository(n))).collect()).await;
    for name in NAMES {
        assert!(files.contains_key(&format!("repos/{name}.yml")), "{name}: {files:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_organisation_has_a_policy() {
    let files = import(0, &json!({})).await;
    assert_eq!(files.keys().collect::<Vec<_>>(), ["settings.yml"]);
}

#[tokio::test(start_paused = true)]
async fn the_teams_of_an_organisation_with_many_teams_are_complete() {
    let permission = |n: usize| ["pull", "triage", "push", "maintain", "admin"][n % 5];
    let repository = |n: usize| {
        let own = (0..5).map(|k| (format!("team-{}", 1 + (n * 7 + k * 31) % 149), json!(permission(n + k))));
        let teams: Value = own.chain([("team-0".to_owned(), json!("pull"))]).collect();
        json!({ "branches": { "main": {} }, "teams": teams })
    };
    let files = import(150, &(0..60).map(|n| (format!("r{n:02}"), repository(n))).collect()).await;
    assert!(files["settings.yml"].contains("team-0"), "{}", files["settings.yml"]);
}
