//! Tells open pages that their values changed. Reads the store once for all open pages together.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use beadle_engine::{Clock, Driver, History, RowList, Store, StoreError, TaskRecord, Time};
use serde::Serialize;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::places::Places;
use super::views::queue::ROWS;

/// The minimum time between two looks at the store. This limit is for all open pages together.
const PERIOD: Duration = Duration::from_secs(2);
/// The maximum time that a look waits for the store.
const PATIENCE: Duration = Duration::from_secs(10);

/// A page that replaces its values in the browser when they change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Overview,
    Holds,
    Queue,
    Tasks,
}

impl Part {
    const ALL: [Self; 4] = [Self::Overview, Self::Holds, Self::Queue, Self::Tasks];

    /// Returns the name of the page, as the address of the page's events contains it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Overview => "overview",
            Self::Holds => "holds",
            Self::Queue => "queue",
            Self::Tasks => "tasks",
        }
    }

    /// Returns the page with this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.as_str() == name)
    }
}

/// The versions of the pages. If the values of a page change, the version of the page changes too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Versions {
    overview: u64,
    holds: u64,
    queue: u64,
    tasks: u64,
}

impl Versions {
    fn of(self, part: Part) -> String {
        let version = match part {
            Part::Overview => self.overview,
            Part::Holds => self.holds,
            Part::Queue => self.queue,
            Part::Tasks => self.tasks,
        };
        format!("{version:016x}")
    }

    /// Reads only values that are cheap to read. The function reads no state of a repository and no
    /// held change. These values are enough, because a run that changes a state also changes the
    /// journal or the queue.
    async fn read(store: &dyn Store, tasks: &[TaskRecord], now: Time) -> Result<Self, StoreError> {
        let holds = store.holds_version().await?;
        let RowList { rows, unreadable, .. } = store.all_rows(ROWS).await?;
        let (depth, pauses) = (store.depth(now).await?, store.pauses(now).await?);
        let newest = store.newest_entries(History { limit: 1, ..History::default() }).await?;
        let newest = newest.first().map(|entry| entry.seq);
        // A renewed lease does not count as a change.
        let keys: Vec<_> = rows
            .iter()
            .map(|row| {
                let is_running = row.lease_until.is_some_and(|until| until > now);
                (row.key.as_str(), row.lane, is_running, &row.parked, row.attempts, &row.last_error)
            })
            .collect();
        let troubled = rows.iter().filter(|row| row.parked.is_some() || row.last_error.is_some());
        let troubled: Vec<_> = troubled.map(|row| (row.key.as_str(), &row.parked, &row.last_error)).collect();
        let failing = tasks.iter().filter_map(|task| Some((&task.name, task.failure.as_ref()?)));
        let failing: Vec<_> = failing.collect();
        let counts = (depth.due, depth.leased, depth.parked);
        Ok(Self {
            overview: hash(&(&holds, newest, counts, &pauses, troubled, &unreadable, failing)),
            holds: hash(&holds),
            queue: hash(&(keys, &unreadable, depth, &pauses)),
            tasks: hash(&tasks),
        })
    }
}

/// Returns a hash of the values. Equal values have the same hash in every process.
fn hash(values: &impl Serialize) -> u64 {
    let mut hasher = DefaultHasher::new();
    serde_json::to_vec(values).unwrap_or_default().hash(&mut hasher);
    hasher.finish()
}

/// Returns whether a look at this time is new enough. A look whose time is in the future is not new
/// enough, because the clock was ahead at that time.
fn is_fresh(at: Option<Time>, now: Time) -> bool {
    at.is_some_and(|at| at <= now && now.since(at) < PERIOD)
}

/// The latest look at the store.
#[derive(Debug, Default)]
struct Look {
    /// The time of the look, even if it failed.
    at: Option<Time>,
    /// The result of the latest successful look.
    found: Option<Versions>,
}

/// Watches the store for the open pages of a service.
pub struct Live {
    store: Arc<dyn Store>,
    /// The source of the current time.
    pub(super) clock: Clock,
    driver: Driver,
    /// Ends all events if the service stops or begins to use a new configuration.
    pub(super) stop: CancellationToken,
    /// The places for open pages.
    pub(super) places: Arc<Places>,
    last: Mutex<Look>,
}

impl Live {
    /// Creates a watcher. The watcher looks at the store only when a caller asks for a version.
    /// `stop` ends all events.
    pub fn new(store: Arc<dyn Store>, clock: Clock, driver: Driver, stop: CancellationToken) -> Self {
        Self { store, clock, driver, stop, places: Arc::default(), last: Mutex::default() }
    }

