//! Tests the intake's program behind simulated gateways, with a simulation of Lambda's Runtime API.
//! The secrets, the table and the queues are in moto, a simulation of AWS.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use beadle_emulate::{Function, Gateway, Lambdas, Moto, Shape};
use beadle_engine::Listing;
use beadle_engine::store::prelude::*;
use beadle_store_dynamodb::{DynamoSettings, DynamoStore};
use reqwest::StatusCode;
use serde_json::{Value, json};

struct World {
    moto: Moto,
    lambdas: Arc<Lambdas>,
    store: DynamoStore,
    event: String,
    sweep: String,
    folder: tempfile::TempDir,
    http: reqwest::Client,
}

fn secret() -> String {
    format!("{:032x}", rand::random::<u128>())
}

impl World {
    async fn new() -> Self {
        let moto = Moto::start().await;
        let folder = tempfile::tempdir().unwrap();
        let file = "[[org]]\nname = \"acme\"\napp = { id = 1, key = \"aws-kms:any\" }\npolicy = \"policy\"\n\
                    webhook_secrets = [\"aws-secretsmanager:github\"]\n\
                    [[okta]]\nname = \"corp\"\nurl = \"https://x\"\ntoken = \"env:NONE\"\nhook_secrets = [\"aws-secretsmanager:okta#hook\"]\n";
        std::fs::write(folder.path().join("beadle.toml"), file).unwrap();
        let store = moto.table("beadle", DynamoSettings::default()).await;
        let [event, _] = moto.queue("event", Duration::from_secs(5)).await;
        let [sweep, _] = moto.queue("sweep", Duration::from_secs(5)).await;
        let lambdas = Arc::new(Lambdas::start(Duration::from_secs(60)).await);
        Self { moto, lambdas, store, event, sweep, folder, http: reqwest::Client::new() }
    }

    fn run(&self) -> Function {
        let mut command = Command::new(env!("CARGO_BIN_EXE_intake"));
        command
            .envs(self.moto.environment("intake"))
            .env("BEADLE_STORE", "dynamodb://beadle")
            .env("BEADLE_CONFIG", self.folder.path().join("beadle.toml"))
            .env("BEADLE_EVENT_QUEUE", &self.event)
            .env("BEADLE_SWEEP_QUEUE", &self.sweep);
        self.lambdas.run("intake", command, &self.folder.path().join("log"))
    }

    async fn messages(&self) -> u64 {
        let body = json!({ "QueueUrl": self.event, "AttributeNames": ["All"] });
        let answer = self.moto.call("sqs", "AmazonSQS.GetQueueAttributes", &body).await;
        answer["Attributes"]["ApproximateNumberOfMessages"].as_str().unwrap().parse().unwrap()
    }

