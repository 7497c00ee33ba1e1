//! Finds what hooks missed: reads the System Log from the last place on, and finds groups whose
//! members changed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use beadle_engine::{Accepted, Class, Clock, Failure, Key, Lane, Mark, Metadata, Note, Store, Time};
use beadle_okta::{Okta, Since};
use serde::{Deserialize, Serialize};

/// The overlap of two reads after a break, because Okta may record events late.
const OVERLAP: Duration = Duration::from_secs(300);
/// The time for which Okta keeps its log.
const KEPT: Duration = Duration::from_secs(90 * 24 * 3600);
/// The number of pages in one read. The next read continues.
const MOST_PAGES: usize = 100;

/// The place up to which Beadle has read the log.
#[derive(Debug, Default, Serialize, Deserialize)]
struct LogPlace {
    cursor: Option<String>,
    until: Time,
}

impl Metadata for LogPlace {
    const KIND: &'static str = "log";
}

/// Reads the log of one directory.
pub struct Catchup {
    /// The directory.
    pub okta: Okta,
    /// The store of the inbox.
    pub store: Arc<dyn Store>,
    /// The clock.
    pub clock: Clock,
}

/// The result of a read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caught {
    /// The number of events that no hook had brought.
    pub missed: u64,
    /// Whether the log did not reach back far enough. In that case Beadle marks a sweep.
    pub beyond: bool,
}

impl Catchup {
    /// Reads the log from the last place on. The first read finds nothing: the first sweep covers
    /// everything.
    pub async fn read_on(&self) -> Result<Caught, Failure> {
        let note = Note::<LogPlace>::of(&[self.okta.name()]);
        let now = self.clock.now();
        let mut caught = Caught::default();
        let noted = note.get(self.store.as_ref()).await?;
        let mut place = noted.unwrap_or(LogPlace { cursor: None, until: now });
        caught.beyond = place.until + KEPT < now;
        let mut gap = caught.beyond;
        for _ in 0..MOST_PAGES {
            let since = match &place.cursor {
                Some(cursor) => Since::Cursor(cursor.clone()),
                None => Since::Time(place.until - OVERLAP),
            };
            let page = match self.okta.events(&since).await {
                // Okta does not take the cursor any more, or it leads elsewhere: continue by time.
                Err(failure) if failure.class == Class::Rejected && place.cursor.is_some() => {
                    place.cursor = None;
                    continue;
                }
                page => page?,
            };
            for event in &page.events {
                let Some((delivery, marks)) = event.stored(self.okta.name(), now) else {
                    // The event has no id, so it cannot be recognised later. Its keys are marked
                    // all the same.
                    self.store.mark(event.marks(self.okta.name()), now).await?;
                    continue;
                };
                let marked = !marks.is_empty();
                if self.store.accept(delivery, marks).await? == Accepted::Stored && marked {
                    caught.missed += 1;
                }
            }
            if gap {
                // The mark comes before the new place, because nobody sees the gap after that.
                let sweep = Mark::new(Key::new("sweep", self.okta.name(), "groups"), Lane::Sweep);
                self.store.mark(vec![sweep], now).await?;
                gap = false;
            }
            // The place is stored last: after a kill, Beadle reads the events again and recognises
            // them.
            let until = if page.is_full { place.until } else { now };
            place = LogPlace { cursor: page.next.or(place.cursor), until };
            note.put(self.store.as_ref(), &place).await?;
            if !page.is_full {
                break;
            }
        }
        Ok(caught)
    }

    /// Marks the groups whose members changed since the last read: a cheap check between sweeps.
    pub async fn probe(&self) -> Result<usize, Failure> {
        let note = Note::<Changed>::of(&[self.okta.name()]);
        let now = self.clock.now();
        let noted = note.get(self.store.as_ref()).await?;
        let before = noted.unwrap_or(Changed { latest: now, seen: BTreeMap::new() });
        // The read overlaps the last one: a change may appear late, or have the same time as a
        // known change.
        let changed = self.okta.groups_changed_since(&(before.latest - OVERLAP).to_string()).await?;
        let mut after = Changed { latest: before.latest, seen: BTreeMap::new() };
        let mut marks = Vec::new();
        for group in changed {
            let at = group.members_changed.unwrap_or_default();
            if before.seen.get(&group.id) != Some(&at) {
                marks.push(Mark::new(Key::new("group", self.okta.name(), &group.id), Lane::Sweep));
            }
            // This is the directory's clock, so that this machine's clock may be wrong.
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
            note.put(self.store.as_ref(), &after).await?;
        }
        Ok(count)
    }
}

/// The changed groups of the last read.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Changed {
    /// The time of the last change, by the directory's clock.
    latest: Time,
    /// The time of the last change of each group that the last read showed.
    seen: BTreeMap<String, String>,
}

impl Metadata for Changed {
    const KIND: &'static str = "changed";
}
