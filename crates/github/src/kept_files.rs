//! The kept files: Beadle opens pull requests to keep these files up to date. Beadle compares the
//! ids of the files' contents, so it does not read the contents.
//!
//! <https://docs.github.com/graphql/reference/mutations#createcommitonbranch>,
//! <https://git-scm.com/book/en/v2/Git-Internals-Git-Objects>

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use beadle_engine::{Class, Failure};
use serde_json::{Map, Value, json};
use sha1::{Digest as _, Sha1};

use crate::documents::files::{
    self as documents, ComparisonNode, DefaultNode, FILES_BRANCH, PullNode, RefNode, UserNode,
    branch_of_files, kept_files,
};
use crate::graphql::run;
use crate::read::Reader;
use crate::shape::shape;
use crate::write::Writer;

/// What exists at the path of a file on a branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AtPath {
    /// Nothing exists at the path.
    Nothing,
    /// A file whose content has this id.
    File(String),
    /// A folder or a submodule.
    Other,
}

/// The default branch of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefaultBranch {
    /// The node id of the branch.
    pub id: String,
    /// The name of the branch.
    pub name: String,
    /// The id of the last commit.
    pub head: String,
}

/// The branch [`FILES_BRANCH`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilesBranch {
    /// The node id of the branch.
    pub id: String,
    /// The id of the last commit.
    pub head: String,
    /// The number of commits that are not in the default branch.
    pub ahead: u64,
    /// True if Beadle made all commits that are not in the default branch.
    pub is_own: bool,
    /// What the branch has at each path.
    pub files: BTreeMap<String, AtPath>,
}

/// The state of a pull request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullState {
    /// The pull request is open.
    Open,
    /// The pull request was closed without a merge.
    Closed,
    /// The pull request was merged.
    Merged,
}

/// A pull request from a branch with the name [`FILES_BRANCH`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilesPull {
    /// The node id of the pull request.
    pub id: String,
    /// The number of the pull request.
    pub number: u64,
    /// The state of the pull request.
    pub state: PullState,
    /// True if Beadle opened the pull request.
    pub is_own: bool,
    /// The text of the pull request.
    pub body: String,
}

/// The kept files of a repository, and Beadle's branch and pull requests for these files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptFiles {
    /// The default branch. `None` if the repository has no commit.
    pub default: Option<DefaultBranch>,
    /// What the default branch has at each path.
    pub files: BTreeMap<String, AtPath>,
    /// Beadle's branch. `None` if the branch does not exist.
    pub branch: Option<FilesBranch>,
    /// The open pull request from this branch, and then the latest pull requests that are closed or
    /// merged. The newest pull request comes first. The list has no pull requests from forks.
    pub pulls: Vec<FilesPull>,
}

/// A commit that sets the contents of files on a branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilesCommit {
    /// The node id of the branch.
    pub branch: String,
    /// The expected last commit of the branch. If the branch has another last commit, GitHub
    /// refuses the new commit.
    pub onto: String,
    /// The first line of the message.
    pub headline: String,
    /// The contents of the files, by path.
    pub files: BTreeMap<String, String>,
}

/// Returns the id that git gives to a file with this content.
pub fn blob_id(content: &str) -> String {
    let mut hash = Sha1::new();
    hash.update(format!("blob {}\0", content.len()).as_bytes());
    hash.update(content.as_bytes());
    hex::encode(hash.finalize())
}

/// Returns the variables of a query that reads paths of a branch.
fn variables(node_id: &str, reference: &str, paths: &[&str]) -> Value {
    let mut variables = Map::from_iter([("id".to_owned(), json!(node_id))]);
    for (at, path) in paths.iter().enumerate() {
        variables.insert(format!("p{at}"), json!(format!("{reference}:{path}")));
    }
    Value::Object(variables)
}

/// Returns what an answer shows at each path. Returns `None` if the answer lacks a path.
fn at_paths(node: &Value, paths: &[&str]) -> Option<BTreeMap<String, AtPath>> {
    let seen = paths.iter().enumerate().map(|(at, path)| {
        let found = node.get(format!("f{at}"))?;
        let found = match (found["__typename"].as_str(), found["oid"].as_str()) {
            _ if found.is_null() => AtPath::Nothing,
            (Some("Blob"), Some(id)) => AtPath::File(id.to_owned()),
            (Some(_), _) => AtPath::Other,
            (None, _) => return None,
        };
        Some(((*path).to_owned(), found))
    });
    seen.collect()
}

