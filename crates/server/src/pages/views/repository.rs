//! `/repositories/ORG/NAME`: one repository.

use beadle_engine::{Entry, Hold, LastRun, Pause, Row, Store, Time};
use serde::Serialize;

use super::holds;
use super::journal;
use super::runs::REPOSITORY;
use crate::pages::asked::Refused;
use crate::pages::html::{Html, text};
use crate::pages::link::Link;
use crate::pages::newest::newest_of;
use crate::pages::parts::{code, facts, moment, more, section, state, table};
use crate::pages::view::View;

/// The number of entries of the journal on the page.
const ENTRIES: usize = 50;

/// One repository: its last run, its place in the queue, its holds and its journal.
#[derive(Debug, Serialize)]
pub(in crate::pages) struct Repository {
    last_run: LastRun,
    /// The key in the queue; `None` if the store has no row of the key.
    queue: Option<Row>,
    pauses: Vec<Pause>,
    holds: Vec<Hold>,
    /// The newest entries of the journal, with the newest one first.
    journal: Vec<Entry>,
    /// The number before which the older entries are; `None` if there are none.
    older: Option<u64>,
}

/// Reads one repository. `instances` are the names of the configured organisations.
pub(in crate::pages) async fn load(
    store: &dyn Store,
    (owner, name): (&str, &str),
    instances: &[String],
    now: Time,
) -> Result<Repository, Refused> {
    let subject = format!("{owner}/{name}");
    let instance = instances.iter().find(|instance| instance.eq_ignore_ascii_case(owner));
    let instance = instance.map_or(owner, String::as_str);
    let Some(last_run) = LastRun::of(store, (REPOSITORY, instance), &subject).await? else {
        let why =
            format!("Beadle has no run of a repository `{subject}`, or the repository has another name now");
        return Err(Refused::NotFound(why));
    };
    let newest = newest_of(store, last_run.key.as_str(), None, ENTRIES).await?;
    let mut pauses = store.pauses(now).await?;
    pauses.retain(|pause| pause.covers(&last_run.key));
    Ok(Repository {
        queue: store.row(&last_run.key).await?,
        pauses,
        holds: store.holds_of(&last_run.key).await?,
        journal: newest.entries,
        older: newest.older,
        last_run,
    })
}

impl View for Repository {
    const PLACE: &'static str = "/repositories";

    fn title(&self) -> String {
        self.last_run.subject.clone()
    }

    fn content(&self, now: Time) -> Vec<Html> {
        let run = &self.last_run;
        let mut rows = vec![
            ("State", state(run.state.as_str())),
            ("Last run", moment(run.at, now)),
            ("Key", code(&run.key)),
        ];
        if !run.why.is_empty() {
            rows.push(("Why", text(&run.why)));
        }
        if let Some(parked) = self.queue.as_ref().and_then(|row| row.parked.as_ref()) {
            rows.push(("Parked since", moment(parked.since, now)));
        }
        if let Some(row) = self.queue.as_ref().filter(|row| row.is_pending()) {
            rows.push(("Due since", moment(row.first_dirty, now)));
        }
        if let Some(error) = self.queue.as_ref().and_then(|row| row.last_error.as_ref()) {
            rows.push(("Last error", text(error)));
        }
        rows.extend(self.pauses.iter().map(|pause| ("Paused until", moment(pause.until, now))));
        let older = self.older.map(|before| {
            Link::to("/journal").with("key", run.key.as_str()).with("before", &before.to_string())
        });
        vec![
            facts(rows),
            section("Holds", [holds::table_of(&self.holds, now)]),
            section(
                "Journal",
                [
                    table(
                        "The newest entries first",
                        &journal::COLUMNS,
                        journal::rows(&self.journal, now),
                        "The journal has no entry of this repository.",
                    ),
                    more(older, "Older entries"),
                ],
            ),
        ]
    }
}
