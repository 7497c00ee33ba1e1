//! Tests which runs share one read of the whole organisation.

use beadle_engine::{Limits, sweep, swept_hint};

use super::spread::rule;
use super::world::{UNLIMITED, World};
use super::*;

/// If Beadle reads at least this number of repositories at the same time, it reads the lists of the
/// whole organisation.
const MANY: usize = 20;
/// The final parts of the paths to one repository's lists.
const OWN: [&str; 2] = ["/properties/values", "/teams"];
const POLICY: &str = "
teams: [{ name: core, permission: push }]
custom_properties: [{ name: tier, value: gold }]
";

/// The lane and the hint of a run.
type Cause = (Lane, fn(&str) -> String);

const SWEPT: Cause = (Lane::Sweep, swept_hint);

/// Returns the state of a repository that matches the policy.
fn repository(id: usize) -> Value {
    json!({ "id": id, "branches": { "main": {} }, "visibility": "private",
        "teams": { "core": "push" }, "properties": { "tier": "gold" } })
}

/// Returns an organisation that has more repositories than one batch of the tests.
async fn organisation() -> World {
    organisation_with(POLICY).await
}

/// Returns the same organisation as [`organisation`], but with the given policy.
async fn organisation_with(policy: &str) -> World {
    let all: serde_json::Map<String, Value> =
        (0..MANY + 2).map(|n| (format!("r{n:02}"), repository(501 + n))).collect();
    let teams = json!({ "core": { "id": 601 } });
    World::new(json!({ "orgs": { "acme": { "repos": all, "teams": teams } } }), policy).await
}

/// Starts a sweep.
async fn begin(world: &World) {
    world.clock.sleep(Duration::from_secs(1)).await;
    sweep::begin(world.store.as_ref(), "acme", MANY + 2, world.clock.now()).await.unwrap();
}

/// Plans some repositories at the same time. Returns the paths of the REST calls.
async fn plan(
    world: &World,
    planner: &RepositoryPlanner,
    rows: &[IndexRow],
    (lane, hint): Cause,
) -> Vec<String> {
    let before = world.sim.calls().len();
    let runs = rows.iter().map(|row| async move {
        let key = Key::new("repository", "acme", row.id);
        let plan = planner.plan(&key, Some(&hint(&row.node_id)), lane).await.unwrap();
        assert!(plan.changes.is_empty() && plan.unknowns.is_empty(), "{} is not as declared", plan.subject);
    });
    join_all(runs).await;
    let calls = world.sim.calls().split_off(before);
    let paths = calls.iter().map(|call| call["path"].as_str().unwrap().to_owned());
    paths.filter(|path| !path.ends_with("/graphql")).collect()
}

/// Returns the paths of one repository's lists, in alphabetical order.
fn own(row: &IndexRow) -> Vec<String> {
    OWN.map(|list| format!("/repos/acme/{}{list}", row.name)).to_vec()
}

/// Changes the team's permission on a repository directly at GitHub.
async fn give(world: &World, row: &IndexRow, permission: &str) {
    let repository = json!({ "teams": { "core": permission } });
    let repositories = serde_json::Map::from_iter([(row.name.clone(), repository)]);
    world.control("PATCH", &json!({ "orgs": { "acme": { "repos": repositories } } })).await;
}

fn sorted(mut paths: Vec<String>) -> Vec<String> {
    paths.sort();
    paths
}

