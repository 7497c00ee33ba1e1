use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::clock::Time;

const SETTLE: Duration = Duration::from_secs(30);

pub(super) fn rules(most_per_hour: usize) -> Rules {
    Rules { kinds: ProblemKind::ALL.into(), settle: SETTLE, most_per_hour }
}

pub(super) fn problem(kind: ProblemKind, aspect: &str, id: u32) -> Problem {
    Problem {
        topic: Topic::new(kind, "acme").of_aspect(aspect),
        id: format!("{id}"),
        subject: format!("acme/r{id}"),
        what: "removes team engineering".into(),
        why: "guard limit reached".into(),
        code: String::new(),
    }
}

fn held(ids: impl IntoIterator<Item = u32>) -> Present {
    collect(ids.into_iter().map(|id| problem(ProblemKind::Held, "teams", id)))
}

pub(super) fn at(seconds: i64) -> Time {
    Time::from_seconds(1_000_000 + seconds)
}

/// A channel with a receiver that always answers.
struct Channel {
    ledger: Ledger,
    rules: Rules,
    /// The received messages. For each topic, a message has the state, the number of problems and
    /// the number of new ones.
    received: Vec<Vec<(State, u64, u64)>>,
}

impl Channel {
    fn new(most_per_hour: usize) -> Self {
        Self { ledger: Ledger::default(), rules: rules(most_per_hour), received: Vec::new() }
    }

    fn look(&mut self, present: &Present, is_quiet: bool, now: Time) {
        self.ledger.observe("ops", present, &self.rules, is_quiet, now);
        if let Some(outgoing) = self.ledger.begin(is_quiet, now) {
            let item = |item: &Item| (item.state, item.count(), item.new);
            self.received.push(outgoing.items.iter().map(item).collect());
            self.ledger.delivered(now);
        }
    }

    /// Checks the problems every ten seconds within the period `seconds`.
    fn watch(&mut self, present: &Present, seconds: std::ops::Range<i64>) {
        for second in seconds.step_by(10) {
            self.look(present, false, at(second));
        }
    }
}

#[test]
fn a_thousand_holds_make_one_message_and_their_end_another() {
    let mut channel = Channel::new(20);
    // The runs of a sweep find the holds one after the other.
    for n in 0..10 {
        channel.look(&held(0..100 * n), false, at(i64::from(n)));
    }
    channel.watch(&held(0..1000), 10..3600);
    assert_eq!(channel.received, [vec![(State::Opened, 1000, 1000)]]);
    channel.watch(&held([]), 3600..7200);
    assert_eq!(channel.received[1..], [vec![(State::Recovered, 0, 0)]]);
}

#[test]
fn only_further_problems_make_a_further_message() {
    let mut channel = Channel::new(20);
    channel.watch(&held(0..5), 0..100);
    channel.watch(&held(0..3), 100..500);
    assert_eq!(channel.received.len(), 1, "fewer problems are no news");
    channel.watch(&held(1..8), 500..600);
    assert_eq!(channel.received[1], [(State::Updated, 7, 5)]);
    // Two problems end and come back.
    channel.watch(&held(1..6), 600..1000);
    channel.watch(&held(1..8), 1000..1100);
    assert_eq!(channel.received[2..], [vec![(State::Updated, 7, 2)]]);
}

#[test]
fn holds_that_a_new_generation_makes_again_are_no_news() {
    let mut channel = Channel::new(20);
    channel.watch(&held(0..100), 0..100);
    // The guard forgets the holds. The runs of a sweep then hold the same changes again, one change
    // after the other, and also hold one new change.
    channel.watch(&held([]), 100..150);
    for n in 0..100 {
        let from = 150 + 20 * i64::from(n);
        channel.watch(&held((0..n).chain([5000])), from..from + 20);
    }
    channel.watch(&held((0..100).chain([5000])), 2150..4000);
    assert_eq!(channel.received[1..], [vec![(State::Updated, 16, 1)]], "{:?}", channel.received);
}

#[test]
fn in_a_topic_that_changes_all_day_a_problem_is_new_when_it_comes_back_much_later() {
    let mut channel = Channel::new(20);
    channel.watch(&held(0..5), 0..100);
    // Problem 4 ends. Two other problems come and go in turn.
    for n in 0..50 {
        let from = 100 + 100 * i64::from(n);
        channel.watch(&held((0..4).chain([10 + n % 2])), from..from + 100);
    }
    assert_eq!(channel.received.len(), 4, "both others, and one of them again after an hour");
    channel.watch(&held(0..5), 5100..5200);
    assert_eq!(channel.received[4..], [vec![(State::Updated, 5, 1)]]);
}

