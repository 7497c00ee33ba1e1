//! Reads pull requests and their reviews.
//!
//! <https://docs.github.com/rest/pulls/pulls>, <https://docs.github.com/rest/pulls/reviews>

use beadle_engine::{Class, Failure, Time};
use beadle_transport::Path;
use serde::Deserialize;
use serde_json::Value;

use crate::read::Reader;
use crate::refusal::{Asked, PULLS};
use crate::shape::{object, optional, shape};

/// A pull request, as it is at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pull {
    /// The number of the pull request in its repository.
    pub number: u64,
    /// False if the pull request is closed or merged.
    pub is_open: bool,
    /// True if the pull request is merged.
    pub is_merged: bool,
    /// The id of the last commit of the pull request, 40 hexadecimal digits.
    pub head: String,
    /// The name of the branch that the pull request changes.
    pub base: String,
    /// The id of the repository that the pull request changes.
    pub repository: u64,
    /// True if anyone can read the repository that the pull request changes. Also true if GitHub
    /// does not state who can read the repository.
    pub is_public: bool,
    /// True if the members of all organisations of the enterprise can read the repository.
    pub is_internal: bool,
    /// True if the pull request comes from a branch of another repository. Anyone who can read a
    /// repository can fork it and open a pull request from the fork.
    pub is_from_fork: bool,
    /// The title of the pull request. The author of the pull request wrote the title.
    pub title: String,
    /// The id of the account that opened the pull request. `None` if the account no longer exists.
    pub author: Option<u64>,
    /// The login of the account that opened the pull request. `None` if the account no longer
    /// exists.
    pub author_login: Option<String>,
    /// The id of the commit that merged the pull request.
    pub merge_commit: Option<String>,
}

/// A review of a pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Review {
    /// The id of the reviewer.
    pub reviewer: u64,
    /// The login of the reviewer.
    pub login: String,
    /// The verdict of the review, such as `APPROVED` or `CHANGES_REQUESTED`.
    pub state: String,
    /// The id of the commit that the reviewer saw.
    pub commit: String,
    /// The time of the review, in whole seconds. `None` if GitHub does not show the time.
    pub submitted: Option<Time>,
}

#[derive(Deserialize)]
struct PullRow {
    number: u64,
    state: String,
    #[serde(default)]
    merged: bool,
    #[serde(default, deserialize_with = "optional")]
    title: Option<String>,
    head: Side,
    base: Base,
    #[serde(default, deserialize_with = "object")]
    user: Option<Account>,
    #[serde(default, deserialize_with = "optional")]
    merge_commit_sha: Option<String>,
}

#[derive(Deserialize)]
struct Account {
    id: u64,
    login: String,
}

#[derive(Deserialize)]
struct ReviewRow {
    user: Account,
    state: String,
    commit_id: String,
    #[serde(default, deserialize_with = "optional")]
    submitted_at: Option<jiff::Timestamp>,
}

/// The membership of an account in a team.
#[derive(Deserialize)]
struct Membership {
    state: String,
}

#[derive(Deserialize)]
struct Side {
    sha: String,
    #[serde(default, deserialize_with = "object")]
    repo: Option<BaseRepository>,
}

#[derive(Deserialize)]
struct Base {
    #[serde(rename = "ref")]
    reference: String,
    repo: BaseRepository,
}

#[derive(Deserialize)]
struct BaseRepository {
    id: u64,
    #[serde(default, deserialize_with = "optional")]
    private: Option<bool>,
    #[serde(default, deserialize_with = "optional")]
    visibility: Option<String>,
}

impl From<PullRow> for Pull {
    fn from(row: PullRow) -> Self {
        // The repository is null if the fork no longer exists.
        let is_from_fork = row.head.repo.as_ref().is_none_or(|repo| repo.id != row.base.repo.id);
        Self {
            number: row.number,
            is_open: row.state == "open",
            is_merged: row.merged,
            head: row.head.sha,
            base: row.base.reference,
            repository: row.base.repo.id,
            is_from_fork,
            is_public: row.base.repo.private != Some(true),
            is_internal: row.base.repo.visibility.as_deref() == Some("internal"),
            title: row.title.unwrap_or_default(),
            author: row.user.as_ref().map(|user| user.id),
            author_login: row.user.map(|user| user.login),
            merge_commit: row.merge_commit_sha.filter(|_| row.merged),
        }
    }
}

impl Reader {
    /// Returns a pull request of a repository of this organisation, or `None` if the pull request
    /// does not exist.
    pub async fn pull(&self, repository: &str, number: u64) -> Result<Option<Pull>, Failure> {
        let path = Path::at("repos").value(self.organisation()).value(repository).then("pulls").id(number);
        match self.api().get(&path).await {
            Ok(answer) => {
                let pull: Value = answer.json().map_err(Failure::from)?;
                shape::<PullRow>(&pull).map(Pull::from).map(Some).ok_or_else(unreadable)
            }
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(self.asked_pulls(repository).explain(error)),
        }
    }

