//! Changes each field that the aspects cover, one at a time. The table of changes is generated from
//! the state document. A new field is in the table, or in the list of uncovered fields with a reason.

mod declared;
mod table;

use serde_json::{Value, json};

use crate::world::{World, acme};

use declared::{RULESETS, SETTINGS};
use table::{comparable, mutations};

async fn world() -> World {
    let mut state = acme(json!({ "widgets": { "branches": { "main": {}, "develop": {} } } }));
    state["orgs"]["acme"]["custom_roles"] = json!(["security-reader"]);
    state["orgs"]["acme"]["property_definitions"] = json!({ "tier": {}, "more": {}, "regions": { "value_type": "multi_select", "allowed_values": ["eu", "us"] } });
    state["orgs"]["acme"]["teams"]["platform"]["id"] = json!(501);
    let mut world = World::unlimited(state).await;
    std::fs::write(world.path().join("ci.secret"), format!("{:032x}", rand::random::<u128>())).unwrap();
    world.org_lines += "[org.guard]\nrepeats = 0\npercent = 100\nremoves = 100000\nweakens = 100000\nexposes = 100000\n\
                       [org.secrets]\nci_hook = \"file:ci.secret\"\n";
    world.policy("settings.yml", SETTINGS);
    world.policy("repos/widgets.yml", RULESETS);
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
    let mut wrong = Vec::new();
    for (what, mutated) in &table {
        put(&world, mutated).await;
        let seen = world.repository("widgets");
        if comparable(&seen) == comparable(&declared) {
            wrong.push(format!("{what}: the simulator does not keep this mutation"));
            continue;
        }
        let plan = world.beadle(&["plan"]).await;
        if plan.code != 2 {
            wrong.push(format!("{what}: not found ({}): {} {}", plan.code, plan.out, plan.err));
            put(&world, &declared).await;
            continue;
        }
        let applied = world.beadle(&["apply", "--yes"]).await;
        if applied.code != 0 {
            wrong.push(format!("{what}: not mended ({}): {} {}", applied.code, applied.out, applied.err));
        }
        let mut after = world.repository("widgets");
        if what == "/default_branch" {
            // The branch that was the default one by mistake was protected as well, and stays so.
            after["protection"].as_object_mut().unwrap().remove("develop");
        }
        if comparable(&after) != comparable(&declared) {
            let (after, declared) = (comparable(&after), comparable(&declared));
            let keys = declared.as_object().unwrap().keys().filter(|key| after[*key] != declared[*key]);
            let differ: Vec<String> =
                keys.map(|key| format!("{key}: {} and not {}", after[key], declared[key])).collect();
            wrong.push(format!("{what}: mended otherwise: {}", differ.join("; ")));
        }
        let again = world.beadle(&["plan"]).await;
        if again.code != 0 {
            wrong.push(format!("{what}: the plan after is not empty: {}", again.out));
        }
        put(&world, &declared).await;
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), table.len(), wrong.join("\n"));
}

/// Replaces the whole document of a repository.
async fn put(world: &World, document: &Value) {
    let mut state = world.sim.state();
    state["orgs"]["acme"]["repos"]["widgets"] = document.clone();
    let url = format!("{}/_sim/state", world.sim.url());
    assert!(world.http.put(url).body(state.to_string()).send().await.unwrap().status().is_success());
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_after_the_first_page_count() {
    let people: Vec<String> = (0..31).map(|n| format!("person{n:02}")).collect();
    let teams: Vec<String> = (0..101).map(|n| format!("team{n:03}")).collect();
    let mut state = acme(json!({ "widgets": { "branches": { "main": {} } } }));
    for person in &people {
        state["users"][person] = json!({});
        state["orgs"]["acme"]["members"].as_array_mut().unwrap().push(json!(person));
    }
    for team in &teams {
        state["orgs"]["acme"]["teams"][team] = json!({});
    }
    let mut policy = String::from("teams:\n");
    for team in &teams {
        policy += &format!("  - {{ name: {team}, permission: push }}\n");
    }
    policy += "collaborators:\n";
    for person in &people {
        policy += &format!("  - {{ username: {person}, permission: push }}\n");
    }
    policy += "branches:\n";
    for n in 0..6 {
        policy += &format!("  - {{ name: release/{n}, protection: {{ enforce_admins: true }} }}\n");
    }
    policy += "  - name: bypass\n    protection:\n      required_pull_request_reviews:\n        bypass_pull_request_allowances:\n          users: [";
    policy += &people[..12].join(", ");
    policy += "]\n";
    let world = World::unlimited(state).await;
    world.policy("settings.yml", &policy);
    // The table is about completeness, not about limits: a few hundred writes in a row.
    world.http.delete(format!("{}/_sim/limits", world.sim.url())).send().await.unwrap();
    let mut whole = world.repository("widgets");
    let all = |names: &[String]| {
        names.iter().map(|name| (name.clone(), json!("push"))).collect::<serde_json::Map<_, _>>()
    };
    whole["teams"] = json!(all(&teams));
    whole["collaborators"] = json!(all(&people));
    for n in 0..6 {
        whole["protection"][format!("release/{n}")] = json!({ "enforce_admins": true });
    }
    let reviews = json!({ "required_approving_review_count": 1, "bypass_pull_request_allowances": { "users": people[..12] } });
    whole["protection"]["bypass"] = json!({ "required_pull_request_reviews": reviews });
    put(&world, &whole).await;
    world.beadle(&["plan"]).await.expect(0);
    for (patch, what) in [
        (json!({ "teams": { "team100": "admin" } }), "team team100"),
        (json!({ "collaborators": { "person30": "admin" } }), "collaborator person30"),
        (json!({ "protection": { "release/5": { "enforce_admins": false } } }), "rule release/5"),
        (
            json!({ "protection": { "bypass": { "required_pull_request_reviews": {
                "bypass_pull_request_allowances": { "users": people[..13] } } } } }),
            "bypass_pull_request_allowances",
        ),
    ] {
        world.patch(json!({ "widgets": patch }), false).await;
        let plan = world.beadle(&["plan"]).await.expect(2);
        assert!(plan.out.contains(what) && plan.out.contains("1 change in 1"), "{what}: {}", plan.out);
        world.beadle(&["apply", "--yes"]).await.expect(0);
        world.beadle(&["plan"]).await.expect(0);
    }
}
