//! Plans and writes the list of accounts that the organisation blocks. If the policy has the list,
//! Beadle reads GitHub's list in one call.
//!
//! <https://docs.github.com/rest/orgs/blocking>

use async_trait::async_trait;
use beadle_engine::{Failure, Risk};
use beadle_github::{ActorKind, Grantee};
use serde_json::{Value, json};

use super::aspect::{Context, OrganisationAspect, OrganisationPlanner, Section, organisation_list};
use crate::aspects::{AppPermission, AspectPlan, Step, WriteTarget, field};
use crate::policy::Node;
use crate::policy::shape::key;
use crate::policy::shapes::LOGIN;

/// The aspect for an organisation's blocked users.
pub(super) const BLOCKED_USERS: OrganisationAspect = OrganisationAspect {
    name: "blocked_users",
    section: "organization.blocked_users",
    sections: &[],
    keys: &[key(
        "blocked_users",
        organisation_list!(LOGIN),
        "The logins of blocked accounts. Beadle unblocks others, unless the list is `additive`.",
    )],
    permissions: &[AppPermission::write("organization_user_blocking", "blocking users (organisation)")],
    events: &["org_block"],
    planner: &BlockedUsers,
};

struct BlockedUsers;

enum Write {
    Block(Grantee),
    Unblock(Grantee),
}

#[async_trait]
impl Step for Write {
    async fn write(&self, to: &WriteTarget) -> Result<(), Failure> {
        match self {
            Self::Block(account) => to.writer.block(account).await,
            Self::Unblock(account) => to.writer.unblock(account).await,
        }
    }
}

#[async_trait]
impl OrganisationPlanner for BlockedUsers {
    async fn plan(
        &self,
        context: &Context<'_>,
        section: &Section<'_>,
        plan: &mut AspectPlan,
    ) -> Result<(), Failure> {
        let seen = context.reader.list_of_organisation("blocks?per_page=100", &["id", "login"]).await?;
        let logins: Vec<&Node> = section.node.items().iter().filter(|node| node.text().is_some()).collect();
        let mut wanted = Vec::new();
        let mut is_complete = true;
        for (node, resolved) in logins.iter().zip(context.resolve(ActorKind::User, &logins).await?) {
            match resolved {
                Ok(found) => wanted.push((node, found)),
                Err(why) => {
                    // The account that had this login might have a different login now, so Beadle
                    // unblocks nobody.
                    is_complete = false;
                    plan.cannot_resolve_part("logins", why);
                }
            }
        }
        for (node, found) in &wanted {
            if !seen.iter().any(|row| row["id"] == json!(found.id)) {
                // A blocked account loses all its access in public repositories.
                let fields =
                    vec![field("blocked", json!(false), json!(true), Some(&node.asked), Risk::Removes)];
                let write = Write::Block(Grantee::resolved_user(found));
                plan.change(format!("blocked user {}", found.name), fields, write);
            }
        }
        for row in seen.iter().filter(|_| section.exclusive && is_complete) {
            let (Some(id), Some(login)) = (row["id"].as_u64(), row["login"].as_str()) else { continue };
            if !wanted.iter().any(|(_, found)| found.id == id) {
                let asked = Some(&section.node.asked);
                let fields = vec![field("blocked", json!(true), Value::Bool(false), asked, Risk::Weakens)];
                plan.change(
                    format!("blocked user {login}"),
                    fields,
                    Write::Unblock(Grantee::user(id, login)),
                );
            }
        }
        Ok(())
    }
}
