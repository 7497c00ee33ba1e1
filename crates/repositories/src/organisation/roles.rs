//! The common parts of custom repository roles and of the organisation's custom roles: a name, a
//! base role, and permissions.

use beadle_engine::{Field, PolicyLocation, Risk};
use serde_json::{Map, Value, json};

use super::sets::as_set;
use crate::aspects::field;
use crate::policy::Node;

/// The fields of a role that can change. The name is not in this list.
const FIELDS: &[&str] = &["description", "base_role", "permissions"];
/// The possible base roles, ordered from the least access to the most.
const BASES: &[&str] = &["none", "read", "triage", "write", "maintain", "admin"];

/// The fields that differ, and the body that sets them.
pub(super) type Difference = (Vec<Field>, Map<String, Value>);

/// Returns a value in the form that Beadle compares.
fn comparable(key: &str, value: &Value) -> Value {
    match (key, value) {
        ("description", Value::Null) => json!(""),
        ("base_role", Value::Null) => json!("none"),
        ("permissions", Value::Null) => json!([]),
        _ => as_set(value),
    }
}

/// Returns the risk of changing one field. The change affects all people with the role.
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

/// Returns how a declared role differs from the role at GitHub, in two parts. The guard limits only
/// the second part.
pub(super) fn differences(want: &Node, found: &Value) -> [Difference; 2] {
    let (mut plain, mut guarded) = (Difference::default(), Difference::default());
    for key in FIELDS {
        let Some(node) = want.get(key).filter(|node| !node.is_null()) else { continue };
        let (before, after) = (comparable(key, &found[*key]), comparable(key, &node.json()));
        if before == after {
            continue;
        }
        let risk = risk(key, &before, &after);
        let (fields, body) = if risk.is_guarded() { &mut guarded } else { &mut plain };
        fields.push(field(key, before, after, Some(&node.asked), risk));
        body.insert((*key).to_owned(), node.json());
    }
    [plain, guarded]
}

/// Returns the fields and the body of a new role.
pub(super) fn new(want: &Node, name: &str) -> Difference {
    let (mut fields, mut body) = (Vec::new(), Map::from_iter([("name".to_owned(), json!(name))]));
    // If the request omits the base role, the new role has no base role. GitHub accepts `none` only
    // when a request changes an existing role.
    let is_default = |key: &str, node: &Node| key == "base_role" && node.text() == Some("none");
    for key in FIELDS {
        let Some(node) = want.get(key).filter(|node| !node.is_null() && !is_default(key, node)) else {
            continue;
        };
        fields.push(field(key, Value::Null, node.json(), Some(&node.asked), Risk::Adds));
        body.insert((*key).to_owned(), node.json());
    }
    (fields, body)
}

/// An entry of the policy, with its name and the role at GitHub.
pub(super) struct NamedRole<'a> {
    pub(super) want: &'a Node,
    pub(super) name: &'a str,
    /// The id and the row of the role. `None` if GitHub has no role with this name.
    pub(super) found: Option<(u64, &'a Value)>,
}

/// Returns the entries of the policy. Each entry comes with its role at GitHub. If the role has no
/// id, the function omits the entry.
pub(super) fn named<'a>(wants: &'a [Node], rows: &'a [Value]) -> Vec<NamedRole<'a>> {
    let role = |want: &'a Node| {
        let name = want.get("name").and_then(Node::text)?;
        let found = match called(rows, name) {
            Some(row) => Some((row["id"].as_u64()?, row)),
            None => None,
        };
        Some(NamedRole { want, name, found })
    };
    wants.iter().filter_map(role).collect()
}

/// Returns the roles that are not in the policy. Each role comes with its id.
pub(super) fn unnamed<'a>(roles: &[NamedRole<'_>], rows: &'a [Value]) -> Vec<(u64, &'a Value)> {
    let is_named = |id: u64| roles.iter().any(|role| role.found.is_some_and(|(known, _)| known == id));
    let rows = rows.iter().filter_map(|row| Some((row["id"].as_u64()?, row)));
    rows.filter(|(id, _)| !is_named(*id)).collect()
}

/// Returns the name of a removed role, and the fields of the change that removes it.
pub(super) fn removal<'a>(row: &'a Value, list: &PolicyLocation) -> (&'a str, Vec<Field>) {
    let before = row["permissions"].clone();
    let fields = vec![field("permissions", before, Value::Null, Some(list), Risk::Removes)];
    (row["name"].as_str().unwrap_or_default(), fields)
}

/// Returns the role with this name. Like GitHub, the comparison ignores the case of letters.
pub(super) fn called<'a>(rows: &'a [Value], name: &str) -> Option<&'a Value> {
    rows.iter().find(|row| row["name"].as_str().is_some_and(|known| known.eq_ignore_ascii_case(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_role_is_found_by_its_name_and_every_other_role_is_not_named() {
        let policy = Node::parse("f.yml", "[{ name: Auditor }, { base_role: read }, { name: new }]").unwrap();
        let rows = [
            json!({ "id": 1, "name": "auditor" }),
            json!({ "id": 2, "name": "other", "permissions": ["a"] }),
            json!({ "name": "new" }),
        ];
        let roles = named(policy.items(), &rows);
        let found: Vec<_> = roles.iter().map(|role| (role.name, role.found.map(|(id, _)| id))).collect();
        assert_eq!(found, [("Auditor", Some(1))], "the row without an id is left alone");
        let others = unnamed(&roles, &rows);
        assert_eq!(others.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [2]);
        let (name, fields) = removal(others[0].1, &policy.asked);
        assert_eq!((name, &fields[0].before, fields[0].risk), ("other", &json!(["a"]), Risk::Removes));
        assert_eq!(named(policy.items(), &[])[1].found, None);
    }

    #[test]
    fn a_new_role_without_a_base_does_not_name_one() {
        let body = |text: &str| Value::Object(new(&Node::parse("f.yml", text).unwrap(), "a").1);
        let without = json!({ "name": "a", "permissions": ["b"] });
        assert_eq!(body("{ base_role: none, permissions: [b] }"), without);
        let with = json!({ "name": "a", "base_role": "read", "permissions": ["b"] });
        assert_eq!(body("{ base_role: read, permissions: [b] }"), with);
    }

    #[test]
    fn the_order_of_permissions_and_missing_values_make_no_difference() {
        let want =
            Node::parse("f.yml", "{ description: '', base_role: none, permissions: [b, a, b] }").unwrap();
        let found = json!({ "description": null, "base_role": null, "permissions": ["a", "b"] });
        let [plain, guarded] = differences(&want, &found);
        assert!(plain.0.is_empty() && guarded.0.is_empty(), "{plain:?} {guarded:?}");
    }
}
