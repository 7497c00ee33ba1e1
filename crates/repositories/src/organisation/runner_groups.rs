//! Plans and writes the groups of self-hosted runners in the organisation. Beadle reads the list in
//! one call. For each declared group with the visibility `selected`, Beadle reads the repositories
//! in one more call. Beadle does not change the groups of the enterprise. Beadle never removes the
//! default group, because GitHub needs this group.
//!
//! <https://docs.github.com/rest/actions/self-hosted-runner-groups>

use async_trait::async_trait;
use beadle_engine::{Failure, Risk};
use beadle_github::{Below, Method, Path};
use serde_json::{Map, Value, json};

use super::aspect::{Context, OrganisationAspect, OrganisationPlanner, Section, organisation_list};
use super::roles::Difference;
use super::selected::Selected;
use super::sets::{as_set, is_same_as_missing};
use crate::aspects::{AppPermission, AspectPlan, Step, WriteTarget, field};
use crate::policy::shape::{Shape, key, required};
use crate::policy::shapes::{NAME, TEXTS};
use crate::policy::{Node, forms};

/// The aspect for an organisation's runner groups.
pub(super) const RUNNER_GROUPS: OrganisationAspect = OrganisationAspect {
    name: "runner_groups",
    section: "organization.runner_groups",
    sections: &[],
    keys: &[key(
        "runner_groups",
        organisation_list!(ENTRY),
        "Groups of self-hosted runners. Beadle removes others, unless the list is `additive`.",
    )],
    permissions: &[AppPermission::write(
        "organization_self_hosted_runners",
        "self-hosted runners (organisation)",
    )],
    events: &[],
    planner: &RunnerGroups,
};

const ENTRY: Shape = Shape::Map(&[
    required(key("name", NAME, "The name of the group.")),
    key(
        "visibility",
        Shape::OneOf(&["all", "private", "selected"]),
        "The repositories that can use the runners. `private` means private and internal ones.",
    ),
    key(
        "selected_repositories",
        Shape::List(&Shape::Form(&forms::REPOSITORY)),
        "With `selected`: the names of these repositories.",
    ),
    key("allows_public_repositories", Shape::Bool, "Whether public repositories can use the runners."),
    key("restricted_to_workflows", Shape::Bool, "Whether only some workflows can use the runners."),
    key("selected_workflows", TEXTS, "These workflows, such as `acme/shop/.github/workflows/ci.yml@main`."),
]);

/// The visibilities, ordered from the fewest repositories to the most.
const VISIBILITIES: &[&str] = &["selected", "private", "all"];
/// The fields of a group that one PATCH request sets.
const FIELDS: &[&str] =
    &["visibility", "allows_public_repositories", "restricted_to_workflows", "selected_workflows"];
const PATH: &str = "actions/runner-groups";
const SELECTED: &str = "selected";

struct RunnerGroups;

enum Write {
    Create(Value),
    /// Changes the fields of a group, and then the repositories of the group. GitHub accepts the
    /// repositories only while the visibility is `selected`.
    Update {
        id: u64,
        body: Option<Value>,
        repositories: Option<Value>,
    },
    Delete {
        id: u64,
    },
}

#[async_trait]
impl Step for Write {
    async fn write(&self, to: &WriteTarget) -> Result<(), Failure> {
        match self {
            Self::Create(body) => to.send(Method::POST, PATH, Some(body.clone())).await,
            Self::Update { id, body, repositories } => {
                if let Some(body) = body {
                    to.send(Method::PATCH, Below::at(PATH).id(*id), Some(body.clone())).await?;
                }
                let Some(ids) = repositories else { return Ok(()) };
                let list = json!({ "selected_repository_ids": ids });
                let put =
                    to.send(Method::PUT, Below::at(PATH).id(*id).then("repositories"), Some(list)).await;
                put.map_err(|failure| if body.is_some() { failure.after_a_part() } else { failure })
            }
            Self::Delete { id } => to.send(Method::DELETE, Below::at(PATH).id(*id), None).await,
        }
    }

    fn unshown(&self) -> Option<String> {
        match self {
            Self::Create(body) => Some(body.to_string()),
            Self::Update { .. } | Self::Delete { .. } => None,
        }
    }
}

