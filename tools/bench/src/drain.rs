//! Measures how fast workers complete 100,000 due keys. The runs of these keys change nothing. The
//! benchmark compares the workers with a minimal queue in SQLite: one transaction for each key.

use std::path::Path;
use std::time::Duration;

use beadle_engine::{Clock, Key, Lane, Mark};

use crate::clock::now;
use crate::sizes::{float, size, sizes};
use crate::stores;
use crate::working::{KIND, Working};

/// The number of keys that one call marks as due.
const MARKED: usize = 1_000;
/// The maximum duration of one measurement.
const PATIENCE: Duration = Duration::from_secs(3600);

pub(crate) async fn run() -> anyhow::Result<()> {
    let keys = size("DRAIN_KEYS", 100_000)?;
    let bare_keys = size("DRAIN_BARE_KEYS", keys.min(10_000))?;
    let processes = sizes("DRAIN_PROCESSES", &[1, 2, 4])?;
    let cluster = stores::cluster().await;
    println!("{keys} due keys; the bare transactions: {bare_keys}\n");
    println!(
        "{:12} {:>9} {:>9} {:>10} {:>8} {:>14}",
        "", "processes", "s", "keys/s", "to bare", "MiB a process"
    );
    let folder = tempfile::tempdir()?;
    let bare = bare(&folder.path().join("bare.db"), bare_keys)?;
    println!("{:12} {:>9} {:>9} {bare:>10.0} {:>8} {:>14}", "bare", 1, "", "", "");
    for processes in &processes {
        let file = folder.path().join(format!("{processes}.db"));
        let file = file.display().to_string();
        drain("SQLite", &file, keys, *processes, bare).await?;
    }
    if let Some(cluster) = &cluster {
        for processes in &processes {
            drain("PostgreSQL", &cluster.url(), keys, *processes, bare).await?;
        }
    }
    Ok(())
}

/// Completes keys, with one statement in one transaction for each key. Returns the number of keys
/// per second.
fn bare(file: &Path, keys: usize) -> anyhow::Result<f64> {
    let connection = rusqlite::Connection::open(file)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute_batch("CREATE TABLE work (key TEXT PRIMARY KEY, done INTEGER NOT NULL) STRICT")?;
    let name = |n: usize| format!("{KIND}:acme:{n}");
    let filling = connection.unchecked_transaction()?;
    for n in 0..keys {
        filling.prepare_cached("INSERT INTO work (key, done) VALUES (?1, 0)")?.execute([name(n)])?;
    }
    filling.commit()?;
    let started = now();
    for n in 0..keys {
        connection.prepare_cached("UPDATE work SET done = done + 1 WHERE key = ?1")?.execute([name(n)])?;
    }
    Ok(float(keys)? / started.elapsed().as_secs_f64())
}

/// Marks keys as due in an empty store, lets the processes complete them, and prints the rate.
async fn drain(name: &str, address: &str, keys: usize, processes: usize, bare: f64) -> anyhow::Result<()> {
    let store = stores::open(address).await?;
    let clock = Clock::system();
    let mark = |n: usize| Mark::new(Key::new(KIND, "acme", n), Lane::Sweep);
    for from in (0..keys).step_by(MARKED) {
        let marks = (from..keys.min(from + MARKED)).map(mark).collect();
        store.mark(marks, clock.now()).await?;
    }
    let mut workers =
        (0..processes).map(|_| Working::start(address)).collect::<anyhow::Result<Vec<Working>>>()?;
    let started = now();
    for worker in &mut workers {
        worker.begin()?;
    }
    // A claimed key is due again when its lease ends. So when no key is due, all runs have ended.
    while store.next_due().await?.is_some() {
        anyhow::ensure!(started.elapsed() < PATIENCE, "the runs of the keys did not end");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let took = started.elapsed().as_secs_f64();
    let parked = store.depth(clock.now()).await?.parked;
    anyhow::ensure!(parked == 0, "{parked} keys are parked");
    let mut most = 0;
    for worker in &workers {
        most = most.max(worker.peak()?);
    }
    let rate = float(keys)? / took;
    println!("{name:12} {processes:>9} {took:>9.2} {rate:>10.0} {:>8.2} {most:>14}", rate / bare);
    Ok(())
}
