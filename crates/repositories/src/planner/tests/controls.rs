//! Tests controls. Each run records its findings, and a report about any later moment shows these
//! findings.

use beadle_engine::{Planner as _, Report};

use super::world::{World, plans};
use super::*;
use crate::controls::{ControlRow, Timeline};
use crate::stored_waiver;

const SETTINGS: &str = "repository:\n  has_wiki: false\n  topics: [new]\n";
const DAY: i64 = 86_400_000;

/// Makes a plan, records that Beadle wrote nothing, and returns the time.
async fn run(world: &World) -> Time {
    let (planner, _) = world.parts();
    for (key, plan) in plans(&planner).await {
        planner.record(&key, &Report::of_unwritten(&plan)).await.unwrap();
    }
    world.clock.now()
}

async fn rows(world: &World, at: Time, control: Option<&str>) -> Vec<ControlRow> {
    let timeline = Timeline::read(world.store.as_ref(), "acme", at).await.unwrap();
    timeline.repositories().iter().flat_map(|repository| timeline.rows(repository, control)).collect()
}

/// Returns the controls of a report with their statuses.
async fn statuses(world: &World, at: Time, control: Option<&str>) -> Vec<(String, &'static str)> {
    rows(world, at, control).await.into_iter().map(|row| (row.control, row.status.as_str())).collect()
}

