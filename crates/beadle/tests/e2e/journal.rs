//! Tests the journal for people: sentences, the history of a setting, and names instead of ids.

use std::fs::File;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::repair::{POLICY, declared, is_declared};
use crate::world::{World, acme};

/// A running `beadle journal --follow`. When the value is dropped, the command is killed.
struct Following(Child);

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.0.kill(); // the process may have ended by itself
        let _ = self.0.wait();
    }
}

/// Gives a team access, like a person at GitHub. Also sends the webhook that GitHub would send.
pub(crate) async fn grant(world: &World, repository: &str, login: &str) {
    world.patch(json!({ repository: { "teams": { "contractors": "admin" } } }), false).await;
    let stored = world.repository(repository);
    let body = json!({
        "action": "added_to_repository", "organization": { "login": "acme" }, "sender": { "login": login },
        "team": { "id": 1, "slug": "contractors", "name": "contractors" },
        "repository": { "id": stored["id"], "name": repository, "owner": { "login": "acme" } },
    });
    let body = body.to_string();
    let sent = world.delivery(repository, "team", body.as_bytes()).send().await.unwrap();
    assert_eq!(sent.status(), 202);
    world.until(repository, "repair", is_declared).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_names_what_was_changed_back_who_made_it_and_which_line_asked() {
    let world = World::new(acme(json!({ "widgets": declared(), "gadgets": declared() }))).await;
    world.policy("settings.yml", POLICY);
    let serving = world.serve().await;
    world.until_swept(&serving).await;
    grant(&world, "widgets", "ann").await;
    grant(&world, "gadgets", "bob").await;
    world.until_idle().await;

    let all = world.beadle(&["journal"]).await.expect(0).out;
    let place = |text: &str| all.lines().position(|line| line.contains(text)).unwrap_or(usize::MAX);
    assert!(place("bob") < place("ann"), "the newest line is not the first one: {all}");
    let one = world.beadle(&["journal", "--repo", "acme/widgets"]).await.expect(0).out;
    assert!(!one.contains("gadgets") && !one.contains("repository:acme"), "{one}");
    let removed = world.beadle(&["journal", "--only", "removed,exposed", "--who", "Ann"]).await.expect(0).out;
    assert_eq!(removed.lines().count(), 1, "{removed}");
    for part in
        ["acme/widgets", "removed ", "contractors", "reverts a change by ann (team.added_to_repository"]
    {
        assert!(removed.contains(part), "`{part}` is not in {removed}");
    }
    assert!(removed.contains("; asked by settings.yml:") && removed.contains("` at "), "{removed}");
    let none = world.beadle(&["journal", "--only", "added"]).await.expect(0);
    assert!(none.out.is_empty() && none.err.contains("no such entries"), "{none:?}");
    let limited = world.beadle(&["journal", "--limit", "1"]).await.expect(0);
    assert!(limited.out.lines().count() == 1 && limited.err.contains("older entries"), "{limited:?}");
    let limited = world.beadle(&["journal", "--limit", "1", "--since", "1h"]).await.expect(0);
    assert!(limited.out.lines().count() == 1 && limited.err.contains("`--limit` above 1"), "{limited:?}");
    let sweeps = world.beadle(&["journal", "--only", "sweeps"]).await.expect(0);
    assert!(!sweeps.out.is_empty(), "{sweeps:?}");
    assert!(sweeps.out.lines().all(|line| line.contains("  sweep ")), "{sweeps:?}");
    let both = world.beadle(&["journal", "--only", "sweep,removed"]).await.expect(0).out;
    assert_eq!(both.lines().count(), sweeps.out.lines().count() + 2, "{both}");
    for kind in ["policy", "operator", "run", "result", "refused", "recovery", "dispatch", "contested"] {
        world.beadle(&["journal", "--only", kind]).await.expect(0);
    }
    let writes = world.beadle(&["journal", "--only", "intent"]).await.expect(0).out;
    assert!(writes.contains("contractors") && !writes.contains("  sweep "), "{writes}");
    let unknown = world.beadle(&["journal", "--only", "runs"]).await.expect(1);
    assert!(unknown.err.contains("sweep, added, changed, weakened, exposed, removed"), "{unknown:?}");

    let history = world.beadle(&["history", "widgets", "--setting", "contractors"]).await.expect(0).out;
    assert!(history.starts_with("acme/widgets\n"), "{history}");
    for part in ["teams: ", "\"admin\" → none", "reverts a change by ann"] {
        assert!(history.contains(part), "`{part}` is not in {history}");
    }
    let step =
        world.beadle(&["history", "acme/widgets", "--setting", "contractors", "--json"]).await.expect(0);
    let step = step.json();
    assert_eq!((&step["name"], &step["result"]), (&json!("acme/widgets"), &json!("written")));

    let deliveries = world.beadle(&["deliveries", "--repo", "acme/gadgets"]).await.expect(0).out;
    assert!(deliveries.lines().all(|line| line.contains("acme/gadgets")), "{deliveries}");
}

#[tokio::test(flavor = "multi_thread")]
async fn follow_shows_a_write_when_its_run_has_ended() {
    let world = World::new(acme(json!({ "widgets": declared() }))).await;
    world.policy("settings.yml", POLICY);
    let serving = world.serve().await;
    world.until_swept(&serving).await;
    let out = world.path().join("followed");
    let mut command = world.command();
    command.args(["journal", "--follow", "--since", "1h"]);
    command.stdout(File::create(&out).unwrap()).stderr(Stdio::null());
    let _following = Following(command.spawn().unwrap());
    grant(&world, "widgets", "ann").await;
    let begun = Instant::now();
    let shown = loop {
        let shown = std::fs::read_to_string(&out).unwrap();
        if let Some(line) = shown.lines().find(|line| line.contains("contractors")) {
            break line.to_owned();
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{shown}\n{}", serving.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert!(shown.contains("removed ") && shown.contains("reverts a change by ann"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_observe_the_journal_names_what_would_be_written() {
    let mut drifted = declared();
    drifted["teams"]["contractors"] = json!("admin");
    let mut world = World::new(acme(json!({ "widgets": drifted }))).await;
    world.mode = "observe";
    world.policy("settings.yml", POLICY);
    let serving = world.serve().await;
    world.until_swept(&serving).await;
    let journal = world.beadle(&["journal", "--repo", "acme/widgets"]).await.expect(0).out;
    for part in
        ["not written: removes team contractors (teams) asked by settings.yml:", "(skipped by the mode)"]
    {
        assert!(journal.contains(part), "`{part}` is not in {journal}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_was_always_as_declared_is_retried_by_its_name() {
    let world = World::new(acme(json!({ "widgets": declared() }))).await;
    world.policy("settings.yml", POLICY);
    world.make_store().await;
    let retried = world.beadle(&["queue", "--retry", "acme/widgets"]).await.expect(0).out;
    assert_eq!(retried, "acme/widgets is due now\n");
    let id = world.repository("widgets")["id"].to_string();
    let queue = world.beadle(&["queue"]).await.expect(0).out;
    assert!(queue.contains(&format!("repository:acme:{id}")), "{queue}");
}
