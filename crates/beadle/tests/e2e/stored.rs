//! Tests the state that an older version of Beadle stored. The present version can open and use
//! every part of that state. Each part still has the same meaning.
//!
//! A program from November 2026 stored this state. The program was killed while it worked.
//! `stored/sqlite.sql` contains the program's SQLite file as text. `stored/dynamodb.jsonl` contains
//! the same state as items of a table. The same program made this copy. Do not update these files
//! when the form of stored data changes.

use std::process::Command;

use serde_json::Value;

use crate::world::{Ran, World, acme};

/// Creates the state as an SQLite file, and returns its path.
fn file(world: &World) -> String {
    let path = world.path().join("old.db");
    let database = rusqlite::Connection::open(&path).unwrap();
    database.execute_batch(include_str!("stored/sqlite.sql")).unwrap();
    path.to_str().unwrap().to_owned()
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Reads every part of the state with the commands of an operator.
async fn means_the_same(place: &str, command: impl Fn() -> Command) {
    let ask = async |args: &[&str]| {
        let mut command = command();
        command.args(["--store", place]);
        Ran::of(command, args).await.expect(0).out
    };
    let holds = lines(&ask(&["holds", "--json"]).await);
    let mut waits: Vec<_> = holds
        .iter()
        .map(|hold| {
            let is_approved = !hold["approved_by"].is_null();
            (hold["digest"].as_str().unwrap(), hold["subject"].as_str().unwrap(), is_approved)
        })
        .collect();
    waits.sort_unstable();
    let expected = [
        ("221d2e3a79a0", "acme/r3", false),
        ("357711b6f79d", "acme/r5", false),
        ("b986251975d2", "acme/r2", true),
    ];
    assert_eq!(waits, expected, "{place}: {holds:?}");
    let queue = ask(&["queue"]).await;
    for line in [
        ("repository:acme:1016", "500 injected fault"),
        ("repository:acme:1010", "acme/r2"),
        ("repository:acme:1025", "until 2126-12-"),
    ] {
        assert!(queue.lines().any(|seen| seen.contains(line.0) && seen.contains(line.1)), "{place}: {queue}");
    }
    let deliveries = lines(&ask(&["deliveries", "--json"]).await);
    let events: Vec<_> = deliveries.iter().map(|row| row["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["repository.edited", "repository.publicized"], "{place}");
    let journal = lines(&ask(&["journal", "--format", "ndjson"]).await);
    assert_eq!(journal.len(), 43, "{place}");
    let of_kind = |kind: &str| journal.iter().filter(|entry| entry["kind"] == kind).count();
    assert_eq!(["intent", "result", "run", "sweep", "operator"].map(of_kind), [14, 14, 11, 2, 2], "{place}");
    let shown = ask(&["journal"]).await;
    assert!(shown.contains("b986251975d2"), "{place}: {shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_an_older_beadle_opens_and_moves() {
    let world = World::new(acme(serde_json::json!({}))).await;
    world.policy("settings.yml", "repository: { has_wiki: false }\n");
    let old = file(&world);
    means_the_same(&old, || world.command()).await;
    // Beadle can read everything in the state, and write it again.
    let new = world.path().join("new.db");
    let new = new.to_str().unwrap();
    let copied = world.beadle(&["store", "copy", &old, new]).await.expect(0).out;
    assert!(copied.contains("2 deliveries, 43 journal entries, 3 held changes"), "{copied}");
    // An operator copies the file alone, without its write-ahead log. No other command has opened
    // the file before, because such a command would move the log into the file.
    let alone = world.path().join("alone.db");
    std::fs::copy(new, &alone).unwrap();
    means_the_same(alone.to_str().unwrap(), || world.command()).await;
    means_the_same(new, || world.command()).await;
    // A service works on the old state.
    let mut command = world.command();
    command.args(["--store", &old]);
    let serving = crate::world::Serving::start(command, world.path()).ready(world.operator()).await;
    assert_eq!(serving.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_check_of_a_version_leaves_an_older_file_as_it_is() {
    let world = World::new(acme(serde_json::json!({}))).await;
    world.policy("settings.yml", "repository: { has_wiki: false }\n");
    let old = file(&world);
    let check = ["--store", &old, "self", "check"];
    for _ in 0..2 {
        let said = world.beadle(&check).await.expect(2).out;
        assert!(said.contains("has format 2:") && said.contains("copy the file first"), "{said}");
    }
    world.beadle(&["--store", &old, "queue"]).await.expect(0);
    let said = world.beadle(&check).await.expect(0).out;
    assert!(said.contains("which this version uses"), "{said}");
    // A future version of Beadle has changed the file.
    let database = rusqlite::Connection::open(&old).unwrap();
    database.pragma_update(None, "user_version", 999).unwrap();
    drop(database);
    let said = world.beadle(&check).await.expect(1).err;
    assert!(said.contains("has format 999, and this version supports formats up to"), "{said}");
}

#[cfg(feature = "aws")]
#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_an_older_beadle_opens_and_moves() {
    use beadle_emulate::Moto;
    use beadle_store_dynamodb::DynamoSettings;
    use serde_json::json;

    let moto = Moto::start().await;
    moto.table("beadle", DynamoSettings::default()).await;
    for item in lines(include_str!("stored/dynamodb.jsonl")) {
        let body = json!({ "TableName": "beadle", "Item": item });
        moto.call("dynamodb", "DynamoDB_20120810.PutItem", &body).await;
    }
    let world = World::new(acme(json!({}))).await;
    world.policy("settings.yml", "repository: { has_wiki: false }\n");
    let operator = || {
        let mut command = world.command();
        command.env("AWS_ACCESS_KEY_ID", "any").env("AWS_SECRET_ACCESS_KEY", &moto.secret);
        command
    };
    let table = format!("dynamodb://beadle?region=eu-west-1&endpoint={}", moto.url);
    means_the_same(&table, operator).await;
    let back = world.path().join("back.db");
    let back = back.to_str().unwrap();
    let copied = Ran::of(operator(), &["store", "copy", &table, back]).await.expect(0).out;
    assert!(copied.contains("2 deliveries, 43 journal entries, 3 held changes"), "{copied}");
    means_the_same(back, operator).await;
}
