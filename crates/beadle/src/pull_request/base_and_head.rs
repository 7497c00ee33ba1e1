//! Reads the policies of both sides of a pull request. Nobody has approved the files of the head
//! yet. So Beadle parses these files only as data, and never runs them as code.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Error, ErrorKind};
use std::sync::{Arc, LazyLock};

use beadle_engine::{Class, Failure};
use beadle_github::{Commit, Reader};
use beadle_repositories::policy::{PolicyOrigin, Tested, is_policy_file, is_test_file};
use beadle_repositories::{Policy, PolicyError};

use super::concurrency_limit::ParseTurns;
use crate::app::policy::mode_check;
use crate::config::{Config, OrgConfig, RepositorySource};

/// The files of one part of a policy at one commit.
#[derive(Clone, Debug)]
pub(super) struct Side {
    pub(super) commit: Commit,
    /// The content id of each file, by the file's path relative to the policy's folder.
    pub(super) blobs: BTreeMap<String, String>,
}

/// Lists the files of the policy at a branch or a commit. The inner error is the reason why the
/// files cannot be a policy, such as a symbolic link.
pub(super) async fn side(
    reader: &Reader,
    source: &RepositorySource,
    reference: &str,
) -> Result<Result<Side, String>, Failure> {
    let commit = reader.commit(&source.repository, reference).await?;
    match reader.files_at(&source.repository, &commit.id, &source.path).await {
        Ok(files) => {
            let files = files.into_iter().filter(|file| matters(&file.path));
            Ok(Ok(Side { commit, blobs: files.map(|file| (file.path, file.blob)).collect() }))
        }
        Err(failure) if failure.class == Class::Rejected => Ok(Err(failure.text)),
        Err(failure) => Err(failure),
    }
}

/// Returns whether the check needs a file. The check needs the files of the policy and the files
/// with the policy's tests. The check also needs files with invalid names, because it must report
/// these names.
fn matters(path: &str) -> bool {
    !matches!((is_policy_file(path), is_test_file(path)), (Ok(false), Ok(false)))
}

impl Side {
    /// Keeps only the changes of the pull request. For all other files, uses the files of the base.
    /// Without this step, a pull request would seem to revert other changes that were merged after
    /// the pull request started. `began` contains the files of the commit at which the pull request
    /// started.
    pub(super) fn merge(&mut self, base: &Self, began: &BTreeMap<String, String>) {
        let paths: BTreeSet<String> = self.blobs.keys().chain(base.blobs.keys()).cloned().collect();
        for path in paths {
            if self.blobs.get(&path) != began.get(&path) {
                continue;
            }
            match base.blobs.get(&path) {
                Some(blob) => self.blobs.insert(path, blob.clone()),
                None => self.blobs.remove(&path),
            };
        }
    }
}

/// Reads the texts of several sides. Beadle reads equal contents only once, and does not read the
/// contents in `known`. `known` contains the texts of the policy in force, each by its content id.
pub(super) async fn texts(
    reader: &Reader,
    source: &RepositorySource,
    sides: &[&Side],
    mut known: BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, Failure> {
    let ids = sides.iter().flat_map(|side| side.blobs.values());
    let ids: BTreeSet<&String> = ids.filter(|id| !known.contains_key(*id)).collect();
    let ids: Vec<String> = ids.into_iter().cloned().collect();
    known.extend(reader.blobs(&source.repository, &ids).await?);
    Ok(known)
}

/// A valid policy, and the results of its tests.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) policy: Policy,
    pub(super) tested: Tested,
}

/// Limits how many threads check policies at the same time.
static TURNS: LazyLock<ParseTurns> = LazyLock::new(ParseTurns::default);

