//! The application. It contains the configuration of a process, and also the store, the clients and
//! the targets of this process.

use std::sync::Arc;

use anyhow::Context as _;
use beadle_engine::{Clock, Store, WritePace};
use beadle_github::{Api, Asks, IssueWriter, Names, Reader};
use beadle_repositories::Policy;

use crate::app::connections::budget_and_cache_options::ClientOptions;
use crate::app::connections::budget_share::SpawnedShare;
use crate::app::connections::github::GithubClients;
use crate::app::file_timeout::FileReader;
use crate::app::groups::directories_and_targets::Directories;
use crate::app::organisations::open_organisation::{GithubOrganisation, read_folder};
use crate::app::policy::repository::PolicyPart;
use crate::app::policy::repository_policy::RepositoryPolicy;
use crate::config::{Config, OrgConfig, PolicySource, RepositorySource};

/// The parts that every process needs. A process is a command, `beadle serve`, or the worker
/// function on AWS.
pub(crate) struct App {
    pub(crate) config: Arc<Config>,
    pub(crate) clock: Clock,
    options: ClientOptions,
    clients: GithubClients,
}

impl App {
    /// Creates an application. The application passes `options` to each of its clients. The
    /// function itself opens nothing.
    pub(crate) fn new(config: &Arc<Config>, options: ClientOptions) -> Self {
        Self { config: config.clone(), clock: Clock::system(), options, clients: GithubClients::default() }
    }

    /// Returns the store in which the clients keep answers. Returns `None` if there is no such
    /// store.
    pub(crate) fn store(&self) -> Option<&Arc<dyn Store>> {
        self.options.store.as_ref()
    }

    /// Reads the policy and the secrets of an organisation, and opens the organisation. Sends
    /// requests only if the policy is in a repository. If a process opens an organisation twice,
    /// both results share a client. But the results do not share the answers that they have read.
    pub(crate) async fn organisation(&self, file: &Arc<OrgConfig>) -> anyhow::Result<GithubOrganisation> {
        let policy = self.read_policy(file, &mut FileReader::default()).await?;
        self.organisation_with(policy, file)
    }

    /// Reads the policy of an organisation from the policy's folder or repository.
    pub(crate) async fn read_policy(
        &self,
        file: &OrgConfig,
        reader: &mut FileReader,
    ) -> anyhow::Result<Policy> {
        match &file.policy {
            PolicySource::Folder(folder) => read_folder(&self.config, file, folder, reader).await,
            PolicySource::Repository(source) => self.repository_policy(file, source)?.newest().await,
        }
    }

    /// Returns the policy of an organisation if the policy is in a repository. Sends no request.
    pub(crate) fn repository_policy(
        &self,
        file: &OrgConfig,
        source: &RepositorySource,
    ) -> anyhow::Result<RepositoryPolicy> {
        Ok(RepositoryPolicy {
            own: self.policy_part(file, ("policy", source))?,
            base: file.base.as_ref().map(|base| self.policy_part(file, ("base", base))).transpose()?,
            organisation: file.name.clone(),
            home: file.policy_home().to_owned(),
            refusals: file.refusals(),
            config: self.config.clone(),
            store: self.options.store.clone(),
        })
    }

    /// Returns one reader for the repository that contains an organisation's policy, and one reader
    /// for the repository that contains the policy's base. Returns no reader if the policy is in a
    /// folder. Sends no request.
    pub(crate) fn policy_readers(&self, file: &OrgConfig) -> anyhow::Result<Vec<Reader>> {
        let Some(source) = file.policy.repository() else { return Ok(Vec::new()) };
        let RepositoryPolicy { own, base, .. } = self.repository_policy(file, source)?;
        Ok(std::iter::once(own).chain(base).map(|part| part.reader).collect())
    }

