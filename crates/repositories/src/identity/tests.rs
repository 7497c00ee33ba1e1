use proptest::prelude::*;
use serde_json::json;

use super::*;

fn pairs(list: &str, desired: &Value, observed: &Value) -> EntryPairs {
    let entries = |value: &Value| value.as_array().cloned().unwrap_or_default();
    pair_entries(kind(list), &entries(desired), &entries(observed))
}

#[test]
fn an_entry_that_leaves_a_field_out_takes_what_the_exact_ones_leave() {
    let found = pairs(
        "checks",
        &json!([{ "context": "ci" }, { "context": "ci", "app_id": 15368 }]),
        &json!([{ "context": "ci", "app_id": 15368 }, { "context": "ci", "app_id": 666 }]),
    );
    assert_eq!(found.both, [(0, 1), (1, 0)]);
    let found = pairs(
        "checks",
        &json!([{ "context": "ci", "app_id": null }]),
        &json!([{ "context": "ci", "app_id": 666 }]),
    );
    assert_eq!((found.only_desired, found.only_observed), (vec![0], vec![0]), "any App is not that one");
}

#[test]
fn workflows_and_reviewers_are_told_apart_by_all_their_fields() {
    let workflow = |id: u64| json!({ "path": "ci.yml", "repository_id": id });
    let found = pairs("workflows", &json!([workflow(4), workflow(6)]), &json!([workflow(6), workflow(4)]));
    assert_eq!(found.both, [(0, 1), (1, 0)]);
    let reviewer = |glob: &str| json!({ "reviewer": { "type": "Team", "id": 5 }, "file_patterns": [glob] });
    let found = pairs("required_reviewers", &json!([reviewer("a")]), &json!([reviewer("b"), reviewer("a")]));
    assert_eq!((found.both, found.only_observed), (vec![(0, 1)], vec![0]));
}

#[test]
fn labels_whose_names_differ_in_case_only_are_never_deleted_and_made_again() {
    let names = |names: &[&str]| names.iter().map(|name| json!({ "name": name })).collect::<Value>();
    for (one, other) in [("Bug", "bug"), ("Ärger", "ärger"), ("Straße", "STRASSE")] {
        let found = pairs("labels", &names(&[one]), &names(&[other]));
        assert_eq!(found.both, [(0, 0)], "{one}");
    }
    let both = pairs("labels", &names(&["Ärger"]), &names(&["ärger", "Ärger"]));
    assert_eq!((both.both, both.only_observed), (vec![(0, 1)], vec![0]), "the exact one first");
}

#[test]
fn an_entry_that_does_not_say_what_it_is_is_told() {
    assert!(all_named(kind("autolinks"), &[json!({ "key_prefix": "A-" })]));
    for row in [json!({ "id": 1 }), json!({ "key_prefix": null }), json!(null)] {
        assert!(!all_named(kind("autolinks"), &[json!({ "key_prefix": "A-" }), row]));
    }
}

#[test]
fn only_what_is_certainly_the_same_is_there_twice() {
    let same = |list: &str, one: &str, other: &str| {
        super::same(list, &Node::parse("a.yml", one).unwrap(), &Node::parse("a.yml", other).unwrap())
    };
    assert!(same("labels", "name: Bug", "name: bug"));
    assert!(!same("labels", "name: Ärger", "name: ärger"));
    assert!(!same("autolinks", "key_prefix: TICKET-", "key_prefix: ticket-"));
    assert!(!same("webhooks", "url: https://ci/Hook", "url: https://ci/hook"));
    assert!(same("deploy_keys", "key: ssh-ed25519 AAAA ci@host", "key: ssh-ed25519 AAAA"));
    assert!(!same("deploy_keys", "key: ssh-ed25519 AAAA", "key: ssh-ed25519 aaaa"));
    assert!(!same("rulesets", "name: Main", "name: main"));
    assert!(same("teams", "name: Platform", "name: platform"));
    assert!(same("custom_properties", "name: tier", "property_name: Tier"));
    assert!(!same(
        "bypass_actors",
        "{actor_type: Team, actor_id: 5}",
        "{actor_type: RepositoryRole, actor_id: 5}"
    ));
    assert!(same("bypass_actors", "{actor_type: DeployKey}", "{actor_type: DeployKey, actor_id: 1}"));
}

#[test]
fn a_name_means_every_entry_whose_fields_it_gives() {
    let means = |list: &str, named: &str, entry: &str| {
        names(list, &Node::parse("a.yml", named).unwrap(), &Node::parse("a.yml", entry).unwrap())
    };
    for (list, named, entry, expected) in [
        ("checks", "{context: ci}", "{context: ci, app_id: 5}", true),
        ("checks", "{context: ci, app_id: 5}", "{context: ci, app_id: 5}", true),
        ("checks", "{context: ci, app_id: 5}", "{context: ci}", false),
        ("checks", "{context: ci, app_id: 5}", "{context: ci, app_id: 6}", false),
        ("bypass_actors", "{actor_type: Team}", "{actor_type: Team, actor_id: 5}", true),
        ("bypass_actors", "{actor_type: Team, actor_id: 5}", "{actor_type: Team, name: core}", false),
        ("bypass_actors", "{actor_type: DeployKey, actor_id: 1}", "{actor_type: DeployKey}", true),
        ("teams", "{name: Core}", "{name: core, permission: push}", true),
        ("autolinks", "{key_prefix: t-}", "{key_prefix: T-}", false),
        ("topics", "Rust", "rust", true),
        ("users", "Mona", "mona", true),
        ("contexts", "CI", "ci", false),
        ("teams", "core", "{name: core}", false),
    ] {
        assert_eq!(means(list, named, entry), expected, "{list}: {named} {entry}");
    }
}

#[test]
fn an_entry_that_is_there_twice_with_other_values_is_found() {
    let found = |text: &str| {
        let node = Node::parse("a.yml", text).unwrap();
        let mut found = Vec::new();
        contradictions("", &node, &mut found);
        found.len()
    };
    assert_eq!(found("bypass_actors: [{actor_type: Team, actor_id: 5}, {actor_type: Team, actor_id: 5}]"), 0);
    let actor = "{actor_type: Team, actor_id: 5, bypass_mode";
    assert_eq!(found(&format!("bypass_actors: [{actor}: always}}, {actor}: pull_request}}]")), 1);
    assert_eq!(found("checks: [{context: ci}, {context: ci, app_id: 5}]"), 0);
}

proptest! {
    #[test]
    fn a_match_is_one_to_one_and_leaves_nothing_out(
        desired in proptest::collection::vec(0u8..6, 0..12), observed in proptest::collection::vec(0u8..6, 0..12),
    ) {
        let found = pair(&desired, &observed, |one, other| (one == other).then_some(0));
        for (at, place) in &found.both {
            prop_assert_eq!(desired[*at], observed[*place]);
        }
        let mut desired_places: Vec<usize> = found.both.iter().map(|(at, _)| *at).chain(found.only_desired).collect();
        let mut observed_places: Vec<usize> = found.both.iter().map(|(_, at)| *at).chain(found.only_observed.clone()).collect();
        desired_places.sort_unstable();
        observed_places.sort_unstable();
        prop_assert_eq!(desired_places, (0..desired.len()).collect::<Vec<_>>());
        prop_assert_eq!(observed_places, (0..observed.len()).collect::<Vec<_>>());
        for place in &found.only_observed {
            let same = |values: &[u8]| values.iter().fold(0, |n, value| n + usize::from(*value == observed[*place]));
            let (wanted, there) = (same(&desired), same(&observed));
            prop_assert!(there > wanted, "one that is asked for was left alone");
        }
    }
}
