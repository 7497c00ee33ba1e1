//! Undoes Beadle's writes, and checks the state at GitHub afterwards.

use std::collections::BTreeMap;

use beadle_engine::guard::UNDO_GENERATION;
use beadle_engine::{ApplyContext, Detail, Limits, Listing, Remembered, StepResult, WritePace, apply};

use super::importing::imported;
use super::world::{UNLIMITED, World};
use super::*;
use crate::planner::undo::UndoPlanner;
use crate::stored_waiver;
use crate::undo::{count, forget, reversals};
use crate::undo_writer::UndoWriter;

/// A policy that changes values of an existing repository.
const POLICY: &str = "
repository: { description: Sells, has_wiki: false, topics: [kept, new] }
teams: [{ name: core, permission: push }, { name: fresh, permission: pull }]
collaborators: [{ username: mona, permission: maintain }]
labels: [{ name: bug, color: aa0000 }, { name: in progress, oldname: wip }]
branches: [{ name: main, protection: { enforce_admins: true } }]
variables: [{ name: colour, value: red }]
";

fn shop() -> Value {
    let label = |color: &str| json!({ "color": color, "description": "Known" });
    json!({
        "id": 101, "branches": { "main": {} }, "visibility": "private", "description": "Sold",
        "has_wiki": true, "topics": ["kept", "old"], "teams": { "core": "pull", "gone": "push" },
        "collaborators": { "mona": "pull" }, "labels": { "bug": label("d73a4a"), "wip": label("ededed") },
        "protection": { "main": { "enforce_admins": false, "required_linear_history": true } },
        "variables": { "COLOUR": "blue" },
    })
}

pub(super) async fn shop_with(policy: &str) -> World {
    let teams = json!({ "core": { "id": 601 }, "gone": { "id": 602 }, "fresh": { "id": 603 } });
    let state = json!({
        "orgs": { "acme": { "id": 1, "members": ["mona"], "teams": teams, "repos": { "shop": shop() } } },
        "users": { "mona": { "id": 701 } },
    });
    World::new(state, policy).await
}

