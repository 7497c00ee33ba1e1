//! Plans and writes the milestones of a repository. The title identifies a milestone. GitHub does
//! not document whether the case of a title matters. So Beadle does not delete a milestone if its
//! title differs from a declared title only in upper and lower case. Beadle reads the milestones of
//! many repositories together.
//!
//! <https://docs.github.com/rest/issues/milestones>

use async_trait::async_trait;
use beadle_engine::{Failure, Field, Risk};
use beadle_github::{Asks, Below, Method, Milestone};
use serde_json::{Map, Value, json};

use super::aspect::{
    AppPermission, Aspect, AspectPlan, AspectPlanner, Context, Sections, Stage, Step, WriteTarget, field,
};
use crate::identity::{all_named, kind, pair_entries};
use crate::policy::shape::{Shape, key, required};
use crate::policy::shapes::{NAME, listed};
use crate::policy::{Node, forms};

/// The aspect for a repository's milestones.
pub(crate) const MILESTONES: Aspect = Aspect {
    name: "milestones",
    sections: &[key(
        "milestones",
        SHAPE,
        "Milestones. Beadle removes others, unless the list is `additive`.",
    )],
    repository_keys: &[],
    permissions: &[AppPermission::write("issues", "issues (repository)")],
    events: &["milestone"],
    reads,
    stage: Stage::Body,
    is_apart: false,
    planner: &Milestones,
};

const ENTRY: Shape = Shape::Map(&[
    required(key("title", NAME, "The title.")),
    key("description", Shape::Text, "The description."),
    key("state", Shape::OneOf(&["open", "closed"]), "The state. Default: people decide."),
    key("due_on", Shape::Form(&forms::DATE), "The day on which the milestone is due, such as `2027-01-31`."),
]);
const SHAPE: Shape = listed!(ENTRY);

fn reads(sections: &Sections<'_>) -> Asks {
    Asks { milestones: sections.has("milestones"), ..Asks::default() }
}

struct Milestones;

enum Write {
    Create(Value),
    Update { number: u64, body: Value },
    Delete { number: u64 },
}

#[async_trait]
impl Step for Write {
    async fn write(&self, to: &WriteTarget) -> Result<(), Failure> {
        let at = |number: u64| Below::at("milestones").id(number);
        match self {
            Self::Create(body) => to.send(Method::POST, "milestones", Some(body.clone())).await,
            Self::Update { number, body } => to.send(Method::PATCH, at(*number), Some(body.clone())).await,
            Self::Delete { number } => to.send(Method::DELETE, at(*number), None).await,
        }
    }

    fn unshown(&self) -> Option<String> {
        match self {
            Self::Create(body) => Some(body.to_string()),
            Self::Update { .. } | Self::Delete { .. } => None,
        }
    }
}

/// Returns a milestone in the form that the REST API uses.
fn row(milestone: &Milestone) -> Value {
    json!({
        "number": milestone.number, "title": milestone.title, "description": milestone.description,
        "state": milestone.state, "due_on": milestone.due_on,
    })
}

/// Returns the day of a date, without the time of day.
fn day(text: &str) -> &str {
    text.get(..10).unwrap_or(text)
}

/// Returns a value in a form that Beadle can compare.
fn comparable(name: &str, value: &Value) -> Value {
    match (name, value.as_str()) {
        // GitHub keeps only the day, and adds a time of day.
        ("due_on", Some(text)) => json!(day(text)),
        // GitHub shows a missing description as null.
        ("description", None) => json!(""),
        _ => value.clone(),
    }
}

/// Returns the value of a field in the form that GitHub accepts.
fn sent(name: &str, value: &Value) -> Value {
    match (name, value.as_str()) {
        // GitHub converts the time to its own time zone. Beadle sends noon, so that the conversion
        // does not change the day.
        ("due_on", Some(text)) => json!(format!("{}T12:00:00Z", day(text))),
        _ => value.clone(),
    }
}

/// Returns the declared fields of a milestone, without its title.
fn wanted(want: &Node) -> impl Iterator<Item = (&'static str, &Node)> {
    ["description", "state", "due_on"].into_iter().filter_map(move |name| Some((name, want.get(name)?)))
}

fn differences(want: &Node, found: &Value) -> (Vec<Field>, Map<String, Value>) {
    let (mut fields, mut body) = (Vec::new(), Map::new());
    for (name, node) in wanted(want) {
        let after = node.json();
        if comparable(name, &found[name]) != comparable(name, &after) {
            fields.push(field(name, found[name].clone(), after.clone(), Some(&node.asked), Risk::Changes));
            body.insert(name.to_owned(), sent(name, &after));
        }
    }
    (fields, body)
}

#[async_trait]
impl AspectPlanner for Milestones {
    async fn plan(&self, context: &Context<'_>, plan: &mut AspectPlan) -> Result<(), Failure> {
        let Some(section) = context.desired.sections.get("milestones") else { return Ok(()) };
        let Some(seen) = plan.read(&context.repository.milestones) else { return Ok(()) };
        let seen: Vec<Value> = seen.iter().map(row).collect();
        if !all_named(kind("milestones"), &seen) {
            plan.cannot_read("GitHub shows a milestone without its title: Beadle leaves the list as it is");
            return Ok(());
        }
        let matched = pair_entries(kind("milestones"), section.items(), &seen);
        for (at, want) in section.items().iter().enumerate() {
            let title = want.get("title").and_then(Node::text).unwrap_or_default();
            let what = format!("milestone {title}");
            let Some(found) = matched.observed_of(at).map(|place| &seen[place]) else {
                let mut body = Map::from_iter([("title".to_owned(), json!(title))]);
                body.extend(wanted(want).map(|(name, node)| (name.to_owned(), sent(name, &node.json()))));
                let fields = vec![field("title", Value::Null, json!(title), Some(&want.asked), Risk::Adds)];
                plan.change(what, fields, Write::Create(Value::Object(body)));
                continue;
            };
            let (fields, body) = differences(want, found);
            if let (false, Some(number)) = (fields.is_empty(), found["number"].as_u64()) {
                plan.change(what, fields, Write::Update { number, body: Value::Object(body) });
            }
        }
        for found in matched.only_observed.iter().map(|place| &seen[*place]).filter(|_| section.exclusive) {
            let asked = Some(&section.node.asked);
            let title = found["title"].as_str().unwrap_or_default();
            let fields = vec![field("title", json!(title), Value::Null, asked, Risk::Removes)];
            if let Some(number) = found["number"].as_u64() {
                plan.change(format!("milestone {title}"), fields, Write::Delete { number });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_in_other_forms_do_not_differ() {
        for (text, found) in [
            ("title: a\ndue_on: '2027-01-31'", json!({ "due_on": "2027-01-31T08:00:00Z" })),
            ("title: a\ndue_on: '2027-01-31T23:59:59Z'", json!({ "due_on": "2027-01-31T08:00:00Z" })),
            ("title: a\ndescription: ''", json!({ "description": null })),
            ("title: a", json!({ "description": "x", "state": "closed", "due_on": null })),
        ] {
            let want = Node::parse("settings.yml", text).unwrap();
            assert!(differences(&want, &found).0.is_empty(), "{text}");
        }
        let want = Node::parse("settings.yml", "title: a\ndue_on: '2027-01-30'").unwrap();
        let (fields, body) = differences(&want, &json!({ "due_on": "2027-01-31T08:00:00Z" }));
        assert_eq!((fields.len(), &body["due_on"]), (1, &json!("2027-01-30T12:00:00Z")));
    }
}
