//! Reads the policy of an organisation from a repository. The store keeps the files, so that only
//! changed files are read, and so that a start without GitHub uses the last accepted policy.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use beadle_engine::{Class, Failure, Store, StoreError, Time};
use beadle_github::{Commit, Reader};
use beadle_repositories::policy::{PolicyOrigin, is_policy_file};
use beadle_repositories::{Policy, PolicyError};

use crate::app::policy_store::{PolicyCommit, in_force, keep, texts};
use crate::config::RepositorySource;

/// The time after which Beadle reads an invalid policy again, although its commit is the same. The
/// cause may be outside of the repository, such as a missing permission.
const AGAIN: Duration = Duration::from_secs(600);

/// What the last look at the repository of a policy found.
#[derive(Default)]
pub(crate) struct LastLook {
    commit: String,
    /// The policy of the commit, if it is not in force.
    found: Option<Policy>,
    /// The time of the look, and the reason why the policy of the commit is not accepted.
    refused: Option<(Time, String)>,
}

impl LastLook {
    /// Returns whether no look has succeeded yet.
    pub(crate) fn is_none(&self) -> bool {
        self.commit.is_empty()
    }
}

/// The policy of one organisation, in a repository.
pub(crate) struct RepositoryPolicy {
    /// The reader of the organisation that has the repository.
    pub(crate) reader: Reader,
    pub(crate) source: RepositorySource,
    /// The organisation of the policy, by its name in the configuration.
    pub(crate) organisation: String,
    /// The repository that Beadle leaves alone.
    pub(crate) home: String,
    pub(crate) store: Option<Arc<dyn Store>>,
}

impl RepositoryPolicy {
    /// Reads the policy at the commit to which the configured reference leads now.
    pub(crate) async fn newest(&self) -> anyhow::Result<Policy> {
        let head = self.head().await?;
        self.at(head).await
    }

    /// Reads the policy, if the configured reference leads to another commit than at the last look.
    /// Returns `None` if the policy is the one in force, whose generation is `current`.
    pub(crate) async fn look(
        &self,
        last: &mut LastLook,
        current: &str,
        now: Time,
    ) -> anyhow::Result<Option<Policy>> {
        let head = self.head().await?;
        let commit = head.id.clone();
        if commit == last.commit {
            match &last.refused {
                None => {
                    let is_newer = last.found.as_ref().is_some_and(|found| found.generation != current);
                    if !is_newer {
                        last.found = None;
                    }
                    return Ok(last.found.clone());
                }
                Some((at, why)) if now.since(*at) < AGAIN => {
                    return Err(Failure::new(Class::Rejected, why).into());
                }
                Some(_) => {}
            }
        }
        match self.at(head).await {
            Ok(policy) => {
                let found = Some(policy).filter(|policy| policy.generation != current);
                *last = LastLook { commit, found: found.clone(), refused: None };
                Ok(found)
            }
            Err(error) => {
                if is_refused(&error) {
                    *last = LastLook { commit, found: None, refused: Some((now, format!("{error:#}"))) };
                }
                Err(error)
            }
        }
    }