/// Returns the values of the repository that the policy changes.
pub(super) fn live(world: &World) -> Value {
    let state = world.sim.state();
    let shop = &state["orgs"]["acme"]["repos"]["shop"];
    let mut labels = shop["labels"].clone();
    for (_, label) in labels.as_object_mut().into_iter().flatten() {
        label["id"] = Value::Null;
    }
    let mut topics: Vec<&str> = shop["topics"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    topics.sort_unstable();
    json!({
        "description": shop["description"], "has_wiki": shop["has_wiki"], "topics": topics,
        "teams": shop["teams"], "collaborators": shop["collaborators"], "labels": labels,
        "admins": shop["protection"]["main"]["enforce_admins"], "colour": shop["variables"]["COLOUR"],
    })
}

/// Returns Beadle's writes to repositories after the journal entry `after`. Also returns the number
/// of the newest entry.
pub(super) async fn written(world: &World, after: u64) -> (BTreeMap<Key, Vec<Change<()>>>, u64) {
    let listing = Listing { after, since: None, key: None, limit: 10_000 };
    let (mut changes, mut last): (BTreeMap<Key, Vec<Change<()>>>, u64) = (BTreeMap::new(), after);
    for entry in world.store.entries(listing).await.unwrap() {
        last = entry.seq;
        let Detail::Change(intent) = entry.detail else { continue };
        let key: Key = entry.key.parse().unwrap();
        if key.kind() == "repository" {
            changes.entry(key).or_default().push(intent.change);
        }
    }
    (changes, last)
}

/// Undoes Beadle's writes between two entries of the journal. Returns the changes of the undo, and
/// the values that the undo does not restore.
pub(super) async fn undo(world: &World, after: u64, until: u64) -> (Vec<String>, Vec<String>) {
    let (done, left) = Box::pin(undo_within(world, after, until, UNLIMITED)).await;
    assert!(done.iter().all(|(_, result)| *result == StepResult::Written), "{done:?}");
    (done.into_iter().map(|(what, _)| what).collect(), left)
}

/// Undoes Beadle's writes between two entries of the journal. The guard's limits apply to this
/// undo. Returns the changes of the undo with their results, and the values that the undo does not
/// restore.
pub(super) async fn undo_within(
    world: &World,
    after: u64,
    until: u64,
    limits: Limits,
) -> (Vec<(String, StepResult)>, Vec<String>) {
    let listing = Listing { after, since: None, key: None, limit: 10_000 };
    let mut changes: BTreeMap<Key, Vec<Change<()>>> = BTreeMap::new();
    for entry in world.store.entries(listing).await.unwrap() {
        if let Detail::Change(intent) = entry.detail
            && entry.seq <= until
        {
            changes.entry(entry.key.parse().unwrap()).or_default().push(intent.change);
        }
    }
    let wanted = changes.iter().map(|(key, changes)| (key.clone(), reversals(changes))).collect();
    let (planner, writer) = world.parts();
    let planner = UndoPlanner::new(&planner, wanted, format!("{UNDO_GENERATION}{until}"));
    let writer = UndoWriter::new(writer, world.store.clone(), world.clock.clone(), "mona".to_owned());
    let (mut done, mut left) = (Vec::new(), Vec::new());
    for (key, plan) in Box::pin(planner.plans(Lane::Manual)).await.unwrap() {
        assert!(plan.unknowns.is_empty() && plan.skipped.is_none(), "{:?}", plan.describe());
        left.extend(plan.waits.iter().map(|wait| format!("{}: {}", wait.aspect, wait.why)));
        let context = ApplyContext {
            store: world.store.clone(),
            clock: world.clock.clone(),
            lease: None,
            lane: Lane::Manual,
            limits,
            pace: WritePace::new(Duration::ZERO),
            patient: true,
            generation: plan.generation.clone(),
            planned: world.clock.now(),
        };
        let remembered = Remembered::read(&key, &context).await.unwrap();
        let report = apply(&key, &plan, &writer, &context, remembered, &|_, _| {}).await.unwrap();
        for step in report.steps {
            done.push((format!("{} {}", step.change.aspect, step.change.what), step.outcome));
        }
    }
    (done, left)
}

#[tokio::test(start_paused = true)]
async fn an_undone_run_leaves_the_values_from_before_it() {
    let world = shop_with(POLICY).await;
    let before = live(&world);
    Box::pin(world.apply()).await;
    let after = live(&world);
    assert_ne!(before, after);
    let (_, first) = written(&world, 0).await;
    let (done, left) = Box::pin(undo(&world, 0, first)).await;
    assert_eq!(left, Vec::<String>::new());
    assert!(!done.is_empty());
    assert_eq!(live(&world), before);
    // After the first undo, a second undo finds nothing to restore.
    assert_eq!(Box::pin(undo(&world, 0, first)).await, (Vec::new(), Vec::new()));
    // An undo of the first undo restores the values of the policy.
    let (_, second) = written(&world, first).await;
    let (_, left) = Box::pin(undo(&world, first, second)).await;
    assert_eq!(left, Vec::<String>::new());
    assert_eq!(live(&world), after);
    assert_eq!(Box::pin(world.changes()).await, Vec::<String>::new());
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn what_somebody_changed_since_is_left_alone() {
    let world = shop_with(POLICY).await;
    Box::pin(world.apply()).await;
    let (_, last) = written(&world, 0).await;
    let theirs = json!({ "description": "Theirs", "teams": { "core": "admin" } });
    world.control("PATCH", &json!({ "orgs": { "acme": { "repos": { "shop": theirs } } } })).await;
    let (done, left) = Box::pin(undo(&world, 0, last)).await;
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(left.iter().any(|why| why.starts_with("settings: description ") && why.contains("`Theirs`")));
    assert!(left.iter().any(|why| why.starts_with("teams: team core") && why.contains("`admin`")));
    assert!(!done.contains(&"teams team core".to_owned()), "{done:?}");
    let live = live(&world);
    assert_eq!(live["description"], "Theirs");
    assert_eq!(live["has_wiki"], true, "the other values of the same request are restored");
    assert_eq!(live["teams"], json!({ "core": "admin", "gone": "push" }));
}

#[tokio::test(start_paused = true)]
async fn undone_values_are_only_observed_until_somebody_resumes_them() {
    let world = shop_with("repository: { has_wiki: false }\n").await;
    Box::pin(world.apply()).await;
    let (_, last) = written(&world, 0).await;
    Box::pin(undo(&world, 0, last)).await;
    for _ in 0..2 {
        let steps = Box::pin(world.apply_once(UNLIMITED)).await;
        let results: Vec<&StepResult> = steps.iter().map(|(.., result)| result).collect();
        assert_eq!(results, [&StepResult::Withheld]);
        world.clock.jump(3_600_000);
    }
    let (store, now) = (world.store.as_ref(), world.clock.now());
    assert_eq!(count(store, "repository:acme:101").await.unwrap(), 1);
    assert_eq!(forget(store, "repository:acme:10", now).await.unwrap(), 0);
    assert_eq!(forget(store, "acme", now).await.unwrap(), 1);
    let row = store.row(&Key::new("repository", "acme", 101)).await.unwrap().unwrap();
    assert!(row.wanted > row.done, "the repository is due");
    Box::pin(world.apply()).await;
    assert_eq!(live(&world)["has_wiki"], false);
}

#[tokio::test(start_paused = true)]
async fn undone_values_are_only_observed_until_the_policy_agrees() {
    let mut world = shop_with("repository: { has_wiki: false }\n").await;
    Box::pin(world.apply()).await;
    let (_, last) = written(&world, 0).await;
    Box::pin(undo(&world, 0, last)).await;
    let settings = |text: &str| BTreeMap::from([("settings.yml".to_owned(), text.to_owned())]);
    world.replace_policy(&settings("repository: { has_wiki: true }\n"));
    // GitHub might still show the old value from before the undo.
    Box::pin(world.apply()).await;
    assert_eq!(world.store.notes("undone").await.unwrap().len(), 1);
    world.clock.jump(3_600_000);
    Box::pin(world.apply()).await;
    assert!(world.store.notes("undone").await.unwrap().is_empty());
    world.replace_policy(&settings("repository: { has_wiki: false }\n"));
    Box::pin(world.apply()).await;
    assert_eq!(live(&world)["has_wiki"], false);
}

#[tokio::test(start_paused = true)]
async fn values_that_were_undone_twice_are_repaired_again() {
    let world =
        shop_with("repository: { has_wiki: false }\nteams: [{ name: core, permission: pull }]\n").await;
    Box::pin(world.apply()).await;
    let (after, (_, first)) = (live(&world), written(&world, 0).await);
    Box::pin(undo(&world, 0, first)).await;
    let (_, second) = written(&world, first).await;
    Box::pin(undo(&world, first, second)).await;
    assert_eq!(live(&world), after);
    // Somebody changes the values again, before any run makes Beadle forget the undos.
    let theirs = json!({ "has_wiki": true, "teams": { "core": "pull", "gone": "push" } });
    world.control("PATCH", &json!({ "orgs": { "acme": { "repos": { "shop": theirs } } } })).await;
    let steps = Box::pin(world.apply_once(UNLIMITED)).await;
    let results: Vec<&StepResult> = steps.iter().map(|(.., result)| result).collect();
    assert_eq!(results, [&StepResult::Written; 2]);
    assert_eq!(live(&world), after);
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn the_plan_names_what_it_cannot_restore() {
    let policy = "secrets: [{ name: TOKEN, secret: token }]\nbranches: [{ name: main, protection: null }]\n";
    let mut world = shop_with(policy).await;
    world.set_secret("token", "hidden");
    Box::pin(world.apply()).await;
    let (_, last) = written(&world, 0).await;
    let (done, left) = Box::pin(undo(&world, 0, last)).await;
    assert_eq!(done, Vec::<String>::new());
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(left.iter().any(|why| why.starts_with("secrets: ")) && !left.concat().contains("hidden"));
    assert!(left.iter().any(|why| why.starts_with("protection: rule main")));
}

#[tokio::test(start_paused = true)]
async fn the_values_inside_rulesets_and_environments_return() {
    let policy = |count: u8, rule: &str, timer: u8, region: &str| {
        let reviews = format!(
            "allowed_merge_methods: [squash], dismiss_stale_reviews_on_push: true, require_code_owner_review: false, \
             require_last_push_approval: false, required_approving_review_count: {count}, \
             required_review_thread_resolution: true"
        );
        let text = format!(
            "rulesets:\n- name: main\n  target: branch\n  enforcement: active\n  conditions: \
             {{ ref_name: {{ include: ['~DEFAULT_BRANCH'], exclude: [] }} }}\n  rules:\n  - {{ type: {rule} }}\n  - {{ \
             type: pull_request, parameters: {{ {reviews} }} }}\nenvironments:\n- name: production\n  wait_timer: \
             {timer}\n  variables: [{{ name: REGION, value: {region} }}]\n"
        );
        BTreeMap::from([("repos/shop.yml".to_owned(), text)])
    };
    let mut world = shop_with("repository: { has_wiki: true }\n").await;
    world.replace_policy(&policy(1, "deletion", 30, "eu"));
    Box::pin(world.apply()).await;
    let (_, first) = written(&world, 0).await;
    let before = Box::pin(imported(&world)).await;
    world.replace_policy(&policy(2, "non_fast_forward", 10, "us"));
    Box::pin(world.apply()).await;
    let (_, second) = written(&world, first).await;
    assert_ne!(Box::pin(imported(&world)).await, before);
    let (_, left) = Box::pin(undo(&world, first, second)).await;
    assert_eq!(left, Vec::<String>::new());
    assert_eq!(Box::pin(imported(&world)).await, before);
}

#[tokio::test(start_paused = true)]
async fn settings_and_rulesets_of_the_organisation_return() {
    let policy = "
organization: { company: Acme, location: Here }
rulesets:
- name: all
  target: branch
  enforcement: active
  conditions:
    ref_name: { include: ['~ALL'], exclude: [] }
    repository_name: { include: ['~ALL'], exclude: [] }
  rules: [{ type: deletion }]
";
    let world = shop_with(policy).await;
    let settings = json!({ "company": "Before", "location": "There" });
    world.control("PATCH", &json!({ "orgs": { "acme": { "settings": settings } } })).await;
    Box::pin(world.apply()).await;
    let (_, last) = written(&world, 0).await;
    let (done, left) = Box::pin(undo(&world, 0, last)).await;
    assert_eq!((done.len(), left), (2, Vec::new()), "{done:?}");
    let state = world.sim.state();
    let acme = &state["orgs"]["acme"];
    assert_eq!(acme["settings"]["company"], "Before");
    assert_eq!(acme["settings"]["location"], "There");
    assert!(acme["rulesets"].get("all").is_none());
    let steps = Box::pin(world.apply_once(UNLIMITED)).await;
    let results: Vec<&StepResult> = steps.iter().map(|(.., result)| result).collect();
    assert_eq!(results, [&StepResult::Withheld; 2]);
}

/// The values that are possible only in the public repository.
const GADGETS: &str = "
repository: { visibility: public }
security:
  private_vulnerability_reporting: true
  code_scanning_default_setup: { state: configured, query_suite: extended, languages: [go] }
pages: { source: { branch: main, path: / } }
deploy_keys: [{ key: ssh-ed25519 AAAA, title: CI, read_only: false }]
rulesets:
  - name: tags
    target: tag
    enforcement: active
    conditions: { ref_name: { include: ['refs/tags/v*'], exclude: [] } }
    rules: [{ type: deletion }]
";

#[tokio::test(start_paused = true)]
async fn with_every_aspect_an_undone_run_leaves_what_was_there_before() {
    let tier = json!({ "value_type": "single_select", "allowed_values": ["gold", "lead"] });
    let state = json!({
        "orgs": { "acme": {
            "repos": {
                "widgets": { "id": 501, "branches": { "main": {} }, "visibility": "private" },
                "gadgets": { "id": 502, "branches": { "main": {} }, "visibility": "public" },
            },
            "members": ["mona"], "teams": { "core": { "id": 601 }, "guards": { "id": 602 } },
            "property_definitions": { "tier": tier, "owner": { "value_type": "string" } },
        } },
        "users": { "mona": { "id": 701 } },
        "apps": { "beadle-app": { "id": beadle_sim::APP_ID }, "gate": { "id": 777 } },
    });
    let mut world = Box::pin(World::new(state, "repository: { has_wiki: false }\n")).await;
    let before = Box::pin(imported(&world)).await;
    world.replace_policy(&BTreeMap::from([
        ("settings.yml".to_owned(), include_str!("everything.yml").to_owned()),
        ("repos/gadgets.yml".to_owned(), GADGETS.to_owned()),
    ]));
    Box::pin(world.apply()).await;
    assert_ne!(Box::pin(imported(&world)).await, before);
    let (changes, last) = written(&world, 0).await;
    assert_eq!(changes.len(), 2);
    let (_, left) = Box::pin(undo(&world, 0, last)).await;
    assert_eq!(left, Vec::<String>::new());
    assert_eq!(Box::pin(imported(&world)).await, before);
    // Beadle does not write these values, but only observes them.
    let steps = Box::pin(world.apply_once(UNLIMITED)).await;
    assert!(!steps.is_empty());
    for (what, _, result) in &steps {
        assert!(matches!(result, StepResult::Withheld | StepResult::Blocked), "{what}: {result:?}");
    }
    // After the operator resumes the values, Beadle writes them again.
    forget(world.store.as_ref(), "acme", world.clock.now()).await.unwrap();
    Box::pin(world.apply()).await;
    assert_eq!(Box::pin(world.changes()).await, Vec::<String>::new());
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn a_waived_value_is_undone_too_and_stays_undone_after_the_waiver() {
    let world = shop_with("repository: { has_wiki: false }\n").await;
    Box::pin(world.apply()).await;
    let (_, last) = written(&world, 0).await;
    let waiver = Waiver {
        keys: vec!["repository.has_wiki".into(), "labels".into()],
        repositories: vec!["shop".into()],
        until: world.clock.now() + Duration::from_secs(2 * 86_400),
        reason: "release".into(),
        owner: "mona".into(),
        asked: None,
    };
    stored_waiver("acme", &waiver.id()).put(world.store.as_ref(), &waiver).await.unwrap();
    let (changes, _) = written(&world, 0).await;
    let wanted = changes.iter().map(|(key, changes)| (key.clone(), reversals(changes))).collect();
    let planner = UndoPlanner::new(&world.parts().0, wanted, format!("{UNDO_GENERATION}{last}"));
    let plans = Box::pin(planner.plans(Lane::Manual)).await.unwrap();
    let waived = plans.iter().flat_map(|(_, plan)| &plan.waived).map(|waived| waived.key.as_str());
    assert_eq!(waived.collect::<Vec<_>>(), ["repository.has_wiki"], "the plan names the waiver");
    let (done, left) = Box::pin(undo(&world, 0, last)).await;
    assert_eq!((done.len(), left), (1, Vec::new()));
    assert_eq!(live(&world)["has_wiki"], true);
    // The plan contains no change, although the policy differs from the restored value.
    world.clock.jump(3_600_000);
    Box::pin(world.apply()).await;
    world.clock.jump(3 * 86_400_000);
    let steps = Box::pin(world.apply_once(UNLIMITED)).await;
    let results: Vec<&StepResult> = steps.iter().map(|(.., result)| result).collect();
    assert_eq!(results, [&StepResult::Withheld]);
    assert_eq!(live(&world)["has_wiki"], true);
}

#[tokio::test(start_paused = true)]
async fn an_undone_value_does_not_stop_the_repair_of_others() {
    let protection = "{ enforce_admins: true, required_linear_history: true }";
    let world = shop_with(&format!("branches: [{{ name: main, protection: {protection} }}]\n")).await;
    Box::pin(world.apply()).await;
    let (_, last) = written(&world, 0).await;
    let (done, left) = Box::pin(undo(&world, 0, last)).await;
    assert_eq!((done.len(), left), (1, Vec::new()));
    let weaker = json!({ "protection": { "main": { "required_linear_history": false } } });
    world.control("PATCH", &json!({ "orgs": { "acme": { "repos": { "shop": weaker } } } })).await;
    let steps = Box::pin(world.apply_once(UNLIMITED)).await;
    let results: Vec<&StepResult> = steps.iter().map(|(.., result)| result).collect();
    assert_eq!(results, [&StepResult::Written, &StepResult::Withheld]);
    let state = world.sim.state();
    let main = &state["orgs"]["acme"]["repos"]["shop"]["protection"]["main"];
    assert_eq!((&main["required_linear_history"], &main["enforce_admins"]), (&json!(true), &json!(false)));
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn a_renamed_repository_is_found_and_a_deleted_one_is_named() {
    let world = shop_with("repository: { has_wiki: false }\n").await;
    Box::pin(world.apply()).await;
    let (changes, last) = written(&world, 0).await;
    world.rename("shop", "store").await;
    let (done, left) = Box::pin(undo(&world, 0, last)).await;
    assert_eq!((done.len(), left), (1, Vec::new()));
    assert_eq!(world.sim.state()["orgs"]["acme"]["repos"]["store"]["has_wiki"], true);
    world.control("PATCH", &json!({ "orgs": { "acme": { "repos": { "store": null } } } })).await;
    let wanted = changes.iter().map(|(key, changes)| (key.clone(), reversals(changes))).collect();
    let planner = UndoPlanner::new(&world.parts().0, wanted, format!("{UNDO_GENERATION}{last}"));
    let plans = Box::pin(planner.plans(Lane::Manual)).await.unwrap();
    let skipped: Vec<&str> = plans.iter().filter_map(|(_, plan)| plan.skipped.as_deref()).collect();
    assert_eq!(skipped, ["the repository does not exist, or the App cannot see it"]);
}

#[tokio::test(start_paused = true)]
async fn an_undo_restores_no_value_that_no_waiver_may_exempt() {
    let policy = "repository: { has_wiki: false }\n\
                  branches: [{ name: main, protection: { enforce_admins: true } }]\n";
    let world = shop_with(policy).await;
    Box::pin(world.apply()).await;
    let (changes, last) = written(&world, 0).await;
    let wanted = changes.iter().map(|(key, changes)| (key.clone(), reversals(changes))).collect();
    let planner = UndoPlanner::new(&world.parts().0, wanted, format!("{UNDO_GENERATION}{last}"))
        .keeping(vec!["branches[*].protection.enforce_admins".to_owned()]);
    let plans = Box::pin(planner.plans(Lane::Manual)).await.unwrap();
    let plans: Vec<Plan<()>> = plans.iter().map(|(_, plan)| plan.describe()).collect();
    let changed = plans.iter().flat_map(|plan| &plan.changes).map(|change| change.aspect.as_str());
    assert_eq!(changed.collect::<Vec<_>>(), ["settings"]);
    let left: Vec<&str> = plans.iter().flat_map(|plan| &plan.waits).map(|wait| wait.why.as_str()).collect();
    let expected = "rule main: enforce_admins is not restored: `never_waive`";
    assert!(left.len() == 1 && left[0].starts_with(expected), "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn an_undo_of_some_keys_restores_only_their_values() {
    let policy = "repository: { has_wiki: false, description: Sells }\n\
                  branches: [{ name: main, protection: { enforce_admins: true } }]\n";
    let world = shop_with(policy).await;
    Box::pin(world.apply()).await;
    let (changes, last) = written(&world, 0).await;
    for (key, expected) in [
        ("repository.has_wiki", vec!["settings has_wiki"]),
        ("branches.default", vec!["protection enforce_admins"]),
        ("branches[other]", vec![]),
    ] {
        let wanted = changes.iter().map(|(key, changes)| (key.clone(), reversals(changes))).collect();
        let planner = UndoPlanner::new(&world.parts().0, wanted, format!("{UNDO_GENERATION}{last}"))
            .only(vec![key.to_owned()]);
        let plans = Box::pin(planner.plans(Lane::Manual)).await.unwrap();
        let plans: Vec<Plan<()>> = plans.iter().map(|(_, plan)| plan.describe()).collect();
        assert!(plans.iter().all(|plan| plan.waits.is_empty()), "{plans:?}");
        let changed = plans.iter().flat_map(|plan| &plan.changes);
        let values = changed.flat_map(|change| {
            change.fields.iter().map(move |field| format!("{} {}", change.aspect, field.name))
        });
        assert_eq!(values.collect::<Vec<_>>(), expected, "{key}");
    }
}
