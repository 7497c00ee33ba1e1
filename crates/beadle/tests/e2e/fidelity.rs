//! Tests behaviour that the simulator copies from GitHub. Also tests how Beadle reacts to this
//! behaviour.

use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{World, acme, client_without_redirects};

/// Makes one call as a client other than Beadle.
async fn call(world: &World, method: Method, path: &str, body: &str) -> (u16, Value) {
    let request = world
        .http
        .request(method, format!("{}{path}", world.sim.url()))
        .header("authorization", format!("Bearer {}", world.sim.token()))
        .body(body.to_owned());
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_team_with_less_access_than_its_parent_is_written_at_most_once() {
    let mut state = acme(json!({ "widgets": { "branches": { "main": {} } } }));
    state["orgs"]["acme"]["teams"]["child"] = json!({ "parent": "platform" });
    let world = World::new(state).await;
    let teams =
        "teams:\n  - { name: platform, permission: admin }\n  - { name: child, permission: triage }\n";
    world.policy("settings.yml", teams);
    world.beadle(&["apply", "--yes"]).await.expect(0);
    world.beadle(&["plan"]).await.expect(0);
    // The child team gets access from its parent, so the policy needs no line for the child team.
    world.policy("settings.yml", "teams:\n  - { name: platform, permission: admin }\n");
    world.beadle(&["plan"]).await.expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_actor_without_write_access_is_reported_and_not_written_again() {
    let live = json!({ "branches": { "main": {} }, "teams": { "platform": "push", "contractors": "pull" } });
    let world = World::new(acme(json!({ "widgets": live }))).await;
    let policy = "branches:\n  - name: main\n    protection:\n      restrictions: { users: [ann], teams: [platform, contractors] }\n";
    world.policy("settings.yml", policy);
    world.beadle(&["apply", "--yes"]).await;
    let restrictions = world.repository("widgets")["protection"]["main"]["restrictions"].clone();
    assert_eq!(restrictions, json!({ "users": [], "teams": ["platform"], "apps": [] }));
    let before = world.writes().len();
    let again = world.beadle(&["apply", "--yes"]).await;
    assert_eq!(world.writes().len(), before, "{again:?}");
    let said = format!("{}{}", again.out, again.err);
    for who in ["team `contractors` has no write access", "user `ann` has no write access"] {
        assert!(said.contains(who), "{who}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_text_is_sent_in_the_form_that_github_accepts() {
    let world = World::new(acme(json!({ "widgets": { "description": "old" } }))).await;
    world.policy("settings.yml", "repository: { description: null }\n");
    world.beadle(&["apply", "--yes"]).await.expect(0);
    world.beadle(&["plan"]).await.expect(0);
    assert_eq!(world.repository("widgets")["description"], "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_the_wrong_form_changes_nothing() {
    let live = json!({ "branches": { "main": {} }, "topics": ["kept"], "hooks": { "https://x.example.com/": {
        "events": ["push"], "config": { "url": "https://x.example.com/" } } } });
    let mut world = World::new(acme(json!({ "widgets": live }))).await;
    world.checked = false;
    let before = world.repository("widgets");
    let path = "/repos/acme/widgets";
    assert_eq!(call(&world, Method::PATCH, path, "{ \"description\": ").await.0, 400);
    assert_eq!(call(&world, Method::PUT, &format!("{path}/topics"), "{}").await.0, 422);
    assert_eq!(call(&world, Method::PATCH, path, "{ \"has_issues\": \"no\" }").await.0, 422);
    assert_eq!(call(&world, Method::PATCH, path, "{ \"fork\": true, \"disabled\": true }").await.0, 200);
    assert_eq!(world.repository("widgets"), before);
    let hook = format!("{path}/hooks/{}", before["hooks"]["https://x.example.com/"]["id"]);
    let (status, hook) = call(&world, Method::PATCH, &hook, "{ \"add_events\": [\"issues\"] }").await;
    assert_eq!((status, &hook["events"]), (200, &json!(["push", "issues"])));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_branch_rule_replaces_no_other_rule() {
    let rules = json!({ "main": { "enforce_admins": true }, "release/*": { "allow_deletions": true } });
    let live = json!({ "branches": { "main": {} }, "protection": rules });
    let mut world = World::new(acme(json!({ "widgets": live }))).await;
    world.checked = false;
    let query = json!({ "query": "{ repository(owner: \"acme\", name: \"widgets\") { branchProtectionRules(first: 10) { nodes { id pattern } } } }" });
    let (_, answer) = call(&world, Method::POST, "/graphql", &query.to_string()).await;
    let nodes = answer["data"]["repository"]["branchProtectionRules"]["nodes"].as_array();
    let rule = nodes.unwrap().iter().find(|rule| rule["pattern"] == "release/*").unwrap();
    let rename = |pattern: &str| {
        let query = "mutation($input: UpdateBranchProtectionRuleInput!) { updateBranchProtectionRule(input: $input) { branchProtectionRule { id } } }";
        let input = json!({ "branchProtectionRuleId": rule["id"], "pattern": pattern });
        json!({ "query": query, "variables": { "input": input } }).to_string()
    };
    let before = world.repository("widgets")["protection"].clone();
    let (_, refused) = call(&world, Method::POST, "/graphql", &rename("main")).await;
    let why = refused["errors"][0]["message"].as_str().unwrap_or_default();
    assert!(why.contains("already protected"), "{refused}");
    assert_eq!(world.repository("widgets")["protection"], before);
    let (_, renamed) = call(&world, Method::POST, "/graphql", &rename("hotfix/*")).await;
    assert!(renamed["errors"].is_null(), "{renamed}");
    let after = world.repository("widgets")["protection"].clone();
    assert_eq!((&after["main"], &after["hotfix/*"]), (&before["main"], &before["release/*"]));
    assert_eq!(after.as_object().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_rule_of_rest_is_read_as_it_was_written() {
    let live = json!({
        "branches": { "main": {} }, "teams": { "platform": "push" }, "collaborators": { "ann": "push" },
    });
    let mut world = World::new(acme(json!({ "widgets": live }))).await;
    world.checked = false;
    let people = json!({ "users": ["ann"], "teams": ["platform"], "apps": [] });
    let body = json!({
        "enforce_admins": true,
        "required_status_checks": { "strict": true, "contexts": ["ci"] },
        "required_pull_request_reviews": {
            "required_approving_review_count": 2,
            "dismissal_restrictions": people, "bypass_pull_request_allowances": people,
        },
        "restrictions": people,
    });
    let path = "/repos/acme/widgets/branches/main/protection";
    let (status, written) = call(&world, Method::PUT, path, &body.to_string()).await;
    assert_eq!(status, 200, "{written}");
    let (status, read) = call(&world, Method::GET, path, "").await;
    assert_eq!((status, &read), (200, &written));
    let reviews = &read["required_pull_request_reviews"];
    assert_eq!(reviews["required_approving_review_count"], 2);
    assert_eq!(read["required_status_checks"]["contexts"], json!(["ci"]));
    assert_eq!(read["enforce_admins"]["enabled"], json!(true));
    for (what, list) in [
        ("restrictions", &read["restrictions"]),
        ("dismissal", &reviews["dismissal_restrictions"]),
        ("bypass", &reviews["bypass_pull_request_allowances"]),
    ] {
        assert_eq!(list["users"][0]["login"], "ann", "{what}: {read}");
        assert_eq!(list["teams"][0]["slug"], "platform", "{what}: {read}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_shows_the_requested_faults() {
    let labels: Value = (0..4).map(|n| (format!("label-{n}"), json!({ "color": "cc0000" }))).collect();
    let mut world = World::new(acme(json!({ "widgets": { "labels": labels } }))).await;
    world.checked = false;
    let path = "/repos/acme/widgets/labels?per_page=2";
    for (lie, names) in [
        ("row_twice", vec!["label-0", "label-1", "label-0"]),
        ("row_missing", vec!["label-0"]),
        ("no_identity", vec!["label-0"]),
    ] {
        world.fault(json!({ "path": "/labels", "lies": [lie], "field": "name" })).await;
        let (_, rows) = call(&world, Method::GET, path, "").await;
        world.no_faults().await;
        let shown: Vec<&str> =
            rows.as_array().unwrap().iter().filter_map(|row| row["name"].as_str()).collect();
        assert_eq!(shown, names, "{lie}");
    }
    let query = json!({ "query": "{ repository(owner: \"acme\", name: \"widgets\") { labels(first: 2, after: \"cursor:2\") { nodes { name } pageInfo { hasNextPage endCursor } } } }" });
    world.fault(json!({ "path": "/graphql", "connection": "labels", "lies": ["first_page_again"] })).await;
    let (_, answer) = call(&world, Method::POST, "/graphql", &query.to_string()).await;
    assert_eq!(
        answer["data"]["repository"]["labels"],
        json!({
            "nodes": [{ "name": "label-0" }, { "name": "label-1" }],
            "pageInfo": { "hasNextPage": true, "endCursor": "cursor:4" },
        })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_can_replace_the_headers_of_an_answer() {
    let mut world = World::new(acme(json!({ "widgets": {} }))).await;
    world.checked = false;
    let headers = json!({ "X-RateLimit-Reset": "2111111111000", "date": "Thu, 01 Jan 1970 00:00:00 GMT" });
    world.fault(json!({ "path": "/repos/", "headers": headers })).await;
    let bearer = format!("Bearer {}", world.sim.token());
    let url = format!("{}/repos/acme/widgets", world.sim.url());
    let answer = world.http.get(url).header("authorization", &bearer).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    for (name, value) in [("x-ratelimit-reset", "2111111111000"), ("date", "Thu, 01 Jan 1970 00:00:00 GMT")] {
        let given: Vec<_> = answer.headers().get_all(name).iter().collect();
        assert_eq!(given, [value], "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_repository_is_found_by_its_old_name() {
    let mut world =
        World::new(acme(json!({ "before": { "id": 77, "labels": { "bug": { "color": "cc0000" } } } }))).await;
    world.checked = false;
    let renamed = json!({ "name": "after" }).to_string();
    assert_eq!(call(&world, Method::PATCH, "/repos/acme/before", &renamed).await.0, 200);
    let (status, found) = call(&world, Method::GET, "/repos/ACME/before", "").await;
    assert_eq!((status, &found["full_name"]), (200, &json!("acme/after")));
    let (_, labels) = call(&world, Method::GET, "/repos/acme/before/labels", "").await;
    assert_eq!(labels[0]["name"], "bug");
    let http = client_without_redirects();
    let url = |path: &str| format!("{}{path}", world.sim.url());
    let bearer = format!("Bearer {}", world.sim.token());
    let asked = http.get(url("/api/v3/repos/acme/before?x=1")).header("authorization", &bearer);
    let answer = asked.send().await.unwrap();
    assert_eq!(answer.status(), 301);
    assert_eq!(answer.headers()["location"], url("/api/v3/repositories/77?x=1"));
    let asked = http.delete(url("/repos/acme/before/labels/bug")).header("authorization", &bearer);
    let answer = asked.send().await.unwrap();
    assert_eq!(answer.status(), 307);
    assert_eq!(answer.headers()["location"], url("/repositories/77/labels/bug"));
    assert!(world.repository("after")["labels"]["bug"].is_object());
    // If another repository takes the old name, the old name means the other repository.
    world.patch(json!({ "before": { "id": 78 } }), false).await;
    let (_, found) = call(&world, Method::GET, "/repos/acme/before", "").await;
    assert_eq!(found["id"], 78);
}
