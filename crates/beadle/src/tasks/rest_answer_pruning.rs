//! Deletes the stored answers from GitHub that Beadle has not read for 30 days. For example, the
//! repository in the answer was deleted or renamed, or the policy or the configuration changed.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::{BackgroundTask, Clock, Failure, Metadata, Note, Store, StoreError, TaskStatus, Time};
use beadle_github::{kept_answers, last_read};
use serde::{Deserialize, Serialize};

use super::{LOOK, REMOTE};
use crate::app::service::Service;

/// The time between two searches for answers that Beadle no longer reads.
const EVERY: Duration = Duration::from_secs(24 * 3600);
/// The time for which Beadle keeps an answer after the last read of the answer. The time is long,
/// because somebody might restore a deleted repository.
const DELAY: Duration = Duration::from_secs(30 * 24 * 3600);
/// The number of answers in one page. All answers of a page are in memory at the same time, and one
/// answer might need several hundred kilobytes.
const PAGE: u32 = 25;
/// The maximum number of pages that one run reads.
const PAGES: usize = 200;
/// The time after which a run begins no further page. The function on AWS has less than a minute
/// for its tasks.
const LONGEST: Duration = Duration::from_secs(10);

/// The task that deletes stored answers.
pub(super) struct RestAnswerPruning(pub(super) Arc<Service>);

#[async_trait]
impl BackgroundTask for RestAnswerPruning {
    fn name(&self) -> String {
        "REST answers".into()
    }

    fn period(&self) -> Duration {
        // The task runs once an hour, but a search is due only once a day. The store contains the
        // time of the last search.
        Duration::from_secs(3600)
    }

    fn timeout(&self) -> Duration {
        REMOTE
    }

    fn retry(&self) -> Duration {
        LOOK
    }

    async fn activate(&self) -> Result<TaskStatus, Failure> {
        let forgotten = forget_unread(self.0.store.as_ref(), self.0.clock()).await?;
        Ok(status(forgotten))
    }
}

fn status(forgotten: Forgotten) -> TaskStatus {
    let answers = match forgotten.deleted {
        1 => "1 answer deleted".to_owned(),
        deleted => format!("{deleted} answers deleted"),
    };
    if !forgotten.is_finished {
        return TaskStatus::Unfinished(format!("{answers}, the search continues"));
    }
    if forgotten.deleted == 0 { TaskStatus::Idle } else { TaskStatus::Done(answers) }
}

/// The result of one run.
#[derive(Clone, Copy)]
struct Forgotten {
    /// The number of deleted answers.
    deleted: u64,
    /// True if the search has seen all answers. If not, the next run continues the search.
    is_finished: bool,
}

/// The state of the search for answers that Beadle no longer reads. All processes with the same
/// store share this search.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Search {
    /// The time at which the first search started.
    first: Time,
    /// The time at which the last complete search ended.
    ended: Time,
    /// The last answer that an unfinished search has seen. Empty if there is no unfinished search.
    after: String,
}

impl Metadata for Search {
    const KIND: &'static str = "rest-retention";
}

impl Search {
    /// Returns whether a search is due or unfinished. If the time of the last search is in the
    /// future, the time comes from a wrong clock. In that case, a search is due.
    fn is_due(&self, now: Time) -> bool {
        !self.after.is_empty() || self.ended > now || now.since(self.ended) >= EVERY
    }

    /// Returns `true` if Beadle has not read an answer for 30 days. If an older version of Beadle
    /// stored the answer, the time of the last read is missing. A time in the future comes from a
    /// wrong clock. In both cases, the function uses the time of the first search instead.
    fn is_unread(&self, answer: &str, now: Time) -> bool {
        // The clocks of two processes can differ slightly, so a time that is a little in the future
        // is valid.
        let read = last_read(answer).filter(|read| *read <= now + EVERY).unwrap_or(self.first);
        now.since(read) >= DELAY
    }
}

/// If a search is due, deletes the stored answers that Beadle has not read for 30 days. One call
/// reads only a limited number of pages.
async fn forget_unread(store: &dyn Store, clock: &Clock) -> Result<Forgotten, StoreError> {
    let now = clock.now();
    let stored = Note::<Search>::of(&[]).get(store).await?.filter(|search| search.first <= now);
    let mut search = stored.unwrap_or_else(|| Search { first: now, ..Search::default() });
    let mut deleted = 0;
    if !search.is_due(now) {
        return Ok(Forgotten { deleted, is_finished: true });
    }
    for _ in 0..PAGES {
        deleted += forget_page(store, &mut search, now).await?;
        if search.after.is_empty() || clock.now().since(now) >= LONGEST {
            break;
        }
    }
    Ok(Forgotten { deleted, is_finished: search.after.is_empty() })
}