    fn policy_part(
        &self,
        file: &OrgConfig,
        (table, source): (&'static str, &RepositorySource),
    ) -> anyhow::Result<PolicyPart> {
        let owner = self.config.orgs(Some(source.owner(&file.name)))?[0];
        let (api, _) = self.client_of(owner)?;
        Ok(PolicyPart {
            reader: Reader::new(api, Asks::default()),
            table,
            source: source.clone(),
            organisation: file.name.clone(),
            names: Names::new(self.options.store.clone(), &file.name, &self.clock),
        })
    }

    /// Opens an organisation with a policy that the caller has already read.
    pub(crate) fn organisation_with(
        &self,
        policy: Policy,
        file: &Arc<OrgConfig>,
    ) -> anyhow::Result<GithubOrganisation> {
        GithubOrganisation::new(&self.config, file, policy, self.client_of(file)?)
    }

    /// Returns the client of an organisation, and the pace of the organisation's bulk writes. Opens
    /// the client if it is not open yet. Sends no request.
    pub(super) fn client_of(&self, file: &OrgConfig) -> anyhow::Result<(Api, WritePace)> {
        self.clients.get_or_open(&self.config, file, &self.clock, &self.options)
    }

    /// Opens a reader of an organisation. Needs no policy, and sends no request.
    pub(crate) fn reader(&self, file: &OrgConfig) -> anyhow::Result<Reader> {
        let (api, _) = self.clients.get_or_open(&self.config, file, &self.clock, &self.options)?;
        Ok(Reader::new(api, Asks::default()))
    }

    /// Returns the reader of an organisation, and the writer for issues in one repository of this
    /// organisation. Sends no request.
    pub(crate) fn issues(&self, file: &OrgConfig, repository: &str) -> anyhow::Result<(Reader, IssueWriter)> {
        let (api, _) = self.client_of(file)?;
        Ok((Reader::new(api.clone(), Asks::default()), IssueWriter::new(api, repository)))
    }

    /// Opens every directory and target. Sends no request.
    pub(crate) fn directories(&self) -> anyhow::Result<Directories> {
        Directories::open(&self.config, &self.clock, &self.options, &self.clients)
    }

    /// Opens every directory and target. Also reads the mappings in the policies of all
    /// organisations. Sends requests only if one of these policies is in a repository.
    pub(crate) async fn directories_with_policies(&self) -> anyhow::Result<Directories> {
        let directories = self.directories()?;
        self.read_mappings(&directories, None).await?;
        Ok(directories)
    }

    /// Opens the available directories and targets. Also reads the mappings in the policies of all
    /// organisations except `without`. Also returns one error for each unavailable directory or
    /// target.
    pub(crate) async fn available_directories_without(
        &self,
        organisation: &str,
    ) -> anyhow::Result<(Directories, Vec<anyhow::Error>)> {
        let (directories, failures) = self.available_directories();
        self.read_mappings(&directories, Some(organisation)).await?;
        Ok((directories, failures))
    }

    /// Reads the mappings in the policies of all organisations except `without`.
    async fn read_mappings(&self, directories: &Directories, without: Option<&str>) -> anyhow::Result<()> {
        // Without a target, a policy cannot have mappings.
        if directories.targets.is_empty() {
            return Ok(());
        }
        for file in self.config.file.org.iter().filter(|file| without != Some(file.name.as_str())) {
            let of = || format!("reading the mappings of {}", file.name);
            let policy = self.read_policy(file, &mut FileReader::default()).await.with_context(of)?;
            let mappings = self.config.mappings_of_policy(file, &policy).with_context(of)?;
            directories.in_force.replace_policy(&file.name, &policy.generation, mappings);
        }
        Ok(())
    }

    /// Opens the available directories and targets. Also returns one error for each unavailable
    /// directory or target.
    pub(crate) fn available_directories(&self) -> (Directories, Vec<anyhow::Error>) {
        Directories::open_available(&self.config, &self.clock, &self.options, &self.clients)
    }

    /// Shares the budget of an organisation with other processes until the command ends. Returns
    /// `None` if the application has no store, because processes share a budget through the store.
    pub(crate) async fn share_budget(&self, org: &GithubOrganisation) -> Option<SpawnedShare> {
        let client = (&org.api, &org.pace);
        Some(SpawnedShare::begin(&org.file, client, self.store()?).await)
    }

    /// Shares the budgets of the organisations that have teams as targets.
    pub(crate) async fn share_team_budgets(&self) -> Vec<SpawnedShare> {
        let mut shares = Vec::new();
        let Some(store) = self.store() else { return shares };
        for file in &self.config.file.org {
            let client = self.clients.get(&file.name);
            if let Some((api, pace)) = client.filter(|_| self.config.teams_of(&file.name).next().is_some()) {
                shares.push(SpawnedShare::begin(file, (&api, &pace), store).await);
            }
        }
        shares
    }
}
