//! Tests that Beadle dispatches a workflow exactly once for each webhook, even if answers are lost.

use std::time::Duration;

use serde_json::{Value, json};

use crate::world::{Serving, World, acme};

fn state(workflow: &Value) -> Value {
    acme(json!({ "cop": { "branches": { "master": {} }, "workflows": { "police.yml": workflow } } }))
}

fn rule(more: &str) -> String {
    format!(
        "[[org.dispatch]]\nname = \"police\"\non = \"repository.created\"\nrepository = \"cop\"\nworkflow = \"police.yml\"\n\
         ref = \"master\"\nmode = \"enforce\"\n{more}\n[org.dispatch.inputs]\nrepo-to-police = \"{{{{ repository.name }}}}\"\n"
    )
}

async fn world(workflow: Value, more: &str) -> World {
    let mut world = World::new(state(&workflow)).await;
    world.org_lines = rule(more);
    world.policy("settings.yml", "repository: { has_wiki: false }\n");
    world
}

async fn create(world: &World, name: &str) {
    let created = world
        .http
        .post(format!("{}/orgs/acme/repos", world.sim.url()))
        .header("authorization", format!("Bearer {}", world.sim.token()))
        .body(json!({ "name": name }).to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(created.status(), 201);
}

fn runs(world: &World) -> Vec<Value> {
    world.repository("cop")["runs"].as_array().unwrap().clone()
}

async fn until_run(world: &World, serving: &Serving, count: usize) {
    for _ in 0..2000 {
        if runs(world).len() >= count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no run: {}\n{}", json!(runs(world)), serving.log());
}

async fn says_what_would_be_dispatched(world: &World) -> bool {
    let said = |entry: &Value| entry["detail"]["would_dispatch"]["workflow"] == "police.yml";
    journal(world).await.iter().any(said)
}

async fn journal(world: &World) -> Vec<Value> {
    let printed = world.beadle(&["journal", "--format", "ndjson"]).await.expect(0);
    printed.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_repository_dispatches_the_workflow_once() {
    let world = world(json!({}), "when = \"repository.name != 'sandbox'\"").await;
    let serving = world.serve().await;
    world.connect();
    create(&world, "sandbox").await;
    create(&world, "widgets").await;
    create(&world, "gadgets").await;
    until_run(&world, &serving, 2).await;
    world.until_idle().await;
    let inputs: Vec<Value> = runs(&world).iter().map(|run| run["inputs"]["repo-to-police"].clone()).collect();
    assert!(inputs.len() == 2 && inputs.contains(&json!("widgets")) && inputs.contains(&json!("gadgets")));
    let journal = journal(&world).await;
    let done = journal
        .iter()
        .filter(|entry| entry["detail"]["dispatched"] == json!(true) && entry["detail"]["run"].is_u64());
    assert_eq!(done.count(), 2, "{journal:#?}");
    assert_eq!(serving.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_server_returns_no_run_and_observe_only_reports() {
    let mut world = world(json!({ "returns_details": false }), "").await;
    let serving = world.serve().await;
    world.connect();
    create(&world, "widgets").await;
    until_run(&world, &serving, 1).await;
    world.until_idle().await;
    assert_eq!(serving.stop().await, Some(0));
    world.org_lines = world.org_lines.replace("\"enforce\"", "\"observe\"");
    let _serving = world.serve().await;
    create(&world, "gadgets").await;
    world.until_idle().await;
    assert!(says_what_would_be_dispatched(&world).await, "it is not said what would have been dispatched");
    assert_eq!(runs(&world).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organisation_in_observe_dispatches_nothing() {
    let mut world = world(json!({}), "").await;
    world.mode = "observe";
    let _serving = world.serve().await;
    world.connect();
    create(&world, "widgets").await;
    world.until_idle().await;
    assert!(says_what_would_be_dispatched(&world).await, "the journal does not say it");
    assert!(runs(&world).is_empty());
}

const TOKEN: &str = "token_input = \"beadle-token\"";

fn named() -> Value {
    json!({ "run_name": "police ${{ inputs.repo-to-police }} ${{ inputs.beadle-token }}" })
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_lost_answer_the_run_is_found_by_its_token() {
    let world = world(named(), TOKEN).await;
    let serving = world.serve().await;
    world.connect();
    world.fault(json!({ "method": "POST", "path": "/dispatches", "reset": true, "count": 1 })).await;
    create(&world, "widgets").await;
    until_run(&world, &serving, 1).await;
    world.until_idle().await;
    assert_eq!(runs(&world).len(), 1, "it was sent twice: {}", serving.log());
    let journal = journal(&world).await;
    let found = journal.iter().any(|entry| entry["detail"]["why"] == "found by its run name");
    assert!(found, "{journal:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_the_dispatch_is_repeated_and_the_journal_has_it() {
    let world = world(json!({}), "").await;
    let serving = world.serve().await;
    world.connect();
    world.fault(json!({ "method": "POST", "path": "/dispatches", "status": 502, "count": 1 })).await;
    create(&world, "widgets").await;
    until_run(&world, &serving, 1).await;
    world.until_idle().await;
    let journal = journal(&world).await;
    let again = journal.iter().find_map(|entry| entry["detail"]["again"].as_str());
    assert!(again.is_some_and(|why| why.contains("run-name has no token")), "{journal:#?}");
}

#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_between_the_dispatch_and_its_record_causes_no_second_dispatch() {
    let mut world = world(named(), TOKEN).await;
    // If the lease ended before the fail point, the service would stop the run, and would not reach
    // the fail point again.
    world.lines = "[worker]\nlease = \"5s\"\n".into();
    let mut serving =
        world.spawn(&[("FAILPOINTS", "between-dispatch-and-result=return;first-generation=return")]);
    for _ in 0..1600 {
        let url = format!("http://127.0.0.1:{}/readyz", world.ports[1]);
        if world.http.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    world.connect();
    create(&world, "widgets").await;
    until_run(&world, &serving, 1).await;
    serving.until_ended().await;
    let serving = world.serve().await;
    world.until_idle().await;
    assert_eq!(runs(&world).len(), 1, "{}", serving.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_rule_is_reported_before_the_first_run() {
    let mut world = world(json!({}), "").await;
    let good = world.org_lines.clone();
    for (right, wrong, said) in [
        ("{{ repository.name }}", "{{ repository.name", "dispatch `police`: inputs.repo-to-police"),
        ("repository.created", "repositry.created", "`org.dispatch.on`: unknown event or action `repositry`"),
        ("repository.created", "repository.creatd", "`org.dispatch.on`: unknown event or action `creatd`"),
        (
            "\"cop\"",
            "\"acme/cop\"",
            "`org.dispatch.repository` must be the name of a repository without `/`, found `acme/cop`",
        ),
    ] {
        world.org_lines = good.replace(right, wrong);
        let refused = world.beadle(&["check"]).await.expect(1);
        assert!(refused.err.contains(said), "{}", refused.err);
    }
    world.org_lines = good.replace("repository.created", "some_newer_kind_of_event");
    world.beadle(&["check"]).await.expect(0);
    world.org_lines = format!("sweep_every = \"1h\"\nschedule = \"0 3 * * *\"\n{good}");
    let refused = world.beadle(&["check"]).await.expect(1);
    assert!(
        refused.err.contains("`org.schedule` and `org.sweep_every` exclude each other"),
        "{}",
        refused.err
    );
}
