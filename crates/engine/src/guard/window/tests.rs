use serde_json::json;

use super::*;
use crate::guard::{Rejection, UNDO_GENERATION};
use crate::key::Key;
use crate::mode::Mode;
use crate::plan::{Change, Field};

const NOW: Time = Time(100_000_000);

fn hold(n: u64, aspect: &str, risk: Risk, reaches: u32) -> Hold {
    let field = Field { name: "x".into(), before: json!(true), after: json!(null), asked: None, risk };
    let change = Change {
        aspect: aspect.into(),
        what: String::new(),
        fields: vec![field],
        mode: Mode::Enforce,
        after: Vec::new(),
        stop: None,
        undone: false,
        reaches,
        write: (),
    };
    let key = Key::new("repository", "acme", n);
    Hold { digest: format!("{aspect}{n}"), ..Hold::new(&key, "acme/shop", "g", change, NOW) }
}

fn ask(window: &mut Vec<GuardReservation>, limits: &Limits, hold: &Hold, now: Time) -> Verdict {
    check_guard(window, &BTreeMap::new(), limits, &[hold], now).verdicts.remove(0)
}

#[test]
fn a_change_counts_by_what_it_reaches() {
    let limits = Limits { weakens: 25, ..Limits::default() };
    let mut window = Vec::new();
    let verdict = ask(&mut window, &limits, &hold(1, "organisation_rulesets", Risk::Weakens, 60), NOW);
    assert!(matches!(&verdict, Verdict::Hold(why) if why.contains("reaches 60 repositories")), "{verdict:?}");
    assert_eq!(ask(&mut window, &limits, &hold(1, "rulesets", Risk::Weakens, 20), NOW), Verdict::Pass);
    assert!(matches!(
        ask(&mut window, &limits, &hold(2, "rulesets", Risk::Weakens, 6), NOW),
        Verdict::Hold(_)
    ));
    assert_eq!(ask(&mut window, &limits, &hold(2, "rulesets", Risk::Weakens, 5), NOW), Verdict::Pass);
}

#[test]
fn a_reservation_from_a_time_that_has_not_come_counts_from_now_on() {
    let limits = Limits { removes: 1, ..Limits::default() };
    let mut window = Vec::new();
    let ahead = NOW + Duration::from_secs(30 * 24 * 3600);
    let [one, other] = [1, 2].map(|n| hold(n, "teams", Risk::Removes, 1));
    assert_eq!(ask(&mut window, &limits, &one, ahead), Verdict::Pass);
    assert!(begin(&mut window, None, &one.digest, limits.window, 1, ahead));
    // The clock is right again.
    assert!(matches!(ask(&mut window, &limits, &other, NOW), Verdict::Hold(_)));
    let later = NOW + limits.window + Duration::from_secs(1);
    assert_eq!(ask(&mut window, &limits, &other, later), Verdict::Pass);
}

#[test]
fn three_lost_answers_fill_a_window_of_three() {
    let limits = Limits { removes: 3, ..Limits::default() };
    let mut window = Vec::new();
    let change = hold(1, "teams", Risk::Removes, 1);
    let mut made = 0;
    for second in 0..36 {
        let now = NOW + Duration::from_secs(second);
        // After each removal, another writer gives the team its access again, and the answer to the
        // removal is lost.
        if ask(&mut window, &limits, &change, now) == Verdict::Pass {
            made += 1;
            assert!(begin(&mut window, None, &change.digest, limits.window, made, now));
        }
    }
    assert_eq!(made, 3);
    let later = NOW + limits.window + Duration::from_secs(36);
    assert_eq!(ask(&mut window, &limits, &change, later), Verdict::Pass, "the window moves on");
}

#[test]
fn what_is_refused_takes_no_room_from_what_is_lawful() {
    let limits = Limits { removes: 5, ..Limits::default() };
    let mut window = Vec::new();
    for n in 0..8 {
        let refused = hold(n, "teams", Risk::Removes, 1);
        for time in 0..3 {
            let intent = 3 * n + time;
            assert_eq!(ask(&mut window, &limits, &refused, NOW), Verdict::Pass);
            assert!(begin(&mut window, None, &refused.digest, limits.window, intent, NOW));
            conclude(&mut window, None, &refused.digest, End::Refused(intent));
        }
    }
    let lawful = (10..18).map(|n| ask(&mut window, &limits, &hold(n, "teams", Risk::Removes, 1), NOW));
    assert_eq!(lawful.filter(|verdict| *verdict == Verdict::Pass).count(), 5);
}

