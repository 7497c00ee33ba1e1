//! `/queue`: the keys that are due, claimed or parked.

use std::collections::BTreeSet;

use beadle_engine::{Depth, Key, Lane, Pause, Row, Store, Time};
use serde::Serialize;

use crate::pages::asked::Refused;
use crate::pages::html::{Html, joined, text};
use crate::pages::names::{Names, names};
use crate::pages::parts::{code, facts, faint, moment, named, section, table};
use crate::pages::view::View;

/// The number of keys of the page.
pub(in crate::pages) const ROWS: u32 = 80;

/// The queue.
#[derive(Debug, Serialize)]
pub(in crate::pages) struct Queue {
    depth: Depth,
    pauses: Vec<Pause>,
    /// The most urgent rows.
    rows: Vec<Row>,
    /// The names of the keys of the rows, as far as they are known.
    names: Names,
}

/// Reads the queue.
pub(in crate::pages) async fn load(store: &dyn Store, now: Time) -> Result<Queue, Refused> {
    let rows = store.rows(ROWS).await?;
    let keys: BTreeSet<&Key> = rows.iter().map(|row| &row.key).collect();
    let names = names(store, keys).await?;
    Ok(Queue { depth: store.depth(now).await?, pauses: store.pauses(now).await?, rows, names })
}

fn state(row: &Row, now: Time) -> &'static str {
    match (&row.parked, row.lease_until) {
        (Some(_), _) => "parked",
        (None, Some(until)) if until > now => "running",
        _ => "due",
    }
}

fn row(row: &Row, names: &Names, now: Time) -> Vec<Html> {
    let mut since = vec![moment(row.parked.as_ref().map_or(row.first_dirty, |parked| parked.since), now)];
    if let Some(due) = row.due_at().filter(|due| *due > now) {
        since.extend([faint(" next try "), moment(due, now)]);
    }
    let why = match &row.parked {
        Some(parked) => Some(&parked.why),
        None => row.last_error.as_ref(),
    };
    vec![
        named(&row.key, names),
        crate::pages::parts::state(state(row, now)),
        text(row.lane),
        joined(since),
        text(row.attempts),
        text(why.map_or("", String::as_str)),
    ]
}

impl View for Queue {
    const PLACE: &'static str = "/queue";

    fn title(&self) -> String {
        "Queue".to_owned()
    }

    fn content(&self, now: Time) -> Vec<Html> {
        let due = Lane::ALL.map(|lane| format!("{} {lane}", self.depth.lane(lane))).join(", ");
        let mut sums = vec![
            ("Due", text(due)),
            ("Running", text(self.depth.leased)),
            ("Parked", text(self.depth.parked)),
        ];
        sums.extend(self.depth.oldest.map(|oldest| ("Oldest due since", moment(oldest, now))));
        let pause = |pause: &Pause| vec![code(&pause.scope), moment(pause.until, now)];
        vec![
            facts(sums),
            table(
                "The parked and the most urgent keys",
                &["Key", "State", "Lane", "Since", "Attempts", "Why"],
                self.rows.iter().map(|of| row(of, &self.names, now)).collect(),
                "No key is due, running or parked.",
            ),
            section(
                "Pauses",
                [table(
                    "Beadle makes no change here until the end",
                    &["Paused", "Until"],
                    self.pauses.iter().map(pause).collect(),
                    "Nothing is paused.",
                )],
            ),
        ]
    }
}
