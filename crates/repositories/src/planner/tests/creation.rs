//! Tests repositories that the policy creates or renames.

use beadle_engine::Planner as _;
use beadle_engine::apply::PlanWriter as _;

use super::world::{UNLIMITED, World};
use super::*;

const SETTINGS: &str = "repository: { visibility: public, has_wiki: false }
branches: [{ name: default, protection: { enforce_admins: true } }]
";
const CREATE: &str = "repository: { force_create: true, auto_init: true }";

fn declared() -> Value {
    json!({ "id": 101, "branches": { "main": {} }, "visibility": "public", "has_wiki": false,
        "protection": { "main": { "enforce_admins": true } } })
}

async fn world(repos: Value, file: (&str, &str)) -> World {
    let state = json!({ "users": {}, "orgs": { "acme": { "id": 1, "repos": repos } } });
    World::of_files(state, &[("settings.yml", SETTINGS), file]).await
}

/// Returns the repositories of the organisation.
fn repositories(world: &World) -> Value {
    world.sim.look(|state| state["orgs"]["acme"]["repos"].clone())
}

fn names(world: &World) -> Vec<String> {
    let mut names: Vec<String> = repositories(world).as_object().unwrap().keys().cloned().collect();
    names.sort_unstable();
    names
}

#[tokio::test(start_paused = true)]
async fn a_new_repository_is_private_until_it_is_as_declared() {
    let world = world(json!({ "shop": declared() }), ("repos/new.yml", CREATE)).await;
    let steps = world.apply_once(UNLIMITED).await;
    let whats: Vec<&str> = steps.iter().map(|(what, ..)| what.as_str()).collect();
    assert_eq!(whats, ["acme/new : repository"], "the first run only creates it");
    let new = repositories(&world)["new"].clone();
    assert_eq!(new["visibility"], "private");
    world.apply().await;
    let new = repositories(&world)["new"].clone();
    assert_eq!((&new["visibility"], &new["has_wiki"]), (&json!("public"), &json!(false)));
    assert_eq!(new["protection"]["main"]["enforce_admins"], json!(true));
    let calls = world.sim.calls();
    let last = calls.iter().rposition(|call| call["writes"] == true).unwrap();
    assert_eq!(calls[last]["method"], "PATCH", "the visibility is the last write");
    assert_eq!(names(&world), ["new", "shop"]);
    assert_eq!(world.changes().await, Vec::<String>::new());
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn a_layer_that_a_repository_enters_later_protects_it_before_it_is_public() {
    for (select, topics) in [("visibility: public", ""), ("topic: open", ", topics: [open]")] {
        let new =
            format!("repository: {{ force_create: true, auto_init: true, visibility: public{topics} }}");
        let layer = format!(
            "select: {{ {select} }}\nbranches: [{{ name: main, protection: {{ enforce_admins: true }} }}]\n"
        );
        let state = json!({ "users": {}, "orgs": { "acme": { "id": 1, "repos": {} } } });
        let files = [("layers/open.yml", layer.as_str()), ("repos/new.yml", new.as_str())];
        let world = World::of_files(state, &files).await;
        world.apply().await;
        let made = repositories(&world)["new"].clone();
        assert_eq!(made["visibility"], "public", "{select}");
        assert_eq!(made["protection"]["main"]["enforce_admins"], json!(true), "{select}");
        let calls = world.sim.calls();
        let last = calls.iter().rposition(|call| call["writes"] == true).unwrap();
        assert_eq!(calls[last]["method"], "PATCH", "{select}: the visibility is the last write");
        world.check_calls();
    }
}

#[tokio::test(start_paused = true)]
async fn a_template_gives_its_files() {
    let base = json!({ "is_template": true, "branches": { "main": {} }, "visibility": "public",
        "has_wiki": false, "protection": { "main": { "enforce_admins": true } } });
    for template in ["base", "acme/base"] {
        let file = format!("repository: {{ force_create: true, template: {template} }}");
        let world = world(json!({ "base": base }), ("repos/new.yml", file.as_str())).await;
        world.apply().await;
        assert_eq!(repositories(&world)["new"]["visibility"], "public");
        assert_eq!(names(&world), ["base", "new"]);
        world.check_calls();
    }
}

#[tokio::test(start_paused = true)]
async fn a_fork_has_the_visibility_of_its_parent_and_a_public_one_is_an_exposure() {
    let up = |visibility: &str| {
        json!({ "branches": { "main": {} }, "visibility": visibility, "has_wiki": false,
            "allow_forking": true, "protection": { "main": { "enforce_admins": true } } })
    };
    let file = ("repos/new.yml", "repository: { force_create: true, fork: acme/up }");
    let public = world(json!({ "up": up("public") }), file).await;
    let (planner, _) = public.parts();
    let plan = planner.plan(&crate::creation::creation_key("acme", "new"), None, Lane::Sweep).await.unwrap();
    assert_eq!(plan.risks().exposes, 1);
    public.apply().await;
    let new = repositories(&public)["new"].clone();
    assert_eq!((&new["visibility"], &new["fork"]), (&json!("public"), &json!(true)));
    public.check_calls();

    let file = ("repos/new.yml", "repository: { force_create: true, fork: acme/up, visibility: private }");
    let refused = world(json!({ "up": up("public") }), file).await;
    let (changes, unknowns) = planned(&refused).await;
    assert_eq!(changes, 0);
    assert!(unknowns.len() == 1 && unknowns[0].contains("is public"), "{unknowns:?}");
    let file = ("repos/new.yml", "repository: { force_create: true, fork: acme/gone }");
    let (changes, unknowns) = planned(&world(json!({ "up": up("public") }), file).await).await;
    assert!(changes == 0 && unknowns[0].contains("does not exist"), "{unknowns:?}");
}

#[tokio::test(start_paused = true)]
async fn a_parent_that_becomes_public_after_the_plan_gets_no_fork() {
    let up = json!({ "branches": { "main": {} }, "visibility": "private", "allow_forking": true });
    let file = ("repos/new.yml", "repository: { force_create: true, fork: acme/up, visibility: private }");
    let world = world(json!({ "up": up }), file).await;
    let (planner, writer) = world.parts();
    let key = crate::creation::creation_key("acme", "new");
    let plan = planner.plan(&key, None, Lane::Sweep).await.unwrap();
    let until = Time::from_seconds(1_800_000_120);
    let session = writer.open(&key, &plan, until, Lane::Sweep).await.unwrap();
    let public = json!({ "visibility": "public", "private": false });
    world.control("PATCH", &json!({ "orgs": { "acme": { "repos": { "up": public } } } })).await;
    let failure = session.write(&plan.changes[0]).await.unwrap_err();
    assert!(failure.text.contains("is public now"), "{failure:?}");
    assert_eq!(names(&world), ["up"]);
}

#[tokio::test(start_paused = true)]
async fn the_visibility_of_a_fork_is_not_written() {
    let fork = json!({ "id": 101, "branches": { "main": {} }, "visibility": "private", "has_wiki": false,
        "fork": true, "protection": { "main": { "enforce_admins": true } } });
    let world =
        world(json!({ "shop": fork }), ("repos/shop.yml", "repository: { visibility: public }")).await;
    let (changes, unknowns) = planned(&world).await;
    assert_eq!(changes, 0, "GitHub refuses it in every sweep");
    assert!(unknowns.len() == 1 && unknowns[0].contains("of a fork"), "{unknowns:?}");
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_makes_no_second_repository() {
    let world = world(json!({ "shop": declared() }), ("repos/new.yml", CREATE)).await;
    let lost = Fault {
        method: Some("POST".to_owned()),
        path: "/orgs/acme/repos".to_owned(),
        reset: true,
        count: Some(1),
        ..Fault::default()
    };
    world.sim.fault(lost);
    world.apply_once(UNLIMITED).await;
    assert_eq!(names(&world), ["new", "shop"], "GitHub made it");
    world.apply().await;
    assert_eq!(names(&world), ["new", "shop"]);
    assert_eq!(repositories(&world)["new"]["visibility"], "public");
}

#[tokio::test(start_paused = true)]
async fn a_repository_with_the_former_name_is_renamed_and_none_is_created() {
    for file in [
        ("repos/pay.yml", "repository: { force_create: true, oldname: shop }"),
        ("repos/pay.yml", "repository: { force_create: true, oldname: shop, name: pay }"),
        ("repos/shop.yml", "repository: { force_create: true, name: pay }"),
    ] {
        let world = world(json!({ "shop": declared() }), file).await;
        world.apply().await;
        assert_eq!(names(&world), ["pay"], "{file:?}");
        assert_eq!(repositories(&world)["pay"]["id"], 101);
        assert_eq!(world.changes().await, Vec::<String>::new(), "{file:?}");
    }
}

/// Plans the whole organisation. Returns the changes and the unknown parts.
async fn planned(world: &World) -> (usize, Vec<String>) {
    let (planner, _) = world.parts();
    let whole = planner.organisation("acme", &[], Shard::default(), &|_, _| {}).await.unwrap();
    let changes = whole.plans.iter().map(|(_, plan)| plan.changes.len()).sum();
    let unknowns = whole.plans.iter().flat_map(|(_, plan)| &plan.unknowns);
    (changes, unknowns.map(|unknown| unknown.why.clone()).collect())
}

#[tokio::test(start_paused = true)]
async fn a_repository_that_somebody_deleted_is_not_created_again() {
    let world = world(json!({ "shop": declared() }), ("repos/new.yml", CREATE)).await;
    world.apply().await;
    world.control("PATCH", &json!({ "orgs": { "acme": { "repos": { "new": null } } } })).await;
    let (changes, unknowns) = planned(&world).await;
    assert_eq!(changes, 0);
    assert!(unknowns.len() == 1 && unknowns[0].contains("creates no second one"), "{unknowns:?}");
}

#[tokio::test(start_paused = true)]
async fn a_former_name_of_another_repository_is_not_taken() {
    let world = world(json!({ "shop": declared() }), ("repos/shop.yml", CREATE)).await;
    world.rename("shop", "store").await;
    let (changes, unknowns) = planned(&world).await;
    assert_eq!(changes, 0);
    let is_it = |why: &String| why.contains("`shop` is a former name of acme/store");
    assert!(unknowns.iter().any(is_it), "{unknowns:?}");
    assert_eq!(names(&world), ["store"]);
}

#[tokio::test(start_paused = true)]
async fn the_key_of_a_new_repository_has_its_name() {
    let world = world(json!({ "shop": declared() }), ("repos/New.yml", CREATE)).await;
    let (planner, _) = world.parts();
    let key = crate::creation::creation_key("acme", "New");
    let plan = planner.plan(&key, None, Lane::Sweep).await.unwrap();
    assert_eq!((plan.subject.as_str(), plan.changes.len()), ("acme/New", 1));
    assert_eq!(plan.risks().adds, 1);
    let other = crate::creation::creation_key("acme", "other");
    let plan = planner.plan(&other, None, Lane::Sweep).await.unwrap();
    assert!(plan.changes.is_empty() && plan.skipped.is_some());
    world.apply().await;
    let plan = planner.plan(&key, None, Lane::Sweep).await.unwrap();
    assert!(plan.changes.is_empty() && plan.skipped.is_some(), "it exists now");
}

#[tokio::test(start_paused = true)]
async fn a_preview_has_the_creations_that_the_new_policy_causes() {
    let world = world(json!({ "shop": declared() }), ("repos/new.yml", CREATE)).await;
    let (planner, _) = world.parts();
    let after = planner.policy.current();
    let settings = [("settings.yml".to_owned(), SETTINGS.to_owned())];
    let before = Policy::from_sources(settings.into(), "admin", Path::new("policy")).unwrap();
    for (before, count) in [(Some(&before), 1), (None, 1), (Some(&*after), 0)] {
        let preview = planner.preview(before, &after, &|_, _| {}).await.unwrap();
        let subjects: Vec<&str> = preview.plans.iter().map(|(_, plan)| plan.subject.as_str()).collect();
        assert_eq!(subjects, ["acme/new"].repeat(count));
        let is_creation = |(key, hint): &&(Key, Option<String>)| {
            crate::creation::name_in(key) == Some("new") && hint.is_none()
        };
        assert_eq!(preview.due.iter().filter(is_creation).count(), count);
    }
}
