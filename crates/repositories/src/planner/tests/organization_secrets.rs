//! Tests secrets of the organisation.

use std::collections::BTreeMap;

use super::world::World;
use super::*;

const FIRST: &str = "the first value of npm";
const SECOND: &str = "the second value of npm";

async fn world(entries: &str) -> World {
    let state = json!({ "orgs": { "acme": { "repos": {
        "widgets": { "id": 501, "branches": { "main": {} } },
        "gadgets": { "id": 502, "branches": { "main": {} } },
    } } } });
    let mut world = World::new(state, &policy(entries)).await;
    world.set_secret("npm", FIRST);
    world
}

/// The lists of secrets in the policy and in the state of the organisation.
const LISTS: [&str; 3] = ["secrets", "dependabot_secrets", "codespaces_secrets"];

fn policy(entries: &str) -> String {
    let lists: Vec<String> = LISTS.iter().map(|list| format!("{list}: {entries}")).collect();
    format!("organization: {{ {} }}\n", lists.join(", "))
}

/// Sets the same secrets in all lists, directly at GitHub.
async fn set(world: &World, secrets: &Value) {
    let org: Value = LISTS.iter().map(|list| ((*list).to_owned(), secrets.clone())).collect();
    world.control("PATCH", &json!({ "orgs": { "acme": org } })).await;
}

fn replace(world: &mut World, entries: &str) {
    world.replace_policy(&BTreeMap::from([("settings.yml".to_owned(), policy(entries))]));
}

fn secret(world: &World, list: &str, name: &str) -> Value {
    world.sim.state()["orgs"]["acme"][list][name].clone()
}

#[tokio::test(start_paused = true)]
async fn a_value_is_written_once_and_again_when_it_changes_and_appears_nowhere() {
    let mut world = world("[{ name: token, secret: npm, visibility: all }]").await;
    let mut texts = world.changes().await;
    world.apply().await;
    assert_eq!(world.changes().await, Vec::<String>::new());
    for list in LISTS {
        let expected = json!({ "value": FIRST, "visibility": "all", "repositories": [] });
        assert_eq!(secret(&world, list, "TOKEN"), expected, "{list}");
    }
    world.set_secret("npm", SECOND);
    let changes = world.changes().await;
    assert!(changes.len() == 3 && changes.iter().all(|change| change.contains("an earlier value")));
    texts.extend(changes);
    world.apply().await;
    assert_eq!(world.changes().await, Vec::<String>::new());
    assert_eq!(secret(&world, "dependabot_secrets", "TOKEN")["value"], SECOND);
    let notes = world.notes().await;
    assert!(notes.iter().any(|(name, _)| name.contains("TOKEN")), "{notes:?}");
    texts.push(format!("{notes:?}"));
    for text in texts {
        assert!(!text.contains(FIRST) && !text.contains(SECOND), "{text}");
    }
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn more_repositories_expose_and_fewer_remove() {
    let entry = |reach: &str| format!("[{{ name: TOKEN, secret: npm, visibility: {reach} }}]");
    let both = "selected, selected_repositories: [widgets, gadgets]";
    let one = "selected, selected_repositories: [widgets]";
    for (before, after, risk) in [
        (one, both, "Exposes"),
        (both, one, "Removes"),
        (one, "private", "Exposes"),
        ("private", "all", "Exposes"),
        ("all", "private", "Removes"),
        ("all", "selected", "Removes"),
    ] {
        let mut world = world(&entry(before)).await;
        world.apply().await;
        replace(&mut world, &entry(after));
        let changes = world.changes().await;
        assert_eq!(changes.len(), 3, "{before} to {after}: {changes:?}");
        assert!(changes.iter().all(|change| change.contains(risk)), "{before} to {after}: {changes:?}");
        world.apply().await;
        assert_eq!(world.changes().await, Vec::<String>::new(), "{before} to {after}");
        assert_eq!(secret(&world, "secrets", "TOKEN")["value"], FIRST);
        world.check_calls();
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_value_keeps_the_repositories_that_the_policy_leaves_open() {
    let mut world = world("[{ name: TOKEN, secret: npm, visibility: selected }]").await;
    world.apply().await;
    set(&world, &json!({ "TOKEN": { "repositories": [502] } })).await;
    assert_eq!(world.changes().await, Vec::<String>::new());
    world.set_secret("npm", SECOND);
    world.apply().await;
    for list in LISTS {
        let expected = json!({ "value": SECOND, "visibility": "selected", "repositories": [502] });
        assert_eq!(secret(&world, list, "TOKEN"), expected, "{list}");
    }
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn only_an_exclusive_list_removes_other_secrets() {
    let entries = "[{ name: TOKEN, secret: npm, visibility: all }]";
    for (entries, stays) in [
        (entries.to_owned(), true),
        (format!("{{ additive: {entries} }}"), true),
        (format!("{{ exclusive: {entries} }}"), false),
    ] {
        let world = world(&entries).await;
        let other = json!({ "OTHER": { "value": "x", "visibility": "all", "repositories": [] } });
        set(&world, &other).await;
        let changes = world.changes().await.join("\n");
        assert_eq!(changes.contains("Removes"), !stays, "{entries}: {changes}");
        world.apply().await;
        for list in LISTS {
            assert_eq!(secret(&world, list, "OTHER").is_object(), stays, "{entries}");
            assert_eq!(secret(&world, list, "TOKEN")["value"], FIRST);
        }
        world.check_calls();
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_that_does_not_exist_is_unknown_and_changes_nothing() {
    let entries = "{ exclusive: [
        { name: TOKEN, secret: missing, visibility: all },
        { name: DEPLOY, secret: npm, visibility: selected, selected_repositories: [nothing] }] }";
    let world = world(entries).await;
    let seen = json!({
        "TOKEN": { "value": "x", "visibility": "private", "repositories": [] },
        "DEPLOY": { "value": "x", "visibility": "selected", "repositories": [501] },
    });
    set(&world, &seen).await;
    let (planner, _) = world.parts();
    let whole = planner.organisation("acme", &[], Shard::default(), &|_, _| {}).await.unwrap();
    let (_, plan) = whole.plans.iter().find(|(key, _)| key.kind() == "organisation").unwrap();
    assert!(plan.changes.is_empty());
    let parts: Vec<&str> = plan.unknowns.iter().filter_map(|unknown| unknown.part.as_deref()).collect();
    assert_eq!(parts, ["secret TOKEN", "secret DEPLOY"].repeat(LISTS.len()));
}
