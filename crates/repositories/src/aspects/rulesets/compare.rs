//! Compares a live ruleset with the declared ruleset, and builds the body for the write. A PUT
//! request replaces the whole ruleset. Beadle therefore starts from the ruleset that REST returned,
//! and keeps the parts that the policy does not set.
//!
//! <https://docs.github.com/rest/repos/rules#update-a-repository-ruleset>

use beadle_engine::{Field, PolicyLocation, Risk};
use serde_json::{Map, Value, json};

use super::overlay::{EXTERNALLY_DEFINED, differ, list, overlay, without_nulls};
use super::reach::{includes_as_much, is_of_repositories, is_within, selects_all};
use crate::aspects::field;
use crate::policy::{Node, at_least, leaves_actors};

/// The fields in the request body of a ruleset.
const BODY: &[&str] = &["name", "target", "enforcement", "bypass_actors", "conditions", "rules"];
/// The rule types that GraphQL does not show. If the policy has no rule of such a type, Beadle
/// keeps the live rule in the PUT body.
const REST_ONLY: &[&str] = &["copilot_code_review", "license_compliance_scanning"];

/// A part of a ruleset that Beadle plans and writes as a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Top(&'static str),
    Condition(String),
    Rule(String),
}

/// A difference between a part of a live ruleset and the policy.
pub(crate) struct Difference {
    part: Part,
    /// Those fields of the part that differ, as a plan shows them.
    pub(crate) fields: Vec<Field>,
    /// The declared value of the part. `None` if Beadle removes the part.
    after: Option<Value>,
}

impl Difference {
    /// Returns whether the guard limits the difference.
    pub(crate) fn is_guarded(&self) -> bool {
        self.fields.iter().any(|field| field.risk.is_guarded())
    }
}

/// Returns a bypass actor in a form that Beadle can compare. For kinds of actors that need no id,
/// the function always uses the same id, because GitHub shows an id even for these kinds.
fn actor(value: &Value) -> Value {
    let kind = value["actor_type"].as_str().unwrap_or_default();
    let id = match kind {
        "OrganizationAdmin" => json!(1),
        "DeployKey" | "EnterpriseOwner" => Value::Null,
        _ => value["actor_id"].clone(),
    };
    let mode = value["bypass_mode"].as_str().unwrap_or("always");
    json!({ "actor_type": kind, "actor_id": id, "bypass_mode": mode })
}

/// Returns a number for a bypass mode. A greater number means that the mode allows more.
fn width(mode: &Value) -> u8 {
    match mode.as_str() {
        Some("exempt") => 2,
        Some("always") => 1,
        _ => 0,
    }
}

fn label(actor: &Value) -> Value {
    let id = if actor["actor_id"].is_null() { String::new() } else { format!(" {}", actor["actor_id"]) };
    let text = |key: &str| actor[key].as_str().unwrap_or_default().to_owned();
    json!(format!("{}{id} ({})", text("actor_type"), text("bypass_mode")))
}

/// Returns whether the value `after` of a rule's parameter is at least as strict as the value
/// `before`.
fn stricter(key: &str, before: &Value, after: &Value) -> bool {
    const LAX: &[&str] = &["update_allows_fetch_and_merge", "do_not_enforce_on_create"];
    let is_in = |item: &Value, many: &Value| list(many).iter().any(|other| !differ("", item, other));
    let kept = |few: &Value, many: &Value| list(few).iter().all(|item| is_in(item, many));
    match (before, after) {
        (_, Value::Bool(on)) if LAX.contains(&key) => !on,
        (_, Value::Bool(on)) => *on && key != "negate",
        (Value::Number(before), Value::Number(after)) => {
            let more = after.as_f64() >= before.as_f64();
            if key.starts_with("max_") { !more || before == after } else { more && !key.contains("minutes") }
        }
        // A rule that lists no merge methods allows all merge methods.
        (_, Value::Array(few)) if key == "allowed_merge_methods" => {
            !few.is_empty() && (list(before).is_empty() || kept(after, before))
        }
        // A check is stricter if only one App can report the check.
        (_, Value::Array(_)) if key == "required_status_checks" => list(before).iter().all(|old| {
            let is_bound = |check: &Value| !check["integration_id"].is_null();
            let keeps = |new: &Value| {
                new["context"] == old["context"]
                    && (!is_bound(old) || new["integration_id"] == old["integration_id"])
            };
            list(after).iter().any(keeps)
        }),
        (_, Value::Array(_)) => kept(before, after),
        // The parameter had no value before, so every value is at least as strict as before.
        (Value::Null, _) => true,
        // Beadle does not know which of two patterns is stricter.
        _ => false,
    }
}

