//! Simulates the settings of a repository's security features.
//!
//! <https://docs.github.com/rest/repos/repos#check-if-dependabot-security-updates-are-enabled-for-a-repository>,
//! <https://docs.github.com/rest/code-scanning/code-scanning#update-a-code-scanning-default-setup-configuration>

use serde_json::{Value, json};

use super::{Call, Reply};
use crate::github::world::World;

/// Answers the calls of code scanning, and of the features that can be on or off.
pub(super) fn answer(world: &mut World, call: &Call<'_>, org: &str, found: &Value, part: &str) -> Reply {
    let name = found["name"].as_str().unwrap_or_default();
    let key = match part {
        "vulnerability-alerts" => "vulnerability_alerts",
        "automated-security-fixes" => "automated_security_fixes",
        "private-vulnerability-reporting" => "private_vulnerability_reporting",
        "immutable-releases" => "immutable_releases",
        _ => return code_scanning(world, call, org, found),
    };
    let is_enforced = key == "immutable_releases"
        && world.org(org).is_some_and(|org| org["immutable_releases"] == json!(true));
    let on = is_enforced || found[key] == json!(true);
    match call.method.as_str() {
        "GET" if key == "vulnerability_alerts" => {
            if on {
                Reply::empty(204)
            } else {
                Reply::not_found()
            }
        }
        "GET" if key == "automated_security_fixes" => {
            Reply::json(200, json!({ "enabled": on, "paused": false }))
        }
        "GET" if key == "immutable_releases" && !on => Reply::not_found(),
        "GET" if key == "immutable_releases" => {
            Reply::json(200, json!({ "enabled": true, "enforced_by_owner": is_enforced }))
        }
        "PUT" | "DELETE" if is_enforced => {
            Reply::message(409, "Conflict: the owner of the repository enforces immutable releases")
        }
        "GET" => Reply::json(200, json!({ "enabled": on })),
        "PUT" | "DELETE" => {
            let wanted = call.method.as_str() == "PUT";
            if key == "automated_security_fixes" && wanted && found["vulnerability_alerts"] != json!(true) {
                return Reply::invalid("Vulnerability alerts must be enabled to configure security updates.");
            }
            if key == "private_vulnerability_reporting" && found["visibility"] != "public" {
                return Reply::invalid("Private vulnerability reporting is for public repositories.");
            }
            world.edit(org, name, call.sender, |found| {
                found[key] = json!(wanted);
                if key == "vulnerability_alerts" && !wanted {
                    found["automated_security_fixes"] = json!(false);
                }
            });
            Reply::empty(204)
        }
        _ => Reply::not_found(),
    }
}

fn code_scanning(world: &mut World, call: &Call<'_>, org: &str, found: &Value) -> Reply {
    let name = found["name"].as_str().unwrap_or_default();
    let setup = &found["code_scanning"];
    match call.method.as_str() {
        "GET" => {
            let mut shown = setup.clone();
            if setup["state"] != "configured" {
                shown = json!({ "state": setup["state"], "languages": [], "query_suite": "default" });
            }
            Reply::json(200, shown)
        }
        "PATCH" => {
            let known = ["state", "query_suite", "languages", "runner_type", "runner_label", "threat_model"];
            world.edit(org, name, call.sender, |found| {
                for key in known {
                    if let Some(value) = call.body.get(key) {
                        found["code_scanning"][key] = value.clone();
                    }
                }
            });
            let id = world.fresh_id();
            let url = format!("https://api.github.com/repos/{org}/{name}/actions/runs/{id}");
            Reply::json(202, json!({ "run_id": id, "run_url": url }))
        }
        _ => Reply::not_found(),
    }
}
