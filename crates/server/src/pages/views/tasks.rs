//! `/tasks`: the background tasks.

use beadle_engine::{TaskRecord, TaskStatus, Time};
use serde::Serialize;

use crate::pages::html::{Html, long_text, text};
use crate::pages::parts::{moment, state, table};
use crate::pages::view::View;

/// The background tasks of this process.
#[derive(Debug, Serialize)]
pub(in crate::pages) struct Tasks {
    pub(in crate::pages) tasks: Vec<TaskRecord>,
}

fn row(task: &TaskRecord, now: Time) -> Vec<Html> {
    let (name, what) = match (&task.failure, &task.last) {
        (Some(failure), _) => ("failing", failure.as_str()),
        (None, Some(TaskStatus::Done(what))) => ("done", what.as_str()),
        (None, Some(TaskStatus::Unfinished(what))) => ("unfinished", what.as_str()),
        (None, Some(TaskStatus::Idle)) => ("idle", ""),
        (None, None) => ("not run yet", ""),
    };
    vec![
        text(&task.name),
        state(name),
        long_text(what),
        task.ended.map(|ended| moment(ended, now)).unwrap_or_default(),
        moment(task.next, now),
        text(format!("{} ({} failed)", task.runs, task.failures)),
    ]
}

impl View for Tasks {
    const PLACE: &'static str = "/tasks";

    fn title(&self) -> String {
        "Tasks".to_owned()
    }

    fn content(&self, now: Time) -> Vec<Html> {
        vec![table(
            "The background tasks of this process",
            &["Task", "State", "Result", "Last run", "Next run", "Runs"],
            self.tasks.iter().map(|task| row(task, now)).collect(),
            "This process has no background task.",
        )]
    }
}
