//! Tests how Beadle finds an entry in a list of a ruleset. Beadle must use all fields that identify
//! the entry.

use beadle_engine::Risk;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::compare::{body, differences};
use super::{is_blurred, match_policy};
use crate::aspects::AspectPlan;
use crate::identity::contradictions;
use crate::policy::Node;

fn node(value: &Value) -> Node {
    Node::parse("settings.yml", &value.to_string()).unwrap()
}

/// Returns a ruleset with one rule. The rule has the parameter `key` with the value `entries`.
fn ruleset(kind: &str, key: &str, entries: &Value) -> Value {
    json!({ "name": "main", "rules": [{ "type": kind, "parameters": { key: entries } }] })
}

/// Returns the ruleset at GitHub after Beadle applied `wanted` to `live`.
fn applied(wanted: &Value, live: &Value) -> Value {
    body(live, differences(&node(wanted), live).iter())
}

fn is_quiet(wanted: &Value, live: &Value) -> bool {
    differences(&node(wanted), live).is_empty()
}

#[test]
fn two_workflows_of_one_path_are_two() {
    let workflow = |id: u64| json!({ "path": "ci.yml", "repository_id": id });
    let wanted = ruleset("workflows", "workflows", &json!([workflow(4), workflow(6)]));
    let live = applied(&wanted, &ruleset("workflows", "workflows", &json!([workflow(4)])));
    assert_eq!(live["rules"][0]["parameters"]["workflows"], json!([workflow(4), workflow(6)]));
    assert!(is_quiet(&wanted, &live));
    assert!(!is_quiet(&wanted, &ruleset("workflows", "workflows", &json!([workflow(4), workflow(4)]))));
}

#[test]
fn two_checks_of_one_name_and_two_reviews_of_one_team_are_two() {
    let check = |app: u64| json!({ "context": "build", "integration_id": app });
    let (kind, key) = ("required_status_checks", "required_status_checks");
    let wanted = ruleset(kind, key, &json!([check(15368), check(12345)]));
    let live = applied(&wanted, &ruleset(kind, key, &json!([])));
    assert!(is_quiet(&wanted, &live));
    assert!(!is_quiet(&wanted, &ruleset(kind, key, &json!([check(15368)]))));
    let review = |glob: &str, count: u64| json!({ "reviewer": { "type": "Team", "id": 5 }, "file_patterns": [glob], "minimum_approvals": count });
    let (kind, key) = ("pull_request", "required_reviewers");
    let wanted = ruleset(kind, key, &json!([review("*.rs", 1), review("*.md", 2)]));
    let live = applied(&wanted, &ruleset(kind, key, &json!([review("*.md", 1)])));
    assert!(is_quiet(&wanted, &live), "{live}");
    assert!(!is_quiet(&wanted, &ruleset(kind, key, &json!([review("*.rs", 1)]))));
}

#[test]
fn what_a_listed_entry_leaves_out_is_as_github_has_it_by_itself() {
    let (kind, key) = ("required_status_checks", "required_status_checks");
    let wanted = ruleset(kind, key, &json!([{ "context": "ci" }]));
    let live = ruleset(kind, key, &json!([{ "context": "ci", "integration_id": 666 }]));
    assert!(!is_quiet(&wanted, &live), "any App, and not that one");
    assert_eq!(applied(&wanted, &live)["rules"][0]["parameters"][key], json!([{ "context": "ci" }]));
    let wanted = ruleset("workflows", "workflows", &json!([{ "path": "ci.yml", "repository_id": 4 }]));
    let pinned = json!([{ "path": "ci.yml", "repository_id": 4, "sha": "abc", "ref": "refs/heads/main" }]);
    let live = ruleset("workflows", "workflows", &pinned);
    assert!(!is_quiet(&wanted, &live), "the workflow as it is, and not an old one");
    let after = applied(&wanted, &live);
    assert_eq!(after["rules"][0]["parameters"]["workflows"][0].get("sha"), None);
    assert!(is_quiet(&wanted, &after));
}

#[test]
fn a_check_that_gets_a_source_is_no_weaker_and_one_that_loses_it_is() {
    let (kind, key) = ("required_status_checks", "required_status_checks");
    let (any, bound) = (json!([{ "context": "ci" }]), json!([{ "context": "ci", "integration_id": 7 }]));
    let risk = |wanted: &Value, live: &Value| {
        differences(&node(&ruleset(kind, key, wanted)), &ruleset(kind, key, live))[0].fields[0].risk
    };
    assert_eq!((risk(&bound, &any), risk(&any, &bound)), (Risk::Changes, Risk::Weakens));
}

