use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::identity;
use crate::policy::assertions::repository;
use crate::policy::keys::ALL_SECTIONS;
use crate::policy::shape::Shape;
use crate::policy::{Desired, MergedLayers, Node, OverrideStatus, Policy, PolicyError, Severity, Verdict};

fn load(files: &[(&str, &str)]) -> Result<Policy, PolicyError> {
    let sources: BTreeMap<String, String> =
        files.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect();
    Policy::from_sources(sources, "admin", Path::new("policy"))
}

fn accepted(files: &[(&str, &str)]) -> Policy {
    load(files).unwrap_or_else(|error| panic!("{files:?}\n{error}"))
}

fn shop() -> beadle_github::Repository {
    repository(&Node::parse("test", "{ name: shop }").unwrap())
}

fn target(policy: &Policy, status: &OverrideStatus<'_>) -> MergedLayers {
    match policy.resolve(&shop(), status) {
        Verdict::Reached(target) => target,
        Verdict::Skipped(why) => panic!("{why}"),
    }
}

/// Returns the values that a policy declares for the repository `shop`.
fn declared(policy: &Policy) -> Value {
    let target = target(policy, &OverrideStatus::default());
    assert!(target.undecided.is_empty(), "{:?}", target.undecided);
    policy.declared(&target, &shop()).unwrap().json()
}

fn desired(policy: &Policy) -> Desired {
    policy.desired(&target(policy, &OverrideStatus::default()), &shop())
}

/// Returns the warnings of a policy. Each warning has the form `file:line message hint`.
fn warnings(policy: &Policy) -> Vec<String> {
    let warnings = policy.remarks.iter().filter(|problem| problem.severity == Severity::Warning);
    let text = |problem: &crate::policy::Problem| {
        format!("{} {} {}", problem.asked, problem.message, problem.hint.clone().unwrap_or_default())
    };
    warnings.map(text).collect()
}

/// Returns the text of a policy file. The argument is the text of one value in this file, such as
/// `{ at_least: 2 }`.
type Written<'a> = &'a dyn Fn(&str) -> String;

const MAIN: &str = "/branches/0/protection";

/// Returns the text of a layer. This layer has the lowest rank and applies to all repositories.
fn lowest(text: &str) -> String {
    format!("rank: 1\n{text}\n")
}

#[test]
fn a_block_of_which_edits_leave_nothing_is_not_specified() {
    for text in [
        "branches: [{ name: main, protection: { restrictions: { users: { without: [a] } } } }]",
        "branches: [{ name: main, protection: { required_status_checks: { contexts: { without: [a] } } } }]",
        "branches: [{ name: main, protection: { restrictions: { users: null, teams: ~ } } }]",
    ] {
        let policy = accepted(&[("repos/shop.yml", text)]);
        assert_eq!(desired(&policy).branches, Vec::new(), "{text}");
    }
    let text = "labels: { without: [a], exclude: [^x] }\nrepository: { has_wiki: false }\n";
    let policy = accepted(&[("repos/shop.yml", text)]);
    assert!(desired(&policy).sections.is_empty(), "an empty list would remove every label");
}

#[test]
fn a_higher_layer_adds_to_what_a_middle_layer_left() {
    let low = lowest("labels: [{ name: a }, { name: b }]");
    for (middle, high, names) in [
        ("{ replace: [{ name: c }] }", "[{ name: d }]", "c d"),
        ("{ without: [a] }", "[{ name: a }]", "b a"),
        ("{ without: [a] }", "{ without: [b] }", ""),
        ("null", "[{ name: d }]", "d"),
        ("[{ name: c }]", "{ without: [c, a] }", "b"),
        ("null", "{ replace: [{ name: d }] }", "d"),
    ] {
        let middle = format!("rank: 5\nlabels: {middle}\n");
        let high = format!("labels: {high}\n");
        let policy = accepted(&[
            ("layers/low.yml", low.as_str()),
            ("layers/middle.yml", middle.as_str()),
            ("repos/shop.yml", high.as_str()),
        ]);
        let shown = declared(&policy);
        let items = shown["labels"]["include"].as_array().unwrap_or_else(|| panic!("{middle}{high}{shown}"));
        let found: Vec<&str> = items.iter().filter_map(|item| item["name"].as_str()).collect();
        assert_eq!(found.join(" "), names, "{middle}{high}");
    }
}