#[test]
fn a_share_of_the_repositories_is_kept_for_each_aspect() {
    let limits = Limits { among: Some(60), ..Limits::default() };
    let mut window = Vec::new();
    let mut passed = |aspect: &str, risk| {
        let asked = (0..60).map(|n| ask(&mut window, &limits, &hold(n, aspect, risk, 1), NOW));
        asked.filter(|verdict| *verdict == Verdict::Pass).count()
    };
    assert_eq!(passed("teams", Risk::Removes), 12);
    assert_eq!(passed("labels", Risk::Removes), 12, "each aspect has its own");
    assert_eq!(passed("topics", Risk::Adds), 60);
    // A change that reaches 60 repositories counts 60 times for the share, even if the limit of
    // weakenings is high.
    let limits = Limits { weakens: 1000, ..limits };
    let verdict = ask(&mut Vec::new(), &limits, &hold(1, "organisation_rulesets", Risk::Weakens, 60), NOW);
    assert!(matches!(verdict, Verdict::Hold(_)));
    // Even in a small organisation, the guard always allows removals from ten repositories in one
    // aspect.
    let limits = Limits { among: Some(12), ..Limits::default() };
    let mut window = Vec::new();
    let asked = (0..12).map(|n| ask(&mut window, &limits, &hold(n, "teams", Risk::Removes, 1), NOW));
    assert_eq!(asked.filter(|verdict| *verdict == Verdict::Pass).count(), 10);
}

#[test]
fn a_hold_of_an_earlier_generation_becomes_one_of_the_generation_that_asks() {
    let asked = Hold { generation: "g2".into(), ..hold(1, "teams", Risk::Removes, 1) };
    let earlier = || Hold {
        since: NOW - Duration::from_secs(60),
        why: "limit".into(),
        ..hold(1, "teams", Risk::Removes, 1)
    };
    let rejection = Rejection { by: "bob".into(), reason: None, at: NOW };
    for (what, known, verdict, held) in [
        ("open", earlier(), Verdict::Hold("limit".into()), Some(("g2", NOW))),
        ("the same", Hold { generation: "g2".into(), ..earlier() }, Verdict::Hold("limit".into()), None),
        (
            "of an undo",
            Hold { generation: format!("{UNDO_GENERATION}7"), ..earlier() },
            Verdict::Hold("limit".into()),
            None,
        ),
        ("contested", Hold { contested: true, ..earlier() }, Verdict::Hold("limit".into()), None),
        ("approved", Hold { approved_by: Some("ann".into()), ..earlier() }, Verdict::Pass, None),
        (
            "rejected",
            Hold { rejected: Some(rejection), ..earlier() },
            Verdict::Hold("rejected by bob".into()),
            None,
        ),
    ] {
        let known = BTreeMap::from([(known.digest.clone(), known)]);
        let judged = check_guard(&mut Vec::new(), &known, &Limits::default(), &[&asked], NOW);
        assert_eq!(judged.verdicts, [verdict], "{what}");
        let found = judged.held.first().map(|hold| (hold.generation.as_str(), hold.since));
        assert_eq!(found, held, "{what}");
    }
}

