//! Plans and writes the labels of a repository. GitHub ignores upper and lower case in the names of
//! labels. If the name of a label differs from the declared name only in case, Beadle renames the
//! label. A renamed label stays on its issues.
//!
//! <https://docs.github.com/rest/issues/labels>

use async_trait::async_trait;
use beadle_engine::{Failure, PolicyLocation, Risk};
use beadle_github::{Asks, Below, Label, Method, segment};
use serde_json::{Map, Value, json};

use super::aspect::{
    AppPermission, Aspect, AspectPlan, AspectPlanner, Context, Sections, Stage, Step, WriteTarget, field,
};
use crate::identity::{EntryPairs, kind, pair, pair_entries};
use crate::policy::shape::{Shape, key, required};
use crate::policy::shapes::{BY_REGEX, listed};
use crate::policy::{Node, forms};

/// The aspect for a repository's labels.
pub(crate) const LABELS: Aspect = Aspect {
    name: "labels",
    sections: &[key("labels", SHAPE, "Labels. Beadle removes others, unless the list is `additive`.")],
    repository_keys: &[],
    permissions: &[AppPermission::write("issues", "issues (repository)")],
    events: &["label"],
    reads,
    stage: Stage::Body,
    is_apart: true,
    planner: &Labels,
};

const ENTRY: Shape = Shape::Map(&[
    required(key("name", Shape::Form(&forms::LABEL), "The name of the label, at most 50 characters.")),
    key("color", Shape::Color, "Six hexadecimal digits, in quotes."),
    key(
        "description",
        Shape::OrNull(&Shape::Form(&forms::LABEL_DESCRIPTION)),
        "A description of at most 100 characters. Null for none.",
    ),
    key(
        "oldname",
        Shape::Form(&forms::LABEL),
        "The former name. Beadle renames the label, and it stays on its issues.",
    ),
]);
const SHAPE: Shape = listed!(ENTRY, BY_REGEX);

fn reads(sections: &Sections<'_>) -> Asks {
    Asks { labels: sections.has("labels"), ..Asks::default() }
}

struct Labels;

enum Write {
    Create(Value),
    Update { name: String, body: Value },
    Delete { name: String },
}

#[async_trait]
impl Step for Write {
    async fn write(&self, to: &WriteTarget) -> Result<(), Failure> {
        let named = to.named()?;
        match self {
            Self::Create(body) => named.send(Method::POST, "labels", Some(body.clone())).await,
            Self::Update { name, body } => {
                named.send(Method::PATCH, Below::label(name), Some(body.clone())).await
            }
            Self::Delete { name } => named.send(Method::DELETE, Below::label(name), None).await,
        }
    }

    fn unshown(&self) -> Option<String> {
        match self {
            Self::Create(body) => Some(body.to_string()),
            Self::Update { .. } | Self::Delete { .. } => None,
        }
    }
}

struct Want<'a> {
    name: &'a str,
    color: Option<String>,
    description: Option<&'a str>,
    /// The former name of the label, if the policy renames the label.
    oldname: Option<&'a str>,
    asked: &'a PolicyLocation,
}

impl<'a> Want<'a> {
    fn read(node: &'a Node) -> Option<Self> {
        let text = |key: &str| node.get(key).and_then(Node::text);
        Some(Self {
            name: text("name")?,
            color: text("color").map(|color| color.trim_start_matches('#').to_lowercase()),
            // In the policy, `null` means that the label has no description. GitHub uses `null` in
            // the same way.
            description: node.get("description").map(|node| node.text().unwrap_or_default().trim_end()),
            oldname: text("oldname"),
            asked: &node.asked,
        })
    }
}

