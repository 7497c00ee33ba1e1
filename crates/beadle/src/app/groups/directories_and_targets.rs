//! The directories and the targets of the configuration. This module also creates the reconcilers
//! for directory events, for team events, and for the sweeps of directories.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use anyhow::{anyhow, bail};
use beadle_engine::{Budgets, Clock, Key, Reconcile, Store};
use beadle_groups::sources::{FileSource, OktaSource, Source};
use beadle_groups::sweep::remembered;
use beadle_groups::{Directory, GroupSweep, Mappings, Marker, TeamMarker};
use beadle_okta::Okta;
use beadle_repositories::policy::{MEMBERS, TEAMS, nearest};

use crate::app::connections::budget_and_cache_options::ClientOptions;
use crate::app::connections::github::GithubClients;
use crate::app::connections::okta::open_okta;
use crate::app::connections::target::{open_scim, open_teams};
use crate::app::groups::mappings_in_force::MappingsInForce;
use crate::app::groups::organisation_members_file;
use crate::app::groups::partly_open_directory::PartialTargets;
use crate::app::groups::policy_group_files;
use crate::app::groups::target::GroupTarget;
use crate::config::{self, Config};

/// A policy file that is the source of groups, and the name of the target that has these groups.
#[derive(Clone)]
pub(crate) struct TeamSource {
    pub(crate) target: String,
    pub(crate) source: FileSource,
}

