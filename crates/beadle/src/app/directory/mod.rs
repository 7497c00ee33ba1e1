//! Puts the other half together: directories, targets, and what reconciles their groups.

mod opening;
mod sender;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::{Context as _, anyhow, bail};
use beadle_engine::worker::Reconcile;
use beadle_engine::{Budgets, Class, Clock, Key, Limits, Reconciler, Store, Time, WritePace, revive};
use beadle_groups::sources::{Catchup, OktaSource, Source};
use beadle_groups::sweep::remembered;
use beadle_groups::targets::{TargetWriter, TeamReader};
use beadle_groups::{
    Directory, GroupLimits, GroupPlanner, GroupSweep, GroupWriter, Mappings, Marker, STOPPED, TeamMarker,
    stop_note,
};
use beadle_okta::Okta;
use beadle_repositories::policy::nearest;
use beadle_scim::{Evidence, Finding, Probed, Reader, Writer, probe_writes};

pub(crate) use sender::senders;

use opening::{open_okta, open_scim, open_teams};

use crate::app::unavailable::PartialTargets;
use crate::app::wiring::{GithubClients, OpenOptions};
use crate::config::{self, Config};

/// From so many days before its end on a token is warned of.
pub(crate) const TOKEN_DAYS: i64 = 30;

/// A target, ready to work.
pub(crate) struct GroupTarget {
    pub(crate) file: Arc<config::TargetConfig>,
    /// Its groups, and the directories that they come from.
    pub(crate) directory: Directory,
    pub(crate) limits: Limits,
    pub(crate) pace: WritePace,
    group_limits: GroupLimits,
    writer: Arc<dyn TargetWriter>,
    side: Side,
}

/// What a target is.
enum Side {
    Scim { reader: Box<Reader>, writer: Box<Writer>, budgets: Budgets },
    Teams(Arc<TeamReader>),
}

/// Everything of this half.
pub(crate) struct Directories {
    pub(crate) okta: Vec<(Arc<config::Okta>, Okta)>,
    pub(crate) targets: BTreeMap<String, Arc<GroupTarget>>,
    /// Targets that could not be opened, or that take groups of a directory that could not be.
    pub(crate) shut: BTreeSet<String>,
    /// Targets that are teams, with their organisations.
    teams: Vec<(String, String)>,
    mappings: Arc<RwLock<Arc<Mappings>>>,
}

impl Directories {
    /// Reads the secrets, and makes the ways to directories and targets. Nothing is asked of the network yet.
    pub(crate) fn open(
        config: &Config,
        clock: &Clock,
        opening: &OpenOptions,
        clients: &GithubClients,
    ) -> anyhow::Result<Self> {
        let (opened, shut) = Self::open_some(config, clock, opening, clients);
        shut.into_iter().next().map_or(Ok(opened), Err)
    }

    /// Opens what can be opened, and tells why the rest cannot.
    pub(crate) fn open_some(
        config: &Config,
        clock: &Clock,
        opening: &OpenOptions,
        clients: &GithubClients,
    ) -> (Self, Vec<anyhow::Error>) {
        let (mut okta, mut closed, mut shut) = (Vec::new(), Vec::new(), Vec::new());
        let mut sources: HashMap<String, Arc<dyn Source>> = HashMap::new();
        for file in &config.file.okta {
            let api = match open_okta(config, file, clock, opening.patient) {
                Ok(api) => api,
                Err(error) => {
                    closed.push(file.name.as_str());
                    shut.push(error);
                    continue;
                }
            };
            sources.insert(
                file.name.clone(),
                Arc::new(OktaSource::new(
                    api.clone(),
                    config::leaving(file),
                    config::provisioned(file),
                    file.push_apps.clone(),
                )),
            );
            okta.push((file.clone(), api));
        }
        let mappings = Arc::new(RwLock::new(Arc::new(config.mappings.clone())));
        let (mut targets, mut without) = (BTreeMap::new(), BTreeSet::new());
        for file in &config.file.target {
            // What a directory that cannot be asked has in it would be unknown in each of its plans.
            let feeds = |source: &&str| config.mappings.targets(source).contains(&file.name.as_str());
            if let Some(source) = closed.iter().copied().find(|source| feeds(source)) {
                without.insert(file.name.clone());
                shut.push(anyhow!("target {} waits for the directory {source}", file.name));
                continue;
            }
            let opened = match (&file.scim, &file.github) {
                (Some(scim), _) => open_scim(config, file, scim, clock, opening.patient),
                (None, Some(teams)) => open_teams(config, teams, clock, opening, clients),
                (None, None) => Err(anyhow!("target {}: give `scim` or `github`", file.name)),
            };
            let opened = match opened {
                Ok(opened) => opened,
                Err(error) => {
                    without.insert(file.name.clone());
                    shut.push(error);
                    continue;
                }
            };
            let directory = Directory {
                sources: sources.clone(),
                target: opened.reader,
                name: file.name.clone(),
                mappings: mappings.clone(),
                pushed: Arc::default(),
            };
            let target = GroupTarget {
                file: file.clone(),
                directory,
                limits: file.limits(),
                pace: opened.pace,
                group_limits: config::group_limits(&file.group_guard),
                writer: opened.writer,
                side: opened.side,
            };
            targets.insert(file.name.clone(), Arc::new(target));
        }
        let teams = config
            .file
            .target
            .iter()
            .filter_map(|file| Some((file.name.clone(), file.github.as_ref()?.org.clone())));
        (Self { okta, targets, shut: without, teams: teams.collect(), mappings }, shut)
    }