fn strength(enforcement: &Value) -> u8 {
    match enforcement.as_str() {
        Some("active") => 2,
        Some("evaluate") => 1,
        _ => 0,
    }
}

fn risk(stricter: bool) -> Risk {
    if stricter { Risk::Changes } else { Risk::Weakens }
}

/// Returns whether REST showed the whole ruleset. GitHub shows the bypass actors only to an account
/// that is allowed to change the ruleset.
///
/// <https://docs.github.com/rest/repos/rules#get-a-repository-ruleset>
pub(crate) fn is_whole(seen: &Value) -> bool {
    seen["bypass_actors"].is_array()
}

/// Returns each part that differs between the live ruleset `seen` and the declared ruleset. `seen`
/// must have the form that REST returns.
pub(crate) fn differences(wanted: &Node, seen: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    for (key, node) in wanted.entries() {
        match key.text().unwrap_or_default() {
            "target" if seen["target"] != node.json() => {
                found.push(top("target", seen, node, Risk::Weakens));
            }
            "enforcement" if seen["enforcement"] != node.json() => {
                let stricter = strength(&node.json()) >= strength(&seen["enforcement"]);
                found.push(top("enforcement", seen, node, risk(stricter)));
            }
            "bypass_actors" if leaves_actors(wanted) => {}
            "bypass_actors" => found.extend(actors(seen, node)),
            "conditions" => found.extend(conditions(seen, node)),
            "rules" => found.extend(rules(seen, node)),
            _ => {}
        }
    }
    found
}

fn top(key: &'static str, seen: &Value, node: &Node, risk: Risk) -> Difference {
    let after = node.json();
    let fields = vec![field(key, seen[key].clone(), after.clone(), Some(&node.asked), risk)];
    Difference { part: Part::Top(key), fields, after: Some(after) }
}

fn actors(seen: &Value, node: &Node) -> Option<Difference> {
    let sorted = |value: &Value| {
        let mut actors: Vec<Value> = list(value).iter().map(actor).collect();
        actors.sort_by_key(ToString::to_string);
        actors.dedup();
        actors
    };
    let (before, after) = (sorted(&seen["bypass_actors"]), sorted(&node.json()));
    if before == after {
        return None;
    }
    // The new list of bypass actors is not weaker if every actor in it could already bypass the
    // ruleset in the same cases.
    let known = |actor: &Value| {
        before.iter().any(|old| {
            let same = old["actor_type"] == actor["actor_type"] && old["actor_id"] == actor["actor_id"];
            same && width(&old["bypass_mode"]) >= width(&actor["bypass_mode"])
        })
    };
    let labels = |actors: &[Value]| actors.iter().map(label).collect::<Value>();
    let risk = risk(after.iter().all(known));
    let fields = vec![field("bypass_actors", labels(&before), labels(&after), Some(&node.asked), risk)];
    Some(Difference { part: Part::Top("bypass_actors"), fields, after: Some(json!(after)) })
}

/// Returns the live conditions that a write removes because the policy has a different kind of
/// condition.
fn replaced<'a>(seen: &'a Value, node: &Node) -> Vec<(&'a str, &'a Value)> {
    let live = seen["conditions"].as_object().into_iter().flatten();
    live.map(|(name, condition)| (name.as_str(), condition))
        .filter(|(name, condition)| {
            is_of_repositories(name) && !condition.is_null() && node.get(name).is_none()
        })
        .collect()
}

fn conditions(seen: &Value, node: &Node) -> Vec<Difference> {
    let mut found = Vec::new();
    for (name, condition) in node.entries() {
        let name = name.text().unwrap_or_default();
        let before = &seen["conditions"][name];
        let after = overlay(name, &condition.json(), before);
        let gone = if is_of_repositories(name) { replaced(seen, node) } else { Vec::new() };
        // With a new kind of condition, the ruleset might no longer apply to some repositories.
        let wider = if gone.is_empty() {
            includes_as_much(name, &before["include"], &after["include"])
                && is_within(&after["exclude"], &before["exclude"])
                && is_within(&before["repository_ids"], &after["repository_ids"])
                && !differ("protected", &before["protected"], &after["protected"])
        } else {
            selects_all(name, &after)
        };
        let keys = after.as_object().into_iter().flatten().map(|(key, _)| key.as_str());
        let fields = keys.filter_map(|key| {
            let differs = differ(key, &before[key], &after[key]);
            let asked = condition.get(key).map_or(&condition.asked, |node| &node.asked);
            let name = format!("conditions.{name}.{key}");
            differs.then(|| field(&name, before[key].clone(), after[key].clone(), Some(asked), risk(wider)))
        });
        let mut fields: Vec<Field> = fields.collect();
        fields.extend(gone.into_iter().map(|(other, value)| {
            let name = format!("conditions.{other}");
            field(&name, value.clone(), Value::Null, Some(&condition.asked), risk(wider))
        }));
        if !fields.is_empty() {
            found.push(Difference { part: Part::Condition(name.to_owned()), fields, after: Some(after) });
        }
    }
    found
}

