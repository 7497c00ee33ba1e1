//! Check runs: the results that an App shows at a commit.
//!
//! <https://docs.github.com/rest/checks/runs>

use beadle_engine::{Class, Failure, Lane};
use beadle_transport::{Method, Path};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::Api;
use crate::read::Reader;
use crate::refusal::{Asked, CHECKS};
use crate::shape::{object, optional, shape};

/// The maximum number of annotations that GitHub accepts in one request.
const ANNOTATIONS: usize = 50;

/// A check run of an App.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckRun {
    /// The id of the check run.
    pub id: u64,
    /// The id that the App gave to the check run. Only the App uses this id.
    pub external_id: String,
    /// True if the check run has a conclusion.
    pub is_completed: bool,
    /// The number of annotations that the check run already has. An update can only add
    /// annotations.
    pub annotations: u64,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conclusion {
    /// The change can be merged.
    Success,
    /// The change is wrong.
    Failure,
    /// A person must decide or repair something.
    ActionRequired,
    /// The check could not be completed in time.
    TimedOut,
    /// Beadle no longer needs the check of this commit.
    Cancelled,
}

impl Conclusion {
    /// Returns GitHub's name for this conclusion.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::ActionRequired => "action_required",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A remark at a line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// The path of the file in the repository.
    pub path: String,
    /// The number of the line. The first line is 1.
    pub line: u32,
    /// True if the remark is an error, false if it is a warning.
    pub is_error: bool,
    /// The text of the remark.
    pub message: String,
}

impl Annotation {
    fn body(&self) -> Value {
        json!({
            "path": self.path, "start_line": self.line, "end_line": self.line,
            "annotation_level": if self.is_error { "failure" } else { "warning" }, "message": self.message,
        })
    }
}

/// The texts that a check run shows at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckOutput {
    /// How the check ended.
    pub conclusion: Conclusion,
    /// The title, in one line.
    pub title: String,
    /// The summary in Markdown, at most 65,535 characters.
    pub summary: String,
    /// The annotations.
    pub annotations: Vec<Annotation>,
}

#[derive(Deserialize)]
struct CheckRunRow {
    id: u64,
    #[serde(default, deserialize_with = "optional")]
    external_id: Option<String>,
    status: String,
    #[serde(default, deserialize_with = "object")]
    output: Option<OutputRow>,
    #[serde(default, deserialize_with = "object")]
    app: Option<AppRow>,
}

#[derive(Deserialize)]
struct OutputRow {
    #[serde(default)]
    annotations_count: u64,
}

/// The App of a check run or of a comment.
#[derive(Deserialize)]
pub(crate) struct AppRow {
    pub(crate) id: u64,
}

impl From<CheckRunRow> for CheckRun {
    fn from(row: CheckRunRow) -> Self {
        Self {
            id: row.id,
            external_id: row.external_id.unwrap_or_default(),
            is_completed: row.status == "completed",
            annotations: row.output.map_or(0, |output| output.annotations_count),
        }
    }
}

fn check_run(row: &Value) -> Result<CheckRunRow, Failure> {
    let unreadable = || Failure::new(Class::Retry, "reading a check run: GitHub's answer has no id");
    shape(row).ok_or_else(unreadable)
}

impl Reader {
    /// Returns the latest check run with this name at a commit of a repository. The result is
    /// always a check run of the App `app`.
    pub async fn check_run(
        &self,
        repository: &str,
        commit: &str,
        name: &str,
        app: u64,
    ) -> Result<Option<CheckRun>, Failure> {
        let path = Path::at("repos").value(self.organisation()).value(repository).then("commits");
        let path = path.value(commit).then("check-runs").query("check_name", name);
        let path = path.query("app_id", app).query("per_page", 100);
        let asked =
            Asked { organisation: self.organisation(), repository, reference: None, permission: CHECKS };
        let answer = self.api().get(&path).await.map_err(|error| asked.explain(error))?;
        let answer: Value = answer.json().map_err(Failure::from)?;
        let mut latest: Option<CheckRun> = None;
        for row in answer["check_runs"].as_array().into_iter().flatten() {
            let row = check_run(row)?;
            let is_own = row.app.as_ref().is_some_and(|own| own.id == app);
            if is_own && latest.as_ref().is_none_or(|latest| latest.id < row.id) {
                latest = Some(row.into());
            }
        }
        Ok(latest)
    }
}

