//! The webhooks of pull requests and of their checks.
//!
//! <https://docs.github.com/webhooks/webhook-events-and-payloads#pull_request>

use serde_json::{Value, json};

use crate::github::events::{Event, Told, differences};
use crate::github::rest;
use crate::github::world::World;

/// The login of the person who asks for another run of a check.
const SENDER: &str = "octocat";

/// Returns the events for those pull requests of a repository that have changed.
pub(crate) fn of_change(world: &World, org: &str, before: &Value, after: &Value, sender: &str) -> Vec<Event> {
    let mut told = Told { world, org, sender, events: Vec::new() };
    for (number, old, new) in differences(&before["pulls"], &after["pulls"]) {
        let Some(pull) = new else { continue };
        let changed = |key: &str| old.is_some_and(|old| old[key] != pull[key]);
        let actions = [
            (old.is_none(), "opened"),
            (changed("head"), "synchronize"),
            (changed("base"), "edited"),
            (changed("state"), if pull["state"] == "open" { "reopened" } else { "closed" }),
        ];
        for (_, action) in actions.into_iter().filter(|(is_due, _)| *is_due) {
            let mut more = json!({
                "number": number.parse::<u64>().unwrap_or_default(),
                "pull_request": rest::pulls::shown(told.world, told.org, after, number, pull),
            });
            if action == "edited" {
                let base = old.map_or(Value::Null, |old| old["base"].clone());
                more["changes"] = json!({ "base": { "ref": { "from": base }, "sha": { "from": "" } } });
            }
            told.add("pull_request", Some(action), after, &more);
        }
        if old.is_none() || changed("head") {
            let suite = json!({ "check_suite": checked(after, pull, number) });
            told.add("check_suite", Some("requested"), after, &suite);
        }
    }
    told.events
}

/// Returns the event that GitHub sends when a person asks for another run of a check. Returns
/// `None` if the check run does not exist.
pub(crate) fn rerequested(world: &World, org: &str, name: &str, id: u64) -> Option<Event> {
    let found = world.repository(org, name)?;
    let run = found["check_runs"].as_array()?.iter().find(|run| run["id"] == json!(id))?;
    let mut pulls = found["pulls"].as_object().into_iter().flatten();
    let (number, pull) = pulls.find(|(_, pull)| pull["head"] == run["head_sha"])?;
    let mut shown = checked(found, pull, number);
    for key in ["id", "name", "external_id", "status", "conclusion"] {
        shown[key] = run[key].clone();
    }
    let mut told = Told { world, org, sender: SENDER, events: Vec::new() };
    told.add("check_run", Some("rerequested"), found, &json!({ "check_run": shown }));
    told.events.pop()
}

/// Returns the part that check suites and check runs have in common. If the head is in a fork, the
/// list of pull requests is empty.
fn checked(found: &Value, pull: &Value, number: &str) -> Value {
    let id = &found["id"];
    let base = json!({ "ref": pull["base"], "repo": { "id": id } });
    let named =
        json!({ "id": pull["id"], "number": number.parse::<u64>().unwrap_or_default(), "base": base });
    let is_fork = pull["fork"] == json!(true);
    json!({
        "id": 1, "head_sha": pull["head"], "head_branch": (!is_fork).then(|| format!("change-{number}")),
        "status": "queued", "conclusion": null, "pull_requests": if is_fork { json!([]) } else { json!([named]) },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_of_a_pull_request_sends_its_event() {
        let state = |pulls: Value| {
            let repos = json!({ "admin": { "branches": { "main": {} }, "pulls": pulls } });
            World::from(json!({ "orgs": { "acme": { "repos": repos } } }))
        };
        let admin = |world: &World| world.repository("acme", "admin").unwrap().clone();
        let pull = |more: Value| {
            let mut pull = json!({ "contents": { "a": "1" }, "id": 5 });
            for (key, value) in more.as_object().unwrap() {
                pull[key] = value.clone();
            }
            json!({ "7": pull })
        };
        let opened = state(pull(json!({})));
        for (before, after, events) in [
            (json!({}), pull(json!({})), vec!["pull_request opened", "check_suite requested"]),
            (
                pull(json!({})),
                pull(json!({ "contents": { "a": "2" } })),
                vec!["pull_request synchronize", "check_suite requested"],
            ),
            (pull(json!({})), pull(json!({ "base": "next" })), vec!["pull_request edited"]),
            (pull(json!({})), pull(json!({ "state": "closed" })), vec!["pull_request closed"]),
            (pull(json!({ "state": "closed" })), pull(json!({})), vec!["pull_request reopened"]),
        ] {
            let (before, after) = (admin(&state(before)), admin(&state(after)));
            let told = of_change(&opened, "acme", &before, &after, SENDER);
            let told: Vec<String> = told
                .iter()
                .map(|event| format!("{} {}", event.name, event.payload["action"].as_str().unwrap()))
                .collect();
            assert_eq!(told, events);
        }
    }
}
