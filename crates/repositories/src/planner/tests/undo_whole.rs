//! Undoes the creation of whole things, such as branch rules, rulesets, environments and labels.

use std::collections::BTreeMap;

use super::importing::imported;
use super::undo::{shop_with, undo, written};
use super::world::World;
use super::*;

/// A policy that creates new things in the repository.
const CREATES: &str = "
branches:
- name: release/*
  protection:
    enforce_admins: true
    required_pull_request_reviews: { required_approving_review_count: 2, dismiss_stale_reviews: true }
    required_status_checks: { strict: true, checks: [{ context: ci, app_id: null }] }
rulesets:
- name: main
  target: branch
  enforcement: active
  conditions: { ref_name: { include: ['~DEFAULT_BRANCH'], exclude: [] } }
  rules: [{ type: deletion }, { type: non_fast_forward }]
environments:
- name: production
  wait_timer: 30
  reviewers: [{ type: User, login: mona }]
  deployment_branch_policy: { custom_branch_policies: [main] }
  variables: [{ name: REGION, value: eu }]
labels: { additive: [{ name: triage, color: aa0000, description: Look at it }] }
autolinks: [{ key_prefix: APO-, url_template: 'https://tickets.example.com/APO-<num>', is_alphanumeric: false }]
deploy_keys: [{ key: ssh-ed25519 AAAA, title: CI, read_only: false }]
webhooks: [{ url: 'https://ci.example.com/hook', events: [push, pull_request], active: false }]
";

/// Applies the policy that creates the things. Returns the world, two imports, and the number of
/// the newest journal entry. The first import is from before the apply, and the second import is
/// from after the apply.
async fn created() -> (World, [BTreeMap<String, String>; 2], u64) {
    let mut world = shop_with("repository: { has_wiki: true }\n").await;
    let before = Box::pin(imported(&world)).await;
    world.replace_policy(&BTreeMap::from([("repos/shop.yml".to_owned(), CREATES.to_owned())]));
    Box::pin(world.apply()).await;
    let after = Box::pin(imported(&world)).await;
    let (_, last) = written(&world, 0).await;
    (world, [before, after], last)
}

#[tokio::test(start_paused = true)]
async fn twice_undone_is_as_never_undone() {
    let (world, [before, after], first) = created().await;
    assert_ne!(before, after);
    let (_, left) = Box::pin(undo(&world, 0, first)).await;
    assert_eq!(left, Vec::<String>::new());
    assert_eq!(Box::pin(imported(&world)).await, before);
    let (_, second) = written(&world, first).await;
    let (_, left) = Box::pin(undo(&world, first, second)).await;
    // After the deletion of a label, an undo cannot add the label to its issues again.
    assert!(left.len() == 1 && left[0].starts_with("labels: label triage"), "{left:?}");
    assert_eq!(Box::pin(imported(&world)).await, after);
    assert_eq!(Box::pin(world.changes()).await, Vec::<String>::new());
    // The second undo also restores everything.
    assert_eq!(Box::pin(undo(&world, first, second)).await, (Vec::new(), Vec::new()));
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn what_somebody_changed_is_not_deleted_with_the_thing() {
    let (world, _, last) = created().await;
    let state = world.sim.state();
    let shop = |path: &str| state.pointer(&format!("/orgs/acme/repos/shop/{path}")).is_some();
    assert!(shop("protection") && shop("environments/production"), "{state}");
    // Somebody makes the rule stricter, and adds a second variable to the environment.
    let theirs = json!({
        "protection": { "release/*": { "required_linear_history": true } },
        "environments": { "production": { "variables": { "THEIRS": "1" } } },
    });
    world.control("PATCH", &json!({ "orgs": { "acme": { "repos": { "shop": theirs } } } })).await;
    let (done, left) = Box::pin(undo(&world, 0, last)).await;
    assert!(done.contains(&"rulesets ruleset main".to_owned()), "{done:?}");
    for kept in ["protection rule release/*", "environments environment production"] {
        assert!(!done.contains(&kept.to_owned()), "{done:?}");
    }
    for part in ["protection: rule release/*", "environments: environment production"] {
        assert!(left.iter().any(|why| why.starts_with(part) && why.contains("somebody changed")), "{left:?}");
    }
    let state = world.sim.state();
    let shop = &state["orgs"]["acme"]["repos"]["shop"];
    assert_eq!(shop["protection"]["release/*"]["enforce_admins"], true);
    assert_eq!(shop["environments"]["production"]["variables"]["THEIRS"], "1");
}

#[tokio::test(start_paused = true)]
async fn an_undo_reads_only_the_parts_that_it_restores() {
    let world = shop_with("repository: { has_wiki: false }\n").await;
    Box::pin(world.apply()).await;
    let (_, last) = written(&world, 0).await;
    let before = world.sim.calls().len();
    let (done, left) = Box::pin(undo(&world, 0, last)).await;
    assert_eq!((done.len(), left), (1, Vec::new()));
    let calls = world.sim.calls();
    let paths: Vec<&str> = calls[before..].iter().filter_map(|call| call["path"].as_str()).collect();
    for part in ["actions", "autolinks", "environments", "hooks", "pages"] {
        assert!(!paths.iter().any(|path| path.contains(&format!("/shop/{part}"))), "{paths:?}");
    }
}
