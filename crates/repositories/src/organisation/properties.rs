//! Plans and writes the definitions of custom properties. If the policy has the list, Beadle reads
//! all definitions in one call. If Beadle removes a definition, all repositories lose their values
//! of the property.
//!
//! <https://docs.github.com/rest/orgs/custom-properties>

use async_trait::async_trait;
use beadle_engine::{Failure, Risk};
use beadle_github::{Below, Method};
use serde_json::{Map, Value, json};

use super::aspect::{Context, OrganisationAspect, OrganisationPlanner, Section, organisation_list};
use super::sets::as_set;
use crate::aspects::properties::in_form_of;
use crate::aspects::{AppPermission, AspectPlan, Step, WriteTarget, field};
use crate::policy::shape::{Shape, key, required};
use crate::policy::shapes::TEXTS;
use crate::policy::{Node, forms};

/// The aspect for the definitions of custom properties.
pub(super) const PROPERTIES: OrganisationAspect = OrganisationAspect {
    name: "organization_custom_properties",
    section: "organization.custom_properties",
    sections: &[],
    keys: &[key(
        "custom_properties",
        organisation_list!(ENTRY),
        "Definitions of custom properties. Beadle removes others, unless the list is `additive`.",
    )],
    permissions: &[AppPermission::admin(
        "organization_custom_properties",
        "custom properties (organisation)",
    )],
    events: &["custom_property"],
    planner: &Properties,
};

const ENTRY: Shape = Shape::Map(&[
    required(key("name", Shape::Form(&forms::PROPERTY), "The name of the property.")),
    required(key(
        "value_type",
        Shape::OneOf(&["string", "single_select", "multi_select", "true_false", "url"]),
        "The type of the values. GitHub does not let it change.",
    )),
    key("description", Shape::Text, "A description."),
    key("required", Shape::Bool, "Whether every repository has a value."),
    key(
        "default_value",
        Shape::OrNull(&Shape::Either(&Shape::Text, &TEXTS)),
        "The value of repositories that set none.",
    ),
    key("allowed_values", TEXTS, "The values that a `single_select` or `multi_select` allows."),
    key(
        "values_editable_by",
        Shape::OneOf(&["org_actors", "org_and_repo_actors"]),
        "Who can set values: only the organisation, or repositories too.",
    ),
    key("require_explicit_values", Shape::Bool, "Whether new repositories must set a value."),
]);

/// The fields of a definition whose values can change.
const FIELDS: &[&str] = &[
    "description",
    "required",
    "default_value",
    "allowed_values",
    "values_editable_by",
    "require_explicit_values",
];

struct Properties;

enum Write {
    Put { name: String, body: Value },
    Delete { name: String },
}

#[async_trait]
impl Step for Write {
    async fn write(&self, to: &WriteTarget) -> Result<(), Failure> {
        match self {
            Self::Put { name, body } => to.send(Method::PUT, Below::property(name), Some(body.clone())).await,
            Self::Delete { name } => to.send(Method::DELETE, Below::property(name), None).await,
        }
    }
}

/// Returns a value in the form that Beadle compares. GitHub can omit a value that is `false`, empty
/// or not set. The order of a list has no meaning, so the result is sorted.
fn comparable(value: &Value) -> Value {
    match value {
        Value::Bool(false) => Value::Null,
        Value::String(text) if text.is_empty() => Value::Null,
        Value::Array(items) if items.is_empty() => Value::Null,
        other => as_set(other),
    }
}

/// Returns the declared value of a field. At GitHub, the default value of a property is usually a
/// string. For a property with several values, the default value is a list. For both kinds of
/// property, a policy can use a string or a list.
fn declared(key: &str, kind: Option<&str>, node: &Node) -> Value {
    let value = node.json();
    match (key, kind) {
        ("default_value", Some("multi_select")) => in_form_of(&json!([]), value),
        ("default_value", Some(_)) => in_form_of(&json!(""), value),
        _ => value,
    }
}

/// Returns the risk of changing one field. Both values have the form that [`comparable`] returns.
fn risk(key: &str, before: &Value, after: &Value) -> Risk {
    match key {
        // If a value is no longer allowed, the repositories with this value lose the value.
        "allowed_values" => {
            let kept = after.as_array().cloned().unwrap_or_default();
            let is_less = before.as_array().into_iter().flatten().any(|value| !kept.contains(value));
            if is_less { Risk::Removes } else { Risk::Changes }
        }
        "required" | "require_explicit_values" if after.is_null() => Risk::Weakens,
        "values_editable_by" if after == "org_and_repo_actors" => Risk::Weakens,
        // With a new default, a layer or a ruleset might select different repositories than before.
        "default_value" if !before.is_null() => Risk::Weakens,
        _ => Risk::Changes,
    }
}

