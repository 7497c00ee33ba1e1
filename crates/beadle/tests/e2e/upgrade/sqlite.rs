//! Tests that this version opens the file of an older version. The older version was killed while
//! it had work left.

use super::{NEW, Place, Process, is_told_once, old_program, world};
use crate::repair::is_declared;
use crate::world::Ran;

#[tokio::test(flavor = "multi_thread")]
async fn the_file_of_an_older_version_opens_with_all_of_its_work() {
    let Some(old) = old_program() else { return };
    let (world, receiver) = world().await;
    let file = world.path().join("beadle.db").display().to_string();
    let place = Place { env: vec![("BEADLE_STORE", file)] };
    let process = Process::start(&place, &old, &world, "old").await;
    receiver.until("a message", |receiver| !receiver.messages().is_empty()).await;
    process.drift(&world, "r0", "repaired").await;
    world.until("r0", "repair", is_declared).await;
    // During a pause, work stays in the queue.
    place.ask(&old, &world, &["pause", "--org", "acme", "--for", "1h"]).await;
    process.drift(&world, "r1", "waits").await;
    process.serving.kill();

    let lists: [(&[&str], &str); 4] = [
        (&["holds", "--json"], "digest"),
        (&["deliveries", "--json"], "id"),
        (&["queue", "--json"], "key"),
        (&["journal", "--format", "ndjson"], "seq"),
    ];
    let mut before = Vec::new();
    for (args, field) in lists {
        before.push(place.listed(&old, &world, args, field).await);
    }
    let key = format!("repository:acme:{}", world.repository("r1")["id"]);
    assert!(before[0].len() == 1 && before[1].contains("waits") && before[2].contains(&key), "{before:?}");
    let checked = Ran::of(place.command(NEW, &world.config()), &["self", "check"]).await;
    assert!([0, 2].contains(&checked.code), "{checked:?}");
    for ((args, field), before) in lists.into_iter().zip(&before) {
        let after = place.listed(NEW, &world, args, field).await;
        assert_eq!(after, *before, "{args:?}");
    }

    let process = Process::start(&place, NEW, &world, "new").await;
    process.deliver(&world, "r1", "waits").await;
    place.ask(NEW, &world, &["resume", "--org", "acme"]).await;
    world.until("r1", "repair", is_declared).await;
    process.drift(&world, "r2", "after").await;
    world.until("r2", "repair", is_declared).await;
    process.notify(&world).await;
    let digest = before[0].first().unwrap();
    place.ask(NEW, &world, &["approve", digest, "--reason", "as meant"]).await;
    let is_gone = |held: &serde_json::Value| held["teams"].get("contractors").is_none();
    world.until("held", "the approved removal", is_gone).await;
    process.stop().await;
    is_told_once(&receiver);
}
