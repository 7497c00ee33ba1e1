//! Beadle removes nobody if a source is empty, incomplete, from another tenant, or no longer
//! declared.

use std::time::Duration;

use beadle_sim::okta::Hook;
use beadle_sim::{Fault, okta, scim};
use serde_json::{Value, json};

use super::world::{World, accounts, held, of, people};

/// Creates a directory with a group of 300 members and a group of 30 members. The target has the
/// same groups and members. Checks that a sweep writes nothing.
async fn settled() -> World {
    let groups = json!({
        "00g1": { "profile": { "name": "AWS_Ops" }, "members": of(0..300) },
        "00g2": { "profile": { "name": "AWS_Dev" }, "members": of(0..30) },
    });
    let target = json!({
        "t1": { "displayName": "Ops", "externalId": "beadle:corp/00g1", "members": held(0..300) },
        "t2": { "displayName": "Dev", "externalId": "beadle:corp/00g2", "members": held(0..30) },
    });
    let states = [
        json!({ "users": people(300), "groups": groups }),
        json!({ "users": accounts(300), "groups": target }),
    ];
    let world = World::new(states).await;
    world.beadle(&["sweep"]).await.expect(0);
    assert!(world.writes().is_empty(), "{:?}", world.writes());
    world
}

/// Returns the planned removals, by name.
fn removals(plan: &Value) -> Vec<String> {
    let groups = plan["targets"][0]["groups"].as_array().unwrap();
    let changes = groups.iter().flat_map(|group| group["changes"].as_array().unwrap());
    let fields = changes.flat_map(|change| change["fields"].as_array().unwrap());
    fields
        .filter(|field| field["risk"] == "removes")
        .map(|field| field["name"].as_str().unwrap().to_owned())
        .collect()
}

/// Runs a sweep, and checks that the sweep removes nobody and reports the reason.
async fn nobody_leaves(world: &World, why: &str, code: i32) {
    let swept = world.beadle(&["sweep"]).await.expect(code);
    let plan = world.beadle(&["plan"]).await;
    let said = format!("{}{}{}{}", swept.out, swept.err, plan.out, plan.err);
    assert!(said.contains(why), "`{why}` is not said:\n{said}");
    assert_eq!(world.members("Ops").unwrap().len(), 300, "somebody left");
    assert_eq!(world.members("Dev").unwrap().len(), 30, "somebody left");
}

