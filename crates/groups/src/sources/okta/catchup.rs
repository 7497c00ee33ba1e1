//! What hooks lost: the System Log, read on from where it was left, and groups whose members changed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use beadle_engine::{Accepted, Class, Clock, Failure, Key, Lane, Mark, Store, Time};
use beadle_okta::{Okta, Since};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Events may be recorded late: after a break the log is read from a little before.
const OVERLAP: Duration = Duration::from_secs(300);
/// Okta keeps its log for so long.
const KEPT: Duration = Duration::from_secs(90 * 24 * 3600);
/// Pages in one look; the rest is read at the next.
const MOST_PAGES: usize = 100;

/// Where the log was left.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Note {
    cursor: Option<String>,
    until: Time,
}

/// Reads one directory's log.
pub struct Catchup {
    /// The directory.
    pub okta: Okta,
    /// The inbox.
    pub store: Arc<dyn Store>,
    /// Time.
    pub clock: Clock,
}

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caught {
    /// Events that no hook had brought.
    pub missed: u64,
    /// The log did not reach back far enough: a sweep that covers it is marked.
    pub beyond: bool,
}

impl Catchup {
    /// Reads on. The first time there is nothing to catch up with: the first sweep covers all.
    pub async fn read_on(&self) -> Result<Caught, Failure> {
        let name = format!("log:{}", self.okta.name());
        let now = self.clock.now();
        let mut caught = Caught::default();
        let note = self.store.get(&name).await?.and_then(|text| serde_json::from_str::<Note>(&text).ok());
        let mut note = note.unwrap_or(Note { cursor: None, until: now });
        caught.beyond = note.until + KEPT < now;
        let mut gap = caught.beyond;
        for _ in 0..MOST_PAGES {
            let since = match &note.cursor {
                Some(cursor) => Since::Cursor(cursor.clone()),
                None => Since::Time(note.until - OVERLAP),
            };
            let page = match self.okta.events(&since).await {
                // A cursor that is no longer taken, or leads elsewhere: from the time where it was left.
                Err(failure) if failure.class == Class::Rejected && note.cursor.is_some() => {
                    note.cursor = None;
                    continue;
                }
                page => page?,
            };
            for event in &page.events {
                let Some((delivery, marks)) = event.stored(self.okta.name(), now) else {
                    // The event cannot be recognised later; its targets are marked all the same.
                    self.store.mark(event.marks(self.okta.name()), now).await?;
                    continue;
                };
                let marked = !marks.is_empty();
                if self.store.accept(delivery, marks).await? == Accepted::Stored && marked {
                    caught.missed += 1;
                }
            }
            if gap {
                // Before the new place is stored: after that nobody sees the gap.
                let sweep = Mark::new(Key::new("sweep", self.okta.name(), "groups"), Lane::Sweep);
                self.store.mark(vec![sweep], now).await?;
                gap = false;
            }
            // Only now: what was read before a kill is read again, and known.
            let until = if page.is_full { note.until } else { now };
            note = Note { cursor: page.next.or(note.cursor), until };
            self.store.put(&name, &json!(note).to_string()).await?;
            if !page.is_full {
                break;
            }
        }
        Ok(caught)
    }

    /// Marks the groups whose members changed since the last look: a cheap look between sweeps.
    pub async fn probe(&self) -> Result<usize, Failure> {
        let name = format!("changed:{}", self.okta.name());
        let now = self.clock.now();
        let noted = self.store.get(&name).await?.and_then(|text| serde_json::from_str::<Changed>(&text).ok());
        let before = noted.unwrap_or(Changed { latest: now, seen: BTreeMap::new() });
        // From a little before: a change may be shown late, or have the time of one that was seen.
        let changed = self.okta.groups_changed_since(&(before.latest - OVERLAP).to_string()).await?;
        let mut after = Changed { latest: before.latest, seen: BTreeMap::new() };
        let mut marks = Vec::new();
        for group in changed {
            let at = group.members_changed.unwrap_or_default();
            if before.seen.get(&group.id) != Some(&at) {
                marks.push(Mark::new(Key::new("group", self.okta.name(), &group.id), Lane::Sweep));
            }
            // The directory's own clock, so that ours may be wrong.
            if let Ok(time) = at.parse::<jiff::Timestamp>() {
                after.latest = after.latest.max(Time(time.as_millisecond()));
            }
            after.seen.insert(group.id, at);
        }
        let count = marks.len();
        if count > 0 {
            self.store.mark(marks, now).await?;
        }
        if after != before {
            self.store.put(&name, &json!(after).to_string()).await?;
        }
        Ok(count)
    }
}

/// What was seen of changed groups.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Changed {
    /// When the last of them changed, as the directory says.
    latest: Time,
    /// When each of those that were shown last did.
    seen: BTreeMap<String, String>,
}