/// Searches one page, and stores the beginning of the next page. If the run fails or is cancelled,
/// the next run continues at the stored page. Returns the number of deleted answers.
async fn forget_page(store: &dyn Store, search: &mut Search, now: Time) -> Result<u64, StoreError> {
    let mut page = store.notes_page(&kept_answers(), &search.after, PAGE).await?;
    let mut deleted = 0;
    for (name, answer) in &page {
        if search.is_unread(answer, now) {
            store.forget(name).await?;
            deleted += 1;
        }
    }
    let is_last = page.len() < PAGE as usize;
    search.after = page.pop().map(|(name, _)| name).filter(|_| !is_last).unwrap_or_default();
    if is_last {
        search.ended = now;
    }
    Note::<Search>::of(&[]).put(store, search).await?;
    Ok(deleted)
}

#[cfg(test)]
mod tests {
    use beadle_engine::store::prelude::*;
    use beadle_store_sqlite::{SqliteSettings, SqliteStore};

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);
    const NOW: Time = Time(1_000_000_000_000);

    #[test]
    fn an_answer_is_deleted_thirty_days_after_its_last_read() {
        let search = Search { first: NOW, ..Search::default() };
        let read = |at: Time| format!(r#"{{"etag":"a","read":{},"body":"[]"}}"#, at.0);
        assert!(!search.is_unread(&read(NOW - DELAY / 2), NOW));
        assert!(search.is_unread(&read(NOW - DELAY), NOW));
        assert!(!search.is_unread(&read(NOW + DELAY), NOW), "the clock was ahead");
        assert!(search.is_unread(&read(NOW + DELAY * 9), NOW + DELAY), "the clock was ahead");
        for old in [r#"{"etag":"a","body":"[]"}"#, "damaged"] {
            assert!(!search.is_unread(old, NOW + DELAY / 2) && search.is_unread(old, NOW + DELAY));
        }
    }

    #[test]
    fn a_search_is_due_once_a_day_and_goes_on_until_it_ends() {
        let ended = Search { first: NOW, ended: NOW, after: String::new() };
        assert!(!ended.is_due(NOW + EVERY / 2) && ended.is_due(NOW + EVERY));
        assert!(ended.is_due(NOW - EVERY), "the clock was ahead");
        assert!(Search { after: "rest:acme:x".into(), ..ended }.is_due(NOW));
    }

    #[tokio::test(start_paused = true)]
    async fn unread_answers_go_and_all_other_notes_stay() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open_inline(&folder.path().join("b.db"), SqliteSettings::default()).unwrap();
        let now = NOW;
        for n in 0..60 {
            let read = if n % 2 == 0 { now } else { now - DAY * 29 };
            let answer = format!(r#"{{"etag":"a","read":{},"body":"[]"}}"#, read.0);
            store.put(&format!("rest:acme:repos/acme/r{n:02}/hooks"), &answer).await.unwrap();
        }
        store.put("rest:acme:repos/acme/old/hooks", r#"{"etag":"a","body":"[]"}"#).await.unwrap();
        for other in ["rest", "rest-other", "rest;", "reached:acme:1"] {
            store.put(other, "{}").await.unwrap();
        }
        let deleted = async |now: Time| {
            let forgotten = forget_unread(&store, &Clock::simulated(now)).await.unwrap();
            assert!(forgotten.is_finished);
            forgotten.deleted
        };
        assert_eq!(deleted(now).await, 0);
        assert_eq!(deleted(now + DAY / 2).await, 0, "the next search is not due");
        assert_eq!(deleted(now + DAY * 2).await, 30);
        let left = store.notes("rest:").await.unwrap();
        assert_eq!(left.len(), 31);
        assert!(left.iter().all(|(name, _)| name != "rest:acme:repos/acme/r01/hooks"));
        assert_eq!(deleted(now + DAY * 30).await, 31);
        assert!(store.notes("rest:").await.unwrap().is_empty());
        // The store contains the remaining answers, and the note with the state of the search.
        assert_eq!(store.notes("").await.unwrap().len(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_search_continues_behind_the_last_page_of_a_run_that_did_not_end() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open_inline(&folder.path().join("b.db"), SqliteSettings::default()).unwrap();
        for n in 0..30 {
            let answer = format!(r#"{{"etag":"a","read":{},"body":"[]"}}"#, NOW.0);
            store.put(&format!("rest:acme:repos/acme/r{n:02}/hooks"), &answer).await.unwrap();
        }
        let stored = async || Note::<Search>::of(&[]).get(&store).await.unwrap();
        let mut search = Search { first: NOW, ..Search::default() };
        assert_eq!(forget_page(&store, &mut search, NOW).await, Ok(0));
        assert_eq!(stored().await, Some(search.clone()));
        assert_eq!(search.after, "rest:acme:repos/acme/r24/hooks");
        assert!(forget_unread(&store, &Clock::simulated(NOW)).await.unwrap().is_finished);
        assert_eq!(stored().await, Some(Search { first: NOW, ended: NOW, after: String::new() }));
    }

    #[test]
    fn an_unfinished_search_continues_soon() {
        let of = |deleted, is_finished| status(Forgotten { deleted, is_finished });
        assert_eq!(of(0, true), TaskStatus::Idle);
        assert_eq!(of(1, true), TaskStatus::Done("1 answer deleted".into()));
        let unfinished = "2 answers deleted, the search continues";
        assert_eq!(of(2, false), TaskStatus::Unfinished(unfinished.into()));
    }
}
