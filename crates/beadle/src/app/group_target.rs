//! A target: the groups of a SCIM server, or the teams of an organisation, with its planner, its
//! writer and its probe.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use beadle_engine::{Budgets, Class, Clock, Key, Limits, Reconciler, Store, Time, WritePace, revive};
use beadle_groups::targets::TargetWriter;
use beadle_groups::{Directory, GroupLimits, GroupPlanner, GroupWriter, STOPPED, StopReason};
use beadle_scim::{Evidence, Finding, Probed, Reader, probe_writes};

use crate::app::target_connection::{TargetApi, TargetConnection};
use crate::config::{self, TargetConfig};

/// Beadle warns this number of days before the end of a token.
pub(crate) const TOKEN_DAYS: i64 = 30;

/// A target that is open.
pub(crate) struct GroupTarget {
    pub(crate) file: Arc<TargetConfig>,
    /// The groups of the target, and the directories that they come from.
    pub(crate) directory: Directory,
    pub(crate) limits: Limits,
    pub(crate) pace: WritePace,
    group_limits: GroupLimits,
    writer: Arc<dyn TargetWriter>,
    api: TargetApi,
}

impl GroupTarget {
    /// Creates a target from its parts.
    pub(super) fn new(file: &Arc<TargetConfig>, directory: Directory, connection: TargetConnection) -> Self {
        Self {
            file: file.clone(),
            directory,
            limits: file.limits(),
            pace: connection.pace,
            group_limits: config::group_limits(&file.group_guard),
            writer: connection.writer,
            api: connection.api,
        }
    }

    /// Returns the budgets of a SCIM server. Teams spend the budgets of their organisation.
    pub(super) fn budgets(&self) -> Option<Budgets> {
        match &self.api {
            TargetApi::Scim { budgets, .. } => Some(budgets.clone()),
            TargetApi::Teams(_) => None,
        }
    }

    /// Returns the planner of the target's groups.
    pub(crate) fn planner(&self, store: Option<&Arc<dyn Store>>, clock: &Clock) -> GroupPlanner {
        GroupPlanner::new(self.directory.clone(), self.group_limits, clock.clone(), store.cloned())
    }

    /// Returns the writer of the target's groups.
    pub(crate) fn writer(&self, store: Option<&Arc<dyn Store>>, clock: &Clock) -> GroupWriter {
        let window = self.group_limits.window;
        GroupWriter::new(self.writer.clone(), &self.file.name, window, clock.clone(), store.cloned())
    }

    /// Returns the reconciler of the target's groups.
    pub(crate) fn reconciler(
        &self,
        store: &Arc<dyn Store>,
        clock: &Clock,
    ) -> Reconciler<GroupPlanner, GroupWriter> {
        Reconciler {
            planner: self.planner(Some(store), clock),
            writer: self.writer(Some(store), clock),
            store: store.clone(),
            clock: clock.clone(),
            limits: self.limits,
            pace: self.pace.clone(),
        }
    }

    /// Compares the configured dialect with the answers and the behaviour of the server. With
    /// `writes`, the probe also writes to a group of its own, if the configuration allows it.
    pub(crate) async fn probe(&self, writes: bool) -> anyhow::Result<Probed> {
        match &self.api {
            TargetApi::Scim { reader, writer, .. } => {
                let mut probed = reader.probe().await?;
                let scim = self.file.scim.as_ref();
                if scim.is_some_and(|scim| scim.identity_store.is_some()) {
                    probed.findings.push(self.probe_identity_store(reader).await?);
                }
                let may_write = scim.is_some_and(|scim| scim.probe == config::Probing::Write);
                if writes && may_write && !probed.contradicts() {
                    probed.take(probe_writes(reader, writer).await?);
                }
                Ok(probed)
            }
            TargetApi::Teams(teams) => Ok(Probed { findings: teams.probe().await?, ..Probed::default() }),
        }
    }