    /// Returns the open pull requests whose last commit is `head`. The commit can be in the
    /// repository or in a fork.
    pub async fn open_pulls_at(&self, repository: &str, head: &str) -> Result<Vec<Pull>, Failure> {
        // GitHub also has a list of the pull requests of one commit, but that list does not contain
        // pull requests from forks.
        let path = Path::at("repos").value(self.organisation()).value(repository);
        let path = path.then("pulls?state=open&per_page=100");
        let rows = self.api().list_anew(&path).await;
        let rows: Vec<Value> = rows.map_err(|error| self.asked_pulls(repository).explain(error))?;
        let pulls: Option<Vec<Pull>> = rows.iter().map(|row| shape::<PullRow>(row).map(Pull::from)).collect();
        let pulls = pulls.ok_or_else(unreadable)?;
        Ok(pulls.into_iter().filter(|pull| pull.head == head).collect())
    }

    /// Returns the reviews of a pull request, oldest first. The method leaves out a review without
    /// an account or without a commit.
    pub async fn reviews(&self, repository: &str, number: u64) -> Result<Vec<Review>, Failure> {
        let path = Path::at("repos").value(self.organisation()).value(repository).then("pulls").id(number);
        let rows = self.api().list_anew(&path.then("reviews?per_page=100")).await;
        let rows: Vec<Value> = rows.map_err(|error| self.asked_pulls(repository).explain(error))?;
        let review = |row: ReviewRow| Review {
            reviewer: row.user.id,
            login: row.user.login,
            state: row.state,
            commit: row.commit_id,
            submitted: row.submitted_at.map(|at| Time(at.as_millisecond())),
        };
        Ok(rows.iter().filter_map(shape::<ReviewRow>).map(review).collect())
    }

    fn asked_pulls<'a>(&'a self, repository: &'a str) -> Asked<'a> {
        Asked { organisation: self.organisation(), repository, reference: None, permission: PULLS }
    }

    /// Returns whether an account is an active member of a team of this organisation.
    pub async fn is_in_team(&self, team: &str, login: &str) -> Result<bool, Failure> {
        let path = Path::at("orgs").value(self.organisation()).then("teams").value(team);
        match self.api().get(&path.then("memberships").value(login)).await {
            Ok(answer) => {
                let membership: Value = answer.json().map_err(Failure::from)?;
                Ok(shape(&membership).is_some_and(|found: Membership| found.state == "active"))
            }
            Err(error) if error.status() == Some(404) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the latest common ancestor of two commits. Returns `None` if the commits have no
    /// common ancestor.
    pub async fn merge_base(
        &self,
        repository: &str,
        base: &str,
        head: &str,
    ) -> Result<Option<String>, Failure> {
        let path = Path::at("repos").value(self.organisation()).value(repository).then("compare");
        let path = path.value(&format!("{base}...{head}")).query("per_page", 1);
        match self.api().get(&path).await {
            Ok(answer) => {
                let compared: Value = answer.json().map_err(Failure::from)?;
                Ok(compared["merge_base_commit"]["sha"].as_str().map(str::to_owned))
            }
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

fn unreadable() -> Failure {
    Failure::new(Class::Retry, "reading a pull request: GitHub's answer has no state, head or base")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pull_request_without_its_head_or_base_is_unknown() {
        let row = json!({
            "number": 7, "state": "closed", "merged": true, "head": { "sha": "a1", "repo": null },
            "base": { "ref": "main", "repo": { "id": 5 } }, "user": null, "merge_commit_sha": "c1",
        });
        let pull = Pull::from(shape::<PullRow>(&row).unwrap());
        assert_eq!((pull.number, pull.is_open, pull.is_merged, pull.repository), (7, false, true, 5));
        assert_eq!((pull.author, pull.merge_commit.as_deref()), (None, Some("c1")));
        let mut named = row.clone();
        (named["title"], named["user"]) = (json!("Add a team"), json!({ "id": 3, "login": "mona" }));
        let named = Pull::from(shape::<PullRow>(&named).unwrap());
        assert_eq!((named.title.as_str(), named.author), ("Add a team", Some(3)));
        assert_eq!(named.author_login.as_deref(), Some("mona"));
        assert_eq!((pull.title.as_str(), pull.author_login), ("", None));
        for (private, is_public) in [(json!(true), false), (json!(false), true), (Value::Null, true)] {
            let mut row = row.clone();
            row["base"]["repo"]["private"] = private;
            assert_eq!(Pull::from(shape::<PullRow>(&row).unwrap()).is_public, is_public);
        }
        for (visibility, is_internal) in [(json!("internal"), true), (json!("private"), false)] {
            let mut row = row.clone();
            row["base"]["repo"]["visibility"] = visibility;
            assert_eq!(Pull::from(shape::<PullRow>(&row).unwrap()).is_internal, is_internal);
        }
        for (head, is_from_fork) in
            [(json!({ "id": 5 }), false), (json!({ "id": 6 }), true), (Value::Null, true)]
        {
            let mut row = row.clone();
            row["head"]["repo"] = head;
            assert_eq!(Pull::from(shape::<PullRow>(&row).unwrap()).is_from_fork, is_from_fork);
        }
        for part in ["number", "state", "head", "base"] {
            let mut row = row.clone();
            row[part] = Value::Null;
            assert!(shape::<PullRow>(&row).is_none(), "{part}");
        }
    }
}
