//! Tests pull requests that change a policy in a repository. At the end, the last commit of each
//! pull request has one concluded check. Each pull request has at most one comment. Beadle writes
//! nothing else.

use std::time::Duration;

use serde_json::{Value, json};

use crate::repair::{POLICY, declared};
use crate::world::{World, acme};

const SETTINGS: &str = ".github/settings.yml";
/// The path of the calls that list the files of a commit. Only the check of a pull request makes
/// these calls.
const COMPARE: &str = "/repos/acme/admin/compare";

/// Returns an organisation with its policy in the repository `admin`. The App of the organisation
/// has the permission to write checks.
async fn world() -> World {
    let admin = json!({ "branches": { "main": {} }, "contents": { SETTINGS: POLICY } });
    let mut state = acme(json!({ "widgets": declared(), "admin": admin }));
    state["orgs"]["acme"]["permissions"] = json!({
        "actions": "write", "administration": "write", "checks": "write", "contents": "read", "issues": "write",
        "metadata": "read", "members": "read", "organization_administration": "write",
        "organization_custom_properties": "read", "pull_requests": "write", "repository_hooks": "write",
        "repository_custom_properties": "write",
    });
    state["orgs"]["acme"]["teams"]["security"]["members"] = json!({ "ann": "member" });
    let mut world = World::unlimited(state).await;
    world.source = "{ repository = \"admin\", path = \".github\" }".into();
    world
}

/// Opens a pull request with this policy. If the pull request already exists, pushes the policy to
/// its branch.
async fn push(world: &World, number: &str, settings: &str) {
    let pull = json!({ "contents": { SETTINGS: settings } });
    change(world, number, pull).await;
}

async fn change(world: &World, number: &str, pull: Value) {
    world.patch(json!({ "admin": { "pulls": { number: pull } } }), true).await;
}

/// Returns a valid policy that differs from the policy in force.
fn with_wiki() -> String {
    POLICY.replace("has_wiki: false", "has_wiki: true")
}

fn head(admin: &Value, number: &str) -> Value {
    admin["pulls"][number]["head"].clone()
}

/// Returns the check runs at a commit.
fn runs<'a>(admin: &'a Value, head: &Value) -> Vec<&'a Value> {
    let all = admin["check_runs"].as_array().into_iter().flatten();
    all.filter(|run| run["head_sha"] == *head).collect()
}

fn comments(admin: &Value) -> Vec<&str> {
    let issues = admin["issues"].as_array().into_iter().flatten();
    let comments = issues.flat_map(|issue| issue["comments"].as_array().into_iter().flatten());
    comments.map(|comment| comment["body"].as_str().unwrap()).collect()
}

/// Waits until the last commit of a pull request has only one check run, and this check run has the
/// conclusion `conclusion`. Also waits until the service has no work left.
async fn until_concluded(world: &World, number: &str, conclusion: &str) -> Value {
    let what = format!("a check of pull request {number} with the conclusion {conclusion}");
    let is_concluded = |admin: &Value| {
        let runs = runs(admin, &head(admin, number));
        runs.iter().any(|run| run["conclusion"] == conclusion)
    };
    world.until("admin", &what, is_concluded).await;
    world.until_idle().await;
    let admin = world.repository("admin");
    let runs = runs(&admin, &head(&admin, number));
    assert_eq!(runs.len(), 1, "{runs:#?}");
    assert_eq!((&runs[0]["status"], &runs[0]["conclusion"]), (&json!("completed"), &json!(conclusion)));
    runs[0].clone()
}

