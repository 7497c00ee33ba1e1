//! An organisation with its policy, secrets and client: everything that Beadle needs to plan and
//! write the organisation's repositories.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use beadle_engine::{Clock, Key, LimitsInForce, Reconcile, Reconciler, Store, Time, WritePace};
use beadle_github::{Api, Asks, Names, Reader, Writer};
use beadle_repositories::creation::WithCreations;
use beadle_repositories::policy::PolicyOrigin;
use beadle_repositories::undo::Reversal;
use beadle_repositories::{
    Dispatch, Policy, PolicyHandle, RepositoryPlanner, RepositoryWriter, Reread, Secrets, Sweep, UndoPlanner,
    UndoWriter,
};
use secrecy::SecretString;

use crate::app::file_timeout::FileReader;
use crate::app::policy::mode_check;
use crate::app::service::generation_fence::{FencedReconciler, FencedWriter, InForce};
use crate::config::{self, Config, OrgConfig, RepositorySource};
use crate::output::policy_links::PolicyLinks;

/// An organisation that is open, so that Beadle can plan and write its repositories.
pub(crate) struct GithubOrganisation {
    pub(crate) file: Arc<OrgConfig>,
    pub(crate) policy: PolicyHandle,
    pub(crate) api: Api,
    pub(crate) reader: Reader,
    /// The pace of the organisation's bulk writes.
    pub(crate) pace: WritePace,
    /// The guard's limits that are in force.
    pub(crate) limits: LimitsInForce,
    /// The web addresses of two GitHub servers: the server with the policy, and the server with the
    /// policy's base.
    web: (String, String),
    /// The secrets that the policy is allowed to use.
    secrets: Secrets,
}

impl GithubOrganisation {
    /// Creates an organisation from its policy and its client. Reads the secrets, and sends no
    /// request.
    pub(crate) fn new(
        config: &Config,
        file: &Arc<OrgConfig>,
        policy: Policy,
        (api, pace): (Api, WritePace),
    ) -> anyhow::Result<Self> {
        let reader = Reader::new(api.clone(), policy.asks());
        let mut secrets = Secrets::new();
        for (name, reference) in &file.secrets {
            let what = format!("the secret `{name}` of {}", file.name);
            secrets.insert(name.clone(), config.secret(reference, &what)?);
        }
        let web = |source: Option<&RepositorySource>| {
            let owner = source.map_or(file.name.as_str(), |source| source.owner(&file.name));
            let owners = config.orgs(Some(owner))?;
            anyhow::Ok(owners.first().map_or_else(|| file.web(), |owner| owner.web()))
        };
        let web = (web(file.policy.repository())?, web(file.base.as_ref())?);
        let policy = PolicyHandle::new(policy);
        let limits = file.limits().into();
        Ok(Self { file: file.clone(), policy, api, reader, pace, limits, web, secrets })
    }

    /// Returns the links to the lines of the policy in force, if the policy comes from a
    /// repository.
    pub(crate) fn links(&self) -> Option<PolicyLinks> {
        let policy = self.policy.current();
        Some(self.links_at(policy.origin.clone()?, policy.base.clone()))
    }

    /// Returns the links to the lines of a policy at these commits.
    pub(crate) fn links_at(&self, origin: PolicyOrigin, base: Option<PolicyOrigin>) -> PolicyLinks {
        let (web, of_base) = self.web.clone();
        PolicyLinks { web, origin, base: base.map(|base| (of_base, base)) }
    }

    /// Returns the web address of the GitHub server that hosts the policy.
    pub(crate) fn policy_web(&self) -> &str {
        &self.web.0
    }

    /// Returns the planner of the organisation's repositories. If there is a store, the planner
    /// records in the store which repository each file in `repos/` belongs to.
    pub(crate) fn planner(&self, store: Option<&Arc<dyn Store>>) -> RepositoryPlanner {
        let planner =
            RepositoryPlanner::new(self.reader.clone(), self.policy.clone(), config::modes(&self.file))
                .lending(self.secrets.clone())
                .waiving(config::waiver_rules(&self.file));
        match store {
            Some(store) => planner.remembering(store.clone()),
            None => planner,
        }
    }