#[tokio::test(start_paused = true)]
async fn the_batches_of_a_sweep_share_a_read_of_the_organisation() {
    let world = organisation().await;
    let (planner, _) = world.rereading_parts(rule());
    let rows = planner.reader().index().await.unwrap();
    let (first, rest) = rows.split_at(MANY);
    begin(&world).await;
    let read = plan(&world, &planner, first, SWEPT).await;
    let of_organisation = ["/orgs/acme/custom-repository-roles", "/orgs/acme/properties/values"];
    assert_eq!(sorted(read), of_organisation);
    assert_eq!(plan(&world, &planner, rest, SWEPT).await, [""; 0], "both use the read of the first batch");
    // An event can report a change after the read of the first batch.
    let event: Cause = (Lane::Event, str::to_owned);
    assert_eq!(sorted(plan(&world, &planner, &rest[..1], event).await), own(&rest[0]));
    // If Beadle's own write causes an event, the event has the lane `sweep`.
    let own_event: Cause = (Lane::Sweep, str::to_owned);
    assert_eq!(sorted(plan(&world, &planner, &rest[..1], own_event).await), own(&rest[0]));
    assert_eq!(plan(&world, &planner, &rest[1..], SWEPT).await, [""; 0], "the read still serves the sweep");
    world.clock.sleep(Duration::from_secs(60)).await;
    assert_eq!(sorted(plan(&world, &planner, &rest[1..], SWEPT).await), own(&rest[1]), "the read is old");
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn the_next_sweep_does_not_use_the_read_of_the_last_one() {
    let world = organisation().await;
    let (planner, _) = world.rereading_parts(rule());
    let rows = planner.reader().index().await.unwrap();
    let (first, rest) = rows.split_at(MANY);
    begin(&world).await;
    plan(&world, &planner, first, SWEPT).await;
    begin(&world).await;
    assert_eq!(sorted(plan(&world, &planner, &rest[..1], SWEPT).await), own(&rest[0]));
}

#[tokio::test(start_paused = true)]
async fn no_change_comes_from_a_shared_read_alone() {
    let world = organisation().await;
    let (planner, _) = world.rereading_parts(rule());
    let rows = planner.reader().index().await.unwrap();
    let (first, rest) = rows.split_at(MANY);
    begin(&world).await;
    give(&world, &rest[0], "pull").await;
    plan(&world, &planner, first, SWEPT).await;
    give(&world, &rest[0], "push").await;
    // The shared read shows the old permission `pull`. The run must not plan a change because of
    // this old value.
    assert_eq!(sorted(plan(&world, &planner, &rest[..1], SWEPT).await), own(&rest[0]));
}

#[tokio::test(start_paused = true)]
async fn a_shared_read_does_not_release_the_hold_of_a_command() {
    let world = organisation().await;
    let (planner, _) = world.rereading_parts(rule());
    let rows = planner.reader().index().await.unwrap();
    let (first, rest) = rows.split_at(MANY);
    begin(&world).await;
    plan(&world, &planner, first, SWEPT).await;
    give(&world, &rest[0], "admin").await;
    world.apply_once(Limits { removes: 0, ..UNLIMITED }).await;
    assert_eq!(world.store.holds().await.unwrap().len(), 1);
    // If the plan did not contain the change, the run would release the hold.
    let (key, hint) = (Key::new("repository", "acme", rest[0].id), swept_hint(&rest[0].node_id));
    let planned = planner.plan(&key, Some(&hint), Lane::Sweep).await.unwrap();
    assert_eq!(planned.changes.len(), 1, "the shared read shows the permission of before");
}

#[tokio::test(start_paused = true)]
async fn a_repository_that_the_shared_read_lacks_has_its_own_read() {
    let properties = "custom_properties: [{ name: tier, value: gold }]\n";
    let world = organisation_with(properties).await;
    let (planner, _) = world.rereading_parts(rule());
    let rows = planner.reader().index().await.unwrap();
    begin(&world).await;
    plan(&world, &planner, &rows, SWEPT).await;
    let late = json!({ "late": repository(900) });
    world.control("PATCH", &json!({ "orgs": { "acme": { "repos": late } } })).await;
    let rows = planner.reader().index().await.unwrap();
    let late: Vec<IndexRow> = rows.into_iter().filter(|row| row.name == "late").collect();
    // If Beadle did not read this repository separately, its properties would be unknown.
    assert_eq!(plan(&world, &planner, &late, SWEPT).await, ["/repos/acme/late/properties/values"]);
}