fn rules(seen: &Value, node: &Node) -> Vec<Difference> {
    let mut found = Vec::new();
    let kind = |rule: &Value| rule["type"].as_str().unwrap_or_default().to_owned();
    let wants: Vec<(Value, &PolicyLocation)> =
        node.items().iter().map(|item| (item.json(), &item.asked)).collect();
    for (want, asked) in &wants {
        let name = kind(want);
        let part = Part::Rule(name.clone());
        let Some(old) = list(&seen["rules"]).iter().find(|rule| kind(rule) == name) else {
            let mut want = want.clone();
            complete(&mut want);
            if requires_no_check(&want) {
                continue;
            }
            let shown = want.get("parameters").cloned().unwrap_or(json!(true));
            let fields = vec![field(&format!("rules.{name}"), Value::Null, shown, Some(asked), Risk::Adds)];
            found.push(Difference { part, fields, after: Some(want) });
            continue;
        };
        let after = without_nulls(overlay("", want, old));
        let parameters = want["parameters"].as_object().into_iter().flatten();
        let fields = parameters.filter_map(|(key, _)| {
            let (before, after) = (&old["parameters"][key], &after["parameters"][key]);
            let asked = node.items().iter().find(|item| item.get("type").and_then(Node::text) == Some(&name));
            let asked = asked.and_then(|item| item.get("parameters")?.get(key)).map(|node| &node.asked);
            let risk = risk(stricter(key, before, after));
            let name = format!("rules.{name}.{key}");
            differ(key, before, after).then(|| field(&name, before.clone(), after.clone(), asked, risk))
        });
        let fields: Vec<Field> = fields.collect();
        if !fields.is_empty() {
            found.push(Difference { part, fields, after: Some(after) });
        }
    }
    for old in list(&seen["rules"]) {
        let name = kind(old);
        if !wants.iter().any(|(want, _)| kind(want) == name)
            && !REST_ONLY.contains(&name.as_str())
            && is_known(&name)
        {
            let before = old.get("parameters").cloned().unwrap_or(json!(true));
            let fields =
                vec![field(&format!("rules.{name}"), before, Value::Null, Some(&node.asked), Risk::Weakens)];
            found.push(Difference { part: Part::Rule(name), fields, after: None });
        }
    }
    found
}

fn is_known(kind: &str) -> bool {
    crate::policy::known_rule(kind).is_some()
}

/// Completes a new rule for REST: adds the parameters that GitHub requires, and removes the marker
/// for checks that somebody manages outside of the policy.
fn complete(rule: &mut Value) {
    let demanded = match rule["type"].as_str() {
        Some("pull_request") => json!({
            "dismiss_stale_reviews_on_push": false, "require_code_owner_review": false,
            "require_last_push_approval": false, "required_approving_review_count": 0,
            "required_review_thread_resolution": false,
        }),
        Some("required_status_checks") => {
            json!({ "required_status_checks": [], "strict_required_status_checks_policy": false })
        }
        Some("update") if rule["parameters"].is_object() => json!({ "update_allows_fetch_and_merge": false }),
        _ => Value::Null,
    };
    let parameters = rule.get_mut("parameters").and_then(Value::as_object_mut);
    for value in parameters.into_iter().flat_map(Map::values_mut) {
        if let Some(least) = at_least(value) {
            *value = json!(least);
        }
    }
    for (key, value) in demanded.as_object().into_iter().flatten() {
        if rule["parameters"][key].is_null() {
            rule["parameters"][key] = value.clone();
        }
    }
    *rule = without_nulls(rule.take());
    let checks = rule.pointer_mut("/parameters/required_status_checks").and_then(Value::as_array_mut);
    if let Some(checks) = checks {
        checks.retain(|check| check["context"] != EXTERNALLY_DEFINED);
    }
}

