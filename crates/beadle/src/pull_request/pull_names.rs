//! The names of a pull request that the pages show.

use beadle_github::Pull;
use beadle_repositories::policy::pull_request_link;

/// The readable names of a pull request at GitHub.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PullNames {
    /// The title, written by the author.
    pub(super) title: String,
    /// The login of the author; `None` if the account no longer exists.
    pub(super) author: Option<String>,
    /// The address of the pull request.
    pub(super) link: String,
}

impl PullNames {
    /// Returns the readable names of a pull request. `web` is the address of GitHub's pages, and
    /// `repository` is the repository as `owner/name`.
    pub(super) fn of(pull: &Pull, web: &str, repository: &str) -> Self {
        Self {
            title: pull.title.clone(),
            author: pull.author_login.clone(),
            link: pull_request_link(web, repository, pull.number),
        }
    }
}