/// Writes check runs and comments for the pull requests of one repository. This type can write
/// nothing else.
#[derive(Clone)]
pub struct CheckWriter {
    api: Api,
    repository: String,
}

impl CheckWriter {
    /// Creates a writer for a repository of the connection's organisation.
    pub fn new(api: Api, repository: &str) -> Self {
        Self { api, repository: repository.to_owned() }
    }

    /// Returns a copy of the writer that sends its calls in this lane.
    #[must_use]
    pub fn in_lane(&self, lane: Lane) -> Self {
        Self { api: self.api.in_lane(lane), repository: self.repository.clone() }
    }

    /// Creates a check run that is in progress.
    pub async fn begin(&self, name: &str, commit: &str, external_id: &str) -> Result<CheckRun, Failure> {
        let body = json!({
            "name": name, "head_sha": commit, "external_id": external_id, "status": "in_progress",
        });
        let run = self.send((Method::POST, CHECKS), &self.path("check-runs"), body).await?;
        check_run(&run).map(CheckRun::from)
    }

    /// Sets a check run back to the state in progress.
    pub async fn begin_again(&self, id: u64) -> Result<(), Failure> {
        let body = json!({ "status": "in_progress" });
        self.send((Method::PATCH, CHECKS), &self.path("check-runs").id(id), body).await.map(drop)
    }

    /// Ends a check run. If `output` has many annotations, the writer sends several requests. The
    /// last request has the conclusion.
    pub async fn conclude(&self, id: u64, output: &CheckOutput) -> Result<(), Failure> {
        let mut batches = output.annotations.chunks(ANNOTATIONS).peekable();
        loop {
            let batch = batches.next().unwrap_or_default();
            let annotations: Vec<Value> = batch.iter().map(Annotation::body).collect();
            let shown = json!({
                "title": output.title, "summary": output.summary, "annotations": annotations,
            });
            let is_last = batches.peek().is_none();
            let body = if is_last {
                let conclusion = output.conclusion.as_str();
                json!({ "status": "completed", "conclusion": conclusion, "output": shown })
            } else {
                json!({ "status": "in_progress", "output": shown })
            };
            self.send((Method::PATCH, CHECKS), &self.path("check-runs").id(id), body).await?;
            if is_last {
                return Ok(());
            }
        }
    }

    /// Returns the repository's path, followed by a literal.
    pub(crate) fn path(&self, below: &'static str) -> Path {
        Path::at("repos").value(self.api.organisation()).value(&self.repository).then(below)
    }

    /// Sends a write. If the write fails, the error contains the permission that the write needs.
    pub(crate) async fn send(
        &self,
        (method, permission): (Method, &'static str),
        path: &Path,
        body: Value,
    ) -> Result<Value, Failure> {
        let (organisation, repository) = (self.api.organisation(), self.repository.as_str());
        let asked = Asked { organisation, repository, reference: None, permission };
        let answer = self.api.write(method, path, Some(body)).await;
        answer.map_err(|error| asked.explain(error))?.json().map_err(Failure::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_run_is_read_whatever_its_optional_fields_are() {
        let row = json!({
            "id": 4, "status": "completed", "external_id": "check:acme:5/7", "app": { "id": 1 },
            "output": { "annotations_count": 2 },
        });
        let run = CheckRun::from(check_run(&row).unwrap());
        let expected =
            CheckRun { id: 4, external_id: "check:acme:5/7".into(), is_completed: true, annotations: 2 };
        assert_eq!(run, expected);
        let bare =
            json!({ "id": 4, "status": "in_progress", "external_id": null, "app": null, "output": null });
        let run = CheckRun::from(check_run(&bare).unwrap());
        assert_eq!((run.external_id.as_str(), run.is_completed, run.annotations), ("", false, 0));
        assert!(check_run(&json!({ "status": "completed" })).is_err());
    }
}