/// Returns whether the enterprise fixes a field of this group. The organisation then cannot change
/// the field.
fn is_read_only(row: &Value, key: &str) -> bool {
    let is_about_workflows = ["restricted_to_workflows", "selected_workflows"].contains(&key);
    is_about_workflows && row["workflow_restrictions_read_only"] == json!(true)
}

/// Returns the risk of changing one field.
fn risk(key: &str, before: &Value, after: &Value) -> Risk {
    let place = |value: &Value| VISIBILITIES.iter().position(|known| value == known);
    match key {
        "visibility" if place(before) < place(after) => Risk::Exposes,
        "visibility" => Risk::Removes,
        // With this value, each person who can open a pull request in a public repository can use
        // the runners.
        "allows_public_repositories" if *after == json!(true) => Risk::Exposes,
        "restricted_to_workflows" if *after == json!(false) => Risk::Weakens,
        "selected_workflows" => {
            let known = before.as_array().cloned().unwrap_or_default();
            let is_more = after.as_array().into_iter().flatten().any(|workflow| !known.contains(workflow));
            if is_more { Risk::Weakens } else { Risk::Changes }
        }
        _ => Risk::Changes,
    }
}

#[async_trait]
impl OrganisationPlanner for RunnerGroups {
    async fn plan(
        &self,
        context: &Context<'_>,
        section: &Section<'_>,
        plan: &mut AspectPlan,
    ) -> Result<(), Failure> {
        let path = Path::at(PATH).query("per_page", 100);
        let seen = context.reader.rows_of_organisation(path, "runner_groups", &["id", "name"]).await?;
        let wants = section.node.items();
        for want in wants {
            let Some(name) = want.get("name").and_then(Node::text) else { continue };
            let what = format!("runner group {name}");
            let selected = match want.get("selected_repositories").filter(|node| !node.is_null()) {
                Some(names) => match Selected::wanted(context, names, &what, plan).await? {
                    Some(selected) => Some(selected),
                    None => continue,
                },
                None => None,
            };
            match seen.iter().find(|row| row["name"] == name) {
                Some(row) if row["inherited"] == json!(true) => {
                    let why = format!("the enterprise has the runner group `{name}` ({})", want.asked);
                    plan.cannot_resolve_part(&what, why);
                }
                Some(row) => change(context, (want, what.as_str()), row, selected.as_ref(), plan).await?,
                None => create(want, name, what, selected.as_ref(), plan),
            }
        }
        let listed = |row: &&Value| {
            wants
                .iter()
                .any(|want| want.get("name").and_then(Node::text).is_some_and(|name| row["name"] == name))
        };
        let is_fixed = |row: &&Value| row["inherited"] == json!(true) || row["default"] == json!(true);
        for row in seen.iter().filter(|row| section.exclusive && !listed(row) && !is_fixed(row)) {
            let (Some(id), Some(name)) = (row["id"].as_u64(), row["name"].as_str()) else { continue };
            let asked = Some(&section.node.asked);
            let before = row["visibility"].clone();
            let fields = vec![field("visibility", before, Value::Null, asked, Risk::Removes)];
            plan.change(format!("runner group {name}"), fields, Write::Delete { id });
        }
        Ok(())
    }
}

fn create(want: &Node, name: &str, what: String, selected: Option<&Selected>, plan: &mut AspectPlan) {
    let (mut fields, mut body) = (Vec::new(), Map::from_iter([("name".to_owned(), json!(name))]));
    for key in FIELDS {
        if let Some(node) = want.get(key).filter(|node| !node.is_null()) {
            fields.push(field(key, Value::Null, node.json(), Some(&node.asked), Risk::Adds));
            body.insert((*key).to_owned(), node.json());
        }
    }
    let is_selected = body.get("visibility").is_some_and(|value| value == SELECTED);
    if selected.is_some() && !is_selected {
        let why = "`selected_repositories` has an effect only with `visibility: selected`";
        plan.cannot_resolve_part(&what, format!("{why} ({})", want.asked));
    }
    if let Some(selected) = selected.filter(|_| is_selected) {
        let asked = Some(&want.asked);
        fields.push(field("selected_repositories", Value::Null, selected.names(), asked, Risk::Adds));
        body.insert("selected_repository_ids".to_owned(), selected.ids());
    }
    if fields.is_empty() {
        fields.push(field("new runner group", Value::Null, json!(true), Some(&want.asked), Risk::Adds));
    }
    plan.change(what, fields, Write::Create(Value::Object(body)));
}

