//! Tests environments and variables.

use beadle_engine::Limits;

use super::world::{UNLIMITED, World};
use super::*;

const POLICY: &str = "
environments:
- name: Production
  wait_timer: 30
  reviewers: [{ type: Team, slug: platform }, { type: User, login: mona }]
  prevent_self_review: true
  deployment_branch_policy: { custom_branch_policies: [main, { names: ['v*'], type: tag }] }
  deployment_protection_rules: [{ app: gate }]
  variables: [{ name: region, value: eu }, { name: SIZE, value: 3 }]
variables: [{ name: colour, value: blue }]
";

fn state() -> Value {
    let mut state = acme(501, 601);
    state["apps"] = json!({ "gate": { "id": 777 }, "other": { "id": 778 } });
    state
}

fn part<'a>(state: &'a Value, path: &str) -> &'a Value {
    state["orgs"]["acme"]["repos"]["shop"].pointer(path).unwrap_or(&Value::Null)
}

fn patch(part: &Value) -> Value {
    json!({ "orgs": { "acme": { "repos": { "shop": part } } } })
}

#[tokio::test(start_paused = true)]
async fn an_environment_is_created_with_all_its_parts_and_stays() {
    let world = World::new(state(), POLICY).await;
    world.apply().await;
    assert_eq!(world.changes().await, Vec::<String>::new());
    let state = world.sim.state();
    let made = part(&state, "/environments/Production");
    assert_eq!((&made["wait_timer"], &made["prevent_self_review"]), (&json!(30), &json!(true)));
    assert_eq!(made["reviewers"], json!([{ "type": "Team", "id": 601 }, { "type": "User", "id": 501 }]));
    let patterns = made["branch_policies"].as_array().unwrap().iter();
    let patterns: Vec<(&str, &str)> =
        patterns.map(|one| (one["name"].as_str().unwrap(), one["type"].as_str().unwrap())).collect();
    assert_eq!(patterns, [("main", "branch"), ("v*", "tag")]);
    assert_eq!(made["gates"][0]["app_id"], 777);
    assert_eq!(made["variables"], json!({ "REGION": "eu", "SIZE": "3" }));
    assert_eq!(part(&state, "/variables"), &json!({ "COLOUR": "blue" }));
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn each_change_is_found_with_its_risk_and_repaired() {
    let world = World::new(state(), POLICY).await;
    world.apply().await;
    let settled = world.sim.state();
    let pattern = json!({ "id": 9001, "name": "dev/*", "type": "branch" });
    let main = part(&settled, "/environments/Production/branch_policies/0").clone();
    let open = json!({ "protected_branches": true, "custom_branch_policies": false });
    for (what, key, value, risk) in [
        ("a longer timer", "wait_timer", json!(60), "Weakens"),
        ("a shorter timer", "wait_timer", json!(5), "Changes"),
        ("no reviewers", "reviewers", json!([]), "Changes"),
        ("one reviewer", "reviewers", json!([{ "type": "Team", "id": 601 }]), "Weakens"),
        ("self-review", "prevent_self_review", json!(false), "Changes"),
        ("all branches", "deployment_branch_policy", Value::Null, "Changes"),
        ("protected branches", "deployment_branch_policy", open, "Weakens"),
        ("one pattern more", "branch_policies", json!([main, pattern]), "Weakens"),
        ("no patterns", "branch_policies", json!([]), "Weakens"),
        ("no App", "gates", json!([]), "Changes"),
        ("another App", "gates", json!([{ "id": 9002, "app_id": 778 }]), "Weakens"),
        ("another value", "variables", json!({ "REGION": "us", "SIZE": "3" }), "Changes"),
        ("a variable more", "variables", json!({ "REGION": "eu", "SIZE": "3", "X": "x" }), "Removes"),
        ("a variable less", "variables", json!({ "REGION": "eu" }), "Adds"),
    ] {
        let mut drifted = settled.clone();
        let production = &mut drifted["orgs"]["acme"]["repos"]["shop"]["environments"]["Production"];
        production[key] = value;
        if key == "deployment_branch_policy" {
            // Without this setting, an environment has no patterns at GitHub.
            production["branch_policies"] = json!([]);
        }
        world.control("PUT", &drifted).await;
        let changes = world.changes().await.join("\n");
        assert!(changes.contains(&format!("risk: {risk}")), "{what}: {changes}");
        world.apply().await;
        assert_eq!(world.changes().await, Vec::<String>::new(), "{what}");
    }
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn an_environment_that_is_not_listed_is_removed_and_the_plan_shows_what_goes_with_it() {
    let stray = json!({ "variables": { "OLD_URL": "x" } });
    let mut state = state();
    // If somebody removes the environment of a Pages site, GitHub creates it again.
    let all = json!({ "stray": stray, "PRODUCTION": {}, "github-pages": {} });
    state["orgs"]["acme"]["repos"]["shop"]["environments"] = all;
    let world = World::new(state.clone(), "environments: { additive: [{ name: production }] }\n").await;
    assert_eq!(world.changes().await, Vec::<String>::new(), "case does not matter, and others stay");
    let world = World::new(state, "environments: [{ name: production }]\n").await;
    let changes = world.changes().await;
    let [change] = changes.as_slice() else { panic!("{changes:?}") };
    assert!(change.contains("environment stray") && change.contains("OLD_URL"), "{change}");
    assert!(change.contains("risk: Removes"), "{change}");
    world.apply().await;
    let left = world.sim.state();
    let mut left: Vec<&String> = part(&left, "/environments").as_object().unwrap().keys().collect();
    left.sort_unstable();
    assert_eq!(left, ["PRODUCTION", "github-pages"]);
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn a_value_that_the_policy_does_not_name_stays() {
    let mut state = state();
    state["orgs"]["acme"]["repos"]["shop"]["environments"] = json!({ "production": {
        "wait_timer": 10, "reviewers": [{ "type": "User", "id": 501 }], "prevent_self_review": true,
        "deployment_branch_policy": { "protected_branches": true, "custom_branch_policies": false },
        "variables": { "KEPT": "x" },
    } });
    let world = World::new(state, "environments: [{ name: production, wait_timer: 20 }]\n").await;
    world.apply().await;
    let left = world.sim.state();
    let made = part(&left, "/environments/production");
    assert_eq!(made["wait_timer"], 20);
    assert_eq!(made["reviewers"], json!([{ "type": "User", "id": 501 }]));
    assert_eq!((&made["prevent_self_review"], &made["variables"]["KEPT"]), (&json!(true), &json!("x")));
    assert_eq!(made["deployment_branch_policy"]["protected_branches"], true);
}

#[tokio::test(start_paused = true)]
async fn a_tightening_does_not_wait_for_a_weakening_of_the_same_environment() {
    let mut state = state();
    state["orgs"]["acme"]["repos"]["shop"]["environments"] = json!({ "production": {
        "wait_timer": 60, "reviewers": [{ "type": "User", "id": 501 }], "prevent_self_review": false,
        "deployment_branch_policy": { "protected_branches": true, "custom_branch_policies": false },
    } });
    let policy = "
environments:
- name: production
  wait_timer: 30
  prevent_self_review: true
  deployment_branch_policy: { custom_branch_policies: [main] }
  deployment_protection_rules: [{ app: gate }]
";
    let world = World::new(state, policy).await;
    let changes = world.changes().await;
    let [early, late] = changes.as_slice() else { panic!("{changes:?}") };
    for name in ["prevent_self_review", "deployment_protection_rules"] {
        assert!(early.contains(name) && !late.contains(name), "{name}: {changes:?}");
    }
    for name in ["wait_timer", "deployment_branch_policy", "custom_branch_policies"] {
        assert!(late.contains(name) && !early.contains(name), "{name}: {changes:?}");
    }
    assert!(!early.contains("Weakens"), "{early}");
    world.apply_once(Limits { weakens: 0, ..UNLIMITED }).await;
    let left = world.sim.state();
    let made = part(&left, "/environments/production");
    assert_eq!((&made["wait_timer"], &made["prevent_self_review"]), (&json!(60), &json!(true)));
    assert_eq!(made["deployment_branch_policy"]["protected_branches"], true);
    assert_eq!(made["gates"][0]["app_id"], 777);
    let world = World::new(left, policy).await;
    world.apply().await;
    assert_eq!(world.changes().await, Vec::<String>::new());
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn an_environment_with_an_unknown_reviewer_is_not_created() {
    let policy = "environments: [{ name: production, reviewers: [{ type: Team, slug: ghosts }] }]\n";
    let stage = Stage::new(state(), policy).await;
    let plan = stage.plan().await;
    assert!(plan.changes.is_empty());
    assert!(plan.unknowns.iter().any(|unknown| unknown.why.contains("ghosts")), "{:?}", plan.unknowns);
}

#[tokio::test(start_paused = true)]
async fn an_incomplete_list_of_apps_removes_no_app() {
    let world = World::new(state(), POLICY).await;
    world.apply().await;
    let gates = json!([{ "id": 9001, "app_id": 777 }, { "id": 9002, "app_id": 778 }]);
    let live = json!({ "environments": { "Production": { "gates": gates } } });
    world.control("PATCH", &patch(&live)).await;
    assert_eq!(world.changes().await.len(), 1, "the policy does not list the other App");
    let rule =
        |id: u64, app: u64| json!({ "id": id, "enabled": true, "app": { "id": app, "slug": "other" } });
    for (what, rules) in [
        ("the id of another rule", vec![rule(9001, 777), rule(9001, 778)]),
        ("a rule is missing", vec![rule(9002, 778)]),
    ] {
        let body = json!({ "total_count": 2, "custom_deployment_protection_rules": rules });
        world.sim.fault(Fault {
            method: Some("GET".into()),
            path: "deployment_protection_rules".into(),
            status: Some(200),
            body: Some(body),
            ..Fault::default()
        });
        let (changes, doubts) = world.changes_and_doubts().await;
        assert_eq!((changes.len(), doubts.len()), (0, 1), "{what}: {changes:?} {doubts:?}");
        world.sim.no_faults();
    }
}

#[tokio::test(start_paused = true)]
async fn variables_that_are_not_listed_stay_if_the_list_is_additive() {
    let mut state = state();
    state["orgs"]["acme"]["repos"]["shop"]["variables"] = json!({ "COLOUR": "red", "OTHER": "x" });
    let world = World::new(state, "variables: { additive: [{ name: Colour, value: blue }] }\n").await;
    world.apply().await;
    let left = world.sim.state();
    assert_eq!(part(&left, "/variables"), &json!({ "COLOUR": "blue", "OTHER": "x" }));
    world.control("PATCH", &patch(&json!({ "variables": { "COLOUR": "red" } }))).await;
    assert_eq!(world.changes().await.len(), 1);
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn another_form_of_the_same_value_is_not_a_change() {
    let world = World::new(state(), POLICY).await;
    world.apply().await;
    let settled = world.sim.state();
    for form in [
        "wait_timer: 30",
        "reviewers: [{ type: User, id: 501 }, { type: Team, id: 601 }]",
        "reviewers: [{ type: User, login: Mona }, { type: Team, slug: PLATFORM }]",
        "reviewers: [{ type: Team, slug: platform }, { type: Team, id: 601 }, { type: User, login: mona }]",
        "deployment_branch_policy: { custom_branch_policies: true }",
        "deployment_branch_policy: { custom_branch_policies: [{ name: 'v*', type: tag }, { name: main }] }",
        "deployment_branch_policy: { protected_branches: false, custom_branch_policies: [{ names: [main], type: \
         branch }, { name: 'v*', type: tag }] }",
        "deployment_protection_rules: [{ app_id: 777 }]",
        "deployment_protection_rules: [{ app: Gate }]",
        "variables: [{ name: Size, value: '3' }, { name: REGION, value: eu }]",
    ] {
        let policy = format!("environments: [{{ name: PRODUCTION, {form} }}]\n");
        let other = World::new(settled.clone(), &policy).await;
        assert_eq!(other.changes().await, Vec::<String>::new(), "{form}");
    }
}
