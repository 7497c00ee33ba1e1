//! Tests the functions on AWS. After webhooks from GitHub and Okta, the functions repair
//! repositories and update groups.

use std::time::Duration;

use beadle_emulate::{Moto, Odds, Proxy, Shape, Tables};
use serde_json::json;

use super::deployment::Deployment;
use super::permissions;
use crate::directory::world::{World as Directory, of, state};
use crate::repair::POLICY;
use crate::world::{Ran, World, acme};

async fn worlds() -> (World, Directory) {
    let mut github = World::new(acme(json!({}))).await;
    // The lease is short, so that other functions can soon claim the keys of a killed function.
    github.lines = "[worker]\nlease = \"3s\"\n".into();
    github.policy("settings.yml", POLICY);
    let groups = json!({ "00g1": { "profile": { "name": "AWS_Ops" }, "members": of(0..3) } });
    (github, Directory::new(state(5, &groups)).await)
}

async fn deployment(shape: Shape) -> Deployment {
    let (github, directory) = worlds().await;
    Deployment::new(github, directory, shape).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_repairs_its_repository_and_a_hook_updates_its_groups() {
    for shape in [Shape::Http, Shape::Rest] {
        let deployed = deployment(shape).await.start().await;
        deployed.connect();
        deployed.github.patch(json!({ "till": { "branches": { "main": {} } } }), true).await;
        deployed.until("till", "its wiki is off", |till| till["has_wiki"] == json!(false)).await;
        deployed.until_holds("Ops", 0..3).await;
        let patch = json!({ "groups": { "00g1": { "members": of(3..4) } } });
        deployed.directory.okta.patch(&patch);
        deployed.until_holds("Ops", 0..4).await;
        // The test sends the same delivery twice. An operator can also send a delivery again at
        // GitHub. The test also sends a delivery for an unknown organisation.
        let body = |org: &str| {
            let repository = json!({ "id": 1, "name": "x", "owner": { "login": org } });
            json!({ "action": "created", "repository": repository, "organization": { "login": org } })
                .to_string()
        };
        let send = |id: &'static str, org: &str| {
            let mut request =
                deployed.github.delivery(id, "repository", body(org).as_bytes()).build().unwrap();
            *request.url_mut() = format!("{}/hooks/github", deployed.gateway.url).parse().unwrap();
            deployed.github.http.execute(request)
        };
        assert_eq!(send("d-1", "acme").await.unwrap().status(), 202);
        assert_eq!(send("d-1", "acme").await.unwrap().status(), 200);
        assert_eq!(send("d-2", "elsewhere").await.unwrap().status(), 403);
        for queue in [&deployed.event[1], &deployed.sweep[1]] {
            assert_eq!(deployed.messages(queue).await, 0, "nothing is in a dead-letter queue");
        }
        // An operator on another machine sees the same state.
        let listed = Ran::of(deployed.beadle(), &["deliveries", "--json"]).await.expect(0).out;
        assert!(listed.contains("repository.created"), "{listed}");
        let args = [
            "aws",
            "doctor",
            "--url",
            &deployed.gateway.url,
            "--event-queue",
            &deployed.event[0],
            "--sweep-queue",
        ];
        let args: Vec<&str> = args.into_iter().chain([deployed.sweep[0].as_str()]).collect();
        let doctor = Ran::of(deployed.beadle(), &args).await.expect(0).out;
        for said in [
            "aws-secretsmanager:beadle/scim exists",
            "0 failed messages",
            "accepts writes",
            "acme: ",
            "ran its tasks",
        ] {
            assert!(doctor.contains(said), "{said}: {doctor}");
        }
        let nowhere = deployed.event[0].replace("/event", "/nowhere");
        let args: Vec<&str> =
            args.iter().map(|arg| if *arg == deployed.event[0] { &nowhere } else { *arg }).collect();
        let doctor = Ran::of(deployed.beadle(), &args).await.expect(1).out;
        assert!(doctor.contains("the queue nowhere"), "{doctor}");
        // The journal contains the operator's name, which comes from AWS.
        Ran::of(deployed.beadle(), &["pause", "--org", "acme", "--for", "1m"]).await.expect(0);
        let journal = Ran::of(deployed.beadle(), &["journal", "--format", "ndjson"]).await.expect(0).out;
        assert!(journal.contains("arn:aws:"), "{journal}");
        permissions::hold(&deployed.moto);
        permissions::hold_secrets(&deployed.moto);
        permissions::tell(&deployed.moto);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_message_and_a_killed_worker_lose_no_work() {
    let mut deployed = deployment(Shape::Http).await.losing_messages();
    deployed.run("intake", &[]);
    let killed =
        deployed.run("worker", &[("FAILPOINTS", "between-claim-and-write=return;first-generation=return")]);
    deployed.pump(1, Duration::from_secs(3)).await;
    deployed.connect();
    deployed.github.patch(json!({ "till": { "branches": { "main": {} } } }), true).await;
    // The function ends before its work is done.
    let log = deployed.ended(killed).await;
    let told = |what: &str| log.matches(&format!("\"message\":\"{what}\"")).count();
    assert!(told("run begins") > told("run ends"), "{log}");
    deployed.run("worker", &[]);
    deployed.until("till", "its wiki is off", |till| till["has_wiki"] == json!(false)).await;
    // The intake answered 202, but its message was lost. The worker still found the key, because
    // the worker looks for due keys once a minute.
    let logs = deployed.logs();
    assert!(
        logs.contains("SQS message for due keys not sent")
            && logs.contains("SQS messages for waiting keys sent again"),
        "{logs}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_dynamodb_lose_no_work() {
    // moto answers one call at a time. On a busy machine, a call might wait ten seconds until moto
    // has answered the earlier calls of the runs. So dynoxide emulates the tables.
    let (moto, tables) = (Moto::start().await, Tables::start().await);
    let proxy = Proxy::start(&tables.url, Odds { throttled: 3, conflict: 3, lost: 3, stale: 30 }, 5).await;
    let (github, directory) = worlds().await;
    let mut github = github;
    // If the intake could not store a webhook, the intake answered 503. GitHub sends the webhook
    // again when Beadle asks for it. The leases have their usual length, because a busy machine can
    // delay a renewal by many seconds.
    github.lines = "[recovery]\nevery = \"5s\"\n".into();
    let deployed = Deployment::on(moto.with_tables_at(&proxy.url), github, directory, Shape::Http).await;
    let deployed = deployed.start().await;
    deployed.connect();
    let names: Vec<String> = (0..12).map(|n| format!("r{n:02}")).collect();
    for name in &names {
        deployed.github.patch(json!({ name: { "branches": { "main": {} } } }), true).await;
    }
    let patch = json!({ "groups": { "00g1": { "members": of(3..4) } } });
    deployed.directory.okta.patch(&patch);
    for name in &names {
        deployed.until(name, "its wiki is off", |repository| repository["has_wiki"] == json!(false)).await;
    }
    deployed.until_holds("Ops", 0..4).await;
    for happened in ["throttled", "conflict", "lost", "stale"] {
        assert!(proxy.count(happened) > 0, "{happened}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_without_its_secret_delays_no_other_part_and_opens_later() {
    let (github, directory) = worlds().await;
    let deployed = Deployment::new(github, directory, Shape::Http).await;
    let token = deployed.directory.aws.token();
    deployed.moto.replace_secret("beadle/scim", "<MUST BE PROVIDED>").await;
    let deployed = deployed.start().await;
    deployed.connect();
    deployed.github.patch(json!({ "till": { "branches": { "main": {} } } }), true).await;
    deployed.until("till", "its wiki is off", |till| till["has_wiki"] == json!(false)).await;
    let logs = deployed.logs();
    assert!(logs.contains("still has a placeholder") && !logs.contains(&token), "{logs}");
    deployed.moto.replace_secret("beadle/scim", &token).await;
    deployed.until_holds("Ops", 0..3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_gets_the_changes_that_it_missed_while_it_was_unavailable() {
    let mut deployed = deployment(Shape::Http).await.start().await;
    deployed.until_holds("Ops", 0..3).await;
    // At first, everything is open, the sweep has ended, and no work is left. Then a new instance
    // begins. This instance cannot read the token of the target.
    deployed.until_idle().await;
    let token = deployed.directory.aws.token();
    deployed.moto.replace_secret("beadle/scim", "<MUST BE PROVIDED>").await;
    deployed.end();
    deployed.run("worker", &[]);
    deployed.connect();
    deployed.directory.okta.patch(&json!({ "groups": { "00g1": { "members": of(3..4) } } }));
    // The run of the group ends although the target is not open.
    let is_done = |logs: &str| logs.contains(r#""run ends","key":"group:corp:00g1""#);
    for _ in 0..1500 {
        if is_done(&deployed.logs()) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(is_done(&deployed.logs()), "{}", deployed.logs());
    deployed.until_idle().await;
    deployed.moto.replace_secret("beadle/scim", &token).await;
    deployed.until_holds("Ops", 0..4).await;
}
