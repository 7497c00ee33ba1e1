use std::path::Path;

use beadle_engine::Time;

use super::*;
use crate::policy::{OverrideStatus, Policy, Verdict, repository};

const SETTINGS: &str = "
repository: { has_wiki: false, topics: [web, shop], archived: false }
teams:
  - { name: core, permission: admin }
  - { name: web, permission: push }
labels:
  exclusive: [{ name: bug, color: ff0000 }]
branches:
  - name: main
    protection:
      enforce_admins: true
      required_status_checks: { strict: true, contexts: [ci, lint] }
  - name: release
    protection: { enforce_admins: true }
";
// The rulesets in settings.yml belong to the organisation.
const SHOP: &str = "
rulesets:
  - name: main
    target: branch
    enforcement: active
    rules:
      - { type: deletion }
      - { type: pull_request, parameters: { required_approving_review_count: 2, dismiss_stale_reviews_on_push: true } }
";

/// Returns the status of a repository with a waiver of these keys.
fn waiving(keys: &[&str]) -> OverrideStatus<'static> {
    let waiver = Waiver {
        keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        repositories: vec!["shop".into()],
        until: Time(1),
        reason: "release".into(),
        owner: "mona".into(),
        asked: None,
    };
    OverrideStatus { waivers: vec![waiver], ..OverrideStatus::default() }
}

fn resolved(keys: &[&str]) -> MergedLayers {
    let files = [("settings.yml", SETTINGS), ("repos/shop.yml", SHOP)];
    let files = files.map(|(file, text)| (file.to_owned(), text.to_owned())).into();
    let policy = Policy::from_sources(files, "admin", Path::new("policy"));
    let policy = policy.unwrap_or_else(|error| panic!("{error}"));
    let status = waiving(keys);
    let shop = repository(&Node::parse("test", "{ name: shop }").unwrap());
    match policy.resolve(&shop, &status) {
        Verdict::Reached(target) => target,
        Verdict::Skipped(why) => panic!("{why}"),
    }
}

fn json(target: &MergedLayers, pointer: &str) -> Option<serde_json::Value> {
    target.root.as_ref().unwrap().json().pointer(pointer).cloned()
}

/// Removes the key from the section or from the value at `pointer`. Returns the result, and whether
/// the section is additive.
fn left(key: &str, pointer: &str, list: &str) -> (Option<serde_json::Value>, bool) {
    let target = resolved(&[key]);
    assert_eq!(target.waivers.len(), 1, "{key}");
    let is_additive = target.list_modes.get(list).is_some_and(|mode| !mode.exclusive);
    (json(&target, pointer), is_additive)
}

#[test]
fn a_waived_key_is_not_declared() {
    let main = "/branches/0/protection";
    for (key, pointer, expected) in [
        (
            "repository.has_wiki",
            "/repository",
            serde_json::json!({ "topics": ["web", "shop"], "archived": null }),
        ),
        (
            "branches[main].protection.enforce_admins",
            main,
            serde_json::json!({ "required_status_checks": { "strict": true, "contexts": ["ci", "lint"] } }),
        ),
        (
            "branches.main.enforce_admins",
            main,
            serde_json::json!({ "required_status_checks": { "strict": true, "contexts": ["ci", "lint"] } }),
        ),
        (
            "branches[main].protection.required_status_checks.contexts[other]",
            main,
            serde_json::json!({ "enforce_admins": true, "required_status_checks": { "strict": true } }),
        ),
        (
            "branches[main].protection.required_status_checks",
            main,
            serde_json::json!({ "enforce_admins": true }),
        ),
        (
            "rulesets[main].rules[pull_request].parameters.required_approving_review_count",
            "/rulesets/0/rules",
            serde_json::json!([
                { "type": "deletion" },
                { "type": "pull_request", "parameters": { "dismiss_stale_reviews_on_push": true } },
            ]),
        ),
        (
            "rulesets[main].rules[deletion]",
            "/rulesets/0",
            serde_json::json!({ "name": "main", "target": "branch", "enforcement": "active" }),
        ),
    ] {
        assert_eq!(left(key, pointer, "teams"), (Some(expected), false), "{key}");
    }
}

