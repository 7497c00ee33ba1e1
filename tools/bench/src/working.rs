//! A child process with a worker. The worker's runs change nothing, so that a benchmark measures
//! only the queue.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use beadle_engine::{Clock, Failure, Reconcile, Report, Run, Worker, WorkerCounts, WorkerSettings};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::folder::peak;
use crate::stores;

/// The kind of the worker's keys.
pub(crate) const KIND: &str = "repository";

/// A reconciler that finds nothing to change.
struct NoChange;

#[async_trait]
impl Reconcile for NoChange {
    async fn reconcile(&self, run: &Run) -> Result<Report, Failure> {
        Ok(Report {
            subject: run.lease.key.to_string(),
            steps: Vec::new(),
            unknowns: Vec::new(),
            skipped: None,
            failure: None,
        })
    }
}

/// Opens the store at `address`. When the first line of standard input has arrived, begins to run
/// the keys of the store. The process runs until it is killed.
pub(crate) async fn run(address: &str) -> anyhow::Result<()> {
    let store = stores::open(address).await?;
    println!("ready");
    let begun = std::io::stdin().read_line(&mut String::new())?;
    anyhow::ensure!(begun > 0, "the benchmark has ended");
    let reconciler: Arc<dyn Reconcile> = Arc::new(NoChange);
    let worker = Worker {
        store,
        clock: Clock::system(),
        reconcilers: HashMap::from([(KIND, reconciler)]),
        settings: WorkerSettings::default(),
        bell: Arc::new(Notify::new()),
        counts: Arc::new(WorkerCounts::default()),
    };
    Arc::new(worker).run(CancellationToken::new(), Duration::ZERO).await;
    Ok(())
}

/// A running child process. The process is killed when this value is dropped.
pub(crate) struct Working {
    child: Child,
    begin: ChildStdin,
}

impl Working {
    /// Starts the process, and returns when it has opened the store.
    pub(crate) fn start(address: &str) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["work", address])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let begin = child.stdin.take().context("the process has no standard input")?;
        let output = child.stdout.take().context("the process has no standard output")?;
        let started = Self { child, begin };
        let mut line = String::new();
        BufReader::new(output.take(64)).read_line(&mut line)?;
        anyhow::ensure!(line.trim() == "ready", "the worker could not open the store");
        Ok(started)
    }

    /// Lets the worker begin.
    pub(crate) fn begin(&mut self) -> anyhow::Result<()> {
        self.begin.write_all(b"begin\n")?;
        Ok(self.begin.flush()?)
    }

    /// Returns the peak memory of the process in MiB.
    pub(crate) fn peak(&self) -> anyhow::Result<u64> {
        peak(self.child.id())
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        let _ = self.child.kill(); // this fails if the process has ended
        let _ = self.child.wait();
    }
}
