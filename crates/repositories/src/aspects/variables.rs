//! Plans and writes Actions variables. A repository and each of its environments can have
//! variables. GitHub ignores the case of a variable's name, and shows the name in upper case.
//!
//! One call reads up to 30 variables of a repository. If the answer to a call has not changed, the
//! call does not count toward the hourly limit. GraphQL shows no variables.
//!
//! <https://docs.github.com/rest/actions/variables>

use async_trait::async_trait;
use beadle_engine::{Failure, PolicyLocation, Risk};
use beadle_github::Method;
use serde_json::{Value, json};

use super::aspect::{
    AppPermission, Aspect, AspectPlan, AspectPlanner, Context, Stage, Step, WriteTarget, field, reads_nothing,
};
use super::place::Place;
use crate::identity::{kind, pair_entries};
use crate::policy::shape::{Shape, key, never, required};
use crate::policy::shapes::listed;
use crate::policy::{Node, forms};

/// The aspect for a repository's variables.
pub(crate) const VARIABLES: Aspect = Aspect {
    name: "variables",
    sections: &[key(
        "variables",
        SHAPE,
        "Variables of Actions. Beadle removes others, unless the list is `additive`.",
    )],
    repository_keys: &[],
    permissions: &[AppPermission::write("actions_variables", "variables (repository)")],
    events: &[],
    reads: reads_nothing,
    stage: Stage::Body,
    is_apart: true,
    planner: &Variables,
};

/// The shape of a variable in a policy.
pub(crate) const ENTRY: Shape = Shape::Map(&[
    required(key("name", Shape::Form(&forms::VARIABLE), "The name. Upper and lower case do not matter.")),
    required(key("value", Shape::Scalar, "The value. Numbers, `true` and `false` become texts.")),
    never("visibility", "only variables of the organisation have it: write `organization.variables`"),
]);
const SHAPE: Shape = listed!(ENTRY);

/// The name of the list. A policy, GitHub's answers and the paths of the API all use this name.
const LIST: &str = "variables";

/// The variables that a policy declares for one place.
pub(crate) struct Wanted<'a> {
    /// The entries of the list.
    pub(crate) items: &'a [Node],
    /// True if Beadle removes variables that are not in the list.
    pub(crate) is_exclusive: bool,
    /// The line of the policy where the list starts.
    pub(crate) asked: &'a PolicyLocation,
}

struct Variables;

enum Call {
    Create { name: String, value: String },
    Update { name: String, value: String },
    Delete { name: String },
}

struct Write {
    place: Place,
    call: Call,
}

#[async_trait]
impl Step for Write {
    async fn write(&self, to: &WriteTarget) -> Result<(), Failure> {
        let (named, list) = (to.named()?, self.place.below(LIST));
        match &self.call {
            Call::Create { name, value } => {
                named.send(Method::POST, list, Some(json!({ "name": name, "value": value }))).await
            }
            Call::Update { name, value } => {
                named.send(Method::PATCH, list.own(name), Some(json!({ "value": value }))).await
            }
            Call::Delete { name } => named.send(Method::DELETE, list.own(name), None).await,
        }
    }
}

/// Reads the variables of a place.
pub(crate) async fn read(context: &Context<'_>, place: &Place) -> Result<Vec<Value>, Failure> {
    context.reader.rows_below(context.repository, place.path(LIST), LIST, &["name", "value"]).await
}

/// Returns the value of an entry in the form in which GitHub stores it.
fn text(node: &Node) -> String {
    match node.json() {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// Plans the changes for the variables in one place. `seen` contains the variables at GitHub.
pub(crate) fn compare(place: &Place, wanted: &Wanted<'_>, seen: &[Value], plan: &mut AspectPlan) {
    let matched = pair_entries(kind(LIST), wanted.items, seen);
    let mut change = |name: &str, before: Value, after: Value, asked: &PolicyLocation, call: Call| {
        let risk = match (before.is_null(), after.is_null()) {
            (true, _) => Risk::Adds,
            (_, true) => Risk::Removes,
            _ => Risk::Changes,
        };
        let fields = vec![field("value", before, after, Some(asked), risk)];
        plan.change(place.what("variable", name), fields, Write { place: place.clone(), call });
    };
    for (at, want) in wanted.items.iter().enumerate() {
        let (Some(name), Some(value)) = (want.get("name").and_then(Node::text), want.get("value")) else {
            continue;
        };
        let (asked, value) = (&value.asked, text(value));
        match matched.observed_of(at).and_then(|found| seen.get(found)) {
            None => {
                let name = name.to_ascii_uppercase();
                let call = Call::Create { name: name.clone(), value: value.clone() };
                change(&name, Value::Null, json!(value), asked, call);
            }
            Some(found) if found["value"] == json!(value) => {}
            Some(found) => {
                let name = found["name"].as_str().unwrap_or(name);
                let call = Call::Update { name: name.to_owned(), value: value.clone() };
                change(name, found["value"].clone(), json!(value), asked, call);
            }
        }
    }
    for found in matched.only_observed.iter().filter_map(|found| seen.get(*found)) {
        if let Some(name) = found["name"].as_str().filter(|_| wanted.is_exclusive) {
            let call = Call::Delete { name: name.to_owned() };
            change(name, found["value"].clone(), Value::Null, wanted.asked, call);
        }
    }
}

#[async_trait]
impl AspectPlanner for Variables {
    async fn plan(&self, context: &Context<'_>, plan: &mut AspectPlan) -> Result<(), Failure> {
        let Some(section) = context.desired.sections.get(LIST) else { return Ok(()) };
        let place = Place::Product("actions");
        let seen = read(context, &place).await?;
        let asked = &section.node.asked;
        let wanted = Wanted { items: section.items(), is_exclusive: section.exclusive, asked };
        compare(&place, &wanted, &seen, plan);
        Ok(())
    }
}