/// Returns one condition of each kind that selects repositories, and one condition that selects all
/// repositories.
fn selections() -> [(&'static str, Value); 5] {
    let property = json!({ "name": "tier", "property_values": ["gold"], "source": "custom" });
    [
        ("repository_name", json!({ "include": ["shop"], "exclude": [] })),
        ("repository_name", json!({ "include": ["~ALL"], "exclude": ["sandbox"] })),
        ("repository_name", json!({ "include": ["~ALL"], "exclude": [] })),
        ("repository_id", json!({ "repository_ids": [101, 102] })),
        ("repository_property", json!({ "include": [property], "exclude": [] })),
    ]
}

#[test]
fn a_ruleset_that_selects_repositories_in_another_way_loses_its_condition_in_the_plan() {
    let of = |(kind, condition): &(&str, Value)| {
        let refs = json!({ "include": ["~DEFAULT_BRANCH"], "exclude": [] });
        json!({ "name": "main", "conditions": { "ref_name": refs, *kind: condition } })
    };
    for before in selections() {
        for after in selections().into_iter().filter(|after| after.0 != before.0) {
            let what = format!("{before:?} to {after:?}");
            let (live, wanted) = (of(&before), of(&after));
            let found = differences(&node(&wanted), &live);
            let [difference] = found.as_slice() else { panic!("{what}: {} differences", found.len()) };
            let name = format!("conditions.{}", before.0);
            let gone: Vec<_> = difference.fields.iter().filter(|field| field.name == name).collect();
            let [gone] = gone.as_slice() else { panic!("{what}: the old condition is not shown") };
            assert_eq!((&gone.before, &gone.after), (&before.1, &Value::Null), "{what}");
            let is_all = after == selections()[2];
            assert_eq!(difference.is_guarded(), !is_all, "{what}");
            let written = applied(&wanted, &live);
            assert_eq!(written["conditions"], wanted["conditions"], "{what}");
            assert!(is_quiet(&wanted, &written), "{what}");
        }
    }
}

#[test]
fn a_default_that_github_leaves_out_is_no_difference() {
    let rule = |kind: &str, parameters: Value| json!({ "type": kind, "parameters": parameters });
    let wanted = json!({
        "name": "main",
        "conditions": { "repository_name": { "include": ["a"], "exclude": [], "protected": false } },
        "rules": [
            rule("update", json!({ "update_allows_fetch_and_merge": false })),
            rule("commit_message_pattern", json!({ "name": "", "negate": false, "operator": "regex", "pattern": "x" })),
            rule("pull_request", json!({ "required_reviewers": [], "allowed_merge_methods": ["squash", "merge", "rebase"] })),
            rule("workflows", json!({ "do_not_enforce_on_create": false, "workflows": [] })),
        ],
    });
    let live = json!({
        "name": "main",
        "conditions": { "repository_name": { "include": ["a"] } },
        "rules": [
            { "type": "update" },
            rule("commit_message_pattern", json!({ "operator": "regex", "pattern": "x" })),
            { "type": "pull_request" },
            { "type": "workflows" },
        ],
    });
    assert!(is_quiet(&wanted, &live));
    let mut negated = live.clone();
    negated["rules"][1]["parameters"]["negate"] = json!(true);
    assert!(!is_quiet(&wanted, &negated));
}

#[test]
fn what_graphql_cannot_tell_apart_is_read_by_rest() {
    let mode = |mode: &str| json!({ "bypass_actors": [{ "actor_type": "Team", "actor_id": 5, "bypass_mode": mode }] });
    assert!(is_blurred(&node(&mode("always")), &mode("always")), "it may be `exempt`");
    assert!(!is_blurred(&node(&mode("pull_request")), &mode("pull_request")));
    assert!(!is_blurred(&node(&json!({ "name": "main" })), &mode("always")), "nobody asks");
    let reviewers = ruleset("pull_request", "required_reviewers", &json!([]));
    assert!(is_blurred(&node(&reviewers), &json!({})));
}

/// Returns random data for a test: a rule type, a rule parameter whose value is a list, and two
/// versions of this list. The versions can differ in every field of an entry.
fn lists() -> impl Strategy<Value = (&'static str, &'static str, Vec<Value>, Vec<Value>)> {
    let check = (0u8..3, proptest::option::of(1u64..4)).prop_map(|(name, app)| match app {
        Some(app) => json!({ "context": format!("c{name}"), "integration_id": app }),
        None => json!({ "context": format!("c{name}") }),
    });
    let workflow = (0u8..2, 1u64..4, proptest::option::of("[ab]")).prop_map(|(path, id, sha)| match sha {
        Some(sha) => json!({ "path": format!("w{path}.yml"), "repository_id": id, "sha": sha }),
        None => json!({ "path": format!("w{path}.yml"), "repository_id": id }),
    });
    let review = (1u64..3, 0u8..3, 1u64..3).prop_map(|(team, glob, count)| {
        let reviewer = json!({ "type": "Team", "id": team });
        json!({ "reviewer": reviewer, "file_patterns": [format!("g{glob}")], "minimum_approvals": count })
    });
    let two = |entry: BoxedStrategy<Value>| {
        let list = proptest::collection::vec(entry, 0..6);
        (list.clone(), list)
    };
    prop_oneof![
        two(check.boxed()).prop_map(|(one, other)| (
            "required_status_checks",
            "required_status_checks",
            one,
            other
        )),
        two(workflow.boxed()).prop_map(|(one, other)| ("workflows", "workflows", one, other)),
        two(review.boxed()).prop_map(|(one, other)| ("pull_request", "required_reviewers", one, other)),
    ]
}

/// Returns a random bypass actor: a kind, an id if the kind has one, and a mode.
fn actor() -> impl Strategy<Value = Value> {
    let kind =
        prop_oneof![Just("Team"), Just("RepositoryRole"), Just("OrganizationAdmin"), Just("DeployKey")];
    let mode = prop_oneof![Just("always"), Just("pull_request"), Just("exempt")];
    (kind, 1u64..4, mode).prop_map(|(kind, id, mode)| match kind {
        "Team" | "RepositoryRole" => json!({ "actor_type": kind, "actor_id": id, "bypass_mode": mode }),
        kind => json!({ "actor_type": kind, "bypass_mode": mode }),
    })
}

proptest! {
    #[test]
    fn any_bypass_is_quiet_once_it_is_applied_and_every_change_of_an_actor_is_found(
        actors in proptest::collection::vec(actor(), 0..5), before in proptest::collection::vec(actor(), 0..5),
    ) {
        let wanted = json!({ "name": "main", "bypass_actors": actors });
        let policy = node(&wanted);
        let mut refused = Vec::new();
        contradictions("", &policy, &mut refused);
        prop_assume!(refused.is_empty());
        let with = |actors: &[Value]| json!({ "name": "main", "bypass_actors": actors });
        let live = applied(&wanted, &with(&before));
        prop_assert!(is_quiet(&wanted, &live), "{} is applied as {}", wanted, live);
        let mut shown: Vec<Value> = Vec::new();
        for actor in live["bypass_actors"].as_array().cloned().unwrap_or_default() {
            if !shown.contains(&actor) {
                shown.push(actor);
            }
        }
        for at in 0..shown.len() {
            let mut fewer = shown.clone();
            fewer.remove(at);
            prop_assert!(!is_quiet(&wanted, &with(&fewer)), "{} without {}", wanted, shown[at]);
            let mut changed = shown.clone();
            changed[at]["bypass_mode"] = json!(if shown[at]["bypass_mode"] == "always" { "exempt" } else { "always" });
            prop_assert!(!is_quiet(&wanted, &with(&changed)), "{} with another mode of {}", wanted, shown[at]);
        }
        shown.push(json!({ "actor_type": "Integration", "actor_id": 3, "bypass_mode": "always" }));
        prop_assert!(!is_quiet(&wanted, &with(&shown)), "{} and one more", wanted);
    }

    #[test]
    fn any_list_is_quiet_once_it_is_applied_and_every_change_of_an_entry_is_found(
        (kind, key, entries, before) in lists(),
    ) {
        let wanted = ruleset(kind, key, &json!(entries));
        let policy = node(&wanted);
        let mut refused = Vec::new();
        contradictions("", &policy, &mut refused);
        prop_assume!(refused.is_empty());
        // If a list has identical entries, GitHub stores only one of them.
        let mut kept: Vec<Value> = Vec::new();
        for entry in before {
            if !kept.contains(&entry) {
                kept.push(entry);
            }
        }
        let live = applied(&wanted, &ruleset(kind, key, &json!(kept)));
        prop_assert!(is_quiet(&wanted, &live), "{} is applied as {}", wanted, live);
        let shown = live["rules"][0]["parameters"][key].as_array().cloned().unwrap_or_default();
        let is_found = |list: Vec<Value>| !is_quiet(&wanted, &ruleset(kind, key, &json!(list)));
        for at in 0..shown.len() {
            let mut fewer = shown.clone();
            fewer.remove(at);
            prop_assert!(is_found(fewer), "{} without {}", wanted, shown[at]);
            for (field, value) in [
                ("integration_id", json!(99)), ("repository_id", json!(99)), ("sha", json!("z")),
                ("minimum_approvals", json!(9)), ("file_patterns", json!(["z"])),
            ] {
                let belongs = match key {
                    "workflows" => ["repository_id", "sha"].contains(&field),
                    "required_reviewers" => ["minimum_approvals", "file_patterns"].contains(&field),
                    _ => field == "integration_id",
                };
                if belongs {
                    let mut changed = shown.clone();
                    changed[at][field] = value;
                    prop_assert!(is_found(changed), "{} with {} of {}", wanted, field, shown[at]);
                }
            }
            let mut more = shown.clone();
            let mut another = shown[at].clone();
            let name = if key == "workflows" { "path" } else { "context" };
            another[name] = json!("another");
            if key == "required_reviewers" {
                another["reviewer"]["id"] = json!(99);
            }
            more.push(another);
            prop_assert!(is_found(more), "{} and one more", wanted);
        }
    }
}

#[test]
fn a_repository_has_to_match_every_property_so_one_more_is_a_weakening_and_one_less_is_not() {
    let property = |name: &str, values: &[&str]| json!({ "name": name, "property_values": values });
    let (gold, env) = (property("tier", &["gold"]), property("env", &["prod"]));
    let of = |include: Value| json!({ "name": "main", "conditions": { "repository_property": { "include": include } } });
    for (before, after, weakens) in [
        (json!([gold]), json!([gold, env]), true),
        (json!([gold, env]), json!([gold]), false),
        (json!([gold]), json!([property("tier", &["gold", "silver"])]), false),
        (json!([property("tier", &["gold", "silver"])]), json!([gold]), true),
        (json!([gold]), json!([env]), true),
        (json!([]), json!([gold]), true),
        (json!([gold]), json!([]), true),
    ] {
        let differences = differences(&node(&of(after.clone())), &of(before.clone()));
        assert_eq!(differences.len(), 1);
        assert_eq!(differences[0].is_guarded(), weakens, "{before} → {after}");
    }
    let names =
        |names: &[&str]| json!({ "name": "main", "conditions": { "repository_name": { "include": names } } });
    assert!(!differences(&node(&names(&["a", "b"])), &names(&["a"]))[0].is_guarded());
}

#[test]
fn a_ruleset_without_its_bypass_actors_is_unknown_if_the_policy_declares_them_or_would_change_it() {
    let hidden = json!({ "id": 7, "name": "main", "enforcement": "active", "rules": [] });
    let found = |wanted: Value| {
        let mut plan = AspectPlan::default();
        let matches = match_policy(&node(&wanted), "main", &hidden, &mut plan);
        assert!(plan.changes.is_empty());
        (matches, plan.unresolved.iter().map(|one| one.reason.clone()).collect::<Vec<String>>())
    };
    for wanted in [
        json!({ "name": "main", "enforcement": "active", "bypass_actors": [] }),
        json!({ "name": "main", "enforcement": "active", "rules": [{ "type": "deletion" }] }),
    ] {
        let (matches, unknown) = found(wanted);
        assert!(!matches && unknown.len() == 1 && unknown[0].contains("who can bypass"), "{unknown:?}");
    }
    assert_eq!(found(json!({ "name": "main", "enforcement": "active" })), (true, Vec::new()));
}

#[test]
fn a_rule_without_merge_methods_allows_all_of_them() {
    let of = |methods: &[&str]| ruleset("pull_request", "allowed_merge_methods", &json!(methods));
    for (before, after, weakens) in [
        (&["squash"][..], &[][..], true),
        (&["squash"], &["squash", "merge"], true),
        (&["squash", "merge"], &["merge"], false),
        (&[], &["merge"], false),
    ] {
        let differences = differences(&node(&of(after)), &of(before));
        assert_eq!(differences.len(), 1, "{before:?} → {after:?}");
        assert_eq!(differences[0].is_guarded(), weakens, "{before:?} → {after:?}");
    }
}
