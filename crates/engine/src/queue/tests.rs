//! Tests of the rules of the queue, one rule at a time.

use super::*;

const T: Timing = Timing {
    debounce: Duration::from_millis(100),
    ceiling: Duration::from_secs(5),
    lease: Duration::from_secs(60),
    backoff: Duration::from_secs(2),
    backoff_cap: Duration::from_secs(60),
    max_attempts: 3,
};

fn row() -> Row {
    Row::new(Key::new("repository", "acme", 1))
}

fn mark(lane: Lane) -> Mark {
    Mark::new(Key::new("repository", "acme", 1), lane)
}

/// Returns the time when a message about `change` must wake a sleeping worker.
fn told(row: &mut Row, now: Time, change: impl FnOnce(&mut Row)) -> Option<Time> {
    let before = row.clone();
    change(row);
    row.wakes(&before, now)
}

#[test]
fn what_can_be_claimed_earlier_or_more_urgently_is_told() {
    let mut row = row();
    let told_of = |row: &mut Row, lane, at| told(row, Time(at), |row| row.mark(&mark(lane), Time(at), &T));
    assert_eq!(told_of(&mut row, Lane::Sweep, 1000), Some(Time(1000)));
    assert_eq!(told_of(&mut row, Lane::Sweep, 2000), None, "it waits already");
    assert_eq!(told_of(&mut row, Lane::Event, 3000), Some(Time(3100)), "it is more urgent now");
    assert_eq!(told_of(&mut row, Lane::Event, 3050), None, "it waits a little longer");
    let mut claim = None;
    assert_eq!(told(&mut row, Time(4000), |row| claim = row.claim(Time(4000), &T)), None);
    let lease = claim.expect("it was due").lease;
    assert_eq!(told_of(&mut row, Lane::Event, 5000), None, "the run's end will tell");
    let done = |row: &mut Row| assert!(row.finish(&lease, Outcome::Done, Time(6000), &T));
    assert_eq!(told(&mut row, Time(6000), done), Some(Time(5100)), "it was marked meanwhile");
    let lease = row.claim(Time(7000), &T).expect("it is due").lease;
    let retry = |row: &mut Row| assert!(row.finish(&lease, Outcome::Retry("x".into()), Time(8000), &T));
    assert!(told(&mut row, Time(8000), retry).is_some_and(|at| at > Time(8000)), "after its backoff");
    let lease = row.claim(Time(20_000), &T).expect("it is due").lease;
    let until = Time(600_000);
    let limited = Outcome::RateLimited { until, spares_events: false, why: "x".into() };
    let wait = |row: &mut Row| assert!(row.finish(&lease, limited, Time(20_001), &T));
    assert_eq!(told(&mut row, Time(20_001), wait), Some(until), "after its hold, which outlasts the lease");
    let lease = row.claim(until, &T).expect("it is due").lease;
    let done = |row: &mut Row| assert!(row.finish(&lease, Outcome::Done, until, &T));
    assert_eq!(told(&mut row, until, done), None, "nothing is left to do");
}

#[test]
fn marking_during_a_run_causes_exactly_one_more() {
    let mut row = row();
    row.mark(&mark(Lane::Event), Time(0), &T);
    let claim = row.claim(Time(100), &T).unwrap();
    for at in 101..110 {
        row.mark(&mark(Lane::Event), Time(at), &T);
    }
    assert!(row.finish(&claim.lease, Outcome::Done, Time(200), &T));
    let again = row.claim(Time(300), &T).expect("one more run");
    assert!(row.finish(&again.lease, Outcome::Done, Time(400), &T));
    assert_eq!(row.due_at(), None, "and no other");
}

#[test]
fn a_busy_key_waits_no_longer_than_the_ceiling() {
    let mut row = row();
    for at in (0..20_000).step_by(50) {
        row.mark(&mark(Lane::Event), Time(at), &T);
        if row.due_at().unwrap() <= Time(at) {
            assert!(at <= 5_000, "claimable only at {at}");
            return;
        }
    }
    panic!("never claimable");
}

