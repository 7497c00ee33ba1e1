//! Reads the policy of an organisation from a repository. The store keeps the files, so Beadle
//! reads only changed files. If GitHub is unavailable at the start, Beadle uses the last accepted
//! policy.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use beadle_engine::{Class, Failure, Store, Time};
use beadle_github::Commit;
use beadle_repositories::policy::BASE;
use beadle_repositories::{Policy, PolicyError};

use crate::app::policy::mode_check;
use crate::app::policy::repository::PolicyPart;
use crate::app::policy::store::{KeptPolicy, PolicyCommit, all, in_force, keep, name, texts};
use crate::config::{Config, OrgConfig, Refusals};

/// If the policy of a commit is invalid, Beadle reads the policy again after this time. The cause
/// might be outside of the repository. For example, a permission might be missing.
const AGAIN: Duration = Duration::from_secs(600);

/// The result of the last look at the repository of a policy.
#[derive(Default)]
pub(crate) struct LastLook {
    commit: String,
    /// The generation of the policy at the commit.
    generation: String,
    /// The policy of the commit, if the policy is not in force.
    found: Option<Policy>,
    /// The time of the look, and the reason why the policy of the commit is not accepted.
    refused: Option<(Time, String)>,
}

impl LastLook {
    /// Returns whether no look has succeeded yet.
    pub(crate) fn is_none(&self) -> bool {
        self.commit.is_empty()
    }

    /// Returns the commit of the organisation's own part, and the reason why the policy is not
    /// accepted. Returns `None` if the policy is accepted.
    pub(super) fn refused(&self) -> Option<(&str, &str)> {
        let (_, why) = self.refused.as_ref()?;
        Some((self.commit.split('+').next()?, why))
    }
}

/// The policy of one organisation, if the policy is in a repository.
pub(crate) struct RepositoryPolicy {
    pub(crate) own: PolicyPart,
    /// The base of the policy, if the configuration has one.
    pub(crate) base: Option<PolicyPart>,
    /// The configured name of the organisation.
    pub(crate) organisation: String,
    /// The repository that contains the policy. The policy does not apply to this repository.
    pub(crate) home: String,
    /// The parts that Beadle must refuse in the policy.
    pub(crate) refusals: Refusals,
    /// The configuration with the directories and targets of the policy's mappings.
    pub(crate) config: Arc<Config>,
    pub(crate) store: Option<Arc<dyn Store>>,
}

/// The present commits of the configured references.
struct Heads {
    own: Commit,
    base: Option<Commit>,
}

impl Heads {
    /// Returns a name for these commits. The same commits always get the same name.
    fn name(&self) -> String {
        name(&self.own.id, self.base.as_ref().map(|base| base.id.as_str()))
    }
}

impl RepositoryPolicy {
    /// Reads the policy at the present commit of the configured reference.
    pub(crate) async fn newest(&self) -> anyhow::Result<Policy> {
        let heads = self.heads().await?;
        self.at(heads).await
    }

    /// Reads the policy if the commit of the configured reference has changed since the last look.
    /// Returns `None` if the policy is already in force. `current` is the generation in force.
    pub(crate) async fn look(
        &self,
        last: &mut LastLook,
        current: &str,
        now: Time,
    ) -> anyhow::Result<Option<Policy>> {
        let heads = self.heads().await?;
        let commit = heads.name();
        if commit == last.commit {
            match &last.refused {
                None if last.generation == current => {
                    last.found = None;
                    return Ok(None);
                }
                None if last.found.is_some() => return Ok(last.found.clone()),
                Some((at, why)) if now.since(*at) < AGAIN => {
                    return Err(Failure::new(Class::Rejected, why).into());
                }
                None | Some(_) => {}
            }
        }
        match self.at(heads).await {
            Ok(policy) => {
                let generation = policy.generation.clone();
                let found = Some(policy).filter(|_| generation != current);
                *last = LastLook { commit, generation, found: found.clone(), refused: None };
                Ok(found)
            }
            Err(error) => {
                if is_refused(&error) {
                    let refused = Some((now, format!("{error:#}")));
                    *last = LastLook { commit, refused, ..LastLook::default() };
                }
                Err(error)
            }
        }
    }

    /// Returns the reason why the policy can change without a review. Returns `None` if every
    /// change needs a review.
    pub(crate) async fn unreviewed(&self) -> Result<Option<String>, Failure> {
        match (self.own.unreviewed().await?, &self.base) {
            (None, Some(base)) => base.unreviewed().await,
            (own, _) => Ok(own),
        }
    }

    async fn heads(&self) -> Result<Heads, Failure> {
        let own = self.own.head().await?;
        let base = match &self.base {
            Some(base) => Some(base.head().await?),
            None => None,
        };
        Ok(Heads { own, base })
    }