/// Returns a part of an answer, or `None` if the part is null. Returns an error if the part is
/// missing or invalid.
fn part<T: serde::de::DeserializeOwned>(node: &Value, key: &str, doing: &str) -> Result<Option<T>, Failure> {
    match node.get(key) {
        Some(Value::Null) => Ok(None),
        found => found.and_then(shape).map(Some).ok_or_else(|| unreadable(doing)),
    }
}

fn unreadable(doing: &str) -> Failure {
    Failure::new(Class::Retry, format!("{doing}: invalid response from GitHub"))
}

fn pull(row: &Value, doing: &str) -> Result<Option<FilesPull>, Failure> {
    let row: PullNode = shape(row).ok_or_else(|| unreadable(doing))?;
    let state = match row.state.as_str() {
        "OPEN" => PullState::Open,
        "CLOSED" => PullState::Closed,
        "MERGED" => PullState::Merged,
        _ => return Err(unreadable(doing)),
    };
    let PullNode { id, number, viewer_did_author: is_own, body, .. } = row;
    // Anyone who can read the repository can open a pull request from a fork. The list therefore
    // contains no pull requests from forks.
    Ok((!row.is_cross_repository).then(|| FilesPull {
        id,
        number,
        state,
        is_own,
        body: body.unwrap_or_default(),
    }))
}

impl Reader {
    /// Returns the content of a repository at these paths, and also Beadle's branch and pull
    /// requests. The method makes one query. If the branch exists, the method makes another query.
    pub async fn kept_files(&self, node_id: &str, paths: &[&str]) -> Result<KeptFiles, Failure> {
        const DOING: &str = "reading files";
        let document = kept_files(paths.len());
        let asked = variables(node_id, "HEAD", paths);
        let data = run(self.api(), DOING, &document, asked, false).await?.whole(DOING)?;
        let node = &data["node"];
        let default: Option<DefaultNode> = part(node, "defaultBranchRef", DOING)?;
        let branch: Option<RefNode> = part(node, "ref", DOING)?;
        let mut pulls = Vec::new();
        let lists =
            [branch.is_some().then(|| &node["ref"]["associatedPullRequests"]), Some(&node["pullRequests"])];
        for list in lists.into_iter().flatten() {
            for row in list["nodes"].as_array().ok_or_else(|| unreadable(DOING))? {
                pulls.extend(pull(row, DOING)?);
            }
        }
        Ok(KeptFiles {
            files: at_paths(node, paths).ok_or_else(|| unreadable(DOING))?,
            branch: if default.is_some() && branch.is_some() {
                self.files_branch(node_id, paths).await?
            } else {
                None
            },
            default: default.map(|DefaultNode { id, name, target }| DefaultBranch {
                id,
                name,
                head: target.oid,
            }),
            pulls,
        })
    }

    /// Returns Beadle's branch, or `None` if somebody deleted it.
    async fn files_branch(&self, node_id: &str, paths: &[&str]) -> Result<Option<FilesBranch>, Failure> {
        const DOING: &str = "reading the branch of the files";
        let document = branch_of_files(paths.len());
        let asked = variables(node_id, &format!("refs/heads/{FILES_BRANCH}"), paths);
        let data = run(self.api(), DOING, &document, asked, false).await?.whole(DOING)?;
        let node = &data["node"];
        let Some(RefNode { id, target }) = part(node, "ref", DOING)? else { return Ok(None) };
        let viewer: UserNode = shape(&data["viewer"]).ok_or_else(|| unreadable(DOING))?;
        let compared: ComparisonNode =
            shape(&node["defaultBranchRef"]["compare"]).ok_or_else(|| unreadable(DOING))?;
        let commits = &compared.commits.nodes;
        let is_own = |login: Option<&str>| login.is_some_and(|login| login == viewer.login);
        // An App is not a person with an account, so GitHub shows only the App's name.
        let are_own = commits.iter().filter_map(|commit| commit.author.as_ref()).filter(|author| {
            is_own(author.name.as_deref()) || is_own(author.user.as_ref().map(|user| user.login.as_str()))
        });
        Ok(Some(FilesBranch {
            id,
            head: target.oid,
            ahead: compared.ahead_by,
            // If GitHub does not show a commit, the commit's author might be another person.
            is_own: u64::try_from(are_own.count()).is_ok_and(|count| count == compared.ahead_by),
            files: at_paths(node, paths).ok_or_else(|| unreadable(DOING))?,
        }))
    }
}