fn expected(rows: &[(&str, &'static str)]) -> Vec<(String, &'static str)> {
    rows.iter().map(|(control, status)| ((*control).to_owned(), *status)).collect()
}

/// Returns the number of stored notes of one kind.
async fn notes(world: &World, kind: &str) -> usize {
    world.store.notes(kind).await.unwrap().len()
}

#[tokio::test(start_paused = true)]
async fn a_report_shows_for_each_moment_what_was_recorded_then() {
    let world = World::new(acme(501, 601), SETTINGS).await;
    let begin = world.clock.now();
    world.clock.jump(DAY);
    let drift = run(&world).await;
    run(&world).await;
    assert_eq!(notes(&world, "control-state").await, 1, "a run that finds the same records nothing");
    world.clock.jump(DAY);
    world.apply().await;
    let repaired = run(&world).await;
    world.clock.jump(DAY);
    let waiver = Waiver {
        keys: vec!["repository.has_wiki".into()],
        repositories: vec!["shop".into()],
        until: world.clock.now() + Duration::from_secs(48 * 3600),
        reason: "release".into(),
        owner: "mona".into(),
        asked: None,
    };
    stored_waiver("acme", &waiver.id()).put(world.store.as_ref(), &waiver).await.unwrap();
    let waived = run(&world).await;
    world.clock.jump(3 * DAY);
    let late = world.clock.now();
    let [wiki, topics, topic] = ["repository.has_wiki", "repository.topics", "repository.topics[new]"];
    for (at, control, rows) in [
        (begin, None, vec![("*", "not recorded")]),
        (begin, Some(wiki), vec![(wiki, "not recorded")]),
        (drift, None, vec![(wiki, "not met"), (topics, "not met"), (topic, "not met")]),
        (drift, Some(wiki), vec![(wiki, "not met")]),
        (repaired, None, vec![(wiki, "met"), (topics, "met"), (topic, "met")]),
        (repaired, Some("repository"), vec![(wiki, "met"), (topics, "met"), (topic, "met")]),
        (repaired, Some("teams"), vec![("teams", "not applicable")]),
        (waived, None, vec![(wiki, "waived"), (topics, "met"), (topic, "met")]),
        (late, Some(wiki), vec![(wiki, "unknown")]),
        (late, Some(topics), vec![(topics, "met"), (topic, "met")]),
    ] {
        assert_eq!(statuses(&world, at, control).await, expected(&rows), "{at} {control:?}");
    }
    let row = rows(&world, late, Some(topics)).await.remove(0);
    assert_eq!((row.since, row.last_checked), (Some(repaired), Some(waived)));
    assert_eq!(row.policy.as_deref(), Some("settings.yml:3"));
    let row = rows(&world, waived, Some(wiki)).await.remove(0);
    assert_eq!((row.reason.as_deref(), row.owner.as_deref()), (Some("release"), Some("mona")));
    assert_eq!((row.since, row.policy.as_deref()), (Some(waived), Some("beadle waive")));
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn a_line_that_moves_is_stored_once_and_changes_no_state() {
    let mut world = World::new(acme(501, 601), SETTINGS).await;
    world.apply().await;
    let before = run(&world).await;
    world.clock.jump(DAY);
    let moved = format!("# A comment.\n{SETTINGS}");
    world.replace_policy(&[("settings.yml".to_owned(), moved)].into());
    let after = run(&world).await;
    assert_eq!((notes(&world, "control-state").await, notes(&world, "control-lines").await), (1, 2));
    let line = async |at| rows(&world, at, Some("repository.has_wiki")).await.remove(0);
    let (old, new) = (line(before).await, line(after).await);
    assert_eq!(old.policy.as_deref(), Some("settings.yml:2"));
    assert_eq!(new.policy.as_deref(), Some("settings.yml:3"));
    assert_ne!(old.commit, new.commit);
    assert_eq!(new.since, Some(before));
    world.clock.jump(DAY);
    let settings = SETTINGS.replace("has_wiki: false", "has_wiki: true");
    world.replace_policy(&[("settings.yml".to_owned(), settings)].into());
    run(&world).await;
    assert_eq!((notes(&world, "control-state").await, notes(&world, "control-lines").await), (2, 3));
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn a_run_that_fails_makes_every_control_unknown_until_a_run_succeeds() {
    let world = World::new(acme(501, 601), SETTINGS).await;
    world.apply().await;
    let met = run(&world).await;
    let (planner, _) = world.parts();
    let key = Key::new("repository", "acme", 101);
    let limited = Class::RateLimited { until: Time(1), spares_events: true };
    planner.record_failure(&key, &Failure::new(limited, "the budget is used up")).await.unwrap();
    assert_eq!(notes(&world, "control-state").await, 1, "the run did not try");
    for text in ["502, request 1", "502, request 2"] {
        world.clock.jump(DAY);
        planner.record_failure(&key, &Failure::new(Class::Retry, text)).await.unwrap();
    }
    assert_eq!(notes(&world, "control-state").await, 2);
    let failed = world.clock.now();
    let row = rows(&world, failed, Some("repository.has_wiki")).await.remove(0);
    assert_eq!((row.status.as_str(), row.cause.as_str()), ("unknown", "502, request 1"));
    assert_eq!(row.last_checked, Some(met));
    world.clock.jump(DAY);
    let again = run(&world).await;
    let row = rows(&world, again, Some("repository.has_wiki")).await.remove(0);
    assert_eq!((row.status.as_str(), row.since), ("met", Some(again)));
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_waited_for_a_person_replaces_no_later_run() {
    let world = World::new(acme(501, 601), SETTINGS).await;
    world.apply().await;
    let (command, _) = world.parts();
    let old = plans(&command).await;
    world.clock.jump(3_600_000);
    world
        .control("PATCH", &json!({ "orgs": { "acme": { "repos": { "shop": { "has_wiki": true } } } } }))
        .await;
    run(&world).await;
    world.clock.jump(60_000);
    for (key, plan) in &old {
        assert!(plan.changes.is_empty());
        command.record(key, &Report::of_nothing(plan)).await.unwrap();
    }
    let wiki = "repository.has_wiki";
    let found = statuses(&world, world.clock.now(), Some(wiki)).await;
    assert_eq!(found, expected(&[(wiki, "not met")]));
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn a_repository_that_a_run_does_not_find_is_unknown_until_a_sweep() {
    let world = World::new(acme(501, 601), SETTINGS).await;
    world.apply().await;
    run(&world).await;
    world.clock.jump(DAY);
    world.control("PATCH", &json!({ "orgs": { "acme": { "repos": { "shop": null } } } })).await;
    let (planner, _) = world.parts();
    let key = Key::new("repository", "acme", 101);
    let plan = planner.plan(&key, None, Lane::Event).await.unwrap();
    planner.record(&key, &Report::of_nothing(&plan)).await.unwrap();
    let row = rows(&world, world.clock.now(), Some("repository.has_wiki")).await.remove(0);
    assert_eq!((row.repository.as_str(), row.status.as_str()), ("acme/shop", "unknown"));
    assert!(row.cause.contains("the App cannot see it"), "{}", row.cause);
}

#[tokio::test(start_paused = true)]
async fn a_state_from_a_clock_that_was_ahead_does_not_stay_the_newest_one() {
    let world = World::new(acme(501, 601), SETTINGS).await;
    world.clock.jump(400 * DAY);
    run(&world).await;
    world.clock.jump(-400 * DAY);
    for _ in 0..2 {
        let now = run(&world).await;
        assert_eq!(notes(&world, "control-state").await, 2);
        assert_eq!(statuses(&world, now, Some("repository.has_wiki")).await.len(), 1);
        assert_ne!(statuses(&world, now, None).await, expected(&[("*", "not recorded")]));
        world.clock.jump(1000);
    }
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_behind_deletes_nothing_and_does_not_hide_the_last_run() {
    let mut world = World::new(acme(501, 601), SETTINGS).await;
    let first = run(&world).await;
    world.apply().await;
    world.clock.jump(DAY);
    let second = run(&world).await;
    // The next run belongs to a process whose clock is slightly behind.
    world.clock.jump(-1000);
    let settings = SETTINGS.replace("has_wiki: false", "has_wiki: true");
    world.replace_policy(&[("settings.yml".to_owned(), settings)].into());
    run(&world).await;
    let wiki = Some("repository.has_wiki");
    for (at, status) in [(first, "not met"), (second, "met"), (second + Duration::from_secs(1), "not met")] {
        assert_eq!(statuses(&world, at, wiki).await, expected(&[("repository.has_wiki", status)]), "{at}");
    }
    // A run whose clock is far behind does not delete earlier records.
    world.clock.jump(-100 * DAY);
    run(&world).await;
    run(&world).await;
    for (at, status) in [(first, "not met"), (second, "met"), (second + Duration::from_secs(1), "not met")] {
        assert_eq!(statuses(&world, at, wiki).await, expected(&[("repository.has_wiki", status)]), "{at}");
    }
    world.check_calls();
}
