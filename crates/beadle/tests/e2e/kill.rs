//! Tests deliveries from 64 connections. During the test, the service is killed 20 times: at random
//! times, and at named points. Each delivery with a 2xx answer must be in the inbox, and its key
//! must run later.

use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use beadle_sim::{Limits, Settings};
use rand::RngExt as _;
use serde_json::{Value, json};

use crate::process::ProcessGroup;
use crate::repair::{POLICY, declared, is_declared};
use crate::world::{World, acme};

const CONNECTIONS: usize = 64;
const KILLS: usize = 20;

/// The points where the process ends itself. `n*off` skips the first n passes.
const POINTS: &[&str] = &[
    "before-commit",
    "after-commit",
    "between-claim-and-write",
    "before-intent",
    "between-intent-and-write",
    "between-write-and-result",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_delivery_with_a_2xx_answer_is_lost_in_20_kills() {
    let mut repositories = json!({});
    for n in 0..CONNECTIONS {
        repositories[format!("r{n:02}")] = declared();
    }
    let limits = Limits {
        minute: Duration::from_secs(1),
        core: 1_000_000_000,
        graphql: 1_000_000_000,
        rest_points: 1_000_000_000,
        graphql_points: 1_000_000_000,
        ..Limits::default()
    };
    let mut world = World::with(acme(repositories), Settings { limits, ..Settings::default() }).await;
    world.lines = "[worker]\nlease = \"1s\"\n".into();
    world.org_lines =
        "[org.budget]\nminute = \"1s\"\nrest_points = 1000000000\ngraphql_points = 1000000000\n[org.guard]\nrepeats = 0\npercent = 100\nremoves = 1000000\nweakens = 1000000\n"
            .into();
    world.policy("settings.yml", POLICY);
    world.checked = false; // other tests make the same calls
    let world = Arc::new(world);
    let stop = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(Mutex::new(BTreeSet::new()));
    let senders: Vec<_> = (0..CONNECTIONS)
        .map(|n| tokio::spawn(sender(n, world.clone(), stop.clone(), answered.clone())))
        .collect();

    let mut at_points = 0;
    for kill in 0..KILLS {
        if kill % 2 == 0 {
            let serving = world.serve().await;
            let run = rand::rng().random_range(100..900);
            tokio::time::sleep(Duration::from_millis(run)).await;
            serving.kill();
        } else {
            let point = POINTS[kill / 2 % POINTS.len()];
            let passes = rand::rng().random_range(3..30);
            let setting = format!("{point}={passes}*off->return;first-generation=return");
            let mut serving = world.spawn(&[("FAILPOINTS", &setting)]);
            for _ in 0..1600 {
                if serving.child.try_wait().unwrap().is_some() {
                    at_points += 1;
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
    assert!(at_points >= KILLS / 2 - 1, "only {at_points} runs ended at their points");
    stop.store(true, Ordering::Relaxed);
    for sender in senders {
        sender.await.unwrap();
    }
    let answered = answered.lock().clone();
    assert!(answered.len() > 200, "too few to say anything: {}", answered.len());

    let serving = world.serve().await;
    for n in 0..CONNECTIONS {
        world.until(&format!("r{n:02}"), "repair", is_declared).await;
    }
    let listed = world.beadle(&["deliveries", "--json", "--limit", "1000000"]).await.expect(0);
    let stored: BTreeSet<String> = listed
        .out
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned())
        .collect();
    let lost: Vec<&String> = answered.difference(&stored).collect();
    assert!(
        lost.is_empty(),
        "{} of {} answered deliveries are not in the inbox: {lost:?}",
        lost.len(),
        answered.len()
    );
    assert_eq!(serving.stop().await, Some(0));
    let queue = world.beadle(&["queue"]).await.expect(0);
    assert!(queue.out.starts_with("0 event, 0 manual, 0 sweep due"), "{}", queue.out);
    eprintln!(
        "{} deliveries answered 2xx over {KILLS} kills, {at_points} of them at named points",
        answered.len()
    );
}

/// Runs one sender. The sender changes a repository, and repeats the delivery about the drift until
/// an answer arrives. At the end, if no delivery about the last drift was accepted, the sender
/// undoes this drift.
async fn sender(n: usize, world: Arc<World>, stop: Arc<AtomicBool>, answered: Arc<Mutex<BTreeSet<String>>>) {
    let name = format!("r{n:02}");
    let id = world.repository(&name)["id"].clone();
    let body = json!({ "action": "edited", "organization": { "login": "acme" },
        "repository": { "id": id, "node_id": format!("R_kgDO{:08}", id.as_u64().unwrap()), "owner": { "login": "acme" } } })
    .to_string();
    let mut round = 0;
    while !stop.load(Ordering::Relaxed) {
        world
            .patch(json!({ name.as_str(): { "teams": { "contractors": "admin" }, "has_wiki": true } }), false)
            .await;
        let delivery = format!("{name}-{round}");
        // GitHub does not repeat a failed delivery, but an operator can send it again.
        while !stop.load(Ordering::Relaxed) {
            match world.delivery(&delivery, "repository", body.as_bytes()).send().await {
                Ok(answer) if answer.status().is_success() => {
                    answered.lock().insert(delivery.clone());
                    break;
                }
                _ => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
        if stop.load(Ordering::Relaxed) && !answered.lock().contains(&delivery) {
            // If no delivery about a drift was accepted, the service might not repair the drift.
            let patch = json!({ name.as_str(): { "teams": { "contractors": null }, "has_wiki": false } });
            world.patch(patch, false).await;
        }
        round += 1;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// Traces the system calls. Between each request and its answer 202, the service must sync the
/// file.
#[tokio::test(flavor = "multi_thread")]
async fn the_store_syncs_before_the_answer() {
    if std::process::Command::new("strace").arg("-V").output().is_err() {
        eprintln!("left out: strace is not installed");
        return;
    }
    let world = World::new(acme(json!({}))).await;
    world.policy("settings.yml", POLICY);
    let trace = world.path().join("trace");
    let mut command = std::process::Command::new("strace");
    command.args(["-f", "-s", "64", "-e", "trace=fsync,fdatasync,read,recvfrom,write,writev,sendto", "-o"]);
    command.arg(&trace).arg(env!("CARGO_BIN_EXE_beadle")).arg("--config").arg(world.config()).arg("serve");
    let group = ProcessGroup::start(command);
    let body = json!({ "organization": { "login": "acme" } }).to_string();
    let mut status = 0;
    for _ in 0..2400 {
        if let Ok(answer) = world.delivery("traced", "push", body.as_bytes()).send().await {
            status = answer.status().as_u16();
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(status, 202);
    // The client gets the answer a moment before strace writes its line.
    let mut text = String::new();
    for _ in 0..600 {
        text = std::fs::read_to_string(&trace).unwrap();
        if text.contains("HTTP/1.1 202") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(group);
    let lines: Vec<&str> = text.lines().collect();
    let request =
        lines.iter().position(|line| line.contains("POST /hooks/github")).expect("the request is traced");
    let answer = lines.iter().position(|line| line.contains("HTTP/1.1 202")).expect("the answer is traced");
    let synced = lines[request..answer].iter().filter(|line| line.contains("sync(") && line.ends_with("= 0"));
    let resumed =
        lines[request..answer].iter().filter(|line| line.contains("sync resumed>") && line.ends_with("= 0"));
    assert!(synced.count() + resumed.count() > 0, "{}", lines[request..=answer].join("\n"));
}
