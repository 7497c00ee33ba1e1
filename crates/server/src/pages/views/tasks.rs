//! `/tasks`: the background tasks.

use beadle_engine::{TaskRecord, TaskStatus, Time, one_line};
use serde::Serialize;

use crate::pages::html::{Html, joined, long_text, text};
use crate::pages::operation_forms::{reload_form, task_form};
use crate::pages::parts::{moment, state, table};
use crate::pages::view::View;
use crate::sign_in::Visitor;

/// The background tasks of this process.
#[derive(Debug, Serialize)]
pub(in crate::pages) struct Tasks {
    pub(in crate::pages) tasks: Vec<TaskRecord>,
    /// The signed-in person who looks at the page.
    #[serde(skip)]
    pub(in crate::pages) visitor: Option<Visitor>,
}

fn row(task: &TaskRecord, now: Time, visitor: Option<&Visitor>) -> Vec<Html> {
    let (name, what) = match (&task.failure, &task.last) {
        (Some(failure), _) => ("failing", failure.as_str()),
        (None, Some(TaskStatus::Done(what))) => ("done", what.as_str()),
        (None, Some(TaskStatus::Unfinished(what))) => ("unfinished", what.as_str()),
        (None, Some(TaskStatus::Idle)) => ("idle", ""),
        (None, None) => ("not run yet", ""),
    };
    vec![
        joined([text(&task.name), task_form(visitor, &task.name)]),
        state(name),
        long_text(one_line(what)),
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
        let visitor = self.visitor.as_ref();
        vec![
            table(
                "The background tasks of this process",
                &["Task", "State", "Result", "Last run", "Next run", "Runs"],
                self.tasks.iter().map(|task| row(task, now, visitor)).collect(),
                "This process has no background task.",
            ),
            reload_form(visitor),
        ]
    }
}
