//! Tests three cases: names whose meaning has changed, unknown names, and incomplete lists. If
//! Beadle is not sure about a change, Beadle does not write the change, and reports the reason.

use serde_json::{Value, json};

use crate::world::{World, acme};

/// Creates one repository, `widgets`, and its policy.
async fn world(repository: Value, policy: &str) -> World {
    let world = World::new(acme(json!({ "widgets": repository }))).await;
    world.policy("settings.yml", policy);
    std::fs::create_dir_all(world.path().join("policy/layers")).unwrap();
    world
}

/// Runs `plan` and `apply`. Both commands must report `doubt` and write nothing.
async fn doubts(world: &World, doubt: &str) {
    let (state, writes) = (world.sim.state(), world.writes().len());
    let plan = world.beadle(&["plan"]).await.expect(2);
    assert!(plan.out.contains(doubt), "`{doubt}` is not reported:\n{}", plan.out);
    assert!(!plan.out.contains("→ none"), "something is to be removed:\n{}", plan.out);
    let applied = world.beadle(&["apply", "--yes"]).await.expect(1);
    assert!(applied.out.contains(doubt), "`{doubt}` is not reported:\n{}", applied.out);
    assert_eq!(world.writes().len(), writes, "{:?}", world.writes());
    assert_eq!(world.sim.state()["orgs"], state["orgs"]);
}

