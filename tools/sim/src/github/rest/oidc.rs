//! Simulates the subject of the OpenID Connect tokens of workflows.
//!
//! <https://docs.github.com/rest/actions/oidc>

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Call, Reply};
use crate::github::world::World;

/// Returns whether GitHub accepts these claims of a subject.
fn are_valid(keys: &[&str]) -> bool {
    let is_valid = |key: &&str| !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    !keys.is_empty() && keys.iter().collect::<BTreeSet<_>>().len() == keys.len() && keys.iter().all(is_valid)
}

fn claims<'a>(call: &'a Call<'_>) -> Vec<&'a str> {
    call.body["include_claim_keys"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Answers calls to `/orgs/{org}/actions/oidc/customization/sub`.
pub(super) fn of_organisation(world: &mut World, call: &Call<'_>, org: &str) -> Reply {
    let Some(found) = world.org_mut(org) else { return Reply::not_found() };
    if call.method.as_str() == "GET" {
        return Reply::json(200, found["oidc_subject"].clone());
    }
    if call.body.get("include_claim_keys").is_some() && !are_valid(&claims(call)) {
        return Reply::invalid("include_claim_keys must have unique claim keys");
    }
    for key in ["include_claim_keys", "use_immutable_subject"] {
        if let Some(value) = call.body.get(key) {
            found["oidc_subject"][key] = value.clone();
        }
    }
    Reply::json(201, json!({}))
}

/// Answers calls to `/repos/{owner}/{repo}/actions/oidc/customization/sub`.
pub(super) fn answer(world: &mut World, call: &Call<'_>, org: &str, found: &Value) -> Reply {
    let name = found["name"].as_str().unwrap_or_default();
    let kept = &found["oidc_subject"];
    if call.method.as_str() == "GET" {
        let is_default = kept["use_default"] != json!(false);
        let mut shown = json!({
            "use_default": is_default, "sub_claim_prefix": format!("repo:{org}/{name}"),
            "use_immutable_subject": kept["use_immutable_subject"] == json!(true),
        });
        if !is_default {
            shown["include_claim_keys"] = kept["include_claim_keys"].clone();
        }
        return Reply::json(200, shown);
    }
    let is_default = call.body["use_default"] == json!(true);
    if !is_default && !are_valid(&claims(call)) {
        return Reply::invalid("include_claim_keys must have unique claim keys");
    }
    world.edit(org, name, call.sender, |found| {
        for key in ["use_default", "include_claim_keys", "use_immutable_subject"] {
            if let Some(value) = call.body.get(key) {
                found["oidc_subject"][key] = value.clone();
            }
        }
    });
    Reply::json(201, json!({}))
}
