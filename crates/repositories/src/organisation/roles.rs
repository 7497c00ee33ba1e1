//! What the custom roles of repositories and of the organisation have in common: a name, a role on
//! which they are based, and permissions.

use beadle_engine::Risk;
use serde_json::{Value, json};

use super::difference::{Fields, sorted};

/// The fields of a role that can change, other than its name.
pub(super) const ROLE_FIELDS: Fields =
    Fields { names: &["description", "base_role", "permissions"], comparable, risk };
/// The roles on which a role can be based, ordered from the least access to the most.
const BASES: &[&str] = &["none", "read", "triage", "write", "maintain", "admin"];

/// Returns a value in the form in which values are compared.
fn comparable(key: &str, value: &Value) -> Value {
    match (key, value) {
        ("description", Value::Null) => json!(""),
        ("base_role", Value::Null) => json!("none"),
        ("permissions", Value::Null) => json!([]),
        ("permissions", _) => sorted(value),
        _ => value.clone(),
    }
}

/// Returns the risk of a change of one field. All people who have the role get or lose what the
/// change adds or removes.
fn risk(key: &str, before: &Value, after: &Value) -> Risk {
    let place = |value: &Value| BASES.iter().position(|known| value == known);
    let is_wider = match key {
        "base_role" => place(before) < place(after),
        "permissions" => {
            let known = before.as_array().cloned().unwrap_or_default();
            after.as_array().into_iter().flatten().any(|permission| !known.contains(permission))
        }
        _ => return Risk::Changes,
    };
    if is_wider { Risk::Exposes } else { Risk::Removes }
}

/// Returns the role that has this name. GitHub ignores the case of letters.
pub(super) fn called<'a>(rows: &'a [Value], name: &str) -> Option<&'a Value> {
    rows.iter().find(|row| row["name"].as_str().is_some_and(|known| known.eq_ignore_ascii_case(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Node;

    #[test]
    fn a_role_that_allows_more_exposes_and_one_that_allows_less_removes() {
        for (key, before, after, expected) in [
            ("base_role", json!("read"), json!("write"), Risk::Exposes),
            ("base_role", json!("write"), json!("none"), Risk::Removes),
            ("permissions", json!(["a"]), json!(["a", "b"]), Risk::Exposes),
            ("permissions", json!(["a", "b"]), json!(["a"]), Risk::Removes),
            ("permissions", json!(["a"]), json!(["b"]), Risk::Exposes),
            ("description", json!("a"), json!("b"), Risk::Changes),
        ] {
            assert_eq!(risk(key, &before, &after), expected, "{key}: {before} to {after}");
        }
    }

    #[test]
    fn the_order_of_permissions_and_missing_values_make_no_difference() {
        let want = Node::parse("f.yml", "{ description: '', base_role: none, permissions: [b, a] }").unwrap();
        let found = json!({ "description": null, "base_role": null, "permissions": ["a", "b"] });
        let [plain, guarded] = ROLE_FIELDS.differences(&want, &found);
        assert!(plain.0.is_empty() && guarded.0.is_empty(), "{plain:?} {guarded:?}");
    }
}
