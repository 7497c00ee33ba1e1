//! Reads the comments on the issues and pull requests of a repository.
//!
//! <https://docs.github.com/rest/issues/comments#list-issue-comments-for-a-repository>

use beadle_engine::{Failure, Time};
use beadle_transport::Path;
use serde::Deserialize;
use serde_json::Value;

use crate::read::Reader;
use crate::refusal::Asked;
use crate::shape::{object, optional, shape};

/// The permission that the list of comments needs.
const ISSUES: &str = "issues: read";

/// A comment on an issue or on a pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssueComment {
    /// The id of the comment. A later comment has a higher id.
    pub id: u64,
    /// The number of the issue or of the pull request.
    pub issue: u64,
    /// The text in Markdown.
    pub body: String,
    /// The login of the person who wrote the comment. `None` if an App or a bot wrote the comment,
    /// even on behalf of a person. Also `None` if the account no longer exists.
    pub person: Option<String>,
    /// The time of the comment, in whole seconds.
    pub created: Time,
    /// True if somebody changed the comment later.
    pub is_edited: bool,
    /// The address of the comment at GitHub.
    pub address: String,
}

#[derive(Deserialize)]
struct CommentRow {
    id: u64,
    #[serde(default, deserialize_with = "optional")]
    body: Option<String>,
    #[serde(default, deserialize_with = "object")]
    user: Option<AuthorRow>,
    /// If the value is not null, an App wrote the comment. This field is untyped because GitHub can
    /// show the App in several forms.
    #[serde(default)]
    performed_via_github_app: Value,
    issue_url: String,
    html_url: String,
    created_at: jiff::Timestamp,
    updated_at: jiff::Timestamp,
}

#[derive(Deserialize)]
struct AuthorRow {
    login: String,
    #[serde(rename = "type")]
    kind: String,
}

fn comment(row: CommentRow) -> Option<IssueComment> {
    let issue = row.issue_url.rsplit('/').next()?.parse().ok()?;
    let is_of_app = !row.performed_via_github_app.is_null();
    let person = row.user.filter(|user| user.kind == "User" && !is_of_app);
    Some(IssueComment {
        id: row.id,
        issue,
        body: row.body.unwrap_or_default(),
        person: person.map(|user| user.login),
        created: Time(row.created_at.as_millisecond()),
        is_edited: row.updated_at != row.created_at,
        address: row.html_url,
    })
}

impl Reader {
    /// Returns the comments on all issues and pull requests of a repository, in the order of their
    /// ids. The list has only the comments that somebody wrote or changed at the time `since` or
    /// later. Beadle leaves out a comment that it cannot read.
    pub async fn comments_since(&self, repository: &str, since: Time) -> Result<Vec<IssueComment>, Failure> {
        let path = Path::at("repos").value(self.organisation()).value(repository).then("issues/comments");
        let path = path.query("since", since).query("per_page", 100);
        let asked =
            Asked { organisation: self.organisation(), repository, reference: None, permission: ISSUES };
        let rows = self.api().list_anew(&path).await;
        let rows: Vec<Value> = rows.map_err(|error| asked.explain(error))?;
        let rows = rows.iter().filter_map(shape::<CommentRow>);
        let mut comments: Vec<IssueComment> = rows.filter_map(comment).collect();
        comments.sort_by_key(|comment| comment.id);
        Ok(comments)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_comment_is_of_a_person_only_if_no_program_wrote_it() {
        let person = json!({ "login": "mona", "type": "User" });
        let bot = json!({ "login": "helper[bot]", "type": "Bot" });
        let (app, at, later) = (json!({ "id": 1 }), "2026-11-01T10:00:00Z", "2026-11-01T10:00:01Z");
        for (user, app, updated, expected) in [
            (&person, Value::Null, at, (Some("mona"), false)),
            (&person, Value::Null, later, (Some("mona"), true)),
            (&person, app.clone(), at, (None, false)),
            (&person, json!({ "slug": "helper" }), at, (None, false)),
            (&person, json!("helper"), at, (None, false)),
            (&bot, app, at, (None, false)),
            (&bot, Value::Null, at, (None, false)),
            (&Value::Null, Value::Null, at, (None, false)),
        ] {
            let row = json!({
                "id": 7, "body": "/beadle approve x", "user": user, "performed_via_github_app": app,
                "issue_url": "https://api.github.com/repos/acme/ops/issues/12", "html_url": "https://x",
                "created_at": at, "updated_at": updated,
            });
            let found = comment(shape(&row).unwrap()).unwrap();
            assert_eq!((found.person.as_deref(), found.is_edited), expected, "{row}");
            assert_eq!((found.id, found.issue), (7, 12));
        }
    }
}