#[test]
fn an_event_raises_a_queued_sweep_and_a_sweep_never_lowers_an_event() {
    let mut row = row();
    row.mark(&mark(Lane::Sweep), Time(0), &T);
    let slow = row.rank();
    row.mark(&mark(Lane::Event), Time(10), &T);
    assert!(row.rank() < slow);
    row.mark(&mark(Lane::Sweep), Time(20), &T);
    assert_eq!(row.lane, Lane::Event);
}

#[test]
fn a_run_has_no_hint_of_a_sweep_while_it_can_stand_for_an_event() {
    let hinted = |lane, hint: &str| Mark { hint: Some(hint.into()), ..mark(lane) };
    for (running, during, expected) in [
        // The run of the event can fail, or its process can end.
        (hinted(Lane::Event, "R"), hinted(Lane::Sweep, "R#swept"), None),
        (hinted(Lane::Manual, "R"), hinted(Lane::Sweep, "R#swept"), None),
        // A webhook that Beadle's own write caused, and a sweep after a sweep.
        (hinted(Lane::Event, "R"), hinted(Lane::Sweep, "R"), Some("R")),
        (hinted(Lane::Sweep, "R#swept"), hinted(Lane::Sweep, "R"), Some("R")),
        (hinted(Lane::Sweep, "R#swept"), hinted(Lane::Event, "R"), Some("R")),
    ] {
        let mut row = row();
        row.mark(&running, Time(0), &T);
        row.claim(Time(1000), &T).expect("it is due");
        row.mark(&during, Time(2000), &T);
        // The process of the run ends without a result.
        let claim = row.claim(Time(2000) + T.lease, &T).expect("it is due again");
        assert_eq!((claim.lane, claim.hint.as_deref()), (during.lane, expected), "{running:?} {during:?}");
    }
}

#[test]
fn a_run_of_two_marks_reads_everything_if_one_of_them_needs_it() {
    let hinted = |hint: Option<&str>| Mark { hint: hint.map(str::to_owned), ..mark(Lane::Sweep) };
    let (careful, swept) = (Some("R"), Some("R#swept"));
    for (first, second, expected) in [
        (swept, swept, swept),
        // A webhook that Beadle's own write caused has the lane `sweep`.
        (careful, swept, careful),
        (swept, careful, careful),
        (None, swept, careful),
        (swept, None, careful),
    ] {
        let mut row = row();
        row.mark(&hinted(first), Time(0), &T);
        row.mark(&hinted(second), Time(1), &T);
        let claim = row.claim(Time(2), &T).expect("it is due");
        assert_eq!(claim.hint.as_deref(), expected, "{first:?} {second:?}");
        // The row does not remember the covered marks.
        assert!(row.finish(&claim.lease, Outcome::Done, Time(3), &T));
        row.mark(&hinted(swept), Time(4), &T);
        assert_eq!(row.claim(Time(5), &T).expect("it is due").hint.as_deref(), swept);
    }
}

#[test]
fn a_sweep_does_not_make_the_run_after_a_failed_one_read_less() {
    let hinted = |lane, hint: &str| Mark { hint: Some(hint.into()), ..mark(lane) };
    for lane in [Lane::Event, Lane::Sweep] {
        for is_swept_during_the_run in [true, false] {
            let mut row = row();
            row.mark(&hinted(lane, "R"), Time(0), &T);
            let claim = row.claim(Time(1000), &T).expect("it is due");
            let sweep = |row: &mut Row| row.mark(&hinted(Lane::Sweep, "R#swept"), Time(1500), &T);
            let fail =
                |row: &mut Row| assert!(row.finish(&claim.lease, Outcome::Retry("x".into()), Time(1500), &T));
            if is_swept_during_the_run {
                sweep(&mut row);
                fail(&mut row);
            } else {
                fail(&mut row);
                sweep(&mut row);
            }
            let again = row.claim(Time(500_000), &T).expect("it is due again");
            assert_ne!(again.hint.as_deref(), Some("R#swept"), "{lane} {is_swept_during_the_run}");
        }
    }
}

