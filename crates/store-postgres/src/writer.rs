//! The tasks that do the small writes. If requests arrive during a commit, the next transaction
//! commits them together. So these requests need only one sync of the server's disk.
//!
//! A request must not harm the other requests of its group. If a request is invalid, the group is
//! written without this request. If the server refuses the group, each request is written alone. If
//! another transaction keeps a row locked, the requests for this row wait together on one separate
//! connection.
//!
//! A transaction needs two round trips, regardless of the number of its requests. The first round
//! trip begins the transaction, stores deliveries and locks rows. The second round trip stores the
//! changed rows and journal entries, commits, and sends one notification. A key that has no row yet
//! needs two more round trips, which create its row.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use beadle_engine::{Entry, Key, Mark, Row, StoreError, Time, Timing};
use deadpool_postgres::{Client, Pool};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_postgres::error::SqlState;

use crate::failed::Failed;
use crate::inbox::{self, Arrived};
use crate::retry::repeat;
use crate::sql::{Call, get};
use crate::{journal, pipeline, rows};

/// The maximum number of requests in one group.
const GROUP: usize = 512;
/// The maximum size of a group, in bytes. No further request joins a larger group.
const FULL: usize = 16 * 1024 * 1024;
/// Begins the transaction of a group. If another transaction keeps a row locked, this row must not
/// delay the other requests of the group for long.
const HASTY: &str =
    "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL beadle.open = 'on'; SET LOCAL lock_timeout = '1s'";
/// Begins the transaction of a single request, after the group of this request failed. The other
/// requests wait for this transaction.
const BRIEF: &str =
    "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL beadle.open = 'on'; SET LOCAL lock_timeout = '100ms'";

/// The reason why a request has no result after a panic.
const PANICKED: &str = "the request panicked, the log shows where";

/// The parts that the writers need.
pub(crate) struct Shared {
    pub(crate) pool: Pool,
    /// The channel of the notifications.
    pub(crate) channel: String,
    pub(crate) timing: Timing,
}

/// A request that shares a transaction with other requests. The request changes only the rows that
/// the group has loaded.
pub(crate) trait Request: Send + Sync + 'static {
    /// The type of the value that the caller gets.
    type Output: Send + Sync + 'static;
    /// The action of the request. Errors contain this text.
    const DOING: &'static str;

    /// Returns the delivery to store, if there is one.
    fn arrived(&self) -> Option<&Arrived> {
        None
    }
    /// Returns the marks. If a marked key has no row, it gets one.
    fn marks(&self) -> &[Mark] {
        &[]
    }
    /// Returns the key if the request needs the row of the key. The row might not exist.
    fn key(&self) -> Option<&Key> {
        None
    }
    /// Changes the rows. If this function fails, the group is rolled back and runs again without
    /// this request.
    fn run(&self, loaded: &mut Loaded) -> Result<Self::Output, Failed>;
}

/// The values that the caller of a request gets after the commit.
pub(crate) struct Written<T> {
    /// The output of the request.
    pub(crate) output: T,
    /// The number of the first journal entry of the group. If the group has no entries, this number
    /// has no meaning.
    pub(crate) first: u64,
}

/// One request of any kind.
trait Work: Send + Sync {
    fn arrived(&self) -> Option<&Arrived>;
    fn marks(&self) -> &[Mark];
    fn key(&self) -> Option<&Key>;
    /// Runs the request inside the shared transaction. The request runs again if that transaction
    /// was rolled back. Returns whether the group can be committed with this request.
    fn run(&mut self, loaded: &mut Loaded) -> bool;
    /// Returns whether the last run of the request failed.
    fn has_failed(&self) -> bool;
    /// Sends the result to the caller after the commit. If the commit succeeded, `committed` is the
    /// number of the first journal entry of the group. If the run of the request failed, the caller
    /// gets the error of that run in any case.
    fn settle(self: Box<Self>, committed: Result<u64, &Failed>);
}

struct Job<R: Request> {
    request: R,
    output: Option<Result<R::Output, Failed>>,
    reply: oneshot::Sender<Result<Written<R::Output>, StoreError>>,
}

impl<R: Request> Work for Job<R> {
    fn arrived(&self) -> Option<&Arrived> {
        self.request.arrived()
    }

    fn marks(&self) -> &[Mark] {
        self.request.marks()
    }

    fn key(&self) -> Option<&Key> {
        self.request.key()
    }

    fn run(&mut self, loaded: &mut Loaded) -> bool {
        // If a request panics, the other requests of its group must not fail. The changed rows are
        // dropped with the group.
        let output = catch_unwind(AssertUnwindSafe(|| self.request.run(loaded)));
        let output = output.unwrap_or_else(|_| Err(Failed::Unusable(PANICKED.into())));
        self.output.insert(output).is_ok()
    }