    /// Sends a signed delivery. Returns the status and the text of the answer.
    async fn send(&self, gateway: &Gateway, secret: &str, id: &str, form: bool) -> (StatusCode, String) {
        let event = json!({
            "action": "created", "repository": { "id": 7, "node_id": "R_7", "name": "a b%20c", "owner": { "login": "acme" } },
            "organization": { "login": "acme" },
        });
        let (kind, body) = if form {
            let mut url = reqwest::Url::parse("http://x").unwrap();
            url.query_pairs_mut().append_pair("payload", &event.to_string());
            ("application/x-www-form-urlencoded", url.query().unwrap().to_owned())
        } else {
            ("application/json", event.to_string())
        };
        let signature = beadle_hooks::github::sign(secret, body.as_bytes());
        let request = self
            .http
            .post(format!("{}/hooks/github", gateway.url))
            .header("Content-Type", kind)
            .header("X-GitHub-Event", "repository")
            .header("X-GitHub-Delivery", id)
            .header("X-Hub-Signature-256", signature);
        let answer = request.body(body).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    async fn gateway(&self, shape: Shape) -> Gateway {
        Gateway::start(self.lambdas.clone(), "intake", shape).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_through_every_kind_of_gateway_is_verified_and_stored_and_sends_one_message() {
    let world = World::new().await;
    let (github, okta) = (secret(), secret());
    world.moto.keep_secret("github", &github).await;
    world.moto.keep_secret("okta", &json!({ "hook": okta }).to_string()).await;
    let _intake = world.run();
    let mut stored = 0;
    for (shape, name) in [(Shape::Http, "http"), (Shape::Rest, "rest")] {
        let gateway = world.gateway(shape).await;
        for form in [false, true] {
            // The gateway encodes a form in base64 before it calls the function. The sender signs
            // the bytes of the form before this encoding.
            let id = format!("{name}-{form}");
            let (status, text) = world.send(&gateway, &github, &id, form).await;
            assert_eq!(status, StatusCode::ACCEPTED, "{id}: {text}");
            assert_eq!(world.send(&gateway, &github, &id, form).await.0, StatusCode::OK, "{id}, repeated");
            let (status, text) = world.send(&gateway, &secret(), "forged", form).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{text}");
            stored += 1;
        }
        let hook = format!("{}/hooks/okta", gateway.url);
        let asked =
            world.http.get(&hook).header("X-Okta-Verification-Challenge", "abc").send().await.unwrap();
        let answer: Value = serde_json::from_str(&asked.text().await.unwrap()).unwrap();
        assert_eq!(answer, json!({ "verification": "abc" }));
        let event = json!({ "uuid": format!("e-{name}"), "eventType": "group.user_membership.add", "target": [
            { "type": "User", "id": "00u1" }, { "type": "UserGroup", "id": "00g1" },
        ] });
        let body =
            json!({ "eventId": name, "eventType": "com.okta.event_hook", "data": { "events": [event] } });
        let sent =
            world.http.post(&hook).header("AUTHORIZATION", &okta).header("content-type", "application/json");
        let sent = sent.body(body.to_string()).send().await.unwrap();
        assert_eq!(sent.status(), StatusCode::ACCEPTED, "{}", sent.text().await.unwrap());
        let other = world.http.get(format!("{}/metrics", gateway.url)).send().await.unwrap();
        assert_eq!(other.status(), StatusCode::NOT_FOUND, "the metrics are not public");
    }
    let listing = Listing { limit: 100, ..Listing::default() };
    let kept = world.store.deliveries(listing).await.unwrap();
    assert_eq!(kept.iter().filter(|delivery| delivery.source == "github").count(), stored);
    // Several marks of one key cause only one message. So there is one message for the repository,
    // and one for the group.
    assert_eq!(world.messages().await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_replaced_without_a_pause_and_a_placeholder_is_logged() {
    let world = World::new().await;
    world.moto.keep_secret("github", "<MUST BE PROVIDED>").await;
    world.moto.keep_secret("okta", "{}").await;
    let intake = world.run();
    let gateway = world.gateway(Shape::Http).await;
    let first = secret();
    assert_eq!(world.send(&gateway, &first, "a", false).await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert!(intake.log().contains("placeholder"), "{}", intake.log());
    assert!(intake.log().contains("has no `hook`"), "{}", intake.log());
    world.moto.replace_secret("github", &first).await;
    assert_eq!(world.send(&gateway, &first, "a", false).await.0, StatusCode::ACCEPTED);
    // The intake has read the secrets a moment ago, so the intake does not read them again after an
    // invalid signature.
    let second = secret();
    world.moto.replace_secret("github", &second).await;
    assert_eq!(world.send(&gateway, &second, "b", false).await.0, StatusCode::UNAUTHORIZED);
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(world.send(&gateway, &second, "b", false).await.0, StatusCode::ACCEPTED, "the new secret");
    assert_eq!(world.send(&gateway, &first, "c", false).await.0, StatusCode::ACCEPTED, "the previous secret");
    assert_eq!(world.send(&gateway, &secret(), "d", false).await.0, StatusCode::UNAUTHORIZED);
    assert!(!intake.log().contains(&first) && !intake.log().contains(&second), "no secret is logged");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_intake_stores_nothing_in_a_table_with_an_unfinished_copy() {
    let world = World::new().await;
    let github = secret();
    world.moto.keep_secret("github", &github).await;
    world.store.put("copy:unfinished", "").await.unwrap();
    let intake = world.run();
    let gateway = world.gateway(Shape::Http).await;
    assert_eq!(world.send(&gateway, &github, "a", false).await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert!(intake.log().contains("into the table did not finish"), "{}", intake.log());
    world.store.forget("copy:unfinished").await.unwrap();
    assert_eq!(world.send(&gateway, &github, "a", false).await.0, StatusCode::ACCEPTED);
}
