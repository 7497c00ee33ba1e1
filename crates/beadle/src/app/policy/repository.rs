//! Reads the commits and the files of a repository that contains a policy.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use beadle_engine::{Class, Failure};
use beadle_github::{Commit, NameKind, Names, Reader};
use beadle_repositories::policy::is_policy_file;

use crate::app::policy::store::PolicyCommit;
use crate::config::RepositorySource;

/// A repository that contains a policy, or the base of a policy.
pub(crate) struct PolicyPart {
    /// The reader of the organisation that owns the repository.
    pub(crate) reader: Reader,
    /// The key in the `[[org]]` table that configures the repository: `policy` or `base`.
    pub(crate) table: &'static str,
    pub(crate) source: RepositorySource,
    /// The configured name of the organisation that uses the policy.
    pub(crate) organisation: String,
    /// The stored id of the repository.
    pub(crate) names: Names,
}

impl PolicyPart {
    /// Returns the repository as `owner/name`.
    pub(crate) fn repository(&self) -> String {
        format!("{}/{}", self.source.owner(&self.organisation), self.source.repository)
    }

    fn shown(&self) -> String {
        self.source.shown(&self.organisation)
    }

    /// Returns whether a commit belongs to the configured folder of the configured repository.
    pub(crate) fn has(&self, commit: &PolicyCommit) -> bool {
        commit.repository == self.repository() && commit.path == self.source.path
    }

    /// Returns the reason why the policy can change without a review. Returns `None` if every
    /// change needs a review.
    pub(crate) async fn unreviewed(&self) -> Result<Option<String>, Failure> {
        // A configured commit needs no review, because a commit never changes.
        let Some(branch) = branch(&self.source.reference) else { return Ok(None) };
        let is_reviewed = self.reader.needs_review(&self.source.repository, branch).await?;
        let why = || {
            format!(
                "`{branch}` of {} accepts changes of the policy without a review; require one in a ruleset or a branch protection",
                self.repository()
            )
        };
        Ok((!is_reviewed).then(why))
    }

    /// Returns the present commit of the configured reference. If the commit has not changed, the
    /// read does not use the budget. Each person who can push can also create a tag. So if the
    /// branch needs a review, the function does not accept a tag with the same name as the branch.
    pub(crate) async fn head(&self) -> Result<Commit, Failure> {
        let RepositorySource { repository, reference, require_review, .. } = &self.source;
        let branch = branch(reference).filter(|_| *require_review).map(|branch| format!("heads/{branch}"));
        let read = self.reader.commit(repository, branch.as_ref().unwrap_or(reference)).await;
        read.map_err(|failure| failure.during(format_args!("reading the policy {}", self.shown())))
    }

    /// Returns the files at a commit, each with the id of its content.
    pub(crate) async fn at(&self, head: Commit) -> anyhow::Result<PolicyCommit> {
        let place = self.place(&head.id);
        if self.source.require_review
            && let Some(why) = self.unreviewed().await.with_context(|| place.clone())?
        {
            let Self { table, organisation, .. } = self;
            let hint =
                format!("`require_review` is set in `{table}` of the [[org]] with the name `{organisation}`");
            return Err(Failure::new(Class::Rejected, format!("{why}\nhint: {hint}"))).context(place);
        }
        self.same_repository().await.context(place.clone())?;
        let files = self.files(&head.id).await.context(place)?;
        Ok(PolicyCommit {
            repository: self.repository(),
            path: self.source.path.clone(),
            commit: head.id,
            author: head.author,
            logins: head.logins,
            subject: head.subject,
            files,
        })
    }

