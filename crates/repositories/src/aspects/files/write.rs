//! Writes files, by a pull request or directly.

use async_trait::async_trait;
use beadle_engine::Failure;
use beadle_github::FilesCommit;

use super::text::{CLOSED, TITLE};
use crate::aspects::{Step, WriteTarget};

/// The branch to which Beadle commits the files of a pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Onto {
    /// A new branch.
    New,
    /// The branch with this node id, which first moves to the head of the default branch.
    Reset(String),
    /// The branch with this node id, at this commit.
    Present(String, String),
}

/// What happens to the pull request of the branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pull {
    /// Beadle opens one to the default branch. If there is an id, Beadle first closes the pull
    /// request with this node id.
    Open { base: String, instead_of: Option<String> },
    /// Beadle changes the text of the pull request with this node id.
    Update(String),
}

/// The write of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Write {
    /// Commits files to the default branch.
    Push(FilesCommit),
    /// Commits files to the branch of Beadle, for a pull request.
    Propose {
        /// The node id of the repository.
        repository: String,
        onto: Onto,
        /// The commit and its files. The write sets the branch and the commit that it follows.
        commit: FilesCommit,
        pull: Pull,
        body: String,
    },
    /// Closes the pull request and deletes the branch.
    End { pull: Option<String>, branch: String },
}

#[async_trait]
impl Step for Write {
    async fn write(&self, to: &WriteTarget) -> Result<(), Failure> {
        // The organisation itself has no files.
        to.named()?;
        match self {
            Self::Push(commit) => to.writer.commit_files(commit).await,
            Self::End { pull, branch } => {
                if let Some(pull) = pull {
                    to.writer.update_pull(pull, CLOSED, true).await?;
                }
                let deleted = to.writer.delete_branch(branch).await;
                deleted.map_err(|failure| if pull.is_some() { failure.after_a_part() } else { failure })
            }
            Self::Propose { repository, onto, commit, pull, body } => {
                if let Pull::Open { instead_of: Some(old), .. } = pull {
                    to.writer.update_pull(old, CLOSED, true).await?;
                }
                let (branch, onto) = match onto {
                    Onto::New => {
                        let made = to.writer.create_files_branch(repository, &commit.onto).await?;
                        (made, commit.onto.clone())
                    }
                    Onto::Reset(branch) => {
                        to.writer.reset_branch(branch, &commit.onto).await?;
                        (branch.clone(), commit.onto.clone())
                    }
                    Onto::Present(branch, head) => (branch.clone(), head.clone()),
                };
                if !commit.files.is_empty() {
                    let commit = FilesCommit { branch, onto, ..commit.clone() };
                    to.writer.commit_files(&commit).await.map_err(Failure::after_a_part)?;
                }
                let pulled = match pull {
                    Pull::Open { base, .. } => {
                        to.writer.open_pull(repository, base, (TITLE, body.as_str())).await
                    }
                    Pull::Update(pull) => to.writer.update_pull(pull, body, false).await,
                };
                pulled.map_err(Failure::after_a_part)
            }
        }
    }
}
