//! Tests the effect of a code security configuration on its repositories and on the other
//! configurations.

use beadle_engine::{Limits, StepResult};

use super::world::{UNLIMITED, World};
use super::*;

/// The number of repositories.
const REPOSITORIES: u64 = 60;
/// The features that GitHub turns off if a new configuration omits them. Secret scanning is not in
/// this list.
const OTHER_FEATURES: &[&str] = &[
    "code_scanning_default_setup",
    "dependabot_alerts",
    "dependabot_delegated_alert_dismissal",
    "dependabot_security_updates",
    "dependency_graph_autosubmit_action",
    "private_vulnerability_reporting",
    "secret_scanning_delegated_bypass",
    "secret_scanning_generic_secrets",
    "secret_scanning_non_provider_patterns",
    "secret_scanning_push_protection",
    "secret_scanning_validity_checks",
];

/// Returns all features except secret scanning. If a configuration sets all these features, it
/// turns off none of these features.
fn others() -> Value {
    let mut others: Value = OTHER_FEATURES.iter().map(|feature| (*feature, "not_set")).collect();
    others["advanced_security"] = json!("enabled");
    others
}

/// Creates repositories that use secret scanning, and a policy that has one entry.
async fn world(live: &Value, entry: &Value) -> World {
    let on = json!({ "secret_scanning": { "status": "enabled" } });
    let repositories: Value = (1..=REPOSITORIES)
        .map(|id| (format!("r{id}"), json!({ "id": id, "security_and_analysis": on })))
        .collect();
    let state = json!({
        "orgs": { "acme": { "repos": repositories, "security_configurations": live } },
        "users": {}, "apps": { "beadle-app": { "id": beadle_sim::APP_ID } },
    });
    let policy = json!({ "code_security_configurations": [entry] });
    World::new(state, &policy.to_string()).await
}

/// Returns the number of repositories that use secret scanning.
fn scanned(world: &World) -> usize {
    let repositories = world.sim.state()["orgs"]["acme"]["repos"].clone();
    let is_on = |found: &&Value| found["security_and_analysis"]["secret_scanning"]["status"] == "enabled";
    repositories.as_object().unwrap().values().filter(is_on).count()
}

#[tokio::test(start_paused = true)]
async fn a_configuration_that_turns_off_a_feature_counts_every_repository_that_it_reaches() {
    let with = |base: &Value, more: Value| {
        let mut whole = base.clone();
        for (key, value) in more.as_object().unwrap() {
            whole[key] = value.clone();
        }
        whole
    };
    let all: Vec<u64> = (1..=REPOSITORIES).collect();
    let nothing = json!({});
    let live = |more: Value| json!({ "baseline": with(&others(), more) });
    let of_policy = |more: Value| with(&others(), with(&more, json!({ "name": "baseline" })));
    let only = json!({ "name": "baseline", "attach_to": "all" });
    let table = [
        (
            "a new one turns off nothing",
            nothing.clone(),
            of_policy(json!({ "secret_scanning": "not_set", "attach_to": "all" })),
            None,
        ),
        (
            "a new one turns it off",
            nothing.clone(),
            of_policy(json!({ "secret_scanning": "disabled", "attach_to": "all" })),
            Some("attached to"),
        ),
        ("a new one leaves it out", nothing, of_policy(json!({ "attach_to": "all" })), Some("attached to")),
        (
            "the live one has it off, and the policy leaves it out",
            live(json!({ "secret_scanning": "disabled" })),
            only.clone(),
            Some("attached to"),
        ),
        (
            "the live one turns off nothing, and the policy leaves it out",
            live(json!({ "secret_scanning": "not_set" })),
            only,
            None,
        ),
        (
            "the attached one is changed",
            live(json!({ "secret_scanning": "enabled", "repositories": all })),
            json!({ "name": "baseline", "secret_scanning": "disabled", "attach_to": "all" }),
            Some("secret_scanning"),
        ),
    ];
    for (what, live, entry, weakens) in table {
        let limited = world(&live, &entry).await;
        let steps = limited.apply_once(Limits { weakens: 5, ..UNLIMITED }).await;
        let mut held = Vec::new();
        for (change, reaches, result) in &steps {
            match result {
                StepResult::Held { why, .. } => {
                    assert!(why.contains("reaches 60 repositories"), "{what}: {why}");
                    assert_eq!(*reaches, 60, "{what}");
                    held.push(change.rsplit(": ").next().unwrap());
                }
                other => assert_eq!(*other, StepResult::Written, "{what}: {change}"),
            }
        }
        assert_eq!(held, weakens.into_iter().collect::<Vec<_>>(), "{what}: {steps:?}");
        assert_eq!(scanned(&limited), 60, "{what}: a held change was written");
        let unlimited = world(&live, &entry).await;
        unlimited.apply().await;
        assert_eq!(scanned(&unlimited), if weakens.is_some() { 0 } else { 60 }, "{what}");
        unlimited.check_calls();
    }
}

/// Returns the kinds of new repositories that get a configuration by default.
fn default_of(world: &World, name: &str) -> Value {
    world.sim.state()["orgs"]["acme"]["security_configurations"][name]["default_for_new_repos"].clone()
}

#[tokio::test(start_paused = true)]
async fn a_configuration_that_takes_over_a_default_names_the_one_that_loses_it() {
    let stricter = |value: &str| json!({ "stricter": { "default_for_new_repos": value } });
    // Each row has four values. The first value is the live default of the configuration
    // `stricter`. The second value is the default that the policy sets for `baseline`. The third
    // value contains the kinds of new repositories that lose `stricter` as their default. The
    // fourth value is the default of `stricter` after the apply.
    let table: [(&str, &str, &[&str], &str); 7] = [
        ("all", "all", &["private and internal", "public"], "none"),
        ("all", "public", &["public"], "private_and_internal"),
        ("all", "private_and_internal", &["private and internal"], "public"),
        ("public", "all", &["public"], "none"),
        ("public", "public", &["public"], "none"),
        ("public", "private_and_internal", &[], "public"),
        ("none", "all", &[], "none"),
    ];
    for (theirs, ours, lost, left) in table {
        let what = format!("{theirs}, {ours}");
        let entry = json!({ "name": "baseline", "default_for_new_repos": ours });
        let limited = world(&stricter(theirs), &entry).await;
        let changes = limited.changes().await.join("\n");
        for kind in ["private and internal", "public"] {
            let is_shown = changes.contains(&format!("default of new {kind} repositories"));
            assert_eq!(is_shown, lost.contains(&kind), "{what}: {changes}");
        }
        assert_eq!(changes.contains("\"stricter\""), !lost.is_empty(), "{what}: {changes}");
        let steps = limited.apply_once(Limits { weakens: 0, ..UNLIMITED }).await;
        let held = steps.iter().any(|(_, _, result)| matches!(result, StepResult::Held { .. }));
        assert_eq!(held, !lost.is_empty(), "{what}: {steps:?}");
        if held {
            assert_eq!(default_of(&limited, "stricter"), theirs, "{what}: a held change was written");
        }
        let unlimited = world(&stricter(theirs), &entry).await;
        unlimited.apply().await;
        let defaults = (default_of(&unlimited, "baseline"), default_of(&unlimited, "stricter"));
        assert_eq!(defaults, (json!(ours), json!(left)), "{what}");
    }
}
