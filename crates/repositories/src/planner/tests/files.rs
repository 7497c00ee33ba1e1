//! Tests files that Beadle updates through a pull request.

use std::collections::BTreeMap;

use super::world::{World, plans};
use super::*;

const OWNERS: &str = "* @acme/platform\n";

/// Returns a policy with one file.
fn policy(path: &str, content: &str, more: &str) -> String {
    format!("files:\n- {{ path: {path}, content: {}{more} }}\n", json!(content))
}

async fn world(policy: &str) -> World {
    let mut state = acme(501, 601);
    state["orgs"]["acme"]["repos"]["shop"]["contents"] = json!({ "README.md": "hello\n" });
    Box::pin(World::new(state, policy)).await
}

fn shop(world: &World) -> Value {
    world.sim.state()["orgs"]["acme"]["repos"]["shop"].clone()
}

/// Changes the repository directly at GitHub.
async fn change(world: &World, patch: Value) {
    world.control("PATCH", &json!({ "orgs": { "acme": { "repos": { "shop": patch } } } })).await;
}

/// Returns the tasks that wait for a person.
async fn waits(world: &World) -> Vec<String> {
    let (planner, _) = world.parts();
    Box::pin(plans(&planner))
        .await
        .into_iter()
        .flat_map(|(_, plan)| plan.waits)
        .map(|wait| wait.why)
        .collect()
}