    /// The targets, or the one that was asked for.
    pub(crate) fn wanted(&self, name: Option<&str>) -> anyhow::Result<Vec<&Arc<GroupTarget>>> {
        let Some(name) = name else { return Ok(self.targets.values().collect()) };
        if let Some(target) = self.targets.get(name) {
            return Ok(vec![target]);
        }
        let near = nearest(name, self.targets.keys().map(String::as_str));
        let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        bail!("the configuration has no target `{name}`{hint}")
    }

    /// The budgets of everything, for operators.
    pub(crate) fn budgets(&self) -> Vec<Budgets> {
        let okta = self.okta.iter().flat_map(|(_, okta)| okta.budgets().cloned());
        // An organisation's own are told with the organisation.
        let of_target = |target: &Arc<GroupTarget>| match &target.side {
            Side::Scim { budgets, .. } => Some(budgets.clone()),
            Side::Teams(_) => None,
        };
        okta.chain(self.targets.values().filter_map(of_target)).collect()
    }

    /// The same for the targets that are open: the others make up for it later.
    pub(crate) fn partial(
        &self,
        source: &str,
        inner: Arc<dyn Reconcile>,
        store: &Arc<dyn Store>,
        clock: &Clock,
    ) -> Arc<dyn Reconcile> {
        Arc::new(PartialTargets {
            inner,
            source: source.to_owned(),
            shut: self.shut.clone(),
            mappings: self.mappings.clone(),
            store: store.clone(),
            clock: clock.clone(),
        })
    }

    fn all(&self) -> HashMap<String, Directory> {
        let targets = self.targets.values();
        targets.map(|target| (target.file.name.clone(), target.directory.clone())).collect()
    }

    /// The mappings in force.
    pub(crate) fn mappings(&self) -> Arc<Mappings> {
        self.mappings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on these are.
    pub(crate) fn take_over(&self, mappings: Mappings) {
        *self.mappings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(mappings);
    }

    /// What marks groups for a directory's events.
    pub(crate) fn marker(&self, source: &str, store: &Arc<dyn Store>, clock: &Clock) -> Marker {
        Marker {
            source: source.to_owned(),
            directories: self.all(),
            store: store.clone(),
            clock: clock.clone(),
        }
    }

    /// What marks groups for events of an organisation's teams; `None` where none of them is a target.
    pub(crate) fn team_marker(&self, org: &str, store: &Arc<dyn Store>, clock: &Clock) -> Option<TeamMarker> {
        let its = self.teams.iter().filter(|(_, of)| *of == org);
        let targets: Vec<String> = its.map(|(target, _)| target.clone()).collect();
        (!targets.is_empty()).then(|| TeamMarker { targets, store: store.clone(), clock: clock.clone() })
    }

    /// What sweeps a directory.
    pub(crate) fn sweep(&self, source: &str, store: &Arc<dyn Store>, clock: &Clock) -> GroupSweep {
        GroupSweep {
            source: source.to_owned(),
            directories: self.all(),
            store: store.clone(),
            clock: clock.clone(),
        }
    }
}

impl GroupTarget {
    pub(crate) fn planner(&self, store: Option<&Arc<dyn Store>>, clock: &Clock) -> GroupPlanner {
        GroupPlanner::new(self.directory.clone(), self.group_limits, clock.clone(), store.cloned())
    }

    pub(crate) fn writer(&self, store: Option<&Arc<dyn Store>>, clock: &Clock) -> GroupWriter {
        let window = self.group_limits.window;
        GroupWriter::new(self.writer.clone(), &self.file.name, window, clock.clone(), store.cloned())
    }

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

