//! Tests two cases: a server changes the name of a group, or another group already has the name.

use std::collections::BTreeMap;

use beadle_engine::Class;
use beadle_groups::targets::{NewGroup, ScimReader, ScimWriter, TargetReader, TargetWriter};
use beadle_scim::Dialect;
use beadle_sim::scim::Quirk;
use serde_json::json;

use crate::{generic, stage};

#[tokio::test(start_paused = true)]
async fn the_name_that_a_server_makes_of_ours_is_told() {
    let stage = generic(&[Quirk::Prefix("PRIMARY/".into())]).await;
    assert_eq!(
        stage.writer.rename("g2", "Developers", &BTreeMap::new()).await.unwrap().as_deref(),
        Some("PRIMARY/Developers")
    );
    let (name, external_id) = ("New", "beadle:corp/00g3");
    let new = NewGroup { name, external_id, description: None, parent: None, is_secret: false };
    assert_eq!(stage.writer.create(&new).await.unwrap().name, "PRIMARY/New");
}

#[tokio::test(start_paused = true)]
async fn two_groups_swap_their_names_by_way_of_a_third_one() {
    let stage = stage(Dialect::AWS, &[]).await;
    stage.reader.look().await.unwrap();
    for _ in 0..2 {
        for (group, name) in [("g1", "Dev"), ("g2", "Ops")] {
            let known = stage.reader.known(group).unwrap().name;
            if known != name
                && let Err(failure) = stage.writer.rename(group, name, &BTreeMap::new()).await
            {
                assert_eq!(failure.class, Class::Retry, "{failure}");
                assert!(failure.text.contains("beadle:corp/00g"), "it is said whose it is: {failure}");
            }
        }
    }
    let name = |group: &str| stage.sim.state()["groups"][group]["displayName"].clone();
    assert_eq!((name("g1"), name("g2")), (json!("Dev"), json!("Ops")));
}

#[tokio::test(start_paused = true)]
async fn two_groups_swap_their_names_although_beadle_is_started_again_between() {
    let stage = stage(Dialect::AWS, &[]).await;
    let name = |group: &str| stage.sim.state()["groups"][group]["displayName"].clone();
    // After a restart, the process knows only what the store has.
    let mut waiting = BTreeMap::new();
    for (group, wanted) in [("g1", "Dev"), ("g2", "Ops"), ("g1", "Dev"), ("g2", "Ops")] {
        let reader = ScimReader::new(stage.scim.0.clone());
        let writer = ScimWriter::new(stage.scim.1.clone(), &reader);
        if name(group) != json!(wanted) && writer.rename(group, wanted, &waiting).await.is_err() {
            waiting.insert(group.to_owned(), wanted.to_owned());
        }
    }
    assert_eq!((name("g1"), name("g2")), (json!("Dev"), json!("Ops")));
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_somebody_else_s_is_said_to_be_theirs() {
    let stage = stage(Dialect::AWS, &[]).await;
    stage.sim.patch(&json!({ "groups": { "g2": { "externalId": "okta-push" } } }));
    let failure = stage.writer.rename("g1", "Dev", &BTreeMap::new()).await.unwrap_err();
    assert!(failure.text.contains("okta-push") && failure.class == Class::Rejected, "{failure}");
}
