//! Tests the service with a DynamoDB table as its store. The table is in moto.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use beadle_emulate::Moto;
use beadle_engine::store::prelude::*;
use beadle_store_dynamodb::DynamoSettings;
use serde_json::{Value, json};

use crate::repair::POLICY;
use crate::world::{Ran, Serving, World, acme};

fn command(moto: &Moto, world: &World) -> Command {
    let mut command = world.command();
    command.env("AWS_ACCESS_KEY_ID", "any").env("AWS_SECRET_ACCESS_KEY", &moto.secret);
    let place = format!("dynamodb://beadle?region=eu-west-1&endpoint={}", moto.url);
    command.args(["--store", &place]);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_on_a_table_repairs_drift_and_commands_show_it() {
    let moto = Moto::start().await;
    moto.table("beadle", DynamoSettings::default()).await;
    let world = World::new(acme(json!({}))).await;
    world.policy("settings.yml", POLICY);
    let serving = Serving::start(command(&moto, &world), world.path()).ready(world.operator()).await;
    world.connect();
    world.patch(json!({ "till": { "branches": { "main": {} } } }), true).await;
    world.until("till", "its wiki is off", |till| till["has_wiki"] == json!(false)).await;
    // Beadle's own writes make keys due again.
    let mut queue = String::new();
    for _ in 0..800 {
        queue = Ran::of(command(&moto, &world), &["queue"]).await.expect(0).out;
        if queue.contains("0 event, 0 manual, 0 sweep due, 0 running") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(queue.contains("0 event, 0 manual, 0 sweep due, 0 running"), "{queue}");
    assert_eq!(serving.stop().await, Some(0));
    assert!(!world.path().join("beadle.db").exists(), "the state is in the table alone");
    let listed = Ran::of(command(&moto, &world), &["deliveries", "--json"]).await.expect(0).out;
    assert!(listed.contains("repository.created"), "{listed}");
    let journal = Ran::of(command(&moto, &world), &["journal", "--format", "ndjson"]).await.expect(0).out;
    let kinds: Vec<String> = journal
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["kind"].as_str().unwrap().to_owned())
        .collect();
    for kind in ["intent", "result", "run"] {
        assert!(kinds.iter().any(|known| known == kind), "{kind}: {journal}");
    }
    // The command reports an invalid place before the copy begins.
    let mut wrong = world.command();
    wrong.args(["--store", "dynamodb://a b"]);
    let wrong = Ran::of(wrong, &["queue"]).await.expect(1);
    assert!(wrong.err.contains("invalid name of a table"), "{}", wrong.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_moves_from_a_file_to_a_table_and_back() {
    let moto = Moto::start().await;
    let world = World::new(acme(json!({ "till": { "branches": { "main": {} } } }))).await;
    world.policy("settings.yml", POLICY);
    let serving = Serving::start(world.command(), world.path()).ready(world.operator()).await;
    world.connect();
    world.patch(json!({ "desk": { "branches": { "main": {} } } }), true).await;
    world.until("desk", "its wiki is off", |desk| desk["has_wiki"] == json!(false)).await;
    assert_eq!(serving.stop().await, Some(0));
    let health = Ran::of(world.command(), &["healthcheck"]).await.expect(1);
    assert!(health.err.contains("no answer from"), "{}", health.err);
    Ran::of(world.command(), &["pause", "--org", "acme", "--for", "1h"]).await.expect(0);
    let asked = ["journal", "deliveries", "queue", "holds"];
    let asked = asked
        .map(|what| if what == "journal" { vec![what, "--format", "ndjson"] } else { vec![what, "--json"] });
    let mut before = Vec::new();
    for args in &asked {
        before.push(Ran::of(world.command(), args).await.expect(0).out);
    }
    assert!(before[0].contains("intent") && before[1].contains("repository.created"), "{before:?}");
    let (file, back) = (world.path().join("beadle.db"), world.path().join("back.db"));
    let (file, back) = (file.to_str().unwrap(), back.to_str().unwrap());
    let table = format!("dynamodb://beadle?region=eu-west-1&endpoint={}", moto.url);
    let copied = Ran::of(command(&moto, &world), &["store", "copy", file, &table]).await.expect(0).out;
    assert!(copied.contains(", 1 pause, "), "{copied}");
    Ran::of(command(&moto, &world), &["store", "copy", &table, back]).await.expect(0);
    for place in [&table, back] {
        for (args, before) in asked.iter().zip(&before) {
            let args: Vec<&str> = args.iter().copied().chain(["--store", place]).collect();
            let mut operator = world.command();
            operator.env("AWS_ACCESS_KEY_ID", "any").env("AWS_SECRET_ACCESS_KEY", &moto.secret);
            // Entries from the same millisecond can come in any order.
            let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
            let after = Ran::of(operator, &args).await.expect(0).out;
            assert_eq!(lines(&after), lines(before), "{place}: {args:?}");
        }
    }
    // Beadle refuses to copy into a store that already contains a state, and into a table of
    // another program.
    let again = Ran::of(command(&moto, &world), &["store", "copy", file, &table]).await.expect(1);
    assert!(again.err.contains("copy into an empty store"), "{}", again.err);
    let body = json!({
        "TableName": "theirs", "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{ "AttributeName": "id", "AttributeType": "S" }],
        "KeySchema": [{ "AttributeName": "id", "KeyType": "HASH" }],
    });
    moto.call("dynamodb", "DynamoDB_20120810.CreateTable", &body).await;
    let theirs = table.replace("//beadle", "//theirs");
    let refused = Ran::of(command(&moto, &world), &["store", "copy", file, &theirs]).await.expect(1);
    assert!(refused.err.contains("not a table of Beadle"), "{}", refused.err);
    // No command works with an unfinished copy.
    let half = moto.table("half", DynamoSettings::default()).await;
    half.put("copy:unfinished", "").await.unwrap();
    let half = table.replace("//beadle", "//half");
    for args in
        [&["queue", "--store", &half][..], &["store", "copy", file, &half], &["store", "copy", &half, back]]
    {
        let mut operator = world.command();
        operator.env("AWS_ACCESS_KEY_ID", "any").env("AWS_SECRET_ACCESS_KEY", &moto.secret);
        let refused = Ran::of(operator, args).await.expect(1);
        assert!(refused.err.contains("did not finish"), "{args:?}: {}", refused.err);
    }
    let nothing = world.path().join("none.db");
    let none = Ran::of(world.command(), &["store", "copy", nothing.to_str().unwrap(), back]).await.expect(1);
    assert!(none.err.contains("does not exist") && !nothing.exists(), "{}", none.err);
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread")]
async fn a_state_moves_from_a_table_to_postgres_and_back() {
    let (moto, cluster) = (Moto::start().await, beadle_emulate::Cluster::start().await);
    let table = moto.table("beadle", DynamoSettings::default()).await;
    table.put("a note", "kept").await.unwrap();
    let world = World::new(acme(json!({}))).await;
    let operator = || {
        let mut operator = world.command();
        operator.env("AWS_ACCESS_KEY_ID", "any").env("AWS_SECRET_ACCESS_KEY", &moto.secret);
        operator
    };
    let place = |name: &str| format!("dynamodb://{name}?region=eu-west-1&endpoint={}", moto.url);
    let database = cluster.url();
    let copy = async |from: &str, to: &str| Ran::of(operator(), &["store", "copy", from, to]).await;
    let there = copy(&place("beadle"), &database).await.expect(0).out;
    assert!(there.contains("1 note"), "{there}");
    let back = copy(&database, &place("back")).await.expect(0).out;
    assert!(back.contains("1 note"), "{back}");
}