#[test]
fn a_decision_is_not_about_another_change_with_the_same_digest() {
    let rejection = Rejection { by: "bob".into(), reason: None, at: NOW };
    let shown = || Hold { why: "limit".into(), ..hold(1, "teams", Risk::Removes, 1) };
    let approved = || Hold { approved_by: Some("ann".into()), ..shown() };
    let mut other = shown();
    other.why = String::new();
    other.change.fields[0].before = json!("admin");
    for (what, known) in [
        ("open", shown()),
        ("approved", approved()),
        ("approved, write begun", Hold { spent: true, ..approved() }),
        ("rejected", Hold { rejected: Some(rejection), ..shown() }),
    ] {
        let known = BTreeMap::from([(known.digest.clone(), known)]);
        let judged = check_guard(&mut Vec::new(), &known, &Limits::default(), &[&other], NOW);
        assert_eq!(judged.verdicts, [Verdict::Hold(SAME_DIGEST.to_owned())], "{what}");
        assert_eq!(judged.held, [Hold { why: SAME_DIGEST.to_owned(), ..other.clone() }], "{what}");
    }
    let approved = approved();
    let known = BTreeMap::from([(approved.digest.clone(), approved)]);
    let asked = [&shown(), &other];
    let judged = check_guard(&mut Vec::new(), &known, &Limits::default(), &asked, NOW);
    assert_eq!(judged.verdicts, [Verdict::Pass, Verdict::Hold(SAME_DIGEST.to_owned())]);
}

#[test]
fn a_larger_change_with_the_same_digest_does_not_use_the_room_of_a_smaller_one() {
    let limits = Limits { removes: 5, ..Limits::default() };
    let mut window = Vec::new();
    let small = hold(1, "teams", Risk::Removes, 1);
    assert_eq!(ask(&mut window, &limits, &small, NOW), Verdict::Pass);
    assert_eq!(ask(&mut window, &limits, &small, NOW), Verdict::Pass);
    assert_eq!(window.len(), 1, "a retry uses the same room");
    let large = hold(1, "teams", Risk::Removes, 6);
    assert!(matches!(ask(&mut window, &limits, &large, NOW), Verdict::Hold(_)));
}

#[test]
fn the_reason_of_a_hold_shows_the_window_in_a_readable_unit() {
    for (hours, expected) in [(1, "in 60 min, 0 used"), (24, "in 24 h, 0 used"), (72, "in 3 days, 0 used")] {
        let limits = Limits { removes: 1, window: Duration::from_secs(hours * 3600), ..Limits::default() };
        let verdict = ask(&mut Vec::new(), &limits, &hold(1, "teams", Risk::Removes, 2), NOW);
        assert!(matches!(&verdict, Verdict::Hold(why) if why.contains(expected)), "{verdict:?}");
    }
}

#[test]
fn room_that_was_reserved_long_ago_begins_no_write() {
    let limits = Limits { window: Duration::from_secs(60), ..Limits::default() };
    let mut window = Vec::new();
    let change = hold(1, "teams", Risk::Removes, 1);
    assert_eq!(ask(&mut window, &limits, &change, NOW), Verdict::Pass);
    let late = NOW + Duration::from_secs(60);
    assert!(!may_begin(&window, None, &change.digest, limits.window, late));
    assert!(!begin(&mut window, None, &change.digest, limits.window, 1, late));
    assert_eq!(ask(&mut window, &limits, &change, late), Verdict::Pass);
    assert!(may_begin(&window, None, &change.digest, limits.window, late));
    assert!(begin(&mut window, None, &change.digest, limits.window, 1, late));
}

/// Two runs write the same change. Each run asks the guard, begins the write, and records the end
/// of the write twice. A store records the end twice if it repeats a call after a lost answer. The
/// test tries every order of these steps.
#[test]
fn each_write_keeps_its_own_room_whatever_the_order_of_two_runs() {
    let limits = Limits { removes: 9, ..Limits::default() };
    let change = hold(1, "teams", Risk::Removes, 1);
    let digest = change.digest.as_str();
    // `None` is a lost answer.
    let ends = [
        (Some(End::Written as fn(u64) -> End), Spent::Written),
        (Some(End::Refused as fn(u64) -> End), Spent::Refused),
        (None, Spent::Unknown),
    ];
    let orders = (0_u32..1 << 8).filter(|order| order.count_ones() == 4);
    for (order, first, second) in orders
        .flat_map(|order| (0..3).flat_map(move |first| (0..3).map(move |second| (order, first, second))))
    {
        let runs = [ends[first], ends[second]];
        let (mut window, mut steps, mut intents) = (Vec::new(), [0, 0], [None, None]);
        for place in 0..8 {
            let run = usize::from(order & (1 << place) != 0);
            match steps[run] {
                0 => assert_eq!(ask(&mut window, &limits, &change, NOW), Verdict::Pass),
                1 => {
                    let intent = 10 + place;
                    let begun = begin(&mut window, None, digest, limits.window, intent, NOW);
                    intents[run] = begun.then_some(intent);
                }
                _ => {
                    let end = match (intents[run], runs[run].0) {
                        (Some(intent), Some(end)) => end(intent),
                        (Some(_), None) => continue,
                        (None, _) => End::NotBegun,
                    };
                    conclude(&mut window, None, digest, end);
                }
            }
            steps[run] += 1;
        }
        for (intent, (_, expected)) in intents.iter().zip(runs) {
            let Some(intent) = intent else { continue };
            let its = window.iter().filter(|booking| booking.intent == Some(*intent));
            let states: Vec<Spent> = its.map(|booking| booking.state).collect();
            assert_eq!(states, [expected], "order {order:08b}, ends {first} and {second}: {window:?}");
        }
    }
}