/// Returns the name of the thing that each change affects.
async fn planned(world: &World) -> Vec<String> {
    let (planner, _) = world.parts();
    let plans = Box::pin(plans(&planner)).await;
    plans.iter().flat_map(|(_, plan)| &plan.changes).map(|change| change.what.clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_file_is_proposed_waits_for_a_merge_and_leaves_no_branch() {
    let world = world(&policy("CODEOWNERS", OWNERS, "")).await;
    assert_eq!(planned(&world).await, ["pull request"]);
    Box::pin(world.apply()).await;
    let proposed = shop(&world);
    let pull = &proposed["pulls"]["1"];
    assert_eq!((&pull["state"], &pull["base"]), (&json!("open"), &json!("main")));
    assert_eq!(pull["contents"], json!({ "CODEOWNERS": OWNERS, "README.md": "hello\n" }));
    assert_eq!(proposed["contents"], json!({ "README.md": "hello\n" }), "nothing is merged");
    let waiting = waits(&world).await;
    assert!(waiting.len() == 1 && waiting[0].contains("#1 waits for a merge"), "{waiting:?}");

    change(&world, json!({ "contents": { "CODEOWNERS": OWNERS }, "pulls": { "1": { "merged": true } } }))
        .await;
    assert_eq!(planned(&world).await, ["branch of the pull request"]);
    Box::pin(world.apply()).await;
    assert!(shop(&world)["branches"].get("beadle/files").is_none() && waits(&world).await.is_empty());
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn the_pull_request_follows_the_policy_and_is_closed_when_it_is_not_needed() {
    let mut world = world(&policy("CODEOWNERS", OWNERS, "")).await;
    Box::pin(world.apply()).await;
    let newer = BTreeMap::from([("settings.yml".to_owned(), policy("CODEOWNERS", "* @mona\n", ""))]);
    world.replace_policy(&newer);
    assert_eq!(planned(&world).await, ["pull request #1"]);
    Box::pin(world.apply()).await;
    assert_eq!(shop(&world)["pulls"]["1"]["contents"]["CODEOWNERS"], "* @mona\n");

    // The policy drops the file and declares a different file. The open pull request would still
    // add the file that the policy dropped.
    let other = BTreeMap::from([("settings.yml".to_owned(), policy("LICENSE", "MIT\n", ""))]);
    world.replace_policy(&other);
    Box::pin(world.apply()).await;
    let pulls = shop(&world)["pulls"].clone();
    assert_eq!((&pulls["1"]["state"], &pulls["2"]["state"]), (&json!("closed"), &json!("open")));
    assert_eq!(pulls["2"]["contents"], json!({ "LICENSE": "MIT\n", "README.md": "hello\n" }));

    // A person commits the file without the pull request.
    change(&world, json!({ "contents": { "LICENSE": "MIT\n" } })).await;
    Box::pin(world.apply()).await;
    assert_eq!(shop(&world)["pulls"]["2"]["state"], "closed");
    // Beadle itself closed the pull request, and not a person. So Beadle proposes the same file
    // again.
    change(&world, json!({ "contents": { "LICENSE": null } })).await;
    Box::pin(world.apply()).await;
    assert_eq!(shop(&world)["pulls"]["3"]["state"], "open");
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn what_a_person_closed_is_not_proposed_again() {
    let mut world = world(&policy("CODEOWNERS", OWNERS, "")).await;
    Box::pin(world.apply()).await;
    change(&world, json!({ "pulls": { "1": { "state": "closed" } } })).await;
    assert_eq!(planned(&world).await, Vec::<String>::new());
    let waiting = waits(&world).await;
    assert!(waiting.len() == 1 && waiting[0].contains("closed the pull request #1"), "{waiting:?}");
    let newer = BTreeMap::from([("settings.yml".to_owned(), policy("CODEOWNERS", "* @mona\n", ""))]);
    world.replace_policy(&newer);
    Box::pin(world.apply()).await;
    assert_eq!(shop(&world)["pulls"]["2"]["state"], "open");
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn a_branch_with_commits_of_others_is_left_to_them() {
    let mut world = world(&policy("CODEOWNERS", OWNERS, "")).await;
    Box::pin(world.apply()).await;
    let (before, commit) = (shop(&world), "a".repeat(40));
    let contents = json!({ "CODEOWNERS": "* @mona\n", "README.md": "hello\n" });
    let parent = &before["branches"]["beadle/files"]["commit"];
    let theirs = json!({ "author": "mona", "message": "Mend it", "parents": [parent], "contents": contents, "blobs": {} });
    let patch = json!({
        "commits": { &commit: theirs }, "branches": { "beadle/files": { "commit": commit } },
    });
    change(&world, patch).await;
    let newer = BTreeMap::from([("settings.yml".to_owned(), policy("CODEOWNERS", "* @acme/core\n", ""))]);
    world.replace_policy(&newer);
    assert_eq!(planned(&world).await, Vec::<String>::new());
    let waiting = waits(&world).await;
    assert!(waiting.len() == 1 && waiting[0].contains("commits of other people"), "{waiting:?}");
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn a_file_is_pushed_only_if_the_policy_says_so() {
    let world = world(&policy("CODEOWNERS", OWNERS, ", push: true")).await;
    let changes = Box::pin(world.changes()).await;
    assert!(changes.len() == 1 && changes[0].starts_with("commit to main"), "{changes:?}");
    assert!(changes[0].contains("Weakens"), "nobody reviews the file that decides who reviews: {changes:?}");
    Box::pin(world.apply()).await;
    let after = shop(&world);
    assert_eq!(after["contents"], json!({ "CODEOWNERS": OWNERS, "README.md": "hello\n" }));
    assert!(after["pulls"].get("1").is_none());
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn a_workflow_is_a_weakening_before_it_is_merged() {
    let world = world(&policy(".github/workflows/ci.yml", "on: push\n", "")).await;
    let changes = Box::pin(world.changes()).await;
    assert!(changes.len() == 1 && changes[0].contains("Weakens"), "{changes:?}");
    Box::pin(world.apply()).await;
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn a_template_of_the_policy_names_the_topics_of_its_repository() {
    let mut state = acme(501, 601);
    state["orgs"]["acme"]["repos"]["shop"]["contents"] = json!({ "README.md": "hello\n" });
    let files = [
        ("settings.yml", "files: [{ path: NOTICE, template_file: notice.txt }]\n"),
        ("templates/notice.txt", "{{ repository.name }}: {{ repository.topics | join(', ') }}\n"),
    ];
    let world = Box::pin(World::of_files(state, &files)).await;
    Box::pin(world.apply()).await;
    assert_eq!(shop(&world)["pulls"]["1"]["contents"]["NOTICE"], "shop: old\n");
    change(&world, json!({ "topics": ["web", "api"] })).await;
    assert_eq!(planned(&world).await, ["pull request #1"]);
    Box::pin(world.apply()).await;
    assert_eq!(shop(&world)["pulls"]["1"]["contents"]["NOTICE"], "shop: api, web\n");
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn a_file_that_exists_can_be_kept() {
    let world = world(&policy("README.md", "other\n", ", when_exists: keep")).await;
    assert_eq!(planned(&world).await, Vec::<String>::new());
    let is_for_files = |call: &Value| call["request"]["query"].to_string().contains("object(expression");
    let queries = world.sim.calls_that(is_for_files).len();
    assert_eq!(queries, 1, "one plan makes one query");
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn a_repository_without_a_commit_waits_for_the_first_one() {
    let mut state = acme(501, 601);
    state["orgs"]["acme"]["repos"]["shop"]["branches"] = json!({});
    let world = Box::pin(World::new(state, &policy("LICENSE", "MIT\n", ""))).await;
    assert_eq!(planned(&world).await, Vec::<String>::new());
    assert!(waits(&world).await[0].contains("no commit yet"));
    world.check_calls();
}
