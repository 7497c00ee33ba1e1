//! Tests a declared default branch that does not exist.

use super::world::World;
use super::*;

const RULE: &str = "branches: [{ name: default, protection: { enforce_admins: true } }]\n";

async fn world(protection: Value, when_missing: &str) -> World {
    let shop = json!({ "id": 101, "default_branch": "master", "branches": { "master": {} },
        "contents": { "a": "1" }, "protection": protection });
    let state = json!({ "users": {}, "orgs": { "acme": { "id": 1, "repos": { "shop": shop } } } });
    let policy = format!("repository: {{ default_branch: main{when_missing} }}\n{RULE}");
    World::new(state, &policy).await
}

/// Returns the default branch, all branches, and the patterns of the rules.
fn seen(world: &World) -> (Value, Vec<String>, Vec<String>) {
    let shop = world.sim.look(|state| state["orgs"]["acme"]["repos"]["shop"].clone());
    let keys = |part: &str| {
        let mut keys: Vec<String> = shop[part].as_object().unwrap().keys().cloned().collect();
        keys.sort_unstable();
        keys
    };
    (shop["default_branch"].clone(), keys("branches"), keys("protection"))
}

#[tokio::test(start_paused = true)]
async fn a_renamed_default_branch_keeps_its_rule_and_leaves_none_behind() {
    for protection in [json!({}), json!({ "master": { "enforce_admins": true } }), json!({ "master": {} })] {
        let world = world(protection, ", default_branch_when_missing: rename").await;
        world.apply().await;
        let (default, branches, rules) = seen(&world);
        assert_eq!(default, "main");
        assert_eq!((branches, rules), (vec!["main".to_owned()], vec!["main".to_owned()]));
        assert_eq!(world.changes().await, Vec::<String>::new());
        world.check_calls();
    }
}

#[tokio::test(start_paused = true)]
async fn a_rename_is_a_weakening_and_comes_after_the_rule() {
    let world = world(json!({}), ", default_branch_when_missing: rename").await;
    let (planner, _) = world.parts();
    let whole = planner.organisation("acme", &[], Shard::default(), &|_, _| {}).await.unwrap();
    let changes: Vec<&str> = whole.plans[0].1.changes.iter().map(|change| change.what.as_str()).collect();
    assert_eq!(changes, ["rule master", "rename of branch master"]);
    assert_eq!(whole.plans[0].1.risks().weakens, 1);
}

#[tokio::test(start_paused = true)]
async fn a_new_default_branch_has_a_rule_and_the_former_one_keeps_its_rule() {
    let world =
        world(json!({ "master": { "enforce_admins": true } }), ", default_branch_when_missing: create").await;
    world.apply().await;
    let (default, branches, rules) = seen(&world);
    assert_eq!(default, "main");
    let both = vec!["main".to_owned(), "master".to_owned()];
    assert_eq!((branches, rules), (both.clone(), both));
    assert_eq!(world.changes().await, Vec::<String>::new());
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn by_default_a_missing_default_branch_is_only_reported() {
    for when_missing in ["", ", default_branch_when_missing: report"] {
        let world = world(json!({ "master": { "enforce_admins": true } }), when_missing).await;
        let (planner, _) = world.parts();
        let whole = planner.organisation("acme", &[], Shard::default(), &|_, _| {}).await.unwrap();
        let plan = &whole.plans[0].1;
        assert!(plan.changes.is_empty());
        assert_eq!(plan.unknowns[0].part.as_deref(), Some("default_branch"));
        assert!(!plan.unknowns[0].transient);
    }
}

#[tokio::test(start_paused = true)]
async fn each_value_of_the_default_branchs_rule_has_the_rank_of_its_own_layer() {
    let files = [
        ("settings.yml", "branches: [{ name: main, protection: { enforce_admins: false } }]\n"),
        ("layers/strict.yml", RULE),
        ("repos/shop.yml", "branches: [{ name: main, protection: { required_linear_history: true } }]\n"),
    ];
    let world = World::of_files(acme(501, 601), &files).await;
    world.apply().await;
    let state = world.sim.state();
    let rules = &state["orgs"]["acme"]["repos"]["shop"]["protection"];
    for field in ["enforce_admins", "required_linear_history"] {
        assert_eq!(rules["main"][field], json!(true), "{field}: {rules}");
    }
}
