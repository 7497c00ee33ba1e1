//! Tests the service with a real PostgreSQL server as its store.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::Duration;

use beadle_emulate::Cluster;
use serde_json::{Value, json};

use crate::repair::POLICY;
use crate::world::{Ran, Serving, World, acme};

fn command(url: &str, world: &World) -> Command {
    let mut command = world.command();
    // The address might contain a password, so an environment variable contains the address.
    command.env("BEADLE_STORE", url);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_on_a_database_repairs_drift_and_commands_show_it() {
    let cluster = Cluster::start().await;
    let url = cluster.url();
    let world = World::new(acme(json!({}))).await;
    world.policy("settings.yml", POLICY);
    // If a command only reads, it creates no store.
    let missing = Ran::of(command(&url, &world), &["queue"]).await.expect(1).err;
    assert!(missing.contains("there is no store at postgres://beadle@/postgres"), "{missing}");
    let serving = Serving::start(command(&url, &world), world.path()).ready(world.operator()).await;
    world.connect();
    world.patch(json!({ "till": { "branches": { "main": {} } } }), true).await;
    world.until("till", "its wiki is off", |till| till["has_wiki"] == json!(false)).await;
    // Beadle's own writes make keys due again.
    let mut queue = String::new();
    for _ in 0..800 {
        queue = Ran::of(command(&url, &world), &["queue"]).await.expect(0).out;
        if queue.contains("0 event, 0 manual, 0 sweep due, 0 running") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(queue.contains("0 event, 0 manual, 0 sweep due, 0 running"), "{queue}");
    assert_eq!(serving.stop().await, Some(0));
    assert!(!world.path().join("beadle.db").exists(), "the state is in the database alone");
    let listed = Ran::of(command(&url, &world), &["deliveries", "--json"]).await.expect(0).out;
    assert!(listed.contains("repository.created"), "{listed}");
    let journal = Ran::of(command(&url, &world), &["journal", "--format", "ndjson"]).await.expect(0).out;
    let kinds: Vec<String> = journal
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["kind"].as_str().unwrap().to_owned())
        .collect();
    for kind in ["intent", "result", "run"] {
        assert!(kinds.iter().any(|known| known == kind), "{kind}: {journal}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_moves_from_a_file_to_a_database_and_back() {
    let cluster = Cluster::start().await;
    let world = World::new(acme(json!({ "till": { "branches": { "main": {} } } }))).await;
    world.policy("settings.yml", POLICY);
    let serving = Serving::start(world.command(), world.path()).ready(world.operator()).await;
    world.connect();
    world.patch(json!({ "desk": { "branches": { "main": {} } } }), true).await;
    world.until("desk", "its wiki is off", |desk| desk["has_wiki"] == json!(false)).await;
    assert_eq!(serving.stop().await, Some(0));
    Ran::of(world.command(), &["pause", "--org", "acme", "--for", "1h"]).await.expect(0);
    let asked = [
        &["journal", "--format", "ndjson"][..],
        &["deliveries", "--json"],
        &["queue", "--json"],
        &["holds", "--json"],
    ];
    let mut before = Vec::new();
    for args in asked {
        before.push(Ran::of(world.command(), args).await.expect(0).out);
    }
    assert!(before[0].contains("intent") && before[1].contains("repository.created"), "{before:?}");
    let (file, back) = (world.path().join("beadle.db"), world.path().join("back.db"));
    let (file, back) = (file.to_str().unwrap(), back.to_str().unwrap());
    let (one, other) = (cluster.url(), cluster.url());
    let copied = Ran::of(world.command(), &["store", "copy", file, &one]).await.expect(0).out;
    assert!(copied.contains(", 1 pause, "), "{copied}");
    Ran::of(world.command(), &["store", "copy", &one, &other]).await.expect(0);
    Ran::of(world.command(), &["store", "copy", &other, back]).await.expect(0);
    for place in [one.as_str(), &other, back] {
        for (args, before) in asked.iter().zip(&before) {
            let args: Vec<&str> = args.iter().copied().chain(["--store", place]).collect();
            // Entries from the same millisecond can come in any order.
            let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
            let after = Ran::of(world.command(), &args).await.expect(0).out;
            assert_eq!(lines(&after), lines(before), "{place}: {args:?}");
        }
    }
    let again = Ran::of(world.command(), &["store", "copy", file, &one]).await.expect(1);
    assert!(again.err.contains("copy into an empty store"), "{}", again.err);
    let unknown = cluster.url();
    let none = Ran::of(world.command(), &["store", "copy", &unknown, "none.db"]).await.expect(1);
    assert!(none.err.contains("does not exist"), "{}", none.err);
}

/// Starts another service with the same configuration, but with different ports.
async fn another(url: &str, world: &World) -> Serving {
    let ports = [(); 2].map(|()| beadle_emulate::free_port());
    let mut text = std::fs::read_to_string(world.config()).unwrap();
    for (old, new) in world.ports.iter().zip(ports) {
        text = text.replace(&format!("127.0.0.1:{old}\""), &format!("127.0.0.1:{new}\""));
    }
    let config = world.path().join("another.toml");
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_beadle"));
    command.arg("--config").arg(config).stdin(Stdio::null()).env("BEADLE_STORE", url);
    command.env("FAILPOINTS", "settle=return;first-generation=return");
    Serving::start(command, world.path()).ready(ports[1]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_process_accepted_is_worked_off_by_another() {
    let cluster = Cluster::start().await;
    let url = cluster.url();
    let mut world = World::new(acme(json!({ "till": { "branches": { "main": {} } } }))).await;
    world.lines = "[worker]\nlease = \"2s\"\n".into();
    world.policy("settings.yml", POLICY);
    let first = Serving::start(command(&url, &world), world.path()).ready(world.operator()).await;
    let second = another(&url, &world).await;
    world.until("till", "its wiki is off", |till| till["has_wiki"] == json!(false)).await;
    world.connect();
    world.patch(json!({ "desk": { "branches": { "main": {} } } }), true).await;
    world.until_sent().await;
    // The first process has accepted the webhook. The first process now waits until the debounce
    // time ends, or already works on the key.
    first.kill();
    world.until("desk", "its wiki is off", |desk| desk["has_wiki"] == json!(false)).await;
    assert_eq!(second.stop().await, Some(0));
}