    /// Returns a planner for a policy that nobody has approved yet. The planner does not share its
    /// reads with other planners, because a different policy needs different parts of the
    /// repositories. The planner knows the names of the secrets, but not their values.
    pub(crate) fn preview_planner(&self, store: &Arc<dyn Store>) -> RepositoryPlanner {
        let reader = Reader::new(self.api.clone(), self.policy.current().asks());
        let secrets = self.secrets.keys().map(|name| (name.clone(), SecretString::default()));
        RepositoryPlanner::new(reader, self.policy.clone(), config::modes(&self.file))
            .lending(secrets.collect())
            .waiving(config::waiver_rules(&self.file))
            .remembering(store.clone())
            .only_looking()
    }

    /// Returns the writer of the organisation's repositories.
    pub(crate) fn writer(&self) -> RepositoryWriter {
        RepositoryWriter::new(Writer::new(self.api.clone()), self.reader.clone())
    }

    /// Returns the planner and the writer of an undo. The undo restores `wanted` in each
    /// repository. If `keys` is not empty, the undo restores only the values of these keys.
    /// `generation` is the name of the undo, and `by` is the operator. The undo reads all parts of
    /// a repository, so the undo does not share its reads with other planners.
    pub(crate) fn undo(
        &self,
        (wanted, keys): (BTreeMap<Key, Vec<Reversal>>, &[String]),
        (generation, by): (String, &str),
        (store, clock): (&Arc<dyn Store>, &Clock),
    ) -> (UndoPlanner, UndoWriter) {
        let reader = Reader::new(self.api.clone(), Asks::default());
        let planner = RepositoryPlanner::new(reader.clone(), self.policy.clone(), config::modes(&self.file))
            .remembering(store.clone())
            .waiving(config::waiver_rules(&self.file))
            .only_looking();
        let writer = RepositoryWriter::new(Writer::new(self.api.clone()), reader);
        let writer = UndoWriter::new(writer, store.clone(), clock.clone(), by.to_owned());
        let never = config::waiver_rules(&self.file).never;
        let planner = UndoPlanner::new(&planner, wanted, generation).keeping(never).only(keys.to_vec());
        (planner, writer)
    }

    /// Returns the reconciler for the organisation's repositories and the reconciler for its
    /// sweeps. If `in_force` is set, the runs of repositories use only the accepted generation.
    pub(in crate::app) fn reconcilers(
        &self,
        store: &Arc<dyn Store>,
        clock: &Clock,
        in_force: Option<Arc<dyn InForce>>,
    ) -> [Arc<dyn Reconcile>; 2] {
        // A command always reads everything. Only the service runs many sweeps, so only the service
        // can spread its reads over several sweeps.
        let (file, period) = (self.file.clone(), self.file.reread());
        let next_sweep = move |now: Time| file.schedule().next(now).unwrap_or(now);
        let writer = FencedWriter { inner: self.writer(), in_force: in_force.clone(), clock: clock.clone() };
        let repositories = Reconciler {
            planner: self.planner(Some(store)).rereading(Reread::new(period, next_sweep)),
            writer,
            store: store.clone(),
            clock: clock.clone(),
            limits: self.limits.clone(),
            pace: self.pace.clone(),
        };
        let repositories = WithCreations {
            inner: repositories,
            reader: self.reader.clone(),
            store: store.clone(),
            clock: clock.clone(),
        };
        let repositories = FencedReconciler { inner: repositories, in_force, clock: clock.clone() };
        let sweep = Sweep {
            reader: self.reader.clone(),
            store: store.clone(),
            clock: clock.clone(),
            policy: self.policy.clone(),
        };
        [Arc::new(repositories), Arc::new(sweep)]
    }

    /// Returns the reconciler of the organisation's dispatches.
    pub(crate) fn dispatches(&self, store: &Arc<dyn Store>, clock: &Clock) -> Arc<dyn Reconcile> {
        Arc::new(Dispatch {
            reader: self.reader.clone(),
            writer: Writer::new(self.api.clone()),
            store: store.clone(),
            clock: clock.clone(),
            rules: config::rules(&self.file),
            names: Names::new(Some(store.clone()), &self.file.name, clock),
        })
    }
}

/// Reads the policy of an organisation from a folder. A relative path starts at the folder of the
/// configuration file.
pub(crate) async fn read_folder(
    config: &Config,
    file: &OrgConfig,
    folder: &Path,
    reader: &mut FileReader,
) -> anyhow::Result<Policy> {
    let folder = config.base.join(folder);
    let home = file.policy_home().to_owned();
    let policy = reader.read(move |at| Policy::load_noting(&folder, &home, at)).await??;
    let policy = mode_check::accept(policy, file.refusals())?;
    config.mappings_of_policy(file, &policy)?;
    Ok(policy)
}
