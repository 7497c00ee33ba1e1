//! Tests features that the old connector did not have. Each feature has one test.

use std::time::Duration;

use beadle_sim::okta::Hook;
use beadle_sim::{Fault, okta, scim};
use serde_json::{Value, json};

use super::world::{World, accounts, held, login, of, people, state};

fn groups(members: &Value) -> Value {
    json!({ "00g1": { "profile": { "name": "AWS_Ops" }, "members": members } })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_needs_one_line_and_the_old_key_works() {
    let groups = json!({
        "00g1": { "profile": { "name": "AWS_Ops" }, "members": of(0..3) },
        "00g2": { "profile": { "name": "Everyone" }, "members": of(0..5) },
    });
    let world = World::new(state(5, &groups)).await;
    let _serving = world.serve().await;
    world.connect(&Hook::default());
    world.until_holds("Ops", 0..3).await;
    assert_eq!(world.members("Everyone"), None);
    world.okta.patch(&json!({ "groups": { "00g1": { "members": of([4]) } } }));
    world.until_holds("Ops", [0, 1, 2, 4]).await;
    world.okta.patch(&json!({ "groups": { "00g1": { "members": { "00u00001": null } } } }));
    world.until_holds("Ops", [0, 2, 4]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_group_is_renamed_in_place() {
    let world = World::new(state(3, &groups(&of(0..2)))).await;
    let _serving = world.serve().await;
    world.connect(&Hook::default());
    world.until_holds("Ops", 0..2).await;
    let ids = |world: &World| -> Vec<String> {
        world.aws.state()["groups"].as_object().unwrap().keys().cloned().collect()
    };
    let before = ids(&world);
    world.okta.patch(&json!({ "groups": { "00g1": { "profile": { "name": "AWS_Operations" } } } }));
    world.until_holds("Operations", 0..2).await;
    assert_eq!(ids(&world), before, "it is another group");
    world.okta.patch(&json!({ "groups": { "00g1": { "members": of([2]) } } }));
    world.until_holds("Operations", 0..3).await;
    let renames =
        world.writes().into_iter().filter(|call| call["request"].to_string().contains("displayName"));
    let renames: Vec<Value> = renames.filter(|call| call["method"] == "PATCH").collect();
    assert_eq!(renames.len(), 1, "it is renamed once: {renames:?}");
    // After the rename, no mapping selects the group. Beadle still removes nobody, and does not
    // rename the target's group.
    world.okta.patch(
        &json!({ "groups": { "00g1": { "profile": { "name": "Other" }, "members": { "00u00000": null } } } }),
    );
    world.until_idle().await;
    world.until_holds("Operations", 0..3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_in_the_wrong_order_end_in_the_state_of_the_directory() {
    let world = World::new(state(3, &groups(&of(0..2)))).await;
    let _serving = world.serve().await;
    world.connect(&Hook { held: true, ..Hook::default() });
    world.until_holds("Ops", 0..2).await;
    // One person joins, leaves and joins again. Another person leaves. The events arrive in reverse
    // order.
    world.okta.patch(&json!({ "groups": { "00g1": { "members": of([2]) } } }));
    world.okta.patch(&json!({ "groups": { "00g1": { "members": { "00u00002": null } } } }));
    world.okta.patch(&json!({ "groups": { "00g1": { "members": of([2]) } } }));
    world.okta.patch(&json!({ "groups": { "00g1": { "members": { "00u00000": null } } } }));
    world.okta.deliver(Some(vec![3, 1, 2, 0]));
    world.until_holds("Ops", 1..3).await;
    world.until_idle().await;
    world.until_holds("Ops", 1..3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_delivery_and_a_repeated_event_are_stored_once() {
    let world = World::new(state(3, &groups(&of(0..2)))).await;
    let _serving = world.serve().await;
    world.connect(&Hook { repeats: 2, ..Hook::default() });
    world.until_holds("Ops", 0..2).await;
    world.aws.forget_calls();
    world.okta.patch(&json!({ "groups": { "00g1": { "members": of([2]) } } }));
    world.until_holds("Ops", 0..3).await;
    for _ in 0..800 {
        if world.okta.deliveries().len() == 3 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let statuses: Vec<Value> = world.okta.deliveries().iter().map(|row| row["status"].clone()).collect();
    assert_eq!(statuses, [202, 200, 200], "stored, and known twice");
    // The next request is another delivery: it has a new id, and contains only this event.
    let event = world.okta.state()["log"].as_array().unwrap().last().unwrap().clone();
    let body = json!({ "eventId": "another-delivery", "data": { "events": [event] } });
    let mut request = world.http.post(world.hook_url()).body(body.to_string());
    for (name, value) in world.headers() {
        request = request.header(name, value);
    }
    assert_eq!(request.send().await.unwrap().status(), 202);
    world.until_idle().await;
    assert_eq!(world.writes().len(), 1, "{:?}", world.writes());
    let listed = world.beadle(&["deliveries", "--json"]).await.expect(0).out;
    assert_eq!(listed.lines().filter(|line| line.contains("\"okta-event\"")).count(), 1, "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_amalgamated_delivery_of_five_hundred_events_marks_every_key() {
    let mut groups = json!({});
    for n in 0..20 {
        groups[format!("00g{n:02}")] = json!({ "profile": { "name": format!("AWS_G{n}") } });
    }
    let world = World::new(state(25, &groups)).await;
    let _serving = world.serve().await;
    world.connect(&Hook { together: 500, shuffled: true, ..Hook::default() });
    for n in 0..20 {
        world.until_holds(&format!("G{n}"), 0..0).await;
    }
    let mut patch = json!({});
    for n in 0..20 {
        patch[format!("00g{n:02}")] = json!({ "members": of(0..25) });
    }
    world.aws.forget_calls();
    world.okta.patch(&json!({ "groups": patch }));
    for n in 0..20 {
        world.until_holds(&format!("G{n}"), 0..25).await;
    }
    let rows = world.okta.deliveries();
    assert_eq!(
        (rows.len(), rows[0]["events"].clone(), rows[0]["status"].clone()),
        (1, json!(500), json!(202))
    );
    assert_eq!(world.writes().len(), 20, "25 events of a group are one write");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deactivation_is_read_before_600_profile_updates_of_the_same_delivery() {
    const PEOPLE: usize = 601;
    const LEAVER: usize = 3;
    let groups = json!({
        "00g1": { "profile": { "name": "AWS_Ops" }, "members": of(0..10) },
        "00g2": { "profile": { "name": "AWS_Dev" }, "members": of(590..595) },
    });
    let okta = okta::Settings { limit: 1_000_000_000, ..okta::Settings::default() };
    let mut world = World::with(state(PEOPLE, &groups), okta, scim::Settings::default()).await;
    world.okta_lines = "log_every = \"1h\"\nchanges_every = \"1h\"\n".into();
    world.target_lines = "budget = { points = 1000000000, write_every = \"0s\" }\n\
                          group_guard = { percent = 100, count = 1000 }\n"
        .into();
    let _serving = world.serve().await;
    world.until_holds("Ops", 0..10).await;
    world.until_holds("Dev", 590..595).await;
    world.until_idle().await;
    // Okta sends no event here, so only the delivery below informs the service about these changes.
    world.okta.patch(&json!({
        "users": { format!("00u{LEAVER:05}"): { "status": "DEPROVISIONED" } },
        "groups": { "00g2": { "members": of([PEOPLE - 1]) } },
    }));
    world.okta.forget_calls();
    world.aws.forget_calls();
    let event = |n: usize, kind: &str| {
        json!({
            "uuid": format!("e{n}"), "eventType": kind, "outcome": { "result": "SUCCESS" },
            "target": [{ "type": "User", "id": format!("00u{n:05}") }],
        })
    };
    // The last update is about the person who joined Dev. The deactivation comes after all updates.
    let updated = (0..PEOPLE).filter(|n| *n != LEAVER);
    let mut events: Vec<Value> = updated.map(|n| event(n, "user.account.update_profile")).collect();
    events.push(event(LEAVER, "user.lifecycle.deactivate"));
    assert_eq!(events.len(), PEOPLE);
    let body = json!({ "eventId": "d1", "data": { "events": events } });
    let mut request = world.http.post(world.hook_url()).body(body.to_string());
    for (name, value) in world.headers() {
        request = request.header(name, value);
    }
    assert_eq!(request.send().await.unwrap().status(), 202);
    world.until_holds("Ops", (0..10).filter(|n| *n != LEAVER)).await;
    world.until_idle().await;
    world.until_holds("Dev", (590..595).chain([PEOPLE - 1])).await;
    // The deactivation was the last event. Beadle stores a large delivery in parts. The worker
    // handles the deactivation before all other events in the same part of the delivery.
    let calls = world.okta.calls();
    let is_of_leaver = |call: &Value| call["path"].to_string().contains(&format!("/00u{LEAVER:05}"));
    let place = calls.iter().position(is_of_leaver).unwrap();
    assert!(place + 40 < PEOPLE, "{place} of {} calls", calls.len());
    // For each person, Beadle asked Okta once about the groups of the person.
    let mut asked = std::collections::BTreeMap::<&str, usize>::new();
    for call in &calls {
        let path = call["path"].as_str().unwrap();
        if path.contains("/users/") && path.ends_with("/groups") {
            *asked.entry(path).or_default() += 1;
        }
    }
    assert_eq!(asked.len(), PEOPLE);
    assert!(asked.values().all(|count| *count == 1), "{asked:?}");
    assert!(calls.len() < PEOPLE + 100, "{} calls to Okta", calls.len());
    let calls = world.aws.calls().len();
    assert!(calls < 4 * PEOPLE, "{calls} calls to the target");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_target_does_not_delay_the_answer_to_okta() {
    let aws = scim::Settings { latency: Duration::from_secs(4), ..scim::Settings::default() };
    let world = World::with(state(3, &groups(&of(0..2))), okta::Settings::default(), aws).await;
    let _serving = world.serve().await;
    world.connect(&Hook::default());
    world.okta.patch(&json!({ "groups": { "00g1": { "members": of([2]) } } }));
    for _ in 0..800 {
        if !world.okta.deliveries().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(world.okta.deliveries()[0]["status"], 202);
    assert_eq!(world.members("Ops"), None, "it was answered before anything was done");
    world.until_holds("Ops", 0..3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_of_25000_users_and_2000_groups_are_read_completely() {
    const PEOPLE: usize = 25_000;
    let mut groups = json!({});
    for n in 0..2000 {
        groups[format!("00g{n:05}")] = json!({ "profile": { "name": format!("Group {n}") } });
    }
    groups["00gzz"] = json!({ "profile": { "name": "AWS_All" }, "members": of(0..PEOPLE) });
    let mut target = json!({});
    for n in 0..2000 {
        target[format!("b{n:05}")] = json!({ "displayName": format!("Other {n}") });
    }
    // This group comes last in every list, and one of its members is missing.
    target["z"] =
        json!({ "displayName": "All", "externalId": "beadle:corp/00gzz", "members": held(0..PEOPLE - 1) });
    let states = [
        json!({ "users": people(PEOPLE), "groups": groups }),
        json!({ "users": accounts(PEOPLE), "groups": target }),
    ];
    let okta = okta::Settings { limit: 1_000_000, ..okta::Settings::default() };
    let world =
        World::with(states, okta, scim::Settings { short_pages: true, ..scim::Settings::default() }).await;
    let plan = world.beadle(&["plan", "--format", "json"]).await.expect(2).json();
    let changes = plan["targets"][0]["groups"][0]["changes"].as_array().unwrap().clone();
    let names: Vec<&str> = changes
        .iter()
        .flat_map(|change| change["fields"].as_array().unwrap())
        .map(|field| field["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["displayName", &login(PEOPLE - 1)], "{changes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn users_and_groups_are_created_if_the_mapping_allows_it() {
    let states =
        [json!({ "users": people(4), "groups": groups(&of(0..4)) }), json!({ "users": accounts(2) })];
    let mut world = World::new(states).await;
    world.groups += "users = \"provision\"\n";
    let _serving = world.serve().await;
    world.connect(&Hook::default());
    world.until_holds("Ops", 0..4).await;
    let users = world.aws.state()["users"].clone();
    let made =
        users.as_object().unwrap().values().find(|user| user["externalId"] == "00u00003").unwrap().clone();
    assert_eq!((&made["userName"], &made["active"]), (&json!(login(3)), &json!(true)), "{made}");
    assert_eq!(made["emails"][0]["value"], login(3));
    // Beadle updates and deactivates accounts, and never deletes them.
    world.okta.patch(&json!({ "users": { "00u00003": { "profile": { "lastName": "Married" } } } }));
    let of = |world: &World, n: usize| {
        let users = world.aws.state()["users"].clone();
        let id = format!("00u{n:05}");
        users.as_object().unwrap().values().find(|user| user["externalId"] == id.as_str()).unwrap().clone()
    };
    for _ in 0..1200 {
        if of(&world, 3)["name"]["familyName"] == "Married" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(of(&world, 3)["name"]["familyName"], "Married");
    world.okta.patch(&json!({ "users": { "00u00003": { "status": "DEPROVISIONED" } } }));
    world.until_holds("Ops", 0..3).await;
    for _ in 0..1200 {
        if of(&world, 3)["active"] == json!(false) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(of(&world, 3)["active"], json!(false));
    world.aws.forget_calls();
    world.beadle(&["sweep"]).await.expect(0);
    assert!(world.writes().is_empty(), "{:?}", world.writes());
}

#[tokio::test(flavor = "multi_thread")]
async fn beadle_waits_for_a_missing_user_and_delays_nobody_else() {
    let states =
        [json!({ "users": people(4), "groups": groups(&of(0..4)) }), json!({ "users": accounts(3) })];
    let world = World::new(states).await;
    let _serving = world.serve().await;
    world.connect(&Hook::default());
    world.until_holds("Ops", 0..3).await;
    // Another program creates this user now, and Okta sends an event.
    world.aws.patch(&json!({ "users": { "a00003": accounts(4)["a00003"].clone() } }));
    let event = json!({ "uuid": "provisioned-1", "eventType": "application.user_membership.add",
        "outcome": { "result": "SUCCESS" }, "target": [{ "type": "AppInstance", "id": "0oa1" }, { "type": "User", "id": "00u00003" }] });
    let body = json!({ "eventId": "provisioned", "data": { "events": [event] } });
    let mut request = world.http.post(world.hook_url()).body(body.to_string());
    for (name, value) in world.headers() {
        request = request.header(name, value);
    }
    assert_eq!(request.send().await.unwrap().status(), 202);
    world.until_holds("Ops", 0..4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creation_with_a_lost_answer_is_not_repeated() {
    let world = World::new(state(3, &groups(&of(0..3)))).await;
    world.aws.fault(Fault {
        method: Some("POST".into()),
        path: "/Groups".into(),
        reset: true,
        count: Some(1),
        ..Fault::default()
    });
    let _serving = world.serve().await;
    world.until_holds("Ops", 0..3).await;
    assert_eq!(world.aws.state()["groups"].as_object().unwrap().len(), 1);
}

/// Sends 200 deliveries a second for 15 s, or for a minute in `cargo xtask ci`. In each delivery, a
/// person joins or leaves. This test checks that every delivery is accepted.
/// `cargo xtask bench directory` measures the times.
#[tokio::test(flavor = "multi_thread")]
async fn a_load_of_200_deliveries_a_second_is_accepted_and_all_groups_are_equal_at_the_end() {
    const GROUPS: usize = 20;
    const PEOPLE: usize = 40;
    let mut groups = json!({});
    for n in 0..GROUPS {
        groups[format!("00g{n:02}")] =
            json!({ "profile": { "name": format!("AWS_G{n}") }, "members": of(0..20) });
    }
    let [directory, target] = state(PEOPLE, &groups);
    let okta = okta::Settings { limit: 1_000_000_000, ..okta::Settings::default() };
    let mut world = World::with([directory, target], okta, scim::Settings::default()).await;
    // People join and leave so often that the guard would hold the removals. So the limits of the
    // guard are high in this test.
    world.target_lines = "budget = { points = 1000000000, write_every = \"0s\" }\n\
                          guard = { removes = 1000000, repeats = 0 }\ngroup_guard = { percent = 100, count = 1000 }\n"
        .into();
    let serving = world.serve().await;
    world.connect(&Hook::default());
    for n in 0..GROUPS {
        world.until_holds(&format!("G{n}"), 0..20).await;
    }
    let mut is_in = vec![vec![false; PEOPLE]; GROUPS];
    for group in &mut is_in {
        group[..20].fill(true);
    }
    let seconds: usize = std::env::var("LOAD_SECONDS").map_or(15, |seconds| seconds.parse().unwrap());
    let mut every = tokio::time::interval(Duration::from_millis(50));
    for tick in 0..20 * seconds {
        every.tick().await;
        let mut patch = json!({});
        for n in 0..10 {
            let (group, person) = ((tick * 7 + n) % GROUPS, (tick * 13 + n * 3) % PEOPLE);
            let now = !is_in[group][person];
            is_in[group][person] = now;
            patch[format!("00g{group:02}")] = json!({ "members": { format!("00u{person:05}"): if now { json!(true) } else { Value::Null } } });
        }
        world.okta.patch(&json!({ "groups": patch }));
    }
    for (n, group) in is_in.iter().enumerate() {
        let members = group.iter().enumerate().filter(|(_, is_in)| **is_in).map(|(person, _)| person);
        world.until_holds(&format!("G{n}"), members).await;
    }
    // If a delivery gets no answer within three seconds, Okta sends the delivery once more. The
    // service might already know the repeated delivery.
    let taken = |row: &&Value| row["status"] == 202 || row["status"] == 200;
    let rows = world.okta.deliveries();
    let ids: std::collections::BTreeSet<&str> =
        rows.iter().filter(taken).map(|row| row["eventId"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 200 * seconds, "{}", serving.log().lines().last().unwrap_or_default());
}