    /// Returns the version of the values on a page. Returns `None` if the store has not answered
    /// yet. If several callers ask at the same time, they share one look. The next look is not
    /// earlier than [`PERIOD`] after this look.
    pub(super) async fn version(&self, part: Part) -> Option<String> {
        let mut last = self.last.lock().await;
        let now = self.clock.now();
        if !is_fresh(last.at, now) {
            let tasks = self.driver.status();
            let look = Versions::read(self.store.as_ref(), &tasks, now);
            match tokio::time::timeout(PATIENCE, look).await {
                Ok(Ok(found)) => last.found = Some(found),
                Ok(Err(error)) => tracing::debug!(%error, "open pages not compared, retrying"),
                Err(_) => tracing::debug!("open pages not compared, the store does not answer"),
            }
            last.at = Some(self.clock.now());
        }
        last.found.map(|found| found.of(part))
    }
}

#[cfg(test)]
mod tests {
    use beadle_engine::guard::Decision;
    use beadle_engine::{Detail, Entry, EntryKind, Key, Lane, Limits, Mark, testing};

    use super::*;
    use crate::exchange;

    struct World {
        _folder: tempfile::TempDir,
        store: Arc<dyn Store>,
        live: Live,
    }

    impl World {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let (store, clock) = (exchange::store(&folder), Clock::simulated(Time(1_000_000)));
            let driver = Driver::new(store.clone(), clock.clone(), Vec::new());
            let live = Live::new(store.clone(), clock, driver, CancellationToken::new());
            Self { _folder: folder, store, live }
        }

        /// Waits for the period. Then returns the parts whose version differs from `before`.
        async fn changed(&self, before: &mut Vec<String>) -> Vec<&'static str> {
            self.live.clock.jump(2000);
            let mut now = Vec::new();
            for part in Part::ALL {
                now.push(self.live.version(part).await.unwrap());
            }
            let pairs = Part::ALL.into_iter().zip(now.iter().zip(before.iter()));
            let changed = pairs.filter(|(_, (now, before))| now != before).map(|(part, _)| part.as_str());
            let changed = changed.collect();
            *before = now;
            changed
        }
    }

    #[tokio::test]
    async fn each_change_reaches_the_pages_that_show_it() {
        let world = World::new();
        let (store, now) = (world.store.as_ref(), Time(1_000_000));
        let mut before = Vec::new();
        world.changed(&mut before).await;
        assert_eq!(world.changed(&mut before).await, [""; 0], "nothing changed");

        let limits = Limits { removes: 0, ..Limits::default() };
        store.reserve(None, &limits, [1, 2, 3].map(testing::hold).into(), now).await.unwrap();
        assert_eq!(world.changed(&mut before).await, ["overview", "holds"], "held");
        store.decide("d1", &Decision::reject("mona", Some("it stays")), now).await.unwrap();
        assert_eq!(world.changed(&mut before).await, ["overview", "holds"], "rejected");
        store.decide("d2", &Decision::approve("mona", None), now).await.unwrap();
        assert_eq!(world.changed(&mut before).await, ["overview", "holds", "queue"], "approved and due");
        store.release(store.holds_of(&testing::hold(3).key).await.unwrap()).await.unwrap();
        assert_eq!(world.changed(&mut before).await, ["overview", "holds"], "released");

        store.mark(vec![Mark::new(Key::new("repository", "acme", 8), Lane::Event)], now).await.unwrap();
        assert_eq!(world.changed(&mut before).await, ["overview", "queue"], "marked");
        store.pause("acme", Time(i64::MAX)).await.unwrap();
        assert_eq!(world.changed(&mut before).await, ["overview", "queue"], "paused");
        let entry = Entry {
            seq: 0,
            at: now,
            kind: EntryKind::Run,
            key: "-".into(),
            subject: String::new(),
            intent: None,
            trace: None,
            detail: Detail::from(serde_json::json!({ "n": 1 })),
        };
        store.journal(None, vec![entry], now).await.unwrap();
        assert_eq!(world.changed(&mut before).await, ["overview"], "an entry of the journal");
        store.put("process:1", "{}").await.unwrap();
        assert_eq!(world.changed(&mut before).await, [""; 0], "a note that no page shows");
    }

    #[test]
    fn a_look_is_fresh_for_a_period_and_a_look_of_the_future_is_not() {
        for (at, now, expected) in [
            (None, 5000, false),
            (Some(5000), 5000, true),
            (Some(5000), 6999, true),
            (Some(5000), 7000, false),
            (Some(5000), 4999, false),
        ] {
            assert_eq!(is_fresh(at.map(Time), Time(now)), expected, "{at:?} at {now}");
        }
    }

    #[test]
    fn every_page_has_its_own_name() {
        for part in Part::ALL {
            assert_eq!(Part::named(part.as_str()), Some(part));
        }
        assert_eq!(Part::named("journal"), None);
    }
}
