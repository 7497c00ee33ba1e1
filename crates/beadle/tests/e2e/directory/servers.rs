//! Tests the real binary with SCIM servers that do not behave as documented.

use std::time::Duration;

use beadle_sim::scim::Quirk;
use beadle_sim::{okta, scim};
use serde_json::{Value, json};

use super::world::{World, accounts, held, of, people};

/// Creates a directory with one group, and a target with the same people and groups. `quirks` are
/// the target's deviations from the documented behaviour.
async fn world(directory: &Value, target: &Value, quirks: Vec<Quirk>) -> World {
    let groups = json!({ "00g1": { "profile": { "name": "AWS_Ops" }, "members": directory } });
    let states = [
        json!({ "users": people(20), "groups": groups }),
        json!({ "users": accounts(20), "groups": {
            "t1": { "displayName": "Ops", "externalId": "beadle:corp/00g1", "members": target } } }),
    ];
    let okta = okta::Settings { record: true, limit: 1_000_000, ..okta::Settings::default() };
    let aws = scim::Settings { record: true, quirks, ..scim::Settings::default() };
    let mut world = World::with(states, okta, aws).await;
    world.dialect = "\"rfc7644\"".into();
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_to_a_server_that_empties_a_group_stop_and_the_group_is_restored() {
    let quirks = vec![Quirk::Generic, Quirk::ArrayEmpties];
    let mut world = world(&of(1..20), &held(0..20), quirks).await;
    world.dialect += ", removal = \"array\"";
    let swept = world.beadle(&["sweep"]).await;
    let journal = world.beadle(&["journal", "--group", "Ops", "--format", "ndjson"]).await;
    let said = format!("{}{}{}", swept.out, swept.err, journal.out);
    assert!(said.contains("19 were put back"), "{said}");
    world.until_holds("Ops", 1..20).await;
    // Beadle stopped the target because of one kind of write. The target stays stopped for every
    // process until a probe tests this kind of write.
    world.okta.patch(&json!({ "groups": { "00g1": { "members": { "00u00001": null } } } }));
    let before = world.writes().len();
    world.beadle(&["sweep"]).await.expect(1);
    assert_eq!(world.writes().len(), before, "nothing more is written");
    world.dialect = "\"rfc7644\"".into();
    let probed = world.beadle(&["targets", "probe"]).await.expect(1).out;
    assert!(probed.contains("the target stays stopped") && probed.contains("probe = \"write\""), "{probed}");
    world.beadle(&["sweep"]).await.expect(1);
    assert_eq!(world.writes().len(), before, "nothing was tried, and nothing is written");
    world.dialect = "\"rfc7644\", probe = \"write\"".into();
    let probed = world.beadle(&["targets", "probe"]).await.expect(0).out;
    assert!(probed.contains("Beadle writes to the stopped target again"), "{probed}");
    world.beadle(&["sweep"]).await.expect(0);
    world.until_holds("Ops", 2..20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_target_is_released_without_a_probe_only_by_its_name() {
    let quirks = vec![Quirk::Generic, Quirk::ArrayEmpties];
    let mut world = world(&of(1..20), &held(0..20), quirks).await;
    world.dialect += ", removal = \"array\"";
    world.beadle(&["sweep"]).await;
    world.until_holds("Ops", 1..20).await;
    world.dialect = "\"rfc7644\"".into();
    let other = world.beadle(&["targets", "probe", "--release", "other"]).await.expect(1);
    assert!(other.err.contains("no target `other`"), "{}", other.err);
    let probed = world.beadle(&["targets", "probe", "--release", "aws"]).await.expect(0).out;
    assert!(probed.contains("the probe tested no write") && probed.contains("--release aws"), "{probed}");
    world.okta.patch(&json!({ "groups": { "00g1": { "members": { "00u00001": null } } } }));
    world.beadle(&["sweep"]).await.expect(0);
    world.until_holds("Ops", 2..20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_service_keeps_a_target_open_after_a_successful_probe() {
    let quirks = vec![Quirk::Generic, Quirk::ArrayEmpties];
    let mut world = world(&of(1..20), &held(0..20), quirks).await;
    world.dialect += ", removal = \"array\"";
    let serving = world.serve().await;
    world.connect(&okta::Hook::default());
    // As soon as the target is stopped, the journal contains the result of the write.
    for attempt in 0.. {
        let journal = world.beadle(&["journal", "--format", "ndjson"]).await.expect(0);
        if journal.out.contains("were put back") {
            break;
        }
        assert!(attempt < 300, "{}", serving.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    world.dialect = "\"rfc7644\", probe = \"write\"".into();
    world.beadle(&["targets", "probe"]).await.expect(0);
    // The service tries to write again, although it received no message about the probe.
    world.okta.patch(&json!({ "groups": { "00g1": { "members": { "00u00001": null } } } }));
    tokio::time::sleep(Duration::from_secs(3)).await;
    world.until_holds("Ops", 1..20).await;
    assert_eq!(serving.stop().await, Some(0));
    let _serving = world.serve().await;
    world.okta.patch(&json!({ "groups": { "00g1": { "members": { "00u00002": null } } } }));
    world.until_holds("Ops", 3..20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_member_is_reported() {
    let mut members = held(0..20);
    members["ghost"] = json!(true);
    let world = world(&of(0..20), &members, vec![Quirk::Generic]).await;
    let plan = world.beadle(&["plan"]).await;
    assert!(plan.out.contains("does not show who the member ghost is"), "{}{}", plan.out, plan.err);
    assert!(world.writes().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_without_a_row_in_the_list_of_users_is_still_removed() {
    let quirks = vec![Quirk::Generic, Quirk::Unlisted("a00000".into())];
    let world = world(&of(1..20), &held(0..20), quirks).await;
    world.beadle(&["sweep"]).await.expect(0);
    world.until_holds("Ops", 1..20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_a_changed_behaviour_waits_for_a_probe() {
    let world = world(&of(0..20), &held(0..20), vec![Quirk::Generic]).await;
    world.beadle(&["sweep"]).await.expect(0);
    world.aws.behave(vec![Quirk::Generic, Quirk::FiltersIgnored]);
    let swept = world.beadle(&["sweep"]).await.expect(1);
    assert!(swept.err.contains("accept it with `beadle targets probe`"), "{}", swept.err);
    let probed = world.beadle(&["targets", "probe"]).await.expect(0).out;
    assert!(probed.contains("Beadle expects the new behaviour from now on"), "{probed}");
    world.beadle(&["sweep"]).await.expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_server_under_the_same_name_has_its_own_behaviour() {
    let mut world = world(&of(0..20), &held(0..20), vec![Quirk::Generic]).await;
    world.beadle(&["sweep"]).await.expect(0);
    let settings = scim::Settings {
        record: true,
        state: Some(world.aws.state()),
        quirks: vec![Quirk::Generic, Quirk::FiltersIgnored],
        ..scim::Settings::default()
    };
    world.aws = scim::ScimSim::start(([127, 0, 0, 1], 0).into(), settings).await.unwrap();
    std::fs::write(world.path().join("aws.token"), world.aws.token()).unwrap();
    world.beadle(&["sweep"]).await.expect(0);
    // Beadle now knows the behaviour of this server. Then the behaviour changes.
    world.aws.behave(vec![Quirk::Generic]);
    let swept = world.beadle(&["sweep"]).await.expect(1);
    assert!(swept.err.contains("accept it with `beadle targets probe`"), "{}", swept.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_probe_writes_to_its_own_group_if_it_is_allowed() {
    let quirks = vec![Quirk::Generic, Quirk::ArrayEmpties];
    let mut world = world(&of(0..20), &held(0..20), quirks).await;
    world.beadle(&["targets", "probe"]).await.expect(0);
    assert!(world.writes().is_empty(), "it may only ask");
    world.dialect = "\"rfc7644\", probe = \"write\", removal = \"array\"".into();
    let probed = world.beadle(&["targets", "probe"]).await.expect(1).out;
    assert!(probed.contains("leaves 0 members where 2 have to be; set removal = \"path\""), "{probed}");
    world.dialect = "\"rfc7644\", probe = \"write\"".into();
    let probed = world.beadle(&["targets", "probe"]).await.expect(0).out;
    assert!(probed.contains("removed them one by one and deleted the group"), "{probed}");
    assert_eq!(world.aws.state()["groups"].as_object().unwrap().len(), 1, "the probe's group is gone");
}
