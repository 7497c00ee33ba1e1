//! The parts of a payload that Beadle needs. The parser skips all other parts and does not store
//! them.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::WebhookRefusal;

/// The content type of a webhook's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentType {
    /// The body is JSON.
    Json,
    /// The body is a form. Its field `payload` contains the JSON.
    Form,
}

impl ContentType {
    /// Parses the value of the header `Content-Type`. Ignores parameters such as `charset`.
    pub fn parse(header: &str) -> Result<Self, WebhookRefusal> {
        let essence = header.split(';').next().unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case("application/json") {
            Ok(Self::Json)
        } else if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            Ok(Self::Form)
        } else {
            Err(WebhookRefusal::MediaType(if essence.is_empty() { "none".into() } else { essence.into() }))
        }
    }

    /// Returns the JSON in a body.
    pub(super) fn json(self, body: &[u8]) -> Result<Cow<'_, [u8]>, WebhookRefusal> {
        match self {
            Self::Json => Ok(Cow::Borrowed(body)),
            Self::Form => form_urlencoded::parse(body)
                .find(|(name, _)| name == "payload")
                .map(|(_, json)| Cow::Owned(json.into_owned().into_bytes()))
                .ok_or_else(|| WebhookRefusal::Body("the form has no field `payload`".into())),
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct PayloadAccount<'a> {
    #[serde(borrow)]
    pub(super) login: Option<Cow<'a, str>>,
    pub(super) id: Option<u64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Repository<'a> {
    pub(super) id: Option<u64>,
    #[serde(borrow)]
    pub(super) node_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) owner: Option<PayloadAccount<'a>>,
    #[serde(borrow)]
    pub(super) default_branch: Option<Cow<'a, str>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Installation<'a> {
    #[serde(borrow)]
    pub(super) account: Option<PayloadAccount<'a>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Team {
    pub(super) id: Option<u64>,
}

/// A pull request in a payload. Its form is the same in the event `pull_request` and in the events
/// about a check suite or a check run.
#[derive(Debug, Deserialize)]
pub(super) struct Pull {
    pub(super) number: Option<u64>,
    pub(super) merged: Option<bool>,
    base: Option<PullSide>,
    head: Option<PullSide>,
}

/// The base branch or the head branch of a pull request.
#[derive(Debug, Deserialize)]
struct PullSide {
    #[serde(rename = "ref")]
    reference: Option<String>,
    repo: Option<SideRepository>,
}

#[derive(Debug, Deserialize)]
struct SideRepository {
    id: Option<u64>,
}

impl Pull {
    /// Returns the id of the repository that the pull request changes.
    pub(super) fn base_repository(&self) -> Option<u64> {
        self.base.as_ref()?.repo.as_ref()?.id
    }

    /// Returns the head branch of the pull request, if this branch is in the given repository.
    pub(super) fn branch_in(&self, repository: u64) -> Option<&str> {
        let head = self.head.as_ref()?;
        head.reference.as_deref().filter(|_| head.repo.as_ref().and_then(|repo| repo.id) == Some(repository))
    }
}

/// A commit of a push, with the paths of its files.
#[derive(Debug, Deserialize)]
pub(super) struct PushedCommit {
    added: Option<Vec<String>>,
    modified: Option<Vec<String>>,
    removed: Option<Vec<String>>,
}

impl PushedCommit {
    /// Returns the paths of the files that the commit changes.
    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        [&self.added, &self.modified, &self.removed].into_iter().flatten().flatten().map(String::as_str)
    }
}

/// The commit of a check suite or a check run, and the pull requests whose head is this commit.
#[derive(Debug, Deserialize)]
pub(super) struct CheckedCommit<'a> {
    #[serde(borrow)]
    pub(super) head_sha: Option<Cow<'a, str>>,
    pub(super) pull_requests: Option<Vec<Pull>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Changes {
    /// Set if the event reports that a pull request has a new base branch.
    pub(super) base: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Payload<'a> {
    #[serde(borrow)]
    pub(super) action: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) repository: Option<Repository<'a>>,
    #[serde(borrow)]
    pub(super) organization: Option<PayloadAccount<'a>>,
    #[serde(borrow)]
    pub(super) installation: Option<Installation<'a>>,
    #[serde(borrow)]
    pub(super) repositories_added: Option<Vec<Repository<'a>>>,
    pub(super) team: Option<Team>,
    pub(super) pull_request: Option<Pull>,
    #[serde(borrow)]
    pub(super) check_suite: Option<CheckedCommit<'a>>,
    #[serde(borrow)]
    pub(super) check_run: Option<CheckedCommit<'a>>,
    pub(super) changes: Option<Changes>,
    #[serde(borrow)]
    pub(super) ref_type: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "ref")]
    pub(super) reference: Option<Cow<'a, str>>,
    pub(super) created: Option<bool>,
    pub(super) deleted: Option<bool>,
    pub(super) forced: Option<bool>,
    pub(super) commits: Option<Vec<PushedCommit>>,
    #[serde(borrow)]
    sender: Option<PayloadAccount<'a>>,
}

impl<'a> Payload<'a> {
    pub(super) fn read(json: &'a [u8]) -> Result<Self, WebhookRefusal> {
        serde_json::from_slice(json).map_err(|error| WebhookRefusal::Body(error.to_string()))
    }

    /// Returns the login of the account that caused the event.
    pub(super) fn actor(&self) -> Option<&str> {
        self.sender.as_ref()?.login.as_deref()
    }

    /// Returns the login of the organisation that the event belongs to.
    pub(super) fn login(&self) -> Option<&str> {
        let owner = self.repository.as_ref().and_then(|repository| repository.owner.as_ref());
        let installed = self.installation.as_ref().and_then(|installation| installation.account.as_ref());
        [self.organization.as_ref(), owner, installed].into_iter().flatten().find_map(|a| a.login.as_deref())
    }
}