/// Returns those files of the policy that declare groups for a target. Each entry contains the name
/// of the source, the name of the file, and the function that parses the text.
pub(in crate::app) fn files_of(
    target: &config::TargetConfig,
    teams: &config::TeamsFile,
) -> Vec<(String, &'static str, policy_group_files::Parse)> {
    let mut files: Vec<(String, &'static str, policy_group_files::Parse)> = Vec::new();
    if teams.teams_from_policy {
        files.push((target.name.clone(), TEAMS, Box::new(policy_group_files::parse_teams)));
    }
    if teams.members_from_policy {
        files.push((target.members_source(), MEMBERS, organisation_members_file::parser(teams)));
    }
    files
}

/// The directories and targets that are open.
pub(crate) struct Directories {
    pub(crate) okta: Vec<(Arc<config::Okta>, Okta)>,
    /// The policy files that declare groups, keyed by the names of their sources.
    pub(crate) team_files: BTreeMap<String, TeamSource>,
    pub(crate) targets: BTreeMap<String, Arc<GroupTarget>>,
    /// The names of the unavailable targets. A target is unavailable if Beadle could not open the
    /// target itself or one of its directories.
    pub(crate) unavailable: BTreeSet<String>,
    /// The targets whose groups are teams at GitHub, each with the organisation of the teams.
    teams: Vec<(String, String)>,
    /// The mappings in force.
    pub(crate) in_force: MappingsInForce,
}

impl Directories {
    /// Reads the secrets, and opens the clients of all directories and targets. Sends no request.
    pub(crate) fn open(
        config: &Config,
        clock: &Clock,
        options: &ClientOptions,
        clients: &GithubClients,
    ) -> anyhow::Result<Self> {
        let (opened, failures) = Self::open_available(config, clock, options, clients);
        failures.into_iter().next().map_or(Ok(opened), Err)
    }

    /// Opens the available directories and targets. Also returns one error for each unavailable
    /// directory or target.
    pub(crate) fn open_available(
        config: &Config,
        clock: &Clock,
        options: &ClientOptions,
        clients: &GithubClients,
    ) -> (Self, Vec<anyhow::Error>) {
        let (mut okta, mut closed, mut failures) = (Vec::new(), Vec::new(), Vec::new());
        let mut sources: HashMap<String, Arc<dyn Source>> = HashMap::new();
        let attributes = config.file.target.iter().map(|target| config::attributes(&target.attributes));
        let uses: BTreeSet<String> = attributes.flat_map(|attributes| attributes.uses()).collect();
        for file in &config.file.okta {
            let api = match open_okta(config, file, clock, options) {
                Ok(api) => api,
                Err(error) => {
                    closed.push(file.name.as_str());
                    failures.push(error);
                    continue;
                }
            };
            let source = OktaSource::new(
                api.clone(),
                config::leaving(file),
                config::provisioned(file),
                file.push_apps.clone(),
            );
            sources.insert(file.name.clone(), Arc::new(source.keeping(uses.clone())));
            okta.push((file.clone(), api));
        }
        let in_force = MappingsInForce::new(&config.mappings);
        let (mut targets, mut unavailable) = (BTreeMap::new(), BTreeSet::new());
        let mut team_files = BTreeMap::new();
        for file in &config.file.target {
            // If Beadle could not open one directory of a target, the target is unavailable. A plan
            // of the target needs the groups of all its directories.
            let feeds = |source: &&str| config.mappings.targets(source).contains(&file.name.as_str());
            if let Some(source) = closed.iter().copied().find(|source| feeds(source)) {
                unavailable.insert(file.name.clone());
                failures.push(anyhow!(
                    "target {} is unavailable, because its directory {source} is unavailable",
                    file.name
                ));
                continue;
            }
            let opened = match (&file.scim, &file.github) {
                (Some(scim), _) => open_scim(config, file, scim, clock, options),
                (None, Some(teams)) => open_teams(config, teams, clock, options, clients),
                (None, None) => Err(anyhow!("target {}: set `scim` or `github`", file.name)),
            };
            let connection = match opened {
                Ok(connection) => connection,
                Err(error) => {
                    unavailable.insert(file.name.clone());
                    failures.push(error);
                    continue;
                }
            };
            let mut sources = sources.clone();
            if let Some(teams) = &file.github
                && let Some(org) = config.file.org.iter().find(|org| org.name == teams.org)
            {
                for (name, declared_in, parse) in files_of(file, teams) {
                    let source =
                        policy_group_files::source(declared_in, parse, config, org, (options, clock));
                    let target = file.name.clone();
                    team_files.insert(name.clone(), TeamSource { target, source: source.clone() });
                    sources.insert(name, Arc::new(source));
                }
            }
            let directory = Directory {
                sources,
                target: connection.reader.clone(),
                name: file.name.clone(),
                mappings: in_force.shared(),
                pushed: Arc::default(),
            };
            targets.insert(file.name.clone(), Arc::new(GroupTarget::new(file, directory, connection)));
        }
        let teams = config
            .file
            .target
            .iter()
            .filter_map(|file| Some((file.name.clone(), file.github.as_ref()?.org.clone())));
        (Self { okta, team_files, targets, unavailable, teams: teams.collect(), in_force }, failures)
    }

    /// Returns the target with this name. Without a name, returns all targets.
    pub(crate) fn wanted(&self, name: Option<&str>) -> anyhow::Result<Vec<&Arc<GroupTarget>>> {
        let Some(name) = name else { return Ok(self.targets.values().collect()) };
        if let Some(target) = self.targets.get(name) {
            return Ok(vec![target]);
        }
        let near = nearest(name, self.targets.keys().map(String::as_str));
        let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        bail!("the configuration has no target `{name}`{hint}")
    }

    /// Returns the budgets of the directories and of the SCIM servers. If the groups of a target
    /// are teams, the target uses the budget of the teams' organisation.
    pub(crate) fn budgets(&self) -> Vec<Budgets> {
        let okta = self.okta.iter().flat_map(|(_, okta)| okta.budgets().cloned());
        okta.chain(self.targets.values().filter_map(|target| target.budgets())).collect()
    }

    /// Returns the budget of each directory and of each SCIM server, with its name. A directory has
    /// several budgets. Of these budgets, the function returns only the one for tokens and groups,
    /// because Beadle requests tokens and groups most often.
    pub(crate) fn credentials(&self) -> Vec<(String, Budgets)> {
        let okta = self.okta.iter().filter_map(|(file, okta)| {
            let budgets = okta.budgets().next()?;
            Some((file.name.clone(), budgets.clone()))
        });
        let target = |target: &Arc<GroupTarget>| Some((target.file.name.clone(), target.budgets()?));
        okta.chain(self.targets.values().filter_map(target)).collect()
    }

    /// Wraps a reconciler of a directory. If an unavailable target misses an event, the wrapper
    /// records the missed event.
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
            unavailable: self.unavailable.clone(),
            mappings: self.in_force.shared(),
            store: store.clone(),
            clock: clock.clone(),
        })
    }

    fn by_target(&self) -> HashMap<String, Directory> {
        let targets = self.targets.values();
        targets.map(|target| (target.file.name.clone(), target.directory.clone())).collect()
    }

    /// Returns the mappings in force.
    pub(crate) fn mappings(&self) -> Arc<Mappings> {
        self.in_force.all()
    }

    /// Returns the reconciler of a directory's events. The reconciler marks the affected groups of
    /// the targets as due.
    pub(crate) fn marker(&self, source: &str, store: &Arc<dyn Store>, clock: &Clock) -> Marker {
        Marker {
            source: source.to_owned(),
            directories: self.by_target(),
            store: store.clone(),
            clock: clock.clone(),
        }
    }

    /// Returns the reconciler for events about the teams of an organisation. The reconciler marks
    /// the affected groups as due. Returns `None` if no target consists of the teams of this
    /// organisation.
    pub(crate) fn team_marker(&self, org: &str, store: &Arc<dyn Store>, clock: &Clock) -> Option<TeamMarker> {
        let its = self.teams.iter().filter(|(_, of)| *of == org);
        let targets: Vec<String> = its.map(|(target, _)| target.clone()).collect();
        (!targets.is_empty()).then(|| TeamMarker { targets, store: store.clone(), clock: clock.clone() })
    }

    /// Returns the reconciler for the sweeps of a directory.
    pub(crate) fn sweep(&self, source: &str, store: &Arc<dyn Store>, clock: &Clock) -> GroupSweep {
        GroupSweep {
            source: source.to_owned(),
            directories: self.by_target(),
            store: store.clone(),
            clock: clock.clone(),
        }
    }
}

/// Returns the keys of all groups that have this name in the store. Sends no request, so the store
/// must know the name of the group.
pub(crate) async fn group_keys(
    config: &Config,
    store: &Arc<dyn Store>,
    name: &str,
) -> anyhow::Result<Vec<Key>> {
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
            "the store has no group `{name}`{hint}\nhint: Beadle finds a group by its name only after it has written \
             the group; before that, specify the key of the group"
        );
    }
    Ok(found)
}