    fn has_failed(&self) -> bool {
        matches!(self.output, Some(Err(_)))
    }

    fn settle(self: Box<Self>, committed: Result<u64, &Failed>) {
        let job = *self;
        let result = match (committed, job.output) {
            (_, Some(Err(failed))) => Err(failed.error(R::DOING)),
            (Ok(first), Some(Ok(output))) => Ok(Written { output, first }),
            (Err(failed), _) => Err(failed.error(R::DOING)),
            (Ok(_), None) => Err(gone(R::DOING)),
        };
        let _ = job.reply.send(result); // if the caller no longer waits, the write stays
    }
}

/// The rows that a group has locked, and the changes that its requests make.
pub(crate) struct Loaded {
    timing: Timing,
    rows: BTreeMap<Key, Row>,
    /// The keys of the rows that cannot be read, with the reasons.
    damaged: BTreeMap<String, String>,
    /// The deliveries that the group has stored and that no request has taken yet.
    arrived: BTreeSet<(String, String)>,
    changed: BTreeSet<Key>,
    entries: Vec<Entry>,
    wakes: bool,
}

impl Loaded {
    /// Returns whether this group has stored the delivery. A second request with the same delivery
    /// gets `false`.
    pub(crate) fn is_new(&mut self, arrived: &Arrived) -> bool {
        self.arrived.remove(&arrived.identity())
    }

    /// Returns the row of a key, if there is one.
    pub(crate) fn row(&self, key: &Key) -> Result<Option<&Row>, Failed> {
        match self.damaged.get(key.as_str()) {
            Some(why) => Err(Failed::Damaged(why.clone())),
            None => Ok(self.rows.get(key)),
        }
    }

    /// Makes keys due. Skips the rows that cannot be read, and returns their keys, each with the
    /// reason.
    pub(crate) fn mark(&mut self, marks: &[Mark], now: Time) -> Result<Vec<(String, String)>, Failed> {
        let mut damaged = Vec::new();
        for mark in marks {
            if let Some(why) = self.damaged.get(mark.key.as_str()) {
                damaged.push((mark.key.to_string(), why.clone()));
                continue;
            }
            let Some(before) = self.rows.get(&mark.key).cloned() else {
                return Err(Failed::Unusable(format!("the row of {} was deleted meanwhile", mark.key)));
            };
            let mut row = before.clone();
            row.mark(mark, now, &self.timing);
            // A claim skips the rows that this transaction has locked. If the row was due already,
            // a claim might have skipped the key. So the workers must check again.
            self.wakes |= before.due_at().is_some_and(|due| due <= now);
            self.change(&before, row, now);
        }
        Ok(damaged)
    }

    /// Stores a row that a request has changed.
    pub(crate) fn change(&mut self, before: &Row, row: Row, now: Time) {
        self.wakes |= row.wakes(before, now).is_some();
        self.changed.insert(row.key.clone());
        self.rows.insert(row.key.clone(), row);
    }

    /// Adds journal entries. Returns the position of the first new entry among the entries of the
    /// group.
    pub(crate) fn append(&mut self, entries: &[Entry]) -> u64 {
        let place = self.entries.len() as u64;
        self.entries.extend_from_slice(entries);
        place
    }

    /// Returns the durations that the queue uses.
    pub(crate) fn timing(&self) -> Timing {
        self.timing
    }
}

/// Writes requests in groups, on a separate task.
pub(crate) struct Writer(mpsc::Sender<Box<dyn Work>>);

impl Writer {
    /// Starts the task. When the writer is dropped, the task writes all remaining requests, and
    /// then ends.
    pub(crate) fn start(shared: &Arc<Shared>) -> Self {
        let (sender, receiver) = mpsc::channel(4 * GROUP);
        tokio::spawn(write_groups(shared.clone(), receiver));
        Self(sender)
    }

    /// Writes a request, and returns when the data is durable. If the caller stops waiting, the
    /// task still writes the request.
    pub(crate) async fn write<R: Request>(&self, request: R) -> Result<Written<R::Output>, StoreError> {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Job { request, output: None, reply });
        self.0.send(job).await.map_err(|_| gone(R::DOING))?;
        answer.await.map_err(|_| gone(R::DOING))?
    }
}

async fn write_groups(shared: Arc<Shared>, mut requests: mpsc::Receiver<Box<dyn Work>>) {
    let (late, waiting) = mpsc::channel(4 * GROUP);
    tokio::spawn(write_late(shared.clone(), waiting));
    let mut alone: Option<JoinHandle<()>> = None;
    while let Some(first) = requests.recv().await {
        let group = gather(first, &mut requests);
        let Err((group, failed)) = write(&shared, group, HASTY).await else { continue };
        // It would be useless to try each request alone.
        if failed.is_for_all() || (group.len() == 1 && !is_locked(&failed)) {
            settle(group, Err(&failed));
            continue;
        }
        // The requests of a failed group run one by one on a separate task, and the next group does
        // not wait for them. If the next group fails too, the next group waits for the end of this
        // task. Further requests then wait in the channel, which has a limited size.
        if let Some(before) = alone.take() {
            let _ = before.await; // after a panic, the log shows it and the callers got an error
        }
        alone = Some(tokio::spawn(write_alone(shared.clone(), group, Some(late.clone()))));
    }
}