/// Returns whether a new rule would require no check. GitHub refuses a ruleset with such a rule, so
/// Beadle omits the rule. A new rule requires no check if somebody manages the checks outside of
/// the policy, but has not added a check yet.
fn requires_no_check(rule: &Value) -> bool {
    rule["type"] == "required_status_checks" && list(&rule["parameters"]["required_status_checks"]).is_empty()
}

/// Returns the body of a PUT request. The body is the live ruleset, in which the given parts have
/// their declared values.
pub(crate) fn body<'a>(seen: &Value, parts: impl Iterator<Item = &'a Difference>) -> Value {
    let kept = BODY.iter().filter_map(|key| Some(((*key).to_owned(), seen.get(*key)?.clone())));
    let mut body: Map<String, Value> = kept.collect();
    for difference in parts {
        let after = difference.after.clone();
        match &difference.part {
            Part::Top(key) => {
                body.insert((*key).to_owned(), after.unwrap_or_default());
            }
            Part::Condition(name) => {
                let conditions = body.entry("conditions").or_insert_with(|| json!({}));
                if conditions.is_null() {
                    *conditions = json!({});
                }
                if let (true, Some(conditions)) = (is_of_repositories(name), conditions.as_object_mut()) {
                    // A ruleset can have only one kind of condition that selects repositories, so
                    // the body must not contain the old condition.
                    conditions.retain(|other, _| !is_of_repositories(other));
                }
                conditions[name] = after.unwrap_or_default();
            }
            Part::Rule(name) => {
                let rules = body.entry("rules").or_insert_with(|| json!([]));
                let Some(rules) = rules.as_array_mut() else { continue };
                let place = rules.iter().position(|rule| rule["type"] == json!(name));
                match (place, after) {
                    (Some(at), Some(after)) => rules[at] = after,
                    (Some(at), None) => {
                        rules.remove(at);
                    }
                    (None, Some(after)) => rules.push(after),
                    (None, None) => {}
                }
            }
        }
    }
    Value::Object(body)
}

