//! `/repositories/ORG/NAME`: one repository.

use beadle_engine::{Entry, Hold, Pause, Row, Store, Time};
use serde::Serialize;

use super::holds;
use super::journal;
use super::things::REPOSITORY;
use crate::pages::asked::Refused;
use crate::pages::condition::{Thing, called};
use crate::pages::html::{Html, text};
use crate::pages::link::Link;
use crate::pages::newest::newest;
use crate::pages::parts::{code, facts, moment, more, section, state, table};
use crate::pages::view::View;

/// The number of entries of the journal on the page.
const ENTRIES: usize = 50;

/// One repository: its state, its place in the queue, its holds and its journal.
#[derive(Debug, Serialize)]
pub(in crate::pages) struct RepositoryPage {
    repository: Thing,
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
) -> Result<RepositoryPage, Refused> {
    let subject = format!("{owner}/{name}");
    let instance = instances.iter().find(|instance| instance.eq_ignore_ascii_case(owner));
    let found = match instance {
        Some(instance) => called(store, REPOSITORY, (instance, subject.as_str())).await?,
        None => None,
    };
    let Some(repository) = found else {
        let why =
            format!("Beadle has no run of a repository `{subject}`, or the repository has another name now");
        return Err(Refused::NotFound(why));
    };
    let found = newest(store, (repository.key.as_str(), None), ENTRIES, &|_: &Entry| true).await?;
    let mut pauses = store.pauses(now).await?;
    pauses.retain(|pause| pause.covers(&repository.key));
    Ok(RepositoryPage {
        queue: store.row(&repository.key).await?,
        pauses,
        holds: store.holds_of(&repository.key).await?,
        journal: found.entries,
        older: found.older,
        repository,
    })
}

impl View for RepositoryPage {
    const PLACE: &'static str = "/repositories";

    fn title(&self) -> String {
        self.repository.subject.clone()
    }

    fn content(&self, now: Time) -> Vec<Html> {
        let own = &self.repository;
        let mut rows = vec![
            ("State", state(own.state.as_str())),
            ("Since", moment(own.since, now)),
            ("Key", code(&own.key)),
        ];
        if !own.why.is_empty() {
            rows.push(("Why", text(&own.why)));
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
            Link::to("/journal").with("key", own.key.as_str()).with("before", &before.to_string())
        });
        vec![
            facts(rows),
            section("Holds", [holds::table_of(&self.holds, now, None)]),
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