#[test]
fn an_entry_of_first_match_edits_the_list_of_its_file_and_of_lower_files() {
    let low = lowest("labels: [{ name: a }, { name: b }]");
    for (own, case, names) in [
        ("[{ name: c }]", "{ without: [c, a] }", "b"),
        ("{ replace: [{ name: c }, { name: d }] }", "{ without: [d] }", "c"),
        ("{ without: [a] }", "[{ name: e }]", "b e"),
    ] {
        let layer = format!("rank: 5\nlabels: {own}\nfirst_match: [{{ labels: {case} }}]\n");
        let policy = accepted(&[("layers/low.yml", low.as_str()), ("layers/a.yml", layer.as_str())]);
        let shown = declared(&policy);
        let items = shown["labels"]["include"].as_array().unwrap();
        let found: Vec<&str> = items.iter().filter_map(|item| item["name"].as_str()).collect();
        assert_eq!(found.join(" "), names, "{layer}");
    }
}

#[test]
fn the_kind_of_a_list_stays_and_an_unmanaged_list_removes_nothing() {
    for (low, high, exclusive) in [
        ("[{ name: a }]", "{ replace: [{ name: b }] }", Some(true)),
        ("{ additive: [{ name: a }] }", "{ replace: [{ name: b }] }", Some(false)),
        ("{ additive: [{ name: a }] }", "{ without: [a], exclusive: [{ name: b }] }", Some(true)),
        ("[{ name: a }]", "{ without: [a] }", Some(true)),
        ("[{ name: a }]", "null", None),
        ("{ exclusive: [{ name: a }] }", "null", None),
    ] {
        let (low, high) = (lowest(&format!("teams: {low}")), format!("teams: {high}\n"));
        let policy = accepted(&[("layers/low.yml", low.as_str()), ("repos/shop.yml", high.as_str())]);
        assert_eq!(desired(&policy).teams.map(|teams| teams.exclusive), exclusive, "{low}{high}");
    }
}

#[test]
fn a_list_without_a_value_is_not_specified_and_the_word_null_drops_the_list() {
    let low = lowest("teams: [{ name: a }]\nrepository: { topics: [x], has_wiki: false }");
    let with = |text: &str| accepted(&[("layers/low.yml", low.as_str()), ("repos/shop.yml", text)]);
    let blank = with("teams:\nrepository:\n  topics:\n  has_wiki: true\n");
    assert_eq!((desired(&blank).teams.is_some(), desired(&blank).topics.is_some()), (true, true));
    assert_eq!(warnings(&blank).len(), 2);
    let word = with("teams: null\nrepository:\n  topics: ~\n  has_wiki: true\n");
    assert_eq!((desired(&word).teams.is_none(), desired(&word).topics.is_none()), (true, true));
    assert_eq!(warnings(&word), Vec::<String>::new());
    // If a section is not a list, it has no entries that an edit could remove.
    let actions = with("actions: null\n");
    assert!(warnings(&actions)[0].contains("`actions` has no value"));
}

