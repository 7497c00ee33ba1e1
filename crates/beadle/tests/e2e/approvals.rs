//! Tests decisions about groups of held changes. A code is valid only for the changes that the
//! operator saw.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::repair::{POLICY, declared};
use crate::world::{Ran, World, acme};

/// Returns a world with 170 repositories. The policy removes one team from each repository. The
/// guard allows no removal.
async fn world() -> World {
    let drifted = |n: usize| {
        let mut repository = declared();
        repository["teams"]["contractors"] = json!("admin");
        (format!("r{n:03}"), repository)
    };
    let repositories: Value = (0..170).map(drifted).collect();
    let mut world = World::unlimited(acme(repositories)).await;
    world.org_lines = "[org.guard]\nremoves = 0\n".into();
    world.policy("settings.yml", POLICY);
    world
}

/// Returns the repositories in which the team still has a permission.
fn with_team(world: &World) -> Vec<String> {
    world.sim.look(|state| {
        let repositories = state["orgs"]["acme"]["repos"].as_object().unwrap().iter();
        let with_team = repositories.filter(|(_, one)| one["teams"].get("contractors").is_some());
        with_team.map(|(name, _)| name.clone()).collect()
    })
}

/// Finds the only group that waits for a decision. Returns its code and the number of its changes.
async fn waiting(world: &World) -> (String, usize) {
    let holds = world.beadle(&["holds", "--json"]).await.expect(0);
    let holds = holds.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let is_open = |hold: &Value| hold["approved_by"].is_null() && hold.get("rejected").is_none();
    let codes: Vec<String> =
        holds.filter(is_open).map(|hold| hold["group"].as_str().unwrap().to_owned()).collect();
    let groups: BTreeSet<&String> = codes.iter().collect();
    assert_eq!(groups.len(), 1, "{groups:?}");
    (codes[0].clone(), codes.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_decision_is_for_the_changes_that_were_shown_and_for_no_other() {
    let world = world().await;
    world.beadle(&["apply", "--yes"]).await.expect(2);
    let (first, count) = waiting(&world).await;
    assert_eq!(count, 170);
    let shown = world.beadle(&["holds"]).await.expect(0).out;
    let title = format!("{first}  removes teams: team contractors in 170 repositories  [settings.yml:");
    assert!(shown.contains(&title) && shown.contains("acme/r004 and 165 more"), "{shown}");
    assert!(!shown.contains("to approve all"), "one group has its own command: {shown}");
    let each = world.beadle(&["holds", &first]).await.expect(0).out;
    assert!(each.contains("acme/r000") && each.contains("acme/r169"), "{each}");

    // The value of one change is no longer the value that the operator saw.
    world.patch(json!({ "r000": { "teams": { "contractors": "push" } } }), false).await;
    world.beadle(&["apply", "--yes"]).await.expect(2);
    let stale = world.beadle(&["approve", &first, "--reason", "the contract ended"]).await.expect(1);
    assert!(stale.err.contains("a group that changes gets another code"), "{}", stale.err);
    let (second, count) = waiting(&world).await;
    assert!(second != first && count == 170, "{count}: nothing is approved");

    let refused = world.beadle(&["approve", &second]).await.expect(1);
    assert!(refused.err.contains("needs a reason"), "{}", refused.err);
    let refused = world.beadle(&["approve", &second, "--repo", "r999", "--reason", "any"]).await.expect(1);
    assert!(refused.err.contains("`r999` is not among the named changes"), "{}", refused.err);
    let kept = ["reject", second.as_str(), "--repo", "r001", "--reason", "its contract goes on"];
    world.beadle(&kept).await.expect(0);
    let (third, count) = waiting(&world).await;
    assert_eq!(count, 169, "the rejected change does not wait any more");

    let one = ["approve", third.as_str(), "--repo", "r002", "--as", "mona", "--reason", "try one"];
    world.beadle(&one).await.expect(0);
    world.beadle(&["apply", "--yes"]).await.expect(2);
    assert_eq!(with_team(&world).len(), 169);
    assert!(!with_team(&world).contains(&"r002".to_owned()), "the approved change, and no other");

    let (fourth, count) = waiting(&world).await;
    assert_eq!(count, 168);
    let all = ["approve", fourth.as_str(), "--as", "mona", "--reason", "the contract ended"];
    let approved = world.beadle(&all).await.expect(0);
    assert!(approved.out.contains("168 changes approved"), "{}", approved.out);
    let shown = world.beadle(&["holds"]).await.expect(0).out;
    assert!(shown.contains("approved by mona (system user "), "{shown}");
    world.beadle(&["apply", "--yes"]).await.expect(2);
    assert_eq!(with_team(&world), ["r001"], "it is still held");
    let shown = world.beadle(&["holds"]).await.expect(0).out;
    assert!(shown.contains("acme/r001") && shown.contains("(its contract goes on)"), "{shown}");

    let journal = world.beadle(&["journal", "--format", "ndjson"]).await.expect(0).out;
    let decisions: Vec<Value> = journal
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|entry| entry["kind"] == "operator")
        .collect();
    let of = |key: &str| decisions.iter().filter(|entry| entry["detail"].get(key).is_some()).count();
    assert_eq!((of("approved"), of("rejected")), (169, 1), "one entry for each decided change");
    let names_mona = |entry: &&Value| {
        entry["detail"]["by"].as_str().unwrap().starts_with("mona (system user ")
            && entry["detail"]["reason"] == "the contract ended"
            && entry["detail"]["group"] == fourth.as_str()
    };
    assert_eq!(decisions.iter().filter(names_mona).count(), 168);
}

/// Adds a comment to the only issue of the repository `admin`.
async fn comment(world: &World, id: u64, user: &str, is_edited: bool, code: &str) {
    let now = jiff::Timestamp::now();
    let updated = if is_edited { now + jiff::SignedDuration::from_secs(2) } else { now };
    let mut issues = world.repository("admin")["issues"].clone();
    issues[0]["comments"].as_array_mut().unwrap().push(json!({
        "id": id, "user": user, "body": format!("/beadle approve {code} the contract ended"),
        "created_at": format!("{now:.0}"), "updated_at": format!("{updated:.0}"),
    }));
    world.patch(json!({ "admin": { "issues": issues } }), false).await;
}

/// Returns Beadle's answers to comments.
fn answers(world: &World) -> Vec<String> {
    let admin = world.repository("admin");
    let comments = admin["issues"][0]["comments"].as_array().unwrap().iter();
    let bodies = comments.map(|comment| comment["body"].as_str().unwrap());
    bodies.filter(|body| body.starts_with("Beadle approves")).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comment_of_a_member_of_the_team_approves_and_no_other_comment_does() {
    const LOOK: &[&str] = &["tasks", "run", "approvals by comments at acme"];
    let issues = json!([{ "id": 5, "number": 3, "title": "held changes", "comments": [] }]);
    let files = json!({ "settings.yml": POLICY });
    let admin = json!({ "branches": { "main": {} }, "contents": files, "issues": issues });
    let mut drifted = declared();
    drifted["teams"]["contractors"] = json!("admin");
    let mut state = acme(json!({ "widgets": drifted, "admin": admin }));
    state["orgs"]["acme"]["teams"]["security"]["members"] = json!({ "ann": "member", "bob": "member" });
    let mut world = World::unlimited(state).await;
    world.source = "{ repository = \"admin\" }".into();
    world.org_lines =
        "approve_by_comment = { repository = \"admin\", team = \"security\" }\n[org.guard]\nremoves = 0\n"
            .into();
    let serving = world.serve().await;
    world.connect();
    let change = json!({
        "contents": { "settings.yml": POLICY.replace("has_wiki: false", "has_wiki: true") },
        "commit": { "author": "bob", "message": "Turn wikis on" },
    });
    world.patch(json!({ "admin": change }), true).await;
    world.until("widgets", "the policy of bob", |found| found["has_wiki"] == json!(true)).await;
    world.until_idle().await;
    let (code, count) = waiting(&world).await;
    assert_eq!(count, 1);

    comment(&world, 90_000_001, "bob", false, &code).await;
    comment(&world, 90_000_002, "cyd", false, &code).await;
    comment(&world, 90_000_003, "ann", true, &code).await;
    comment(&world, 90_000_004, "ann", false, "0123456789ab").await;
    world.beadle(LOOK).await.expect(0);
    assert_eq!(waiting(&world).await.1, 1, "{}", serving.log());
    let refused = answers(&world);
    assert_eq!(refused.len(), 2, "a person who is not in the team gets no answer: {refused:?}");
    assert!(refused[0].contains("a policy that they wrote"), "{refused:?}");
    assert!(refused[1].contains("no held change and no group of held changes has this code"), "{refused:?}");

    comment(&world, 99_000_000, "ann", false, &code).await;
    world.beadle(LOOK).await.expect(0);
    let is_removed = |found: &Value| found["teams"].get("contractors").is_none();
    world.until("widgets", "the approved removal", is_removed).await;
    assert_eq!(answers(&world).last().map(String::as_str), Some("Beadle approves 1 change."));
    let journal = world.beadle(&["journal", "--format", "ndjson"]).await.expect(0).out;
    let reason = "the contract ended (https://github.com/acme/admin/issues/3#issuecomment-99000000)";
    assert!(journal.contains("\"by\":\"ann\"") && journal.contains(reason), "{journal}");
    assert_eq!(serving.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_says_which_name_the_journal_gets_if_the_user_has_no_name() {
    let world = World::new(acme(json!({}))).await;
    world.make_store().await;
    let unnamed = async |args: &[&str]| {
        let mut command = world.command();
        for variable in ["SUDO_USER", "USER", "USERNAME"] {
            command.env_remove(variable);
        }
        Ran::of(command, args).await.expect(0)
    };
    let pause = ["pause", "--org", "acme", "--for", "1h"];
    let unknown = "the journal names `an unknown user`; to name the person who decides, add `--as NAME`";
    let ran = unnamed(&pause).await;
    assert!(ran.err.contains(unknown), "{}", ran.err);
    let ran = unnamed(&["resume", "--org", "acme", "--as", "mona"]).await;
    assert!(!ran.err.contains(unknown), "{}", ran.err);
    let journal = world.beadle(&["journal"]).await.expect(0).out;
    for line in ["an unknown user paused it until ", "mona (system user unknown) ended the pause"] {
        assert!(journal.contains(line), "{line}: {journal}");
    }
}
