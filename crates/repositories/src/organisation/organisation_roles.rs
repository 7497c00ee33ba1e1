//! Plans and writes the roles of the organisation, and the assignments of these roles to teams and
//! people. GitHub itself defines some roles, such as `security_manager`. The policy can assign
//! GitHub's roles, but cannot change them. If the policy has the section, Beadle reads all roles in
//! one call. For each declared role, Beadle reads the teams in one more call, and the people in
//! another call.
//!
//! <https://docs.github.com/rest/orgs/organization-roles>

use async_trait::async_trait;
use beadle_engine::{Class, Failure, Risk};
use beadle_github::{ActorKind, Below, Grantee, Method, Path, Resolved};
use serde_json::{Value, json};

use super::aspect::{Context, OrganisationAspect, OrganisationPlanner, Section, organisation_list};
use super::roles::{NamedRole, called, differences, named, new, removal, unnamed};
use crate::aspects::{AppPermission, AspectPlan, Step, WriteTarget, field};
use crate::policy::Node;
use crate::policy::shape::{Shape, key, required};
use crate::policy::shapes::{LOGIN, NAME, SLUGS, TEXTS};

/// The aspect for an organisation's roles.
pub(super) const ORGANISATION_ROLES: OrganisationAspect = OrganisationAspect {
    name: "organization_roles",
    section: "organization.organization_roles",
    sections: &[],
    keys: &[key(
        "organization_roles",
        organisation_list!(ENTRY),
        "Roles of the organisation and who has them. Beadle removes other custom roles, unless the list is \
         `additive`.",
    )],
    permissions: &[
        AppPermission::write("organization_custom_org_roles", "custom organization roles (organisation)"),
        AppPermission::write("members", "members (organisation)"),
    ],
    events: &[],
    planner: &OrganisationRoles,
};

const ENTRY: Shape = Shape::Map(&[
    required(key("name", NAME, "The name of the role.")),
    key("permissions", TEXTS, "The permissions of a custom role. A role of GitHub has none here."),
    key(
        "base_role",
        Shape::OneOf(&["none", "read", "triage", "write", "maintain", "admin"]),
        "What a custom role allows in every repository.",
    ),
    key("description", Shape::Text, "A description of a custom role."),
    key("teams", SLUGS, "The slugs of exactly the teams that have the role."),
    key("users", Shape::List(&LOGIN), "The logins of exactly the people who have the role directly."),
]);

const PATH: &str = "organization-roles";
/// The lists of the teams and people with a role. Each row contains the key of the list in the
/// policy, the field that contains the name of an entry at GitHub, and the kind of the entries.
const LISTS: &[(&str, &str, ActorKind)] =
    &[("teams", "slug", ActorKind::Team), ("users", "login", ActorKind::User)];

struct OrganisationRoles;

enum Write {
    /// Creates a role, and then assigns it. The plan does not contain the role's id, because GitHub
    /// creates the id together with the role.
    Create {
        name: String,
        body: Value,
        holders: Vec<Grantee>,
    },
    Update {
        id: u64,
        body: Value,
    },
    Delete {
        id: u64,
    },
    Assign {
        id: u64,
        whom: Grantee,
    },
    Unassign {
        id: u64,
        whom: Grantee,
    },
}

#[async_trait]
impl Step for Write {
    async fn write(&self, to: &WriteTarget) -> Result<(), Failure> {
        match self {
            Self::Create { name, body, holders } => {
                to.send(Method::POST, PATH, Some(body.clone())).await?;
                assign_new(to, name, holders).await.map_err(Failure::after_a_part)
            }
            Self::Update { id, body } => {
                to.send(Method::PATCH, Below::at(PATH).id(*id), Some(body.clone())).await
            }
            Self::Delete { id } => to.send(Method::DELETE, Below::at(PATH).id(*id), None).await,
            Self::Assign { id, whom } => to.writer.assign_role(whom, *id).await,
            Self::Unassign { id, whom } => to.writer.unassign_role(whom, *id).await,
        }
    }

    fn unshown(&self) -> Option<String> {
        match self {
            // The fields of the change already show who gets the role.
            Self::Create { body, .. } => Some(body.to_string()),
            Self::Update { .. } | Self::Delete { .. } | Self::Assign { .. } | Self::Unassign { .. } => None,
        }
    }
}

/// Assigns the role that an earlier request created.
async fn assign_new(to: &WriteTarget, name: &str, holders: &[Grantee]) -> Result<(), Failure> {
    if holders.is_empty() {
        return Ok(());
    }
    let all = to.reader.rows_of_organisation(PATH, "roles", &["id", "name"]).await?;
    let id = called(&all, name).and_then(|role| role["id"].as_u64());
    let missing = || Failure::new(Class::Conflict, format!("the role `{name}` does not exist yet"));
    let id = id.ok_or_else(missing)?;
    for whom in holders {
        to.writer.assign_role(whom, id).await?;
    }
    Ok(())
}