/// Checks the files of all parts, and runs the tests of the organisation's own part. `key` is the
/// key of the pull request. Each entry of `parts` contains three texts. The first text is the
/// beginning of the part's paths in the policy. The second text is the name of the repository, and
/// the third text is the folder in the repository. `home` is the repository that contains the
/// policy. The policy does not apply to this repository.
pub(super) async fn parse(
    key: &str,
    parts: &[(&'static str, String, &str)],
    sides: &[Side],
    texts: &BTreeMap<String, String>,
    home: &str,
    (config, file): (&Arc<Config>, &Arc<OrgConfig>),
) -> Result<Result<Parsed, PolicyError>, Failure> {
    let mut files = BTreeMap::new();
    let mut tests = BTreeMap::new();
    let mut origins = Vec::new();
    for ((prefix, repository, folder), side) in parts.iter().zip(sides) {
        for (path, blob) in &side.blobs {
            let is_test = match is_test_file(path) {
                Ok(is_test) => is_test,
                Err(error) => return Ok(Err(error)),
            };
            if is_test && !prefix.is_empty() {
                // The check skips the tests in a base, because they were not written for the
                // policies that use the base.
                continue;
            }
            let path = format!("{prefix}{path}");
            let Some(text) = texts.get(blob) else {
                // A text is missing here only if the content of the file is not UTF-8.
                let why = Error::new(ErrorKind::InvalidData, "must be a text in UTF-8");
                return Ok(Err(PolicyError::Unreadable { path: path.into(), why }));
            };
            let part = if is_test { &mut tests } else { &mut files };
            part.insert(path, text.clone());
        }
        origins.push(PolicyOrigin {
            repository: repository.clone(),
            path: (*folder).to_owned(),
            commit: side.commit.clone(),
        });
    }
    let (home, config, file) = (home.to_owned(), config.clone(), file.clone());
    // A large policy takes a long time, and all runs share the threads of the runtime. So the check
    // has its own thread. If a library panics, only this thread ends.
    let fatal = |why: String| Failure::new(Class::Fatal, format!("reading the policy: {why}"));
    let turn = TURNS.take(key).await.map_err(|error| fatal(error.to_string()))?;
    let parsed = tokio::task::spawn_blocking(move || -> Result<Parsed, PolicyError> {
        let _turn = turn;
        let mut origins = origins.into_iter();
        let Some(own) = origins.next() else { return Err(PolicyError::Empty(home.into())) };
        let policy = Policy::on_base(files, &home, own, origins.next())?;
        let policy = mode_check::accept(policy, file.refusals())?;
        config.mappings_of_policy(&file, &policy)?;
        let tested = policy.test_files(tests);
        Ok(Parsed { policy, tested })
    });
    parsed.await.map_err(|error| fatal(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side_of(files: &[(&str, &str)]) -> Side {
        let commit =
            Commit { id: String::new(), author: String::new(), logins: Vec::new(), subject: String::new() };
        let blobs = files.iter().map(|(path, blob)| ((*path).to_owned(), (*blob).to_owned())).collect();
        Side { commit, blobs }
    }

    #[test]
    fn files_that_the_pull_request_does_not_change_are_those_of_the_base() {
        let began =
            side_of(&[("same", "1"), ("ours", "1"), ("theirs", "1"), ("gone", "1"), ("deleted", "1")]);
        let base = side_of(&[("same", "1"), ("ours", "1"), ("theirs", "2"), ("new", "2"), ("deleted", "1")]);
        let mut head =
            side_of(&[("same", "1"), ("ours", "3"), ("theirs", "1"), ("gone", "1"), ("added", "3")]);
        head.merge(&base, &began.blobs);
        let merged = side_of(&[("same", "1"), ("ours", "3"), ("theirs", "2"), ("new", "2"), ("added", "3")]);
        assert_eq!(head.blobs, merged.blobs);
    }

    #[test]
    fn only_the_files_of_the_policy_and_its_tests_are_read() {
        for (path, read) in [
            ("settings.yml", true),
            ("repos/shop.yaml", true),
            ("tests/shop.yml", true),
            // The check reports the name of this file as an error.
            ("repos/shop.YML", true),
            ("README.md", false),
            ("workflows/check.yml", false),
        ] {
            assert_eq!(matters(path), read, "{path}");
        }
    }
}
