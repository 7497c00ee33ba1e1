//! GitHub Pages sites.
//!
//! <https://docs.github.com/rest/pages/pages>

use serde_json::{Value, json};

use super::{Call, Reply};
use crate::github::world::World;

fn shown(org: &str, name: &str, site: &Value) -> Value {
    let mut shown = json!({
        "url": format!("https://api.github.com/repos/{org}/{name}/pages"), "status": null,
        "cname": site["cname"], "custom_404": false, "html_url": format!("https://{org}.github.io/{name}/"),
        "build_type": site["build_type"].as_str().unwrap_or("legacy"),
        "public": site["public"] != json!(false), "https_enforced": site["https_enforced"] != json!(false),
    });
    if site["source"].is_object() {
        shown["source"] = json!({
            "branch": site["source"]["branch"], "path": site["source"]["path"].as_str().unwrap_or("/"),
        });
    }
    shown
}

/// Answers calls to `/repos/{owner}/{repo}/pages`.
pub(super) fn answer(world: &mut World, call: &Call<'_>, org: &str, found: &Value) -> Reply {
    let name = found["name"].as_str().unwrap_or_default();
    let site = &found["pages"];
    let source = &call.body["source"];
    let branch = source["branch"].as_str();
    let is_unknown = branch.is_some_and(|branch| found["branches"].get(branch).is_none());
    match call.method.as_str() {
        "GET" | "PUT" | "DELETE" if site.is_null() => Reply::not_found(),
        "GET" => Reply::json(200, shown(org, name, site)),
        "POST" if !site.is_null() => Reply::message(409, "GitHub Pages is already enabled."),
        "POST" | "PUT" if is_unknown => Reply::invalid(
            "Invalid request.\n\nThe branch of the source must exist before GitHub Pages can build it.",
        ),
        "POST" if source.is_null() && call.body["build_type"] != "workflow" => {
            Reply::invalid("Invalid request.\n\nThe source is needed for the build type legacy.")
        }
        "PUT" if call.body["https_enforced"] == json!(true) && site["certificate"] == "new" => {
            Reply::message(404, "The certificate does not exist yet")
        }
        method @ ("POST" | "PUT") => {
            let mut site = site.clone();
            if site.is_null() {
                site =
                    json!({ "build_type": "legacy", "cname": null, "https_enforced": true, "public": true });
            }
            for key in ["build_type", "cname", "https_enforced", "public"] {
                if let Some(value) = call.body.get(key) {
                    site[key] = value.clone();
                }
            }
            if source.is_object() {
                site["source"] = json!({ "branch": branch, "path": source["path"].as_str().unwrap_or("/") });
            }
            world.edit(org, name, call.sender, |found| found["pages"] = site.clone());
            if method == "POST" { Reply::json(201, shown(org, name, &site)) } else { Reply::empty(204) }
        }
        "DELETE" => {
            world.edit(org, name, call.sender, |found| found["pages"] = Value::Null);
            Reply::empty(204)
        }
        _ => Reply::not_found(),
    }
}