#[test]
fn a_topic_that_lost_problems_sends_no_message_early() {
    let mut channel = Channel::new(20);
    let parked = |ids: std::ops::Range<u32>| ids.map(|id| problem(ProblemKind::Parked, "", id));
    channel.watch(&collect(parked(0..3)), 0..100);
    // One key is parked again and again, each time for a short time. The problems therefore soon
    // differ from those that the channel knows.
    for n in 0..30 {
        let from = 100 + 20 * i64::from(n);
        channel.watch(&collect(parked(0..1 + n % 2)), from..from + 20);
    }
    for n in 1..=10 {
        let holds = (0..100 * n).map(|id| problem(ProblemKind::Held, "teams", id));
        let from = 700 + 10 * i64::from(n);
        channel.watch(&collect(holds.chain(parked(0..1 + n % 2))), from..from + 10);
    }
    let holds = (0..1000).map(|id| problem(ProblemKind::Held, "teams", id));
    channel.watch(&collect(holds.chain(parked(0..1))), 810..900);
    assert_eq!(channel.received[1..], [vec![(State::Opened, 1000, 1000)]], "{:?}", channel.received);
}

#[test]
fn the_result_of_a_message_that_another_process_has_sent_is_out_of_date() {
    let (mut ledger, rules) = (Ledger::default(), rules(20));
    ledger.observe("ops", &held(0..3), &rules, false, at(0));
    ledger.observe("ops", &held(0..3), &rules, false, at(30));
    let first = ledger.begin(false, at(30)).unwrap();
    assert!(ledger.awaits(&first.id));
    // The process stops for a while. Another process sends the message and makes the next one.
    ledger.delivered(at(100));
    assert!(!ledger.awaits(&first.id));
    ledger.observe("ops", &held(0..5), &rules, false, at(110));
    ledger.observe("ops", &held(0..5), &rules, false, at(140));
    assert!(ledger.outbox().is_some() && !ledger.awaits(&first.id));
}

#[test]
fn a_problem_that_ends_at_once_makes_no_message() {
    let mut channel = Channel::new(20);
    channel.watch(&held(0..5), 0..20);
    channel.watch(&held([]), 20..200);
    assert!(channel.received.is_empty());
    channel.watch(&held(0..5), 200..300);
    channel.watch(&held([]), 300..320);
    channel.watch(&held(0..5), 320..500);
    assert_eq!(channel.received.len(), 1, "an interruption is no recovery");
}

#[test]
fn a_recovery_waits_longer_than_a_problem_and_delays_none() {
    let mut channel = Channel::new(20);
    channel.watch(&held(0..5), 0..100);
    // After a new generation of the policy, the guard forgets the holds, and holds the changes
    // again.
    channel.watch(&held([]), 100..390);
    channel.watch(&held(0..5), 390..500);
    assert_eq!(channel.received.len(), 1);
    channel.watch(&held([]), 500..600);
    channel.watch(&collect([problem(ProblemKind::Parked, "", 1)]), 600..640);
    assert_eq!(channel.received[1..], [vec![(State::Opened, 1, 1)]]);
    channel.watch(&collect([problem(ProblemKind::Parked, "", 1)]), 640..900);
    assert_eq!(channel.received[2..], [vec![(State::Recovered, 0, 0)]]);
}

#[test]
fn topics_of_one_incident_share_a_message_and_a_restless_one_delays_no_other_for_long() {
    let mut channel = Channel::new(20);
    let both = collect([problem(ProblemKind::Held, "teams", 1), problem(ProblemKind::Parked, "", 2)]);
    channel.look(&held([1]), false, at(0));
    channel.watch(&both, 20..200);
    assert_eq!(channel.received.len(), 1);
    assert_eq!(channel.received[0].len(), 2);
    let mut channel = Channel::new(20);
    for n in 0..40 {
        let parked = collect([problem(ProblemKind::Parked, "", 2)]);
        let changing: Present = held(0..=n).into_iter().chain(parked).collect();
        channel.look(&changing, false, at(10 * i64::from(n)));
    }
    assert_eq!(channel.received.len(), 1, "after ten times the wait");
    assert_eq!(channel.received[0].len(), 2);
}