    /// Checks that the repository is still the one from which Beadle accepted the policy before. A new
    /// owner of the repository's name, or of the repository, must not be able to write the policy. A
    /// renamed repository keeps its id, so its policy stays in force. The next look at the policy checks
    /// the repository again, because an operator might have confirmed it in the meantime.
    async fn same_repository(&self) -> Result<(), Failure> {
        let RepositorySource { repository, .. } = &self.source;
        let found = self.reader.repositories_called(std::slice::from_ref(repository)).await?;
        let Some(found) = found.into_iter().next().flatten() else {
            let owner = self.source.owner(&self.organisation);
            let text = format!(
                "the repository {} is not in {owner} any more\nhint: set `{}` of the [[org]] {} to its new place",
                self.repository(),
                self.table,
                self.organisation
            );
            return Err(Failure::new(Class::Retry, text));
        };
        let name = self.repository();
        if let Some(why) = self.names.another_owner(NameKind::Repository, &name, found.id, None).await? {
            return Err(Failure::new(Class::Retry, why));
        }
        if !found.name.eq_ignore_ascii_case(repository) {
            let Self { table, organisation, .. } = self;
            tracing::warn!(
                organisation,
                repository = name,
                now = found.name,
                "the policy's repository was renamed, change `{table}` in the configuration"
            );
        }
        Ok(())
    }

    /// Reads the texts of a commit, except the texts in `known`. Returns the texts, keyed by the
    /// ids of their contents.
    pub(crate) async fn missing(
        &self,
        of: &PolicyCommit,
        known: &BTreeMap<String, String>,
    ) -> anyhow::Result<BTreeMap<String, String>> {
        let missing: BTreeSet<&String> =
            of.files.values().filter(|blob| !known.contains_key(*blob)).collect();
        let missing: Vec<String> = missing.into_iter().cloned().collect();
        if missing.is_empty() {
            return Ok(BTreeMap::new());
        }
        let read = self.reader.blobs(&self.source.repository, &missing).await;
        let new = read.with_context(|| self.place(&of.commit))?;
        let is_known = |blob: &String| known.contains_key(blob) || new.contains_key(blob);
        match of.files.iter().find(|(_, blob)| !is_known(blob)) {
            Some((file, _)) => {
                let failure = Failure::new(Class::Rejected, format!("{file}: must be a text in UTF-8"));
                Err(failure).with_context(|| self.place(&of.commit))
            }
            None => Ok(new),
        }
    }

    /// Returns the repository, the folder and the commit as a text for error messages.
    fn place(&self, commit: &str) -> String {
        let short: String = commit.chars().take(12).collect();
        format!("the policy {} (commit {short})", self.shown())
    }

    async fn files(&self, commit: &str) -> anyhow::Result<BTreeMap<String, String>> {
        let RepositorySource { repository, path, .. } = &self.source;
        let all = self.reader.files_at(repository, commit, path).await?;
        let mut files = BTreeMap::new();
        for file in &all {
            if is_policy_file(&file.path)? {
                files.insert(file.path.clone(), file.blob.clone());
            }
        }
        let is_inner = |path: &str| is_policy_file(path.strip_prefix(".github/").unwrap_or_default());
        if files.is_empty() && all.iter().any(|file| is_inner(&file.path).unwrap_or(false)) {
            let text = "the folder .github has files of a policy\nhint: set `path = \".github\"`";
            return Err(Failure::new(Class::Rejected, text).into());
        }
        Ok(files)
    }
}

/// Returns the branch of a reference. Returns `None` if the reference is the id of a commit.
fn branch(reference: &str) -> Option<&str> {
    let is_commit = reference.len() >= 40 && reference.bytes().all(|byte| byte.is_ascii_hexdigit());
    let branch = reference.strip_prefix("refs/").unwrap_or(reference);
    (!is_commit).then(|| branch.strip_prefix("heads/").unwrap_or(branch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_means_a_branch_unless_it_is_the_id_of_a_commit() {
        let id = "0123456789abcdef".repeat(3);
        let named = ["main", "heads/main", "refs/heads/main", "feature/x", "cafe", id.as_str()];
        let branches = [Some("main"), Some("main"), Some("main"), Some("feature/x"), Some("cafe"), None];
        assert_eq!(named.map(branch), branches);
    }
}
