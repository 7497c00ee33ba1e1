//! Tests the policy in `examples/github-cop` with a simulated organisation.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::process::output;
use crate::world::World;

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/github-cop")
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Returns 60 repositories. Some of them are archived, excluded, empty or public. Others are
/// databases, are tests, or belong to the collection `ui`.
fn organisation() -> Value {
    let branches = json!({ "main": {}, "develop": {} });
    let mut repositories = json!({});
    for n in 0..45 {
        repositories[format!("service-{n:02}")] = json!({ "branches": branches });
    }
    for name in ["orders-database", "test-database", "load-tests", "payments", "shop"] {
        repositories[name] = json!({ "branches": { "master": {} } });
    }
    for name in ["empty-one", "empty-two"] {
        repositories[name] = json!({});
    }
    for name in ["old-one", "old-two", "old-three"] {
        repositories[name] = json!({ "archived": true, "branches": branches });
    }
    repositories["Sandbox"] = json!({ "branches": branches });
    repositories["legacy-monolith"] = json!({ "branches": branches });
    repositories["website"] = json!({ "branches": branches, "visibility": "public" });
    repositories["shop-frontend"] =
        json!({ "branches": branches, "properties": { "collection": "ui", "pr-validation": "true" } });
    repositories["github-cop"] = json!({
        "branches": { "master": {} },
        "workflows": { "police.yml": {
            "inputs": ["repo-to-police", "beadle-token"],
            "run_name": "police ${{ inputs.repo-to-police }} ${{ inputs.beadle-token }}",
        } },
    });
    // A person gave this team access. The team keeps its access, because the policy never removes
    // access.
    repositories["shop"]["teams"] = json!({ "contractors": "push" });
    repositories["shop"]["autolinks"] =
        json!({ "APOPS-": { "url_template": "https://old.example.com/<num>", "is_alphanumeric": true } });
    let teams = [
        "infosec",
        "devops",
        "ci",
        "engineering",
        "uileads",
        "dataleads",
        "dataarchitect",
        "servicesleads",
        "testleads",
        "contractors",
    ];
    let teams: Value = teams.iter().map(|team| ((*team).to_owned(), json!({}))).collect();
    json!({
        "orgs": { "acme": { "members": ["automation-ci"], "teams": teams, "repos": repositories } },
        "users": { "automation-ci": {}, "octocat": {} },
        "apps": { "beadle-app": { "id": beadle_sim::APP_ID } },
    })
}

/// Creates the organisation, with the policy and the dispatch rule of the example.
async fn world() -> World {
    let mut world = World::unlimited(organisation()).await;
    copy(&example().join("policy"), &world.path().join("policy"));
    let text = std::fs::read_to_string(example().join("beadle.toml")).unwrap();
    let dispatch = text.split("[[org.dispatch]]").nth(1).unwrap();
    let dispatch = dispatch.replace("mode = \"observe\"", "mode = \"enforce\"");
    world.org_lines = format!(
        "policy_repository = \"github-cop\"\n{}[org.guard]\nexposes = 1000\n[[org.dispatch]]{dispatch}",
        world.org_lines
    );
    world
}