impl Writer {
    /// Creates the branch [`FILES_BRANCH`] at a commit. Returns the node id of the new branch.
    pub async fn create_files_branch(&self, repository: &str, at: &str) -> Result<String, Failure> {
        const DOING: &str = "creating the branch of the files";
        let name = format!("refs/heads/{FILES_BRANCH}");
        let input = json!({ "repositoryId": repository, "name": name, "oid": at });
        let data = run(self.api(), DOING, documents::CREATE_REF, json!({ "input": input }), true).await?;
        let data = data.whole(DOING)?;
        let id = data.pointer("/createRef/ref/id").and_then(Value::as_str);
        id.map(str::to_owned).ok_or_else(|| unreadable(DOING))
    }

    /// Moves a branch to another commit. The new commit need not be a successor of the present
    /// commit.
    pub async fn reset_branch(&self, branch: &str, to: &str) -> Result<(), Failure> {
        let input = json!({ "refId": branch, "oid": to, "force": true });
        self.mutate("moving the branch of the files", documents::UPDATE_REF, input).await
    }

    /// Deletes a branch.
    pub async fn delete_branch(&self, branch: &str) -> Result<(), Failure> {
        let input = json!({ "refId": branch });
        self.mutate("deleting the branch of the files", documents::DELETE_REF, input).await
    }

    /// Adds a commit to a branch.
    pub async fn commit_files(&self, commit: &FilesCommit) -> Result<(), Failure> {
        let additions = commit.files.iter();
        let additions = additions
            .map(|(path, content)| json!({ "path": path, "contents": STANDARD.encode(content.as_bytes()) }));
        let input = json!({
            "branch": { "id": commit.branch }, "expectedHeadOid": commit.onto,
            "message": { "headline": commit.headline },
            "fileChanges": { "additions": additions.collect::<Vec<_>>() },
        });
        self.mutate("committing files", documents::CREATE_COMMIT, input).await
    }

    /// Opens a pull request from the branch [`FILES_BRANCH`] to the branch `base`.
    pub async fn open_pull(
        &self,
        repository: &str,
        base: &str,
        (title, body): (&str, &str),
    ) -> Result<(), Failure> {
        let input = json!({
            "repositoryId": repository, "baseRefName": base, "headRefName": FILES_BRANCH, "title": title,
            "body": body,
        });
        self.mutate("opening a pull request", documents::CREATE_PULL, input).await
    }

    /// Replaces the text of a pull request, and closes it if `closes` is true.
    pub async fn update_pull(&self, pull: &str, body: &str, closes: bool) -> Result<(), Failure> {
        let mut input = json!({ "pullRequestId": pull, "body": body });
        if closes {
            input["state"] = json!("CLOSED");
        }
        self.mutate("changing a pull request", documents::UPDATE_PULL, input).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_content_is_the_one_of_git() {
        assert_eq!(blob_id(""), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
        assert_eq!(blob_id("hello\n"), "ce013625030ba8dba906f756967f9e9ca394464a");
        assert_eq!(blob_id("ä").len(), 40);
    }

    #[test]
    fn a_path_that_an_answer_does_not_show_is_unknown() {
        let node = json!({
            "f0": null, "f1": { "__typename": "Blob", "oid": "a" }, "f2": { "__typename": "Tree", "oid": "b" },
        });
        let seen = at_paths(&node, &["x", "y", "z"]).unwrap();
        assert_eq!(seen["x"], AtPath::Nothing);
        assert_eq!(seen["y"], AtPath::File("a".to_owned()));
        assert_eq!(seen["z"], AtPath::Other);
        assert_eq!(at_paths(&node, &["x", "y", "z", "more"]), None);
        assert_eq!(at_paths(&json!({ "f0": {} }), &["x"]), None);
    }

    #[test]
    fn a_pull_request_from_a_fork_does_not_count() {
        let row = |fork: bool| {
            json!({
                "id": "PR_1", "number": 7, "state": "OPEN", "isCrossRepository": fork, "viewerDidAuthor": true,
                "body": null,
            })
        };
        assert_eq!(pull(&row(false), "").unwrap().map(|pull| pull.number), Some(7));
        assert_eq!(pull(&row(true), "").unwrap(), None);
        assert!(pull(&json!({ "id": "PR_1" }), "").is_err());
    }
}