async fn change(
    context: &Context<'_>,
    (want, what): (&Node, &str),
    row: &Value,
    selected: Option<&Selected>,
    plan: &mut AspectPlan,
) -> Result<(), Failure> {
    let Some(id) = row["id"].as_u64() else { return Ok(()) };
    let (mut plain, mut guarded) = (Difference::default(), Difference::default());
    for key in FIELDS {
        let Some(node) = want.get(key).filter(|node| !node.is_null()) else { continue };
        let (before, after) = (as_set(&row[*key]), as_set(&node.json()));
        if before == after || (before.is_null() && is_same_as_missing(&after)) {
            continue;
        }
        if is_read_only(row, key) {
            let why = format!("the enterprise fixes the value that {} sets", node.asked);
            plan.cannot_resolve_part(what, why);
            continue;
        }
        let risk = risk(key, &before, &after);
        let (fields, body) = if risk.is_guarded() { &mut guarded } else { &mut plain };
        fields.push(field(key, before, after, Some(&node.asked), risk));
        body.insert((*key).to_owned(), node.json());
    }
    // GitHub requires the name of the group in each request.
    let named = |mut body: Map<String, Value>| {
        body.insert("name".to_owned(), row["name"].clone());
        Value::Object(body)
    };
    let visibility = want.get("visibility").and_then(Node::text).or(row["visibility"].as_str());
    let mut repositories = None;
    if selected.is_some() && visibility != Some(SELECTED) {
        let why = "`selected_repositories` has an effect only with `visibility: selected`";
        plan.cannot_resolve_part(what, format!("{why} ({})", want.asked));
    }
    if let Some(selected) = selected.filter(|_| visibility == Some(SELECTED)) {
        let was = if row["visibility"] == SELECTED {
            Selected::seen(context, Path::at(PATH).id(id).then("repositories")).await?
        } else {
            Selected::default()
        };
        if !selected.is_same(&was) {
            let risk = if selected.has_more_than(&was) { Risk::Exposes } else { Risk::Removes };
            let asked = want.get("selected_repositories").map(|node| &node.asked);
            guarded.0.push(field("selected_repositories", was.names(), selected.names(), asked, risk));
            repositories = Some(selected.ids());
        }
    }
    if !plain.0.is_empty() {
        let write = Write::Update { id, body: Some(named(plain.1)), repositories: None };
        plan.change(what, plain.0, write);
    }
    if !guarded.0.is_empty() {
        let body = (!guarded.1.is_empty()).then(|| named(guarded.1));
        plan.change(what, guarded.0, Write::Update { id, body, repositories });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_enterprise_can_fix_the_workflows_of_a_group() {
        let row = |fixed: bool| json!({ "workflow_restrictions_read_only": fixed });
        for key in FIELDS {
            let is_about_workflows = key.contains("workflows");
            assert_eq!(is_read_only(&row(true), key), is_about_workflows, "{key}");
            assert!(!is_read_only(&row(false), key) && !is_read_only(&json!({}), key), "{key}");
        }
    }

    #[test]
    fn more_users_of_a_runner_expose_it() {
        for (key, before, after, expected) in [
            ("visibility", json!("selected"), json!("all"), Risk::Exposes),
            ("visibility", json!("all"), json!("private"), Risk::Removes),
            ("allows_public_repositories", json!(false), json!(true), Risk::Exposes),
            ("allows_public_repositories", json!(true), json!(false), Risk::Changes),
            ("restricted_to_workflows", json!(true), json!(false), Risk::Weakens),
            ("selected_workflows", json!(["a"]), json!(["a", "b"]), Risk::Weakens),
            ("selected_workflows", json!(["a", "b"]), json!(["b"]), Risk::Changes),
        ] {
            assert_eq!(risk(key, &before, &after), expected, "{key}: {before} to {after}");
        }
    }
}