#[async_trait]
impl AspectPlanner for Labels {
    async fn plan(&self, context: &Context<'_>, plan: &mut AspectPlan) -> Result<(), Failure> {
        let Some(section) = context.desired.sections.get("labels") else { return Ok(()) };
        let Some(seen) = plan.read(&context.repository.labels) else { return Ok(()) };
        let wants: Vec<Want<'_>> = section.items().iter().filter_map(Want::read).collect();
        let matched = matched(&wants, seen);
        for (at, want) in wants.iter().enumerate() {
            match matched.observed_of(at).map(|place| &seen[place]) {
                Some(found) => match segment(&found.name) {
                    Ok(()) => change(want, found, plan),
                    Err(why) => {
                        let why = format!("the label cannot be changed through the API: {why}");
                        plan.cannot_resolve_part(want.name, why);
                    }
                },
                None => create(want, plan),
            }
        }
        if !section.exclusive {
            return Ok(());
        }
        let kept = section.kept();
        for label in matched.only_observed.iter().map(|place| &seen[*place]) {
            if !kept.iter().any(|pattern| pattern.is_match(&label.name)) {
                if let Err(why) = segment(&label.name) {
                    // With this name, the path of the label would be the path of another object.
                    let why = format!("the label cannot be deleted through the API: {why}");
                    plan.cannot_resolve_part(&label.name, why);
                    continue;
                }
                let asked = Some(&section.node.asked);
                let fields = vec![field("color", json!(label.color), Value::Null, asked, Risk::Removes)];
                plan.change(
                    format!("label {}", label.name),
                    fields,
                    Write::Delete { name: label.name.clone() },
                );
            }
        }
        Ok(())
    }
}

