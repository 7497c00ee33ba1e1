//! Reads and writes the comment of an App on a pull request.
//!
//! <https://docs.github.com/rest/issues/comments>

use beadle_engine::Failure;
use beadle_transport::{Method, Path};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::checks::{AppRow, CheckWriter};
use crate::read::Reader;
use crate::refusal::{Asked, PULLS};
use crate::shape::{object, optional, shape};

/// A comment of an App.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    /// The id of the comment.
    pub id: u64,
    /// The text in Markdown.
    pub body: String,
}

#[derive(Deserialize)]
struct CommentRow {
    id: u64,
    #[serde(default, deserialize_with = "optional")]
    body: Option<String>,
    #[serde(default, deserialize_with = "object")]
    performed_via_github_app: Option<AppRow>,
}

/// Returns the first comment that begins with the marker, if the App wrote this comment. The
/// function checks the author, because other people can copy the marker.
fn own(rows: &[Value], app: u64, marker: &str) -> Option<Comment> {
    let mut rows = rows.iter().filter_map(shape::<CommentRow>);
    rows.find_map(|row| {
        let is_own = row.performed_via_github_app.is_some_and(|by| by.id == app);
        let body = row.body.filter(|body| is_own && body.starts_with(marker))?;
        Some(Comment { id: row.id, body })
    })
}

impl Reader {
    /// Returns a comment on a pull request. The author of the comment is the App `app`, and the
    /// comment begins with `marker`.
    pub async fn own_comment(
        &self,
        repository: &str,
        number: u64,
        app: u64,
        marker: &str,
    ) -> Result<Option<Comment>, Failure> {
        let path = Path::at("repos").value(self.organisation()).value(repository).then("issues");
        let path = path.id(number).then("comments?per_page=100");
        let asked =
            Asked { organisation: self.organisation(), repository, reference: None, permission: PULLS };
        let rows = self.api().list_anew(&path).await;
        let rows: Vec<Value> = rows.map_err(|error| asked.explain(error))?;
        Ok(own(&rows, app, marker))
    }
}

impl CheckWriter {
    /// Adds a comment to a pull request.
    pub async fn comment(&self, number: u64, body: &str) -> Result<(), Failure> {
        let path = self.path("issues").id(number).then("comments");
        self.send((Method::POST, PULLS), &path, json!({ "body": body })).await.map(drop)
    }

    /// Replaces the text of a comment.
    pub async fn update_comment(&self, id: u64, body: &str) -> Result<(), Failure> {
        let path = self.path("issues/comments").id(id);
        self.send((Method::PATCH, PULLS), &path, json!({ "body": body })).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_comment_of_the_app_with_the_marker_is_its_own() {
        let comment = |id: u64, app: Value, body: &str| json!({ "id": id, "body": body, "performed_via_github_app": app });
        let (ours, other) = (json!({ "id": 1 }), json!({ "id": 2 }));
        let rows = [
            comment(10, Value::Null, "<!-- m -->\ncopied by a person"),
            comment(11, other, "<!-- m -->\ncopied by another App"),
            comment(12, ours.clone(), "about something else <!-- m -->"),
            comment(13, ours.clone(), "<!-- m -->\nfirst"),
            comment(14, ours, "<!-- m -->\nsecond"),
        ];
        assert_eq!(own(&rows, 1, "<!-- m -->").map(|comment| comment.id), Some(13));
        assert_eq!(own(&rows[..3], 1, "<!-- m -->"), None);
    }
}