#[test]
fn quiet_hours_end_with_one_message_about_what_is_left() {
    let mut channel = Channel::new(20);
    for second in (0..3600).step_by(10) {
        let night = if second < 1800 { held(0..9) } else { collect([problem(ProblemKind::Parked, "", 1)]) };
        channel.look(&night, true, at(second));
    }
    assert!(channel.received.is_empty());
    channel.look(&collect([problem(ProblemKind::Parked, "", 1)]), false, at(3600));
    assert_eq!(channel.received, [vec![(State::Opened, 1, 1)]]);
}

#[test]
fn the_limit_of_an_hour_delays_problems_and_loses_none() {
    let mut channel = Channel::new(2);
    for n in 0..10 {
        channel.watch(&held(0..=n), 60 * i64::from(n)..60 * i64::from(n + 1));
    }
    assert_eq!(channel.received.len(), 2);
    channel.watch(&held(0..10), 600..4200);
    assert_eq!(channel.received.len(), 3);
    assert_eq!(channel.received[2], [(State::Updated, 10, 8)]);
}

#[test]
fn a_receiver_that_is_away_gets_the_same_message_later_and_once() {
    let (mut ledger, rules, present) = (Ledger::default(), rules(20), held(0..3));
    let (mut tries, mut ids) = (Vec::new(), BTreeSet::new());
    for second in 0..7200 {
        let now = at(second);
        ledger.observe("ops", &present, &rules, false, now);
        if let Some(outgoing) = ledger.begin(false, now) {
            tries.push(second);
            ids.insert(outgoing.id);
            if second < 3600 { ledger.failed("away", None, now) } else { ledger.delivered(now) }
        }
    }
    assert_eq!(ids.len(), 1);
    assert_eq!(tries.iter().filter(|second| **second >= 3600).count(), 1);
    assert!(tries.len() < 20, "the waits grow: {tries:?}");
    assert!(tries.last() < Some(&4600), "and have a limit: {tries:?}");
}

#[test]
fn two_processes_that_make_the_same_message_give_it_the_same_id() {
    let id = |ledger: &Ledger| ledger.outbox().unwrap().id.clone();
    let (mut one, rules) = (Ledger::default(), rules(20));
    one.observe("ops", &held(0..3), &rules, false, at(0));
    let mut other = one.clone();
    one.observe("ops", &held(0..3), &rules, false, at(30));
    other.observe("ops", &held(0..3), &rules, false, at(31));
    assert_eq!(id(&one), id(&other));
    // The same problems come back later, and the ledger is lost.
    let mut later = Ledger::default();
    later.observe("ops", &held(0..3), &rules, false, at(5000));
    later.observe("ops", &held(0..3), &rules, false, at(5030));
    assert_ne!(id(&one), id(&later));
}

#[test]
fn a_receiver_can_name_the_time_of_the_next_try() {
    let (mut ledger, rules, present) = (Ledger::default(), rules(20), held(0..3));
    ledger.observe("ops", &present, &rules, false, at(0));
    ledger.observe("ops", &present, &rules, false, at(30));
    assert!(ledger.begin(false, at(30)).is_some());
    ledger.failed("away", Some(at(130)), at(30));
    assert!(ledger.begin(false, at(129)).is_none());
    assert_eq!((ledger.failure(false), ledger.failure(true)), (Some("away"), None));
    assert!(ledger.begin(true, at(130)).is_none(), "quiet hours");
    assert!(ledger.begin(false, at(130)).is_some());
    ledger.failed("away", Some(at(1_000_000)), at(130));
    assert!(ledger.begin(false, at(130 + 3600)).is_some(), "an hour at most");
}

#[test]
fn a_refused_message_is_sent_again_with_titles_only() {
    let (mut ledger, rules) = (Ledger::default(), rules(20));
    ledger.observe("ops", &held(0..3), &rules, false, at(0));
    ledger.observe("ops", &held(0..3), &rules, false, at(30));
    let first = ledger.begin(false, at(30)).unwrap();
    ledger.shorten();
    ledger.failed("422", None, at(30));
    let second = ledger.begin(false, at(60)).unwrap();
    assert!(!first.items[0].lines().is_empty() && second.items[0].lines().is_empty());
    assert_eq!((second.items[0].count(), second.items[0].found.more), (3, 3));
    ledger.delivered(at(60));
    ledger.observe("ops", &held(0..3), &rules, false, at(4000));
    assert!(ledger.begin(false, at(4000)).is_none(), "the receiver knows the topic");
}