/// Finds the live label for each label of the policy: the live label with the same name, or, if
/// there is none, the live label with the former name. Each label has at most one match. If two
/// labels of the policy have the same former name, the first of them gets the match.
fn matched(wants: &[Want<'_>], seen: &[Label]) -> EntryPairs {
    let entry = |name: &str| json!({ "name": name });
    let desired: Vec<Value> = wants.iter().map(|want| entry(want.name)).collect();
    let observed: Vec<Value> = seen.iter().map(|label| entry(&label.name)).collect();
    let mut matched = pair_entries(kind("labels"), &desired, &observed);
    let left = std::mem::take(&mut matched.only_desired);
    let free = std::mem::take(&mut matched.only_observed);
    let is_before = |at: &usize, place: &usize| {
        let is = |name: &str| name.eq_ignore_ascii_case(&seen[*place].name);
        wants[*at].oldname.is_some_and(is).then_some(0)
    };
    let renamed = pair(&left, &free, is_before);
    matched.both.extend(renamed.both.iter().map(|(at, place)| (left[*at], free[*place])));
    matched.only_desired = renamed.only_desired.iter().map(|at| left[*at]).collect();
    matched.only_observed = renamed.only_observed.iter().map(|place| free[*place]).collect();
    matched
}

fn create(want: &Want<'_>, plan: &mut AspectPlan) {
    let mut body = json!({ "name": want.name });
    if let Some(color) = &want.color {
        body["color"] = json!(color);
    }
    if let Some(description) = want.description.filter(|description| !description.is_empty()) {
        body["description"] = json!(description);
    }
    let fields = vec![field("color", Value::Null, body["color"].clone(), Some(want.asked), Risk::Adds)];
    plan.change(format!("label {}", want.name), fields, Write::Create(body));
}

fn change(want: &Want<'_>, found: &Label, plan: &mut AspectPlan) {
    let (mut fields, mut body) = (Vec::new(), Map::new());
    let mut differs = |name: &str, key: &str, before: Value, after: Value| {
        if before != after {
            fields.push(field(name, before, after.clone(), Some(want.asked), Risk::Changes));
            body.insert(key.to_owned(), after);
        }
    };
    differs("name", "new_name", json!(found.name), json!(want.name));
    if let Some(color) = &want.color {
        differs("color", "color", json!(found.color.to_lowercase()), json!(color));
    }
    if let Some(description) = want.description {
        let before = found.description.clone().unwrap_or_default();
        differs("description", "description", json!(before), json!(description));
    }
    if !fields.is_empty() {
        let write = Write::Update { name: found.name.clone(), body: Value::Object(body) };
        plan.change(format!("label {}", found.name), fields, write);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns, for each label of the policy, the live label that matches it. Also returns the live
    /// labels without a match.
    fn matches(policy: &str, live: &[&str]) -> (Vec<Option<String>>, Vec<String>) {
        let node = Node::parse("f.yml", policy).unwrap();
        let wants: Vec<Want<'_>> = node.items().iter().filter_map(Want::read).collect();
        let label =
            |name: &&str| Label { name: (*name).to_owned(), color: "cc0000".into(), description: None };
        let seen: Vec<Label> = live.iter().map(label).collect();
        let found = matched(&wants, &seen);
        let name = |place: usize| seen[place].name.clone();
        let of = (0..wants.len()).map(|at| found.observed_of(at).map(name)).collect();
        (of, found.only_observed.iter().map(|place| name(*place)).collect())
    }

    #[test]
    fn of_two_labels_with_one_name_before_the_first_is_renamed_and_the_second_is_new() {
        let (of, left) = matches("[{name: a, oldname: wip}, {name: b, oldname: wip}]", &["wip"]);
        assert_eq!((of, left), (vec![Some("wip".to_owned()), None], vec![]));
    }

    #[test]
    fn the_name_before_goes_where_the_new_one_is_there_already() {
        let policy = "[{name: in progress, oldname: wip}]";
        let (of, left) = matches(policy, &["wip", "In Progress"]);
        assert_eq!((of, left), (vec![Some("In Progress".to_owned())], vec!["wip".to_owned()]));
        let (of, left) = matches("[{name: in progress, oldname: wip}, {name: wip}]", &["wip"]);
        assert_eq!((of, left), (vec![None, Some("wip".to_owned())], vec![]), "it is listed itself");
    }

    #[test]
    fn a_name_that_differs_in_case_only_is_renamed_in_place() {
        for (policy, live) in [("[{name: Bug}]", "bug"), ("[{name: Ärger}]", "ärger")] {
            let (of, left) = matches(policy, &[live]);
            assert_eq!((of, left), (vec![Some(live.to_owned())], vec![]));
        }
    }

    #[test]
    fn a_description_of_null_is_none() {
        let node = Node::parse("f.yml", "{name: bug, description: null}").unwrap();
        let want = Want::read(&node).unwrap();
        let found = |description: Option<&str>| {
            let mut plan = AspectPlan::default();
            let description = description.map(str::to_owned);
            change(&want, &Label { name: "bug".into(), color: "cc0000".into(), description }, &mut plan);
            plan.changes.len()
        };
        assert_eq!((found(Some("old")), found(Some("")), found(None)), (1, 0, 0));
    }

    proptest::proptest! {
        #[test]
        fn any_labels_are_quiet_once_they_are_applied(
            wanted in proptest::collection::btree_map("[a-d]", proptest::option::of("[a-f]"), 0..5),
            live in proptest::collection::btree_set("[a-f]", 0..6),
        ) {
            let list: Vec<Value> = wanted
                .iter()
                .map(|(name, before)| match before {
                    Some(before) => json!({ "name": name, "oldname": before }),
                    None => json!({ "name": name }),
                })
                .collect();
            let live: Vec<&str> = live.iter().map(String::as_str).collect();
            let policy = json!(list).to_string();
            let (of, left) = matches(&policy, &live);
            // Each live label matches at most one listed label.
            let mut taken: Vec<&String> = of.iter().flatten().chain(&left).collect();
            taken.sort();
            taken.dedup();
            proptest::prop_assert_eq!(taken.len(), live.len());
            let names: Vec<&str> = wanted.keys().map(String::as_str).collect();
            let (of, left) = matches(&policy, &names);
            proptest::prop_assert!(left.is_empty());
            let as_named = of.iter().zip(&names).all(|(of, name)| of.as_deref() == Some(*name));
            proptest::prop_assert!(as_named);
        }
    }
}