#[test]
fn a_mark_pulls_backoff_forward_but_not_a_vendors_hold() {
    let mut row = row();
    row.mark(&mark(Lane::Sweep), Time(0), &T);
    let claim = row.claim(Time(0), &T).unwrap();
    row.finish(&claim.lease, Outcome::Retry("503".into()), Time(0), &T);
    assert!(row.due_at().unwrap() >= Time(1000));
    row.mark(&mark(Lane::Event), Time(10), &T);
    assert_eq!(row.due_at(), Some(Time(110)));
    let claim = row.claim(Time(110), &T).unwrap();
    let held = Outcome::RateLimited { until: Time(90_000), spares_events: false, why: "primary".into() };
    row.finish(&claim.lease, held, Time(120), &T);
    row.mark(&mark(Lane::Event), Time(130), &T);
    assert_eq!(row.due_at(), Some(Time(90_000)));
}

#[test]
fn a_hold_of_the_reserve_spares_events() {
    let mut row = row();
    row.mark(&mark(Lane::Sweep), Time(0), &T);
    let claim = row.claim(Time(0), &T).unwrap();
    let held = Outcome::RateLimited { until: Time(90_000), spares_events: true, why: "reserve".into() };
    row.finish(&claim.lease, held, Time(1), &T);
    assert_eq!(row.due_at(), Some(Time(90_000)));
    row.mark(&mark(Lane::Event), Time(10), &T);
    assert_eq!(row.due_at(), Some(Time(110)));
    assert_eq!(row.attempts, 0, "waiting for a budget is no failure");
}

#[test]
fn what_waits_for_a_limit_of_its_own_delays_no_event_and_does_not_run_again_at_once() {
    let mut row = row();
    row.mark(&mark(Lane::Event), Time(0), &T);
    let claim = row.claim(Time(100), &T).unwrap();
    let deferred = || Outcome::Deferred { until: Time(90_000), why: "labels".into() };
    row.finish(&claim.lease, deferred(), Time(200), &T);
    assert_eq!((row.due_at(), row.lane, row.attempts), (Some(Time(90_000)), Lane::Sweep, 0));
    row.mark(&mark(Lane::Event), Time(1000), &T);
    assert_eq!(row.due_at(), Some(Time(1100)), "the event does not wait");
    let claim = row.claim(Time(1100), &T).unwrap();
    row.mark(&mark(Lane::Event), Time(1200), &T);
    row.finish(&claim.lease, deferred(), Time(1300), &T);
    assert_eq!((row.due_at(), row.lane), (Some(Time(1300)), Lane::Event), "the run does not cover it");
}

#[test]
fn runs_that_never_return_are_counted_and_parked() {
    let mut row = row();
    row.mark(&mark(Lane::Event), Time(0), &T);
    let mut now = Time(1_000);
    for _ in 0..3 {
        row.claim(now, &T).expect("claimed");
        now = now + T.lease;
    }
    assert_eq!(row.claim(now, &T), None);
    assert_eq!(row.parked.as_ref().unwrap().reason, ParkReason::Failed);
    row.mark(&mark(Lane::Event), now, &T);
    assert!(row.claim(now + T.debounce, &T).is_some(), "a new event revives it");
}

#[test]
fn a_late_finisher_changes_nothing() {
    let mut row = row();
    row.mark(&mark(Lane::Event), Time(0), &T);
    let late = row.claim(Time(100), &T).unwrap();
    let current = row.claim(Time(100) + T.lease, &T).unwrap();
    let before = row.clone();
    assert!(!row.finish(&late.lease, Outcome::Done, Time(70_000), &T));
    assert_eq!(row, before);
    assert!(row.finish(&current.lease, Outcome::Done, Time(70_001), &T));
}

#[test]
fn only_an_operator_revives_a_held_key() {
    let mut row = row();
    row.mark(&mark(Lane::Event), Time(0), &T);
    let claim = row.claim(Time(100), &T).unwrap();
    row.finish(&claim.lease, Outcome::Park(ParkReason::Held, "asked".into()), Time(101), &T);
    row.mark(&mark(Lane::Event), Time(200), &T);
    assert_eq!(row.due_at(), None);
    row.mark(&mark(Lane::Manual), Time(300), &T);
    assert!(row.due_at().is_some());
}

#[test]
fn a_hold_is_at_most_a_day_when_it_is_stored_and_when_it_is_read() {
    let mut row = row();
    row.mark(&mark(Lane::Event), Time(0), &T);
    let claim = row.claim(Time(100), &T).unwrap();
    let until = Time(i64::MAX);
    row.finish(
        &claim.lease,
        Outcome::RateLimited { until, spares_events: false, why: "x".into() },
        Time(200),
        &T,
    );
    assert_eq!(row.due_at(), Some(Time(200) + LONGEST_HOLD));
    row.not_before = until;
    assert_eq!(row.claim(Time(300), &T), None);
    assert_eq!(row.due_at(), Some(Time(300) + LONGEST_HOLD), "it was stored by an earlier version");
}

