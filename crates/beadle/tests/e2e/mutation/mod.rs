//! Tests one mutation of every field that the aspects cover. Each mutation is in a separate
//! repository. The test makes these mutations, and Beadle must find them. The test generates the
//! table of mutations from the state document. A new field must be in this table or in the list of
//! uncovered fields. The list contains a reason for each field.

mod declared;
mod table;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::world::{World, acme};

use declared::{RULESETS, SETTINGS};
use table::{comparable, mutations};

/// A copy of the declared state without a change.
const CONTROL: &str = "control";

async fn world() -> World {
    let mut state = acme(json!({ "widgets": { "branches": { "main": {}, "develop": {} } } }));
    state["orgs"]["acme"]["custom_roles"] = json!(["security-reader"]);
    state["orgs"]["acme"]["property_definitions"] = json!({ "tier": {}, "more": {}, "regions": { "value_type": "multi_select", "allowed_values": ["eu", "us"] } });
    state["orgs"]["acme"]["teams"]["platform"]["id"] = json!(501);
    state["orgs"]["acme"]["teams"]["contractors"]["id"] = json!(504);
    let mut world = World::unlimited(state).await;
    std::fs::write(world.path().join("ci.secret"), format!("{:032x}", rand::random::<u128>())).unwrap();
    world.org_lines += "[org.guard]\nrepeats = 0\npercent = 100\nremoves = 100000\nweakens = 100000\nexposes = 100000\n\
                       [org.secrets]\nci_hook = \"file:ci.secret\"\n";
    world.policy("settings.yml", SETTINGS);
    // In `settings.yml`, these rulesets would be rulesets of the organisation.
    world.policy("suborgs/all.yml", &format!("suborgrepos: ['*']\n{RULESETS}"));
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_of_every_field_is_repaired_and_the_next_plan_is_empty() {
    let world = world().await;
    world.beadle(&["apply", "--yes"]).await.expect(0);
    world.beadle(&["plan"]).await.expect(0);
    let declared = world.repository("widgets");
    let mut table = Vec::new();
    mutations(&declared, "", &declared, &mut table);
    assert!(table.len() > 220, "the table has shrunk: {}", table.len());

    // Each mutation is in a separate repository, so one plan finds all mutations.
    let name = |at: usize| format!("mutated-{at:03}");
    let mutated = table.iter().enumerate().map(|(at, (_, mutated))| (name(at), another(mutated)));
    put(&world, mutated.chain([(CONTROL.to_owned(), another(&declared))])).await;
    let seen = world.sim.state();
    let planned = planned(&world).await;
    assert_eq!(planned[CONTROL], json!([]), "nothing was mutated in it");
    let mut wrong = Vec::new();
    for (at, (what, _)) in table.iter().enumerate() {
        if content(&seen["orgs"]["acme"]["repos"][name(at)]) == content(&declared) {
            wrong.push(format!("{what}: the simulator does not keep this mutation"));
        } else if planned[&name(at)] == json!([]) {
            wrong.push(format!("{what}: not found"));
        }
    }

    let applied = world.beadle(&["apply", "--yes"]).await;
    if applied.code != 0 {
        wrong.push(format!("not mended ({}): {} {}", applied.code, applied.out, applied.err));
    }
    let mended = world.sim.state();
    for (at, (what, _)) in table.iter().enumerate() {
        let mut after = mended["orgs"]["acme"]["repos"][name(at)].clone();
        if what == "/default_branch" {
            // The mutation made `develop` the default branch, so Beadle protected `develop` too.
            // The protection of the earlier default branch stays.
            after["protection"].as_object_mut().unwrap().remove("develop");
        }
        let (after, declared) = (content(&after), content(&declared));
        if after != declared {
            let keys = declared.as_object().unwrap().keys().filter(|key| after[*key] != declared[*key]);
            let differ: Vec<String> =
                keys.map(|key| format!("{key}: {} and not {}", after[key], declared[key])).collect();
            wrong.push(format!("{what}: mended otherwise: {}", differ.join("; ")));
        }
    }

    let again = world.beadle(&["plan"]).await;
    if again.code != 0 {
        wrong.push(format!("the plan after is not empty: {}", again.out));
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), table.len(), wrong.join("\n"));
}

/// Returns the changes of a plan for each repository. The map's keys are the names of the
/// repositories.
async fn planned(world: &World) -> BTreeMap<String, Value> {
    let plan = world.beadle(&["plan", "--format", "json"]).await.expect(2).json();
    let repositories = plan["organisations"][0]["repositories"].as_array().unwrap();
    let named = |repository: &Value| {
        let subject = repository["name"].as_str().unwrap();
        let name = subject.rsplit_once('/').map_or(subject, |(_, name)| name);
        (name.to_owned(), repository["changes"].clone())
    };
    repositories.iter().map(named).collect()
}

/// Converts the document of a repository to the document of a new repository. The parts of the new
/// document have no ids yet.
fn another(document: &Value) -> Value {
    let mut document = document.clone();
    document["id"] = Value::Null;
    for part in ["labels", "milestones", "autolinks", "rulesets", "hooks", "protection", "environments"] {
        for (_, entry) in document[part].as_object_mut().into_iter().flatten() {
            entry["id"] = Value::Null;
        }
    }
    document
}

/// Returns the parts that must be equal in two repositories.
fn content(document: &Value) -> Value {
    let mut content = comparable(document);
    for identity in ["id", "name"] {
        content.as_object_mut().unwrap().remove(identity);
    }
    content
}

/// Replaces whole documents of repositories.
async fn put(world: &World, documents: impl IntoIterator<Item = (String, Value)>) {
    let mut state = world.sim.state();
    for (name, document) in documents {
        state["orgs"]["acme"]["repos"][name] = document;
    }
    let url = format!("{}/_sim/state", world.sim.url());
    assert!(world.http.put(url).body(state.to_string()).send().await.unwrap().status().is_success());
}