/// Returns the body that creates a ruleset.
pub(crate) fn new_body(wanted: &Node) -> Value {
    let mut body = wanted.json();
    if leaves_actors(wanted) {
        body["bypass_actors"] = Value::Null;
    }
    for (key, default) in [("target", "branch"), ("enforcement", "active")] {
        if body[key].is_null() {
            body[key] = json!(default);
        }
    }
    if let Some(actors) = body["bypass_actors"].as_array_mut() {
        for entry in actors.iter_mut() {
            *entry = actor(entry);
        }
    }
    if let Some(rules) = body["rules"].as_array_mut() {
        rules.iter_mut().for_each(complete);
        rules.retain(|rule| !requires_no_check(rule));
    }
    if let Some(map) = body.as_object_mut() {
        map.retain(|_, value| !value.is_null());
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(text: &str) -> Node {
        Node::parse("settings.yml", text).unwrap()
    }

    #[test]
    fn the_actors_of_a_ruleset_stay_if_the_policy_has_the_name_of_one() {
        let actors = "bypass_actors: [{actor_type: Team, actor_id: 5}, {actor_type: Team, name: core}]";
        let seen =
            json!({ "bypass_actors": [{ "actor_type": "Team", "actor_id": 7, "bypass_mode": "always" }] });
        assert!(differences(&wanted(actors), &seen).is_empty());
        let text = format!("name: main\n{actors}");
        assert_eq!(new_body(&wanted(&text)).get("bypass_actors"), None);
    }

    #[test]
    fn an_unknown_type_of_rule_is_carried_through_a_put() {
        let seen = json!({ "id": 1, "name": "main", "enforcement": "active", "rules": [
            { "type": "deletion" }, { "type": "of_tomorrow", "parameters": { "x": 1 } }, { "type": "copilot_code_review" },
        ] });
        let found = differences(&wanted("name: main\nrules: [{type: non_fast_forward}]"), &seen);
        let risks: Vec<Risk> = found.iter().flat_map(|part| &part.fields).map(|field| field.risk).collect();
        assert_eq!(risks, [Risk::Adds, Risk::Weakens], "a rule is added, and the one of deletions goes");
        let body = body(&seen, found.iter());
        let kinds: Vec<&str> = list(&body["rules"]).iter().filter_map(|rule| rule["type"].as_str()).collect();
        assert_eq!(kinds, ["of_tomorrow", "copilot_code_review", "non_fast_forward"]);
        assert!(body.get("id").is_none());
    }

    #[test]
    fn a_live_rule_that_the_published_description_lacks_stays() {
        for kind in crate::policy::UNDESCRIBED {
            let seen = json!({ "name": "main", "rules": [{ "type": kind }, { "type": "deletion" }] });
            assert!(differences(&wanted("rules: [{type: deletion}]"), &seen).is_empty(), "{kind}");
            let found = differences(&wanted("enforcement: active\nrules: [{type: deletion}]"), &seen);
            assert_eq!(body(&seen, found.iter())["rules"], seen["rules"], "{kind}");
        }
    }

    #[test]
    fn what_is_not_named_stays_and_lists_have_no_order() {
        let seen = json!({ "rules": [{ "type": "required_status_checks", "parameters": {
            "strict_required_status_checks_policy": true,
            "required_status_checks": [{ "context": "b", "integration_id": 7 }, { "context": "a" }],
        } }] });
        let same = "rules: [{type: required_status_checks, parameters: {required_status_checks: [{context: a}, {context: b, integration_id: 7}]}}]";
        assert!(differences(&wanted(same), &seen).is_empty());
        let external = "rules: [{type: required_status_checks, parameters: {required_status_checks: [{context: '{{EXTERNALLY_DEFINED}}'}]}}]";
        assert!(differences(&wanted(external), &seen).is_empty());
        let fewer =
            "rules: [{type: required_status_checks, parameters: {required_status_checks: [{context: a}]}}]";
        assert!(differences(&wanted(fewer), &seen)[0].is_guarded(), "a check less is weaker");
    }

    #[test]
    fn a_rule_without_a_check_to_keep_is_left_out_until_there_is_one() {
        let checks = |list: &str| {
            wanted(&format!(
                "name: main\nrules: [{{type: deletion}}, {{type: required_status_checks, parameters: \
                 {{strict_required_status_checks_policy: true, required_status_checks: [{list}]}}}}]"
            ))
        };
        let kinds = |body: &Value| -> Vec<String> {
            list(&body["rules"]).iter().filter_map(|rule| Some(rule["type"].as_str()?.to_owned())).collect()
        };
        let external = checks("{context: '{{EXTERNALLY_DEFINED}}'}");
        assert_eq!(kinds(&new_body(&external)), ["deletion"]);
        let seen = json!({ "name": "main", "rules": [{ "type": "deletion" }] });
        assert!(differences(&external, &seen).is_empty());
        let both = checks("{context: '{{EXTERNALLY_DEFINED}}'}, {context: ci}");
        assert_eq!(kinds(&new_body(&both)), ["deletion", "required_status_checks"]);
        assert_eq!(
            new_body(&both)["rules"][1]["parameters"]["required_status_checks"],
            json!([{ "context": "ci" }])
        );
        assert_eq!(differences(&both, &seen).len(), 1);
    }

    #[test]
    fn a_minimum_of_approvals_never_lowers_the_number() {
        let least =
            "rules: [{type: pull_request, parameters: {required_approving_review_count: {at_least: 2}}}]";
        let seen = |count: u64| {
            let parameters = json!({ "required_approving_review_count": count });
            json!({ "rules": [{ "type": "pull_request", "parameters": parameters }] })
        };
        for count in [2, 5] {
            assert!(differences(&wanted(least), &seen(count)).is_empty(), "{count}");
        }
        let found = differences(&wanted(least), &seen(1));
        let risks: Vec<Risk> = found.iter().flat_map(|part| &part.fields).map(|field| field.risk).collect();
        assert_eq!(risks, [Risk::Changes]);
        let rules = &body(&seen(1), found.iter())["rules"];
        assert_eq!(rules[0]["parameters"]["required_approving_review_count"], json!(2));
        let new = new_body(&wanted(&format!("name: main\n{least}")));
        assert_eq!(new["rules"][0]["parameters"]["required_approving_review_count"], json!(2));
    }

    #[test]
    fn a_wider_bypass_is_weaker_and_a_narrower_one_is_not() {
        let seen = json!({ "bypass_actors": [{ "actor_type": "Team", "actor_id": 1, "bypass_mode": "pull_request" }] });
        let always = "bypass_actors: [{actor_type: Team, actor_id: 1, bypass_mode: always}]";
        assert!(differences(&wanted(always), &seen)[0].is_guarded());
        assert!(!differences(&wanted("bypass_actors: []"), &seen)[0].is_guarded());
        let same = json!({ "bypass_actors": [{ "actor_type": "OrganizationAdmin", "actor_id": 1, "bypass_mode": "always" }] });
        assert!(differences(&wanted("bypass_actors: [{actor_type: OrganizationAdmin}]"), &same).is_empty());
    }
}
