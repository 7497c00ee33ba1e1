//! Reads and writes the issues that an App created in one repository.
//!
//! <https://docs.github.com/rest/issues/issues>

use beadle_engine::Failure;
use beadle_transport::{Method, Path};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::Api;
use crate::checks::AppRow;
use crate::read::Reader;
use crate::refusal::{Asked, ISSUES};
use crate::shape::{object, optional, shape};

/// The label of all issues that Beadle creates. GitHub creates the label with the first issue.
const LABEL: &str = "beadle";

/// An open issue of an App.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// The number of the issue in its repository.
    pub number: u64,
    /// The text in Markdown.
    pub body: String,
}

#[derive(Deserialize)]
struct IssueRow {
    number: u64,
    #[serde(default, deserialize_with = "optional")]
    body: Option<String>,
    #[serde(default, deserialize_with = "object")]
    performed_via_github_app: Option<AppRow>,
}

/// Returns the issues that the App created. The function checks the author, because other people
/// can copy the text of an issue.
fn own(rows: &[Value], app: u64) -> Vec<Issue> {
    let rows = rows.iter().filter_map(shape::<IssueRow>);
    let own = rows.filter(|row| row.performed_via_github_app.as_ref().is_some_and(|by| by.id == app));
    own.map(|row| Issue { number: row.number, body: row.body.unwrap_or_default() }).collect()
}

impl Reader {
    /// Returns the open issues of a repository. The author of each issue is the App `app`, and each
    /// issue has Beadle's label.
    pub async fn own_issues(&self, repository: &str, app: u64) -> Result<Vec<Issue>, Failure> {
        let path = Path::at("repos").value(self.organisation()).value(repository).then("issues");
        let path = path.query("state", "open").query("labels", LABEL).query("per_page", 100);
        let asked =
            Asked { organisation: self.organisation(), repository, reference: None, permission: ISSUES };
        let rows = self.api().list_anew(&path).await;
        let rows: Vec<Value> = rows.map_err(|error| asked.explain(error))?;
        Ok(own(&rows, app))
    }
}

/// Writes issues of one repository. This type can write nothing else.
#[derive(Clone)]
pub struct IssueWriter {
    api: Api,
    repository: String,
}

impl IssueWriter {
    /// Creates a writer for a repository of the connection's organisation.
    pub fn new(api: Api, repository: &str) -> Self {
        Self { api, repository: repository.to_owned() }
    }

    /// Opens an issue with Beadle's label.
    pub async fn open(&self, title: &str, body: &str) -> Result<(), Failure> {
        let issue = json!({ "title": title, "body": body, "labels": [LABEL] });
        self.send(Method::POST, &self.path(), issue).await
    }

    /// Replaces the title and the text of an issue.
    pub async fn update(&self, number: u64, title: &str, body: &str) -> Result<(), Failure> {
        self.send(Method::PATCH, &self.path().id(number), json!({ "title": title, "body": body })).await
    }

    /// Closes an issue as completed, and replaces its text.
    pub async fn close(&self, number: u64, body: &str) -> Result<(), Failure> {
        let closed = json!({ "body": body, "state": "closed", "state_reason": "completed" });
        self.send(Method::PATCH, &self.path().id(number), closed).await
    }

    fn path(&self) -> Path {
        Path::at("repos").value(self.api.organisation()).value(&self.repository).then("issues")
    }

    async fn send(&self, method: Method, path: &Path, body: Value) -> Result<(), Failure> {
        let (organisation, repository) = (self.api.organisation(), self.repository.as_str());
        let asked = Asked { organisation, repository, reference: None, permission: ISSUES };
        let answer = self.api.write(method, path, Some(body)).await;
        answer.map(drop).map_err(|error| asked.explain(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_issue_of_the_app_is_its_own() {
        let issue = |number: u64, app: Value| json!({ "number": number, "body": null, "performed_via_github_app": app });
        let rows = [
            issue(10, Value::Null),
            issue(11, json!({ "id": 2 })),
            issue(12, json!({ "id": 1 })),
            json!({ "body": "without a number", "performed_via_github_app": { "id": 1 } }),
        ];
        assert_eq!(own(&rows, 1), [Issue { number: 12, body: String::new() }]);
    }
}
