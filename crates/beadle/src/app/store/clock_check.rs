//! Compares this machine's clock with the clock of the store, if several machines use the store.
//! Each machine uses its own clock to decide when the lease of a key ends. If the clock of a
//! machine is ahead, this machine takes keys from other machines too early.

use std::time::Duration;

use beadle_engine::{Clock, Store, StoreError, Time};

/// The largest accepted difference. Workers renew their leases long before the leases end, so a
/// small difference does no harm.
const MOST: Duration = Duration::from_secs(5);

/// Returns an error text if the clocks differ too much. Returns `None` if the clocks agree, or if
/// the store has no clock.
pub(crate) async fn check(store: &dyn Store, clock: &Clock) -> Result<Option<String>, StoreError> {
    let before = clock.now();
    let Some(at) = store.clock().await? else { return Ok(None) };
    Ok(difference(before, at, clock.now()))
}

/// Returns an error text if the store's clock is wrong. The store's clock showed the time `at`. The
/// call to the store began at `before` and ended at `after`.
fn difference(before: Time, at: Time, after: Time) -> Option<String> {
    let (ahead, behind) = (before.since(at), at.since(after));
    let (by, how) = if ahead > behind { (ahead, "ahead of") } else { (behind, "behind") };
    (by > MOST).then(|| {
        let seconds = by.as_secs();
        format!("the clock of this machine is {seconds} s {how} the clock of the database, use NTP on both")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_may_differ_by_five_seconds_and_by_the_time_of_the_call() {
        let ms = |ms: i64| Time(1_700_000_000_000 + ms);
        for (at, after) in [(0, 0), (-5_000, 0), (5_000, 0), (9_000, 4_500), (20_000, 60_000)] {
            assert_eq!(difference(ms(0), ms(at), ms(after)), None, "{at} {after}");
        }
        let ahead = difference(ms(0), ms(-61_000), ms(3)).unwrap();
        assert!(ahead.contains("61 s ahead of the clock of the database"), "{ahead}");
        let behind = difference(ms(0), ms(6_003), ms(3)).unwrap();
        assert!(behind.contains("6 s behind the clock of the database"), "{behind}");
    }
}