#[test]
fn a_run_belongs_to_the_trace_of_its_newest_mark() {
    let trace = |n: u128| {
        let trace = crate::trace::TraceId::new(n).unwrap();
        Some(TraceContext { trace, span: 1, is_sampled: true })
    };
    let traced = |lane, n| Mark { trace: trace(n), ..mark(lane) };
    let mut row = row();
    row.mark(&traced(Lane::Event, 1), Time(0), &T);
    row.mark(&traced(Lane::Event, 2), Time(1), &T);
    row.mark(&mark(Lane::Sweep), Time(2), &T);
    let claim = row.claim(Time(200), &T).unwrap();
    assert_eq!(claim.trace, trace(2), "a mark without a trace does not end the trace");
    assert!(row.finish(&claim.lease, Outcome::Retry("503".into()), Time(300), &T));
    let again = row.claim(Time(60_000), &T).unwrap();
    assert_eq!(again.trace, trace(2), "a retry is part of the trace");
    row.mark(&traced(Lane::Event, 3), Time(60_001), &T);
    assert!(row.finish(&again.lease, Outcome::Done, Time(60_002), &T));
    let third = row.claim(Time(60_200), &T).unwrap();
    assert_eq!(third.trace, trace(3));
    assert!(row.finish(&third.lease, Outcome::Done, Time(60_300), &T));
    row.mark(&mark(Lane::Sweep), Time(70_000), &T);
    assert_eq!(row.claim(Time(70_000), &T).unwrap().trace, None, "the earlier trace is over");
}

#[test]
fn a_row_of_a_version_without_traces_is_read() {
    let mut stored = serde_json::to_value(row()).unwrap();
    assert!(stored.get("trace").is_none(), "an older version reads the row of a key without a trace");
    stored["trace"] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into();
    let read: Row = serde_json::from_value(stored).unwrap();
    assert!(read.trace.is_some_and(|trace| trace.is_sampled));
}

#[test]
fn a_row_of_a_newer_version_is_read_and_stays_where_it_is() {
    let mut stored = serde_json::to_value(Row { wanted: 1, ..row() }).unwrap();
    stored["lane"] = "urgent".into();
    stored["colour"] = "green".into();
    let read: Row = serde_json::from_value(stored.clone()).unwrap();
    assert_eq!((read.lane, read.due_at()), (Lane::Sweep, Some(Time(0))), "the key stays due");
    stored["parked"] = serde_json::json!({ "reason": "quarantined", "why": "x", "since": 5, "until": 9 });
    let mut read: Row = serde_json::from_value(stored).unwrap();
    read.mark(&mark(Lane::Event), Time(10), &T);
    let parked = read.parked.clone().unwrap();
    assert_eq!((parked.reason, parked.why.as_str(), read.wanted), (ParkReason::Held, "x", 2));
    // The newer version finds its own reason again.
    let kept = serde_json::to_value(&read).unwrap();
    let own = serde_json::json!({ "reason": "quarantined", "why": "x", "since": 5, "until": 9 });
    assert_eq!(kept["parked"], own);
    read.mark(&mark(Lane::Manual), Time(20), &T);
    assert_eq!(read.parked, None, "an operator makes the key due again");
}

#[test]
fn the_largest_numbers_of_a_stored_row_do_no_harm() {
    let mut row = Row {
        wanted: u64::MAX,
        attempts: u32::MAX,
        epoch: u64::MAX,
        first_dirty: Time(i64::MAX),
        lane: Lane::Sweep,
        ..row()
    };
    assert_eq!(row.rank(), i64::MAX);
    row.mark(&mark(Lane::Event), Time(0), &T);
    let claim = row.claim(Time(100), &T).unwrap();
    assert_eq!((row.wanted, claim.lease.epoch), (u64::MAX, u64::MAX));
    assert!(row.finish(&claim.lease, Outcome::Done, Time(200), &T));
}
