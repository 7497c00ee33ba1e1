//! The facts about organisations and targets for the pages of the operator listener.

use std::sync::Arc;

use async_trait::async_trait;
use beadle_engine::gate::Holder;
use beadle_engine::{StoreError, Time};
use beadle_repositories::policy::Waiver;
use beadle_repositories::stored_waivers;
use beadle_server::pages::{Facts, HeldChanges, HeldPolicy, OrganisationFacts, WaiverFacts};

use crate::app::configured_organisation::ServedOrganisation;
use crate::app::held_generation::HeldGeneration;
use crate::app::policy_store::committed;
use crate::app::service::Service;
use crate::config::waiver_rules;

/// Knows the organisations and targets of a service.
pub(crate) struct PageFacts(pub(crate) Arc<Service>);

#[async_trait]
impl Facts for PageFacts {
    async fn organisations(&self) -> Result<Vec<OrganisationFacts>, StoreError> {
        let (store, now) = (self.0.store.as_ref(), self.0.clock().now());
        let held = HeldGeneration::all(store).await?;
        let mut organisations = Vec::new();
        for org in &self.0.orgs {
            let waivers = stored_waivers(store, &org.file.name).await?;
            organisations.push(organisation(org, &held, waivers, now));
        }
        Ok(organisations)
    }

    fn targets(&self) -> Vec<String> {
        self.0.config().file.target.iter().map(|target| target.name.clone()).collect()
    }
}

/// Returns the facts about an organisation. `waivers` are the waivers of `beadle waive`.
fn organisation(
    org: &ServedOrganisation,
    held: &[(String, HeldGeneration)],
    mut waivers: Vec<Waiver>,
    now: Time,
) -> OrganisationFacts {
    let policy = org.open().map(|opened| opened.policy.current());
    waivers.extend(policy.iter().flat_map(|policy| policy.waivers.iter().cloned()));
    waivers.sort_by_key(|waiver| waiver.until);
    let rules = waiver_rules(&org.file);
    let waiver = |waiver: Waiver| WaiverFacts {
        code: waiver.id(),
        in_force: waiver.is_in_force(&rules, now),
        declared_by: waiver.place(),
        keys: waiver.keys,
        repositories: waiver.repositories,
        until: waiver.until,
        reason: waiver.reason,
        owner: waiver.owner,
    };
    let its = held.iter().filter(|(_, held)| held.organisation == org.file.name);
    OrganisationFacts {
        name: org.file.name.clone(),
        mode: org.file.mode.to_string(),
        modes: org.file.modes.iter().map(|(aspect, mode)| (aspect.clone(), mode.to_string())).collect(),
        open: policy.is_some(),
        generation: policy.as_ref().map(|policy| policy.generation.clone()),
        commit: policy.as_ref().and_then(|policy| policy.origin.as_ref().map(committed)),
        held: its.map(|(note, held)| held_policy(Holder::of(note), held)).collect(),
        waivers: waivers.into_iter().map(waiver).collect(),
    }
}

fn held_policy(held_by: Holder, held: &HeldGeneration) -> HeldPolicy {
    let groups = held.groups.iter().map(|group| HeldChanges {
        risk: group.risk,
        aspect: group.aspect.clone(),
        what: group.what.clone(),
        repositories: group.repositories,
        examples: group.examples.clone(),
    });
    HeldPolicy {
        generation: held.generation.clone(),
        commit: held.commit.clone(),
        held_by,
        plan: held.digest.clone(),
        since: held.since,
        why: held.why.clone(),
        sums: held.sums,
        total: held.total,
        groups: groups.collect(),
        more_groups: held.more_groups,
        approved_by: held.approved.as_ref().map(|approval| approval.by.clone()),
    }
}
