//! Tests when a sweep reads a list of webhooks. The store does not keep this list.

use beadle_engine::swept_hint;

use super::spread::{EVERY, SHARE, rule, run, sweep};
use super::world::{World, policy_of};
use super::*;

const HOOK: &str = "https://ci.example.com/hook";
const FIRST: &str = "the first value of npm";
const SECOND: &str = "the second value of npm";
const POLICY: &str = "
repository: { topics: [a] }
webhooks: [{ url: 'https://ci.example.com/hook', secret: npm }]
";

/// Returns an organisation in the state after a sweep. The organisation has one repository, and
/// this repository matches the policy.
async fn world() -> World {
    let shop = json!({ "id": 501, "branches": { "main": {} } });
    let mut world = World::new(json!({ "orgs": { "acme": { "repos": { "shop": shop } } } }), POLICY).await;
    world.set_secret("npm", FIRST);
    world.apply().await;
    assert_eq!(swept(&world).await, (1, 0), "the first sweep reads everything");
    assert_eq!(swept(&world).await, (0, 0), "nothing is due");
    world
}

/// Runs a sweep in a new process. The sweep writes nothing. Returns two numbers: the sweep's reads
/// of the webhook list, and the planned changes.
async fn swept(world: &World) -> (usize, usize) {
    let done = run(world, &world.rereading_parts(rule()), (Lane::Sweep, false), swept_hint).await;
    (done.calls_to("/hooks"), done.changes.len())
}

/// Sets whether the webhook is active at GitHub. No event reports the change.
async fn set_active(world: &World, active: bool) {
    let shop = json!({ "hooks": { HOOK: { "active": active } } });
    world.control("PATCH", &json!({ "orgs": { "acme": { "repos": { "shop": shop } } } })).await;
}

#[tokio::test(start_paused = true)]
async fn the_store_has_neither_the_list_nor_a_secret() {
    let world = world().await;
    let notes = world.store.notes("").await.unwrap();
    assert!(notes.iter().any(|(name, note)| name.starts_with("last-read:") && note.contains("agreed")));
    for (name, note) in &notes {
        assert!(!note.contains(FIRST), "{name}");
        assert!(!(name.starts_with("rest:") && name.contains("/hooks")), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn another_value_of_a_secret_makes_the_list_due() {
    let mut world = world().await;
    world.set_secret("npm", SECOND);
    for _ in 0..2 {
        assert_eq!(swept(&world).await, (1, 1), "the list is read until it is as declared");
    }
    world.set_secret("npm", FIRST);
    assert_eq!(swept(&world).await, (1, 0));
    assert_eq!(swept(&world).await, (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_changed_line_of_the_policy_makes_the_list_due() {
    let world = world().await;
    let parts = world.rereading_parts(rule());
    for (policy, expected) in [
        (format!("# A comment\n{POLICY}"), (0, 0)),
        (POLICY.replace("secret: npm", "secret: npm, active: false"), (1, 1)),
        (POLICY.replace(", secret: npm", ""), (1, 0)),
        (POLICY.replace(", secret: npm", ""), (0, 0)),
    ] {
        parts.0.policy.replace(policy_of(&[("settings.yml", &policy)]));
        let done = run(&world, &parts, (Lane::Sweep, false), swept_hint).await;
        assert_eq!((done.calls_to("/hooks"), done.changes.len()), expected, "{policy}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_and_a_command_read_the_list() {
    let world = world().await;
    for (lane, hint) in [
        (Lane::Event, str::to_owned as fn(&str) -> String),
        (Lane::Manual, swept_hint as fn(&str) -> String),
        // If Beadle's own write causes an event, the event has the lane `sweep`.
        (Lane::Sweep, str::to_owned as fn(&str) -> String),
    ] {
        let done = run(&world, &world.rereading_parts(rule()), (lane, false), hint).await;
        assert_eq!((done.calls_to("/hooks"), done.changes.len()), (1, 0), "{lane}");
    }
    assert_eq!(swept(&world).await, (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_write_makes_the_list_due() {
    let world = world().await;
    let topics = json!({ "orgs": { "acme": { "repos": { "shop": { "topics": [] } } } } });
    world.control("PATCH", &topics).await;
    let written = sweep(&world, &world.rereading_parts(rule())).await;
    assert_eq!(
        (written.changes.as_slice(), written.calls_to("/hooks")),
        (&["acme/shop topics".to_owned()][..], 0)
    );
    assert_eq!(swept(&world).await, (1, 0));
    assert_eq!(swept(&world).await, (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_sweep_reads_the_list_that_an_event_found_different() {
    let world = world().await;
    set_active(&world, false).await;
    assert_eq!(swept(&world).await, (0, 0), "no event reported it, and nothing is due");
    let event = run(&world, &world.rereading_parts(rule()), (Lane::Event, false), str::to_owned).await;
    assert_eq!(event.changes, ["acme/shop webhooks"]);
    // If the sweep used the earlier agreement, the sweep would find no difference, and would
    // release the hold of the run for the event.
    for _ in 0..2 {
        assert_eq!(swept(&world).await, (1, 1), "the change is planned on a new read");
    }
    set_active(&world, true).await;
    assert_eq!(swept(&world).await, (1, 0));
    assert_eq!(swept(&world).await, (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_sweep_reads_the_list_that_a_command_found_different() {
    let world = world().await;
    set_active(&world, false).await;
    // `beadle plan` writes nothing, and creates no hold.
    let (planner, writer) = world.keeping_parts();
    let shown = (planner.only_looking(), writer);
    let shown = run(&world, &shown, (Lane::Manual, false), str::to_owned).await;
    assert_eq!(shown.changes, ["acme/shop webhooks"]);
    assert_eq!(swept(&world).await, (0, 0), "nothing is recorded");
    // Here, the guard holds the change of `beadle apply`.
    let applied = run(&world, &world.keeping_parts(), (Lane::Manual, false), str::to_owned).await;
    assert_eq!(applied.changes, ["acme/shop webhooks"]);
    assert_eq!(swept(&world).await, (1, 1), "the sweep does not release the hold");
}

#[tokio::test(start_paused = true)]
async fn the_list_is_read_once_in_a_period() {
    let world = world().await;
    set_active(&world, false).await;
    let (mut reads, mut changes) = (0, Vec::new());
    for _ in 0..SHARE {
        world.clock.sleep(EVERY).await;
        let done = sweep(&world, &world.rereading_parts(rule())).await;
        reads += done.calls_to("/hooks");
        changes.extend(done.changes);
        if !changes.is_empty() {
            break;
        }
    }
    assert_eq!((reads, changes), (1, vec!["acme/shop webhooks".to_owned()]));
    world.check_calls();
}
