//! Sends every payload of GitHub's published examples to the intake. If an event concerns an
//! aspect, its payload must mark the right keys as due.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::contracts::tool;
use crate::repair::POLICY;
use crate::world::{World, acme};

/// The events that make their repository due.
const REPOSITORY: &[&str] = &[
    "repository",
    "public",
    "branch_protection_rule",
    "team_add",
    "member",
    "label",
    "milestone",
    "repository_ruleset",
];

fn login(payload: &Value) -> Option<&str> {
    ["/organization/login", "/repository/owner/login", "/installation/account/login"]
        .iter()
        .find_map(|path| payload.pointer(path)?.as_str())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_published_example_is_accepted_and_names_its_keys() {
    let path = tool("webhooks-examples/package/api.github.com/index.json");
    let events: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let examples: Vec<(&str, &Value)> = events
        .iter()
        .flat_map(|event| {
            let name = event["name"].as_str().unwrap();
            event["examples"].as_array().unwrap().iter().map(move |example| (name, example))
        })
        .collect();
    assert!(examples.len() > 200, "{}", examples.len());

    let mut world = World::new(acme(json!({}))).await;
    world.policy("settings.yml", POLICY);
    let logins: BTreeSet<String> =
        examples.iter().filter_map(|(_, payload)| login(payload)).map(str::to_lowercase).collect();
    for login in logins.iter().filter(|login| *login != "acme") {
        let _ = write!(
            world.org_lines,
            "\n[[org]]\nname = \"{login}\"\napi = \"{}\"\napp = {{ id = {}, key = \"file:app.pem\" }}\n\
             webhook_secrets = [\"file:webhook.secret\"]\npolicy = \"policy\"\n",
            world.sim.url(),
            beadle_sim::APP_ID
        );
    }
    let _serving = world.serve().await;
    let mut wrong = Vec::new();
    for (at, (event, payload)) in examples.iter().enumerate() {
        let sent =
            world.delivery(&format!("d{at}"), event, payload.to_string().as_bytes()).send().await.unwrap();
        if sent.status() != 202 {
            wrong.push(format!("{event}: {} {}", sent.status(), sent.text().await.unwrap()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    let listed = world.beadle(&["deliveries", "--json", "--limit", "10000"]).await.expect(0);
    let mut checked = 0;
    for row in listed.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        let Some(at) = row["id"].as_str().unwrap().strip_prefix('d') else { continue };
        let (event, payload) = examples[at.parse::<usize>().unwrap()];
        let keys = row["keys"].as_array().unwrap();
        let instance = login(payload).unwrap_or_default().to_lowercase();
        let repository = &payload["repository"]["id"];
        let wanted = json!([format!("repository:{instance}:{repository}")]);
        let of_team = event == "team" && !repository.is_null();
        if REPOSITORY.contains(&event) && !repository.is_null() || of_team {
            assert_eq!(row["keys"], wanted, "{event}");
            checked += 1;
        } else if event == "create" && payload["ref_type"] == "branch" {
            assert_eq!(row["keys"], wanted, "{event}");
        } else if event == "installation_repositories" {
            assert_eq!(keys.len(), payload["repositories_added"].as_array().unwrap().len(), "{event}");
        } else if ["issues", "star", "pull_request", "check_run", "ping", "fork"].contains(&event) {
            assert!(keys.is_empty(), "{event}: {keys:?}");
        }
    }
    assert!(checked > 20, "{checked}");
    world.checked = false; // the simulator does not have these organisations
}
