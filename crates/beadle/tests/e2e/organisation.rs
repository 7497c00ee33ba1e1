//! Tests the settings of an organisation: the rulesets and the code security configurations.

use serde_json::{Value, json};

use crate::world::{World, acme};

const SETTINGS: &str = include_str!("../../../repositories/src/planner/tests/organisation.yml");

async fn put(world: &World, document: &Value) {
    let mut state = world.sim.state();
    state["orgs"]["acme"]["rulesets"] = document["rulesets"].clone();
    state["orgs"]["acme"]["security_configurations"] = document["security_configurations"].clone();
    let url = format!("{}/_sim/state", world.sim.url());
    assert!(world.http.put(url).body(state.to_string()).send().await.unwrap().status().is_success());
}

fn own(world: &World) -> Value {
    let org = &world.sim.state()["orgs"]["acme"];
    json!({ "rulesets": org["rulesets"], "security_configurations": org["security_configurations"] })
}

async fn world() -> World {
    let mut world = World::unlimited(acme(json!({
        "widgets": { "branches": { "main": {} } },
        "gadgets": { "branches": { "main": {} }, "visibility": "public" },
        "old": { "archived": true },
    })))
    .await;
    world.org_lines += "[org.guard]\nrepeats = 0\nremoves = 100000\nweakens = 100000\nexposes = 100000\n";
    world.policy("settings.yml", SETTINGS);
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_repairs_an_organisations_ruleset_and_unknown_parts_stay() {
    let world = world().await;
    let serving = world.serve().await;
    world.connect();
    let is_there = || world.sim.state()["orgs"]["acme"]["rulesets"].get("default branches").is_some();
    for _ in 0..2000 {
        if is_there() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(is_there(), "{}", serving.log());
    let mut changed = own(&world);
    let ruleset = &mut changed["rulesets"]["default branches"];
    ruleset["rules"] = json!([{ "type": "deletion" }, { "type": "copilot_code_review" }]);
    let id = ruleset["id"].clone();
    put(&world, &changed).await;
    let body = json!({
        "action": "edited", "repository_ruleset": { "id": id, "name": "default branches" },
        "organization": { "login": "acme", "id": world.sim.state()["orgs"]["acme"]["id"] },
    });
    let sent = world.delivery("d1", "repository_ruleset", body.to_string().as_bytes()).send().await.unwrap();
    assert_eq!(sent.status(), 202);
    let kinds = || {
        let rules = world.sim.state()["orgs"]["acme"]["rulesets"]["default branches"]["rules"].clone();
        rules
            .as_array()
            .unwrap()
            .iter()
            .map(|rule| rule["type"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    for _ in 0..2000 {
        if kinds().len() == 3 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(kinds(), ["deletion", "copilot_code_review", "pull_request"], "{}", serving.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_repairs_the_definition_of_a_property() {
    let world = world().await;
    let policy =
        "organization:\n  custom_properties:\n  - { name: tier, value_type: string, description: ours }\n";
    world.policy("settings.yml", policy);
    let serving = world.serve().await;
    world.connect();
    let description =
        || world.sim.state()["orgs"]["acme"]["property_definitions"]["tier"]["description"].clone();
    let is_ours = async || {
        for _ in 0..2000 {
            if description() == "ours" {
                return true;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        false
    };
    assert!(is_ours().await, "{}", serving.log());
    let theirs =
        json!({ "orgs": { "acme": { "property_definitions": { "tier": { "description": "theirs" } } } } });
    let url = format!("{}/_sim/state", world.sim.url());
    assert!(world.http.patch(url).body(theirs.to_string()).send().await.unwrap().status().is_success());
    let body = json!({
        "action": "updated", "definition": { "property_name": "tier" },
        "organization": { "login": "acme", "id": world.sim.state()["orgs"]["acme"]["id"] },
    });
    let sent = world.delivery("d1", "custom_property", body.to_string().as_bytes()).send().await.unwrap();
    assert_eq!(sent.status(), 202);
    assert!(is_ours().await, "{}", serving.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn private_vulnerability_reports_are_only_for_public_repositories() {
    let world = world().await;
    world.policy("settings.yml", "security: { private_vulnerability_reporting: true }\n");
    world.beadle(&["apply", "--yes"]).await.expect(0);
    assert_eq!(world.repository("gadgets")["private_vulnerability_reporting"], json!(true));
    assert_eq!(world.repository("widgets")["private_vulnerability_reporting"], json!(false));
    world.patch(json!({ "gadgets": { "private_vulnerability_reporting": false } }), false).await;
    world.beadle(&["plan"]).await.expect(2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_ruleset_is_read_until_the_read_succeeds() {
    let ruleset = json!({ "target": "branch", "enforcement": "active", "rules": [{ "type": "deletion" }] });
    let world = World::new(acme(json!({ "shop": { "rulesets": { "main": ruleset } } }))).await;
    let wanted = "layers/rulesets.yml";
    std::fs::create_dir(world.path().join("policy/layers")).unwrap();
    world.policy(
        wanted,
        "rank: 1\nselect: { name: ['*'] }\nrulesets:\n\
         - { name: main, target: branch, enforcement: active, rules: [{ type: deletion }] }\n",
    );
    let serving = world.serve().await;
    world.connect();
    world.until_swept(&serving).await;
    let whole = |status: u64| {
        let calls = world.sim.calls();
        let whole = |call: &&Value| {
            let path = call["path"].as_str().unwrap();
            path.contains("/shop/rulesets/") && call["method"] == "GET" && call["status"] == status
        };
        calls.iter().filter(whole).count()
    };
    assert_eq!((whole(200), whole(500)), (0, 0), "GraphQL shows all of it: {}", serving.log());
    // Every attempt of the first run fails.
    world.fault(json!({ "path": "/shop/rulesets/", "status": 500, "count": 3 })).await;
    let rules = json!([{ "type": "deletion" }, { "type": "copilot_code_review" }]);
    world.patch(json!({ "shop": { "rulesets": { "main": { "rules": rules, "updated_at": "2030-01-01T00:00:00Z" } } } }), true).await;
    for _ in 0..4000 {
        if whole(200) > 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!((whole(200), whole(500)), (1, 3), "{}", serving.log());
    let before = world.sim.calls().len();
    world.patch(json!({ "shop": { "has_wiki": false } }), true).await;
    for _ in 0..2000 {
        if world.sim.calls().len() > before {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(whole(200), 1, "it is settled");
}
