//! Tests the gate. If a new generation of the policy would change too much, the gate holds the
//! whole generation. Until an approval, the previous generation stays in force.

use std::time::Duration;

use serde_json::{Value, json};

use crate::repair::{POLICY, declared, is_declared};
use crate::world::{Serving, World, acme};

/// Returns repositories that are as declared.
fn repositories(count: usize) -> Value {
    let repositories = (0..count).map(|n| (format!("r{n:02}"), declared()));
    Value::Object(repositories.collect())
}

/// Returns a world with the default limits of the gate, and a service that has swept the
/// repositories once. The policy gives two teams access to 30 repositories.
async fn world() -> (World, Serving) {
    let mut world = World::new(acme(repositories(30))).await;
    world.org_lines = "[org.gate]\npercent = 10\n".into();
    world.policy("settings.yml", POLICY);
    let serving = world.serve().await;
    world.connect();
    world.until_swept(&serving).await;
    world.until_idle().await;
    (world, serving)
}

/// Changes the policy: the team engineering no longer has access. Then the service reads the policy
/// twice.
async fn change(world: &World, policy: &str) {
    world.policy("settings.yml", policy);
    world.read_policy().await;
    world.read_policy().await;
}

fn without_a_team() -> String {
    POLICY.replace("  - { name: engineering, permission: push }\n", "")
}

/// Returns the held generations.
pub(crate) async fn held(world: &World) -> Vec<Value> {
    let holds = world.beadle(&["holds", "--json"]).await.expect(0);
    let holds = holds.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    holds.filter(|hold| hold.get("groups").is_some()).collect()
}

