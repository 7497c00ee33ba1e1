//! Collects the figures of the simulated week.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use super::events::Events;
use super::kinds::Kind;
use super::traffic::Seen;

/// A limit on the growth of the memory. The second half of the week is allowed to need a fifth more
/// memory than the first half, plus this number of KiB. After each sweep, the allocator keeps a
/// part of the memory. The size of this part changes from sweep to sweep. The cache of SQLite and
/// the pools of connections also grow until they are full. `cargo xtask storm week --for 1h` makes
/// 10 events in a second, with 6 KB each. If the service kept the body of each delivery, the second
/// half of this run would need approximately 90 MiB more.
const ALLOWED_KIB: u64 = 16 * 1024;
const ALLOWED_SHARE: u64 = 5;

/// The figures of a day.
#[derive(Debug)]
pub(super) struct Day {
    pub(super) number: usize,
    pub(super) kills: usize,
    pub(super) events: BTreeMap<Kind, usize>,
    /// The number of accepted deliveries from GitHub.
    pub(super) accepted: usize,
    /// The time from the end of the day until the service had no work left.
    pub(super) quiet: Duration,
    /// The resident memory at the end, if the system reports it.
    pub(super) memory_kib: Option<u64>,
    pub(super) store_kib: u64,
    /// The number of rows in each table.
    pub(super) rows: BTreeMap<String, usize>,
}

impl Day {
    /// Returns the figures in one line.
    pub(super) fn line(&self) -> String {
        let memory = self.memory_kib.map_or_else(|| "?".to_owned(), |kib| format!("{:.1}", mib(kib)));
        let rows: Vec<String> = self.rows.iter().map(|(table, rows)| format!("{table} {rows}")).collect();
        format!(
            "day {}: {} events, {} accepted, {} kills, quiet after {:.1} s, {memory} MiB resident, \
             {:.1} MiB stored ({})",
            self.number,
            self.events.values().sum::<usize>(),
            self.accepted,
            self.kills,
            self.quiet.as_secs_f64(),
            mib(self.store_kib),
            rows.join(", "),
        )
    }
}

fn mib(kib: u64) -> f64 {
    f64::from(u32::try_from(kib).unwrap_or(u32::MAX)) / 1024.0
}

/// Returns a report of the week.
pub(super) fn table(days: &[Day], events: &Events, seen: &Seen) -> String {
    let title = "day";
    let mut text = format!("\n{title:26}");
    for day in days {
        let _ = write!(text, "{:>9}", day.number);
    }
    text.push('\n');
    let mut line = |name: &str, values: Vec<String>| {
        let _ = write!(text, "{name:26}");
        for value in values {
            let _ = write!(text, "{value:>9}");
        }
        text.push('\n');
    };
    let kinds: BTreeSet<Kind> = days.iter().flat_map(|day| day.events.keys().copied()).collect();
    for kind in kinds {
        let count = |day: &Day| day.events.get(&kind).copied().unwrap_or_default().to_string();
        line(kind.name(), days.iter().map(count).collect());
    }
    line("kills", days.iter().map(|day| day.kills.to_string()).collect());
    line("accepted deliveries", days.iter().map(|day| day.accepted.to_string()).collect());
    line("quiet after, s", days.iter().map(|day| format!("{:.1}", day.quiet.as_secs_f64())).collect());
    let memory = |day: &Day| day.memory_kib.map_or_else(|| "?".to_owned(), |kib| format!("{:.1}", mib(kib)));
    line("resident memory, MiB", days.iter().map(memory).collect());
    line("store, MiB", days.iter().map(|day| format!("{:.1}", mib(day.store_kib))).collect());
    if let Some(last) = days.last() {
        for table in last.rows.keys() {
            let rows = |day: &Day| day.rows.get(table).copied().unwrap_or_default().to_string();
            line(&format!("rows of {table}"), days.iter().map(rows).collect());
        }
    }
    let Seen { delayed, repeated, refused, .. } = seen;
    let _ = writeln!(
        text,
        "\n{delayed} deliveries arrived late, {repeated} twice, {refused} attempts had no 2xx answer\n"
    );
    row(&mut text, "latency, ms", &["number", "p50", "p95", "p99"].map(str::to_owned));
    percentiles(&mut text, "intake", &seen.intake);
    for (kind, times) in &events.after_webhook {
        percentiles(&mut text, &format!("{}: webhook to repair", kind.name()), times);
    }
    for (kind, times) in &events.without_webhook {
        percentiles(&mut text, &format!("{}: change to repair", kind.name()), times);
    }
    text
}

/// Adds a line with the percentiles of times.
fn percentiles(text: &mut String, name: &str, times: &[Duration]) {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let of = |percent: usize| {
        let at = sorted.len().saturating_sub(1) * percent / 100;
        sorted.get(at).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
    };
    let [median, high, highest] = [50, 95, 99].map(|percent| format!("{:.1}", of(percent)));
    row(text, name, &[sorted.len().to_string(), median, high, highest]);
}

fn row(text: &mut String, name: &str, cells: &[String]) {
    let _ = write!(text, "{name:44}");
    for cell in cells {
        let _ = write!(text, "{cell:>10}");
    }
    text.push('\n');
}

/// Compares the memory at the end of the week with the memory of the same process after its first
/// whole day. The first `kill_days` days have kills, so the first whole day comes after them.
/// Returns an error if the memory has grown by more than the allowance.
pub(super) fn is_flat(days: &[Day], kill_days: usize) -> Result<(), String> {
    let memory = |day: Option<&Day>| day.and_then(|day| day.memory_kib);
    let (Some(first), Some(second)) = (memory(days.get(kill_days)), memory(days.last())) else {
        return Ok(());
    };
    let allowed = first + first / ALLOWED_SHARE + ALLOWED_KIB;
    if second > allowed {
        return Err(format!("{second} KiB resident after the week, {first} KiB after its first half"));
    }
    Ok(())
}

#[test]
fn memory_that_grows_beyond_the_allowance_is_an_error() {
    let day = |number: usize, memory_kib: Option<u64>| Day {
        number,
        kills: 0,
        events: BTreeMap::new(),
        accepted: 0,
        quiet: Duration::ZERO,
        memory_kib,
        store_kib: 0,
        rows: BTreeMap::new(),
    };
    let week = |last: u64| [day(1, Some(1)), day(2, Some(50_000)), day(3, Some(last))];
    assert_eq!(is_flat(&week(60_000 + ALLOWED_KIB), 1), Ok(()));
    assert!(is_flat(&week(60_001 + ALLOWED_KIB), 1).is_err());
    assert_eq!(is_flat(&[day(1, None), day(2, Some(1)), day(3, None)], 1), Ok(()));
}
