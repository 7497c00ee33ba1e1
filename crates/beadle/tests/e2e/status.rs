//! Tests `beadle status`, which shows the state of the service, and `beadle reload`, which changes
//! the configuration of the running service.

use std::time::{Duration, SystemTime};

use rusqlite::{Connection, params};
use serde_json::{Value, json};

use crate::process::signal;
use crate::repair::{POLICY, declared, is_declared};
use crate::world::{Ran, Serving, World, acme, replace_file};

/// The maximum number of times that a test checks a condition. All checks together take at least a
/// minute.
const LOOKS: usize = 600;

/// Waits until the state meets a condition, and returns the state.
async fn until_status(world: &World, what: &str, holds: impl Fn(&Value) -> bool) -> (Value, i32) {
    let mut last = None;
    for _ in 0..LOOKS {
        let ran: Ran = world.beadle(&["status", "--json"]).await;
        let status = ran.json();
        if holds(&status) {
            return (status, ran.code);
        }
        last = Some(status);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{what} did not come true: {last:#?}");
}

/// Waits until the log contains a text this number of times.
async fn until_logged(serving: &Serving, text: &str, times: usize) {
    for _ in 0..LOOKS {
        if serving.log().matches(text).count() >= times {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the log has no `{text}`:\n{}", serving.log());
}

fn mode(status: &Value) -> &Value {
    &status["instances"][0]["mode"]
}

#[tokio::test(flavor = "multi_thread")]
async fn one_missing_team_is_one_problem_of_all_repositories_until_it_is_gone() {
    let world = World::new(acme(json!({ "a": declared(), "b": declared(), "c": declared() }))).await;
    let with_ghosts = POLICY.replace("teams:\n", "teams:\n  - { name: ghosts, permission: pull }\n");
    world.policy("settings.yml", &with_ghosts);
    world.beadle(&["status"]).await.expect(1);
    let serving = world.serve().await;
    world.until_swept(&serving).await;
    world.until_idle().await;
    let (status, code) = until_status(&world, "the record of the service", |status| {
        status["service"]["version"].is_string() && mode(status) == "enforce"
    })
    .await;
    let problems = status["problems"].as_array().unwrap();
    assert_eq!((problems.len(), code), (1, 2), "{status:#}");
    assert_eq!(
        (&problems[0]["kind"], &problems[0]["names"]),
        (&json!("unknown"), &json!(["acme/a", "acme/b", "acme/c"]))
    );
    let shown = world.beadle(&["status"]).await.expect(2);
    assert!(shown.out.contains("unknown   3 repositories of acme"), "{}", shown.out);
    assert!(shown.out.contains("ghosts"), "{}", shown.out);
    world.policy("settings.yml", POLICY);
    world.read_policy().await;
    world.read_policy().await;
    until_status(&world, "no problem", |status| status["problems"] == json!([])).await;
    world.beadle(&["status"]).await.expect(0);
    assert_eq!(serving.stop().await, Some(0));
    let stopped = world.beadle(&["status"]).await.expect(1);
    assert!(stopped.out.contains("service   stopped"), "{}", stopped.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_changes_the_mode_and_keeps_the_listeners_open() {
    let drifted = json!({ "teams": { "contractors": "admin" }, "branches": { "main": {} } });
    let mut world = World::new(acme(json!({ "widgets": drifted }))).await;
    world.mode = "observe";
    world.policy("settings.yml", POLICY);
    let serving = world.serve().await;
    world.until_swept(&serving).await;
    let (status, _) =
        until_status(&world, "the mode of the service", |status| mode(status) == "observe").await;
    assert_eq!(status["service"]["other_configuration"], json!([]));
    let (started, configured) =
        (status["service"]["started"].clone(), status["service"]["configured"].as_i64());
    assert!(started.is_i64() && configured.is_some(), "{status:#}");
    assert_eq!(status["problems"][0]["kind"], json!("drifted"), "{status:#}");
    world.mode = "enforce";
    let status = world.beadle(&["status", "--json"]).await.expect(2).json();
    assert_eq!(
        (mode(&status), &status["service"]["other_configuration"]),
        (&json!("observe"), &json!(["org.acme.mode"]))
    );
    assert!(world.writes().is_empty(), "the service still observes");
    let health = world.hook_url().replace("/hooks/github", "/healthz");
    let reload = world.beadle(&["reload"]);
    tokio::pin!(reload);
    let mut answered = 0;
    let reloaded = loop {
        tokio::select! {
            reloaded = &mut reload => break reloaded.expect(0),
            answer = world.http.get(&health).send() => {
                assert!(answer.unwrap().status().is_success());
                answered += 1;
            }
        }
    };
    assert!(answered > 0);
    assert!(reloaded.out.contains("1 value changed: `org.acme.mode`"), "{}", reloaded.out);
    world.until("widgets", "the repair", is_declared).await;
    let (status, _) = until_status(&world, "the new mode", |status| mode(status) == "enforce").await;
    assert_eq!(status["service"]["other_configuration"], json!([]));
    assert_eq!(status["service"]["started"], started, "a reload is no start");
    assert!(status["service"]["configured"].as_i64() > configured, "{status:#}");
    assert_eq!(serving.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_policy_closes_no_organisation_at_a_reload_or_a_restart() {
    let world = World::new(acme(json!({ "widgets": declared() }))).await;
    world.policy("settings.yml", POLICY);
    let serving = world.serve().await;
    world.until_swept(&serving).await;
    world.connect();
    world.policy("settings.yml", "repository: [\n");
    let drift = json!({ "widgets": { "teams": { "contractors": "admin" } } });
    world.beadle(&["reload"]).await.expect(0);
    world.patch(drift.clone(), true).await;
    world.until("widgets", "the repair after the reload", is_declared).await;
    let is_shown = |status: &Value| status.to_string().contains("invalid policy");
    until_status(&world, "the invalid policy", is_shown).await;
    assert_eq!(serving.stop().await, Some(0));
    let serving = world.serve().await;
    world.patch(drift, true).await;
    world.until("widgets", "the repair after the restart", is_declared).await;
    until_logged(&serving, "invalid policy", 1).await;
    assert_eq!(serving.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_file_does_not_stop_the_service_and_a_listener_needs_a_restart() {
    let mut world = World::new(acme(json!({ "widgets": declared() }))).await;
    world.policy("settings.yml", POLICY);
    let serving = world.serve().await;
    let path = world.config();
    let text = std::fs::read_to_string(&path).unwrap();
    replace_file(&path, &text.replace("mode = ", "mod = "));
    signal("HUP", serving.child.id());
    until_logged(&serving, "configuration not reloaded, the service keeps the previous one", 1).await;
    let ready = format!("http://127.0.0.1:{}/readyz", world.operator());
    assert!(world.http.get(&ready).send().await.unwrap().status().is_success());
    // The command finds the service, because only the public listener changes in the file.
    world.ports[0] = beadle_emulate::free_port();
    let reloaded = world.beadle(&["reload"]).await.expect(2);
    assert!(
        reloaded.out.contains("restart the service to use the new values of `server.listen`"),
        "{}",
        reloaded.out
    );
    until_status(&world, "the record of the new configuration", |status| {
        status["service"]["other_configuration"] == json!(["server.listen"])
    })
    .await;
    let plan = world.beadle(&["plan"]).await.expect(0);
    assert!(plan.err.contains("1 value differs (`server.listen`); restart the service"), "{}", plan.err);
    signal("HUP", serving.child.id());
    until_logged(&serving, "configuration reloaded", 2).await;
    assert_eq!(serving.stop().await, Some(0));
}

/// Asks the API of the service for a page.
async fn api(world: &World, path: &str) -> Value {
    let url = format!("http://127.0.0.1:{}/api/v1{path}", world.operator());
    world.http.get(url).send().await.unwrap().text().await.unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contested_value_is_listed_with_its_writer_on_the_pages_and_in_the_status() {
    let mut world = World::new(acme(json!({ "widgets": declared() }))).await;
    world.org_lines = "[org.guard]\nrepeats = 2\n".into();
    world.policy("settings.yml", POLICY);
    let _serving = world.serve().await;
    world.connect();
    let without_topic = json!({ "widgets": { "topics": [] } });
    for _ in 0..2 {
        world.patch(without_topic.clone(), true).await;
        world.until("widgets", "the repair", is_declared).await;
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    world.patch(without_topic, true).await;
    let shown = "another writer undoes the changes of topics: managed; according to a webhook, octocat made the last \
                 change";
    let (status, code) =
        until_status(&world, "the contest", |status| status["problems"][0]["cause"] == shown).await;
    assert_eq!((&status["problems"][0]["kind"], code), (&json!("contested"), 2), "{status:#}");
    assert_eq!(status["instances"][0]["counts"], json!({ "contested": 1 }), "{status:#}");
    let page = api(&world, "/repositories/acme/widgets").await;
    assert_eq!(
        (&page["repository"]["state"], &page["repository"]["why"]),
        (&json!("contested"), &json!(shown))
    );
    assert_eq!(api(&world, "/overview").await["repositories"]["states"], json!({ "contested": 1 }));
}

/// Stores keys with all kinds of problems. The service must not work on these keys.
fn fill(store: &Connection, now: i64) {
    let unknown = json!([{ "aspect": "teams", "part": null, "why": "403", "transient": true }]);
    let drifted = || json!({ "pending": 1, "withheld": 1, "drift": { "labels": "mode" } });
    let held = || json!({ "pending": 1, "held": 1, "drift": { "teams": "held" } });
    let contest = |at: i64| json!([{ "aspect": "labels", "what": "label bug", "since": at, "at": at }]);
    let states = [
        (1, json!({})),
        (2, json!({ "skipped": "archived" })),
        (3, drifted()),
        (4, held()),
        (5, json!({ "pending": 2, "held": 1, "withheld": 1 })),
        (6, drifted()),
        (7, json!({ "unknown": unknown })),
        (8, json!({ "unknown": unknown })),
        (9, json!({ "pending": 1, "failed": 1, "failure": "502" })),
        (10, json!({})),
        (11, json!({ "pending": 1, "contested": ["labels"], "contests": contest(now) })),
        // Beadle repaired the first of the next two repositories a moment ago.
        (12, json!({ "contests": contest(now) })),
        (13, json!({ "contests": contest(now - 7_200_000) })),
        (
            14,
            json!({ "pending": 2, "withheld": 1, "undone": 1, "drift": { "labels": "mode", "topics": "mode" } }),
        ),
        (16, json!({})),
        (17, held()),
        (18, held()),
    ];
    let mut notes: Vec<(String, Value)> =
        states.map(|(id, state)| (format!("repository:acme:{id}"), state)).into();
    notes.push(("organisation:acme:9".to_owned(), drifted()));
    for (key, mut state) in notes {
        let subject = format!("acme/r{}", key.rsplit(':').next().unwrap());
        for (name, value) in [("subject", json!(subject)), ("since", json!(1)), ("pending", json!(0))] {
            state.as_object_mut().unwrap().entry(name).or_insert(value);
        }
        let note = "INSERT OR REPLACE INTO note (name, value) VALUES (?1, ?2)";
        store.execute(note, params![format!("key-state:{key}"), state.to_string()]).unwrap();
    }
    let parked = json!({ "reason": "failed", "why": "403 Forbidden", "since": 1 }).to_string();
    for (id, parked) in [(6, Some(&parked)), (7, Some(&parked)), (10, None)] {
        let row =
            "INSERT OR REPLACE INTO work (key, instance, lane, wanted, done, claimed, run_at, not_before,
                spares_events, first_dirty, attempts, epoch, lease_until, parked, hint, last_error, due, rank)
            VALUES (?1, 'acme', 'sweep', 2, 1, 1, 0, 0, 0, 1, 2, 1, NULL, ?2, NULL, '502', NULL, 0)";
        store.execute(row, params![format!("repository:acme:{id}"), parked]).unwrap();
    }
    let rejected = json!({ "by": "mona", "at": 2 });
    for (id, contested, more) in [
        (15, false, json!({})),
        (16, true, json!({})),
        (17, false, json!({ "approved_by": "mona" })),
        (18, false, json!({ "rejected": rejected })),
    ] {
        let key = format!("repository:acme:{id}");
        let field = json!({ "name": "permission", "before": "push", "after": null, "asked": null, "risk": "removes" });
        // The service does not delete the hold of an undo when the service begins to use its
        // policy.
        let mut hold = json!({
            "digest": format!("d{id}"), "key": key, "subject": format!("acme/r{id}"), "since": 1,
            "why": "guard limit reached", "contested": contested, "generation": "undo of 1",
            "change": {
                "aspect": "teams", "what": "team contractors", "fields": [field], "mode": "enforce", "after": [],
                "write": null,
            },
        });
        let is_approved = more.get("approved_by").is_some();
        for (name, value) in more.as_object().unwrap() {
            hold[name] = value.clone();
        }
        let row = "INSERT INTO hold (digest, instance, key, since, approved, hold)
            VALUES (?1, 'acme', ?2, 1, ?3, ?4)";
        store.execute(row, params![format!("d{id}"), key, is_approved, hold.to_string()]).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_and_the_status_show_the_same_numbers() {
    let world = World::new(acme(json!({ "widgets": declared() }))).await;
    world.policy("settings.yml", POLICY);
    world.make_store().await;
    // No worker claims a key, so the service only shows the stored keys.
    world.beadle(&["pause", "--org", "acme", "--for", "1h"]).await.expect(0);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
    let store = Connection::open(world.path().join("beadle.db")).unwrap();
    fill(&store, i64::try_from(now).unwrap());
    let _serving = world.serve().await;
    let (status, _) =
        until_status(&world, "the mode of the service", |status| mode(status) == "enforce").await;
    let acme = &status["instances"][0];
    let expected =
        json!({ "contested": 3, "drifted": 4, "failing": 2, "held": 5, "parked": 2, "unknown": 2 });
    assert_eq!((&acme["counts"], &acme["organisation"]), (&expected, &json!(["drifted"])), "{status:#}");
    let overview = api(&world, "/overview").await;
    let mut states = overview["repositories"]["states"].clone();
    for fine in ["as-declared", "skipped"] {
        states.as_object_mut().unwrap().remove(fine);
    }
    assert_eq!(states, expected, "{overview:#}");
    assert_eq!(overview["organisation_settings"][0]["state"], "drifted");
    for (state, count) in expected.as_object().unwrap() {
        let list = api(&world, &format!("/repositories?state={state}")).await;
        assert_eq!(&list["total"], count, "{state}");
    }
}