fn strike(fault: Fault) -> Fault {
    Fault { path: "/users?".into(), ..fault }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_list_removes_nobody() {
    let world = settled().await;
    world.okta.fault(strike(Fault { empty: true, ..Fault::default() }));
    nobody_leaves(&world, "has only some entries (0 of 300)", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_page_and_a_false_last_page_remove_nobody() {
    let world = settled().await;
    world.okta.fault(strike(Fault { short: true, ..Fault::default() }));
    nobody_leaves(&world, "has only some entries", 1).await;
    world.okta.no_faults();
    world.okta.fault(strike(Fault { last: true, ..Fault::default() }));
    nobody_leaves(&world, "has only some entries (200 of 300)", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_within_a_list_and_an_incomplete_answer_remove_nobody() {
    let world = settled().await;
    world.okta.fault(Fault { path: "after=".into(), status: Some(500), ..Fault::default() });
    nobody_leaves(&world, "500", 1).await;
    world.okta.no_faults();
    world.okta.fault(strike(Fault { truncate: true, ..Fault::default() }));
    nobody_leaves(&world, "unknown", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_list_of_the_target_removes_nobody() {
    let world = settled().await;
    world.okta.patch(&json!({ "groups": { "00g1": { "members": { "00u00000": null } } } }));
    world.aws.fault(Fault { path: "groups.value".into(), status: Some(500), ..Fault::default() });
    nobody_leaves(&world, "500", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_without_its_scope_removes_nobody() {
    let world = settled().await;
    world.okta.fault(strike(Fault { status: Some(403), ..Fault::default() }));
    nobody_leaves(&world, "You do not have permission", 1).await;
    world.okta.no_faults();
    world.okta.fault(Fault { path: "/groups".into(), status: Some(401), ..Fault::default() });
    nobody_leaves(&world, "Invalid token", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenant_of_the_directory_removes_nobody() {
    let mut world = settled().await;
    // The configuration now contains a different directory, which does not know the groups of the
    // first directory. But the mapping selects a group of the new directory by its name.
    let any = ([127, 0, 0, 1], 0).into();
    let groups = json!({ "00gx": { "profile": { "name": "AWS_Ops" }, "members": {} } });
    let settings = okta::Settings { state: Some(json!({ "groups": groups })), ..okta::Settings::default() };
    world.okta = okta::OktaSim::start(any, settings).await.unwrap();
    std::fs::write(world.path().join("okta.token"), world.okta.token()).unwrap();
    nobody_leaves(&world, "the source group no longer exists", 1).await;
    nobody_leaves(&world, "belongs to corp/00g1, which is deleted or no longer mapped; set adopt = true", 1)
        .await;
    // If the mapping deletes or empties groups, the change waits for an approval.
    for word in ["delete", "empty"] {
        world.groups += &format!("on_delete = \"{word}\"\n");
        nobody_leaves(&world, "no longer exists (on_delete)", 1).await;
        world.groups = world.groups.replace(&format!("on_delete = \"{word}\"\n"), "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_server_at_the_target_removes_nobody() {
    let mut world = settled().await;
    let any = ([127, 0, 0, 1], 0).into();
    let state = json!({ "users": accounts(300), "groups": {
        "x1": { "displayName": "Ops", "members": held(0..300) }, "x2": { "displayName": "Dev", "members": held(0..30) } } });
    let settings = scim::Settings { state: Some(state), record: true, ..scim::Settings::default() };
    world.aws = scim::ScimSim::start(any, settings).await.unwrap();
    std::fs::write(world.path().join("aws.token"), world.aws.token()).unwrap();
    world.okta.patch(&json!({ "groups": { "00g1": { "members": { "00u00000": null } } } }));
    nobody_leaves(&world, "that Beadle did not create", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_dialect_removes_nobody() {
    let mut world = settled().await;
    world.okta.patch(&json!({ "groups": { "00g1": { "members": { "00u00000": null } } } }));
    // This server refuses requests for a page by its index. If Beadle asks for a page by a cursor,
    // the server shows groups without members.
    for (dialect, why) in [
        ("\"rfc7644\"", "startIndex"),
        ("\"rfc7644\", paging = \"cursor\", attributes = false", "set members = \"users\""),
    ] {
        world.dialect = dialect.into();
        world.aws.forget_calls();
        let swept = world.beadle(&["sweep"]).await.expect(1);
        assert!(swept.err.contains(why), "{}", swept.err);
        assert!(world.writes().is_empty());
    }
    assert_eq!(world.members("Ops").unwrap().len(), 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mapping_that_the_file_lacks_removes_nobody() {
    let mut world = settled().await;
    world.okta.patch(&json!({ "groups": { "00g1": { "members": { "00u00000": null } } } }));
    world.groups = world.groups.replace("AWS_*", "Other_*");
    nobody_leaves(&world, "no mapping includes the group now", 0).await;
    // The service receives event hooks, and removes nobody either.
    let _serving = world.serve().await;
    world.connect(&Hook::default());
    world.okta.patch(&json!({ "groups": { "00g1": { "members": { "00u00001": null } } } }));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.members("Ops").unwrap().len(), 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_source_and_removals_of_more_than_a_quarter_wait_for_an_approval() {
    let world = settled().await;
    let members: serde_json::Map<String, Value> =
        (0..30).map(|n| (format!("00u{n:05}"), Value::Null)).collect();
    world.okta.patch(&json!({ "groups": { "00g2": { "members": members } } }));
    nobody_leaves(&world, "the source is empty", 2).await;
    world.okta.patch(&json!({ "groups": { "00g2": { "members": of(0..20) } } }));
    nobody_leaves(&world, "10 of 30 members would leave, more than the limit of 25 %", 2).await;
    // An operator approves the change.
    let held = world.beadle(&["holds", "--json"]).await.expect(0).out;
    let digest = serde_json::from_str::<Value>(held.lines().next().unwrap()).unwrap()["digest"]
        .as_str()
        .unwrap()
        .to_owned();
    world.beadle(&["approve", &digest, "--reason", "as meant"]).await.expect(0);
    world.beadle(&["sweep"]).await.expect(0);
    world.until_holds("Dev", 0..20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_does_not_keep_those_who_are_confirmed_to_leave() {
    let world = settled().await;
    let mut users = json!({});
    for n in 0..3 {
        users[format!("00u{n:05}")] = json!({ "status": if n == 0 { "SUSPENDED" } else { "DEPROVISIONED" } });
    }
    let members: serde_json::Map<String, Value> =
        (3..15).map(|n| (format!("00u{n:05}"), Value::Null)).collect();
    world.okta.patch(&json!({ "users": users, "groups": { "00g2": { "members": members } } }));
    let swept = world.beadle(&["sweep"]).await.expect(2);
    assert!(swept.out.contains("15 of 30 members would leave"), "{}", swept.out);
    world.until_holds("Dev", 3..30).await;
    world.until_holds("Ops", 3..300).await;
    let plan = world.beadle(&["plan", "--group", "AWS_Dev", "--format", "json"]).await.expect(2).json();
    assert_eq!(removals(&plan).len(), 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_two_statuses_end_access() {
    let world = settled().await;
    let statuses = ["LOCKED_OUT", "PASSWORD_EXPIRED", "RECOVERY", "PROVISIONED", "STAGED", "BRAND_NEW"];
    let mut users = json!({});
    for (n, status) in statuses.iter().enumerate() {
        users[format!("00u{n:05}")] = json!({ "status": status });
    }
    users["00u00020"] = json!({ "status": "SUSPENDED" });
    world.okta.patch(&json!({ "users": users }));
    let plan = world.beadle(&["plan", "--group", "Dev", "--format", "json"]).await.expect(2).json();
    assert_eq!(removals(&plan), ["p20@acme.example"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_window_of_the_target_also_counts_small_removals_of_many_groups() {
    let mut world = settled().await;
    world.target_lines = "guard = { removes = 40 }\n".into();
    let gone = |range: std::ops::Range<usize>| -> serde_json::Map<String, Value> {
        range.map(|n| (format!("00u{n:05}"), Value::Null)).collect()
    };
    world.okta.patch(
        &json!({ "groups": { "00g1": { "members": gone(0..38) }, "00g2": { "members": gone(0..5) } } }),
    );
    let swept = world.beadle(&["sweep"]).await.expect(2);
    assert!(swept.out.contains("limit"), "{}", swept.out);
    let left = 330 - world.members("Ops").unwrap().len() - world.members("Dev").unwrap().len();
    assert!((1..=40).contains(&left), "{left} left");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_mail_with_another_id_is_another_person() {
    let world = settled().await;
    // Beadle must add a person. The target has an account with the login of this person, but with a
    // different id.
    world.aws.patch(&json!({ "users": { "a00290": { "externalId": "00u-somebody-else" } } }));
    let swept = world.beadle(&["sweep"]).await.expect(1);
    assert!(swept.out.contains("unknown") || swept.err.contains("unknown"), "{}{}", swept.out, swept.err);
    let plan = world.beadle(&["plan"]).await.expect(2);
    assert!(plan.out.contains("another person"), "{}", plan.out);
    assert_eq!(world.members("Ops").unwrap().len(), 300, "whoever may be meant stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_without_a_known_id_may_belong_to_a_person_with_a_new_login() {
    let world = settled().await;
    world.aws.patch(&json!({ "users": { "a00290": { "externalId": null } } }));
    world.beadle(&["sweep"]).await.expect(0);
    world.okta.patch(&json!({ "users": { "00u00290": { "profile": { "login": "new@acme.example", "email": "new@acme.example" } } } }));
    nobody_leaves(&world, "the target has no user new@acme.example", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_accounts_with_one_id_both_stay() {
    let world = settled().await;
    world.aws.patch(&json!({ "users": { "a-twin": { "userName": "twin@acme.example", "externalId": "00u00005", "displayName": "Twin" } },
        "groups": { "t1": { "members": { "a-twin": true } } } }));
    let swept = world.beadle(&["sweep"]).await.expect(1);
    let plan = world.beadle(&["plan"]).await.expect(2);
    assert!(plan.out.contains("have the same externalId"), "{}{}", swept.out, plan.out);
    assert_eq!(world.members("Ops").unwrap().len(), 301);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_most_careful_mapping_of_a_union_counts() {
    let mut world = settled().await;
    world.groups = "include = [\"AWS_Ops\"]\ninto = \"All\"\nmode = \"enforce\"\non_missing_group = \"create\"\n\
                    [[groups]]\nsource = \"corp\"\ntarget = \"aws\"\ninclude = [\"AWS_Dev\"]\ninto = \"All\"\n"
        .into();
    world.beadle(&["sweep"]).await;
    assert!(world.writes().is_empty(), "{:?}", world.writes());
    world.groups += "mode = \"enforce\"\n";
    world.beadle(&["sweep"]).await.expect(0);
    assert_eq!(world.members("All").unwrap().len(), 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_mapping_observes() {
    let mut world = settled().await;
    world.groups = world.groups.replace("mode = \"enforce\"\n", "");
    world.okta.patch(&json!({ "groups": { "00g1": { "members": { "00u00000": null } } } }));
    let _serving = world.serve().await;
    world.connect(&Hook::default());
    world.okta.patch(&json!({ "groups": { "00g1": { "members": { "00u00001": null } } } }));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(world.writes().is_empty());
    assert_eq!(removals(&world.beadle(&["plan", "--format", "json"]).await.expect(2).json()).len(), 2);
}
