//! Plans and writes the webhooks of the organisation. The address identifies a webhook. If the
//! policy has the list, Beadle reads GitHub's list in one call.
//!
//! <https://docs.github.com/rest/orgs/webhooks>

use async_trait::async_trait;
use beadle_engine::Failure;

use super::aspect::{Context, OrganisationAspect, OrganisationPlanner, Section, organisation_list};
use crate::aspects::webhooks::{ENTRY, compare};
use crate::aspects::{AppPermission, AspectPlan};
use crate::policy::shape::key;

/// The aspect for an organisation's webhooks.
pub(super) const WEBHOOKS: OrganisationAspect = OrganisationAspect {
    name: "organization_webhooks",
    section: "organization.webhooks",
    sections: &[],
    keys: &[key(
        "webhooks",
        organisation_list!(ENTRY),
        "Webhooks of the organisation. Beadle removes others, unless the list is `additive`.",
    )],
    permissions: &[AppPermission::write("organization_hooks", "webhooks (organisation)")],
    events: &[],
    planner: &Webhooks,
};

struct Webhooks;

#[async_trait]
impl OrganisationPlanner for Webhooks {
    async fn plan(
        &self,
        context: &Context<'_>,
        section: &Section<'_>,
        plan: &mut AspectPlan,
    ) -> Result<(), Failure> {
        // Addresses can contain secrets, so the store must not keep this answer.
        let seen = context.reader.list_anew_of_organisation("hooks?per_page=100", &["id"]).await?;
        let declared = (section.node.items(), section.node, section.exclusive);
        compare(declared, &seen, (context.secrets, "organisation", context.secret_memory), plan).await
    }
}