/// Fails if the simulator saw a write that is neither a check run nor a comment.
fn assert_wrote_only_checks_and_comments(world: &World) {
    const ALLOWED: [&str; 3] = ["/check-runs", "/comments", "/access_tokens"];
    let writes = world.writes();
    let path = |call: &Value| call["path"].as_str().unwrap_or_default().to_owned();
    let other = writes.iter().find(|call| !ALLOWED.iter().any(|allowed| path(call).contains(allowed)));
    assert_eq!(other, None);
    assert!(writes.iter().any(|call| path(call).contains("/check-runs")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_valid_pull_request_shows_what_it_changes_and_writes_nothing_else() {
    let world = world().await;
    let _serving = world.serve().await;
    world.connect();
    let text = with_wiki().replace("  - { name: engineering, permission: push }\n", "");
    push(&world, "7", &text).await;
    let run = until_concluded(&world, "7", "success").await;
    assert_eq!(run["name"], "beadle (acme)");
    assert_eq!(run["output"]["title"], "1 removal, 1 modification in 1 repository");
    let admin = world.repository("admin");
    let [comment] = comments(&admin)[..] else { panic!("{:?}", comments(&admin)) };
    for said in [
        "**1 removal, 1 modification** in 1 of 2 repositories",
        "- **removes** `teams` `team engineering` `",
        "- changes `settings` `has_wiki` `false` → `true` in 1 repository — `widgets` — policy: `settings.yml:",
    ] {
        assert!(comment.contains(said), "{said}: {comment}");
    }
    assert_wrote_only_checks_and_comments(&world);
    let shown = world.beadle(&["previews", "--pull", "7", "--json"]).await.expect(0).json();
    assert_eq!(
        (&shown["name"], &shown["merge"]["sums"]["risks"]["removes"]),
        (&json!("acme/admin#7"), &json!(1))
    );
    assert_eq!(shown["head"], head(&admin, "7"));
    assert!(shown["link"].as_str().unwrap().ends_with("/acme/admin/pull/7"), "{shown}");
    assert!(shown["author"].is_string() && shown["pull_title"].is_string(), "{shown}");
    assert_eq!(shown["merge"]["base_in_force"], true, "{shown}");
    let what = shown["merge"]["changes"][0]["what"].as_str().unwrap();
    assert!(what.starts_with("team engineering: permission: ") && what.ends_with(" → none"), "{shown}");
    for change in shown["merge"]["changes"].as_array().unwrap() {
        assert_eq!(change["names"], json!(["acme/widgets"]), "{shown}");
    }
    assert_eq!(shown["merge"]["changes"][1]["asked"][0]["file"], "settings.yml", "{shown}");
    // A pull request that changes other files gets a check and no comment.
    change(&world, "8", json!({ "contents": { SETTINGS: POLICY, "README.md": "text" } })).await;
    let run = until_concluded(&world, "8", "success").await;
    assert_eq!(run["output"]["title"], "The policy is not changed");
    assert_eq!(comments(&world.repository("admin")).len(), 1);
    world.beadle(&["previews", "--pull", "8"]).await.expect(1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_that_affects_many_repositories_takes_few_calls() {
    let number: usize = std::env::var("PULL_REPOSITORIES").map_or(300, |number| number.parse().unwrap());
    let world = world().await;
    let many: Value = (0..number).map(|n| (format!("r{n:03}"), declared())).collect();
    world.patch(many, false).await;
    let serving = world.serve().await;
    world.connect();
    world.until_swept(&serving).await;
    world.until_idle().await;
    world.sim.forget_calls();
    push(&world, "7", &with_wiki().replace("  - { name: engineering, permission: push }\n", "")).await;
    let run = until_concluded(&world, "7", "success").await;
    // The repository `widgets` also exists, so the total is one more.
    let all = number + 1;
    let title = format!("{all} removals, {all} modifications in {all} repositories");
    assert_eq!(run["output"]["title"], title);
    let calls = world.sim.call_count();
    // Beadle reads pages of repositories, and makes no call for a single repository.
    assert!(calls <= 70 + number / 10, "{calls} calls for {number} repositories");
    let admin = world.repository("admin");
    let [comment] = comments(&admin)[..] else { panic!("{:?}", comments(&admin)) };
    assert!(comment.len() <= 60_000, "{}", comment.len());
    assert!(comment.contains(&format!("engineering` `push` → none in {all} repositories")), "{comment}");
    assert_wrote_only_checks_and_comments(&world);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_reads_only_the_files_that_differ_from_the_policy_in_force() {
    let world = world().await;
    let layer = |n: usize| {
        format!("rank: {}\nselect: {{ topic: t{n} }}\nrepository: {{ has_issues: true }}\n", n + 1)
    };
    let mut files: Value = (0..250).map(|n| (format!(".github/layers/l{n}.yml"), json!(layer(n)))).collect();
    world.patch(json!({ "admin": { "contents": files } }), false).await;
    let serving = world.serve().await;
    world.connect();
    world.until_swept(&serving).await;
    world.until_idle().await;
    let reads = |world: &World| world.sim.calls_that(|call| call["operation"] == "repository").len();
    assert!(reads(&world) >= 3, "a query reads at most 100 files");
    world.sim.forget_calls();
    files[SETTINGS] = json!(with_wiki());
    change(&world, "7", json!({ "contents": files })).await;
    let run = until_concluded(&world, "7", "success").await;
    assert_eq!(run["output"]["title"], "1 modification in 1 repository");
    assert_eq!(reads(&world), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_policy_is_annotated_at_its_line_and_shows_nothing_of_the_process() {
    let mut world = world().await;
    world.org_lines += "[org.secrets]\nci = \"file:webhook.secret\"\n";
    let _serving = world.serve().await;
    world.connect();
    push(&world, "7", "repository:\n  has_wiki: false\n  has_wikki: true\n").await;
    let run = until_concluded(&world, "7", "failure").await;
    let annotation = &run["annotations"][0];
    assert_eq!((&annotation["path"], &annotation["start_line"]), (&json!(SETTINGS), &json!(3)));
    assert_eq!(annotation["annotation_level"], "failure");
    let hooks = "webhooks:\n  - url: https://ci.example.com/\n    secret: other\n";
    push(&world, "8", &format!("{POLICY}{hooks}")).await;
    let run = until_concluded(&world, "8", "failure").await;
    let shown = run.to_string();
    assert!(shown.contains("declares no secret of this name"), "{shown}");
    let link = json!({ "mode": "120000", "text": "../../../etc/passwd" });
    change(&world, "9", json!({ "contents": { SETTINGS: POLICY, ".github/repos/x.yml": link } })).await;
    let run = until_concluded(&world, "9", "failure").await;
    assert!(run.to_string().contains("must not be a symbolic link"), "{run}");
    let validators = "configvalidators:\n  - { plugin: labels, error: no, script: return true }\n";
    let files = json!({ SETTINGS: POLICY, ".github/deployment-settings.yml": validators });
    change(&world, "10", json!({ "contents": files })).await;
    let run = until_concluded(&world, "10", "failure").await;
    assert!(run.to_string().contains("does not run these validators"), "{run}");
    for text in comments(&world.repository("admin")) {
        assert!(!text.contains(&world.secret) && !text.contains("`ci`") && !text.contains("root:"), "{text}");
    }
    assert_wrote_only_checks_and_comments(&world);
}

#[tokio::test(flavor = "multi_thread")]
async fn pushes_in_a_row_end_in_one_check_of_the_last_commit_and_one_comment() {
    let world = world().await;
    let _serving = world.serve().await;
    world.connect();
    world.fault(json!({ "path": COMPARE, "hold": true })).await;
    push(&world, "7", &with_wiki()).await;
    world.until_held().await;
    let first = head(&world.repository("admin"), "7");
    push(&world, "7", &format!("{}# second\n", with_wiki())).await;
    push(&world, "7", &format!("{}# third\n", with_wiki())).await;
    world.until_sent().await;
    world.no_faults().await;
    until_concluded(&world, "7", "success").await;
    let admin = world.repository("admin");
    assert_eq!(runs(&admin, &first)[0]["conclusion"], "cancelled");
    let is_open = |run: &&Value| run["status"] != "completed";
    assert_eq!(admin["check_runs"].as_array().unwrap().iter().find(is_open), None);
    let last = head(&admin, "7");
    let [comment] = comments(&admin)[..] else { panic!("{:?}", comments(&admin)) };
    assert!(comment.contains(&last.as_str().unwrap()[..12]), "{comment}");
    assert_wrote_only_checks_and_comments(&world);
}

/// Waits until a condition holds.
async fn until_true(what: &str, mut is_true: impl FnMut() -> bool) {
    for _ in 0..3000 {
        if is_true() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{what} did not come true");
}

/// Returns the stored result of the pull request 7.
async fn preview(world: &World) -> Value {
    world.beadle(&["previews", "--pull", "7", "--json"]).await.expect(0).json()
}

/// Waits until `first` is no longer the policy in force, and the stored result of pull request 7 is
/// a comparison with the new policy in force.
async fn until_compared_with_another_policy(world: &World, first: &Value) {
    let mut shown = preview(world).await;
    for _ in 0..300 {
        if shown["merge"]["base_in_force"] == true && shown["merge"]["base"] != *first {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        shown = preview(world).await;
    }
    panic!("the pull request is not checked again: {shown}");
}

/// Adds a layer to the policy in the branch.
async fn merge_layer(world: &World) {
    let layer = json!({ ".github/layers/issues.yml": "rank: 5\nrepository: { has_issues: false }\n" });
    world.patch(json!({ "admin": { "contents": layer } }), true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_fails_for_a_new_policy_leaves_the_check_run_alone() {
    let world = world().await;
    let serving = world.serve().await;
    world.connect();
    push(&world, "7", &with_wiki()).await;
    let run = until_concluded(&world, "7", "success").await;
    let before = preview(&world).await;
    world.sim.forget_calls();
    world.fault(json!({ "path": COMPARE, "status": 502 })).await;
    merge_layer(&world).await;
    until_true("a failed check", || serving.log().contains("run failed")).await;
    let admin = world.repository("admin");
    assert_eq!(runs(&admin, &head(&admin, "7")), [&run]);
    let kept = preview(&world).await;
    assert_eq!((&kept["checked"], &kept["merge"]["base_in_force"]), (&before["checked"], &json!(false)));
    world.no_faults().await;
    until_compared_with_another_policy(&world, &before["merge"]["base"]).await;
    let is_of_run = |call: &Value| call["writes"] == true && call["path"].to_string().contains("check-runs");
    assert_eq!(world.sim.calls_that(is_of_run).len(), 1, "only the new result");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_branch_changed_meanwhile_is_not_shown_as_a_change_of_the_pull_request() {
    let world = world().await;
    let _serving = world.serve().await;
    world.connect();
    change(&world, "7", json!({ "contents": { SETTINGS: with_wiki() } })).await;
    until_concluded(&world, "7", "success").await;
    let first = preview(&world).await["merge"]["base"].clone();
    merge_layer(&world).await;
    world.until("widgets", "the merged layer", |found| found["has_issues"] == json!(false)).await;
    until_compared_with_another_policy(&world, &first).await;
    push(&world, "7", &format!("{}# again\n", with_wiki())).await;
    let run = until_concluded(&world, "7", "success").await;
    assert_eq!(run["output"]["title"], "1 modification in 1 repository");
    let admin = world.repository("admin");
    let [comment] = comments(&admin)[..] else { panic!("{:?}", comments(&admin)) };
    assert!(comment.contains("`has_wiki`") && !comment.contains("`has_issues`"), "{comment}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_of_a_fork_is_checked_and_its_check_runs_again() {
    let world = world().await;
    let _serving = world.serve().await;
    world.connect();
    change(&world, "7", json!({ "contents": { SETTINGS: with_wiki() }, "fork": true })).await;
    let run = until_concluded(&world, "7", "success").await;
    world.sim.forget_calls();
    let again = json!({ "org": "acme", "repo": "admin", "id": run["id"] });
    let url = format!("{}/_sim/rerequest", world.sim.url());
    let answer = world.http.post(url).body(again.to_string()).send().await.unwrap();
    assert!(answer.status().is_success());
    let is_checked =
        |call: &Value| call["method"] == "PATCH" && call["path"].to_string().contains("check-runs");
    // Beadle starts the check run again, and concludes it again.
    until_true("a second check", || world.sim.calls_that(is_checked).len() == 2).await;
    until_concluded(&world, "7", "success").await;
    assert_eq!(comments(&world.repository("admin")).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_of_a_public_policy_names_no_repository_and_a_fork_gets_no_preview() {
    let world = world().await;
    world.patch(json!({ "admin": { "visibility": "public", "private": false } }), false).await;
    let _serving = world.serve().await;
    world.connect();
    change(&world, "7", json!({ "contents": { SETTINGS: with_wiki() }, "fork": true })).await;
    let run = until_concluded(&world, "7", "action_required").await;
    assert_eq!(run["output"]["title"], "No preview");
    let text = with_wiki().replace("  - { name: engineering, permission: push }\n", "");
    push(&world, "8", &text).await;
    let run = until_concluded(&world, "8", "success").await;
    let admin = world.repository("admin");
    let [of_fork, of_branch] = comments(&admin)[..] else { panic!("{:?}", comments(&admin)) };
    assert!(!of_fork.contains("has_wiki"), "{of_fork}");
    assert!(of_branch.contains("`has_wiki` in 1 repository"), "{of_branch}");
    for text in [of_fork, of_branch, run.to_string().as_str()] {
        assert!(!text.contains("widgets") && !text.contains("engineering"), "{text}");
    }
}

/// Waits until pull request 7 of the base has a concluded check of acme, and a comment of acme.
/// Returns the check run and the comment.
async fn until_base_checked(world: &World, organisation: &str) -> (Value, String) {
    for _ in 0..3000 {
        let rules = world.sim.look(|state| state["orgs"][organisation]["repos"]["rules"].clone());
        let run = runs(&rules, &head(&rules, "7")).into_iter().find(|run| run["name"] == "beadle (acme)");
        let run = run.filter(|run| run["status"] == "completed").cloned();
        let comment = comments(&rules).into_iter().find(|text| text.contains("check: acme -->"));
        if let (Some(run), Some(comment)) = (run, comment) {
            return (run, comment.to_owned());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the pull request of the base of {organisation} was not checked");
}

/// Returns a base with an open pull request that changes the value `has_projects`.
fn base() -> Value {
    let settings =
        |is_on: bool| json!({ "settings.yml": format!("repository: {{ has_projects: {is_on} }}") });
    json!({ "branches": { "main": {} }, "contents": settings(true), "pulls": { "7": { "contents": settings(false) } } })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_of_a_base_shows_what_it_changes_in_the_organisation_and_its_own_policy_too() {
    let mut world = world().await;
    let mut rules = base();
    rules["pulls"] = json!({});
    world.patch(json!({ "rules": rules }), false).await;
    world.source += "\nbase = { repository = \"rules\" }";
    let _serving = world.serve().await;
    world.connect();
    world.patch(json!({ "rules": { "pulls": base()["pulls"] } }), true).await;
    let (run, comment) = until_base_checked(&world, "acme").await;
    assert_ne!(run["conclusion"], "failure", "{run}");
    assert!(comment.contains("`has_projects`") && comment.contains("`widgets`"), "{comment}");
    push(&world, "8", &with_wiki()).await;
    until_concluded(&world, "8", "success").await;
    let admin = world.repository("admin");
    let [comment] = comments(&admin)[..] else { panic!("{:?}", comments(&admin)) };
    assert!(comment.contains("`has_wiki`") && !comment.contains("has_projects"), "{comment}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_of_the_base_of_another_organisation_names_nothing_private_of_this_one() {
    let mut world = world().await;
    let shared = async |world: &World, rules: Value, webhooks: bool| {
        let permissions = world.sim.look(|state| state["orgs"]["acme"]["permissions"].clone());
        let shared = json!({ "permissions": permissions, "repos": { "rules": rules } });
        let patch = json!({ "orgs": { "shared": shared } });
        let url = format!("{}/_sim/state?webhooks={webhooks}", world.sim.url());
        let answer = world.http.patch(url).body(patch.to_string()).send().await.unwrap();
        assert!(answer.status().is_success());
    };
    let mut rules = base();
    rules["pulls"] = json!({});
    shared(&world, rules, false).await;
    world.lines = format!(
        "[[org]]\nname = \"shared\"\napi = \"{}\"\napp = {{ id = {}, key = \"file:app.pem\" }}\n\
         webhook_secrets = [\"file:webhook.secret\"]\npolicy = {{ repository = \"rules\" }}\n",
        world.sim.url(),
        beadle_sim::APP_ID
    );
    world.source += "\nbase = { organisation = \"shared\", repository = \"rules\" }";
    let _serving = world.serve().await;
    world.connect();
    shared(&world, json!({ "pulls": base()["pulls"] }), true).await;
    let (run, comment) = until_base_checked(&world, "shared").await;
    assert!(comment.contains("The base belongs to another organisation"), "{comment}");
    assert!(comment.contains("`has_projects` in 1 repository"), "{comment}");
    for text in [comment, run.to_string()] {
        assert!(!text.contains("widgets") && !text.contains("engineering"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_that_is_closed_during_its_check_ends_cancelled_without_a_comment() {
    let world = world().await;
    let _serving = world.serve().await;
    world.connect();
    world.fault(json!({ "path": COMPARE, "hold": true })).await;
    push(&world, "7", &with_wiki()).await;
    world.until_held().await;
    change(&world, "7", json!({ "state": "closed" })).await;
    world.until_sent().await;
    world.no_faults().await;
    until_concluded(&world, "7", "cancelled").await;
    assert!(comments(&world.repository("admin")).is_empty());
    assert_wrote_only_checks_and_comments(&world);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_by_a_member_of_the_team_approves_the_plan_that_the_check_showed() {
    let mut world = world().await;
    world.org_lines =
        format!("approve_by_review = \"security\"\n{}[org.gate]\nremoves = 0\n", world.org_lines);
    let _serving = world.serve().await;
    world.connect();
    let settings = POLICY.replace("  - { name: engineering, permission: push }\n", "");
    push(&world, "7", &settings).await;
    until_concluded(&world, "7", "action_required").await;
    let admin = world.repository("admin");
    let [comment] = comments(&admin)[..] else { panic!("{:?}", comments(&admin)) };
    assert!(comment.contains("A review by a member of the team `security`"), "{comment}");
    change(&world, "7", json!({ "reviews": [{ "user": "ann", "state": "APPROVED" }] })).await;
    let merged = json!({ "contents": { SETTINGS: settings }, "pulls": { "7": { "merged": true } } });
    world.patch(json!({ "admin": merged }), true).await;
    let is_written = |found: &Value| found["teams"].get("engineering").is_none();
    world.until("widgets", "the approved removal", is_written).await;
    let journal = world.beadle(&["journal", "--format", "ndjson"]).await.expect(0);
    assert!(journal.out.contains("review of acme/admin#7"), "{}", journal.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_checks_follow_a_policy_although_a_crash_came_before_they_were_due() {
    let world = world().await;
    let points = "settle=return;first-generation=return;after-generation-marks=return";
    let mut serving = world.spawn(&[("FAILPOINTS", points)]).ready(world.operator()).await;
    world.connect();
    push(&world, "7", &with_wiki()).await;
    until_concluded(&world, "7", "success").await;
    let first = preview(&world).await["merge"]["base"].clone();
    merge_layer(&world).await;
    until_true("the end of the service", || serving.child.try_wait().unwrap().is_some()).await;
    let _serving = world.serve().await;
    until_compared_with_another_policy(&world, &first).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_a_crash_left_in_progress_is_concluded_by_the_next_run() {
    let mut world = world().await;
    world.lines = "[worker]\nlease = \"1s\"\n".into();
    let points = "settle=return;between-check-and-conclusion=return";
    let mut serving = world.spawn(&[("FAILPOINTS", points)]).ready(world.operator()).await;
    world.connect();
    push(&world, "7", &with_wiki()).await;
    until_true("the end of the service", || serving.child.try_wait().unwrap().is_some()).await;
    let admin = world.repository("admin");
    assert_eq!(runs(&admin, &head(&admin, "7"))[0]["status"], "in_progress");
    let _serving = world.serve().await;
    until_concluded(&world, "7", "success").await;
    assert_eq!(comments(&world.repository("admin")).len(), 1);
}