#[test]
fn checks_and_contexts_are_one_list() {
    let file = |checks: &str| {
        format!(
            "branches: [{{ name: main, protection: {{ required_status_checks: {{ strict: true, {checks} }} }} }}]\n"
        )
    };
    let low = lowest(&file("contexts: [a, b], checks: [{ context: c, app_id: 5 }]"));
    for (high, expected) in [
        (
            "checks: { without: [a] }",
            json!({ "strict": true, "contexts": ["b"], "checks": [{ "context": "c", "app_id": 5 }] }),
        ),
        ("contexts: { without: [c] }", json!({ "strict": true, "contexts": ["a", "b"], "checks": [] })),
        ("checks: { replace: [{ context: d }] }", json!({ "strict": true, "checks": [{ "context": "d" }] })),
        ("contexts: null", json!({ "strict": true })),
        (
            "contexts: null, checks: [{ context: d }]",
            json!({ "strict": true, "checks": [{ "context": "d" }] }),
        ),
        (
            "checks: { without: [{ context: c, app_id: 6 }] }",
            json!({ "strict": true, "contexts": ["a", "b"], "checks": [{ "context": "c", "app_id": 5 }] }),
        ),
    ] {
        let policy = accepted(&[("layers/low.yml", low.as_str()), ("repos/shop.yml", file(high).as_str())]);
        let shown = declared(&policy);
        assert_eq!(shown.pointer(&format!("{MAIN}/required_status_checks")), Some(&expected), "{high}");
    }
}

#[test]
fn a_null_for_one_list_of_actors_drops_all_of_them() {
    let file = |actors: &str| {
        format!(
            "branches: [{{ name: main, protection: {{ enforce_admins: true, restrictions: {actors} }} }}]\n"
        )
    };
    let low = lowest(&file("{ users: [a], teams: [b] }"));
    for (high, expected) in [
        ("{ users: null }", None),
        ("{ apps: null }", None),
        ("{ users: null, teams: [c] }", Some(json!({ "teams": ["c"] }))),
        ("{ users: { replace: [c] } }", Some(json!({ "users": ["c"], "teams": ["b"] }))),
        ("null", Some(Value::Null)),
    ] {
        let policy = accepted(&[("layers/low.yml", low.as_str()), ("repos/shop.yml", file(high).as_str())]);
        assert_eq!(declared(&policy).pointer(&format!("{MAIN}/restrictions")), expected.as_ref(), "{high}");
        assert_eq!(warnings(&policy), Vec::<String>::new(), "{high}");
    }
}