#[test]
fn checks_and_contexts_are_one_list() {
    let text = "branches: [{ name: main, protection: { required_status_checks: { strict: true, contexts: \
                [ci], checks: [{ context: lint }] } } }]";
    for key in ["contexts[ci]", "checks[lint]", "checks"] {
        let mut root = Node::parse("settings.yml", text).unwrap();
        let (path, asked) = (format!("branches.main.required_status_checks.{key}"), root.asked.clone());
        assert_ne!(waive_key(&mut root, &mut ListModes::new(), &path, &asked), Effect::Nothing, "{key}");
        let checks = root.json().pointer("/branches/0/protection/required_status_checks").cloned();
        assert_eq!(checks, Some(serde_json::json!({ "strict": true })), "{key}");
    }
}

#[test]
fn a_waiver_can_name_either_of_two_keys_that_set_the_same_value() {
    let protection = |checks: &str| {
        format!("branches: [{{ name: main, protection: {{ required_status_checks: {{ {checks} }} }} }}]")
    };
    for (text, key) in [
        ("repository: { private: true, has_wiki: false }".to_owned(), "repository.visibility"),
        ("repository: { visibility: internal, has_wiki: false }".to_owned(), "repository.private"),
        (
            protection("strict: true, checks: [{ context: ci }]"),
            "branches.main.required_status_checks.contexts[ci]",
        ),
        (protection("strict: true, contexts: [ci]"), "branches.main.required_status_checks.checks[ci]"),
    ] {
        let mut root = Node::parse("settings.yml", &text).unwrap();
        let asked = root.asked.clone();
        assert_ne!(waive_key(&mut root, &mut ListModes::new(), key, &asked), Effect::Nothing, "{key}");
        let left = root.json().to_string();
        let gone = ["private", "visibility", "contexts", "checks\":["];
        assert!(!gone.iter().any(|gone| left.contains(gone)), "{key}: {left}");
        assert!(left.contains("has_wiki") || left.contains("strict"), "{key}: {left}");
    }
}

#[test]
fn a_block_of_which_nothing_is_left_is_not_declared_as_empty() {
    let (release, _) = left("branches[release].protection.enforce_admins", "/branches/1", "branches");
    assert_eq!(release, Some(serde_json::json!({ "name": "release" })));
    let (branches, _) = left("branches[*].protection", "/branches", "branches");
    assert_eq!(branches, Some(serde_json::json!([{ "name": "main" }, { "name": "release" }])));
}

#[test]
fn a_section_with_a_waived_entry_removes_nothing() {
    let web = serde_json::json!([{ "name": "web", "permission": "push" }]);
    assert_eq!(left("teams[Core]", "/teams", "teams"), (Some(web.clone()), true));
    assert_eq!(left("teams[core].name", "/teams", "teams"), (Some(web), true));
    let (teams, is_additive) = left("teams[contractors]", "/teams", "teams");
    assert_eq!((teams.unwrap().as_array().unwrap().len(), is_additive), (2, true));
    let (topics, is_additive) = left("repository.topics[web]", "/repository/topics", "topics");
    assert_eq!((topics, is_additive), (Some(serde_json::json!(["shop"])), true));
    let (labels, is_additive) = left("labels[bug]", "/labels/include", "labels");
    assert_eq!((labels, is_additive), (Some(serde_json::json!([])), true));
}

#[test]
fn a_waiver_names_the_entries_that_the_policy_does_not_declare() {
    let keys = [
        "teams[core]",
        "teams[nobody]",
        "labels[type: bug]",
        "repository.topics[old]",
        "repository.has_wiki",
    ];
    let target = resolved(&keys);
    assert_eq!(target.absent_waived, ["teams[nobody]", "labels[type: bug]", "repository.topics[old]"]);
    assert_eq!(target.waivers[0].keys, keys, "each key has an effect");
    let twice = resolved(&["teams[core]", "teams[core]"]);
    assert!(twice.absent_waived.is_empty(), "{:?}", twice.absent_waived);
}

#[test]
fn a_waived_value_of_an_entry_keeps_the_entry_and_the_mode() {
    let (teams, is_additive) = left("teams[core].permission", "/teams/0", "teams");
    assert_eq!((teams, is_additive), (Some(serde_json::json!({ "name": "core" })), false));
}

#[test]
fn a_waived_section_is_not_declared() {
    assert_eq!(left("teams", "/teams", "teams"), (None, false));
    assert_eq!(left("repository", "/repository", "topics"), (None, false));
    assert!(resolved(&["repository.archived"]).waives_archived());
}

