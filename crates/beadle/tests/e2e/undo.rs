//! Tests that `beadle undo` restores the values that were there before a write. The restored values
//! stay until an operator runs `beadle resume`.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::world::{World, acme};

const POLICY: &str = "repository: { has_wiki: false }\nteams: [{ name: platform, permission: admin }]\n";

async fn world() -> World {
    let shop = json!({ "branches": { "main": {} }, "has_wiki": true, "teams": { "contractors": "push" } });
    let world = World::new(acme(json!({ "shop": shop }))).await;
    world.policy("settings.yml", POLICY);
    world
}

/// Returns whether the repository is as it was before Beadle changed it.
fn is_undone(world: &World) -> bool {
    let shop = world.repository("shop");
    shop["has_wiki"] == json!(true) && shop["teams"] == json!({ "contractors": "push" })
}

/// Returns whether the repository is as the policy declares.
fn is_declared(world: &World) -> bool {
    let shop = world.repository("shop");
    shop["has_wiki"] == json!(false) && shop["teams"] == json!({ "platform": "admin" })
}

/// Returns the number of the last entry of this kind in the journal.
async fn last(world: &World, kind: &str) -> String {
    let journal = world.beadle(&["journal", "--format", "ndjson"]).await.expect(0).out;
    let mut entries = journal.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    entries.rfind(|entry| entry["kind"] == kind).unwrap()["seq"].to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undone_write_stays_undone_until_the_operator_resumes_it() {
    let world = world().await;
    world.beadle(&["apply", "--yes"]).await.expect(0);
    assert!(is_declared(&world));
    let future = world.beadle(&["undo", "--since", "2999-12-01T09:00:00Z", "--yes"]).await.expect(1);
    assert!(future.err.contains("must not be in the future"), "{}", future.err);
    // Without a terminal, a removal needs `--yes`.
    world.beadle(&["undo", "--since", "1h"]).await.expect(1);
    assert!(is_declared(&world));
    let undo = ["undo", "--since", "1h", "--yes", "--as", "mona", "--reason", "the wrong team"];
    world.beadle(&undo).await.expect(0);
    assert!(is_undone(&world));
    let of_mona = world.beadle(&["journal", "--who", "mona"]).await.expect(0).out;
    assert!(of_mona.contains("mona (system user ") && of_mona.contains(") began the undo of"), "{of_mona}");
    assert!(of_mona.contains(": the wrong team"), "{of_mona}");
    let applied = world.beadle(&["apply", "--yes"]).await.expect(2);
    assert!(is_undone(&world), "{}", applied.out);
    assert!(applied.out.contains("beadle resume --repo acme/shop"), "{}", applied.out);
    let why = "skipped: an operator undid this, and Beadle only observes it";
    assert!(applied.out.contains(why), "{}", applied.out);
    assert!(applied.out.contains("skipped because of an undo"), "{}", applied.out);
    assert!(!applied.out.contains("mode `observe`"), "{}", applied.out);
    // The end of a pause does not end the undo.
    world.beadle(&["pause", "--org", "acme", "--for", "1h", "--as", "ann"]).await.expect(0);
    world.beadle(&["resume", "--org", "acme", "--as", "ann", "--reason", "released"]).await.expect(0);
    let of_ann = world.beadle(&["journal", "--who", "ann"]).await.expect(0).out;
    assert!(
        of_ann.contains(") paused it until ") && of_ann.contains(") ended the pause: released"),
        "{of_ann}"
    );
    world.beadle(&["apply", "--yes"]).await.expect(2);
    assert!(is_undone(&world));
    world.beadle(&["undo", "--since", "1h", "--yes"]).await.expect(0);
    assert!(is_undone(&world), "nothing is left to undo");
    world.beadle(&["resume", "--repo", "acme/shop"]).await.expect(0);
    world.beadle(&["resume", "--repo", "acme/shop"]).await.expect(1);
    world.beadle(&["apply", "--yes"]).await.expect(0);
    assert!(is_declared(&world));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_the_service_and_an_undo_can_be_undone_by_their_numbers() {
    let world = world().await;
    let serving = world.serve().await;
    world.until("shop", "the first sweep", |shop| shop["teams"] == json!({ "platform": "admin" })).await;
    world.until_swept(&serving).await;
    world.until_idle().await;
    assert!(is_declared(&world));
    assert_eq!(serving.stop().await, Some(0));
    let sweeps = world.beadle(&["journal", "--only", "sweep"]).await.expect(0).out;
    let sweep = format!("  sweep {} ended after ", last(&world, "sweep").await);
    assert!(sweeps.lines().next().is_some_and(|line| line.contains(&sweep)), "{sweeps}");
    let number = last(&world, "run").await;
    let journal = world.beadle(&["journal", "--numbers", "--repo", "shop"]).await.expect(0).out;
    let is_it = |line: &str| line.starts_with(&format!("{number}  ")) && line.contains(" written");
    assert!(journal.lines().any(is_it), "{number} is not in {journal}");
    world.beadle(&["undo", &number, "--yes"]).await.expect(0);
    assert!(is_undone(&world));
    let journal = world.beadle(&["journal", "--repo", "shop"]).await.expect(0).out;
    assert!(journal.contains(&format!("; undo of run {number}")), "{journal}");
    // A second undo of the run says that the run is undone, by whom, and how to undo this undo.
    let undo = last(&world, "operator").await;
    let again = world.beadle(&["undo", &number, "--yes"]).await.expect(0);
    let earlier = format!(" with undo {undo}; to undo this undo: `beadle undo {undo}`");
    assert!(
        again.err.contains(" already undid these writes at ") && again.err.contains(&earlier),
        "{}",
        again.err
    );
    world.beadle(&["undo", &last(&world, "run").await, "--yes"]).await.expect(0);
    assert!(is_declared(&world));
    // Each undo can be undone as a whole.
    for is_as_expected in [is_undone, is_declared] {
        let undone = world.beadle(&["undo", &last(&world, "operator").await, "--yes"]).await.expect(0);
        assert!(is_as_expected(&world), "{}", undone.out);
        let hint = format!("to undo this undo: `beadle undo {}`", last(&world, "operator").await);
        assert!(undone.err.contains(&hint), "{hint}: {}", undone.err);
    }
    // The command replaces `last-sweep` with the number of the sweep. With `--yes`, which asks no
    // question, the command accepts only the number.
    let sweep = last(&world, "sweep").await;
    let planned = world.beadle(&["undo", "last-sweep"]).await.expect(1);
    assert!(
        planned.err.contains(&format!("last-sweep of acme: sweep {sweep} ended after ")),
        "{}",
        planned.err
    );
    let refused = world.beadle(&["undo", "last-sweep", "--yes"]).await.expect(1);
    assert!(refused.err.contains(&format!("`beadle undo {sweep} --yes`")), "{}", refused.err);
    assert!(is_declared(&world), "nothing was written");
    world.beadle(&["undo", &sweep, "--yes"]).await.expect(0);
    assert!(is_undone(&world), "the sweep has the same writes");
    let undo = last(&world, "operator").await;
    let again = world.beadle(&["undo", "last-sweep", "--json"]).await.expect(0).json();
    assert_eq!(again["earlier_undos"][0]["number"].to_string(), undo, "{again}");
    assert_eq!(again["undo"], json!(format!("undo of sweep {sweep}")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_that_only_adds_needs_a_confirmation_too() {
    let both = json!({ "platform": "admin", "contractors": "push" });
    let shop = json!({ "branches": { "main": {} }, "teams": both });
    let world = World::new(acme(json!({ "shop": shop }))).await;
    world.policy("settings.yml", "teams: [{ name: platform, permission: admin }]\n");
    world.beadle(&["apply", "--yes"]).await.expect(0);
    assert_eq!(world.repository("shop")["teams"], json!({ "platform": "admin" }));
    let writes = world.writes().len();
    let undone = world.beadle(&["undo", "--since", "1h"]).await.expect(1);
    assert!(undone.out.contains("1 restoration") && !undone.out.contains("removal"), "{}", undone.out);
    assert!(undone.err.contains("add `--yes`"), "{}", undone.err);
    assert_eq!(world.writes().len(), writes, "nothing was written");
    let journal = world.beadle(&["journal", "--format", "ndjson"]).await.expect(0).out;
    assert!(!journal.contains("\"kind\":\"operator\""), "the undo began: {journal}");
    world.beadle(&["undo", "--since", "1h", "--yes"]).await.expect(0);
    assert_eq!(world.repository("shop")["teams"], both);
}

/// Returns the code of the only group of held changes.
async fn held_group(world: &World) -> String {
    let holds = world.beadle(&["holds", "--json"]).await.expect(0).out;
    let holds = holds.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let codes: BTreeSet<String> = holds.map(|hold| hold["group"].as_str().unwrap().to_owned()).collect();
    assert_eq!(codes.len(), 1, "{codes:?}");
    codes.into_iter().next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approved_group_is_undone_by_its_code_and_the_guard_checks_an_undo_too() {
    let repository = || json!({ "branches": { "main": {} }, "teams": { "contractors": "push" } });
    let mut world = World::new(acme(json!({ "shop": repository(), "store": repository() }))).await;
    world.org_lines = "[org.guard]\nremoves = 0\n".into();
    world.policy("settings.yml", "teams: [{ name: platform, permission: admin }]\n");
    let have = |teams: &Value| ["shop", "store"].iter().all(|name| world.repository(name)["teams"] == *teams);
    world.beadle(&["apply", "--yes"]).await.expect(2);
    let group = held_group(&world).await;
    world.beadle(&["approve", &group, "--reason", "the contract ended"]).await.expect(0);
    world.beadle(&["apply", "--yes"]).await.expect(0);
    assert!(have(&json!({ "platform": "admin" })));
    // The undo reverts only the approved changes.
    world.beadle(&["undo", &group, "--yes"]).await.expect(0);
    assert!(have(&json!({ "contractors": "push", "platform": "admin" })));

    let held = world.beadle(&["undo", "--since", "1h", "--yes"]).await.expect(2);
    assert!(have(&json!({ "contractors": "push", "platform": "admin" })), "the guard allows no removal");
    let reason = "the guard would hold 2 of the 2 changes in acme: guard limit reached: at most 0 removals in 60 min, 0 used";
    assert!(held.err.contains(reason), "{}", held.err);
    let group = held_group(&world).await;
    let approved = world.beadle(&["approve", &group, "--reason", "the wrong team"]).await.expect(0);
    assert!(approved.err.contains("run the same `beadle undo` again"), "{}", approved.err);
    // The policy does not ask for these changes. So a run of the policy does not write these
    // changes, and does not end their holds.
    world.beadle(&["apply", "--yes"]).await.expect(2);
    let undone = world.beadle(&["undo", "--since", "1h", "--yes"]).await.expect(0);
    assert!(!undone.err.contains("the guard would hold"), "{}", undone.err);
    assert!(have(&json!({ "contractors": "push" })));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_uses_no_limits_that_the_service_has_not_accepted() {
    let shop = json!({ "branches": { "main": {} }, "has_wiki": true });
    let mut world = World::new(acme(json!({ "shop": shop }))).await;
    world.org_lines = "[org.guard]\nremoves = 0\n".into();
    world.policy("settings.yml", POLICY);
    let serving = world.serve().await;
    world.until("shop", "the first sweep", |shop| shop["teams"] == json!({ "platform": "admin" })).await;
    world.until_idle().await;
    assert_eq!(serving.stop().await, Some(0));
    world.org_lines = "[org.guard]\nremoves = 500\n".into();
    let undone = world.beadle(&["undo", "--since", "1h", "--yes"]).await.expect(2);
    assert!(undone.err.contains("the service has not accepted the raised limits"), "{}", undone.err);
    assert_eq!(world.repository("shop")["teams"], json!({ "platform": "admin" }), "{}", undone.out);
}

const SETTINGS: &str = ".github/settings.yml";
/// The repositories that have to lose a team.
const NAMES: [&str; 4] = ["r0", "r1", "r2", "r3"];

/// Merges a new policy into the repository that contains the policy.
async fn merge(world: &World, policy: &str, author: &str, message: &str) {
    let commit = json!({ "author": author, "message": message });
    let admin = json!({ "contents": { SETTINGS: policy }, "commit": commit });
    world.patch(json!({ "admin": admin }), true).await;
}

/// Returns the number of the journal entry about the policy of an author, and the generation of the
/// policy.
async fn policy_of(world: &World, author: &str) -> (String, String) {
    let journal = world.beadle(&["journal", "--format", "ndjson"]).await.expect(0).out;
    let mut entries = journal.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let is_it = |entry: &Value| entry["kind"] == "policy" && entry["detail"]["author"] == author;
    let entry = entries.find(is_it).unwrap();
    let shown = world.beadle(&["journal", "--only", "policy", "--numbers"]).await.expect(0).out;
    let number = format!("{}  ", entry["seq"]);
    assert!(shown.lines().any(|line| line.starts_with(&number)), "{shown}");
    (entry["seq"].to_string(), entry["detail"]["in_force"].as_str().unwrap().to_owned())
}

/// Waits until the guard holds the removal of a team in each repository.
async fn until_held(world: &World) {
    for _ in 0..600 {
        let holds = world.beadle(&["holds", "--json"]).await.expect(0).out;
        if holds.lines().count() == NAMES.len() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the guard does not hold the removals");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approved_change_is_undone_with_the_policy_that_first_asked_for_it() {
    let both = "teams: [{ name: platform, permission: admin }, { name: contractors, permission: push }]\n";
    let one = "teams: [{ name: platform, permission: admin }]\n";
    let repository = || {
        let teams = json!({ "platform": "admin", "contractors": "push" });
        json!({ "branches": { "main": {} }, "has_wiki": true, "teams": teams })
    };
    let mut repositories = json!({ "admin": { "branches": { "main": {} }, "contents": { SETTINGS: both } } });
    for name in NAMES {
        repositories[name] = repository();
    }
    let mut world = World::unlimited(acme(repositories)).await;
    world.source = "{ repository = \"admin\", path = \".github\" }".into();
    world.org_lines.push_str("[org.guard]\nremoves = 0\n");
    let serving = world.serve().await;
    world.connect();
    world.until_swept(&serving).await;
    world.until_idle().await;

    // The guard holds the removals of the first commit. Then an unrelated commit comes into force.
    merge(&world, one, "ann", "Remove the contractors").await;
    until_held(&world).await;
    merge(&world, &format!("{one}repository: {{ has_wiki: false }}\n"), "bob", "Turn wikis off").await;
    for name in NAMES {
        world.until(name, "the second policy", |found| found["has_wiki"] == json!(false)).await;
    }
    world.until_idle().await;
    until_held(&world).await;
    let group = held_group(&world).await;
    world.beadle(&["approve", &group, "--reason", "the contract ended"]).await.expect(0);
    for name in NAMES {
        let is_removed = |found: &Value| found["teams"] == json!({ "platform": "admin" });
        world.until(name, "the approved removal", is_removed).await;
    }
    world.until_idle().await;
    assert_eq!(serving.stop().await, Some(0));

    let ((of_ann, first), (of_bob, second)) =
        (policy_of(&world, "ann").await, policy_of(&world, "bob").await);
    let journal = world.beadle(&["journal", "--repo", "r0"]).await.expect(0).out;
    assert!(journal.contains(&format!("; policy {first} first asked for it")), "{journal}");
    let have = |wiki: bool, teams: &Value| {
        let is_it = |found: Value| found["has_wiki"] == json!(wiki) && found["teams"] == *teams;
        NAMES.iter().all(|name| is_it(world.repository(name)))
    };
    let (without, with) =
        (json!({ "platform": "admin" }), json!({ "platform": "admin", "contractors": "push" }));

    // The plan as JSON has each change, and `--keys` limits the plan to one setting.
    let planned = world.beadle(&["undo", &of_ann, "--keys", "teams[contractors]", "--json"]).await.expect(2);
    let planned = planned.json();
    let found = planned["organisations"][0]["repositories"].as_array().unwrap();
    assert_eq!(found.len(), NAMES.len(), "{planned}");
    assert!(found.iter().all(|one| one["changes"][0]["what"] == "team contractors"), "{planned}");
    let asked =
        format!("policy {first} (commit {first} of acme/admin by ann: Remove the contractors) asked for");
    let afterwards = planned["afterwards"].to_string();
    assert!(afterwards.contains(&asked) && afterwards.contains("`beadle resume --org acme`"), "{planned}");
    let planned = world.beadle(&["undo", &of_ann, "--keys", "branches.main", "--json"]).await.expect(0);
    assert_eq!(planned.json()["organisations"], json!([]));
    let wrong = world.beadle(&["undo", &of_ann, "--keys", "has_wikis", "--yes"]).await.expect(1);
    assert!(wrong.err.contains("did you mean `repository.has_wiki`?"), "{}", wrong.err);
    assert!(have(false, &without), "a plan writes nothing");

    // The undo of the second policy does not restore the removed teams, and reports this.
    let undone = world.beadle(&["undo", &of_bob, "--yes"]).await.expect(0);
    assert!(have(true, &without), "{}", undone.out);
    for part in [
        format!(
            "policy {second} was in force during 8 writes; policy {first} (commit {first} of acme/admin by ann"
        ),
        format!(
            "first asked for 4 of them, so the undo leaves these writes out; to undo them: `beadle undo {first}`"
        ),
    ] {
        assert!(undone.err.contains(&part), "{part}: {}", undone.err);
    }
    assert!(undone.out.contains("4 repositories: acme/r"), "{}", undone.out);
    assert_eq!(undone.out.matches("settings      has_wiki: false → true\n").count(), 1, "{}", undone.out);

    // The undo of the first policy gives the teams back.
    let undone = world.beadle(&["undo", &first, "--yes"]).await.expect(0);
    assert!(have(true, &with), "{}", undone.out);
    let late =
        format!("policy {first} first asked for 4 writes that Beadle did while policy {second} was in force");
    assert!(undone.err.contains(&late), "{}", undone.err);
    assert!(
        undone.out.contains("+ restores teams         team contractors: permission: push\n"),
        "{}",
        undone.out
    );
    // The four equal results are one line, and one command undoes the undo of all repositories.
    let result = "   teams         team contractors: permission: push  written\n";
    assert_eq!(undone.out.matches(result).count(), 1, "{}", undone.out);
    let hint =
        format!("to undo this undo: `beadle undo {}`; the guard checks", last(&world, "operator").await);
    assert_eq!(undone.err.matches(&hint).count(), 1, "{}", undone.err);
    assert!(undone.err.contains("to follow the policy again: `beadle resume --org acme`"), "{}", undone.err);
    let number = last(&world, "operator").await;
    // The undo of the undo removes the teams again, so the guard holds these removals.
    let again = ["undo", &number, "--all-names", "--yes"];
    let held = world.beadle(&again).await.expect(2);
    assert!(held.out.contains("4 held by the guard") && have(true, &with), "{}", held.out);
    let group = held_group(&world).await;
    world.beadle(&["approve", &group, "--reason", "the contract ended"]).await.expect(0);
    let undone = world.beadle(&again).await.expect(0);
    assert!(have(true, &without), "the undo of the undo reverts each of its writes: {}", undone.out);
}