    /// Returns the reason why the policy can change without a review. Returns `None` if every change
    /// needs a review.
    pub(crate) async fn unreviewed(&self) -> Result<Option<String>, Failure> {
        let RepositorySource { repository, reference, .. } = &self.source;
        // A commit never changes.
        if reference.len() >= 40 && reference.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(None);
        }
        let branch = reference.strip_prefix("refs/").unwrap_or(reference);
        let branch = branch.strip_prefix("heads/").unwrap_or(branch);
        let is_reviewed = self.reader.needs_review(repository, branch).await?;
        let why = || {
            format!(
                "`{branch}` of {} accepts changes of the policy without a review; require one in a ruleset or a branch protection",
                self.repository()
            )
        };
        Ok((!is_reviewed).then(why))
    }

    /// Returns the commit to which the configured reference leads now. If the commit has not changed,
    /// the read costs nothing from the budget.
    async fn head(&self) -> Result<Commit, Failure> {
        let RepositorySource { repository, reference, .. } = &self.source;
        let read = self.reader.commit(repository, reference).await;
        read.map_err(|failure| failure.during(format_args!("reading the policy {}", self.shown())))
    }

    /// Reads the policy at a commit. If the policy that is in force has the same files, the result
    /// has the commit of that policy.
    async fn at(&self, head: Commit) -> anyhow::Result<Policy> {
        let short: String = head.id.chars().take(12).collect();
        let place = || format!("the policy {} (commit {short})", self.shown());
        if self.source.require_review
            && let Some(why) = self.unreviewed().await.with_context(place)?
        {
            return Err(Failure::new(Class::Rejected, why)).with_context(place);
        }
        let files = self.files(&head).await.with_context(place)?;
        let mut read = PolicyCommit {
            repository: self.repository(),
            path: self.source.path.clone(),
            commit: head.id.clone(),
            author: head.author.clone(),
            subject: head.subject.clone(),
            files,
        };
        let mut known = BTreeMap::new();
        if let Some(store) = &self.store {
            if let Some(current) = self.in_force(store.as_ref()).await?
                && current.files == read.files
            {
                read = current;
            }
            known = texts(store.as_ref(), &self.organisation).await?;
        }
        let mut new = self.missing(&read.files, &known).await.with_context(place)?;
        if let Some(store) = &self.store {
            keep(store.as_ref(), &self.organisation, &read, &new).await?;
        }
        known.append(&mut new);
        self.policy(&read, &known).await.with_context(place)
    }

    /// Returns the policy that was put in force last, from the store alone. Returns `None` if the
    /// store does not have it.
    pub(crate) async fn last_accepted(&self) -> anyhow::Result<Option<Policy>> {
        let Some(store) = &self.store else { return Ok(None) };
        let Some(known) = self.in_force(store.as_ref()).await? else { return Ok(None) };
        let texts = texts(store.as_ref(), &self.organisation).await?;
        if known.files.values().any(|blob| !texts.contains_key(blob)) {
            return Ok(None);
        }
        self.policy(&known, &texts).await.map(Some)
    }

    fn repository(&self) -> String {
        format!("{}/{}", self.source.owner(&self.organisation), self.source.repository)
    }

    fn shown(&self) -> String {
        self.source.shown(&self.organisation)
    }

    /// Returns the files of the policy at a commit, with the ids of their contents.
    async fn files(&self, commit: &Commit) -> anyhow::Result<BTreeMap<String, String>> {
        let RepositorySource { repository, path, .. } = &self.source;
        let all = self.reader.files_at(repository, &commit.id, path).await?;
        let mut files = BTreeMap::new();
        for file in &all {
            if is_policy_file(&file.path)? {
                files.insert(file.path.clone(), file.blob.clone());
            }
        }
        let is_inner = |path: &str| is_policy_file(path.strip_prefix(".github/").unwrap_or_default());
        if files.is_empty() && all.iter().any(|file| is_inner(&file.path).unwrap_or(false)) {
            let text = "the folder .github has files of a policy\nhint: set `path = \".github\"` in `policy`";
            return Err(Failure::new(Class::Rejected, text).into());
        }
        Ok(files)
    }

    /// Returns the commit of the policy that was put in force last, if it comes from the configured
    /// folder of the configured repository.
    async fn in_force(&self, store: &dyn Store) -> Result<Option<PolicyCommit>, StoreError> {
        let known = in_force(store, &self.organisation).await?;
        let is_its =
            |known: &PolicyCommit| known.repository == self.repository() && known.path == self.source.path;
        Ok(known.filter(is_its))
    }

    /// Reads the texts that `known` does not have yet, by the ids of their contents.
    async fn missing(
        &self,
        files: &BTreeMap<String, String>,
        known: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, Failure> {
        let missing: BTreeSet<&String> = files.values().filter(|blob| !known.contains_key(*blob)).collect();
        let missing: Vec<String> = missing.into_iter().cloned().collect();
        if missing.is_empty() {
            return Ok(BTreeMap::new());
        }
        let new = self.reader.blobs(&self.source.repository, &missing).await?;
        let is_known = |blob: &String| known.contains_key(blob) || new.contains_key(blob);
        match files.iter().find(|(_, blob)| !is_known(blob)) {
            Some((file, _)) => Err(Failure::new(Class::Rejected, format!("{file}: must be a text in UTF-8"))),
            None => Ok(new),
        }
    }

    /// Makes the policy of a commit from the texts of its files.
    async fn policy(&self, of: &PolicyCommit, texts: &BTreeMap<String, String>) -> anyhow::Result<Policy> {
        let text = |(file, blob): (&String, &String)| Some((file.clone(), texts.get(blob)?.clone()));
        let files: BTreeMap<String, String> = of.files.iter().filter_map(text).collect();
        let commit = Commit { id: of.commit.clone(), author: of.author.clone(), subject: of.subject.clone() };
        let origin = PolicyOrigin { repository: of.repository.clone(), path: of.path.clone(), commit };
        let home = self.home.clone();
        // To check thousands of files takes long.
        let made = tokio::task::spawn_blocking(move || Policy::from_files(files, &home, origin));
        Ok(made.await??)
    }
}

/// Returns whether the error is about the files of the commit, so that only another commit or a
/// person can remove it.
fn is_refused(error: &anyhow::Error) -> bool {
    let failure = error.downcast_ref::<Failure>();
    error.downcast_ref::<PolicyError>().is_some()
        || failure.is_some_and(|failure| failure.class == Class::Rejected)
}