#[test]
fn a_waiver_of_what_the_policy_does_not_declare_has_no_effect() {
    for key in ["teams[contractors].permission", "branches[other].protection", "autolinks", "teams["] {
        let target = resolved(&[key]);
        assert!(target.waivers.is_empty(), "{key}");
        assert_eq!(target.root, resolved(&[]).root, "{key}");
    }
}

#[test]
fn a_key_with_a_default_is_exempt_with_its_entry_or_block() {
    let hooks = "webhooks: [{ url: 'https://x.example/a', active: true }, { url: 'https://x.example/b' }]";
    let main = "branches: [{ name: main, protection: { enforce_admins: true, restrictions: { users: [mona], teams: \
                [core] } } }]";
    let protection = serde_json::json!({ "enforce_admins": true });
    for (text, key, pointer, expected) in [
        (
            hooks,
            "webhooks[https://x.example/a].active",
            "/webhooks",
            Some(serde_json::json!([{ "url": "https://x.example/b" }])),
        ),
        (
            hooks,
            "webhooks[https://x.example/b].events",
            "/webhooks",
            Some(serde_json::json!([{ "url": "https://x.example/a", "active": true }])),
        ),
        (
            "custom_properties: [{ name: tier, value: one }]",
            "custom_properties[tier].value",
            "/custom_properties",
            Some(serde_json::json!([])),
        ),
        (
            "collaborators: [{ username: mona, permission: pull }]",
            "collaborators[mona].permission",
            "/collaborators",
            Some(serde_json::json!([])),
        ),
        (
            "labels: [{ name: bug, oldname: defect }]",
            "labels[bug].oldname",
            "/labels",
            Some(serde_json::json!([])),
        ),
        (main, "branches.main.restrictions.users", "/branches/0/protection", Some(protection.clone())),
        (main, "branches.main.restrictions.users[mona]", "/branches/0/protection", Some(protection.clone())),
        (main, "branches.main.restrictions.apps", "/branches/0/protection", Some(protection)),
        ("pages: { enabled: true, https_enforced: true }", "pages.enabled", "/pages", None),
        (
            "pages: { source: { branch: main, path: /docs }, cname: x.example }",
            "pages.source.path",
            "/pages",
            Some(serde_json::json!({ "cname": "x.example" })),
        ),
    ] {
        let mut root = Node::parse("settings.yml", text).unwrap();
        let (mut modes, asked) = (ListModes::new(), root.asked.clone());
        assert_ne!(waive_key(&mut root, &mut modes, key, &asked), Effect::Nothing, "{key}");
        assert_eq!(root.json().pointer(pointer).cloned(), expected, "{key}");
        let section = pointer.trim_start_matches('/');
        let is_additive = modes.get(section).is_some_and(|mode| !mode.exclusive);
        assert_eq!(is_additive, lists().contains(&section), "{key}");
    }
}

#[test]
fn a_waiver_exempts_a_fact_in_both_of_its_spellings() {
    let settings = "
branches:
  - { name: default, protection: { enforce_admins: true } }
  - { name: main, protection: { enforce_admins: true, lock_branch: true } }
repository: { has_wiki: false, security: { enableVulnerabilityAlerts: true } }
security: { dependabot_alerts: true, private_vulnerability_reporting: true }
";
    let files = [("settings.yml".to_owned(), settings.to_owned())].into();
    let policy = Policy::from_sources(files, "admin", Path::new("policy")).unwrap();
    let root = |key: &str| {
        let mut shop = repository(&Node::parse("test", "{ name: shop }").unwrap());
        shop.default_branch = Some("main".into());
        match policy.resolve(&shop, &waiving(&[key])) {
            Verdict::Reached(target) => target.root.as_ref().unwrap().json(),
            Verdict::Skipped(why) => panic!("{why}"),
        }
    };
    for key in ["branches[default].enforce_admins", "branches[main].protection.enforce_admins"] {
        let text = root(key)["branches"].to_string();
        assert!(!text.contains("enforce_admins") && text.contains("lock_branch"), "{key}: {text}");
    }
    for key in ["security.dependabot_alerts", "repository.security.enableVulnerabilityAlerts"] {
        let root = root(key);
        assert_eq!(
            root["security"],
            serde_json::json!({ "private_vulnerability_reporting": true }),
            "{key}: {root}"
        );
        assert!(!root["repository"].to_string().contains("enableVulnerabilityAlerts"), "{key}: {root}");
    }
}