#[test]
fn a_kind_that_the_channel_does_not_select_is_left_out() {
    let mut channel = Channel::new(20);
    channel.watch(&held(0..3), 0..100);
    channel.rules.kinds = [ProblemKind::Parked].into();
    channel.watch(&held(0..9), 100..200);
    assert_eq!(channel.received.len(), 1, "neither further holds nor a recovery");
}

#[test]
fn a_topic_shows_its_largest_groups_and_counts_the_rest() {
    let all = (0..100_u32).map(|id| Problem {
        what: format!("removes team t{}", if id < 60 { 0 } else { id % 10 }),
        ..problem(ProblemKind::Held, "teams", id)
    });
    let present = collect(all);
    let found = present.values().next().unwrap();
    assert_eq!((found.members.count, found.lines.len(), found.lines[0].count), (100, 5, 64));
    assert_eq!(found.lines.iter().map(|line| line.count).sum::<u64>() + found.more, 100);
    assert_eq!(found.lines[0].examples.len(), 5);
}

#[test]
fn problems_with_different_codes_have_a_line_each() {
    let coded =
        |id: u32, code: &str| Problem { code: code.to_owned(), ..problem(ProblemKind::Held, "teams", id) };
    let present = collect([coded(1, "aaa"), coded(2, "bbb"), coded(3, "bbb")]);
    let lines = &present.values().next().unwrap().lines;
    let shown: Vec<_> = lines.iter().map(|line| (line.code.as_str(), line.count)).collect();
    assert_eq!(shown, [("bbb", 2), ("aaa", 1)]);
}

#[test]
fn a_ledger_with_every_topic_of_a_large_organisation_fits_into_a_note() {
    let long = "名".repeat(500);
    let aspects: Vec<String> = (0..300).map(|n| format!("aspect {n}")).collect();
    let of = |aspect: &String| {
        let problem = |id: u32| Problem {
            what: format!("{} {long}", id % 7),
            why: long.clone(),
            subject: format!("acme/{id}{long}"),
            ..problem(ProblemKind::Held, aspect, id)
        };
        (0..100).map(problem).collect::<Vec<_>>()
    };
    let present = collect(aspects.iter().flat_map(of));
    let mut channel = Channel::new(20);
    let (mut largest, mut topics) = (0, 0);
    for second in (0..1200).step_by(30) {
        channel.ledger.observe("ops", &present, &channel.rules, false, at(second));
        largest = largest.max(serde_json::to_string(&channel.ledger).unwrap().len());
        if let Some(outgoing) = channel.ledger.begin(false, at(second)) {
            topics += outgoing.items.len();
            channel.ledger.delivered(at(second));
        }
    }
    assert_eq!(topics, 300);
    assert!(largest < 400_000, "DynamoDB refuses a larger note: {largest}");
}

#[test]
fn in_a_large_topic_only_further_problems_are_new() {
    let mut channel = Channel::new(20);
    channel.watch(&held(0..1000), 0..100);
    // The ledger now stores identities that it had left out, in place of the identities of ended
    // problems.
    channel.watch(&held(0..700), 100..200);
    channel.watch(&held(200..700), 200..600);
    assert_eq!(channel.received.len(), 1, "{:?}", channel.received);
    channel.watch(&held(200..701), 600..700);
    assert_eq!(channel.received[1..], [vec![(State::Updated, 501, 1)]]);
    channel.watch(&held(0..1000), 700..800);
    assert_eq!(channel.received[2], [(State::Updated, 1000, 499)]);
    channel.watch(&held(0..50), 800..1200);
    channel.watch(&held(0..50), 1200..1300);
    assert_eq!(channel.received.len(), 3, "{:?}", channel.received);
}

#[test]
fn a_clock_that_was_ahead_delays_no_message() {
    let (mut ledger, rules, present) = (Ledger::default(), rules(1), held(0..3));
    let ahead = at(1_000_000);
    ledger.observe("ops", &present, &rules, false, ahead);
    ledger.observe("ops", &present, &rules, false, ahead + SETTLE);
    assert!(ledger.begin(false, ahead + SETTLE).is_some());
    ledger.failed("away", None, ahead + SETTLE);
    assert!(ledger.begin(false, at(0)).is_some());
    ledger.delivered(ahead);
    for second in [0, 300] {
        ledger.observe("ops", &held([]), &rules, false, at(second));
    }
    assert!(ledger.begin(false, at(300)).is_some());
}

