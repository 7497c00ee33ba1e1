//! A target with its planner, its writer and its probe. The target is either the groups of a SCIM
//! server or the teams of an organisation.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use beadle_engine::{
    Budgets, Class, Clock, Key, LimitsInForce, Reconcile, Reconciler, Store, StoreError, Time, WritePace,
    revive,
};
use beadle_groups::targets::TargetWriter;
use beadle_groups::{Directory, GroupLimits, GroupPlanner, GroupWriter, STOPPED, StopReason};
use beadle_scim::{Evidence, Finding, Probed, Reader, probe_writes};
use parking_lot::RwLock;

use crate::app::connections::target::{TargetApi, TargetConnection};
use crate::app::gate::guard_limits::GuardLimits;
use crate::app::service::generation_fence::{FencedReconciler, FencedWriter, InForce};
use crate::config::{self, TargetConfig};

/// Beadle begins to warn this number of days before a token expires.
pub(crate) const TOKEN_DAYS: i64 = 30;

/// A target that is open.
pub(crate) struct GroupTarget {
    pub(crate) file: Arc<TargetConfig>,
    /// The target, its directories, and the mappings between them.
    pub(crate) directory: Directory,
    /// The guard's limits that are in force.
    pub(crate) limits: LimitsInForce,
    pub(crate) pace: WritePace,
    /// The limits in force for each group.
    group_limits: RwLock<GroupLimits>,
    writer: Arc<dyn TargetWriter>,
    api: TargetApi,
}

impl GroupTarget {
    /// Creates a target from its parts.
    pub(super) fn new(file: &Arc<TargetConfig>, directory: Directory, connection: TargetConnection) -> Self {
        Self {
            file: file.clone(),
            directory,
            limits: file.limits().into(),
            pace: connection.pace,
            group_limits: RwLock::new(config::group_limits(&file.group_guard)),
            writer: connection.writer,
            api: connection.api,
        }
    }

    /// Returns the budgets of a SCIM server, and `None` for teams, because teams use the budgets of
    /// their organisation.
    pub(super) fn budgets(&self) -> Option<Budgets> {
        match &self.api {
            TargetApi::Scim { budgets, .. } => Some(budgets.clone()),
            TargetApi::Teams(_) => None,
        }
    }

    /// Returns the reader of the teams' organisation, and `None` for a SCIM server.
    pub(in crate::app) fn github(&self) -> Option<&beadle_github::Reader> {
        match &self.api {
            TargetApi::Scim { .. } => None,
            TargetApi::Teams(teams) => Some(teams.github()),
        }
    }

    /// Returns the limits in force.
    pub(crate) fn limits_in_force(&self) -> GuardLimits {
        GuardLimits { guard: self.limits.current(), groups: Some(*self.group_limits.read()) }
    }

    /// Replaces the limits in force. An existing planner or writer keeps its old limits for groups.
    pub(crate) fn set_limits(&self, limits: GuardLimits) {
        self.limits.replace(limits.guard);
        if let Some(groups) = limits.groups {
            *self.group_limits.write() = groups;
        }
    }

    /// Returns the planner of the target's groups.
    pub(crate) fn planner(&self, store: Option<&Arc<dyn Store>>, clock: &Clock) -> GroupPlanner {
        let limits = *self.group_limits.read();
        GroupPlanner::new(self.directory.clone(), limits, clock.clone(), store.cloned())
    }

    /// Returns the writer of the target's groups.
    pub(crate) fn writer(&self, store: Option<&Arc<dyn Store>>, clock: &Clock) -> GroupWriter {
        let window = self.group_limits.read().window;
        GroupWriter::new(self.writer.clone(), &self.file.name, window, clock.clone(), store.cloned())
    }

    /// Returns the reconciler of the target's groups. With `in_force`, the runs of the reconciler
    /// use only the accepted mappings.
    pub(in crate::app) fn reconciler(
        &self,
        store: &Arc<dyn Store>,
        clock: &Clock,
        in_force: Option<Arc<dyn InForce>>,
    ) -> Arc<dyn Reconcile> {
        let inner = self.writer(Some(store), clock);
        let groups = Reconciler {
            planner: self.planner(Some(store), clock),
            writer: FencedWriter { inner, in_force: in_force.clone(), clock: clock.clone() },
            store: store.clone(),
            clock: clock.clone(),
            limits: self.limits.clone(),
            pace: self.pace.clone(),
        };
        Arc::new(FencedReconciler { inner: groups, in_force, clock: clock.clone() })
    }

