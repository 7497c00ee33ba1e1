//! Plans and writes the custom repository roles of the organisation. safe-settings also has a
//! section for these roles. If the policy has the list, Beadle reads all roles in one call.
//!
//! <https://docs.github.com/enterprise-cloud@latest/rest/orgs/custom-roles>

use async_trait::async_trait;
use beadle_engine::Failure;
use beadle_github::{Below, Method};
use serde_json::Value;

use super::aspect::{Context, OrganisationAspect, OrganisationPlanner, Section, organisation_list};
use super::roles::{NamedRole, differences, named, new, removal, unnamed};
use crate::aspects::{AppPermission, AspectPlan, Step, WriteTarget};
use crate::policy::shape::{Shape, key, required};
use crate::policy::shapes::{NAME, TEXTS};

/// The aspect for an organisation's custom repository roles.
pub(super) const REPOSITORY_ROLES: OrganisationAspect = OrganisationAspect {
    name: "custom_repository_roles",
    section: "custom_repository_roles",
    sections: &[key(
        "custom_repository_roles",
        organisation_list!(ENTRY),
        "Custom repository roles. Beadle removes others, unless the list is `additive`.",
    )],
    keys: &[],
    permissions: &[AppPermission::write(
        "organization_custom_roles",
        "custom repository roles (organisation)",
    )],
    events: &[],
    planner: &RepositoryRoles,
};

const ENTRY: Shape = Shape::Map(&[
    required(key("name", NAME, "The name of the role.")),
    required(key(
        "base_role",
        Shape::OneOf(&["read", "triage", "write", "maintain"]),
        "The role on which this role is based.",
    )),
    required(key("permissions", TEXTS, "The additional permissions.")),
    key("description", Shape::Text, "A description."),
]);

const PATH: &str = "custom-repository-roles";

struct RepositoryRoles;

enum Write {
    Create(Value),
    Update { id: u64, body: Value },
    Delete { id: u64 },
}

#[async_trait]
impl Step for Write {
    async fn write(&self, to: &WriteTarget) -> Result<(), Failure> {
        match self {
            Self::Create(body) => to.send(Method::POST, PATH, Some(body.clone())).await,
            Self::Update { id, body } => {
                to.send(Method::PATCH, Below::at(PATH).id(*id), Some(body.clone())).await
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

#[async_trait]
impl OrganisationPlanner for RepositoryRoles {
    async fn plan(
        &self,
        context: &Context<'_>,
        section: &Section<'_>,
        plan: &mut AspectPlan,
    ) -> Result<(), Failure> {
        let seen = context.reader.rows_of_organisation(PATH, "custom_roles", &["id", "name"]).await?;
        let roles = named(section.node.items(), &seen);
        for NamedRole { want, name, found } in &roles {
            let what = format!("repository role {name}");
            let Some((id, found)) = *found else {
                let (fields, body) = new(want, name);
                plan.change(what, fields, Write::Create(Value::Object(body)));
                continue;
            };
            let from = plan.changes.len();
            for (fields, body) in differences(want, found) {
                if !fields.is_empty() {
                    plan.change(what.clone(), fields, Write::Update { id, body: Value::Object(body) });
                }
            }
            context.reach(plan, from, None).await?;
        }
        for (id, row) in unnamed(&roles, &seen).into_iter().filter(|_| section.exclusive) {
            let (name, fields) = removal(row, &section.node.asked);
            let from = plan.changes.len();
            plan.change(format!("repository role {name}"), fields, Write::Delete { id });
            context.reach(plan, from, None).await?;
        }
        Ok(())
    }
}