#[test]
fn a_stored_ledger_is_read_back() {
    let (mut ledger, rules) = (Ledger::default(), rules(20));
    ledger.observe("ops", &held(0..3), &rules, false, at(0));
    ledger.observe("ops", &held(0..3), &rules, false, at(30));
    for _ in 0..2 {
        let text = serde_json::to_string(&ledger).unwrap();
        assert_eq!(serde_json::from_str::<Ledger>(&text).unwrap(), ledger);
        ledger.delivered(at(40));
    }
    assert_eq!(serde_json::from_str::<Ledger>("{}").unwrap(), Ledger::default());
}

#[test]
fn the_ledger_of_another_version_is_read() {
    let mut ledger = Ledger::default();
    let present = held([1, 2]);
    for second in [0, 30] {
        ledger.observe("ops", &present, &rules(10), false, at(second));
    }
    assert!(ledger.outbox().is_some());
    ledger.delivered(at(31));
    let mut stored = serde_json::to_value(&ledger).unwrap();
    stored["told"][0]["urgency"] = "a newer version has this field".into();
    let newer: Ledger = serde_json::from_value(stored.clone()).unwrap();
    assert_eq!(newer, ledger);
    // The first version stored only the hashes of the problems.
    stored["told"][0]["members"] = stored["told"][0]["members"]["hashes"].clone();
    let older: Ledger = serde_json::from_value(stored.clone()).unwrap();
    assert_eq!(older, ledger);
    // A ledger that this version cannot read must not count as empty, because Beadle would report
    // each problem again.
    stored["told"][0]["members"] = "quota-low".into();
    assert!(serde_json::from_value::<Ledger>(stored).is_err());
    let is_needed = <Ledger as crate::note::Metadata>::IS_NEEDED;
    assert!(is_needed, "the ledger stays as it is");
}

/// Adds a copy of the first element to a stored list. The copy has a topic of an unknown kind.
fn add_newer(list: &mut serde_json::Value) -> serde_json::Value {
    let mut newer = list[0].clone();
    newer["topic"]["kind"] = "invented".into();
    list.as_array_mut().unwrap().push(newer.clone());
    newer
}

#[test]
fn a_topic_of_a_newer_kind_stays_and_stops_no_message() {
    let mut channel = Channel::new(20);
    channel.watch(&held(0..2), 0..100);
    let mut stored = serde_json::to_value(&channel.ledger).unwrap();
    let newer = add_newer(&mut stored["told"]);
    channel.ledger = serde_json::from_value(stored).unwrap();
    channel.watch(&held(0..5), 100..200);
    assert_eq!(channel.received[1..], [vec![(State::Updated, 5, 3)]]);
    let mut stored = serde_json::to_value(&channel.ledger).unwrap();
    assert_eq!(stored["told"].as_array().unwrap().len(), 2);
    assert_eq!(stored["told"][1], newer, "a newer version does not tell the topic again");
    stored["told"][0]["since"] = "soon".into();
    assert!(serde_json::from_value::<Ledger>(stored).is_err(), "a damaged ledger is not an empty one");
}

#[test]
fn a_message_leaves_out_the_topics_of_newer_kinds() {
    let mut ledger = Ledger::default();
    ledger.observe("ops", &held(0..2), &rules(20), false, at(0));
    let mut stored = serde_json::to_value(&ledger).unwrap();
    add_newer(&mut stored["changing"]);
    assert_eq!(serde_json::from_value::<Ledger>(stored).unwrap(), ledger);
    ledger.observe("ops", &held(0..2), &rules(20), false, at(30));
    let mut stored = serde_json::to_value(&ledger).unwrap();
    let newer = add_newer(&mut stored["outbox"]["items"]);
    assert_eq!(serde_json::from_value::<Ledger>(stored.clone()).unwrap(), ledger);
    stored["outbox"]["items"] = serde_json::json!([newer]);
    let left: Ledger = serde_json::from_value(stored).unwrap();
    assert!(left.outbox().is_none(), "a message without topics is not sent");
}
