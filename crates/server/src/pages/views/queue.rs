//! `/queue`: the keys that are due, claimed or parked.

use std::collections::BTreeSet;

use beadle_engine::{Depth, Key, Lane, Pause, Row, RowList, Store, Time, one_line};
use serde::Serialize;

use crate::pages::asked::Refused;
use crate::pages::facts::Facts;
use crate::pages::html::{Html, joined, text};
use crate::pages::names::{Names, names, paused_keys};
use crate::pages::operation_forms::{pause_choice, paused_scope, resume_form, retry_form, sweep_form};
use crate::pages::parts::{code, counted, facts, faint, moment, named, paragraph, paused, section, table};
use crate::pages::unreadable::unreadable_list;
use crate::pages::view::View;
use crate::sign_in::Visitor;

/// The number of keys on the page.
pub(in crate::pages) const ROWS: u32 = 80;

/// The queue.
#[derive(Debug, Serialize)]
pub(in crate::pages) struct Queue {
    depth: Depth,
    pauses: Vec<Pause>,
    /// The most urgent rows.
    rows: Vec<Row>,
    /// The rows that this version cannot read.
    unreadable: Vec<String>,
    /// The known names of the keys in the rows and pauses.
    names: Names,
    /// The names of the configured organisations.
    #[serde(skip)]
    organisations: Vec<String>,
    /// The names of the configured targets.
    #[serde(skip)]
    targets: Vec<String>,
    /// The signed-in person who looks at the page.
    #[serde(skip)]
    visitor: Option<Visitor>,
}

impl Queue {
    /// Sets the visitor of the page, and returns the page.
    pub(in crate::pages) fn for_visitor(self, visitor: Option<Visitor>) -> Self {
        Self { visitor, ..self }
    }
}

/// Reads the queue.
pub(in crate::pages) async fn load(
    store: &dyn Store,
    known: &dyn Facts,
    now: Time,
) -> Result<Queue, Refused> {
    let RowList { rows, unreadable, .. } = store.all_rows(ROWS).await?;
    let pauses = store.pauses(now).await?;
    let paused = paused_keys(&pauses);
    let keys: BTreeSet<&Key> = rows.iter().map(|row| &row.key).chain(&paused).collect();
    let names = names(store, keys).await?;
    let (organisations, targets) = (known.names(), known.targets());
    let depth = store.depth(now).await?;
    Ok(Queue { depth, pauses, rows, unreadable, names, organisations, targets, visitor: None })
}

/// Returns how many keys the page leaves out, and the command that lists them. `total` is the
/// number of all keys in the queue. Returns nothing if the page has all keys.
fn left_out(total: u64, shown: usize) -> Html {
    let left = usize::try_from(total).unwrap_or(usize::MAX).saturating_sub(shown);
    // If the page has room for further rows, the queue became longer after Beadle read the rows.
    if left == 0 || shown < ROWS as usize {
        return Html::default();
    }
    let keys = counted(left, "key is", "keys are");
    let command = code(format!("beadle queue --limit {total}"));
    paragraph([text(format!("{keys} not on this page. To list all keys: ")), command])
}

fn state(row: &Row, now: Time) -> &'static str {
    match (&row.parked, row.lease_until) {
        (Some(_), _) => "parked",
        (None, Some(until)) if until > now => "running",
        _ => "due",
    }
}

fn row(row: &Row, names: &Names, (now, visitor): (Time, Option<&Visitor>)) -> Vec<Html> {
    let mut since = vec![moment(row.parked.as_ref().map_or(row.first_dirty, |parked| parked.since), now)];
    if let Some(due) = row.due_at().filter(|due| *due > now) {
        since.extend([faint(" next try "), moment(due, now)]);
    }
    let why = match &row.parked {
        Some(parked) => Some(&parked.why),
        None => row.last_error.as_ref(),
    };
    let form = row.parked.as_ref().map(|_| retry_form(visitor, row.key.as_str())).unwrap_or_default();
    vec![
        joined([named(&row.key, names), form]),
        crate::pages::parts::state(state(row, now)),
        text(row.lane),
        joined(since),
        text(row.attempts),
        text(one_line(why.map_or("", String::as_str))),
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
        let visitor = self.visitor.as_ref();
        let sweep = sweep_form(visitor, &self.organisations);
        let sweep = if sweep == Html::default() { sweep } else { section("Sweep", [sweep]) };
        let pause = |pause: &Pause| {
            let name = self.names.get(&pause.scope).map(String::as_str);
            let scope = paused_scope(pause, name, (&self.organisations, &self.targets));
            let form = scope.map(|scope| resume_form(visitor, &scope)).unwrap_or_default();
            vec![joined([paused(pause, &self.names), form]), moment(pause.until, now)]
        };
        vec![
            facts(sums),
            table(
                "The parked and the most urgent keys",
                &["Key", "State", "Lane", "Since", "Attempts", "Why"],
                self.rows.iter().map(|of| row(of, &self.names, (now, visitor))).collect(),
                "No key is due, running or parked.",
            ),
            unreadable_list(&self.unreadable),
            left_out(self.depth.total(), self.rows.len() + self.unreadable.len()),
            section(
                "Pauses",
                [
                    table(
                        "Beadle makes no change here until the end",
                        &["Paused", "Until"],
                        self.pauses.iter().map(pause).collect(),
                        "Nothing is paused.",
                    ),
                    pause_choice(visitor, &self.organisations, &self.targets),
                ],
            ),
            sweep,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unreadable_row_is_named() {
        let page = Queue {
            depth: Depth::default(),
            pauses: Vec::new(),
            rows: Vec::new(),
            unreadable: vec!["the row of repository:acme:1: the text is not valid JSON".to_owned()],
            names: Names::default(),
            organisations: Vec::new(),
            targets: Vec::new(),
            visitor: None,
        };
        let shown: String = page.content(Time(2)).iter().map(Html::as_str).collect();
        assert!(shown.contains("the row of repository:acme:1: the text"), "{shown}");
    }

    #[test]
    fn a_page_of_a_long_queue_says_how_many_keys_are_missing() {
        let full = ROWS as usize;
        let shown = left_out(500, full);
        assert_eq!(
            shown.as_str(),
            "<p>420 keys are not on this page. To list all keys: <code>beadle queue --limit 500</code></p>"
        );
        assert_eq!(left_out(80, full), Html::default());
        assert_eq!(left_out(12, 10), Html::default(), "the queue became longer");
    }
}
