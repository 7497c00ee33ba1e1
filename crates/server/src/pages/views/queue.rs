//! `/queue`: the keys that are due, claimed or parked.

use beadle_engine::{Depth, Lane, Pause, Row, Store, Time};
use serde::Serialize;

use crate::pages::asked::Refused;
use crate::pages::html::{Html, joined, text};
use crate::pages::parts::{code, facts, faint, moment, section, subject, table};
use crate::pages::view::View;

/// The number of keys of the page.
const ROWS: u32 = 200;

/// The queue.
#[derive(Debug, Serialize)]
pub(in crate::pages) struct Queue {
    depth: Depth,
    pauses: Vec<Pause>,
    /// The most urgent rows.
    rows: Vec<Row>,
}

/// Reads the queue.
pub(in crate::pages) async fn load(store: &dyn Store, now: Time) -> Result<Queue, Refused> {
    Ok(Queue {
        depth: store.depth(now).await?,
        pauses: store.pauses(now).await?,
        rows: store.rows(ROWS).await?,
    })
}

fn state(row: &Row, now: Time) -> &'static str {
    match (&row.parked, row.lease_until) {
        (Some(_), _) => "parked",
        (None, Some(until)) if until > now => "running",
        _ => "due",
    }
}

fn row(row: &Row, now: Time) -> Vec<Html> {
    let mut since = vec![moment(row.parked.as_ref().map_or(row.first_dirty, |parked| parked.since), now)];
    if let Some(due) = row.due_at().filter(|due| *due > now) {
        since.extend([faint(" next try "), moment(due, now)]);
    }
    let why = match &row.parked {
        Some(parked) => Some(&parked.why),
        None => row.last_error.as_ref(),
    };
    vec![
        subject(row.key.as_str(), ""),
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
                self.rows.iter().map(|of| row(of, now)).collect(),
                "No key is due, running or parked.",
            ),
            section(
                "Pauses",
                [table(
                    "Beadle changes nothing of these",
                    &["Paused", "Until"],
                    self.pauses.iter().map(pause).collect(),
                    "Nothing is paused.",
                )],
            ),
        ]
    }
}
