//! Makes the common parts of two pages: the page of one repository, and the page of one group.
//! These parts are the place in the queue, the pauses, the changes that are not written, the holds
//! and the journal.

use std::collections::BTreeSet;

use beadle_engine::{
    Change, DriftCause, Entry, EntryKind, Hold, HoldList, Key, KeyState, Pause, Row, Store, StoreError, Time,
    UnwrittenChange, one_line,
};
use serde::Serialize;

use super::holds;
use super::journal;
use crate::pages::condition::Thing;
use crate::pages::facts::AskedLine;
use crate::pages::html::{Html, joined, long_text, text};
use crate::pages::lines::{Lines, changes_of_entries, changes_of_holds, of_entries, of_holds};
use crate::pages::link::Link;
use crate::pages::newest::newest;
use crate::pages::operation_forms::{pause_form, resume_form, retry_form};
use crate::pages::parts::{code, counted, link, moment, more, paragraph, section, state, states, table};
use crate::pages::queue_row::readable_row;
use crate::pages::unreadable::unreadable_list;
use crate::pages::write_results::WriteResults;
use crate::sign_in::{Role, ScopeRequest, Visitor};

/// The number of journal entries on the page.
const ENTRIES: usize = 50;

/// The parts of a page about the work on one key.
#[derive(Debug, Serialize)]
pub(in crate::pages) struct Work {
    /// The key's row in the queue. `None` if the store has no row for the key.
    queue: Option<Row>,
    /// Why this version cannot read the key's row. `None` if this version can read the row.
    unreadable_row: Option<String>,
    pauses: Vec<Pause>,
    /// The changes that the last run did not write. The gravest change comes first. The list is
    /// not always complete.
    unwritten: Vec<UnwrittenChange>,
    /// The number of unwritten changes that `unwritten` does not contain.
    more_unwritten: usize,
    holds: Vec<Hold>,
    /// The held changes of the key that this version cannot read.
    unreadable_holds: Vec<String>,
    /// The newest entries of the journal. The newest entry comes first.
    journal: Vec<Entry>,
    /// All older entries have smaller numbers than this. `None` if there are no older entries.
    older: Option<u64>,
    /// The policies behind the changes.
    #[serde(skip)]
    lines: Lines,
}

impl Work {
    /// Reads these parts for a key.
    pub(in crate::pages) async fn load(store: &dyn Store, key: &Key, now: Time) -> Result<Self, StoreError> {
        let found = newest(store, (key.as_str(), None), ENTRIES, &|_: &Entry| true).await?;
        let mut pauses = store.pauses(now).await?;
        pauses.retain(|pause| pause.covers(key));
        let HoldList { holds, unreadable } = store.all_holds_of(key).await?;
        let left = KeyState::get(store, key).await?;
        let pending = left.as_ref().map_or(0, |left| left.pending);
        let unwritten = match left {
            Some(left) => left.unwritten(store, key).await?,
            None => Vec::new(),
        };
        let (queue, unreadable_row) = readable_row(store, key).await?;
        Ok(Self {
            queue,
            unreadable_row,
            pauses,
            more_unwritten: pending.saturating_sub(unwritten.len()),
            unwritten,
            holds,
            unreadable_holds: unreadable,
            journal: found.entries,
            older: found.older,
            lines: Lines::default(),
        })
    }

    /// Returns the lines of the policies that asked for the held and the written changes.
    pub(in crate::pages) fn asked_lines(&self) -> BTreeSet<AskedLine> {
        let mut lines = of_holds(&self.holds);
        lines.append(&mut of_entries(&self.journal));
        lines
    }

    /// Returns the held and the written changes.
    pub(in crate::pages) fn changes(&self) -> Vec<&Change<()>> {
        let mut changes = changes_of_holds(&self.holds);
        changes.append(&mut changes_of_entries(&self.journal));
        changes
    }

    /// Returns the held changes.
    pub(in crate::pages) fn held(&self) -> Vec<&Hold> {
        self.holds.iter().collect()
    }

    /// Returns the journal entries.
    pub(in crate::pages) fn entries(&self) -> &[Entry] {
        &self.journal
    }

    /// Adds what Beadle knows about the lines, and returns the parts.
    pub(in crate::pages) fn with_lines(self, lines: Lines) -> Self {
        Self { lines, ..self }
    }