    /// Probes the server. Compares the configured dialect with the server's answers and with its
    /// behaviour. If `writes` is true and the configuration allows writes of a probe, the probe
    /// also creates and changes a test group.
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

    /// Returns the name of the note in which the store keeps the server's behaviour. The name
    /// contains the address of the server. So if a target gets another address, Beadle does not use
    /// the note about the old server.
    fn evidence(&self) -> String {
        let base = self.file.scim.as_ref().map_or("", |scim| scim.url.trim_end_matches('/'));
        beadle_engine::note("scim-evidence", &[self.file.name.as_str(), base])
    }

    /// Returns the server's earlier behaviour from the store. For a new server, the result is
    /// empty.
    pub(crate) async fn seen_before(&self, store: &Arc<dyn Store>) -> Result<Evidence, StoreError> {
        let note = self.evidence();
        read_evidence(&note, store.get(&note).await?.as_deref())
    }

    /// Stores the server's behaviour.
    pub(crate) async fn remember(&self, evidence: &Evidence, store: &Arc<dyn Store>) -> anyhow::Result<()> {
        Ok(store.put(&self.evidence(), &serde_json::to_string(evidence)?).await?)
    }

    /// Checks that the Identity Store of AWS returns the members of the first group.
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

    /// Returns why the target is stopped, or `None` if it is not stopped. If the server accepts a
    /// write but does not carry out the write, Beadle stops all writes to the target.
    pub(crate) async fn stopped(&self, store: &Arc<dyn Store>) -> anyhow::Result<Option<String>> {
        let reason = StopReason::note(&self.file.name).get(store.as_ref()).await?;
        Ok(reason.map(|StopReason(why)| why))
    }

    /// Allows Beadle to write to a stopped target again. Also marks as due all keys that the stop
    /// parked.
    pub(crate) async fn release(&self, store: &Arc<dyn Store>, now: Time) -> anyhow::Result<()> {
        StopReason::note(&self.file.name).forget(store.as_ref()).await?;
        self.revive_if_released(store, now).await
    }

    /// If the target is not stopped any more, marks as due all keys that the stop parked. If this
    /// service itself stopped the target, the service parks the keys again until its next start.
    pub(crate) async fn revive_if_released(&self, store: &Arc<dyn Store>, now: Time) -> anyhow::Result<()> {
        let name = self.file.name.as_str();
        if StopReason::note(name).get(store.as_ref()).await?.is_none() {
            revive(store.as_ref(), STOPPED, &|key: &Key| key.instance() == name, now).await?;
        }
        Ok(())
    }

    /// Probes the target. Returns an error if the server contradicts the configuration, or if the
    /// server's behaviour has changed since the last probe. After an error, Beadle writes nothing
    /// to the target.
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
            bail!(
                "target {name}: {difference}; if this difference is intended, accept it with `beadle targets probe`"
            );
        }
        let evidence = probed.evidence.with(before.clone());
        if evidence != before {
            self.remember(&evidence, store).await?;
        }
        Ok(())
    }

    /// Returns the time at which the target's token expires, or `None` if the configuration does
    /// not contain this time.
    pub(crate) fn token_end(&self) -> Option<Time> {
        let ends = self.file.scim.as_ref()?.token_ends?.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
        Some(Time(ends.as_millisecond()))
    }

    /// Returns the number of days until the target's token expires, or `None` if the configuration
    /// does not contain the time at which it expires.
    pub(crate) fn token_days(&self, clock: &Clock) -> Option<i64> {
        Some((self.token_end()?.seconds() - clock.now().seconds()).div_euclid(24 * 3600))
    }
}

/// Reads the behaviour of a server from a note. If this version cannot read the note, Beadle must
/// not treat the server as new. Otherwise, nobody would notice that the server's behaviour has
/// changed.
fn read_evidence(note: &str, text: Option<&str>) -> Result<Evidence, StoreError> {
    let Some(text) = text else { return Ok(Evidence::default()) };
    let newer = |_| StoreError::Newer { doing: "comparing the server", what: format!("the note `{note}`") };
    serde_json::from_str(text).map_err(newer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_behaviour_that_cannot_be_read_is_not_that_of_a_new_server() {
        let read = |text: Option<&str>| read_evidence("scim-evidence:aws:u", text);
        assert_eq!(read(None), Ok(Evidence::default()));
        let known = read(Some(r#"{"filter by externalId":"finds"}"#)).unwrap();
        assert_eq!(known.0["filter by externalId"], "finds");
        let newer = read(Some(r#"{"filter by externalId":{"does":"finds"}}"#));
        assert!(matches!(newer, Err(StoreError::Newer { .. })), "{newer:?}");
    }
}
