//! The subject of the OpenID Connect tokens of workflows.
//!
//! <https://docs.github.com/rest/actions/oidc>

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Call, Reply};
use crate::github::world::World;

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
    let keys: Vec<&str> =
        call.body["include_claim_keys"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let is_default = call.body["use_default"] == json!(true);
    let is_valid = |key: &&str| !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let are_unique = keys.iter().collect::<BTreeSet<_>>().len() == keys.len();
    if !is_default && (keys.is_empty() || !are_unique || !keys.iter().all(is_valid)) {
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
