//! Plans and writes the organisation's Actions variables. Beadle reads the list in one call. For
//! each variable with the visibility `selected`, Beadle reads the repositories in one more call.
//! Beadle makes these calls only if the policy has the list.
//!
//! <https://docs.github.com/rest/actions/variables>

use async_trait::async_trait;
use beadle_engine::{Failure, Risk};
use beadle_github::{Below, Method, Path};
use serde_json::{Value, json};

use super::aspect::{Context, OrganisationAspect, OrganisationPlanner, Section, organisation_list};
use super::selected::{SELECTED, Selected, add_reach, compare_reach};
use crate::aspects::{AppPermission, AspectPlan, Step, WriteTarget, field};
use crate::policy::shape::{Shape, key, required};
use crate::policy::{Node, forms};

/// The aspect for an organisation's variables.
pub(super) const VARIABLES: OrganisationAspect = OrganisationAspect {
    name: "organization_variables",
    section: "organization.variables",
    sections: &[],
    keys: &[key(
        "variables",
        organisation_list!(ENTRY),
        "Variables of Actions. Beadle removes others, unless the list is `additive`.",
    )],
    permissions: &[AppPermission::write("organization_actions_variables", "variables (organisation)")],
    events: &[],
    planner: &Variables,
};

const ENTRY: Shape = Shape::Map(&[
    required(key(
        "name",
        Shape::Form(&forms::ORGANIZATION_VARIABLE),
        "The name. GitHub ignores the case of letters.",
    )),
    required(key("value", Shape::Scalar, "The value.")),
    required(key(
        "visibility",
        Shape::OneOf(&["all", "private", "selected"]),
        "The repositories that can read the variable. `private` means private and internal ones.",
    )),
    key(
        "selected_repositories",
        Shape::List(&Shape::Form(&forms::REPOSITORY)),
        "With `selected`: the names of these repositories.",
    ),
]);

const PATH: &str = "actions/variables";

struct Variables;

enum Write {
    Create(Value),
    Update { name: String, body: Value },
    Delete { name: String },
}

#[async_trait]
impl Step for Write {
    async fn write(&self, to: &WriteTarget) -> Result<(), Failure> {
        match self {
            Self::Create(body) => to.send(Method::POST, PATH, Some(body.clone())).await,
            Self::Update { name, body } => {
                to.send(Method::PATCH, Below::variable(name), Some(body.clone())).await
            }
            Self::Delete { name } => to.send(Method::DELETE, Below::variable(name), None).await,
        }
    }
}

/// A variable that the policy declares.
struct Want<'a> {
    node: &'a Node,
    name: &'a str,
    value: String,
    visibility: &'a str,
}

impl<'a> Want<'a> {
    fn read(node: &'a Node) -> Option<Self> {
        let value = node.get("value")?;
        Some(Self {
            node,
            name: node.get("name")?.text()?,
            value: value.text().map_or_else(|| value.json().to_string(), str::to_owned),
            visibility: node.get("visibility")?.text()?,
        })
    }
}

#[async_trait]
impl OrganisationPlanner for Variables {
    async fn plan(
        &self,
        context: &Context<'_>,
        section: &Section<'_>,
        plan: &mut AspectPlan,
    ) -> Result<(), Failure> {
        let path = Path::at(PATH).query("per_page", 30); // the maximum that GitHub allows
        let seen = context.reader.rows_of_organisation(path, "variables", &["name", "visibility"]).await?;
        let called = |name: &str, row: &Value| {
            row["name"].as_str().is_some_and(|other| other.eq_ignore_ascii_case(name))
        };
        let wants: Vec<Want<'_>> = section.node.items().iter().filter_map(Want::read).collect();
        for want in &wants {
            let part = format!("variable {}", want.name);
            let selected = match (want.visibility, want.node.get("selected_repositories")) {
                (SELECTED, Some(names)) => match Selected::wanted(context, names, &part, plan).await? {
                    Some(selected) => selected,
                    None => continue,
                },
                _ => Selected::default(),
            };
            match seen.iter().find(|row| called(want.name, row)) {
                Some(found) => change(context, want, found, &selected, plan).await?,
                None => create(want, &selected, plan),
            }
        }
        let listed = |row: &&Value| wants.iter().any(|want| called(want.name, row));
        for row in seen.iter().filter(|row| section.exclusive && !listed(row)) {
            let Some(name) = row["name"].as_str() else { continue };
            let asked = Some(&section.node.asked);
            let fields = vec![field("value", row["value"].clone(), Value::Null, asked, Risk::Removes)];
            plan.change(format!("variable {name}"), fields, Write::Delete { name: name.to_owned() });
        }
        Ok(())
    }
}

fn create(want: &Want<'_>, selected: &Selected, plan: &mut AspectPlan) {
    let mut body = json!({ "name": want.name, "value": want.value });
    add_reach(&mut body, want.visibility, selected);
    let asked = Some(&want.node.asked);
    let mut fields = vec![
        field("value", Value::Null, json!(want.value), asked, Risk::Adds),
        field("visibility", Value::Null, json!(want.visibility), asked, Risk::Adds),
    ];
    if want.visibility == SELECTED {
        fields.push(field("selected_repositories", Value::Null, selected.names(), asked, Risk::Adds));
    }
    plan.change(format!("variable {}", want.name), fields, Write::Create(body));
}

async fn change(
    context: &Context<'_>,
    want: &Want<'_>,
    found: &Value,
    selected: &Selected,
    plan: &mut AspectPlan,
) -> Result<(), Failure> {
    let Some(name) = found["name"].as_str() else { return Ok(()) };
    let asked = |key: &str| Some(want.node.get(key).map_or(&want.node.asked, |node| &node.asked));
    let what = format!("variable {name}");
    if found["value"] != json!(want.value) {
        let (before, after) = (found["value"].clone(), json!(want.value));
        let fields = vec![field("value", before, after.clone(), asked("value"), Risk::Changes)];
        let write = Write::Update { name: name.to_owned(), body: json!({ "value": after }) };
        plan.change(what.clone(), fields, write);
    }
    let wanted = (want.node, want.visibility, selected);
    let fields = compare_reach(context, wanted, found, Path::at(PATH).value(name)).await?;
    if !fields.is_empty() {
        let mut body = json!({});
        add_reach(&mut body, want.visibility, selected);
        plan.change(what, fields, Write::Update { name: name.to_owned(), body });
    }
    Ok(())
}
