//! The thread that does all writes. If requests arrive during a commit, the next transaction
//! commits them together. So these requests need only one sync of the disk.

use parking_lot::Mutex;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use beadle_engine::StoreError;
use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use crate::SqliteSettings;
use crate::health::Health;

/// The maximum number of requests that are committed together.
const GROUP: usize = 512;

/// Where writes run: on a separate thread or, in simulated time, on the thread of the caller.
pub(crate) enum WriterThread {
    Thread(mpsc::Sender<Box<dyn Work>>, Arc<Health>),
    Inline(Mutex<Connection>, Arc<Health>),
}

/// One write request. The request shares a transaction with other requests.
pub(crate) trait Work: Send {
    /// Runs the request inside the shared transaction. The request runs a second time if that
    /// transaction was rolled back.
    fn run(&mut self, connection: &Connection) -> rusqlite::Result<()>;
    /// Sends the result to the caller after the commit.
    fn settle(self: Box<Self>, committed: Result<(), &rusqlite::Error>);
}

struct Job<F, T> {
    doing: &'static str,
    health: Arc<Health>,
    write: F,
    output: Option<T>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<F, T> Work for Job<F, T>
where
    F: FnMut(&Connection) -> rusqlite::Result<T> + Send,
    T: Send,
{
    fn run(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.output = Some((self.write)(connection)?);
        Ok(())
    }

    fn settle(self: Box<Self>, committed: Result<(), &rusqlite::Error>) {
        let result = match (committed, self.output) {
            (Ok(()), Some(output)) => Ok(output),
            (Err(error), _) => Err(self.health.explain(self.doing, error)),
            (Ok(()), None) => Err(gone(self.doing)),
        };
        let _ = self.reply.send(result); // if the caller no longer waits, the write stays
    }
}

impl WriterThread {
    /// Starts the thread for writes, and the thread for checkpoints.
    pub(crate) fn start(
        connection: Connection,
        path: &Path,
        settings: &SqliteSettings,
        health: &Arc<Health>,
    ) -> rusqlite::Result<Self> {
        let (sender, receiver) = mpsc::channel(4 * GROUP);
        let checkpoints = crate::connect(path, settings)?;
        // A checkpoint must not delay writes. So a checkpoint that has to wait gives up soon, and
        // the loop tries again later.
        checkpoints.busy_timeout(Duration::from_millis(100))?;
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let watched = health.clone();
        spawn("beadle-checkpoint", move || checkpoint(&checkpoints, &watched, &stopped));
        let checked = health.clone();
        spawn("beadle-writer", move || {
            write_groups(&connection, &checked, receiver);
            drop(stop);
        });
        Ok(Self::Thread(sender, health.clone()))
    }

    /// Runs `write` in a transaction, and returns when the data is durable. `write` can run twice.
    pub(crate) async fn write<T, F>(&self, doing: &'static str, mut write: F) -> Result<T, StoreError>
    where
        F: FnMut(&Connection) -> rusqlite::Result<T> + Send + 'static,
        T: Send + 'static,
    {
        match self {
            Self::Thread(sender, health) => {
                let (reply, answer) = oneshot::channel();
                let job = Box::new(Job { doing, health: health.clone(), write, output: None, reply });
                sender.send(job).await.map_err(|_| gone(doing))?;
                answer.await.map_err(|_| gone(doing))?
            }
            Self::Inline(connection, health) => {
                let mut connection = connection.lock();
                let mut in_transaction = || {
                    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
                    let output = write(&transaction)?;
                    transaction.commit()?;
                    health.check()?;
                    Ok(output)
                };
                in_transaction().map_err(|error| health.explain(doing, &error))
            }
        }
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) {
    let spawned = std::thread::Builder::new().name(name.into()).spawn(run);
    spawned.expect("the operating system must be able to start a thread");
}

fn write_groups(connection: &Connection, health: &Health, mut requests: mpsc::Receiver<Box<dyn Work>>) {
    let mut group: Vec<Box<dyn Work>> = Vec::with_capacity(GROUP);
    while requests.blocking_recv_many(&mut group, GROUP) > 0 {
        match commit(connection, health, &mut group) {
            Ok(()) => group.drain(..).for_each(|work| work.settle(Ok(()))),
            // SQLite cannot write the file at present. It would be useless to try each request
            // alone.
            Err(error) if is_for_all(&error) => group.drain(..).for_each(|work| work.settle(Err(&error))),
            // At least one request failed. Each request now runs in its own transaction, so that
            // only the invalid requests fail.
            Err(_) => {
                for work in group.drain(..) {
                    let mut alone = [work];
                    let committed = commit(connection, health, &mut alone);
                    let [work] = alone;
                    work.settle(committed.as_ref().copied());
                }
            }
        }
    }
}

fn is_for_all(error: &rusqlite::Error) -> bool {
    use ErrorCode::{CannotOpen, DatabaseBusy, DatabaseLocked, ReadOnly, SystemIoFailure};
    error.sqlite_error_code().is_some_and(|code| {
        matches!(code, CannotOpen | DatabaseBusy | DatabaseLocked | ReadOnly | SystemIoFailure)
    })
}

fn commit(connection: &Connection, health: &Health, group: &mut [Box<dyn Work>]) -> rusqlite::Result<()> {
    health.check()?;
    // If this function returns an error, `transaction` is dropped, and SQLite rolls it back.
    let transaction = rusqlite::Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    for work in group {
        work.run(&transaction)?;
    }
    fail::fail_point!("before-commit", |_| std::process::abort());
    transaction.commit()?;
    fail::fail_point!("after-commit", |_| std::process::abort());
    // If the path no longer belongs to the open file, the data will be lost. So the writer must not
    // confirm the commit.
    health.check()
}

/// Moves data from the write-ahead log into the file until `stopped` is closed. This work has a
/// separate thread. The loop notices a lost file even while no request writes.
fn checkpoint(connection: &Connection, health: &Health, stopped: &std::sync::mpsc::Receiver<()>) {
    use std::sync::mpsc::RecvTimeoutError;
    let mut is_lost = false;
    while stopped.recv_timeout(Duration::from_millis(500)) == Err(RecvTimeoutError::Timeout) {
        let lost = health.lost();
        if let Some(why) = lost.as_ref().filter(|_| !is_lost) {
            tracing::error!(
                why,
                "store file deleted or replaced, Beadle accepts no webhook until the file is back"
            );
        }
        is_lost = lost.is_some();
        if is_lost {
            continue;
        }
        let moved = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get::<_, i64>(1));
        // While readers use the log, a checkpoint cannot move the whole log, and the log grows. The
        // loop truncates the log when no reader uses it.
        let moved = match moved {
            Ok(pages) if pages > 16_384 => {
                connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(1))
            }
            moved => moved,
        };
        if let Err(error) = moved {
            tracing::warn!(%error, "checkpoint of the write-ahead log failed, retrying");
        }
    }
}

fn gone(doing: &'static str) -> StoreError {
    StoreError::Unavailable { doing, why: "the writer has stopped".into() }
}
