//! Checks the state after the service has no work left.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime};

use rusqlite::{Connection, OpenFlags};

use super::events::Events;
use super::kinds::{Live, Subject};
use super::report::Day;
use super::setup::{Week, name};
use crate::world::{Serving, has_no_work};

/// The time between two looks at the service.
const LOOK: Duration = Duration::from_millis(20);
/// The number of looks between two calls of the tasks that start sweeps.
const LOOKS_PER_SWEEP: u32 = 25;
/// The number of successive looks that must find the service without work. One look is not enough,
/// because the metrics first count the due keys and then the leased keys.
const QUIET: u32 = 3;
/// The maximum number of notes for each repository, group and person: answers from GitHub, earlier
/// writes, marks of groups, and the last records for reports.
const NOTES: usize = 20;

/// Finds rows that are older than the retention. Each entry contains a table, and a query for its
/// rows that are older than a given time.
const OLD_ROWS: &[(&str, &str)] = &[
    ("inbox", "SELECT count(*) FROM inbox WHERE received < ?1"),
    ("journal", "SELECT count(*) FROM journal WHERE at < ?1"),
    ("guard_booking", "SELECT count(*) FROM guard_booking WHERE at < ?1"),
];
const OLD_BODIES: &str = "SELECT count(*) FROM inbox WHERE received < ?1 AND body IS NOT NULL";

/// Waits until every event has its answer and its repair, and the service has no work left.
pub(super) async fn until_quiet(week: &Week, events: &mut Events) {
    events.until_sent().await;
    let began = Instant::now();
    let (mut looks, mut quiet, mut calls) = (0_u32, 0, None);
    let url = format!("http://127.0.0.1:{}/metrics", week.world.operator());
    while quiet < QUIET {
        events.watch(week);
        if !events.is_repaired() && looks.is_multiple_of(LOOKS_PER_SWEEP) {
            // A sweep repairs changes that no webhook reports. The test starts the task, so that a
            // due sweep begins immediately.
            week.world.run_task("sweep%20of%20acme").await;
            week.world.run_task("sweep%20of%20corp").await;
        }
        let is_sending = week.world.sim.is_sending() || week.okta.is_sending();
        let before = (!is_sending && events.is_repaired()).then(|| week.world.sim.call_count());
        let metrics = week.world.http.get(&url).send().await.unwrap().text().await.unwrap();
        let is_quiet = before.is_some() && before == calls && has_no_work(&metrics);
        quiet = if is_quiet { quiet + 1 } else { 0 };
        calls = before;
        assert!(
            began.elapsed() < week.size.patience(),
            "the service has work left after {:?}:\n{}\n{metrics}\n{}",
            began.elapsed(),
            events.unrepaired(),
            log(week)
        );
        looks += 1;
        tokio::time::sleep(LOOK).await;
    }
}

/// Checks that all repositories and groups are as declared, in the simulators and according to
/// Beadle.
pub(super) async fn all_as_declared(week: &Week, events: &Events) {
    let repositories = (0..week.size.repositories).map(name).chain(events.created.iter().cloned());
    let groups = (0..events.memberships.len()).map(Subject::Group);
    let subjects = repositories.map(Subject::Repository).chain(groups).chain([events.layer()]);
    let different: Vec<Subject> = week.world.sim.look(|github| {
        week.target.look(|target| {
            let live = Live::of(github, target);
            let differs = |one: &Subject| !one.is_declared(&live, &events.memberships);
            subjects.filter(differs).collect()
        })
    });
    assert!(different.is_empty(), "not as declared: {different:?}\n{}", log(week));
    // The exit code 0 means that the plan has no change.
    let plan = week.world.beadle(&["plan", "--format", "json"]).await.expect(0).json();
    assert!(plan["organisations"][0].is_object(), "{plan}");
}

