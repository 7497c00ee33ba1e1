//! Tests operations of signed-in people, who set pauses, retry keys, run tasks, approve a held
//! policy and undo writes. The people use the pages and the API.

use std::time::Duration;

use serde_json::{Value, json};

use crate::repair::{POLICY, declared, is_declared};
use crate::sign_in::{Browser, lines, person};
use crate::world::{Serving, World, acme};

const PROVIDER: &str = "[server.sign_in.github]\norg = \"acme\"\nclient_id = \"Iv1.1\"";
const ROLES: &str = "viewers = [\"engineering\"]\noperators = [\"platform\"]\napprovers = [\"security\"]";

/// Returns an organisation with these repositories. The person cyd can only read. eve is an
/// operator. ann, bob and dan are approvers.
fn organisation(repositories: Value) -> Value {
    let mut state = acme(repositories);
    let organisation = &mut state["orgs"]["acme"];
    organisation["members"] = json!(["ann", "bob", "cyd", "dan", "eve"]);
    organisation["teams"]["security"]["members"] =
        json!({ "ann": "member", "bob": "member", "dan": "member" });
    organisation["teams"]["engineering"]["members"] = json!({ "cyd": "member" });
    organisation["teams"]["platform"]["members"] = json!({ "eve": "member" });
    state
}

async fn signed_in<'a>(world: &'a World, login: &str) -> Browser<'a> {
    let (browser, status) = person(world, login).await;
    assert_eq!(status, 303, "{login}");
    browser
}

/// Returns the hidden value of a form on a page.
fn hidden(page: &str, name: &str) -> String {
    let start = format!("name=\"{name}\" value=\"");
    let found = page.split_once(&start).and_then(|(_, rest)| rest.split_once('"'));
    found.unwrap_or_else(|| panic!("no {name} in {page}")).0.to_owned()
}

async fn journal(world: &World) -> String {
    world.beadle(&["journal", "--format", "ndjson", "--limit", "1000"]).await.expect(0).out
}

