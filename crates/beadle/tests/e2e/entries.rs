//! Tests the entries of lists. Two similar entries stay separate. If an entry is unchanged, Beadle
//! never deletes and recreates it.

use serde_json::{Value, json};

use crate::world::{World, acme};

async fn world(repository: Value) -> World {
    World::new(acme(json!({ "widgets": repository }))).await
}

/// Applies the policy, and checks that the next plan and the next apply have no changes.
async fn settles(world: &World) {
    world.beadle(&["apply", "--yes"]).await.expect(0);
    world.beadle(&["plan"]).await.expect(0);
    let before = world.writes().len();
    world.beadle(&["apply", "--yes"]).await.expect(0);
    assert_eq!(world.writes().len(), before, "a run that changes nothing writes nothing");
}

async fn patch_organisation(world: &World, organisation: Value) {
    let url = format!("{}/_sim/state", world.sim.url());
    let patch = json!({ "orgs": { "acme": organisation } });
    assert!(world.http.patch(url).body(patch.to_string()).send().await.unwrap().status().is_success());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workflows_with_one_path_are_separate_entries() {
    let world = world(json!({ "branches": { "main": {} } })).await;
    let rules = "rules: [{ type: workflows, parameters: { workflows: [
        { path: ci.yml, repository_id: 4 }, { path: ci.yml, repository_id: 6 } ] } }]";
    world.policy(
        "settings.yml",
        &format!(
            "rulesets:\n  - name: all\n    enforcement: active\n    conditions: {{ ref_name: {{ include: ['~ALL'], exclude: [] }}, \
             repository_name: {{ include: ['*'], exclude: [] }} }}\n    {rules}\n"
        ),
    );
    world.policy(
        "repos/widgets.yml",
        &format!("rulesets:\n  - name: main\n    enforcement: active\n    conditions: {{ ref_name: {{ include: ['~ALL'], exclude: [] }} }}\n    {rules}\n"),
    );
    settles(&world).await;
    let one = json!([{ "type": "workflows", "parameters": {
        "do_not_enforce_on_create": false, "workflows": [{ "path": "ci.yml", "repository_id": 6 }],
    } }]);
    world.patch(json!({ "widgets": { "rulesets": { "main": { "rules": one } } } }), false).await;
    patch_organisation(&world, json!({ "rulesets": { "all": { "rules": one } } })).await;
    let plan = world.beadle(&["plan"]).await.expect(2);
    assert!(plan.out.contains("ruleset main") && plan.out.contains("ruleset all"), "{}", plan.out);
    settles(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bypass_mode_that_graphql_lacks_is_found_by_a_plan_without_stored_answers() {
    let actor = json!({ "actor_type": "OrganizationAdmin", "actor_id": null, "bypass_mode": "exempt" });
    let main = json!({ "target": "branch", "enforcement": "active", "bypass_actors": [actor], "rules": [{ "type": "deletion" }] });
    let world = world(json!({ "branches": { "main": {} }, "rulesets": { "main": main } })).await;
    world.policy(
        "repos/widgets.yml",
        "rulesets:\n  - name: main\n    enforcement: active\n    rules: [{ type: deletion }]\n    \
         bypass_actors: [{ actor_type: OrganizationAdmin, bypass_mode: always }]\n",
    );
    world.beadle(&["plan"]).await.expect(2);
    settles(&world).await;
    let actors = world.repository("widgets")["rulesets"]["main"]["bypass_actors"].clone();
    assert_eq!(actors[0]["bypass_mode"], "always");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_is_renamed_once_and_a_remaining_old_name_is_removed() {
    let color = json!({ "color": "cc0000" });
    let labels = json!({ "wip": color, "later": color, "next": { "color": "cc0000", "description": "old" }, "ärger": color });
    let world = world(json!({ "branches": { "main": {} }, "labels": labels })).await;
    let id = |name: &str| world.repository("widgets")["labels"][name]["id"].clone();
    let (wip, trouble) = (id("wip"), id("ärger"));
    world.policy(
        "settings.yml",
        "labels:\n  - { name: todo, color: cc0000, oldname: wip }\n  - { name: doing, color: cc0000, oldname: wip }\n  \
         - { name: next, color: cc0000, oldname: later, description: null }\n  - { name: Ärger, color: cc0000 }\n",
    );
    settles(&world).await;
    let after = world.repository("widgets")["labels"].clone();
    let names: Vec<&String> = after.as_object().unwrap().keys().collect();
    assert_eq!(names.len(), 4, "{after:#}");
    assert_eq!((&after["todo"]["id"], &after["Ärger"]["id"]), (&wip, &trouble), "{after:#}");
    assert!(after["doing"].is_object() && after["next"]["description"] == json!(""), "{after:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_case_of_a_prefix_deletes_and_recreates_nothing() {
    let links = json!({ "ticket-": { "url_template": "https://t/<num>", "is_alphanumeric": true } });
    let world = world(json!({ "branches": { "main": {} }, "autolinks": links })).await;
    world.policy("settings.yml", "autolinks: [{ key_prefix: TICKET-, url_template: 'https://t/<num>' }]\n");
    world.beadle(&["plan"]).await.expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undeclared_check_of_another_app_is_removed() {
    let check = |app: u64| json!({ "context": "ci", "app_id": app });
    let live = json!({ "main": { "required_status_checks": { "strict": false, "checks": [check(15368), check(777)] } } });
    let world = world(json!({ "branches": { "main": {} }, "protection": live })).await;
    world.policy(
        "settings.yml",
        "branches:\n  - name: main\n    protection: { required_status_checks: { strict: false, \
         checks: [{ context: ci, app_id: 15368 }] } }\n",
    );
    let plan = world.beadle(&["plan"]).await.expect(2);
    assert!(plan.out.contains("! weakens"), "{}", plan.out);
    settles(&world).await;
    let after = world.repository("widgets")["protection"]["main"]["required_status_checks"]["checks"].clone();
    assert_eq!(after, json!([check(15368)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_setting_does_not_stop_other_settings() {
    let live = json!({ "branches": { "main": {} }, "has_wiki": true, "web_commit_signoff_required": false });
    let world = world(live).await;
    world.policy("settings.yml", "repository: { has_wiki: false, web_commit_signoff_required: true }\n");
    let refusal = json!({ "message": "Validation Failed", "documentation_url": "https://docs.github.com/rest", "errors": [] });
    world
        .fault(json!({ "method": "PATCH", "path": "/repos/acme/widgets", "contains": "web_commit_signoff_required",
            "status": 422, "body": refusal }))
        .await;
    let applied = world.beadle(&["apply", "--yes"]).await;
    assert_ne!(applied.code, 0, "what was refused is said: {}", applied.out);
    assert_eq!(world.repository("widgets")["has_wiki"], json!(false));
    assert_eq!(world.repository("widgets")["web_commit_signoff_required"], json!(false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_role_that_became_a_custom_role_is_found_in_every_page() {
    for count in [3, 130] {
        let repository = json!({ "branches": { "main": {} }, "teams": { "platform": "push" } });
        let repositories: serde_json::Map<String, Value> =
            (0..count).map(|n| (format!("r{n}"), repository.clone())).collect();
        let mut state = acme(Value::Object(repositories));
        state["orgs"]["acme"]["custom_roles"] = json!(["security-reader"]);
        let world = World::unlimited(state).await;
        world.policy("settings.yml", "teams: [{ name: platform, permission: push }]\n");
        world.beadle(&["plan"]).await.expect(0);
        world.patch(json!({ "r1": { "teams": { "platform": "security-reader" } } }), false).await;
        let plan = world.beadle(&["plan"]).await.expect(2);
        assert!(plan.out.contains("team platform"), "of {count}: {}", plan.out);
        world.beadle(&["apply", "--yes"]).await.expect(0);
        assert_eq!(world.repository("r1")["teams"]["platform"], "push", "of {count}");
    }
}
