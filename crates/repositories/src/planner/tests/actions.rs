//! Tests the Actions settings that have their own API addresses.

use beadle_engine::Limits;

use super::world::{UNLIMITED, World};
use super::*;

const POLICY: &str = "
actions:
  access_level: organization
  artifact_and_log_retention_days: 30
  fork_pr_contributor_approval: all_external_contributors
  fork_pr_workflows_private_repos:
    run_workflows_from_fork_pull_requests: true
    require_approval_for_fork_pr_workflows: true
";

/// Returns an organisation with a public and a private repository.
fn both() -> Value {
    json!({ "orgs": { "acme": { "repos": {
        "open": { "visibility": "public", "branches": { "main": {} } },
        "closed": { "visibility": "private", "branches": { "main": {} } },
    } } } })
}

fn actions_of(world: &World, repository: &str) -> Value {
    world.sim.state()["orgs"]["acme"]["repos"][repository]["actions"].clone()
}

#[tokio::test(start_paused = true)]
async fn each_repository_gets_the_settings_that_its_visibility_allows() {
    let world = World::new(both(), POLICY).await;
    world.apply().await;
    let (open, closed) = (actions_of(&world, "open"), actions_of(&world, "closed"));
    assert_eq!(open["fork_pr_contributor_approval"], "all_external_contributors");
    assert_eq!(closed["fork_pr_contributor_approval"], "first_time_contributors");
    assert_eq!((&open["access_level"], &closed["access_level"]), (&json!("none"), &json!("organization")));
    let forks = |actions: &Value| actions["fork_pr_workflows_private_repos"].clone();
    assert_eq!(forks(&open)["run_workflows_from_fork_pull_requests"], false);
    assert_eq!(forks(&closed)["run_workflows_from_fork_pull_requests"], true);
    assert_eq!(forks(&closed)["require_approval_for_fork_pr_workflows"], true);
    for actions in [open, closed] {
        assert_eq!(actions["artifact_and_log_retention_days"], 30);
    }
    assert_eq!(world.changes().await, Vec::<String>::new());
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn a_setting_of_forks_that_the_policy_leaves_out_stays() {
    let policy =
        "actions: { fork_pr_workflows_private_repos: { run_workflows_from_fork_pull_requests: true } }\n";
    let world = World::new(both(), policy).await;
    let secrets = json!({ "fork_pr_workflows_private_repos": { "send_secrets_and_variables": true } });
    let state = json!({ "orgs": { "acme": { "repos": { "closed": { "actions": secrets } } } } });
    world.control("PATCH", &state).await;
    world.apply().await;
    let forks = actions_of(&world, "closed")["fork_pr_workflows_private_repos"].clone();
    assert_eq!(forks["send_secrets_and_variables"], true);
    assert_eq!(forks["run_workflows_from_fork_pull_requests"], true);
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn a_longer_retention_than_github_allows_is_not_written() {
    let world = World::new(both(), "actions: { artifact_and_log_retention_days: 200 }\n").await;
    let (planner, _) = world.parts();
    let plans = planner.organisation("acme", &[], Shard::default(), &|_, _| {}).await.unwrap().plans;
    for (name, expected) in [("open", (0, 1)), ("closed", (1, 0))] {
        let (_, plan) = plans.iter().find(|(_, plan)| plan.subject.ends_with(name)).unwrap();
        assert_eq!((plan.changes.len(), plan.unknowns.len()), expected, "{name}");
    }
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn a_tightening_of_actions_does_not_wait_for_a_weakening() {
    let policy = "actions: { allowed_actions: selected, sha_pinning_required: false, github_owned_allowed: true, \
                  verified_allowed: false }\n";
    let world = World::new(both(), policy).await;
    let state = json!({ "orgs": { "acme": { "repos": { "closed": { "actions": {
        "enabled": true, "allowed_actions": "all", "sha_pinning_required": true,
    } } } } } });
    world.control("PATCH", &state).await;
    world.apply_once(Limits { weakens: 0, ..UNLIMITED }).await;
    let closed = actions_of(&world, "closed");
    assert_eq!(closed["allowed_actions"], "selected", "{closed}");
    assert_eq!(closed["sha_pinning_required"], true, "{closed}");
    let world = World::new(world.sim.state(), policy).await;
    world.apply().await;
    assert_eq!(actions_of(&world, "closed")["sha_pinning_required"], false);
    assert_eq!(world.changes().await, Vec::<String>::new(), "each declared value is written at once");
    world.check_calls();
}