/// Waits until the gate holds a policy. The author of the policy's last commit is `author`. Returns
/// the code of the plan, and the generation.
async fn held_plan(browser: &Browser<'_>, author: &str) -> [String; 2] {
    for _ in 0..1500 {
        let policies = browser.json("/api/v1/policy").await;
        let held = &policies["organisations"][0]["held"][0];
        if let (Some(plan), Some(generation)) = (held["plan"].as_str(), held["generation"].as_str())
            && held["commit"]["author"] == author
        {
            return [plan, generation].map(str::to_owned);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the gate holds no policy");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_policy_is_approved_on_the_page_by_one_person_who_is_not_its_author() {
    let admin = json!({ "branches": { "main": {} }, "contents": { "settings.yml": POLICY } });
    let state = organisation(json!({ "widgets": declared(), "gadgets": declared(), "admin": admin }));
    let mut world = World::unlimited(state).await;
    world.source = "{ repository = \"admin\" }".into();
    world.org_lines = "[org.gate]\nremoves = 0\n".into();
    world.lines = lines(&world, ROLES, PROVIDER);
    let serving = world.serve().await;
    world.connect();
    world.until_swept(&serving).await;
    world.until_idle().await;
    let policy = POLICY.replace("  - { name: engineering, permission: push }\n", "");
    let change = json!({
        "contents": { "settings.yml": policy },
        "commit": { "author": "bob", "message": "Remove <b>engineering</b>" },
    });
    world.patch(json!({ "admin": change }), true).await;
    // Another person pushes a further commit. Even then, the author of the removal must not approve
    // the removal.
    let further = json!({
        "contents": { "settings.yml": format!("{policy}# The team is closed.\n") },
        "commit": { "author": "eve", "message": "Explain the removal" },
    });
    world.patch(json!({ "admin": further }), true).await;

    let author = signed_in(&world, "bob").await;
    let [plan, generation] = held_plan(&author, "eve").await;
    let approval = format!("plan={plan}&generation={generation}&reason=the+team+is+closed");
    let (status, page) = author.send("/policy/approve", &approval).await;
    assert!(status == 403 && page.contains("a policy that they wrote"), "{page}");
    for login in ["cyd", "eve"] {
        let browser = signed_in(&world, login).await;
        assert_eq!(browser.send("/policy/approve", &approval).await.0, 403, "{login}");
    }
    let (ann, dan) = (signed_in(&world, "ann").await, signed_in(&world, "dan").await);
    for (fields, status) in [
        ("plan=0123456789ab&reason=read+it".to_owned(), 404),
        (format!("plan={plan}&generation=0123456789ab&reason=read+it"), 409),
        (format!("plan={plan}&generation={generation}&reason="), 400),
    ] {
        assert_eq!(ann.send("/policy/approve", &fields).await.0, status, "{fields}");
    }
    assert!(is_declared(&world.repository("widgets")), "nothing is approved yet");

    let api = format!("/api/v1/policy/{plan}/approve");
    let body = json!({ "generation": generation, "reason": "the team is closed" });
    let (one, other) = tokio::join!(ann.send("/policy/approve", &approval), dan.call(&api, &body));
    let mut found = [one.0, other.0];
    found.sort_unstable();
    // The policy might be in force before the second approval arrives.
    assert!(found == [200, 409] || found == [200, 404], "{one:?} {other:?}");
    let is_removed = |found: &Value| found["teams"] == json!({ "platform": "admin" });
    for name in ["widgets", "gadgets"] {
        world.until(name, "the approved removal", is_removed).await;
    }
    let journal = journal(&world).await;
    let approvals = journal.lines().filter(|line| line.contains("\"approved_generation\""));
    let approvals: Vec<&str> = approvals.collect();
    assert_eq!(approvals.len(), 1, "{approvals:?}");
    let by = if one.0 == 200 { "ann" } else { "dan" };
    assert!(approvals[0].contains(&format!("\"by\":\"{by} (signed in with GitHub)\"")), "{approvals:?}");
    assert_eq!(serving.stop().await, Some(0));
}

/// Returns a world after a repair of `widgets`. The service has removed the team contractors and
/// turned the wiki off.
async fn repaired() -> (World, Serving) {
    let mut drifted = declared();
    drifted["teams"]["contractors"] = json!("push");
    drifted["has_wiki"] = json!(true);
    let mut world = World::unlimited(organisation(json!({ "widgets": drifted }))).await;
    world.policy("settings.yml", POLICY);
    world.lines = lines(&world, ROLES, PROVIDER);
    let serving = world.serve().await;
    world.connect();
    world.until_swept(&serving).await;
    world.until("widgets", "the first sweep", is_declared).await;
    world.until_idle().await;
    (world, serving)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_on_the_page_writes_only_the_plan_that_the_person_saw() {
    let (world, serving) = repaired().await;
    let is_undone = |found: &Value| found["teams"].get("contractors").is_some();
    for login in ["cyd", "eve"] {
        let browser = signed_in(&world, login).await;
        assert_eq!(browser.send("/undo/plan", "last=1h").await.0, 403, "{login}");
        assert_eq!(browser.send("/undo", "plan=0123456789ab&last=1h").await.0, 403, "{login}");
    }
    let ann = signed_in(&world, "ann").await;
    assert_eq!(ann.send("/undo/plan", "runs=999999").await.0, 404, "no such entry");
    let (status, page) = ann.send("/undo/plan", "last=1h").await;
    assert!(status == 200 && page.contains("acme/widgets") && page.contains("contractors"), "{page}");
    let (plan, since) = (hidden(&page, "plan"), hidden(&page, "since"));
    let (status, page) = ann.send("/undo/plan", "last=1h&keys=repository.has_wiki").await;
    assert!(status == 200 && page.contains("has_wiki") && !page.contains("contractors"), "{page}");
    assert_eq!(hidden(&page, "keys"), "repository.has_wiki");
    let (status, page) = ann.send("/undo/plan", "last=1h&keys=has_wiki").await;
    assert_eq!((status, hidden(&page, "keys").as_str()), (200, "repository.has_wiki"), "{page}");
    let (status, page) = ann.send("/undo/plan", "last=1h&keys=has_wikis").await;
    assert!(status == 400 && page.contains("repository.has_wiki"), "{page}");

    // Somebody changes a value after Beadle has shown the plan. The value stays.
    world.patch(json!({ "widgets": { "has_wiki": true } }), false).await;
    let confirmation = format!("plan={plan}&since={since}&reason=the+wrong+team");
    let (status, page) = ann.send("/undo", &confirmation).await;
    assert!(status == 409 && page.contains("the plan of the undo has changed"), "{page}");
    assert!(!is_undone(&world.repository("widgets")), "a stale plan writes nothing");
    let (status, page) = ann.send("/undo/plan", "last=1h").await;
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("After the undo") && page.contains("beadle resume --repo acme/widgets"), "{page}");
    let confirmation = format!("plan={}&since={}", hidden(&page, "plan"), hidden(&page, "since"));
    assert_eq!(ann.send("/undo", &confirmation).await.0, 400, "an undo on the page needs a reason");
    let (status, page) = ann.send("/undo", &format!("{confirmation}&reason=the+wrong+team")).await;
    assert!(status == 200 && page.contains("acme/widgets: 1 change written"), "{page}");
    assert!(is_undone(&world.repository("widgets")), "{page}");
    world.until_idle().await;
    assert!(is_undone(&world.repository("widgets")), "the undone value is only observed");
    let undid = journal(&world).await;
    let undid: Vec<&str> = undid.lines().filter(|line| line.contains("\"undid\"")).collect();
    assert!(undid.len() == 1 && undid[0].contains("ann (signed in with GitHub)"), "{undid:?}");
    assert!(undid[0].contains("\"reason\":\"the wrong team\""), "{undid:?}");

    let eve = signed_in(&world, "eve").await;
    assert_eq!(eve.send("/undo/end", "repository=acme%2Fwidgets").await.0, 403);
    let (status, answer) = ann.call("/api/v1/undo/end", &json!({ "repository": "acme/widgets" })).await;
    assert_eq!(status, 200, "{answer}");
    world.until("widgets", "the policy applies again", is_declared).await;
    assert_eq!(ann.send("/undo/end", "repository=acme%2Fwidgets").await.0, 409, "no undo is in force");
    assert_eq!(serving.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_undone_through_the_api() {
    let (world, serving) = repaired().await;
    let ann = signed_in(&world, "ann").await;
    let entries = ann.json("/api/v1/journal?kind=run").await;
    let mut runs = entries["entries"].as_array().unwrap().iter();
    let run = runs.find(|run| run["detail"]["written"].as_u64() > Some(0)).unwrap();
    let request = json!({ "runs": [run["seq"].to_string()] });
    let (status, preview) = ann.call("/api/v1/undo/plan", &request).await;
    assert_eq!((status, &preview["plans"][0]["plan"]["subject"]), (200, &json!("acme/widgets")), "{preview}");
    let stale = json!({ "plan": "0123456789ab", "request": preview["request"] });
    assert_eq!(ann.call("/api/v1/undo", &stale).await.0, 409);
    assert!(is_declared(&world.repository("widgets")));
    let undo = json!({ "plan": preview["plan"], "request": preview["request"] });
    let (status, answer) = ann.call("/api/v1/undo", &undo).await;
    assert_eq!(status, 200, "{answer}");
    let widgets = world.repository("widgets");
    assert_eq!((&widgets["has_wiki"], &widgets["teams"]["contractors"]), (&json!(true), &json!("push")));

    // The answer names the undo, so that a person can undo the undo as a whole.
    world.until_idle().await;
    let numbers = answer["undo"].as_array().unwrap().iter().map(Value::to_string).collect::<Vec<_>>();
    let (status, preview) = ann.call("/api/v1/undo/plan", &json!({ "runs": numbers })).await;
    assert_eq!(status, 200, "{preview}");
    let undo = json!({ "plan": preview["plan"], "request": preview["request"], "reason": "it was right" });
    let (status, answer) = ann.call("/api/v1/undo", &undo).await;
    assert_eq!(status, 200, "{answer}");
    assert!(is_declared(&world.repository("widgets")), "twice undone is as never undone");
    // After the undo of the undo, Beadle repairs the values again.
    world.until_idle().await;
    world.patch(json!({ "widgets": { "teams": { "contractors": "push" } } }), true).await;
    world.until("widgets", "the repair after the second undo", is_declared).await;
    assert_eq!(serving.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_approver_ends_a_waiver_and_reloads_the_configuration() {
    let (world, serving) = repaired().await;
    let (ann, eve) = (signed_in(&world, "ann").await, signed_in(&world, "eve").await);
    let waiver = "repository=acme%2Fwidgets&keys=branches.main.enforce_admins&until=2d&reason=release";
    let (status, page) = ann.send("/waivers", waiver).await;
    assert_eq!(status, 200, "{page}");
    let listed = world.beadle(&["waivers", "--json"]).await.expect(0).json();
    let code = listed["code"].as_str().unwrap();
    assert_eq!(eve.send("/waivers/end", &format!("code={code}")).await.0, 403);
    let (status, answer) = ann.call("/api/v1/waivers/end", &json!({ "code": code })).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(ann.send("/waivers/end", &format!("code={code}")).await.0, 404, "it ended");
    assert!(!world.beadle(&["waivers"]).await.expect(0).out.contains(code));

    assert_eq!(eve.send("/configuration/reload", "").await.0, 403, "an operator reloads nothing");
    let (status, page) = ann.send("/configuration/reload", "").await;
    assert!(status == 200 && page.contains("configuration and secrets read again"), "{page}");
    let (status, page) = ann.send("/queue/retry", "key=acme%2Fwidgets").await;
    assert_eq!(status, 200, "the session lasts after a reload: {page}");
    assert_eq!(serving.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_pauses_retries_and_runs_tasks_on_the_page_and_by_the_api() {
    let (world, serving) = repaired().await;
    let (viewer, eve) = (signed_in(&world, "cyd").await, signed_in(&world, "eve").await);
    for (path, fields) in [
        ("/pauses", "organisation=acme&for=1h"),
        ("/pauses/end", "organisation=acme"),
        ("/queue/retry", "key=acme%2Fwidgets"),
        ("/tasks/run", "name=policy+of+acme"),
    ] {
        assert_eq!(viewer.send(path, fields).await.0, 403, "{path}");
    }
    for (path, fields, status) in [
        ("/pauses", "organisation=other&for=1h", 404),
        ("/pauses", "organisation=acme&for=31d", 400),
        ("/pauses", "repository=acme%2Fnothing&for=1h", 404),
        ("/pauses/end", "organisation=acme", 409),
        ("/queue/retry", "key=acme%2Fnothing", 404),
        ("/queue/retry", "key=repository%3Aacme%3A999999", 404),
        ("/tasks/run", "name=nothing", 404),
    ] {
        let (found, page) = eve.send(path, fields).await;
        assert_eq!(found, status, "{path} {fields}: {page}");
    }

    let (status, page) = eve.send("/pauses", "scope=organisation%2Facme&for=1h").await;
    assert!(status == 200 && page.contains("acme is paused until"), "{page}");
    let repository = json!({ "repository": "acme/widgets", "for": "2h" });
    assert_eq!(eve.call("/api/v1/pauses", &repository).await.0, 200);
    let queue = world.beadle(&["queue"]).await.expect(0).out;
    assert_eq!(queue.lines().filter(|line| line.starts_with("paused ")).count(), 2, "{queue}");
    let (status, page) = eve.send("/pauses/end", "repository=acme%2Fwidgets").await;
    assert!(status == 200 && page.contains("acme/widgets is no longer paused"), "{page}");
    let (status, answer) = eve.call("/api/v1/pauses/end", &json!({ "organisation": "acme" })).await;
    assert_eq!((status, &answer["done"]), (200, &json!(["acme is no longer paused"])));
    let queue = world.beadle(&["queue"]).await.expect(0).out;
    assert!(!queue.lines().any(|line| line.starts_with("paused ")), "{queue}");

    let (status, page) = eve.send("/queue/retry", "key=acme%2Fwidgets").await;
    assert!(status == 200 && page.contains("acme/widgets is due now"), "{page}");
    assert_eq!(eve.call("/api/v1/queue/retry", &json!({ "key": "acme/widgets" })).await.0, 200);
    assert_eq!(eve.send("/sweeps", "name=other").await.0, 404);
    let (status, answer) = eve.call("/api/v1/sweeps", &json!({ "name": "acme" })).await;
    assert_eq!((status, &answer["done"]), (200, &json!(["the sweep of acme is due now"])));
    let (status, page) = eve.send("/tasks/run", "name=policy+of+acme").await;
    assert!(status == 200 && page.contains("policy of acme ran"), "{page}");
    assert_eq!(eve.call("/api/v1/tasks/policy%20of%20acme/run", &json!({})).await.0, 200);
    let journal = journal(&world).await;
    for (part, count) in
        [("\"paused_until\"", 2), ("\"resumed\"", 2), ("\"retried\"", 3), ("\"ran_task\"", 2)]
    {
        let lines = journal.lines().filter(|line| line.contains(part));
        let by_eve = lines.filter(|line| line.contains("\"by\":\"eve (signed in with GitHub)\""));
        assert_eq!(by_eve.count(), count, "{part} in {journal}");
    }
    assert_eq!(serving.stop().await, Some(0));
}
