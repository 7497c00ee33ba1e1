//! Tests faults of GitHub. Beadle removes nothing because of an unknown part. A failure stops only
//! the changes that depend on it. Beadle respects the limits.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::repair::{POLICY, declared, is_declared};
use crate::world::{World, acme};

async fn drifted() -> World {
    let mut repository = declared();
    repository["teams"]["contractors"] = json!("admin");
    repository["has_wiki"] = json!(true);
    let world = World::new(acme(json!({ "widgets": repository }))).await;
    world.policy("settings.yml", POLICY);
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incomplete_list_is_unknown_and_removes_nothing() {
    let mut people = declared();
    people["collaborators"] = json!({ "ann": "admin", "bob": "push" });
    people["topics"] = json!(["managed", "other"]);
    let world = World::new(acme(json!({ "widgets": people }))).await;
    let policy = format!("{POLICY}collaborators:\n  - {{ username: ann, permission: admin }}\n");
    world.policy("settings.yml", &policy);
    for (field, aspect) in [
        ("collaborators", "collaborators"),
        ("repositoryTopics", "topics"),
        ("branchProtectionRules", "protection"),
    ] {
        world.fault(json!({ "path": "/graphql", "shorten": field })).await;
        let plan = world.beadle(&["plan"]).await.expect(2);
        assert!(plan.out.contains(&format!("? unknown {aspect}")), "{field}: {}", plan.out);
        assert!(plan.out.contains("has only some entries"), "{field}: {}", plan.out);
        let aspects: Vec<&str> = plan.out.lines().filter(|line| line.contains(" removes ")).collect();
        assert!(!aspects.iter().any(|line| line.contains(aspect)), "{field}: {aspects:?}");
        world.no_faults().await;
    }
    // The fault affects the list of repositories itself.
    world
        .fault(json!({ "path": "/graphql", "contains": "repositories(first", "shorten": "repositories" }))
        .await;
    let applied = world.beadle(&["apply", "--yes"]).await.expect(1);
    assert!(applied.out.contains("the list of repositories is incomplete"), "{}", applied.out);
    assert_eq!(world.writes(), Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_that_fail_are_said() {
    let world = drifted().await;
    for fault in [
        json!({ "path": "/graphql", "status": 200, "body": { "data": { "organization": null },
            "errors": [{ "type": "FORBIDDEN", "message": "Resource not accessible by integration", "path": ["organization"] }] } }),
        json!({ "path": "/access_tokens", "status": 401 }),
    ] {
        world.fault(fault.clone()).await;
        let plan = world.beadle(&["plan"]).await;
        assert_eq!(plan.code, 1, "{fault}: {plan:?}");
        assert!(plan.err.starts_with("error: "), "{fault}: {}", plan.err);
        world.no_faults().await;
    }
    assert_eq!(world.writes(), Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_aspect_that_cannot_be_read_or_written_does_not_stop_the_others() {
    let world = drifted().await;
    let forbidden = json!({ "message": "Resource not accessible by integration" });
    world.fault(json!({ "method": "DELETE", "path": "/teams/", "status": 403, "body": forbidden })).await;
    let applied = world.beadle(&["apply", "--yes"]).await.expect(1);
    assert!(
        applied.out.contains("403") && applied.out.contains("1 change written, 1 failed"),
        "{}",
        applied.out
    );
    assert_eq!(world.repository("widgets")["has_wiki"], json!(false));
    world.no_faults().await;
    world.patch(json!({ "widgets": { "has_wiki": true } }), false).await;
    world.fault(json!({ "path": "/repos/acme/widgets/teams", "status": 500 })).await;
    let applied = world.beadle(&["apply", "--yes"]).await.expect(1);
    assert!(applied.out.contains("? unknown teams"), "{}", applied.out);
    assert_eq!(world.repository("widgets")["has_wiki"], json!(false));
    assert!(world.repository("widgets")["teams"].get("contractors").is_some(), "nothing of it is removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_with_a_permanent_refusal_is_parked() {
    let world = drifted().await;
    let forbidden = json!({ "message": "Resource not accessible by integration" });
    world.fault(json!({ "method": "DELETE", "path": "/teams/", "status": 403, "body": forbidden })).await;
    let _serving = world.serve().await;
    let started = Instant::now();
    let key = loop {
        let queue = world.beadle(&["queue", "--json"]).await.expect(0);
        let rows: Vec<Value> = queue.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        if let Some(row) = rows.iter().find(|row| row["parked"].is_object()) {
            let why = row["parked"]["why"].as_str().unwrap();
            assert!(why.contains("not accessible"), "{row}");
            assert!(why.starts_with("teams team ") && why.contains(" (settings.yml:"), "{row}");
            break row["key"].as_str().unwrap().to_owned();
        }
        assert!(started.elapsed() < Duration::from_secs(40), "{}", queue.out);
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    world.no_faults().await;
    world.beadle(&["queue", "--retry", &key]).await.expect(0);
    world.until("widgets", "repair", is_declared).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beadle_waits_for_a_secondary_limit_as_long_as_github_requires() {
    let world = drifted().await;
    let message = json!({ "message": "You have exceeded a secondary rate limit." });
    world
        .fault(json!({ "method": "DELETE", "path": "/teams/", "status": 403, "retry_after": 3, "body": message, "count": 1 }))
        .await;
    let started = Instant::now();
    let _serving = world.serve().await;
    world.until("widgets", "repair", is_declared).await;
    let calls = world.sim.calls();
    let refused = calls.iter().position(|call| call["status"] == 403).unwrap();
    let next = calls.get(refused + 1).map(|call| call["path"].clone());
    assert!(started.elapsed() >= Duration::from_secs(3), "it did not wait; next was {next:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_stops_at_the_reserve_and_an_event_uses_it() {
    // Each run makes one REST read and one REST write. The number of GraphQL calls depends on the
    // size of the batches, so the GraphQL budget is large.
    let limits = beadle_sim::Limits { core: 60, graphql: 600, ..beadle_sim::Limits::default() };
    let settings = beadle_sim::Settings { record: true, limits, ..beadle_sim::Settings::default() };
    let mut repositories = json!({});
    for n in 0..40 {
        let mut repository = declared();
        repository["teams"]["contractors"] = json!("admin");
        repositories[format!("r{n:02}")] = repository;
    }
    let mut world = World::with(acme(repositories), settings).await;
    world.org_lines = "[org.guard]\npercent = 100\n".into();
    world.policy("settings.yml", POLICY);
    let serving = world.serve().await;
    world.connect();
    let started = Instant::now();
    // This loop ends when the service stops making calls. The sweep then waits an hour for the
    // reset before it continues.
    let (state, mended) = loop {
        let before = world.sim.calls().len();
        tokio::time::sleep(Duration::from_secs(3)).await;
        let queue = world.beadle(&["queue"]).await.expect(0);
        let state = world.sim.state();
        let all = state["orgs"]["acme"]["repos"].as_object().unwrap();
        let mended = all.iter().find(|(_, repository)| is_declared(repository)).map(|(name, _)| name.clone());
        let rests = queue.out.contains("not before") && before == world.sim.calls().len();
        if let Some(mended) = mended.filter(|_| rests) {
            break (state, mended);
        }
        assert!(started.elapsed() < Duration::from_secs(120), "it does not come to rest: {}", queue.out);
    };
    let all = state["orgs"]["acme"]["repos"].as_object().unwrap();
    assert!(!all.values().all(is_declared), "the budget was enough for everything");
    world.patch(json!({ mended.as_str(): { "teams": { "contractors": "admin" } } }), true).await;
    world.until(&mended, "repair on the reserve", is_declared).await;
    let refused =
        world.sim.calls().iter().filter(|call| call["status"] == 403 || call["status"] == 429).count();
    assert_eq!(refused, 0, "GitHub had to refuse calls");
    assert_eq!(serving.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_are_followed_only_within_the_origin() {
    let world = drifted().await;
    world.policy("settings.yml", "repository:\n  has_pull_requests: true\n");
    let other = World::new(acme(json!({}))).await;
    let foreign = format!("{}/repos/acme/widgets", other.sim.url());
    world.fault(json!({ "path": "/repos/acme/widgets", "status": 301, "location": foreign })).await;
    let plan = world.beadle(&["plan"]).await.expect(2);
    assert!(plan.out.contains("which is not the configured origin"), "{}", plan.out);
    assert_eq!(other.sim.calls(), Vec::<Value>::new(), "our token went elsewhere");
    world.no_faults().await;
    let id = world.repository("widgets")["id"].clone();
    let moved = format!("{}/repositories/{id}", world.sim.url());
    world.fault(json!({ "path": "/repos/acme/widgets", "status": 301, "location": moved, "count": 1 })).await;
    world.beadle(&["plan"]).await.expect(0);
    // Beadle does not send a write to the target of a redirect. Beadle reads the moved repository
    // again.
    let mut world = world;
    world.checked = false; // no description has `GET /repositories/ID`
    world.patch(json!({ "widgets": { "has_pull_requests": false } }), false).await;
    world
        .fault(json!({ "method": "PATCH", "path": "/repos/acme/widgets", "status": 307, "location": moved }))
        .await;
    let applied = world.beadle(&["apply", "--yes"]).await.expect(1);
    assert!(applied.out.contains("moved to"), "{}", applied.out);
    assert_eq!(world.repository("widgets")["has_pull_requests"], json!(false));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_server_gets_smaller_queries_and_is_kept_as_declared() {
    let mut state = acme(
        json!({ "widgets": { "has_wiki": true, "branches": { "main": {} }, "protection": { "main": {} } } }),
    );
    state["lacks"] = json!(["webCommitSignoffRequired", "lockBranch", "roleName"]);
    let world = World::new(state).await;
    let policy = "repository: { has_wiki: false, web_commit_signoff_required: true }
branches: [{ name: main, protection: { enforce_admins: true, lock_branch: false } }]
";
    world.policy("settings.yml", policy);
    let applied = world.beadle(&["apply", "--yes"]).await.expect(1);
    for key in ["web_commit_signoff_required", "lock_branch"] {
        let said = ["show", "know"].map(|word| format!("this GitHub server does not {word} `{key}`"));
        assert!(said.iter().any(|said| applied.out.contains(said)), "{}", applied.out);
    }
    assert_eq!(world.repository("widgets")["has_wiki"], json!(false));
    assert_eq!(world.repository("widgets")["protection"]["main"]["enforce_admins"], json!(true));
}
