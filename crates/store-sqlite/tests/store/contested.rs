//! Tests of changes that Beadle repeats again and again, because another writer changes the value back
//! or because the vendor's answers are lost.

use beadle_engine::store::prelude::*;
use beadle_engine::{Class, EntryKind, Failure, Lane, Risk, StepResult};

use crate::apply::World;

fn lost() -> Result<(), Failure> {
    Err(Failure::new(Class::Retry, "no answer within 30 s"))
}

#[tokio::test(start_paused = true)]
async fn a_fight_over_a_protection_goes_on_less_often_and_is_said_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path(), || Ok(()));
    world.limits.repeats = 5;
    // Another writer removes the protection after each of Beadle's writes.
    for _ in 0..360 {
        world.run(Lane::Event, Risk::Changes, 1).await;
        world.clock.jump(10_000);
    }
    assert_eq!(world.writes(), 10, "five at once, and then after 1, 2, 4, 8 and 16 minutes");
    assert!(world.store.holds().await.unwrap().is_empty(), "nothing waits for an approval");
    assert_eq!(world.count(EntryKind::Contested).await, 1);
    let report = world.run(Lane::Event, Risk::Changes, 1).await;
    assert!(matches!(&report.steps[0].outcome, StepResult::Postponed(why) if why.contains("contested")));
    assert_eq!(report.verdict().map(|failure| failure.class), Some(Class::Retry), "it is looked at again");
}

#[tokio::test(start_paused = true)]
async fn a_fight_goes_on_under_a_new_policy_that_asks_for_the_same_value() {
    for (risk, is_held) in [(Risk::Changes, false), (Risk::Removes, true)] {
        let folder = tempfile::tempdir().unwrap();
        let mut world = World::new(folder.path(), || Ok(()));
        world.limits.repeats = 5;
        for n in 0..8 {
            world.generation = format!("g{n}");
            world.run(Lane::Event, risk, 1).await;
        }
        assert_eq!(world.writes(), 5, "{risk}: no policy restarts the count");
        let holds = world.store.holds().await.unwrap();
        assert_eq!(holds.iter().any(|hold| hold.contested), is_held, "{risk}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_removed_and_given_back_with_lost_answers_stops_at_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path(), lost);
    world.limits.removes = 3;
    for _ in 0..36 {
        world.run(Lane::Event, Risk::Removes, 1).await;
        world.clock.jump(1000);
    }
    assert_eq!(world.writes(), 3);
    assert_eq!(world.store.holds().await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn lost_answers_of_a_removal_make_it_contested_and_those_of_other_changes_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path(), lost);
    world.limits.repeats = 2;
    for _ in 0..5 {
        world.run(Lane::Event, Risk::Adds, 1).await;
    }
    assert_eq!(world.writes(), 5, "an outage of the vendor is no second writer");
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path(), lost);
    world.limits.repeats = 2;
    for _ in 0..5 {
        world.run(Lane::Event, Risk::Removes, 1).await;
    }
    assert_eq!(world.writes(), 2);
    assert!(world.store.holds().await.unwrap()[0].contested);
}
