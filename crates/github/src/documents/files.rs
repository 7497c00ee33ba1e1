//! The GraphQL documents about the files that Beadle keeps, and the types of their answers. The
//! paths of the files are variables, so a document depends only on the number of files.

use std::fmt::Write as _;

use serde::Deserialize;

use crate::shape::{object, optional};

/// The name of Beadle's branch. Beadle opens its pull request from this branch.
pub const FILES_BRANCH: &str = "beadle/files";

/// Returns the declarations of the variables for this number of paths.
fn declared(count: usize) -> String {
    (0..count).fold(String::new(), |mut text, at| {
        let _ = write!(text, ", $p{at}: String!"); // writing to a string cannot fail
        text
    })
}

/// Returns the fields that read this number of files.
fn objects(count: usize) -> String {
    (0..count).fold(String::new(), |mut text, at| {
        let _ = write!(text, " f{at}: object(expression: $p{at}) {{ __typename oid }}");
        text
    })
}

/// The fields that Beadle reads from a pull request ([`PullNode`]).
const PULL: &str = "id number state isCrossRepository viewerDidAuthor body";

/// Returns the document that reads three things: files of the default branch, Beadle's branch with
/// its open pull request, and the latest pull requests that are closed or merged. The document does
/// not read a list of all pull requests. Anyone can open many pull requests from a branch with the
/// same name in a fork. A list of all pull requests could therefore lack Beadle's pull request.
pub(crate) fn kept_files(count: usize) -> String {
    format!(
        "query ($id: ID!{}) {{ node(id: $id) {{ ... on Repository {{
            defaultBranchRef {{ id name target {{ oid }} }}
            ref(qualifiedName: \"refs/heads/{FILES_BRANCH}\") {{
                id target {{ oid }} associatedPullRequests(states: [OPEN], first: 10) {{ nodes {{ {PULL} }} }}
            }}
            pullRequests(
                headRefName: \"{FILES_BRANCH}\", states: [CLOSED, MERGED], first: 50,
                orderBy: {{ field: CREATED_AT, direction: DESC }}
            ) {{ nodes {{ {PULL} }} }}{}
        }} }} }}",
        declared(count),
        objects(count)
    )
}

/// Returns the document that reads the commits and the files on Beadle's branch.
pub(crate) fn branch_of_files(count: usize) -> String {
    format!(
        "query ($id: ID!{}) {{ viewer {{ login }} node(id: $id) {{ ... on Repository {{
            defaultBranchRef {{ compare(headRef: \"{FILES_BRANCH}\") {{
                aheadBy commits(first: 100) {{ nodes {{ author {{ name user {{ login }} }} }} }}
            }} }}
            ref(qualifiedName: \"refs/heads/{FILES_BRANCH}\") {{ id target {{ oid }} }}{}
        }} }} }}",
        declared(count),
        objects(count)
    )
}

/// Creates a branch.
pub(crate) const CREATE_REF: &str =
    "mutation ($input: CreateRefInput!) { createRef(input: $input) { ref { id } } }";
/// Moves a branch to another commit.
pub(crate) const UPDATE_REF: &str =
    "mutation ($input: UpdateRefInput!) { updateRef(input: $input) { ref { id } } }";
/// Deletes a branch.
pub(crate) const DELETE_REF: &str =
    "mutation ($input: DeleteRefInput!) { deleteRef(input: $input) { clientMutationId } }";
/// Adds a commit to a branch.
pub(crate) const CREATE_COMMIT: &str = "mutation ($input: CreateCommitOnBranchInput!) { createCommitOnBranch(input: $input) { commit { oid } } }";
/// Opens a pull request.
pub(crate) const CREATE_PULL: &str =
    "mutation ($input: CreatePullRequestInput!) { createPullRequest(input: $input) { pullRequest { id } } }";
/// Changes or closes a pull request.
pub(crate) const UPDATE_PULL: &str =
    "mutation ($input: UpdatePullRequestInput!) { updatePullRequest(input: $input) { pullRequest { id } } }";

/// An object, such as a commit, and the id of its content.
#[derive(Deserialize)]
pub(crate) struct ObjectNode {
    pub(crate) oid: String,
}

/// The default branch.
#[derive(Deserialize)]
pub(crate) struct DefaultNode {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) target: ObjectNode,
}

/// Beadle's branch.
#[derive(Deserialize)]
pub(crate) struct RefNode {
    pub(crate) id: String,
    pub(crate) target: ObjectNode,
}

/// A pull request.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PullNode {
    pub(crate) id: String,
    pub(crate) number: u64,
    pub(crate) state: String,
    pub(crate) is_cross_repository: bool,
    pub(crate) viewer_did_author: bool,
    #[serde(default, deserialize_with = "optional")]
    pub(crate) body: Option<String>,
}

/// The difference between the default branch and another branch.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ComparisonNode {
    pub(crate) ahead_by: u64,
    pub(crate) commits: CommitsNode,
}

/// Commits of a branch.
#[derive(Deserialize)]
pub(crate) struct CommitsNode {
    pub(crate) nodes: Vec<CommitNode>,
}

/// A commit.
#[derive(Deserialize)]
pub(crate) struct CommitNode {
    #[serde(default, deserialize_with = "object")]
    pub(crate) author: Option<AuthorNode>,
}

/// The author of a commit. The field `user` is set only if the author is a person with an account.
#[derive(Deserialize)]
pub(crate) struct AuthorNode {
    #[serde(default, deserialize_with = "optional")]
    pub(crate) name: Option<String>,
    #[serde(default, deserialize_with = "object")]
    pub(crate) user: Option<UserNode>,
}

/// An account.
#[derive(Deserialize)]
pub(crate) struct UserNode {
    pub(crate) login: String,
}