    /// Reads the policy at these commits. If the policy in force has the same files, the result
    /// contains the commits of the policy in force.
    async fn at(&self, heads: Heads) -> anyhow::Result<Policy> {
        let mut read = KeptPolicy { own: self.own.at(heads.own).await?, base: None };
        if let (Some(base), Some(head)) = (&self.base, heads.base) {
            read.base = Some(base.at(head).await?);
        }
        let mut known = BTreeMap::new();
        if let Some(store) = &self.store {
            if let Some(current) = in_force(store.as_ref(), &self.organisation).await? {
                read = read.with_commits_of(current);
            }
            known = texts(store.as_ref(), &self.organisation).await?;
        }
        let mut new = self.own.missing(&read.own, &known).await?;
        if let (Some(base), Some(of)) = (&self.base, &read.base) {
            new.append(&mut base.missing(of, &known).await?);
        }
        if let Some(store) = &self.store {
            keep(store.as_ref(), &self.organisation, &read, &new).await?;
        }
        known.append(&mut new);
        self.policy(&read, &known).await
    }

    /// Returns the last policy that was in force. Reads only the store. Returns `None` if the store
    /// does not contain the policy, or if the configuration now has different repositories.
    pub(crate) async fn last_accepted(&self) -> anyhow::Result<Option<Policy>> {
        let Some(store) = &self.store else { return Ok(None) };
        let known = in_force(store.as_ref(), &self.organisation).await?;
        self.stored(store.as_ref(), known).await
    }

    /// Returns the policy of a generation. Reads only the store. Returns `None` if the store does
    /// not contain the policy, or if the configuration now has different repositories.
    pub(crate) async fn kept(&self, generation: &str) -> anyhow::Result<Option<Policy>> {
        let Some(store) = &self.store else { return Ok(None) };
        let all = all(store.as_ref(), &self.organisation).await?;
        let known = all.into_iter().find(|kept| kept.generation() == generation);
        self.stored(store.as_ref(), known).await
    }

    /// Creates a stored policy from its stored texts, if the policy comes from the configured
    /// folders and repositories.
    async fn stored(&self, store: &dyn Store, known: Option<KeptPolicy>) -> anyhow::Result<Option<Policy>> {
        let is_its = |known: &KeptPolicy| match (&self.base, &known.base) {
            (None, None) => self.own.has(&known.own),
            (Some(part), Some(base)) => self.own.has(&known.own) && part.has(base),
            _ => false,
        };
        let Some(known) = known.filter(is_its) else { return Ok(None) };
        let texts = texts(store, &self.organisation).await?;
        if known.blobs().any(|blob| !texts.contains_key(blob)) {
            return Ok(None);
        }
        self.policy(&known, &texts).await.map(Some)
    }

    async fn policy(&self, of: &KeptPolicy, texts: &BTreeMap<String, String>) -> anyhow::Result<Policy> {
        let policy = made(of, texts, &self.home, self.refusals).await?;
        for file in self.config.orgs(Some(self.organisation.as_str()))? {
            self.config.mappings_of_policy(file, &policy)?;
        }
        Ok(policy)
    }
}

/// Returns the policy of a generation, even if the configuration now has a different repository or
/// folder. Reads only the store. The caller compares a new policy with the result. Returns `None`
/// if the store does not contain the policy.
pub(crate) async fn kept_from_anywhere(
    store: &dyn Store,
    file: &OrgConfig,
    generation: &str,
) -> anyhow::Result<Option<Policy>> {
    let all = all(store, &file.name).await?;
    let Some(known) = all.into_iter().find(|kept| kept.generation() == generation) else { return Ok(None) };
    let texts = texts(store, &file.name).await?;
    if known.blobs().any(|blob| !texts.contains_key(blob)) {
        return Ok(None);
    }
    // The policy does not apply to the repository that contains it.
    let own = known.own.repository.strip_prefix(file.name.as_str()).and_then(|rest| rest.strip_prefix('/'));
    let home = own.unwrap_or(&file.policy_repository);
    made(&known, &texts, home, file.refusals()).await.map(Some)
}

/// Creates the policy of these commits from the texts of its files.
async fn made(
    of: &KeptPolicy,
    texts: &BTreeMap<String, String>,
    home: &str,
    refusals: Refusals,
) -> anyhow::Result<Policy> {
    let mut files = BTreeMap::new();
    let mut add = |prefix: &str, commit: &PolicyCommit| {
        for (file, blob) in &commit.files {
            files.extend(texts.get(blob).map(|text| (format!("{prefix}{file}"), text.clone())));
        }
        commit.origin()
    };
    let origin = add("", &of.own);
    let base = of.base.as_ref().map(|base| add(BASE, base));
    let home = home.to_owned();
    // The check of thousands of files takes a long time.
    let made = tokio::task::spawn_blocking(move || Policy::on_base(files, &home, origin, base));
    Ok(mode_check::accept(made.await??, refusals)?)
}

/// Returns whether the cause of the error is in the files of the commit. Only another commit or a
/// person can remove this cause.
pub(crate) fn is_refused(error: &anyhow::Error) -> bool {
    let failure = error.downcast_ref::<Failure>();
    error.downcast_ref::<PolicyError>().is_some()
        || failure.is_some_and(|failure| failure.class == Class::Rejected)
}
