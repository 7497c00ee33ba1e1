//! The facts about organisations and targets for the pages of the operator listener.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use beadle_engine::gate::Holder;
use beadle_engine::{Change, Entry, Field, Hold, Key, StoreError, Time};
use beadle_repositories::policy::{Waiver, absent_entry};
use beadle_repositories::{readable_waivers, undo};
use beadle_server::pages::{
    AbsentFacts, AskedLine, ChangedRepositories, CheckedRepositories, CoveringWaivers, Facts, HeldChanges,
    HeldPolicy, HoldFacts, InstallationFacts, LineFacts, MergeFacts, OrganisationFacts, PullFacts,
    UndoneFacts, WaiverFacts, WriteFacts,
};

use crate::app::gate::held_generation::{HeldGeneration, HeldGroup};
use crate::app::operations::key_names;
use crate::app::organisations::installations;
use crate::app::organisations::served_organisation::ServedOrganisation;
use crate::app::pages::{hold_facts, policies_behind_writes, policy_lines};
use crate::app::policy::store::{self as policy_store, committed};
use crate::app::service::Service;
use crate::config::waiver_rules;
use crate::pull_request::stored_check_results::{CheckedPull, Merge};
use crate::pull_request::stored_repository_names::{NamesOfKind, RepositoryNames};

/// Provides the facts about the organisations and targets of a service.
pub(crate) struct PageFacts(pub(crate) Arc<Service>);

#[async_trait]
impl Facts for PageFacts {
    async fn organisations(&self) -> Result<Vec<OrganisationFacts>, StoreError> {
        let (store, now) = (self.0.store.as_ref(), self.0.clock().now());
        let held = HeldGeneration::all(store).await?;
        let mut organisations = Vec::new();
        for org in &self.0.orgs {
            let (waivers, unreadable) = readable_waivers(store, &org.file.name).await?;
            let facts = organisation(org, &held, waivers, now);
            organisations.push(OrganisationFacts { unreadable_waivers: unreadable, ..facts });
        }
        Ok(organisations)
    }

    fn names(&self) -> Vec<String> {
        self.0.orgs.iter().map(|org| org.file.name.clone()).collect()
    }

    async fn keys_called(&self, name: &str) -> Result<Vec<Key>, StoreError> {
        key_names::named(self.0.config(), &self.0.store, name).await
    }

    async fn pulls(&self) -> Result<Vec<PullFacts>, StoreError> {
        let store = self.0.store.as_ref();
        // The policy of an open organisation might still wait for the gate.
        let mut in_force: HashMap<&str, Option<String>> = HashMap::new();
        for org in &self.0.orgs {
            let kept = policy_store::in_force(store, &org.file.name).await?;
            in_force.insert(org.file.name.as_str(), kept.map(|kept| kept.generation()));
        }
        let all = CheckedPull::all(store).await?.into_iter();
        let facts = all.filter_map(|checked| {
            let in_force = in_force.get(checked.organisation.as_str())?;
            Some(pull(checked, in_force.as_deref()))
        });
        Ok(facts.collect())
    }

    async fn checked_repositories(&self, pull: &PullFacts) -> Result<CheckedRepositories, StoreError> {
        let result = (pull.head.as_str(), pull.checked);
        let stored = RepositoryNames::of_result(&pull.key, result, self.0.store.as_ref()).await?;
        let Some(stored) = stored else { return Ok(CheckedRepositories::default()) };
        let of = |NamesOfKind { names, more }: NamesOfKind| ChangedRepositories { names, more };
        let changes = stored.kinds.into_iter().map(of).collect();
        Ok(CheckedRepositories { changes, drifted: of(stored.drifted) })
    }

    async fn installations(&self) -> Result<Vec<InstallationFacts>, StoreError> {
        let config = self.0.config();
        let installed = installations::stored(config, self.0.store.as_ref()).await?;
        let facts = config.file.standings(&installed).into_iter().map(|(one, standing)| InstallationFacts {
            login: one.login.clone(),
            standing: standing.describe().to_owned(),
            since: one.since,
        });
        Ok(facts.collect())
    }

    async fn waivers(&self, organisation: &str, repository: &str) -> Result<CoveringWaivers, StoreError> {
        let (store, now) = (self.0.store.as_ref(), self.0.clock().now());
        let (stored, unreadable) = readable_waivers(store, organisation).await?;
        let Some(org) = self.0.orgs.iter().find(|org| org.file.name == organisation) else {
            return Ok(CoveringWaivers::default());
        };
        let mut all = all_waivers(org, stored);
        all.retain(|waiver| waiver.covers(repository));
        Ok(CoveringWaivers { waivers: waiver_facts(org, all, now), unreadable })
    }

    async fn undone(&self, key: &Key) -> Result<Vec<UndoneFacts>, StoreError> {
        let values = undo::observed(self.0.store.as_ref(), key).await?.into_iter();
        let facts = values.map(|value| UndoneFacts {
            aspect: value.aspect,
            what: value.what,
            name: value.name,
            at: value.at,
            by: value.by,
        });
        Ok(facts.collect())
    }

    fn targets(&self) -> Vec<String> {
        self.0.config().file.target.iter().map(|target| target.name.clone()).collect()
    }

