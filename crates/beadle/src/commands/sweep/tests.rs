use beadle_engine::journal::OperatorAction;
use beadle_engine::{Detail, Listing, Step};
use clap::Parser as _;

use super::*;
use crate::cli::{Cli, Command};

fn change(name: &str) -> Change<()> {
    let field = json!({ "name": name, "before": null, "after": true, "asked": null, "risk": "adds" });
    let change = json!({
        "aspect": "settings", "what": "", "fields": [field], "mode": "enforce", "after": [], "write": null,
    });
    serde_json::from_value(change).unwrap()
}

fn shown(names: &[&str]) -> WholePlan {
    let mut plan = Plan::new("acme/widgets");
    plan.changes = names.iter().map(|name| change(name)).collect();
    WholePlan {
        of: "acme".into(),
        scope: PlanScope::Repositories(Mode::Enforce),
        plans: vec![(Key::new("repository", "acme", 1), plan)],
        short: None,
        unmatched: Vec::new(),
        links: None,
    }
}

fn swept(names: &[&str]) -> Swept {
    let step = |name: &&str| Step { change: change(name), outcome: StepResult::Written };
    let report = Report {
        subject: "acme/widgets".into(),
        steps: names.iter().map(step).collect(),
        unknowns: Vec::new(),
        skipped: None,
        failure: None,
    };
    Swept { summary: Summary::default(), tally: Tally::default(), shown: shown(names), reports: vec![report] }
}

#[test]
fn new_changes_after_the_last_round_show_in_the_exit_code() {
    let swept = swept(&["a"]);
    let tried = digests(&swept.shown);
    let next = shown(&["b"]);
    assert!(!ends(1, &digests(&next), &tried), "it is written");
    assert!(ends(MOST, &digests(&next), &tried), "there were rounds enough");
    assert_eq!(swept.left(&next, &tried), 1);
    assert!(ends(1, &tried, &tried));
    assert_eq!(swept.left(&shown(&["a"]), &tried), 1, "it was written, and is planned again");
    assert_eq!(swept.left(&shown(&[]), &tried), 0);
}

#[test]
fn an_approval_is_for_one_round() {
    let cli = Cli::try_parse_from(["beadle", "sweep", "--approve", "a,b"]).unwrap();
    let Command::Sweep(args) = cli.command else { panic!("it is a sweep") };
    let next = next_round(&args, vec!["shop".to_owned()], &BTreeSet::from(["a".to_owned()]));
    assert_eq!((next.approve, next.selection.repo), (vec!["b".to_owned()], vec!["shop".to_owned()]));
}

#[tokio::test]
async fn the_journal_has_the_person_and_the_reason_of_an_approval_once() {
    let (_folder, store) = store::temporary().unwrap();
    let shown = shown(&["a"]);
    let (key, plan) = &shown.plans[0];
    let (by, reason) = ("mona (system user ci)", "asked for");
    let decision = Decision::approve(by, Some(reason));
    for now in [Time(1), Time(2)] {
        let hold = hold_of((key, plan), &plan.changes[0], now);
        approve_hold(store.as_ref(), &Limits::default(), (&hold, &decision), now).await.unwrap();
    }
    let held = store.holds_of(key).await.unwrap();
    assert_eq!(
        (held[0].approved_by.as_deref(), held[0].approval_reason.as_deref()),
        (Some(by), Some(reason))
    );
    let entries = store.entries(Listing { limit: 10, ..Listing::default() }).await.unwrap();
    let details: Vec<&Detail> = entries.iter().map(|entry| &entry.detail).collect();
    let action = OperatorAction::Approved {
        approved: plan.changes[0].digest(key),
        by: by.into(),
        reason: Some(reason.into()),
        group: None,
    };
    assert_eq!(details, [&Detail::Operator(action)]);
}

#[tokio::test]
async fn an_approval_with_a_sweep_does_not_end_a_rejection() {
    let (_folder, store) = store::temporary().unwrap();
    let shown = shown(&["a"]);
    let (key, plan) = &shown.plans[0];
    let hold = hold_of((key, plan), &plan.changes[0], Time(1));
    store.reserve(None, &Limits::default(), vec![hold.clone()], Time(1)).await.unwrap();
    store.decide(&hold.digest, &Decision::reject("ann", None), Time(2)).await.unwrap();
    let approve = Decision::approve("mona", None);
    let decided = approve_hold(store.as_ref(), &Limits::default(), (&hold, &approve), Time(3)).await.unwrap();
    assert_eq!(effect(&decided.unwrap(), &approve), Effect::Rejected("ann"));
    let held = store.holds_of(key).await.unwrap();
    assert_eq!((held[0].approved_by.as_deref(), held[0].rejected.is_some()), (None, true));
}

#[test]
fn the_summary_of_a_job_is_a_page() {
    let cli = Cli::try_parse_from(["beadle", "sweep", "--shard", "1/4"]).unwrap();
    let Command::Sweep(args) = cli.command else { panic!("it is a sweep") };
    let mut swept = swept(&["has_wiki", "has_issues"]);
    swept.summary = Summary { checked: 10, drifted: 1, repaired: 1, ..Summary::default() };
    insta::assert_snapshot!(markdown(&args, &swept));
}
