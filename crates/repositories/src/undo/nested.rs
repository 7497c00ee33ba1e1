//! Puts earlier values into an entry of `rulesets` or `environments`. In such an entry, the values
//! are inside blocks and lists.

use serde_json::{Value, json};

use super::reversal::Reversal;

const GONE: &str = "it does not exist any more, or a policy cannot name it";

/// Puts the earlier value into the entry of a thing. Examples of things are `main` and `production:
/// variable REGION`.
pub(super) fn put(list: &str, entries: &mut [Value], thing: &str, one: &Reversal) -> Result<(), String> {
    let inner = thing.split_once(": variable ").filter(|_| list == "environments");
    let owner = inner.map_or(thing, |(owner, _)| owner);
    let entry = entries.iter_mut().find(|entry| is_called(entry, owner)).ok_or(GONE)?;
    match inner {
        Some((_, variable)) => self::variable(entry, variable, &one.before),
        None if list == "environments" => environment(entry, one),
        None => ruleset(entry, &one.name, &one.before),
    }
}

fn is_called(entry: &Value, name: &str) -> bool {
    entry["name"].as_str().is_some_and(|known| known.eq_ignore_ascii_case(name))
}

fn variable(entry: &mut Value, name: &str, before: &Value) -> Result<(), String> {
    if entry["variables"].is_null() {
        entry["variables"] = json!([]);
    }
    let variables = entry["variables"].as_array_mut().ok_or(GONE)?;
    variables.retain(|variable| !is_called(variable, name));
    if !before.is_null() {
        variables.push(json!({ "name": name, "value": before }));
    }
    Ok(())
}

fn environment(entry: &mut Value, one: &Reversal) -> Result<(), String> {
    match one.name.as_str() {
        "wait_timer" | "prevent_self_review" => {
            entry[&one.name] = one.before.clone();
            Ok(())
        }
        // In the journal, these values are only texts for people.
        _ => Err("the journal does not have the value in the form that GitHub needs".to_owned()),
    }
}

/// Puts a value into a ruleset. The name of a value has one of these forms: `enforcement`,
/// `conditions.ref_name.include`, `rules.deletion` or
/// `rules.pull_request.required_approving_review_count`.
fn ruleset(entry: &mut Value, name: &str, before: &Value) -> Result<(), String> {
    let mut parts = name.splitn(3, '.');
    match (parts.next().unwrap_or_default(), parts.next(), parts.next()) {
        ("bypass_actors", ..) => Err("the journal shows the actors without their ids".to_owned()),
        ("conditions", Some(condition), Some(key)) => set(&mut entry["conditions"][condition], key, before),
        ("conditions", Some(condition), None) => set(&mut entry["conditions"], condition, before),
        ("rules", Some(kind), None) => rule(entry, kind, before),
        ("rules", Some(kind), Some(key)) => {
            let rules = entry["rules"].as_array_mut().ok_or(GONE)?;
            let rule = rules.iter_mut().find(|rule| rule["type"] == kind).ok_or(GONE)?;
            set(&mut rule["parameters"], key, before)
        }
        (key, ..) => set(entry, key, before),
    }
}

/// Sets or removes a key of a block.
fn set(block: &mut Value, key: &str, before: &Value) -> Result<(), String> {
    if block.is_null() {
        *block = json!({});
    }
    let block = block.as_object_mut().ok_or(GONE)?;
    if before.is_null() {
        block.remove(key);
    } else {
        block.insert(key.to_owned(), before.clone());
    }
    Ok(())
}

/// Adds or removes a rule.
fn rule(entry: &mut Value, kind: &str, before: &Value) -> Result<(), String> {
    let rules = entry["rules"].as_array_mut().ok_or(GONE)?;
    rules.retain(|rule| rule["type"] != kind);
    let mut made = json!({ "type": kind });
    if before.is_object() {
        made["parameters"] = before.clone();
    }
    if !before.is_null() {
        rules.push(made);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_ruleset_gets_its_earlier_value() {
        let mut entry = json!({
            "name": "main", "enforcement": "disabled", "conditions": { "ref_name": { "include": ["b"] } },
            "rules": [{ "type": "deletion" }, { "type": "pull_request", "parameters": { "count": 1 } }],
        });
        for (name, before) in [
            ("enforcement", json!("active")),
            ("conditions.ref_name.include", json!(["a"])),
            ("rules.deletion", json!(null)),
            ("rules.update", json!({ "merge": true })),
            ("rules.creation", json!(true)),
            ("rules.pull_request.count", json!(2)),
        ] {
            ruleset(&mut entry, name, &before).unwrap();
        }
        let expected = json!({
            "name": "main", "enforcement": "active", "conditions": { "ref_name": { "include": ["a"] } },
            "rules": [
                { "type": "pull_request", "parameters": { "count": 2 } },
                { "type": "update", "parameters": { "merge": true } }, { "type": "creation" },
            ],
        });
        assert_eq!(entry, expected);
        assert!(ruleset(&mut entry, "bypass_actors", &json!([])).is_err());
        assert!(ruleset(&mut entry, "rules.workflows.count", &json!(1)).is_err());
    }
}
