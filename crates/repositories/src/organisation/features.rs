//! The security features of a code security configuration. This module contains the values of a new
//! configuration, and finds the changes that turn a feature off.
//!
//! <https://docs.github.com/rest/code-security/configurations#create-a-code-security-configuration>

use beadle_engine::Risk;
use serde_json::{Map, Value, json};

/// The features that have a default value, with the defaults from GitHub's published API
/// description (`@octokit/openapi` 23.0.2). If a new configuration omits one of these features, the
/// feature gets its default value. If a configuration omits a feature that is not in this list,
/// GitHub does not change the feature in the repositories.
const DEFAULTS: &[(&str, &str)] = &[
    ("advanced_security", "disabled"),
    ("code_scanning_default_setup", "disabled"),
    ("code_scanning_delegated_alert_dismissal", "not_set"),
    ("dependabot_alerts", "disabled"),
    ("dependabot_delegated_alert_dismissal", "disabled"),
    ("dependabot_security_updates", "disabled"),
    ("dependency_graph", "enabled"),
    ("dependency_graph_autosubmit_action", "disabled"),
    ("private_vulnerability_reporting", "disabled"),
    ("secret_scanning", "disabled"),
    ("secret_scanning_delegated_bypass", "disabled"),
    ("secret_scanning_generic_secrets", "disabled"),
    ("secret_scanning_non_provider_patterns", "disabled"),
    ("secret_scanning_push_protection", "disabled"),
    ("secret_scanning_validity_checks", "disabled"),
];
/// The keys of a configuration that do not turn a protection on or off. These keys are texts, or
/// options of features.
const TEXTS: &[&str] = &[
    "name",
    "description",
    "dependency_graph_autosubmit_action_options",
    "code_scanning_default_setup_options",
    "code_scanning_options",
];

/// Returns whether a configuration can turn off a feature of its repositories. `live` is the
/// configuration at GitHub, or `None` for a new configuration.
pub(super) fn turns_off(wanted: &Map<String, Value>, live: Option<&Value>) -> bool {
    let mut whole: Map<String, Value> = match live {
        Some(live) => live.as_object().cloned().unwrap_or_default(),
        None => DEFAULTS.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect(),
    };
    whole.extend(wanted.clone());
    whole.iter().any(|(key, value)| match (key.as_str(), value.as_str()) {
        (_, None) => false,
        (key, _) if TEXTS.contains(&key) => false,
        ("advanced_security", Some(value)) => halves(value).len() < 2,
        (_, Some(value)) => value == "disabled",
    })
}

/// Returns the risk of changing one value in a configuration.
pub(super) fn risk(key: &str, before: &Value, after: &Value) -> Risk {
    let (before, after) = (before.as_str(), after.as_str());
    let is_weaker = match key {
        key if TEXTS.contains(&key) => false,
        "advanced_security" => {
            // GitHub shows no value if the organisation has no licence. Beadle then assumes that
            // both products are on.
            let before = halves(before.unwrap_or("enabled"));
            let after = halves(after.unwrap_or_default());
            before.iter().any(|half| !after.contains(half))
        }
        _ => strength(after) < strength(before),
    };
    if is_weaker { Risk::Weakens } else { Risk::Changes }
}

/// Returns the products that a value of `advanced_security` turns on. The same value turns off all
/// other products.
fn halves(value: &str) -> &'static [&'static str] {
    match value {
        "enabled" => &["code_security", "secret_protection"],
        "code_security" => &["code_security"],
        "secret_protection" => &["secret_protection"],
        _ => &[],
    }
}