    /// Returns the name of the note with the server's behaviour. Another server under the same name
    /// has its own note.
    fn evidence(&self) -> String {
        let base = self.file.scim.as_ref().map_or("", |scim| scim.url.trim_end_matches('/'));
        beadle_engine::note("scim-evidence", &[self.file.name.as_str(), base])
    }

    /// Returns the behaviour of the server as the store remembers it. It is empty for a new server.
    pub(crate) async fn seen_before(&self, store: &Arc<dyn Store>) -> anyhow::Result<Evidence> {
        let text = store.get(&self.evidence()).await?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
    }

    /// Stores the behaviour of the server.
    pub(crate) async fn remember(&self, evidence: &Evidence, store: &Arc<dyn Store>) -> anyhow::Result<()> {
        Ok(store.put(&self.evidence(), &serde_json::to_string(evidence)?).await?)
    }

    /// Checks that the Identity Store returns the members of the first group.
    async fn probe_identity_store(&self, reader: &Reader) -> anyhow::Result<Finding> {
        let Some(group) = reader.groups().await?.rows.into_iter().next() else {
            return Ok(Finding::Unknown(
                "the server has no group, so the Identity Store could not be checked".into(),
            ));
        };
        Ok(match self.directory.target.members(&group.id).await {
            Ok(members) => {
                let count = members.map_or(0, |members| members.len());
                Finding::Fine(format!("the Identity Store shows {count} members of {}", group.name))
            }
            Err(failure) if failure.class == Class::Rejected => Finding::Contradiction(failure.text),
            Err(failure) => return Err(failure.into()),
        })
    }

    /// Returns the reason why Beadle has stopped all writes to the target, if it has stopped them.
    /// It stops them if the server did not do what a write requested.
    pub(crate) async fn stopped(&self, store: &Arc<dyn Store>) -> anyhow::Result<Option<String>> {
        let reason = StopReason::note(&self.file.name).get(store.as_ref()).await?;
        Ok(reason.map(|StopReason(why)| why))
    }

    /// Ends the stop of a target, and revives the keys that the stop parked.
    pub(crate) async fn release(&self, store: &Arc<dyn Store>, now: Time) -> anyhow::Result<()> {
        StopReason::note(&self.file.name).forget(store.as_ref()).await?;
        self.revive_if_released(store, now).await
    }

    /// Revives the keys that a stop parked, if the stop is over. A service that stopped the target
    /// itself parks them again until its restart.
    pub(crate) async fn revive_if_released(&self, store: &Arc<dyn Store>, now: Time) -> anyhow::Result<()> {
        let name = self.file.name.as_str();
        if StopReason::note(name).get(store.as_ref()).await?.is_none() {
            revive(store.as_ref(), STOPPED, &|key: &Key| key.instance() == name, now).await?;
        }
        Ok(())
    }

    /// Probes the target. Fails if the server contradicts the configuration or behaves differently
    /// than before. Beadle then writes nothing to the target.
    pub(crate) async fn agree(&self, store: Option<&Arc<dyn Store>>) -> anyhow::Result<()> {
        let name = &self.file.name;
        let probed = self.probe(false).await.with_context(|| format!("target {name}"))?;
        for finding in &probed.findings {
            if let Finding::Contradiction(why) = finding {
                bail!("target {name}: {why}");
            }
        }
        let (Some(store), TargetApi::Scim { .. }) = (store, &self.api) else { return Ok(()) };
        let before = self.seen_before(store).await?;
        if let Some(difference) = probed.evidence.differences(&before).first() {
            bail!("target {name}: {difference}; if that is right, run `beadle targets probe`");
        }
        let evidence = probed.evidence.with(before.clone());
        if evidence != before {
            self.remember(&evidence, store).await?;
        }
        Ok(())
    }

    /// Returns the number of days until the end of the target's token, if the configuration has it.
    pub(crate) fn token_days(&self, clock: &Clock) -> Option<i64> {
        let ends = self.file.scim.as_ref()?.token_ends?.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
        Some((ends.as_second() - clock.now().seconds()).div_euclid(24 * 3600))
    }
}
