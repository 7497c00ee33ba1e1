//! Tests that Beadle sends some requests at the same time, and reads some lists only once.

use beadle_groups::sources::Person;
use beadle_groups::targets::{Found, TargetReader};
use beadle_scim::Dialect;
use serde_json::Value;

use crate::{Stage, generic, id, person, stage};

/// Returns how many times the work waited for an answer. Simultaneous waits count once. The server
/// takes four seconds for each answer.
async fn answers(stage: &Stage, work: impl Future<Output = ()>) -> u64 {
    stage.sim.fault(beadle_sim::Fault { delay_ms: 4000, ..Default::default() });
    let begun = tokio::time::Instant::now();
    work.await;
    stage.sim.no_faults();
    begun.elapsed().as_secs() / 4
}

#[tokio::test(start_paused = true)]
async fn questions_that_do_not_depend_on_each_other_are_asked_side_by_side() {
    let aws = stage(Dialect::AWS, &[]).await;
    let probe = async { drop(aws.scim.0.probe().await.unwrap()) };
    assert_eq!(answers(&aws, probe).await, 2, "what it says and does, and then a group");
    let rfc = generic(&[]).await;
    let probe = async { drop(rfc.scim.0.probe().await.unwrap()) };
    assert_eq!(answers(&rfc, probe).await, 3, "filters only with a page that the server takes");
    let people: Vec<Person> = (0..5).map(person).collect();
    let find = async {
        let found = aws.reader.find(None, &people).await;
        for (n, found) in found.into_iter().enumerate() {
            assert!(
                matches!(found, Ok(Found::TargetAccount(account)) if account.id == id(n)),
                "in their order"
            );
        }
    };
    assert_eq!(answers(&aws, find).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_many_need_at_the_same_moment_is_read_once() {
    let stage = generic(&[]).await;
    let people: Vec<Person> = (0..5).map(person).collect();
    let refused =
        beadle_sim::Fault { path: "filter=".into(), status: Some(400), delay_ms: 4000, ..Default::default() };
    stage.sim.fault(refused);
    let find = async {
        for found in stage.reader.find(None, &people).await {
            assert!(matches!(found, Ok(Found::TargetAccount(_))), "{found:?}");
        }
    };
    assert_eq!(answers(&stage, find).await, 3, "by id, by name, and in the list");
    let lists = |call: &&Value| !call["query"].as_str().unwrap_or_default().contains("filter=");
    assert_eq!(stage.sim.calls().iter().filter(lists).count(), 1, "{:?}", stage.sim.calls());
}