/// Returns a group of the requests that wait now.
fn gather(first: Box<dyn Work>, requests: &mut mpsc::Receiver<Box<dyn Work>>) -> Vec<Box<dyn Work>> {
    let mut bytes = size(first.as_ref());
    let mut group = vec![first];
    while group.len() < GROUP && bytes < FULL {
        let Ok(next) = requests.try_recv() else { break };
        bytes += size(next.as_ref());
        group.push(next);
    }
    group
}

/// Returns whether another transaction kept a row locked.
fn is_locked(failed: &Failed) -> bool {
    failed.code() == Some(&SqlState::LOCK_NOT_AVAILABLE)
}

/// Returns the approximate number of bytes that a request sends.
fn size(work: &dyn Work) -> usize {
    const MARK: usize = 256;
    work.arrived().map_or(0, Arrived::size) + work.marks().len() * MARK
}

/// Sends the same result to the callers of several requests.
fn settle(works: impl IntoIterator<Item = Box<dyn Work>>, committed: Result<u64, &Failed>) {
    for work in works {
        work.settle(committed);
    }
}

/// The requests that have no result yet, and the reason why the server refused their transaction.
type Refused = (Vec<Box<dyn Work>>, Failed);

/// Writes a group like [`write_group`]. If the write panics, only the requests of the group are
/// lost: their callers get an error, and the writer goes on.
async fn write(shared: &Arc<Shared>, group: Vec<Box<dyn Work>>, begin: &'static str) -> Result<(), Refused> {
    tokio::spawn(write_group(shared.clone(), group, begin)).await.unwrap_or(Ok(()))
}

/// Writes a group, and sends the results. If a request cannot be written, its caller gets the
/// reason. The other requests are written without this request.
async fn write_group(
    shared: Arc<Shared>,
    mut group: Vec<Box<dyn Work>>,
    begin: &'static str,
) -> Result<(), Refused> {
    while !group.is_empty() {
        match commit(&shared, &mut group, begin).await {
            Ok(Some(first)) => {
                settle(group, Ok(first));
                break;
            }
            Ok(None) => {
                let (failed, others): (Vec<_>, Vec<_>) =
                    group.into_iter().partition(|work| work.has_failed());
                settle(failed, Ok(0));
                group = others;
            }
            Err(failed) => return Err((group, failed)),
        }
    }
    Ok(())
}

/// Writes each request in its own transaction, so that only the invalid requests fail. Requests
/// that have to wait for a locked row go to `late`. If there is no `late`, these requests fail.
async fn write_alone(
    shared: Arc<Shared>,
    group: Vec<Box<dyn Work>>,
    late: Option<mpsc::Sender<Box<dyn Work>>>,
) {
    let mut group = VecDeque::from(group);
    while let Some(work) = group.pop_front() {
        let Err((works, failed)) = write(&shared, vec![work], BRIEF).await else { continue };
        if let Some(late) = late.as_ref().filter(|_| is_locked(&failed)) {
            for work in works {
                let _ = late.send(work).await; // without a receiver, the caller of `work` gets an error
            }
            continue;
        }
        settle(works, Err(&failed));
        if failed.is_for_all() {
            settle(group, Err(&failed));
            return;
        }
    }
}

/// Writes the requests that have to wait for a locked row. Requests that arrive meanwhile wait for
/// the next turn. So all of these requests use only one connection.
async fn write_late(shared: Arc<Shared>, mut waiting: mpsc::Receiver<Box<dyn Work>>) {
    while let Some(first) = waiting.recv().await {
        let group = gather(first, &mut waiting);
        let Err((group, failed)) = write(&shared, group, pipeline::BEGIN).await else { continue };
        if failed.is_for_all() || group.len() == 1 {
            settle(group, Err(&failed));
        } else {
            // One of the rows is still locked. The other rows might be free now.
            write_alone(shared.clone(), group, None).await;
        }
    }
}

/// Writes a group in one transaction. Returns the number of its first journal entry, or `None` if
/// requests of the group failed. If requests failed, nothing is stored.
async fn commit(shared: &Shared, group: &mut [Box<dyn Work>], begin: &str) -> Result<Option<u64>, Failed> {
    repeat!(&shared.pool, attempt(shared, group, begin))
}

