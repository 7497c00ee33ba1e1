//! Tests that new processes can replace old processes one by one while deliveries arrive.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{NEW, Place, Process, is_told_once, world};
use crate::repair::is_declared;
use crate::world::World;

/// A log line of the process that runs the background tasks from now on.
const CHOSEN: &str = "this process runs the background tasks now";

/// Replaces two processes of the older version. At each step, each process gets a delivery about a
/// drift, and a process must repair the drift.
pub(super) async fn replace_one_by_one(place: &Place, old: &str) {
    let (world, receiver) = world().await;
    let mut sent = BTreeSet::new();
    let first = Process::start(place, old, &world, "first").await;
    let second = Process::start(place, old, &world, "second").await;
    receiver.until("a message", |receiver| !receiver.messages().is_empty()).await;
    step(&world, "both-are-old", &[&first, &second], &mut sent).await;
    let third = Process::start(place, NEW, &world, "third").await;
    step(&world, "a-new-one-joined", &[&first, &second, &third], &mut sent).await;
    both_read(place, old, &world).await;
    first.stop().await;
    step(&world, "an-old-one-left", &[&second, &third], &mut sent).await;
    both_read(place, old, &world).await;
    let fourth = Process::start(place, NEW, &world, "fourth").await;
    second.stop().await;
    step(&world, "both-are-new", &[&third, &fourth], &mut sent).await;

    let listed = ["deliveries", "--json", "--limit", "1000000"];
    let stored = place.listed(NEW, &world, &listed, "id").await;
    assert!(sent.is_subset(&stored), "lost: {:?}", sent.difference(&stored));
    // A new process runs the background tasks now. The new process knows which messages the old
    // processes have sent.
    until_chosen([&third, &fourth]).await;
    for process in [&third, &fourth] {
        process.notify(&world).await;
    }
    third.stop().await;
    fourth.stop().await;
    is_told_once(&receiver);
}

/// Changes a repository for each process, and sends a delivery to the process. A second process
/// gets the same delivery. The delivery counts once.
async fn step(world: &World, step: &str, processes: &[&Process], sent: &mut BTreeSet<String>) {
    for (n, process) in processes.iter().enumerate() {
        let (name, id) = (format!("r{n}"), format!("{step}-{n}"));
        process.drift(world, &name, &id).await;
        processes[(n + 1) % processes.len()].deliver(world, &name, &id).await;
        sent.insert(id);
    }
    for n in 0..processes.len() {
        world.until(&format!("r{n}"), &format!("repair ({step})"), is_declared).await;
    }
}

/// Reads every part of the state with both programs while services of both versions run.
async fn both_read(place: &Place, old: &str, world: &World) {
    for program in [old, NEW] {
        place.ask(program, world, &["queue"]).await;
        let journal = place.listed(program, world, &["journal", "--format", "ndjson"], "kind").await;
        for kind in ["intent", "result", "run"] {
            assert!(journal.contains(kind), "{program}: {journal:?}");
        }
        let holds = place.listed(program, world, &["holds", "--json"], "subject").await;
        assert_eq!(holds, BTreeSet::from(["acme/held".to_owned()]), "{program}");
    }
    let of_old = place.listed(old, world, &["holds", "--json"], "digest").await;
    assert_eq!(of_old, place.listed(NEW, world, &["holds", "--json"], "digest").await);
}

/// Waits until one of these processes runs the background tasks. In the meantime, an old process
/// might run the tasks, but this does not end the wait.
async fn until_chosen(processes: [&Process; 2]) {
    for _ in 0..3000 {
        if processes.iter().any(|process| process.serving.log().contains(CHOSEN)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let [one, other] = processes.map(|process| process.serving.log());
    panic!("no new process runs the background tasks:\n{one}\n{other}");
}
