use std::sync::Arc;

use beadle_engine::{PolicyLocation, Unknown};

use super::*;

fn plan() -> WholePlan {
    let asked = Some(PolicyLocation { file: Arc::from("settings.yml"), line: 4 });
    let field = |name: &str, before, after, risk| Field {
        name: name.into(),
        before,
        after,
        asked: asked.clone(),
        risk,
    };
    let change = |aspect: &str, what: &str, fields| Change {
        aspect: aspect.into(),
        what: what.into(),
        fields,
        mode: Mode::Observe,
        after: Vec::new(),
        stop: None,
        undone: false,
        reaches: 1,
        write: (),
    };
    let mut drifted = Plan::new("acme/widgets");
    drifted.changes = vec![
        change("settings", "", vec![field("visibility", json!("private"), json!("public"), Risk::Exposes)]),
        change("teams", "team a", vec![field("permission", Value::Null, json!("push"), Risk::Adds)]),
        change("teams", "team z", vec![field("permission", json!("admin"), Value::Null, Risk::Removes)]),
    ];
    drifted.unknowns = vec![Unknown {
        aspect: "topics".into(),
        part: None,
        why: "incomplete list of topics: 1 of 2 rows".into(),
        transient: true,
    }];
    let mut archived = Plan::new("acme/old");
    archived.skipped = Some("archived".into());
    WholePlan {
        of: "acme".into(),
        scope: PlanScope::Repositories(Mode::Observe),
        plans: vec![
            (Key::new("repository", "acme", 1), drifted),
            (Key::new("repository", "acme", 2), archived),
        ],
        short: None,
        unmatched: vec!["repos/gone.yml: there is no repository `gone`".into()],
        links: None,
    }
}

/// Returns a plan of one change with two values.
fn two_values() -> WholePlan {
    let mut plan = plan();
    let (_, drifted) = &mut plan.plans[0];
    let mut change = drifted.changes.remove(0);
    change.fields.push(Field { name: "has_wiki".into(), risk: Risk::Changes, ..change.fields[0].clone() });
    drifted.changes = vec![change];
    plan
}

#[test]
fn a_repository_that_does_not_exist_yet_raises_no_limit() {
    let mut plan = plan();
    assert_eq!(plan.among(), Some(1), "one of two is archived");
    plan.plans.push((creation_key("acme", "new"), Plan::new("acme/new")));
    assert_eq!(plan.among(), Some(1));
}

#[test]
fn a_plan_as_text() {
    insta::assert_snapshot!(text(&Printer::plain(), &plan()));
}

#[test]
fn a_plan_as_markdown() {
    insta::assert_snapshot!(markdown(&plan()));
}

#[test]
fn an_incomplete_list_is_named_in_text_and_markdown() {
    let mut plan = plan();
    plan.short = Some("the list has only some entries (2 of 3)".into());
    insta::assert_snapshot!(format!("{}\n\n{}", text(&Printer::plain(), &plan), markdown(&plan)));
}

#[test]
fn a_summary_counts_changes_and_not_values() {
    insta::assert_snapshot!(summary(&Printer::plain(), &two_values()));
}

#[test]
fn a_plan_without_changes_is_one_line() {
    let mut plan = plan();
    plan.plans.remove(0);
    plan.unmatched.clear();
    insta::assert_snapshot!(text(&Printer::plain(), &plan));
}

#[test]
fn a_waived_key_is_shown_and_is_no_change() {
    let mut plan = plan();
    plan.plans.retain(|(_, plan)| plan.skipped.is_none());
    for (_, plan) in &mut plan.plans {
        plan.changes.clear();
        plan.unknowns.clear();
        plan.waits.clear();
        plan.waived = vec![Waived {
            key: "teams[core]".into(),
            until: "2026-12-01T00:00:00Z".into(),
            reason: "release".into(),
            owner: "mona".into(),
            asked: None,
        }];
    }
    plan.unmatched.clear();
    assert!(!plan.is_pending());
    let text = text(&Printer::plain(), &plan);
    let line = " ~ waived  teams[core] until 2026-12-01T00:00:00Z: release (mona)  [beadle waive]";
    assert!(text.contains(line), "{text}");
    assert!(text.contains("nothing to change in") && text.contains("; waivers in 1 repository"), "{text}");
    assert!(markdown(&plan).contains("| waived |"), "{}", markdown(&plan));
}

#[test]
fn every_result_of_a_change_has_a_reason() {
    let plan = plan();
    let change = plan.plans[0].1.changes[2].clone();
    let results = [
        StepResult::Written,
        StepResult::Withheld,
        StepResult::Held { digest: "8f0c1d2e3a4b".into(), why: "guard limit reached".into() },
        StepResult::Postponed("contested".into()),
        StepResult::Blocked,
        StepResult::NotReached,
        StepResult::Failed("403 Forbidden".into()),
    ];
    let mut steps: Vec<Step> = results.map(|outcome| Step { change: change.clone(), outcome }).into();
    steps.push(Step {
        change: Change { mode: Mode::AddOnly, ..change.clone() },
        outcome: StepResult::Withheld,
    });
    let mut undone = change.clone();
    undone.observe_undone();
    steps.push(Step { change: undone, outcome: StepResult::Withheld });
    let printer = Printer::plain();
    let lines: Vec<String> = steps.iter().map(|each| step(&printer, "acme/widgets", each)).collect();
    let report = Report {
        subject: "acme/widgets".into(),
        steps,
        unknowns: plan.plans[0].1.unknowns.clone(),
        skipped: None,
        failure: None,
    };
    let mut page = Page::default();
    outcomes(&mut page, &[report]);
    insta::assert_snapshot!(format!("{}\n\n{}", lines.join("\n"), page.text()));
}

#[test]
fn the_summary_of_an_undo_counts_restorations() {
    let plan = WholePlan { scope: PlanScope::Undo(Mode::Enforce), ..plan() };
    assert_eq!(
        summary(&Printer::plain(), &plan),
        "undo in acme (enforce): 3 changes in 1 of 2 repositories: 1 exposure, 1 restoration, 1 removal; 1 \
         unknown; 1 skipped (archived)"
    );
}

#[test]
fn an_empty_list_is_called_one() {
    assert_eq!(value(&json!([])), "an empty list");
}

#[test]
fn the_lines_of_a_policy_in_a_repository_are_links() {
    let commit = beadle_github::Commit {
        id: "c".repeat(40),
        author: "ann".into(),
        logins: Vec::new(),
        subject: "x".into(),
    };
    let origin = beadle_repositories::policy::PolicyOrigin {
        repository: "acme/admin".into(),
        path: ".github".into(),
        commit,
    };
    let links = PolicyLinks { web: "https://github.com".into(), origin, base: None };
    let plan = WholePlan { links: Some(links), ..plan() };
    let address = format!("https://github.com/acme/admin/blob/{}/.github/settings.yml#L4", "c".repeat(40));
    let page = markdown(&plan);
    assert!(page.contains(&format!("[`settings.yml:4`]({address})")), "{page}");
    let shown = json(&[plan], Shard::default());
    let asked = &shown["organisations"][0]["repositories"][0]["changes"][0]["fields"][0]["asked"];
    assert_eq!(*asked, json!({ "file": "settings.yml", "line": 4, "link": address }));
}