#[test]
fn a_minimum_raises_a_number_and_never_lowers_it() {
    let protected = |count: &str| {
        format!(
            "branches: [{{ name: main, protection: {{ required_pull_request_reviews: {{ \
             required_approving_review_count: {count} }} }} }}]\n"
        )
    };
    let ruled = |count: &str| {
        format!(
            "rulesets: [{{ name: main, enforcement: active, rules: [{{ type: pull_request, parameters: {{ \
             required_approving_review_count: {count} }} }}] }}]\n"
        )
    };
    let rule = "/rulesets/0/rules/0/parameters/required_approving_review_count";
    let branch = format!("{MAIN}/required_pull_request_reviews/required_approving_review_count");
    for (low, high, expected) in [
        ("1", "{ at_least: 2 }", json!(2)),
        ("3", "{ at_least: 2 }", json!(3)),
        ("2", "{ at_least: 2 }", json!(2)),
        ("{ at_least: 3 }", "{ at_least: 2 }", json!({ "at_least": 3 })),
        ("{ at_least: 1 }", "{ at_least: 2 }", json!({ "at_least": 2 })),
        ("{ at_least: 3 }", "1", json!(1)),
    ] {
        let kinds: [(Written<'_>, &str); 2] = [(&protected, branch.as_str()), (&ruled, rule)];
        for (file, place) in kinds {
            let files = [lowest(&file(low)), file(high)];
            let policy =
                accepted(&[("layers/low.yml", files[0].as_str()), ("repos/shop.yml", files[1].as_str())]);
            assert_eq!(declared(&policy).pointer(place), Some(&expected), "{low} {high} {place}");
        }
    }
}

#[test]
fn a_wrong_form_is_refused_with_its_line() {
    for (text, expected) in [
        ("teams:\n  replac: [{ name: a }]", ":2 unknown key `teams.replac` did you mean `replace`?"),
        ("teams:\n  withot: [a]", "did you mean `without`?"),
        ("teams:\n  without: [a]\n  replace: []", ":2 `teams` must not have both `replace` and `without`"),
        (
            "teams:\n  additive: []\n  replace: []",
            "`teams` must have exactly one of `exclusive`, `additive`, ",
        ),
        ("teams:\n  exclude: [x]", "unknown key `teams.exclude`"),
        ("teams:\n  without: [Core & Team]", ":2 `teams.without[0]` must be a slug"),
        ("teams:\n  without: [{ permission: push }]", ":2 this entry of `without` does not say which entry"),
        ("teams:\n  replace: [{ nam: a }]", "unknown key `teams.replace[0].nam` did you mean `name`?"),
        ("teams:\n  replace: [{ permission: push }]", "an entry of `teams` must have `name`"),
        ("teams:\n  replace: [{ name: a }, { name: A }]", "`teams` has the entry `A` twice"),
        ("teams:\n  replace:", ":2 `teams.replace` must be a list, found no value"),
        (
            "rulesets:\n- { name: a, enforcement: active, bypass_actors: { exclusive: [] } }",
            "unknown key `rulesets[0].bypass_actors.exclusive`",
        ),
        (
            "rulesets:\n- { name: a, enforcement: active, rules: { without: [deleton] } }",
            "did you mean `deletion`?",
        ),
        (
            "rulesets:\n- name: a\n  enforcement: active\n  rules: { replace: [{ type: deletion }, { type: deletion }] }",
            ":4 `rulesets[0]` must not have the rule `deletion` twice",
        ),
        (
            "rulesets:\n- name: a\n  enforcement: active\n  conditions: { ref_name: { include: { replac: [x] } } }",
            ":4 unknown key `rulesets[0].conditions.ref_name.include.replac` did you mean `replace`?",
        ),
        (
            "rulesets:\n- name: a\n  enforcement: active\n  rules:\n  - type: max_file_size\n    parameters: { max_file_size: { at_least: 5 } }",
            ":6 `rulesets[0].rules[0].parameters.max_file_size` must be a whole number from 1 to 100, or null, found a block of keys `at_least` is only for numbers",
        ),
        (
            "rulesets:\n- name: a\n  enforcement: active\n  rules:\n  - type: pull_request\n    parameters: { required_approving_review_count: { at_least: 11 } }",
            ":6 `rulesets[0].rules[0].parameters.required_approving_review_count.at_least` must be a whole number from 0 to 10, found 11",
        ),
    ] {
        let Err(PolicyError::Invalid { problems, .. }) = load(&[("repos/shop.yml", text)]) else {
            panic!("accepted: {text}");
        };
        let line = |problem: &crate::policy::Problem| {
            format!("{} {} {}", problem.asked, problem.message, problem.hint.clone().unwrap_or_default())
        };
        let found: Vec<String> = problems.iter().map(line).collect();
        assert!(found.iter().any(|line| line.contains(expected)), "{text}\n{found:#?}");
    }
}

#[test]
fn the_first_key_of_an_entry_is_its_name() {
    for section in ALL_SECTIONS.iter().filter(|section| matches!(section.shape, Shape::Layered(..))) {
        let Some(Shape::Map([first, ..])) = section.shape.item() else { panic!("{}", section.name) };
        let entry = Node::parse("test", &format!("{{ {}: x }}", first.name)).unwrap();
        assert!(identity::name(section.name, &entry).is_some(), "{}: {}", section.name, first.name);
    }
}

#[test]
fn a_name_that_no_lower_file_lists_is_a_warning_with_the_nearest_one() {
    let low = lowest("teams: [{ name: core }, { name: infra }]");
    let policy =
        accepted(&[("layers/low.yml", low.as_str()), ("repos/shop.yml", "teams:\n  without: [cor]\n")]);
    let found = warnings(&policy);
    let [warning] = found.as_slice() else { panic!("{found:?}") };
    let text = "repos/shop.yml:2 `teams`: `without` names `cor`, which no file of a lower rank lists did you mean `core`?";
    assert_eq!(warning, text);
}

#[test]
fn layers_of_one_rank_disagree_if_their_order_matters() {
    let labels = |form: &str| format!("labels: {form}\n");
    let count = |form: &str| {
        format!(
            "branches: [{{ name: main, protection: {{ required_pull_request_reviews: {{ \
             required_approving_review_count: {form} }} }} }}]\n"
        )
    };
    let environments = |form: &str| {
        format!("branches: [{{ name: main, protection: {{ required_deployment_environments: {form} }} }}]\n")
    };
    let rows: &[(Written<'_>, &str, &str, bool)] = &[
        (&labels, "{ replace: [{ name: a }] }", "[{ name: b }]", true),
        (&labels, "{ replace: [{ name: a }] }", "{ replace: [{ name: b }] }", true),
        (&labels, "{ replace: [{ name: a }] }", "{ replace: [{ name: a }] }", false),
        (&labels, "{ replace: [{ name: a }, { name: b }] }", "[{ name: b }]", false),
        (&labels, "{ replace: [{ name: a }] }", "{ without: [b] }", false),
        (&labels, "{ replace: [{ name: a }] }", "{ without: [a] }", true),
        (&labels, "{ without: [a] }", "{ without: [b] }", false),
        (&labels, "{ without: [a] }", "[{ name: a }]", true),
        (&labels, "{ without: [a] }", "[{ name: b }]", false),
        (&labels, "null", "[{ name: a }]", true),
        (&labels, "null", "{ without: [a] }", false),
        (&labels, "null", "{ replace: [{ name: a }] }", true),
        (&labels, "[{ name: a }]", "[{ name: b }]", false),
        (&count, "{ at_least: 2 }", "{ at_least: 3 }", false),
        (&count, "{ at_least: 2 }", "1", true),
        (&count, "{ at_least: 2 }", "3", false),
        (&environments, "null", "[production]", true),
        (&environments, "{ without: [production] }", "[production]", true),
    ];
    for (file, one, other, disagree) in rows.iter().copied() {
        for (one, other) in [(one, other), (other, one)] {
            let (one, other) = (file(one), file(other));
            let policy = load(&[("layers/a.yml", one.as_str()), ("layers/b.yml", other.as_str())]);
            let error = policy.err().map(|error| error.to_string());
            assert_eq!(error.is_some(), disagree, "{one}{other}{error:?}");
            assert!(error.is_none_or(|error| error.contains("disagree about")), "{one}{other}");
        }
    }
}

#[test]
fn a_suspended_file_that_edits_a_list_leaves_the_whole_list_alone() {
    let low =
        lowest("teams: [{ name: a }]\nlabels: [{ name: a }]\nrepository: { topics: [x], has_wiki: false }");
    let text = "teams: { replace: [{ name: b }] }\nlabels: { without: [a] }\nrepository: { topics: null }\n";
    let policy = accepted(&[("layers/low.yml", low.as_str()), ("repos/shop.yml", text)]);
    let file = policy.file_of("shop").unwrap();
    let status = OverrideStatus {
        waits: vec![(file, "it belongs to another".to_owned())],
        ..OverrideStatus::default()
    };
    let target = target(&policy, &status);
    let wants = policy.desired(&target, &shop());
    assert!(wants.teams.is_none() && wants.topics.is_none() && !wants.sections.contains_key("labels"));
    assert_eq!(wants.settings.len(), 1, "the wiki is not in doubt");
}

#[test]
fn an_edit_in_a_section_of_the_organisation_has_nothing_to_edit() {
    let text = "rulesets:\n  without: [main]\nrepository: { has_wiki: false }\n";
    let policy = accepted(&[("settings.yml", text)]);
    assert!(policy.layers[0].root.get("rulesets").is_none());
    let found = warnings(&policy);
    assert!(found.len() == 1 && found[0].starts_with("settings.yml:2 `rulesets`"), "{found:?}");
    let text = "rulesets: { replace: [{ name: main, enforcement: active, conditions: { ref_name: { include: [~ALL], \
                exclude: [] }, repository_name: { include: [~ALL], exclude: [] } } }] }\n";
    let policy = accepted(&[("settings.yml", text)]);
    assert_eq!(policy.layers[0].root.get("rulesets").map(|list| list.items().len()), Some(1));
}

mod every_list;
mod explained;
