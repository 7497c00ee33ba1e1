//! The state in a table of DynamoDB, as moto has it.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use beadle_store_dynamodb::{DynamoStore, Settings};
use serde_json::{Value, json};

use crate::repair::POLICY;
use crate::world::{Ran, Serving, World, acme};

struct Moto {
    child: Child,
    url: String,
    secret: String,
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended by itself
        let _ = self.child.wait();
    }
}

impl Moto {
    /// Served one request after the other, with an empty table.
    async fn start() -> Self {
        let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(here.join("../../target/tools/python/bin/python"));
        command.arg(here.join("../store-dynamodb/tests/store/single_threaded_moto.py")).arg(port.to_string());
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let secret = format!("{:032x}", rand::random::<u128>());
        let moto = Self { child, url: format!("http://127.0.0.1:{port}"), secret };
        for _ in 0..600 {
            if reqwest::get(&moto.url).await.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let loader = aws_config::defaults(aws_config::BehaviorVersion::latest())
            .region(aws_config::Region::new("eu-west-1"))
            .credentials_provider(aws_sdk_dynamodb::config::Credentials::new(
                "any",
                &moto.secret,
                None,
                None,
                "test",
            ))
            .endpoint_url(&moto.url);
        let client = aws_sdk_dynamodb::Client::new(&loader.load().await);
        DynamoStore::new(client, "beadle", Settings::default()).create_table().await.unwrap();
        moto
    }

    fn place(&self) -> String {
        format!("dynamodb://beadle?region=eu-west-1&endpoint={}", self.url)
    }

    fn command(&self, world: &World) -> Command {
        let mut command = world.command();
        command.env("AWS_ACCESS_KEY_ID", "any").env("AWS_SECRET_ACCESS_KEY", &self.secret);
        command.args(["--store", &self.place()]);
        command
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_on_a_table_repairs_what_is_new_and_commands_see_it() {
    let moto = Moto::start().await;
    let world = World::new(acme(json!({}))).await;
    world.policy("settings.yml", POLICY);
    let serving = Serving::start(moto.command(&world), world.path()).ready(world.operator()).await;
    world.connect();
    world.patch(json!({ "till": { "branches": { "main": {} } } }), true).await;
    world.until("till", "its wiki is off", |till| till["has_wiki"] == json!(false)).await;
    // What our own writes made due is looked at once more.
    let mut queue = String::new();
    for _ in 0..200 {
        queue = Ran::of(moto.command(&world), &["queue"]).await.expect(0).out;
        if queue.contains("0 event, 0 manual, 0 sweep due, 0 being worked on") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(queue.contains("0 event, 0 manual, 0 sweep due, 0 being worked on"), "{queue}");
    assert_eq!(serving.stop().await, Some(0));
    assert!(!world.path().join("beadle.db").exists(), "the state is in the table alone");
    let listed = Ran::of(moto.command(&world), &["deliveries", "--json"]).await.expect(0).out;
    assert!(listed.contains("repository.created"), "{listed}");
    let journal = Ran::of(moto.command(&world), &["journal", "--format", "ndjson"]).await.expect(0).out;
    let kinds: Vec<String> = journal
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["kind"].as_str().unwrap().to_owned())
        .collect();
    for kind in ["intent", "result", "run"] {
        assert!(kinds.iter().any(|known| known == kind), "{kind}: {journal}");
    }
    // A place that is none is said before anything is done.
    let mut wrong = world.command();
    wrong.args(["--store", "dynamodb://a b"]);
    let wrong = Ran::of(wrong, &["queue"]).await.expect(1);
    assert!(wrong.err.contains("no name of a table"), "{}", wrong.err);
}
