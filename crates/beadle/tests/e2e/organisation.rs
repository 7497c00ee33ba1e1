//! The settings of an organisation: its rulesets and its code security configurations.

use serde_json::{Value, json};

use crate::world::{World, acme};

const SETTINGS: &str = "
rulesets:
  - name: default branches
    target: branch
    enforcement: active
    bypass_actors: [{ actor_type: OrganizationAdmin, actor_id: 1, bypass_mode: always }]
    conditions:
      ref_name: { include: ['~DEFAULT_BRANCH'], exclude: [] }
      repository_name: { include: ['*'], exclude: ['sandbox-*'] }
    rules:
      - { type: deletion }
      - { type: pull_request, parameters: { required_approving_review_count: 1, dismiss_stale_reviews_on_push: true,
          require_code_owner_review: false, require_last_push_approval: false, required_review_thread_resolution: true } }
code_security_configurations:
  - name: baseline
    description: What everybody has
    dependency_graph: enabled
    dependabot_alerts: enabled
    dependabot_security_updates: enabled
    secret_scanning: enabled
    secret_scanning_push_protection: enabled
    code_scanning_default_setup: enabled
    private_vulnerability_reporting: enabled
    enforcement: enforced
    default_for_new_repos: all
    attach_to: all
";

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

/// Returns the state in a fixed order, without ids and times that a new object changes.
fn comparable(value: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .filter(|(key, _)| !["id", "updated_at"].contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), comparable(value)))
            .collect(),
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(comparable).collect();
            items.sort_by_key(ToString::to_string);
            json!(items)
        }
        other => other.clone(),
    }
}

/// Returns all single changes of the values below `value`.
fn mutations(document: &Value, path: &str, value: &Value, found: &mut Vec<(String, Value)>) {
    let skipped = ["/id", "/updated_at", "/type", "/actor_type", "/actor_id"];
    if skipped.iter().any(|end| path.ends_with(end)) {
        return;
    }
    let mut with = |suffix: &str, new: Value| {
        let mut changed = document.clone();
        *changed.pointer_mut(path).unwrap() = new;
        found.push((format!("{path}{suffix}"), changed));
    };
    match value {
        Value::Bool(on) => with("", json!(!on)),
        Value::Number(number) => with("", json!(number.as_i64().unwrap() + 1)),
        Value::String(text) => {
            let other = match text.as_str() {
                "enabled" => "disabled",
                "enforced" => "unenforced",
                "all" => "public",
                "active" => "evaluate",
                "branch" => "tag",
                "always" => "pull_request",
                text => &format!("{text}-changed"),
            };
            with("", json!(other));
        }
        Value::Array(items) if !items.is_empty() => with(" emptied", json!([])),
        Value::Object(map) if ["/rulesets", "/security_configurations"].contains(&path) => {
            for name in map.keys() {
                let mut fewer = map.clone();
                fewer.remove(name);
                with(&format!(" without {name}"), json!(fewer));
            }
        }
        _ => {}
    }
    let children: Vec<(String, Value)> = match value {
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        Value::Array(items) if path.ends_with("/repositories") => {
            let _ = items; // an id changed is a repository less, which is in the table
            Vec::new()
        }
        Value::Array(items) => {
            items.iter().enumerate().map(|(at, value)| (at.to_string(), value.clone())).collect()
        }
        _ => Vec::new(),
    };
    for (key, child) in children {
        mutations(document, &format!("{path}/{}", key.replace('/', "~1")), &child, found);
    }
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
async fn drift_of_every_field_of_the_organisation_is_repaired() {
    let world = world().await;
    world.beadle(&["apply", "--yes"]).await.expect(0);
    world.beadle(&["plan"]).await.expect(0);
    let declared = own(&world);
    let attached = declared["security_configurations"]["baseline"]["repositories"].as_array().unwrap().len();
    assert_eq!(attached, 2, "an archived repository takes no writes");
    let mut table = Vec::new();
    for part in ["rulesets", "security_configurations"] {
        mutations(&declared, &format!("/{part}"), &declared[part], &mut table);
    }
    assert!(table.len() > 25, "the table has shrunk: {}", table.len());
    for (what, mutated) in &table {
        put(&world, mutated).await;
        let plan = world.beadle(&["plan"]).await;
        assert_eq!(plan.code, 2, "{what} was not found: {} {}", plan.out, plan.err);
        let applied = world.beadle(&["apply", "--yes"]).await;
        assert_eq!(applied.code, 0, "{what}: {} {}", applied.out, applied.err);
        assert_eq!(comparable(&own(&world)), comparable(&declared), "{what} was mended otherwise");
        let again = world.beadle(&["plan"]).await;
        assert_eq!(again.code, 0, "{what}: the plan after is not empty: {}", again.out);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_repairs_an_organisations_ruleset_and_unknown_parts_stay() {
    let world = world().await;
    let serving = world.serve().await;
    world.connect();
    let is_there = || world.sim.state()["orgs"]["acme"]["rulesets"].get("default branches").is_some();
    for _ in 0..500 {
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
    for _ in 0..500 {
        if kinds().len() == 3 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(kinds(), ["deletion", "copilot_code_review", "pull_request"], "{}", serving.log());
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
    for _ in 0..500 {
        let journal = world.beadle(&["journal", "--format", "ndjson"]).await.expect(0);
        if journal.out.contains("\"kind\":\"sweep\"") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let whole = |status: u64| {
        let calls = world.sim.calls();
        let whole = |call: &&Value| {
            let path = call["path"].as_str().unwrap();
            path.contains("/shop/rulesets/") && call["method"] == "GET" && call["status"] == status
        };
        calls.iter().filter(whole).count()
    };
    assert_eq!((whole(200), whole(500)), (0, 0), "GraphQL shows all of it: {}", serving.log());
    // Every try of the first run fails.
    world.fault(json!({ "path": "/shop/rulesets/", "status": 500, "count": 3 })).await;
    let rules = json!([{ "type": "deletion" }, { "type": "copilot_code_review" }]);
    world.patch(json!({ "shop": { "rulesets": { "main": { "rules": rules, "updated_at": "2030-01-01T00:00:00Z" } } } }), true).await;
    for _ in 0..1000 {
        if whole(200) > 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!((whole(200), whole(500)), (1, 3), "{}", serving.log());
    let before = world.sim.calls().len();
    world.patch(json!({ "shop": { "has_wiki": false } }), true).await;
    for _ in 0..500 {
        if world.sim.calls().len() > before {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(whole(200), 1, "it is settled");
}