    async fn policy_lines(
        &self,
        asked: BTreeSet<AskedLine>,
    ) -> Result<BTreeMap<AskedLine, LineFacts>, StoreError> {
        policy_lines::known(&self.0, asked).await
    }

    fn absent(&self, change: &Change<()>, field: &Field) -> Option<AbsentFacts> {
        let entry = absent_entry(&change.aspect, &change.what, field)?;
        Some(AbsentFacts { lacks: entry.lacks(), list: entry.list })
    }

    async fn write_facts(&self, entries: &[Entry]) -> Result<BTreeMap<u64, WriteFacts>, StoreError> {
        policies_behind_writes::known(&self.0, entries).await
    }

    async fn hold_facts(&self, holds: &[&Hold]) -> Result<BTreeMap<String, HoldFacts>, StoreError> {
        hold_facts::known(&self.0.store, holds).await
    }
}

/// Returns the waivers of an organisation: the stored waivers, and the waivers of the policy in
/// force. The waiver with the earliest end comes first.
fn all_waivers(org: &ServedOrganisation, stored: Vec<Waiver>) -> Vec<Waiver> {
    let policy = org.open().map(|opened| opened.policy.current());
    let mut waivers = stored;
    waivers.extend(policy.iter().flat_map(|policy| policy.waivers.iter().cloned()));
    waivers.sort_by_key(|waiver| waiver.until);
    waivers
}

fn waiver_facts(org: &ServedOrganisation, waivers: Vec<Waiver>, now: Time) -> Vec<WaiverFacts> {
    let rules = waiver_rules(&org.file);
    let facts = waivers.into_iter().map(|waiver| WaiverFacts {
        code: waiver.id(),
        in_force: waiver.is_in_force(&rules, now),
        declared_by: waiver.place(),
        can_end: waiver.asked.is_none(),
        keys: waiver.keys,
        repositories: waiver.repositories,
        until: waiver.until,
        reason: waiver.reason,
        owner: waiver.owner,
    });
    facts.collect()
}

/// Returns the facts about an organisation. `stored` contains the waivers of `beadle waive`.
fn organisation(
    org: &ServedOrganisation,
    held: &[(String, HeldGeneration)],
    stored: Vec<Waiver>,
    now: Time,
) -> OrganisationFacts {
    let policy = org.open().map(|opened| opened.policy.current());
    let its = held.iter().filter(|(_, held)| held.organisation == org.file.name);
    OrganisationFacts {
        name: org.file.name.clone(),
        mode: org.file.mode.to_string(),
        modes: org.file.modes.iter().map(|(aspect, mode)| (aspect.clone(), mode.to_string())).collect(),
        open: policy.is_some(),
        generation: policy.as_ref().map(|policy| policy.generation.clone()),
        commit: policy.as_ref().and_then(|policy| policy.origin.as_ref().map(committed)),
        held: its.map(|(note, held)| held_policy(Holder::of(note), held)).collect(),
        waivers: waiver_facts(org, all_waivers(org, stored), now),
        unreadable_waivers: Vec::new(),
    }
}

fn changes(group: HeldGroup) -> HeldChanges {
    let (names, more_names) = (Vec::new(), group.unnamed());
    let HeldGroup { risk, aspect, what, repositories, examples, asked, more_asked } = group;
    let asked = asked.iter().map(ToString::to_string).collect();
    HeldChanges { risk, aspect, what, repositories, examples, asked, more_asked, names, more_names }
}

/// Returns the facts about a pull request. `in_force` is the generation of the policy in force.
fn pull(of: CheckedPull, in_force: Option<&str>) -> PullFacts {
    PullFacts {
        key: of.key,
        organisation: of.organisation,
        name: of.name,
        number: of.number,
        head: of.head,
        checked: of.checked,
        conclusion: of.conclusion,
        title: of.title,
        pull_title: of.pull_title,
        author: of.author,
        link: of.link,
        is_from_fork: of.is_from_fork,
        no_preview: of.no_preview.map(|why| why.text().to_owned()),
        merge: of.merge.map(|of| merge(of, in_force)),
    }
}

fn merge(of: Merge, in_force: Option<&str>) -> MergeFacts {
    MergeFacts {
        base_in_force: of.is_of(in_force),
        compared: (!of.is_of(in_force)).then(|| of.compared(in_force)),
        base: of.base,
        sums: of.sums,
        affected: of.affected,
        total: of.total,
        changed_groups: of.changed_groups,
        drift: of.drift,
        drifted: Vec::new(),
        more_drifted: 0,
        held: of.held,
        incomplete: of.incomplete,
        changes: of.changes.into_iter().map(changes).collect(),
        more_changes: of.more_changes,
    }
}

fn held_policy(held_by: Holder, held: &HeldGeneration) -> HeldPolicy {
    HeldPolicy {
        generation: held.generation.clone(),
        commit: held.commit.clone(),
        held_by,
        plan: held.digest.clone(),
        since: held.since,
        why: held.why.clone(),
        sums: held.sums,
        places: held.places(),
        total: held.total,
        groups: held.groups.iter().cloned().map(changes).collect(),
        more_groups: held.more_groups,
        drift: held.drift,
        delayed: held.delayed.clone(),
        approved_by: held.approved.as_ref().map(|approval| approval.by.clone()),
    }
}
