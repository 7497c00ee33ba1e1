//! Deletes old records of controls. A report about a moment needs the newest record before that
//! moment. So Beadle keeps this record, even if it is very old.

use std::collections::HashSet;

use beadle_engine::{Store, StoreError, Time};

use super::gone::GONE;
use super::state::{ControlLines, ControlState};

/// The maximum number of notes in memory at the same time.
const PAGE: u32 = 1000;

/// Deletes old records, and returns the number of deleted records. The function keeps every record
/// that a report about a moment after `before` needs.
pub async fn prune_controls(store: &dyn Store, before: Time) -> Result<u64, StoreError> {
    let (mut used, mut deleted) = (HashSet::new(), 0);
    let notes = ControlState::of_all();
    let mut newest = Newest::default();
    let mut after = Some(String::new());
    while let Some(begin) = after {
        let (page, next) = notes.page(store, &begin, PAGE).await?;
        for (rest, state) in page {
            let Some((repository, _)) = rest.rsplit_once(':') else { continue };
            let is_old = newest.is_older(repository, state.at <= before);
            let is_over = state.at <= before && state.outside.as_deref() == Some(GONE);
            if is_old || is_over {
                store.forget(&format!("{}{rest}", notes.name())).await?;
                deleted += 1;
                continue;
            }
            let instance = repository.split_once(':').map_or(repository, |(instance, _)| instance);
            used.extend(state.lines.into_iter().map(|digest| format!("{instance}:{digest}")));
        }
        after = next;
    }
    let notes = ControlLines::of_all();
    let mut newest = Newest::default();
    let mut after = Some(String::new());
    while let Some(begin) = after {
        let (page, next) = notes.page(store, &begin, PAGE).await?;
        for (rest, lines) in page {
            let Some((part, _)) = rest.rsplit_once(':') else { continue };
            let is_old = newest.is_older(part, lines.at <= before);
            let is_over = lines.at <= before && !used.contains(part);
            if is_old || is_over {
                store.forget(&format!("{}{rest}", notes.name())).await?;
                deleted += 1;
            }
        }
        after = next;
    }
    Ok(deleted)
}

/// The object whose records the function is reading at the moment. The newest record comes first.
#[derive(Default)]
struct Newest {
    thing: String,
    /// True if the function has already seen a record of the object that is older than the limit.
    has_old: bool,
}

impl Newest {
    /// Returns whether no report needs a record. This is the case if the function has already seen
    /// a record of the same thing that is newer than this record, but older than the limit. The
    /// function sees the newest record of a thing first.
    fn is_older(&mut self, thing: &str, is_before: bool) -> bool {
        if self.thing != thing {
            thing.clone_into(&mut self.thing);
            self.has_old = false;
        }
        let had_old = self.has_old;
        self.has_old |= is_before;
        had_old
    }
}

#[cfg(test)]
mod tests {
    use beadle_store_sqlite::{SqliteSettings, SqliteStore};

    use super::*;

    fn state(at: i64, line: &str) -> ControlState {
        let lines = vec![line.to_owned()];
        ControlState { at: Time(at), subject: "acme/shop".into(), lines, ..ControlState::default() }
    }

    #[tokio::test]
    async fn the_newest_record_before_the_limit_stays_with_its_lines() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("beadle.db"), SqliteSettings::default()).unwrap();
        for state in [state(10, "a"), state(20, "b"), state(90, "c")] {
            ControlState::note("acme", "1", state.at).put(&store, &state).await.unwrap();
        }
        let gone = ControlState { outside: Some(GONE.to_owned()), ..state(15, "d") };
        ControlState::note("acme", "2", gone.at).put(&store, &gone).await.unwrap();
        for (digest, at) in [("a", 10), ("b", 5), ("b", 20), ("c", 90), ("x", 10), ("y", 90)] {
            let (at, file) = (Time(at), "settings.yml".to_owned());
            let lines = ControlLines { at, file, commit: "c".into(), controls: [].into() };
            ControlLines::note("acme", digest, at).put(&store, &lines).await.unwrap();
        }
        assert_eq!(prune_controls(&store, Time(50)).await.unwrap(), 5);
        let left = ControlState::of_all().list(&store).await.unwrap();
        let left: Vec<i64> = left.into_iter().map(|(_, state)| state.at.0).collect();
        assert_eq!(left, [90, 20], "a report about the time 50 needs the state of 20");
        let lines = ControlLines::of_all().list(&store).await.unwrap();
        let digests: Vec<(&str, i64)> =
            lines.iter().map(|(name, lines)| (name.split(':').nth(1).unwrap(), lines.at.0)).collect();
        assert_eq!(digests, [("b", 20), ("c", 90), ("y", 90)]);
        assert_eq!(prune_controls(&store, Time(50)).await.unwrap(), 0);
    }
}
