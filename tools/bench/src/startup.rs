//! Measures the time from the start of the service until the service is ready: with an empty
//! journal, and with 10 million entries.

use std::path::Path;
use std::process::Child;
use std::time::Duration;

use beadle_engine::journal::{Detail, Happened, IntendedChange, RunCounts, WriteResult};
use beadle_engine::{Change, Clock, Field, Mode, Risk};
use beadle_sim::{Settings, Sim};
use rusqlite::{Connection, params};
use serde_json::json;

use crate::clock::now;
use crate::folder::{Folder, peak};
use crate::sizes::size;

/// The number of repositories that have entries.
const REPOSITORIES: usize = 10_000;
/// The age of the oldest entry. Beadle does not delete entries of this age yet.
const SPREAD: Duration = Duration::from_secs(300 * 24 * 3600);
/// How long the benchmark waits before it measures the peak memory again. By then, the background
/// tasks have run.
const SETTLED: Duration = Duration::from_secs(20);
/// The number of starts with the large journal. The system might already have parts of the file in
/// memory.
const STARTS: usize = 3;
/// Lists the indexes of the journal, without the indexes that SQLite creates for a key.
const INDEXES: &str = "SELECT name, sql FROM sqlite_master
    WHERE type = 'index' AND tbl_name = 'journal' AND sql IS NOT NULL";

pub(crate) async fn run() -> anyhow::Result<()> {
    let entries = size("STARTUP_ENTRIES", 10_000_000)?;
    let state = json!({ "orgs": { "acme": { "repos": {} } } });
    let sim = Sim::start(([127, 0, 0, 1], 0).into(), Settings { state: Some(state), ..Settings::default() })
        .await?;
    let folder = Folder::new(&sim, "repository: { has_wiki: false }\n", "unused", "60s")?;
    println!(
        "{:24} {:>10} {:>12} {:>12} {:>18}",
        "journal", "file, MiB", "ready, s", "MiB, ready", "MiB, after 20 s"
    );
    // The first start creates the file.
    start(&folder, "empty, new file").await?;
    start(&folder, "empty").await?;
    let filling = now();
    fill(&folder.store(), entries)?;
    let filled = filling.elapsed().as_secs_f64();
    for _ in 0..STARTS {
        start(&folder, &format!("{entries} entries")).await?;
    }
    println!("\n({filled:.0} s to write the entries with SQL, which is not a part of the measurement)");
    Ok(())
}

/// A running service. The service is killed when this value is dropped.
struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill(); // this fails if the service has ended
        let _ = self.0.wait();
    }
}

/// Starts the service, prints the figures of the start, and ends the service.
async fn start(folder: &Folder, name: &str) -> anyhow::Result<()> {
    let client = reqwest::Client::new();
    let started = now();
    let served = Serving(folder.beadle(&["serve"]).spawn()?);
    folder.until_ready(&client).await;
    let took = started.elapsed().as_secs_f64();
    let ready = peak(served.0.id())?;
    tokio::time::sleep(SETTLED).await;
    let settled = peak(served.0.id())?;
    drop(served);
    let file = std::fs::metadata(folder.store())?.len() / (1024 * 1024);
    println!("{name:24} {file:>10} {took:>12.2} {ready:>12} {settled:>18}");
    Ok(())
}

/// Returns the facts of a typical change, of its result, and of the run that wrote the change.
fn details() -> [String; 3] {
    let field = Field {
        name: "has_wiki".into(),
        before: json!(true),
        after: json!(false),
        asked: None,
        risk: Risk::Changes,
    };
    let change = Change {
        aspect: "settings".into(),
        what: String::new(),
        fields: vec![field],
        mode: Mode::Enforce,
        after: Vec::new(),
        stop: None,
        undone: false,
        reaches: 1,
        write: (),
    };
    let generation = "5f2c8d1e9a7b46c3d0e1f2a3b4c5d6e7f8091a2b".to_owned();
    let run = RunCounts {
        changes: 1,
        written: 1,
        held: 0,
        withheld: None,
        undone: None,
        failed: 0,
        postponed: None,
        unknown: Vec::new(),
        unwritten: None,
        after: None,
        is_undo: false,
    };
    [
        Detail::Change(IntendedChange { change, generation, approved_by: None, first_asked: None })
            .to_string(),
        Detail::Result(WriteResult { written: Happened::Yes, unknown: None, why: None }).to_string(),
        Detail::Run(run).to_string(),
    ]
}

/// Adds entries to the journal of a store. The entries are, in turn, an intent, its result, and the
/// end of the run. The function creates the indexes after the entries, because this is faster. The
/// content of the indexes is the same.
fn fill(store: &Path, entries: usize) -> anyhow::Result<()> {
    let mut connection = Connection::open(store)?;
    // With a write-ahead log, the log would become as large as the file. The next start of the
    // service turns the log on again.
    connection.pragma_update(None, "journal_mode", "OFF")?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    connection.pragma_update(None, "cache_size", -500_000)?; // KiB
    let filling = connection.transaction()?;
    let indexes: Vec<(String, String)> = filling
        .prepare(INDEXES)?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (name, _) in &indexes {
        filling.execute_batch(&format!("DROP INDEX \"{name}\""))?;
    }
    let last: i64 = filling.query_row("SELECT coalesce(max(seq), 0) FROM journal", [], |row| row.get(0))?;
    let first = (Clock::system().now() - SPREAD).0;
    let step = i64::try_from(SPREAD.as_millis())? / i64::try_from(entries)?.max(1);
    let [intent, result, run] = details();
    filling.execute(
        "WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < ?1)
         INSERT INTO journal (seq, at, kind, key, subject, intent, detail)
         SELECT ?2 + n + 1, ?3 + n * ?4,
             CASE n % 3 WHEN 0 THEN 'intent' WHEN 1 THEN 'result' ELSE 'run' END,
             'repository:acme:' || (n / 3 % ?5), 'acme/r' || (n / 3 % ?5),
             CASE n % 3 WHEN 1 THEN ?2 + n END,
             CASE n % 3 WHEN 0 THEN ?6 WHEN 1 THEN ?7 ELSE ?8 END
         FROM numbers",
        params![entries, last, first, step, REPOSITORIES, intent, result, run],
    )?;
    for (_, sql) in &indexes {
        filling.execute_batch(sql)?;
    }
    Ok(filling.commit()?)
}

#[cfg(test)]
mod tests {
    use beadle_engine::History;
    use beadle_engine::journal::EntryKind;
    use beadle_engine::store::prelude::*;
    use beadle_store_sqlite::{SqliteSettings, SqliteStore};

    use super::*;

    #[tokio::test]
    async fn the_entries_are_entries_of_a_journal() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b.db");
        // This store has no threads, so its connections close when it is dropped.
        drop(SqliteStore::open_inline(&path, SqliteSettings::default()).unwrap());
        fill(&path, 6).unwrap();
        let store = SqliteStore::open(&path, SqliteSettings::default()).unwrap();
        let history = History { limit: 10, ..History::default() };
        let entries = store.newest_entries(history).await.unwrap();
        let kinds: Vec<EntryKind> = entries.iter().map(|entry| entry.kind).collect();
        let of_one = [EntryKind::Run, EntryKind::Result, EntryKind::Intent];
        assert_eq!(kinds, [of_one, of_one].concat());
        assert!(entries.iter().all(|entry| !matches!(entry.detail, Detail::Other(_))));
        assert_eq!((entries[1].intent, entries[2].seq), (Some(4), 4));
        assert!(entries[0].at > entries[5].at);
        assert!(store.open_intents().await.unwrap().is_empty());
    }
}