#[test]
fn the_end_of_a_write_leaves_the_approval_of_another_write_alone() {
    let open = Hold { why: "limit".into(), ..hold(1, "teams", Risk::Removes, 1) };
    let approved = Hold { approved_by: Some("ann".into()), ..open.clone() };
    let begun = Hold { spent: true, intent: Some(2), ..approved.clone() };
    let by_older_version = Hold { intent: None, ..begun.clone() };
    let digest = open.digest.as_str();
    for late in [End::Written(1), End::Refused(1), End::NotBegun] {
        for stored in [&open, &approved, &begun, &by_older_version] {
            let kept = conclude(&mut [], Some(stored.clone()), digest, late);
            assert_eq!(kept.as_ref(), Some(stored), "{late:?}");
        }
    }
    assert_eq!(conclude(&mut [], Some(begun.clone()), digest, End::Written(2)), None);
    assert_eq!(conclude(&mut [], Some(begun), digest, End::Refused(2)), Some(approved));
}

#[test]
fn what_an_older_version_booked_is_read() {
    let old = r#"[{"instance":"acme","digest":"a","at":1,"written":true,"weakens":0,"exposes":0,"removes":1},
                  {"instance":"acme","digest":"b","at":1,"written":false,"weakens":0,"exposes":0,"removes":1}]"#;
    let read: Vec<GuardReservation> = serde_json::from_str(old).unwrap();
    assert_eq!((read[0].state, read[1].state), (Spent::Written, Spent::Unknown));
    assert_eq!((read[0].reaches, read[0].aspect.as_str(), read[0].intent), (1, "", None));
    let again: Vec<GuardReservation> = serde_json::from_str(&serde_json::to_string(&read).unwrap()).unwrap();
    assert_eq!(again, read);
}

#[test]
fn a_reservation_of_a_newer_version_uses_its_room() {
    let mut window = Vec::new();
    let limits = Limits { removes: 1, ..Limits::default() };
    assert_eq!(ask(&mut window, &limits, &hold(1, "teams", Risk::Removes, 1), NOW), Verdict::Pass);
    let mut stored = serde_json::to_value(&window[0]).unwrap();
    stored["state"] = "transferred".into();
    stored["team"] = "platform".into();
    let read: GuardReservation = serde_json::from_value(stored).unwrap();
    assert_eq!(read.state, Spent::Unknown);
    assert_eq!(serde_json::to_value(&read).unwrap()["team"], "platform", "the field stays");
    let verdict = ask(&mut vec![read], &limits, &hold(2, "teams", Risk::Removes, 1), NOW);
    assert!(matches!(verdict, Verdict::Hold(_)), "{verdict:?}");
}

#[test]
fn a_hold_of_a_newer_version_counts_as_the_gravest_change_and_allows_no_write() {
    let mut stored = serde_json::to_value(hold(1, "teams", Risk::Adds, 3)).unwrap();
    stored["team"] = "platform".into();
    stored["change"]["mode"] = "ask-first".into();
    stored["change"]["fields"][0]["risk"] = "transfers".into();
    let read: Hold = serde_json::from_value(stored).unwrap();
    assert_eq!((read.change.risks().removes, read.change.mode), (3, Mode::Observe));
}