    /// Holds the dialect to what the server says and does. `writes`: on a group of the probe's own
    /// too, where the configuration allows that.
    pub(crate) async fn probe(&self, writes: bool) -> anyhow::Result<Probed> {
        match &self.side {
            Side::Scim { reader, writer, .. } => {
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
            Side::Teams(teams) => Ok(Probed { findings: teams.probe().await?, ..Probed::default() }),
        }
    }

    /// The note of the server's behaviour. Another server under the same name has its own.
    fn evidence(&self) -> String {
        let base = self.file.scim.as_ref().map_or("", |scim| scim.url.trim_end_matches('/'));
        beadle_engine::note("scim-evidence", &[self.file.name.as_str(), base])
    }

    /// The remembered behaviour of the server, if there is one.
    pub(crate) async fn seen_before(&self, store: &Arc<dyn Store>) -> anyhow::Result<Evidence> {
        let text = store.get(&self.evidence()).await?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
    }

    /// Writes down what the server does.
    pub(crate) async fn remember(&self, evidence: &Evidence, store: &Arc<dyn Store>) -> anyhow::Result<()> {
        Ok(store.put(&self.evidence(), &serde_json::to_string(evidence)?).await?)
    }

    /// Whether the identity store tells who is in the first group.
    async fn probe_identity_store(&self, reader: &Reader) -> anyhow::Result<Finding> {
        let Some(group) = reader.groups().await?.rows.into_iter().next() else {
            return Ok(Finding::Unknown("there is no group by which to try the Identity Store".into()));
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

    /// Why nothing is written to the target: it did something else with a write than it was asked.
    pub(crate) async fn stopped(&self, store: &Arc<dyn Store>) -> anyhow::Result<Option<String>> {
        Ok(store.get(&stop_note(&self.file.name)).await?)
    }

    /// Lets a stopped target be written to again, and makes the keys due that the stop set aside.
    pub(crate) async fn release(&self, store: &Arc<dyn Store>, now: Time) -> anyhow::Result<()> {
        store.forget(&stop_note(&self.file.name)).await?;
        self.go_on(store, now).await
    }

    /// Makes the keys due that a stop set aside, if the stop is over. A service that stopped the
    /// target itself sets them aside again until it is started with another configuration.
    pub(crate) async fn go_on(&self, store: &Arc<dyn Store>, now: Time) -> anyhow::Result<()> {
        let name = self.file.name.as_str();
        if store.get(&stop_note(name)).await?.is_none() {
            revive(store.as_ref(), STOPPED, &|key: &Key| key.instance() == name, now).await?;
        }
        Ok(())
    }

    /// A server that contradicts the configuration, or does something else than before, is not
    /// written to.
    pub(crate) async fn agree(&self, store: Option<&Arc<dyn Store>>) -> anyhow::Result<()> {
        let name = &self.file.name;
        let probed = self.probe(false).await.with_context(|| format!("target {name}"))?;
        for finding in &probed.findings {
            if let Finding::Contradiction(why) = finding {
                bail!("target {name}: {why}");
            }
        }
        let (Some(store), Side::Scim { .. }) = (store, &self.side) else { return Ok(()) };
        let before = self.seen_before(store).await?;
        if let Some(difference) = probed.evidence.differences(&before).first() {
            bail!("target {name}: {difference}; if that is right, run `beadle directory probe`");
        }
        let evidence = probed.evidence.with(before.clone());
        if evidence != before {
            self.remember(&evidence, store).await?;
        }
        Ok(())
    }

    /// How many days its token has left, where that is known.
    pub(crate) fn token_days(&self, clock: &Clock) -> Option<i64> {
        let ends = self.file.scim.as_ref()?.token_ends?.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
        Some((ends.as_second() - clock.now().seconds()).div_euclid(24 * 3600))
    }
}

/// The keys of the groups that are called so, as far as they are remembered; asking nobody.
pub(crate) async fn called(config: &Config, store: &Arc<dyn Store>, name: &str) -> anyhow::Result<Vec<Key>> {
    let mut found = Vec::new();
    let mut known = Vec::new();
    for target in &config.file.target {
        for one in remembered(&target.name, store).await? {
            if one.is_called(name) {
                found.push(one.key.clone());
            }
            known.extend(one.names);
        }
    }
    if found.is_empty() {
        let near = nearest(name, known.iter().map(String::as_str));
        let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        bail!(
            "no group `{name}` is remembered{hint}; one that was never written has no name here, only a key"
        );
    }
    Ok(found)
}

/// Reads a directory's log.
pub(crate) fn catchup(okta: &Okta, store: &Arc<dyn Store>, clock: &Clock) -> Catchup {
    Catchup { okta: okta.clone(), store: store.clone(), clock: clock.clone() }
}