fn with_engineering(world: &World) -> usize {
    world.sim.look(|state| {
        let repositories = state["orgs"]["acme"]["repos"].as_object().unwrap().values();
        repositories.filter(|repository| repository["teams"].get("engineering").is_some()).count()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_line_that_removes_a_team_everywhere_writes_nothing_before_one_approval() {
    let (world, serving) = world().await;
    let before = world.writes().len();
    change(&world, &without_a_team()).await;
    let held = held(&world).await;
    assert_eq!(held.len(), 1, "{}", serving.log());
    let (hold, group) = (&held[0], &held[0]["groups"][0]);
    assert_eq!((&hold["sums"]["risks"]["removes"], &hold["total"]), (&json!(30), &json!(30)));
    assert_eq!((&group["what"], &group["repositories"]), (&json!("team engineering"), &json!(30)));
    assert_eq!(hold["held_by"], json!("service"));
    let shown = world.beadle(&["plan"]).await;
    let notice = format!("the service holds the policy {}", hold["generation"].as_str().unwrap());
    assert!(shown.out.contains(&notice), "{}", shown.out);
    let shown = world.beadle(&["doctor"]).await;
    assert!(shown.out.contains(&notice), "{}", shown.out);
    let shown = world.beadle(&["holds"]).await.expect(0);
    assert!(shown.out.contains("removes teams: team engineering in 30 repositories"), "{}", shown.out);
    assert_eq!(world.writes().len(), before, "nothing is written");

    // The service still repairs drift according to the previous generation.
    world.patch(json!({ "r00": { "teams": { "contractors": "admin" } } }), true).await;
    world.until("r00", "repair by the last generation", is_declared).await;

    let generation = hold["generation"].as_str().unwrap().to_owned();
    let refused = world.beadle(&["approve", &generation]).await.expect(1);
    assert!(refused.err.contains("needs a reason"), "{}", refused.err);
    world.beadle(&["approve", &generation, "--reason", " "]).await.expect(1);
    world.beadle(&["approve", &generation, "--reason", "the team is closed"]).await.expect(0);
    world.read_policy().await;
    for n in 0..30 {
        let is_removed = |repository: &Value| repository["teams"] == json!({ "platform": "admin" });
        world.until(&format!("r{n:02}"), "the approved removal", is_removed).await;
    }
    assert_eq!(self::held(&world).await, Vec::<Value>::new());
    let journal = world.beadle(&["journal", "--format", "ndjson"]).await.expect(0);
    assert!(journal.out.contains("the team is closed"), "{}", journal.out);
    assert_eq!(serving.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn common_mistakes_in_a_policy_write_nothing_before_an_approval() {
    const SUBORG: &str = "suborgrepos: ['r*']\nteams:\n  - { name: engineering, permission: push }\n";
    let mut world = World::new(acme(repositories(30))).await;
    world.org_lines = "[org.gate]\npercent = 10\n".into();
    let settings = without_a_team();
    world.policy("settings.yml", &settings).policy("suborgs/all.yml", SUBORG);
    let serving = world.serve().await;
    world.until_swept(&serving).await;
    world.until_idle().await;
    assert!(world.writes().is_empty());
    let public = settings.replace("visibility: private", "visibility: public");
    let (unmatched, renamed) = (SUBORG.replace("r*", "x*"), SUBORG.replace("engineering", "security"));
    for (what, file, text, right) in [
        ("a file with only comments", "suborgs/all.yml", "# to do\n", SUBORG),
        ("a selector without a match", "suborgs/all.yml", unmatched.as_str(), SUBORG),
        ("another team", "suborgs/all.yml", renamed.as_str(), SUBORG),
        ("a public default", "settings.yml", public.as_str(), settings.as_str()),
    ] {
        world.policy(file, text);
        world.read_policy().await;
        world.read_policy().await;
        let held = held(&world).await;
        assert_eq!(held.len(), 1, "{what}: {}", serving.log());
        assert_eq!(held[0]["sums"]["repositories"], json!(30), "{what}: {}", held[0]);
        world.policy(file, right);
        world.read_policy().await;
        assert_eq!(self::held(&world).await, Vec::<Value>::new(), "{what}");
    }
    world.until_idle().await;
    assert!(world.writes().is_empty(), "{:?}", world.writes());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revert_withdraws_a_held_generation() {
    let (world, _serving) = world().await;
    change(&world, &without_a_team()).await;
    assert_eq!(held(&world).await.len(), 1);
    world.policy("settings.yml", POLICY);
    world.read_policy().await;
    assert_eq!(held(&world).await, Vec::<Value>::new());
    assert_eq!(with_engineering(&world), 30);
    let journal = world.beadle(&["journal"]).await.expect(0);
    for text in [") held by the service: ", "withdrawn: the policy"] {
        assert_eq!(journal.out.matches(text).count(), 1, "{text}: {}", journal.out);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_is_for_the_plan_that_was_shown() {
    let (world, _serving) = world().await;
    change(&world, &without_a_team()).await;
    let first = held(&world).await.remove(0);
    let generation = first["generation"].as_str().unwrap().to_owned();
    world.beadle(&["approve", &generation, "--reason", "the team is closed"]).await.expect(0);
    // Another repository with the team appears before the generation comes into force.
    world.patch(json!({ "r30": declared() }), false).await;
    world.read_policy().await;
    let second = held(&world).await.remove(0);
    assert_ne!(first["digest"], second["digest"]);
    assert_eq!(second["approved"], Value::Null, "the new plan needs an approval of its own");
    assert_eq!(with_engineering(&world), 31);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_generation_stays_held_after_a_kill_and_a_restart_with_its_files() {
    let (world, serving) = world().await;
    change(&world, &without_a_team()).await;
    assert_eq!(held(&world).await.len(), 1);
    serving.kill();
    let serving = world.serve().await;
    world.read_policy().await;
    assert_eq!(held(&world).await.len(), 1, "{}", serving.log());
    world.patch(json!({ "r07": { "teams": { "contractors": "admin" } } }), true).await;
    world.until("r07", "repair by the last generation", is_declared).await;
    assert_eq!(with_engineering(&world), 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_policy_of_an_organisation_writes_nothing_before_an_approval() {
    let mut drifted = repositories(30);
    for repository in drifted.as_object_mut().unwrap().values_mut() {
        repository["teams"]["contractors"] = json!("admin");
        repository["has_wiki"] = json!(true);
    }
    let mut world = World::new(acme(drifted)).await;
    world.org_lines = "[org.gate]\npercent = 10\n".into();
    world.policy("settings.yml", POLICY);
    let serving = world.spawn(&[("FAILPOINTS", "settle=return")]).ready(world.operator()).await;
    world.read_policy().await;
    let held = held(&world).await;
    assert_eq!(held.len(), 1, "{}", serving.log());
    assert_eq!(held[0]["sums"]["risks"]["removes"], json!(30));
    assert!(world.writes().is_empty());
    let generation = held[0]["generation"].as_str().unwrap().to_owned();
    world.beadle(&["approve", &generation, "--reason", "read it"]).await.expect(0);
    world.read_policy().await;
    for n in 0..30 {
        world.until(&format!("r{n:02}"), "the approved policy", is_declared).await;
    }
    // After a kill during an approved write, the change would need another approval. So the test
    // waits.
    world.until_idle().await;
    serving.kill();
    // After a restart, the service works with the accepted policy immediately.
    let _serving = world.spawn(&[("FAILPOINTS", "settle=return")]).ready(world.operator()).await;
    world.connect();
    world.patch(json!({ "r12": { "teams": { "contractors": "admin" } } }), true).await;
    world.until("r12", "repair by the accepted policy", is_declared).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mode_that_becomes_enforce_writes_nothing_before_an_approval() {
    let mut drifted = repositories(30);
    for repository in drifted.as_object_mut().unwrap().values_mut() {
        repository["teams"]["contractors"] = json!("admin");
    }
    let mut world = World::new(acme(drifted)).await;
    world.org_lines = "[org.gate]\npercent = 10\n".into();
    world.policy("settings.yml", POLICY);
    world.mode = "add-only";
    let serving = world.spawn(&[("FAILPOINTS", "settle=return")]).ready(world.operator()).await;
    world.read_policy().await;
    assert_eq!(held(&world).await, Vec::<Value>::new(), "{}", serving.log());
    serving.kill();
    world.mode = "enforce";
    let serving = world.spawn(&[("FAILPOINTS", "settle=return")]).ready(world.operator()).await;
    world.read_policy().await;
    // The service has accepted this generation, but not together with this mode.
    world.run_task("opening%20of%20acme").await;
    assert_eq!(held(&world).await.len(), 1, "{}", serving.log());
    assert_eq!(serving.log().matches("policy in force").count(), 1, "{}", serving.log());
    assert!(world.writes().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn apply_of_a_policy_that_no_service_accepted_writes_nothing_before_an_approval() {
    let mut drifted = repositories(30);
    for repository in drifted.as_object_mut().unwrap().values_mut() {
        repository["teams"]["contractors"] = json!("admin");
    }
    let mut world = World::new(acme(drifted)).await;
    world.org_lines = "[org.gate]\npercent = 10\n".into();
    world.policy("settings.yml", POLICY);
    let refused = world.beadle(&["apply", "--yes"]).await.expect(2);
    assert!(refused.err.contains("no service has accepted this policy"), "{}", refused.err);
    assert!(world.writes().is_empty());
    let held = held(&world).await.remove(0);
    let generation = held["generation"].as_str().unwrap();
    world.beadle(&["approve", generation, "--reason", "read it"]).await.expect(0);
    // There are more changes than the guard allows, but the guard does not count approved changes.
    world.beadle(&["apply", "--yes"]).await.expect(0);
    for n in 0..30 {
        assert!(is_declared(&world.repository(&format!("r{n:02}"))), "r{n:02}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_repositories_whose_resolved_policy_changed_become_due() {
    let mut world = World::new(acme(repositories(40))).await;
    world.org_lines = "[org.gate]\npercent = 10\n".into();
    world.policy("settings.yml", POLICY);
    let serving = world.serve().await;
    world.until_swept(&serving).await;
    world.until_idle().await;
    let layer = "suborgrepos: [r03, r17, r39]\nrepository:\n  has_projects: false\n";
    world.policy("suborgs/three.yml", layer);
    world.read_policy().await;
    world.read_policy().await;
    for name in ["r03", "r17", "r39"] {
        let is_written = |repository: &Value| repository["has_projects"] == json!(false);
        world.until(name, "the new policy", is_written).await;
    }
    world.until_idle().await;
    let log = serving.log();
    let due = log.lines().find(|line| line.contains("keys affected by the policy due"));
    assert!(due.is_some_and(|line| line.contains("keys=3") || line.contains("\"keys\":3")), "{log}");
    assert_eq!(serving.log().matches("sweep started").count(), 1, "no further sweep: {}", serving.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generation_that_cannot_be_planned_waits_and_says_why() {
    let (world, serving) = world().await;
    world.fault(json!({ "path": "/teams", "status": 502 })).await;
    let layer = "suborgrepos: [r03]\nrepository:\n  has_projects: false\n";
    world.policy("suborgs/one.yml", layer);
    world.read_policy().await;
    world.read_policy().await;
    assert!(serving.log().contains("waits for the gate"), "{}", serving.log());
    assert_ne!(world.repository("r03")["has_projects"], json!(false));
    world.no_faults().await;
    let is_written = |repository: &Value| repository["has_projects"] == json!(false);
    for _ in 0..600 {
        world.read_policy().await;
        if is_written(&world.repository("r03")) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the generation is not in force: {}", serving.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_with_a_base_shows_only_what_the_policy_changes_and_the_verdict() {
    let mut world = World::new(acme(repositories(20))).await;
    world.org_lines = "[org.gate]\npercent = 10\n".into();
    world.patch(json!({ "r03": { "has_wiki": true } }), false).await;
    let base = world.path().join("base");
    std::fs::create_dir(&base).unwrap();
    std::fs::write(base.join("settings.yml"), POLICY).unwrap();
    let base = base.to_str().unwrap();
    world.policy("settings.yml", &without_a_team());
    let planned = world.beadle(&["plan", "--base", base, "--format", "json"]).await.expect(2).json();
    let preview = &planned["preview"];
    assert_eq!(
        (&preview["affected"], &preview["total"], &preview["drift"], &preview["held"]),
        (&json!(20), &json!(20), &json!(1), &json!(true)),
        "{preview:#}"
    );
    let repositories = planned["organisations"][0]["repositories"].as_array().unwrap();
    assert_eq!(repositories.len(), 20);
    for repository in repositories {
        let changes = repository["changes"].as_array().unwrap();
        assert_eq!(changes.len(), 1, "{repository:#}");
        assert_eq!(changes[0]["what"], json!("team engineering"));
    }
    let text = world.beadle(&["plan", "--base", base]).await.expect(2);
    assert!(text.out.contains("the service would hold this policy"), "{}", text.out);
    let markdown = world.beadle(&["plan", "--base", base, "--format", "markdown"]).await.expect(2);
    assert!(markdown.out.contains("| `team engineering` | 20 |"), "{}", markdown.out);
    world.policy("settings.yml", POLICY);
    let same = world.beadle(&["plan", "--base", base]).await.expect(0);
    assert!(same.out.contains("0 of 20 repositories affected"), "{}", same.out);
    assert!(world.writes().is_empty());
}