#[async_trait]
impl OrganisationPlanner for Properties {
    async fn plan(
        &self,
        context: &Context<'_>,
        section: &Section<'_>,
        plan: &mut AspectPlan,
    ) -> Result<(), Failure> {
        let all = context.reader.list_of_organisation("properties/schema", &["property_name"]).await?;
        let called = |row: &Value, name: &str| {
            row["property_name"].as_str().is_some_and(|known| known.eq_ignore_ascii_case(name))
        };
        let wants = section.node.items();
        for want in wants {
            let Some(name) = want.get("name").and_then(Node::text) else { continue };
            match all.iter().find(|row| called(row, name)) {
                Some(found) if is_own(found) => {
                    let from = plan.changes.len();
                    change(want, found, plan);
                    context.reach(plan, from, None).await?;
                }
                Some(_) => {
                    let why = format!("the enterprise defines the property `{name}` ({})", want.asked);
                    plan.cannot_resolve_part(&format!("property {name}"), why);
                }
                None => create(want, name, plan),
            }
        }
        let names: Vec<&str> =
            wants.iter().filter_map(|want| want.get("name").and_then(Node::text)).collect();
        let others = all.iter().filter(|row| is_own(row) && !names.iter().any(|name| called(row, name)));
        for row in others.filter(|_| section.exclusive) {
            let Some(name) = row["property_name"].as_str() else { continue };
            let before = json!(row["value_type"]);
            let asked = Some(&section.node.asked);
            let fields = vec![field("value_type", before, Value::Null, asked, Risk::Removes)];
            let from = plan.changes.len();
            plan.change(format!("property {name}"), fields, Write::Delete { name: name.to_owned() });
            context.reach(plan, from, None).await?;
        }
        Ok(())
    }
}

/// Returns whether the organisation itself defines a property. The enterprise can also define
/// properties, but the organisation cannot change those properties.
fn is_own(row: &Value) -> bool {
    row["source_type"] != "enterprise"
}

fn create(want: &Node, name: &str, plan: &mut AspectPlan) {
    let kind = want.get("value_type").and_then(Node::text);
    let mut body = Map::new();
    let mut fields = Vec::new();
    for key in FIELDS.iter().chain(&["value_type"]) {
        let Some(node) = want.get(key) else { continue };
        let value = declared(key, kind, node);
        fields.push(field(key, Value::Null, value.clone(), Some(&node.asked), Risk::Adds));
        body.insert((*key).to_owned(), value);
    }
    let write = Write::Put { name: name.to_owned(), body: Value::Object(body) };
    plan.change(format!("property {name}"), fields, write);
}

fn change(want: &Node, found: &Value, plan: &mut AspectPlan) {
    let Some(name) = found["property_name"].as_str() else { return };
    let what = format!("property {name}");
    let kind = want.get("value_type");
    if let Some(kind) = kind.filter(|kind| kind.json() != found["value_type"]) {
        let why = format!(
            "the type at GitHub is {}, and {} sets {}; GitHub does not let the type change: remove the property \
             first, which removes its values",
            found["value_type"],
            kind.asked,
            kind.json()
        );
        plan.cannot_resolve_part(&what, why);
        return;
    }
    // The request replaces the whole definition, so it also contains the values that the policy
    // does not declare.
    let mut body = Map::from_iter([("value_type".to_owned(), found["value_type"].clone())]);
    let mut fields = Vec::new();
    for key in FIELDS {
        let seen = &found[*key];
        let Some(node) = want.get(key) else {
            if !seen.is_null() {
                body.insert((*key).to_owned(), seen.clone());
            }
            continue;
        };
        let wanted = declared(key, found["value_type"].as_str(), node);
        let (before, after) = (comparable(seen), comparable(&wanted));
        if before != after {
            let risk = risk(key, &before, &after);
            fields.push(field(key, seen.clone(), wanted.clone(), Some(&node.asked), risk));
        }
        body.insert((*key).to_owned(), wanted);
    }
    if !fields.is_empty() {
        let write = Write::Put { name: name.to_owned(), body: Value::Object(body) };
        plan.change(what, fields, write);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_that_allows_less_removes_values() {
        for (key, before, after, expected) in [
            ("allowed_values", json!(["a", "b"]), json!(["a"]), Risk::Removes),
            ("allowed_values", json!(["a"]), json!(["a", "b"]), Risk::Changes),
            ("required", json!(true), Value::Null, Risk::Weakens),
            ("required", Value::Null, json!(true), Risk::Changes),
            ("values_editable_by", json!("org_actors"), json!("org_and_repo_actors"), Risk::Weakens),
            ("values_editable_by", json!("org_and_repo_actors"), json!("org_actors"), Risk::Changes),
            ("default_value", json!("a"), Value::Null, Risk::Weakens),
            ("description", json!("a"), json!("b"), Risk::Changes),
        ] {
            assert_eq!(risk(key, &before, &after), expected, "{key}: {before} to {after}");
        }
    }

    #[test]
    fn a_default_has_the_form_of_its_type() {
        for (kind, text, expected) in [
            ("multi_select", "eu", json!(["eu"])),
            ("multi_select", "[eu, us]", json!(["eu", "us"])),
            ("multi_select", "null", Value::Null),
            ("single_select", "[eu]", json!("eu")),
            ("string", "eu", json!("eu")),
        ] {
            let node = Node::parse("settings.yml", &format!("default_value: {text}")).unwrap();
            let node = node.get("default_value").unwrap();
            assert_eq!(declared("default_value", Some(kind), node), expected, "{kind}: {text}");
        }
        let node = Node::parse("settings.yml", "description: eu").unwrap();
        assert_eq!(declared("description", Some("multi_select"), node.get("description").unwrap()), "eu");
    }

    #[test]
    fn values_that_github_may_leave_out_are_not_set() {
        for empty in [json!(false), json!(""), json!([]), Value::Null] {
            assert_eq!(comparable(&empty), Value::Null, "{empty}");
        }
        assert_eq!(comparable(&json!(["b", "a", "b"])), json!(["a", "b"]));
    }
}