/// Returns a repository without its security features. The code security configuration of the
/// organisation sets these features in all repositories. The configuration also sets these features
/// in repositories outside the policy.
fn without_features(repository: &Value) -> Value {
    let features = [
        "security_and_analysis",
        "vulnerability_alerts",
        "automated_security_fixes",
        "private_vulnerability_reporting",
        "code_scanning",
    ];
    let kept = repository.as_object().unwrap().iter().filter(|(key, _)| !features.contains(&key.as_str()));
    kept.map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn is_policed(name: &str, found: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut expect = |holds: bool, what: &str| {
        if !holds {
            wrong.push(format!("{name}: {what}"));
        }
    };
    let wanted = if name == "website" { "public" } else { "internal" };
    expect(found["visibility"] == wanted, "visibility");
    expect(
        found["actions"]["enabled"] == json!(true) && found["actions"]["allowed_actions"] == "selected",
        "actions",
    );
    expect(
        found["delete_branch_on_merge"] == json!(true) && found["allow_squash_merge"] == json!(true),
        "merging",
    );
    for (team, role) in [("infosec", "pull"), ("devops", "admin"), ("ci", "admin"), ("engineering", "push")] {
        expect(found["teams"][team] == role, team);
    }
    let approvals = if name == "payments" { 2 } else { 1 };
    for branch in ["master", "develop", "main", "release/*"] {
        let rule = &found["protection"][branch];
        let reviews = &rule["required_pull_request_reviews"];
        expect(reviews["required_approving_review_count"] == approvals, &format!("{branch}: approvals"));
        expect(reviews["require_last_push_approval"] == json!(true), &format!("{branch}: last push"));
        expect(
            reviews["bypass_pull_request_allowances"]["users"] == json!(["automation-ci"]),
            &format!("{branch}: bypass"),
        );
        expect(rule["restrictions"].is_object(), &format!("{branch}: nobody pushes"));
        expect(rule["allow_deletions"] == json!(branch == "release/*"), &format!("{branch}: deletions"));
        let checks = rule["required_status_checks"]["checks"].as_array().map_or(0, Vec::len);
        expect(checks == if name == "shop-frontend" { 2 } else { 1 }, &format!("{branch}: checks"));
    }
    for key in ["APO-", "APOPS-"] {
        let link = &found["autolinks"][key];
        expect(link["is_alphanumeric"] == json!(false), key);
        expect(link["url_template"] == format!("https://tickets.example.com/browse/{key}<num>"), key);
    }
    expect(found["autolinks"].as_object().is_some_and(|links| links.len() == 43), "43 autolinks");
    wrong
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_of_the_cop_is_applied_and_a_second_run_writes_nothing() {
    let world = world().await;
    let before = world.sim.state()["orgs"]["acme"]["repos"].clone();
    assert_eq!(before.as_object().unwrap().len(), 60);
    world.beadle(&["apply", "--yes"]).await.expect(0);
    let after = world.sim.state()["orgs"]["acme"]["repos"].clone();
    let untouched = ["old-one", "old-two", "old-three", "Sandbox", "legacy-monolith", "github-cop"];
    let mut wrong = Vec::new();
    for (name, found) in after.as_object().unwrap() {
        if untouched.contains(&name.as_str()) {
            assert_eq!(without_features(found), without_features(&before[name]), "{name} is left alone");
        } else {
            wrong.extend(is_policed(name, found));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let team = |name: &str, team: &str| after[name]["teams"][team].clone();
    assert_eq!(team("test-database", "dataleads"), "admin", "a database first");
    assert_eq!(team("test-database", "testleads"), "push");
    assert_eq!(team("load-tests", "testleads"), "admin");
    assert_eq!(team("shop", "servicesleads"), "admin");
    assert_eq!(team("shop", "contractors"), "push", "access is never removed");
    assert_eq!(
        (team("shop-frontend", "uileads"), team("shop-frontend", "servicesleads")),
        (json!("admin"), Value::Null)
    );
    let configurations = &world.sim.state()["orgs"]["acme"]["security_configurations"]["everybody"];
    assert_eq!(configurations["repositories"].as_array().unwrap().len(), 57, "all but the archived ones");
    for name in ["Sandbox", "shop"] {
        assert_eq!(after[name]["vulnerability_alerts"], json!(true), "{name}: the configuration is attached");
    }
    let writes = world.writes().len();
    world.beadle(&["apply", "--yes"]).await.expect(0);
    assert_eq!(world.writes().len(), writes, "the second run wrote something");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dispatch_example_dispatches_the_workflow() {
    let world = world().await;
    let serving = world.serve().await;
    world.connect();
    world.patch(json!({ "brand-new": {} }), true).await;
    world.until("github-cop", "dispatch", |cop| !cop["runs"].as_array().unwrap().is_empty()).await;
    let run = world.repository("github-cop")["runs"][0].clone();
    assert_eq!(run["inputs"]["repo-to-police"], "brand-new");
    assert!(run["display_title"].as_str().unwrap().starts_with("police brand-new beadle-"), "{run}");
    world.until("brand-new", "policing", |found| is_policed("brand-new", found).is_empty()).await;
    assert_eq!(serving.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_example_is_valid_and_its_tests_pass() {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_beadle"));
    command.arg("--config").arg(example().join("beadle.toml")).args(["check", "--json"]);
    let output = output(command).await;
    let checked: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(checked[0]["problems"], json!([]), "{checked}");
    assert_eq!((output.status.code(), &checked[0]["tests"]), (Some(0), &json!(8)));
}