    /// Returns the facts about a repository or a group.
    pub(in crate::pages) fn facts(&self, own: &Thing, now: Time) -> Vec<(&'static str, Html)> {
        let mut rows =
            vec![("State", states(own)), ("Since", moment(own.since, now)), ("Key", code(&own.key))];
        if !own.why.is_empty() {
            rows.push(("Why", long_text(one_line(&own.why))));
        }
        for further in &own.further {
            let problem = [state(further.state.as_str()), text(" "), long_text(one_line(&further.why))];
            rows.push(("Further problem", joined(problem)));
        }
        if let Some(parked) = self.queue.as_ref().and_then(|row| row.parked.as_ref()) {
            rows.push(("Parked since", moment(parked.since, now)));
        }
        if let Some(row) = self.queue.as_ref().filter(|row| row.is_pending()) {
            rows.push(("Due since", moment(row.first_dirty, now)));
        }
        if let Some(error) = self.queue.as_ref().and_then(|row| row.last_error.as_ref()) {
            rows.push(("Last error", long_text(one_line(error))));
        }
        if let Some(why) = &self.unreadable_row {
            let why = format!("this version cannot read {}", one_line(why));
            rows.push(("Not in the queue", long_text(why)));
        }
        rows.extend(self.pauses.iter().map(|pause| ("Paused until", moment(pause.until, now))));
        rows
    }

    /// Returns the forms to pause, resume and retry the key. `scope` is the scope of the pause.
    pub(in crate::pages) fn actions(
        &self,
        key: &Key,
        scope: Option<&ScopeRequest>,
        visitor: Option<&Visitor>,
    ) -> Html {
        if visitor.is_none_or(|visitor| visitor.role < Role::Operator) {
            return Html::default();
        }
        let mut forms = vec![retry_form(visitor, key.as_str())];
        if let Some(scope) = scope {
            let is_paused = self.pauses.iter().any(|pause| pause.scope == key.as_str());
            forms.push(if is_paused { resume_form(visitor, scope) } else { pause_form(visitor, scope) });
        }
        section("Actions", forms)
    }

    /// Returns the changes that the last run did not write. The list is not always complete.
    pub(in crate::pages) fn pending(&self) -> &[UnwrittenChange] {
        &self.unwritten
    }

    /// Returns the list of the changes that the last run did not write. `links` contains the links
    /// of each change, in the order of [`Self::pending`]. `links` is empty if the changes have no
    /// links.
    pub(in crate::pages) fn unwritten(&self, links: &[Html]) -> Html {
        let columns = ["Change", "Risk", "Reason", "Asked by"];
        let row = |(at, change): (usize, &UnwrittenChange)| {
            unwritten_row(change, links.get(at).cloned().unwrap_or_default())
        };
        let rows: Vec<Vec<Html>> = self.unwritten.iter().enumerate().map(row).collect();
        let more = match self.more_unwritten {
            0 => Html::default(),
            // A run of an older version of Beadle stored no list.
            more if rows.is_empty() => {
                let count = counted(more, "change is", "changes are");
                return section("Not written", [paragraph([text(format!("{count} not written."))])]);
            }
            more => {
                paragraph([text(format!("{} not in this list.", counted(more, "change is", "changes are")))])
            }
        };
        let caption = "The changes that the last run did not write, the gravest first";
        section("Not written", [table(caption, &columns, rows, "The last run left no change."), more])
    }

    /// Returns the holds.
    pub(in crate::pages) fn holds(&self, now: Time) -> Html {
        let holds = holds::table_of(&self.holds, &self.lines, now, None);
        section("Holds", [holds, unreadable_list(&self.unreadable_holds)])
    }

    /// Returns the journal of the key. If there are no entries, returns the sentence `empty`.
    pub(in crate::pages) fn journal(
        &self,
        key: &Key,
        empty: &'static str,
        (now, visitor): (Time, Option<&Visitor>),
    ) -> Html {
        let older = self
            .older
            .map(|before| Link::to("/journal").with("key", key.as_str()).with("before", &before.to_string()));
        // The journal of a key has the results of its writes.
        let results = WriteResults::among(&self.journal);
        let entries = journal::rows((&self.journal, &self.lines, &results), &[], now, visitor);
        let entries = table("The newest entries first", &journal::COLUMNS, entries, empty);
        let writes = Link::to("/journal").with("kind", EntryKind::Intent.as_str()).with("key", key.as_str());
        let writes = paragraph([link(&writes, "Show only the writes")]);
        section("Journal", [writes, entries, more(older, "Older entries")])
    }
}

/// Returns the row of a change that the last run did not write.
fn unwritten_row(change: &UnwrittenChange, links: Html) -> Vec<Html> {
    let part = &change.part;
    let name = format!("{} {}", part.aspect, part.what);
    let title = match part.value_names() {
        values if values.is_empty() => text(name.trim_end()),
        values => joined([text(format!("{}: ", name.trim_end())), code(values)]),
    };
    let asked = change.asked.as_ref().map(code).unwrap_or_default();
    let held_as = change.digest.as_ref().map(|digest| joined([text(" as "), code(digest)]));
    let reason = joined([text(reason(change)), held_as.unwrap_or_default()]);
    vec![joined([title, links]), state(change.risk.as_str()), reason, asked]
}

