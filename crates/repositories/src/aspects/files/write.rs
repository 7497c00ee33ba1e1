//! Writes files through a pull request, or directly to the default branch.

use async_trait::async_trait;
use beadle_engine::{Class, Failure};
use beadle_github::{FILES_BRANCH, FilesCommit};

use super::text::{CLOSED, TITLE};
use crate::aspects::{Step, WriteTarget};

/// The state of Beadle's branch at the time of the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OwnBranch {
    /// The node id of the branch.
    pub(super) id: String,
    /// The newest commit.
    pub(super) head: String,
}

impl OwnBranch {
    /// Checks that nobody has committed to the branch since Beadle made the plan. Without this
    /// check, a person's new commit would be lost. GitHub does not check the newest commit of a
    /// branch before it moves or deletes the branch.
    async fn check(&self, repository: &str, to: &WriteTarget) -> Result<(), Failure> {
        let now = to.reader.kept_files(repository, &[]).await?;
        if now.branch.is_some_and(|branch| branch.id == self.id && branch.head == self.head) {
            return Ok(());
        }
        let text = format!("the branch `{FILES_BRANCH}` changed since it was read; nothing was written");
        Err(Failure::new(Class::Conflict, text))
    }
}

/// The branch to which Beadle commits the files of a pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Onto {
    /// A new branch.
    New,
    /// The present branch. Beadle first moves this branch to the head of the default branch.
    Reset(OwnBranch),
    /// The present branch. Beadle does not move this branch first.
    Present(OwnBranch),
}

/// Beadle's action for the pull request of the branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pull {
    /// Beadle opens a pull request to the default branch. If `instead_of` has a node id, Beadle
    /// first closes the pull request with this id.
    Open { base: String, instead_of: Option<String> },
    /// Beadle changes the text of the pull request with this node id.
    Update(String),
}

/// The step that writes a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Write {
    /// Commits files to the default branch.
    Push(FilesCommit),
    /// Commits the files of a pull request to Beadle's branch.
    Propose {
        /// The node id of the repository.
        repository: String,
        onto: Onto,
        /// The commit, with its files. The branch and the parent commit are not set here: the write
        /// sets these two fields.
        commit: FilesCommit,
        pull: Pull,
        body: String,
    },
    /// Closes the pull request and deletes the branch.
    End {
        /// The node id of the repository.
        repository: String,
        pull: Option<String>,
        branch: OwnBranch,
    },
}

#[async_trait]
impl Step for Write {
    async fn write(&self, to: &WriteTarget) -> Result<(), Failure> {
        // Only a repository has files. The organisation itself has no files.
        to.named()?;
        match self {
            Self::Push(commit) => to.writer.commit_files(commit).await,
            Self::End { repository, pull, branch } => {
                branch.check(repository, to).await?;
                if let Some(pull) = pull {
                    to.writer.update_pull(pull, CLOSED, true).await?;
                }
                let deleted = to.writer.delete_branch(&branch.id).await;
                deleted.map_err(|failure| if pull.is_some() { failure.after_a_part() } else { failure })
            }
            Self::Propose { repository, onto, commit, pull, body } => {
                if let Onto::Reset(branch) = onto {
                    branch.check(repository, to).await?;
                }
                if let Pull::Open { instead_of: Some(old), .. } = pull {
                    to.writer.update_pull(old, CLOSED, true).await?;
                }
                let (branch, onto) = match onto {
                    Onto::New => {
                        let made = to.writer.create_files_branch(repository, &commit.onto).await?;
                        (made, commit.onto.clone())
                    }
                    Onto::Reset(branch) => {
                        to.writer.reset_branch(&branch.id, &commit.onto).await?;
                        (branch.id.clone(), commit.onto.clone())
                    }
                    Onto::Present(branch) => (branch.id.clone(), branch.head.clone()),
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
