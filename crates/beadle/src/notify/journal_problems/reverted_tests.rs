//! Tests the notifications about changes that people made and Beadle reverted.

use beadle_engine::EntryKind;
use beadle_engine::journal::{SweepEnd, SweepSummary};

use super::*;

const KEY: &str = "repository:acme:7";

fn part(seconds: i64, by: &str) -> RevertedPart {
    RevertedPart {
        aspect: "teams".into(),
        what: format!("removes team contractors, after a change by {by}"),
        why: String::new(),
        at: Time::from_seconds(seconds),
    }
}

/// Returns an entry about the key. Only the key and the name in the entry matter here.
fn entry() -> Entry {
    let (key, subject) = (KEY.to_owned(), "acme/shop".to_owned());
    let detail = Detail::Sweep(SweepEnd { summary: SweepSummary::default(), took_s: 1, unreadable: 0 });
    Entry { seq: 1, at: Time(1), kind: EntryKind::Run, key, subject, intent: None, trace: None, detail }
}

fn count(troubles: &Troubles, seconds: i64) -> usize {
    let problems = troubles.problems(Time::from_seconds(seconds));
    let topic = Topic::new(ProblemKind::Reverted, "acme").of_aspect("teams");
    assert!(problems.iter().all(|problem| problem.topic == topic && problem.subject == "acme/shop"));
    problems.len()
}

#[test]
fn a_reverted_change_is_one_problem_for_a_day() {
    let mut troubles = Troubles::default();
    for (seconds, by) in [(0, "ann"), (60, "bob"), (3600, "ann")] {
        troubles.add_reverted(&entry(), vec![part(seconds, by)]);
    }
    assert_eq!(count(&troubles, 3600), 2, "the second change of ann is the same problem");
    troubles.end(&[], Time::from_seconds(86_460));
    assert_eq!(count(&troubles, 86_460), 1);
    troubles.end(&[], Time::from_seconds(90_000));
    assert_eq!(count(&troubles, 90_000), 0);
    let more = (0..100).map(|n: u32| part(90_000, &n.to_string())).collect();
    troubles.add_reverted(&entry(), more);
    assert_eq!(count(&troubles, 90_000), REMEMBERED);
}

#[test]
fn a_trouble_of_an_older_version_is_read() {
    let text = "{\"subject\":\"acme/shop\",\"unknown\":[],\"contested\":[]}";
    let read: Trouble = serde_json::from_str(text).unwrap();
    assert!(read.is_over());
    assert_eq!(serde_json::to_string(&read).unwrap(), text);
}