fn labels(names: &[&str]) -> Value {
    let labels: Value = names.iter().map(|name| ((*name).to_owned(), json!({ "color": "cc0000" }))).collect();
    json!({ "labels": labels, "branches": { "main": {} } })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_whose_address_leads_to_another_object_is_not_deleted() {
    for name in ["..", ".", "%2e%2e", "\u{ff0e}\u{ff0e}", "a/.."] {
        let world = world(labels(&[name]), "labels: []\n").await;
        doubts(
            &world,
            &format!("the label cannot be deleted through the API: the name `{name}` cannot be a part"),
        )
        .await;
        assert!(world.repository("widgets").is_object(), "{name}: the repository is gone");
        let is_delete = |call: &Value| call["method"] == "DELETE";
        assert!(!world.sim.calls().iter().any(is_delete), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_with_a_slash_is_deleted() {
    let world = world(labels(&["area/net", "a/b"]), "labels: []\n").await;
    world.beadle(&["apply", "--yes"]).await.expect(0);
    let mut paths: Vec<String> =
        world.writes().iter().map(|call| call["path"].as_str().unwrap().to_owned()).collect();
    paths.sort();
    assert_eq!(paths, ["/repos/acme/widgets/labels/a%2Fb", "/repos/acme/widgets/labels/area%2Fnet"]);
    assert_eq!(world.repository("widgets")["labels"], json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn check_refuses_a_label_whose_address_leads_to_another_object() {
    for (name, must) in [
        ("..", "must not be `.` or `..`"),
        ("%2e%2e", "must not contain a path segment"),
        ("a/..", "must not contain a path segment"),
    ] {
        let policy = format!("labels:\n  - {{ name: '{name}', color: cc0000, description: new }}\n");
        let world = world(labels(&[]), &policy).await;
        let checked = world.beadle(&["check"]).await.expect(1);
        assert!(checked.out.contains("settings.yml:2"), "{name}: {}", checked.out);
        assert!(checked.out.contains(must), "{name}: {}", checked.out);
        world.beadle(&["apply", "--yes"]).await.expect(1);
        assert!(world.writes().is_empty(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undefined_property_does_not_clear_another_property() {
    let live = json!({ "branches": { "main": {} }, "properties": { "level": "gold" } });
    let mut state = acme(json!({ "widgets": live }));
    state["orgs"]["acme"]["property_definitions"] = json!({ "level": {} });
    let world = World::new(state).await;
    world.policy("settings.yml", "custom_properties:\n  - { name: tier, value: gold }\n");
    doubts(&world, "acme defines no custom property `tier` (settings.yml:2)").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_whose_team_is_renamed_or_deleted_removes_nothing() {
    for (file, select) in
        [("suborgs/pay.yml", "suborgteams: [payments]"), ("layers/pay.yml", "select: { team: payments }")]
    {
        for renamed in [true, false] {
            let mut state = acme(json!({ "widgets": {
                "branches": { "main": {} }, "teams": { "platform": "admin", "payments": "push" } } }));
            state["orgs"]["acme"]["teams"]["payments"] = json!({ "id": 601 });
            let world = World::new(state).await;
            std::fs::create_dir_all(world.path().join("policy/layers")).unwrap();
            world.policy("settings.yml", "teams:\n  - { name: platform, permission: admin }\n");
            let layer = format!(
                "{select}\nteams:\n  - {{ name: payments, permission: push }}\n  - {{ name: contractors, permission: pull }}\n"
            );
            world.policy(file, &layer);
            world.beadle(&["apply", "--yes"]).await.expect(0);
            assert_eq!(world.repository("widgets")["teams"]["contractors"], "pull", "{file}");
            let (team, grant) =
                if renamed { (json!({ "id": 601 }), json!("push")) } else { (Value::Null, Value::Null) };
            let patch = json!({ "orgs": { "acme": {
                "teams": { "payments": null, "payments-team": team },
                "repos": { "widgets": { "teams": { "payments": null, "payments-team": grant } } } } } });
            let url = format!("{}/_sim/state", world.sim.url());
            world.http.patch(url).body(patch.to_string()).send().await.unwrap();
            doubts(&world, "there is no team `payments` in acme").await;
            let plan = world.beadle(&["plan"]).await.expect(2);
            assert_eq!(plan.out.matches("? unknown").count(), 1, "one doubt of the layer: {}", plan.out);
            if renamed {
                world.policy(file, &layer.replace("payments", "payments-team"));
                world.beadle(&["plan"]).await.expect(0);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_autolink_without_an_identity_leaves_the_list_unchanged() {
    let live = json!({ "branches": { "main": {} }, "autolinks": {
        "A-": { "url_template": "https://a/<num>" }, "B-": { "url_template": "https://b/<num>" } } });
    for (lie, doubt) in [("no_identity", "has no identity"), ("null_row", "an entry of the list is null")] {
        let world = world(live.clone(), "autolinks: []\n").await;
        world.fault(json!({ "path": "/autolinks", "lies": [lie], "field": "key_prefix" })).await;
        doubts(&world, doubt).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_topic_does_not_end_a_layer() {
    let live = json!({ "branches": { "main": {} }, "topics": ["api", "web"],
        "teams": { "platform": "admin", "contractors": "pull" } });
    for lie in ["no_identity", "null_row"] {
        let policy = "teams:\n  - { name: platform, permission: admin }\n";
        let world = world(live.clone(), policy).await;
        let layer = "select: { topic: web }\nteams:\n  - { name: contractors, permission: pull }\n";
        world.policy("layers/web.yml", layer);
        world.beadle(&["plan"]).await.expect(0);
        let fault = json!({
            "path": "/graphql", "connection": "repositoryTopics", "lies": [lie], "field": "topic",
        });
        world.fault(fault).await;
        doubts(&world, "the repository's topics are unknown").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_list_is_read_to_a_limit_and_is_unknown() {
    let names: Vec<String> = (0..60).map(|n| format!("label-{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let world = world(labels(&names), "labels: []\n").await;
    world.fault(json!({ "path": "/graphql", "connection": "labels", "lies": ["first_page_again"] })).await;
    doubts(&world, "an entry of the list, or its id, appears twice").await;
    world.no_faults().await;
    world.policy("settings.yml", "repository: { has_issues: true }\n");
    world.beadle(&["plan"]).await.expect(0);
    let fault = json!({ "path": "/graphql", "connection": "repositories", "lies": ["first_page_again"] });
    world.fault(fault).await;
    doubts(&world, "the list of repositories is incomplete: the list has no end").await;
    let named = world.beadle(&["plan", "--repo", "widgets"]).await.expect(1);
    assert!(named.err.contains("appears twice"), "{}", named.err);
    assert!(world.sim.calls().len() < 200, "{} calls", world.sim.calls().len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_of_an_unknown_app_leaves_its_list_alone_and_the_rest_of_the_rule_is_written() {
    let policy = |app: u64| {
        format!(
            "branches:\n  - name: main\n    protection:\n      enforce_admins: true\n      required_status_checks:\n\
             \x20       strict: false\n        checks: [{{ context: ci, app_id: {app} }}]\n"
        )
    };
    let build = json!([{ "context": "build", "app_id": 15368 }]);
    let rule = json!({ "required_status_checks": { "strict": false, "checks": build } });
    for (live, checks) in [(json!({}), json!([])), (json!({ "main": rule }), build)] {
        let repository = json!({ "branches": { "main": {} }, "protection": live });
        let world = world(repository, &policy(999)).await;
        let doubt = "there is no GitHub App with the id 999 (check `ci`) (settings.yml:7); Beadle leaves the list of required checks as it is";
        let applied = world.beadle(&["apply", "--yes"]).await.expect(1);
        assert!(applied.out.contains(doubt), "{}", applied.out);
        let made = world.repository("widgets")["protection"]["main"].clone();
        assert_eq!(made["enforce_admins"], json!(true), "{made}");
        assert_eq!(made["required_status_checks"]["checks"], checks, "{made}");
        doubts(&world, doubt).await;
        world.policy("settings.yml", &policy(777));
        world.beadle(&["apply", "--yes"]).await;
        let made = world.repository("widgets")["protection"]["main"].clone();
        assert_eq!(
            made["required_status_checks"]["checks"],
            json!([{ "context": "ci", "app_id": 777 }]),
            "an App that exists and that no live rule shows"
        );
    }
}