async fn attempt(shared: &Shared, group: &mut [Box<dyn Work>], begin: &str) -> Result<Option<u64>, Failed> {
    let client = shared.pool.get().await?;
    let (open, mut loaded) = load(&client, group, begin, shared.timing).await?;
    let mut can_commit = true;
    for work in group {
        can_commit &= work.run(&mut loaded);
    }
    if !can_commit {
        return Ok(None);
    }

    let keys = loaded.changed;
    let changed: Vec<Row> = loaded.rows.into_values().filter(|row| keys.contains(&row.key)).collect();
    let mut calls = Vec::new();
    if !changed.is_empty() {
        calls.push(rows::saving(&client, &changed).await.map_err(Failed::before_commit)?);
    }
    if !loaded.entries.is_empty() {
        calls.push(journal::appending(&client, &loaded.entries).await.map_err(Failed::before_commit)?);
    }
    let notify = if loaded.wakes { Some(notifying(&client, &shared.channel).await?) } else { None };
    let answers = open.commit(&calls, notify.as_ref()).await?;
    match answers.last() {
        Some(last) if !loaded.entries.is_empty() => {
            journal::first_number(last, loaded.entries.len()).map(Some)
        }
        _ => Ok(Some(0)),
    }
}

/// Begins the transaction of a group of requests, stores the deliveries of the group, and locks the
/// rows of the group's keys.
async fn load<'a>(
    client: &'a Client,
    group: &[Box<dyn Work>],
    begin: &str,
    timing: Timing,
) -> Result<(pipeline::Open<'a>, Loaded), Failed> {
    let mut calls = Vec::new();
    let arrived: Vec<&Arrived> = group.iter().filter_map(|work| work.arrived()).collect();
    if !arrived.is_empty() {
        calls.push(inbox::inserting(client, &arrived).await.map_err(Failed::before_commit)?);
    }
    let keys = keys(group);
    if !keys.is_empty() {
        calls.push(rows::locking(client, &keys).await.map_err(Failed::before_commit)?);
    }
    let (open, mut answers) = pipeline::begin(client, begin, &calls).await?;
    let locked = if keys.is_empty() { None } else { answers.pop() };
    let stored = if arrived.is_empty() { None } else { answers.pop() };
    let sorted = rows::sort(&locked.unwrap_or_default())?;
    let mut loaded = Loaded {
        timing,
        rows: sorted.rows.into_iter().map(|row| (row.key.clone(), row)).collect(),
        damaged: sorted.damaged.into_iter().collect(),
        arrived: identities(&stored.unwrap_or_default())?,
        changed: BTreeSet::new(),
        entries: Vec::new(),
        wakes: false,
    };
    let missing = missing(group, &loaded);
    if !missing.is_empty() {
        let created = rows::lock_or_create(client, &missing).await.map_err(Failed::before_commit)?;
        loaded.rows.extend(created.rows.into_iter().map(|row| (row.key.clone(), row)));
        loaded.damaged.extend(created.damaged);
    }
    Ok((open, loaded))
}

/// Returns the sources and the ids of stored deliveries.
fn identities(stored: &[tokio_postgres::Row]) -> Result<BTreeSet<(String, String)>, Failed> {
    stored.iter().map(|row| Ok((get(row, 0)?, get(row, 1)?))).collect()
}

/// Returns the keys of the rows that the requests need.
fn keys(group: &[Box<dyn Work>]) -> BTreeSet<&Key> {
    let marked = group.iter().flat_map(|work| work.marks()).map(|mark| &mark.key);
    marked.chain(group.iter().filter_map(|work| work.key())).collect()
}

/// Returns the marked keys that have no row yet. Ignores the marks of a delivery that was already
/// stored.
fn missing<'a>(group: &'a [Box<dyn Work>], loaded: &Loaded) -> BTreeSet<&'a Key> {
    let mut new = loaded.arrived.clone();
    let mut missing = BTreeSet::new();
    for work in group {
        if work.arrived().is_none_or(|arrived| new.remove(&arrived.identity())) {
            let keys = work.marks().iter().map(|mark| &mark.key);
            let has_row =
                |key: &&Key| loaded.rows.contains_key(*key) || loaded.damaged.contains_key(key.as_str());
            missing.extend(keys.filter(|key| !has_row(key)));
        }
    }
    missing
}

/// Prepares the notification of the other processes.
async fn notifying(client: &Client, channel: &str) -> Result<Call, Failed> {
    let notify = "SELECT pg_notify($1::text, '')";
    Call::prepare(client, notify, vec![Box::new(channel.to_owned())]).await.map_err(Failed::before_commit)
}

fn gone(doing: &'static str) -> StoreError {
    StoreError::Unavailable { doing, why: "the writer has stopped, or its transaction panicked".into() }
}

#[cfg(test)]
mod tests;