/// Waits until the day's work is done, makes the checks, and returns the figures of the day. `of`
/// contains the number of the day and the number of kills on this day.
pub(super) async fn end_of_day(
    week: &Week,
    events: &mut Events,
    serving: &Serving,
    of: (usize, usize),
) -> Day {
    let began = Instant::now();
    until_quiet(week, events).await;
    let quiet = began.elapsed();
    let accepted: BTreeSet<String> = week.traffic.take_accepted().into_iter().collect();
    let stored = stored(week);
    let lost: Vec<&String> = accepted.difference(&stored).collect();
    assert!(lost.is_empty(), "{} of {} accepted deliveries are lost: {lost:?}", lost.len(), accepted.len());
    all_as_declared(week, events).await;
    no_old_rows(week).await;
    let rows = rows(week);
    bounded(week, events, &rows);
    // If the test kept the logs of a week, they would fill its memory.
    week.world.sim.forget_calls();
    week.okta.forget_calls();
    week.target.forget_calls();
    let (number, kills) = of;
    let size = std::fs::metadata(week.world.path().join("beadle.db")).unwrap().len();
    Day {
        number,
        kills,
        events: events.take_counts(),
        accepted: accepted.len(),
        quiet,
        memory_kib: resident(serving.child.id()),
        store_kib: size / 1024,
        rows,
    }
}

/// Waits until all data from before `moment` is older than the retention. Then checks that the
/// service has deleted all of this data.
pub(super) async fn until_old(week: &Week, moment: Instant) {
    let old = tokio::time::Instant::from_std(moment + week.size.kept());
    tokio::time::sleep_until(old).await;
    no_old_rows(week).await;
}

/// Makes the service delete old data, and checks that no row is older than the retention.
async fn no_old_rows(week: &Week) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let before = |kept: Duration| i64::try_from(now.saturating_sub(kept).as_millis()).unwrap();
    week.world.run_task("control%20records").await;
    week.world.run_task("pruning").await;
    let database = open(week);
    let count = |sql: &str, kept: Duration| {
        database.query_row(sql, [before(kept)], |row| row.get::<_, i64>(0)).unwrap()
    };
    for (table, sql) in OLD_ROWS {
        assert_eq!(count(sql, week.size.kept()), 0, "rows of {table} are older than the retention");
    }
    assert_eq!(count(OLD_BODIES, week.size.bodies_kept()), 0, "bodies are older than the retention");
}

/// Checks the tables that have no retention. The size of these tables must depend on the
/// organisation, and not on the number of events.
fn bounded(week: &Week, events: &Events, rows: &BTreeMap<String, usize>) {
    let of = |table: &str| rows.get(table).copied().unwrap_or_default();
    let repositories = week.size.repositories + events.created.len();
    // For each group, there is a key of the group itself, a key at the target, and a key for each
    // person who joined or left.
    let keys = repositories + 3 * week.size.groups + week.size.people() + 100;
    assert!(of("work") <= keys, "{} keys, expected at most {keys}", of("work"));
    // Between two searches, the number of records for reports grows with the number of journal
    // entries.
    let notes = NOTES * (repositories + week.size.groups + week.size.people()) + 2 * of("journal") + 1000;
    assert!(of("note") <= notes, "{} notes, expected at most {notes}", of("note"));
    assert_eq!(of("hold"), 0, "the limits are wide, so nothing is held");
}

fn open(week: &Week) -> Connection {
    let path = week.world.path().join("beadle.db");
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap()
}

/// Returns the ids of the stored deliveries.
fn stored(week: &Week) -> BTreeSet<String> {
    let database = open(week);
    let mut ids = database.prepare("SELECT id FROM inbox").unwrap();
    ids.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// Returns the number of rows in each table.
fn rows(week: &Week) -> BTreeMap<String, usize> {
    let database = open(week);
    let sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    let mut tables = database.prepare(sql).unwrap();
    let tables: Vec<String> = tables.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let count = |table: &String| {
        let sql = format!("SELECT count(*) FROM \"{table}\"");
        usize::try_from(database.query_row(&sql, [], |row| row.get::<_, i64>(0)).unwrap()).unwrap()
    };
    tables.iter().map(|table| (table.clone(), count(table))).collect()
}

/// Returns the resident memory of a process in KiB, if the system reports it.
fn resident(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

/// Returns the last lines of the service's log.
fn log(week: &Week) -> String {
    let log = std::fs::read_to_string(week.world.path().join("serve.log")).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}
