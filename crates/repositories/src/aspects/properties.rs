//! Plans and writes the values of a repository's custom properties.
//!
//! <https://docs.github.com/rest/repos/custom-properties>

use async_trait::async_trait;
use beadle_engine::{Failure, Risk};
use beadle_github::{Asks, Method};
use serde_json::{Value, json};

use super::aspect::{
    AppPermission, Aspect, AspectPlan, AspectPlanner, Context, Sections, Stage, Step, WriteTarget, field,
};
use crate::policy::shape::{Shape, key};
use crate::policy::shapes::{BY_REGEX, layered, listed};
use crate::policy::{Node, forms};

/// The aspect for a repository's custom properties.
pub(crate) const PROPERTIES: Aspect = Aspect {
    name: "custom_properties",
    sections: &[key(
        "custom_properties",
        SHAPE,
        "Values of custom properties. Beadle removes others, unless the list is `additive`.",
    )],
    repository_keys: &[],
    permissions: &[
        AppPermission::write("repository_custom_properties", "custom properties (repository)"),
        AppPermission::read("organization_custom_properties", "custom properties (organisation)"),
    ],
    events: &["custom_property_values"],
    reads,
    stage: Stage::Body,
    is_apart: false,
    planner: &Properties,
};

const VALUES: Shape = layered!(Shape::Scalar);
const VALUE: Shape = Shape::OrNull(&Shape::Either(&Shape::Scalar, &VALUES));
const ENTRY: Shape = Shape::Map(&[
    key("name", Shape::Form(&forms::PROPERTY), "The name of the property."),
    key("property_name", Shape::Form(&forms::PROPERTY), "Another key for `name`."),
    key("value", VALUE, "A text, a list of texts, or null for no value."),
]);
const SHAPE: Shape = listed!(ENTRY, BY_REGEX);

fn reads(sections: &Sections<'_>) -> Asks {
    Asks { properties: sections.has("custom_properties"), ..Asks::default() }
}

struct Properties;

struct Set(Vec<Value>);

#[async_trait]
impl Step for Set {
    async fn write(&self, to: &WriteTarget) -> Result<(), Failure> {
        to.named()?.send(Method::PATCH, "properties/values", Some(json!({ "properties": self.0 }))).await
    }
}

/// Returns a value in a form that Beadle can compare. GitHub returns the entries of a list in any
/// order. GitHub returns numbers and booleans as text.
pub(crate) fn comparable(value: &Value) -> Value {
    match value {
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(comparable).collect();
            items.sort_by_key(ToString::to_string);
            json!(items)
        }
        Value::Bool(_) | Value::Number(_) => json!(value.to_string()),
        other => other.clone(),
    }
}

/// Returns the declared value `after` in the same form as the observed value `before`. If a
/// property can have several values, GitHub shows a list, even if the property has only one value
/// at the moment.
pub(crate) fn in_form_of(before: &Value, after: Value) -> Value {
    match (before, after) {
        (Value::Array(_), Value::String(text)) if !text.is_empty() => json!([text]),
        (Value::String(_), Value::Array(items)) if items.len() == 1 => {
            items.into_iter().next().unwrap_or_default()
        }
        (_, after) => after,
    }
}

/// Returns the properties in the policy that the organisation does not define. An undefined name
/// might be the former name of a property that has a value, so the whole list is unknown.
async fn undefined<'a>(
    context: &Context<'_>,
    wants: impl Iterator<Item = (String, &'a Node)>,
    plan: &mut AspectPlan,
) -> Result<Vec<String>, Failure> {
    let wants: Vec<(String, &Node)> = wants.collect();
    if wants.is_empty() {
        return Ok(Vec::new());
    }
    let defined = context.reader.defined_properties().await?;
    let mut undefined = Vec::new();
    for (name, want) in wants {
        if !defined.iter().any(|known| known.eq_ignore_ascii_case(&name)) {
            let organisation = context.reader.organisation();
            plan.cannot_resolve(format!(
                "{organisation} defines no custom property `{name}` ({}); until this is fixed, Beadle removes no value",
                want.asked
            ));
            undefined.push(name);
        }
    }
    Ok(undefined)
}

#[async_trait]
impl AspectPlanner for Properties {
    async fn plan(&self, context: &Context<'_>, plan: &mut AspectPlan) -> Result<(), Failure> {
        let Some(section) = context.desired.sections.get("custom_properties") else { return Ok(()) };
        let Some(seen) = plan.read(&context.repository.properties) else { return Ok(()) };
        let name = |want: &Node| {
            let name = want.get("name").or_else(|| want.get("property_name"))?;
            name.text().map(str::to_owned)
        };
        let wants = || section.items().iter().filter_map(|want| Some((name(want)?, want)));
        let find = |name: &str| seen.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        let undefined = undefined(context, wants().filter(|(name, _)| find(name).is_none()), plan).await?;
        for (name, want) in wants().filter(|(name, _)| !undefined.contains(name)) {
            let known = find(&name);
            let before = known.map_or(Value::Null, |(_, value)| value.clone());
            let after = comparable(&want.get("value").map_or(Value::Null, Node::json));
            let after = in_form_of(&before, after);
            let nothing = |value: &Value| value.is_null() || *value == "" || *value == json!([]);
            if comparable(&before) == after || (nothing(&before) && nothing(&after)) {
                continue;
            }
            let risk = match (before.is_null(), after.is_null()) {
                (true, _) => Risk::Adds,
                (_, true) => Risk::Removes,
                _ => Risk::Changes,
            };
            let name = known.map_or(name, |(known, _)| known.clone());
            let set = json!({ "property_name": name, "value": after });
            plan.change("", vec![field(&name, before, after, Some(&want.asked), risk)], Set(vec![set]));
        }
        let kept = section.kept();
        let is_kept = |name: &str| kept.iter().any(|pattern| pattern.is_match(name));
        for (known, value) in seen.iter().filter(|(known, _)| section.exclusive && !is_kept(known)) {
            if !wants().any(|(name, _)| name.eq_ignore_ascii_case(known)) {
                let asked = Some(&section.node.asked);
                let fields = vec![field(known, value.clone(), Value::Null, asked, Risk::Removes)];
                plan.change("", fields, Set(vec![json!({ "property_name": known, "value": null })]));
            }
        }
        Ok(())
    }
}
