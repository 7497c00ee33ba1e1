//! Finds changes that no event hook delivered. This code reads the new part of the System Log, and
//! lists the groups whose members changed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use beadle_engine::{
    Accepted, Class, Clock, Failure, Key, Lane, Mark, Metadata, Note, Store, StoreError, Time,
};
use beadle_okta::{Okta, Since};
use serde::{Deserialize, Serialize};

/// The overlap of two reads by time. Each read begins this much before the end of the previous
/// read, because Okta can record events late. A read by cursor has no overlap.
const OVERLAP: Duration = Duration::from_secs(300);
/// How long Okta keeps entries in its log.
const KEPT: Duration = Duration::from_secs(90 * 24 * 3600);
/// The maximum number of pages in one read. The next read continues after these pages.
const MOST_PAGES: usize = 100;

/// How far Beadle has read the log.
#[derive(Debug, Default, Serialize, Deserialize)]
struct LogPlace {
    cursor: Option<String>,
    until: Time,
}

impl Metadata for LogPlace {
    const KIND: &'static str = "log";
}

/// Finds the changes of one directory that were not delivered by an event hook.
pub struct Catchup {
    /// The client of the directory.
    pub okta: Okta,
    /// The store that has the inbox.
    pub store: Arc<dyn Store>,
    /// The clock of this process.
    pub clock: Clock,
}

/// The result of one read of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caught {
    /// The number of events that no event hook had delivered.
    pub missed: u64,
    /// True if Okta has already deleted some entries that Beadle did not read. In this case, Beadle
    /// has marked a sweep.
    pub beyond: bool,
}

impl Catchup {
    /// Reads the log from the place where the last read ended. The first read begins at the present
    /// time, because the first sweep covers everything before this time.
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
                // If Okta does not accept the cursor any more, or the cursor is not valid for this
                // directory, Beadle continues by time.
                Err(failure) if failure.class == Class::Rejected && place.cursor.is_some() => {
                    place.cursor = None;
                    continue;
                }
                page => page?,
            };
            for event in &page.events {
                let Some((delivery, marks)) = event.stored(self.okta.name(), now) else {
                    // An event without an id can arrive twice, and Beadle cannot recognise the
                    // repetition. So Beadle marks the keys of the event each time.
                    self.store.mark_readable(event.marks(self.okta.name()), now).await?;
                    continue;
                };
                let marked = !marks.is_empty();
                let accepted = match self.store.accept(delivery, marks).await {
                    Ok(accepted) => accepted,
                    // The next sweep marks the keys of this event. Later events must not wait until
                    // somebody has repaired the invalid row in the store.
                    Err(StoreError::Corrupt { why, .. }) => {
                        tracing::error!(directory = self.okta.name(), why, "event skipped");
                        continue;
                    }
                    Err(error) => return Err(error.into()),
                };
                if accepted == Accepted::Stored && marked {
                    caught.missed += 1;
                }
            }
            if gap {
                // Beadle marks the sweep before it stores the new place in the log, because the new
                // place no longer shows that events are missing.
                let sweep = Mark::new(Key::new("sweep", self.okta.name(), "groups"), Lane::Sweep);
                self.store.mark(vec![sweep], now).await?;
                gap = false;
            }
            // Beadle stores the new place after everything else. If the process is killed before
            // this last step, Beadle reads the same events again and recognises them by their ids.
            let until = if page.is_full { place.until } else { now };
            place = LogPlace { cursor: page.next.or(place.cursor), until };
            note.put(self.store.as_ref(), &place).await?;
            if !page.is_full {
                break;
            }
        }
        Ok(caught)
    }

    /// Marks the groups that got or lost members after the last read. This check costs few calls,
    /// so Beadle makes it between sweeps.
    pub async fn probe(&self) -> Result<usize, Failure> {
        let note = Note::<Changed>::of(&[self.okta.name()]);
        let now = self.clock.now();
        let noted = note.get(self.store.as_ref()).await?;
        let before = noted.unwrap_or(Changed { latest: now, seen: BTreeMap::new() });
        // The read begins some time before the last known change. Okta can show a change late, or
        // two changes can have the same time.
        let changed = self.okta.groups_changed_since(&(before.latest - OVERLAP).to_string()).await?;
        let mut after = Changed { latest: before.latest, seen: BTreeMap::new() };
        let mut marks = Vec::new();
        for group in changed {
            let at = group.members_changed.unwrap_or_default();
            if before.seen.get(&group.id) != Some(&at) {
                marks.push(Mark::new(Key::new("group", self.okta.name(), &group.id), Lane::Sweep));
            }
            // The time of a change comes from the directory's clock, so this comparison does not
            // use this machine's clock.
            if let Ok(time) = at.parse::<jiff::Timestamp>() {
                after.latest = after.latest.max(Time(time.as_millisecond()));
            }
            after.seen.insert(group.id, at);
        }
        let count = marks.len();
        if count > 0 {
            self.store.mark_readable(marks, now).await?;
        }
        if after != before {
            note.put(self.store.as_ref(), &after).await?;
        }
        Ok(count)
    }
}

/// The stored form of the changed groups that the last read showed.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Changed {
    /// The time of the newest change, by the directory's clock.
    latest: Time,
    /// Maps each group that the last read showed to the time of the group's last change.
    seen: BTreeMap<String, String>,
}

impl Metadata for Changed {
    const KIND: &'static str = "changed";
}