/// Returns a number for the protection that a value gives. A greater number means more protection.
/// If a configuration does not set a feature, GitHub does not change the feature. So the feature
/// might be on.
fn strength(value: Option<&str>) -> u8 {
    match value {
        Some("enabled" | "enforced") => 2,
        Some("disabled" | "unenforced") => 0,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(value: &Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    /// Returns a configuration that sets `value` for each feature whose default is `disabled`. If a
    /// new configuration omitted such a feature, the configuration would turn the feature off.
    fn whole(value: &str) -> Map<String, Value> {
        let off = DEFAULTS.iter().filter(|(_, default)| *default == "disabled");
        let mut whole: Map<String, Value> = off.map(|(key, _)| ((*key).to_owned(), json!(value))).collect();
        whole.insert("advanced_security".to_owned(), json!("enabled"));
        whole
    }

    #[test]
    fn a_new_configuration_turns_off_what_it_leaves_out() {
        for value in ["enabled", "not_set"] {
            assert!(!turns_off(&whole(value), None), "{value}");
        }
        for (key, default) in DEFAULTS {
            let mut wanted = whole("enabled");
            wanted.remove(*key);
            assert_eq!(turns_off(&wanted, None), *default == "disabled", "without {key}");
            wanted.insert((*key).to_owned(), json!("disabled"));
            assert!(turns_off(&wanted, None), "{key}: disabled");
        }
        assert!(turns_off(&map(&json!({ "secret_scanning": "enabled" })), None));
        assert!(turns_off(&Map::new(), None));
    }

    #[test]
    fn a_live_configuration_turns_off_what_it_has_disabled_and_the_policy_leaves_out() {
        let wanted = map(&json!({ "secret_scanning": "enabled" }));
        for (live, expected) in [
            (json!({ "secret_scanning": "disabled" }), false),
            (json!({ "secret_scanning": "disabled", "dependabot_alerts": "not_set" }), false),
            (json!({ "dependabot_alerts": "disabled" }), true),
            (json!({ "a_feature_of_tomorrow": "disabled" }), true),
            (json!({ "name": "disabled", "description": "disabled", "id": 7 }), false),
            (json!({ "advanced_security": "enabled" }), false),
            (json!({ "advanced_security": "code_security" }), true),
            (json!({ "advanced_security": null }), false),
        ] {
            assert_eq!(turns_off(&wanted, Some(&live)), expected, "{live}");
        }
        assert!(turns_off(&map(&json!({ "advanced_security": "secret_protection" })), Some(&json!({}))));
    }

    #[test]
    fn half_of_advanced_security_is_no_more_than_the_other_half() {
        let values = ["enabled", "code_security", "secret_protection", "disabled"];
        // Each cell of the table stands for a change from the row's value to the column's value.
        // The cell is `true` if this change turns a product off.
        let table = [
            [false, true, true, true],
            [false, false, true, true],
            [false, true, false, true],
            [false, false, false, false],
        ];
        for (before, row) in values.into_iter().zip(table) {
            for (after, weakens) in values.into_iter().zip(row) {
                let risk = risk("advanced_security", &json!(before), &json!(after));
                assert_eq!(risk == Risk::Weakens, weakens, "{before} to {after}");
            }
        }
        assert_eq!(risk("advanced_security", &Value::Null, &json!("code_security")), Risk::Weakens);
        assert_eq!(risk("advanced_security", &Value::Null, &json!("enabled")), Risk::Changes);
    }

    #[test]
    fn a_value_that_protects_less_is_weaker_and_a_text_is_not() {
        for (key, before, after, expected) in [
            ("secret_scanning", json!("enabled"), "not_set", Risk::Weakens),
            ("secret_scanning", json!("enabled"), "disabled", Risk::Weakens),
            ("secret_scanning", json!("not_set"), "disabled", Risk::Weakens),
            ("secret_scanning", Value::Null, "disabled", Risk::Weakens),
            ("secret_scanning", json!("disabled"), "not_set", Risk::Changes),
            ("secret_scanning", json!("not_set"), "enabled", Risk::Changes),
            ("enforcement", json!("enforced"), "unenforced", Risk::Weakens),
            ("enforcement", json!("unenforced"), "enforced", Risk::Changes),
            ("description", json!("enabled"), "disabled", Risk::Changes),
        ] {
            assert_eq!(risk(key, &before, &json!(after)), expected, "{key}: {before} to {after}");
        }
    }
}