/// Returns the reason why Beadle did not write a change.
fn reason(change: &UnwrittenChange) -> &'static str {
    match change.because {
        DriftCause::Mode if change.undone => {
            "Beadle only observes the values, because an operator undid them"
        }
        DriftCause::Mode => "the mode does not allow the change",
        DriftCause::Held => "the guard holds the change",
        DriftCause::Contested => "another writer undoes the change, and Beadle writes it again later",
        DriftCause::Blocked => "the change depends on another change that is not written",
        DriftCause::NotReached => "the run ended before the change",
        DriftCause::Failed => "the write failed",
    }
}

#[cfg(test)]
mod tests {
    use beadle_engine::{Lane, Limits, Mark, PolicyLocation, Report, Risk, Step, StepResult, testing};

    use super::*;
    use crate::exchange::store;
    use crate::pages::condition::of_key;

    #[tokio::test]
    async fn an_unreadable_row_of_the_queue_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder);
        let key = testing::hold(1).key;
        store.mark(vec![Mark::new(key.clone(), Lane::Event)], Time(1)).await.unwrap();
        let file = rusqlite::Connection::open(folder.path().join("beadle.db")).unwrap();
        file.execute("UPDATE work SET wanted = -1", []).unwrap();
        let report = Report {
            subject: "acme/r1".into(),
            steps: Vec::new(),
            unknowns: Vec::new(),
            skipped: None,
            failure: None,
        };
        KeyState::record(store.as_ref(), &key, &report, Time(1)).await.unwrap();
        let work = Work::load(store.as_ref(), &key, Time(5)).await.unwrap();
        let own = of_key(store.as_ref(), &key, Time(5)).await.unwrap().unwrap();
        let shown: String = work.facts(&own, Time(5)).iter().map(|(_, fact)| fact.as_str()).collect();
        assert!(shown.contains("the row of repository:acme:1: "), "{shown}");
    }

    #[tokio::test]
    async fn an_unreadable_hold_is_named_and_hides_no_other_hold_of_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder);
        let (shop, web) = (testing::hold(1).key, testing::hold(3).key);
        let second = Hold { key: shop.clone(), ..testing::hold(2) };
        let asked = vec![testing::hold(1), second, testing::hold(3)];
        let limits = Limits { removes: 0, ..Limits::default() };
        store.reserve(None, &limits, asked, Time(1)).await.unwrap().unwrap();
        let file = rusqlite::Connection::open(folder.path().join("beadle.db")).unwrap();
        file.execute("UPDATE hold SET hold = '{' WHERE digest = 'd1'", []).unwrap();
        let work = Work::load(store.as_ref(), &shop, Time(5)).await.unwrap();
        let digests: Vec<&str> = work.holds.iter().map(|hold| hold.digest.as_str()).collect();
        assert_eq!(digests, ["d2"]);
        let shown = work.holds(Time(5));
        assert!(shown.as_str().contains("the hold d1: "), "{}", shown.as_str());
        let other = Work::load(store.as_ref(), &web, Time(5)).await.unwrap();
        assert_eq!((other.holds.len(), other.unreadable_holds.len()), (1, 0));
    }

    /// Stores the state after a run with these results. Returns the list of unwritten changes.
    async fn unwritten_after(store: &dyn Store, results: &[StepResult]) -> String {
        let key = Key::new("repository", "acme", 7);
        let mut change = testing::change("labels", "label <triage>", &[Risk::Adds]);
        change.fields[0].asked = Some(PolicyLocation { file: "layers/labels.yml".into(), line: 4 });
        let step = |outcome: &StepResult| Step { change: change.clone(), outcome: outcome.clone() };
        let report = Report {
            subject: "acme/shop".into(),
            steps: results.iter().map(step).collect(),
            unknowns: Vec::new(),
            skipped: None,
            failure: None,
        };
        KeyState::record(store, &key, &report, Time(1)).await.unwrap();
        let work = Work::load(store, &key, Time(5)).await.unwrap();
        work.unwritten(&[]).as_str().to_owned()
    }

    #[tokio::test]
    async fn the_changes_that_are_not_written_have_their_reason_and_their_line() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder);
        let page = unwritten_after(store.as_ref(), &[StepResult::Withheld]).await;
        let parts =
            ["labels label &lt;triage&gt;: ", "the mode does not allow the change", "layers/labels.yml:4"];
        for part in parts {
            assert!(page.contains(part), "{part} in {page}");
        }
        assert!(!page.contains("not in this list"), "{page}");
        let many: Vec<StepResult> = (0..25).map(|_| StepResult::Withheld).collect();
        let page = unwritten_after(store.as_ref(), &many).await;
        assert!(page.contains("5 changes are not in this list."), "{page}");
        let held = StepResult::Held { digest: "8f0c".into(), why: "limit".into() };
        let page = unwritten_after(store.as_ref(), &[held]).await;
        assert!(page.contains("the guard holds the change as <code>8f0c</code>"), "{page}");
        let page = unwritten_after(store.as_ref(), &[StepResult::Written]).await;
        assert!(page.contains("The last run left no change."), "{page}");
    }
}
