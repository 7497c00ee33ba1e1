//! Tests the output for people. Values from outside cannot control a terminal or a page. Every
//! argument has an effect, and each exit code is correct.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::repair::{POLICY, declared};
use crate::world::{Ran, World, acme};

/// Control characters: a title, a colour, a new line, and a reversed direction.
const HOSTILE: &str = "\u{1b}]0;pwned\u{7}\u{1b}[31mred\nforged: all is fine\r\u{9b}2J\u{202e}";

#[track_caller]
fn is_harmless(what: &str, text: &str) {
    let acts = |c: &char| (c.is_control() && *c != '\n') || *c == '\u{202e}';
    assert!(!text.chars().any(|c| acts(&c)), "{what}: {text:?}");
    assert!(!text.lines().any(|line| line.starts_with("forged")), "{what}: {text}");
}

#[track_caller]
fn ran_harmlessly(args: &[&str], ran: &Ran) {
    is_harmless(&args.join(" "), &ran.out);
    is_harmless(&args.join(" "), &ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn control_characters_from_outside_do_not_reach_a_terminal_or_a_page() {
    let mut drifted = declared();
    drifted["description"] = json!(format!("{HOSTILE} @acme/security <b>|"));
    drifted["teams"]["contractors"] = json!("admin");
    let mut world = World::new(acme(json!({ "widgets": drifted }))).await;
    world.org_lines = "[org.guard]\nremoves = 0\n".into();
    world.policy("settings.yml", &POLICY.replace("repository:\n", "repository:\n  description: plain\n"));
    for args in [&["plan"][..], &["plan", "--format", "json"], &["explain", "acme/widgets"]] {
        ran_harmlessly(args, &world.beadle(args).await);
    }
    let page = world.beadle(&["plan", "--format", "markdown"]).await.expect(2);
    ran_harmlessly(&["plan", "--format", "markdown"], &page);
    let row = page.out.lines().find(|line| line.contains("@acme/security")).unwrap();
    assert_eq!(row.matches('|').count(), 5, "no value leaves its cell: {row}");
    assert!(row.split("@acme/security").next().unwrap().matches('`').count() % 2 == 1, "it is code: {row}");

    let serving = world.serve().await;
    let long = "x".repeat(10_000_000);
    for (id, action) in [("evil", HOSTILE), ("long", long.as_str())] {
        let body = json!({ "action": action, "organization": { "login": "acme" },
            "repository": { "id": 1, "node_id": "R_kgDO00000001", "owner": { "login": "acme" } } });
        let sent = world.delivery(id, "repository", body.to_string().as_bytes()).send().await.unwrap();
        assert_eq!(sent.status().as_u16(), 202, "{id}");
    }
    let held = Instant::now();
    while world.beadle(&["holds", "--json"]).await.expect(0).out.is_empty() {
        assert!(held.elapsed() < Duration::from_secs(30), "nothing is held\n{}", serving.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for args in [
        &["deliveries"][..],
        &["deliveries", "--json"],
        &["deliveries", "--body", "evil"],
        &["queue"],
        &["queue", "--json"],
        &["holds"],
        &["holds", "--json"],
        &["journal"],
        &["journal", "--format", "ndjson"],
        &["apply", "--yes"],
        &["sweep"],
    ] {
        ran_harmlessly(args, &world.beadle(args).await);
    }
    let listed = world.beadle(&["deliveries"]).await.expect(0).out;
    assert!(listed.lines().all(|line| line.len() < 2_000), "a column is cut");
    is_harmless("the log", &serving.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_in_a_command_is_found_or_refused() {
    let mut drifted = declared();
    drifted["has_wiki"] = json!(true);
    let world = World::new(acme(json!({ "widgets": drifted }))).await;
    world.policy("settings.yml", POLICY);
    world.beadle(&["apply", "--yes"]).await.expect(0);
    for name in ["acme/widgets", "widgets"] {
        let journal = world.beadle(&["journal", "--key", name]).await.expect(0);
        assert!(journal.out.contains("has_wiki"), "{}", journal.out);
    }
    for args in [
        &["journal", "--key", "acme/widgots"][..],
        &["journal", "--key", "repository:acme:999999"],
        &["deliveries", "--key", "acme/nothing"],
        &["deliveries", "--key", "repository:acme:999999"],
        &["queue", "--retry", "acme/nothing"],
        &["approve", "mistyped"],
        &["reject", "mistyped"],
        &["sweep", "--approve", "mistyped"],
    ] {
        let refused = world.beadle(args).await.expect(1);
        assert!(refused.err.contains(args.last().unwrap()), "{args:?} is not named: {}", refused.err);
    }
    let near = world.beadle(&["journal", "--key", "acme/widgots"]).await.expect(1);
    assert!(near.err.contains("did you mean `acme/widgets`"), "{}", near.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_in_observe_exits_with_2_if_it_finds_drift() {
    let mut drifted = declared();
    drifted["has_wiki"] = json!(true);
    let mut world = World::new(acme(json!({ "widgets": drifted }))).await;
    world.mode = "observe";
    world.policy("settings.yml", POLICY);
    for command in [&["plan"][..], &["apply", "--yes"], &["sweep"], &["sweep", "--without-store"]] {
        world.beadle(command).await.expect(2);
    }
    assert!(world.writes().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn apply_and_sweep_exit_with_0_only_if_a_second_plan_is_empty() {
    for command in [&["apply", "--yes"][..], &["sweep"], &["sweep", "--without-store"]] {
        ends_in_an_empty_plan(command).await;
    }
}

async fn ends_in_an_empty_plan(command: &[&str]) {
    let world = World::new(acme(json!({ "widgets": { "has_wiki": true, "topics": ["old"] } }))).await;
    world.policy("settings.yml", "repository:\n  has_wiki: false\n");
    // The suborg selects repositories by the team of this file.
    world.policy("repos/widgets.yml", "teams:\n  - { name: security, permission: pull }\n");
    world.policy("suborgs/audited.yml", "suborgteams: [security]\nrepository:\n  topics: [audited]\n");
    let written = world.beadle(command).await.expect(0);
    assert_eq!(world.repository("widgets")["topics"], json!(["audited"]), "{command:?}: {}", written.out);
    world.beadle(&["plan"]).await.expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_repository_of_the_policy_is_neither_counted_nor_read() {
    let world = World::new(acme(json!({ "widgets": declared(), "admin": { "has_wiki": true } }))).await;
    world.policy("settings.yml", POLICY);
    let swept = world.beadle(&["sweep"]).await.expect(0);
    assert!(swept.out.contains("1 checked, 0 drifted"), "{}", swept.out);
    let reads = world.sim.calls();
    let of_admin = |path: &str| path.starts_with("/repos/acme/admin");
    assert!(!reads.iter().any(|call| call["path"].as_str().is_some_and(of_admin)), "{reads:?}");
}

async fn asked(world: &World, path: &str) -> (u16, String) {
    let url = format!("http://127.0.0.1:{}{path}", world.ports[1]);
    let answer = world.http.get(url).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn readyz_names_an_invalid_policy_and_waits_for_no_lock() {
    let world = World::new(acme(json!({ "widgets": declared() }))).await;
    world.policy("settings.yml", POLICY);
    let _serving = world.serve().await;
    assert_eq!(asked(&world, "/readyz").await, (200, "ready\n".to_owned()));
    world.policy("settings.yml", "repository: [\n");
    let begun = Instant::now();
    loop {
        let (status, text) = asked(&world, "/readyz").await;
        assert_eq!(status, 200, "webhooks are taken all the same: {text}");
        if text.contains("policy of acme: invalid policy") {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(40), "{text}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let (_, metrics) = asked(&world, "/metrics").await;
    assert!(metrics.contains("beadle_task_failing{task=\"policy of acme\"} 1"), "{metrics}");

    let lock = rusqlite::Connection::open(world.path().join("beadle.db")).unwrap();
    lock.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let begun = Instant::now();
    let (status, text) = asked(&world, "/readyz").await;
    assert_eq!(status, 503, "{text}");
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_age_of_paused_keys_raises_no_alarm() {
    let world = World::new(acme(json!({ "widgets": declared() }))).await;
    world.policy("settings.yml", POLICY);
    let _serving = world.serve().await;
    world.connect();
    world.beadle(&["pause", "--org", "acme", "--for", "1h"]).await.expect(0);
    world.patch(json!({ "widgets": { "topics": ["stray"] } }), true).await;
    world.until_sent().await;
    // After this wait, the paused key has been due for more than a second. The metrics must not
    // count the age of a paused key.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let (_, metrics) = asked(&world, "/metrics").await;
    assert!(!metrics.contains("beadle_keys_due{lane=\"event\"} 0"), "something waits: {metrics}");
    assert!(metrics.contains("beadle_oldest_due_seconds 0"), "{metrics}");
}