#[async_trait]
impl OrganisationPlanner for OrganisationRoles {
    async fn plan(
        &self,
        context: &Context<'_>,
        section: &Section<'_>,
        plan: &mut AspectPlan,
    ) -> Result<(), Failure> {
        let seen = context.reader.rows_of_organisation(PATH, "roles", &["id", "name"]).await?;
        let roles = named(section.node.items(), &seen);
        for NamedRole { want, name, found } in &roles {
            let what = format!("organization role {name}");
            let Some((id, found)) = *found else {
                missing(context, want, name, what, plan).await?;
                continue;
            };
            let from = plan.changes.len();
            if is_custom(found) {
                for (fields, body) in differences(want, found) {
                    if !fields.is_empty() {
                        plan.change(what.clone(), fields, Write::Update { id, body: Value::Object(body) });
                    }
                }
            } else if let Some(node) =
                ["permissions", "base_role", "description"].iter().find_map(|key| want.get(key))
            {
                let why = format!(
                    "GitHub or the enterprise defines this role, so the value at {} has no effect",
                    node.asked
                );
                plan.cannot_resolve_part(&what, why);
            }
            context.reach(plan, from, None).await?;
            for &(list, identity, kind) in LISTS {
                if let Some(names) = want.get(list).filter(|node| !node.is_null()) {
                    holders(context, (id, what.as_str()), names, (list, identity, kind), plan).await?;
                }
            }
        }
        let others = unnamed(&roles, &seen).into_iter();
        for (id, row) in others.filter(|(_, row)| section.exclusive && is_custom(row)) {
            let (name, fields) = removal(row, &section.node.asked);
            let from = plan.changes.len();
            plan.change(format!("organization role {name}"), fields, Write::Delete { id });
            context.reach(plan, from, None).await?;
        }
        Ok(())
    }
}

/// Returns whether the organisation itself defines a role.
fn is_custom(row: &Value) -> bool {
    row["source"] == "Organization"
}

/// Plans the creation of a role that does not exist at GitHub.
async fn missing(
    context: &Context<'_>,
    want: &Node,
    name: &str,
    what: String,
    plan: &mut AspectPlan,
) -> Result<(), Failure> {
    if want.get("permissions").is_none() {
        let why = format!(
            "the organisation has no role `{name}` ({}); to create it, set `permissions`",
            want.asked
        );
        plan.cannot_resolve_part(&what, why);
        return Ok(());
    }
    let (mut fields, body) = new(want, name);
    let mut holders = Vec::new();
    for &(list, _, kind) in LISTS {
        let Some(names) = want.get(list).filter(|node| !node.is_null()) else { continue };
        let (wanted, _) = resolved(context, &format!("{what}: {list}"), kind, names, plan).await?;
        for (node, found) in wanted {
            fields.push(field(list, Value::Null, json!(found.name), Some(&node.asked), Risk::Exposes));
            holders.push(grantee(kind, &found));
        }
    }
    let from = plan.changes.len();
    plan.change(what, fields, Write::Create { name: name.to_owned(), body: Value::Object(body), holders });
    context.reach(plan, from, None).await
}

/// Returns the teams or the accounts that the policy names. Also returns whether Beadle can use all
/// names. If a name does not exist or has a new owner, the function records in the plan that the part
/// `part` is unknown.
async fn resolved<'a>(
    context: &Context<'_>,
    part: &str,
    kind: ActorKind,
    names: &'a Node,
    plan: &mut AspectPlan,
) -> Result<(Vec<(&'a Node, Resolved)>, bool), Failure> {
    let nodes: Vec<&'a Node> = names.items().iter().filter(|node| node.text().is_some()).collect();
    let (mut wanted, mut is_complete) = (Vec::new(), true);
    for (node, found) in nodes.iter().zip(context.resolve(kind, &nodes).await?) {
        match found {
            Ok(found) => wanted.push((*node, found)),
            Err(why) => {
                is_complete = false;
                plan.cannot_resolve_part(part, why);
            }
        }
    }
    Ok((wanted, is_complete))
}

/// Returns the grantee for a team or an account whose name is resolved.
fn grantee(kind: ActorKind, found: &Resolved) -> Grantee {
    match kind {
        ActorKind::Team => Grantee::resolved_team(found),
        _ => Grantee::resolved_user(found),
    }
}

/// Plans who gets a role, and who loses it. If a name in the list does not exist, nobody loses the
/// role.
async fn holders(
    context: &Context<'_>,
    (id, what): (u64, &str),
    names: &Node,
    (list, identity, kind): (&'static str, &str, ActorKind),
    plan: &mut AspectPlan,
) -> Result<(), Failure> {
    let path = Path::at(PATH).id(id).then(list).query("per_page", 100);
    let rows = context.reader.list_of_organisation(path, &["id", identity]).await?;
    // A person can also get the role as a member of a team, and a team can get the role from its
    // parent team. GitHub's row is then not an assignment.
    let direct: Vec<&Value> = rows.iter().filter(|row| row["assignment"] != "indirect").collect();
    let part = format!("{what}: {list}");
    let (wanted, is_complete) = resolved(context, &part, kind, names, plan).await?;
    let from = plan.changes.len();
    for (node, found) in &wanted {
        if direct.iter().any(|row| row["id"] == json!(found.id)) {
            continue;
        }
        let fields = vec![field(list, Value::Null, json!(found.name), Some(&node.asked), Risk::Exposes)];
        plan.change(what, fields, Write::Assign { id, whom: grantee(kind, found) });
    }
    for row in direct.into_iter().filter(|_| is_complete) {
        let (Some(holder), Some(name)) = (row["id"].as_u64(), row[identity].as_str()) else { continue };
        if wanted.iter().any(|(_, found)| found.id == holder) {
            continue;
        }
        let fields = vec![field(list, json!(name), Value::Null, Some(&names.asked), Risk::Removes)];
        let whom = match kind {
            ActorKind::Team => Grantee::team(holder, name),
            _ => Grantee::user(holder, name),
        };
        plan.change(what, fields, Write::Unassign { id, whom });
    }
    context.reach(plan, from, None).await
}
