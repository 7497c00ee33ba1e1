//! Tests the service with the events of a week. All these events arrive within an hour. The service
//! uses SQLite, has thousands of repositories and groups, and handles the events of several days.
//! The days are short, because the configuration and the fail point `retention` shorten the periods
//! of the service.
//!
//! After each day, everything is as declared, no accepted delivery is missing, and the store has no
//! row that is older than the retention. The memory of the service does not grow.
//!
//! `cargo xtask storm week --for 1h` runs a week of 10,000 repositories and 2,000 groups. Without
//! `STORM_SECONDS`, the test runs three days of a small organisation. `WEEK_REPOSITORIES`,
//! `WEEK_GROUPS`, `WEEK_DAYS` and `WEEK_RATE` (events in a second) change the size.
//!
//! To see the test fail, remove one of these lines:
//!
//! - in `crates/store-sqlite/src/journal.rs`, `let ids = ...` in `prune`: old deliveries stay;
//! - in `crates/store-sqlite/src/writer.rs`, `transaction.commit()?`: accepted deliveries are
//!   missing.

mod checks;
mod events;
mod kinds;
mod report;
mod setup;
mod traffic;

use std::time::{Duration, Instant};

use checks::{all_as_declared, end_of_day, until_old, until_quiet};
use events::Events;
use report::Day;
use setup::{Size, Week};
use tokio::time::MissedTickBehavior;

use crate::world::Serving;

/// The time between two looks at the simulators.
const TICK: Duration = Duration::from_millis(20);
/// The time that the service is unavailable after a kill. During this time, the deliveries of the
/// vendors are lost.
const AWAY: Duration = Duration::from_millis(400);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_week_of_events_ends_as_declared() {
    let size = Size::asked();
    eprintln!("{size:?}");
    let week = Box::pin(Week::start(size)).await;
    let mut events = Events::new(&week);
    let mut serving = week.serve().await;
    until_quiet(&week, &mut events).await;
    all_as_declared(&week, &events).await;
    events.forget_times();
    let mut days: Vec<Day> = Vec::new();
    let mut first_day_ended = Instant::now();
    for number in 1..=week.size.days {
        // After the last kill, the new process must run until the test has compared the memory.
        let kills = if number <= week.size.days_with_kills() { 2 } else { 0 };
        serving = Box::pin(live(&week, &mut events, serving, kills)).await;
        let day = Box::pin(end_of_day(&week, &mut events, &serving, (number, kills))).await;
        eprintln!("{}", day.line());
        days.push(day);
        if number == 1 {
            first_day_ended = Instant::now();
        }
    }
    // Now the deliveries of the first day are older than the retention, even if the days are short.
    until_old(&week, first_day_ended).await;
    // The test prints the numbers before it compares them. If the comparison fails, another run of
    // a week would take too long.
    eprintln!("{}", report::table(&days, &events, &week.traffic.seen()));
    report::is_flat(&days, week.size.days_with_kills()).unwrap();
    // A service that is killed after a whole week starts again, and its store is complete.
    serving.kill();
    let serving = week.serve().await;
    until_quiet(&week, &mut events).await;
    all_as_declared(&week, &events).await;
    assert_eq!(serving.stop().await, Some(0));
}

/// Runs one day with one change of the policy and this number of kills. Returns the running
/// service.
async fn live(week: &Week, events: &mut Events, serving: Serving, kills: usize) -> Serving {
    let day = week.size.day;
    let mut commit = Some(events.moment(day));
    let mut kills: Vec<Duration> = (0..kills).map(|_| events.moment(day)).collect();
    kills.sort_unstable();
    kills.reverse();
    let mut serving = Some(serving);
    let mut killed_at = Duration::ZERO;
    let mut every = tokio::time::interval(TICK);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (began, mut happened) = (Instant::now(), 0_u32);
    while began.elapsed() < day {
        every.tick().await;
        let now = began.elapsed();
        if let Some(running) = serving.take() {
            if kills.last().is_some_and(|at| *at <= now) {
                kills.pop();
                killed_at = now;
                running.kill();
            } else {
                serving = Some(running);
            }
        } else if now >= killed_at + AWAY {
            serving = Some(week.serve().await);
        }
        if commit.take_if(|at| *at <= now).is_some() {
            events.commit(week).await;
        }
        // Even if the machine is slow for a moment, the average rate of the events stays the same.
        if f64::from(happened) < now.as_secs_f64() * f64::from(week.size.rate) {
            happened += 1;
            events.happen(week).await;
        }
        events.watch(week);
    }
    match serving {
        Some(serving) => serving,
        None => week.serve().await,
    }
}
