use serde_json::json;

use super::{accepted, desired, errors, remarks, setting};
use crate::policy::Severity;

#[test]
fn rules_that_the_published_description_lacks_are_left_out_with_their_lines() {
    for (rule, line) in [
        ("{ type: code_quality, parameters: { severity: errors } }", 5),
        ("{ type: code_coverage, parameters: { minimum_coverage: 80, max_coverage_drop: null } }", 5),
        ("{ type: repository_create }", 5),
        ("{ type: repository_delete }", 5),
        ("{ type: repository_transfer }", 5),
        ("{ type: repository_name, parameters: { negate: false, pattern: 'team-.*' } }", 5),
        ("{ type: repository_visibility, parameters: { internal: true, private: false } }", 5),
        (
            "type: pull_request\n    parameters:\n      required_approving_review_count: 1\n      \
             require_extra_approval_for_unattributed_changes: true",
            8,
        ),
    ] {
        for (list, offset) in [("rules", 0), ("rules:\n    add", 1)] {
            let indent = if offset == 0 { "  " } else { "    " };
            let rule = rule.replace('\n', if offset == 0 { "\n" } else { "\n  " });
            let text = format!(
                "rulesets:\n- name: main\n  enforcement: active\n  {list}:\n{indent}- {rule}\n{indent}- type: deletion\n"
            );
            let policy = accepted(&[("repos/shop.yml", text.as_str())]);
            let found = remarks(&policy);
            let is_reported = |(severity, message): &(Severity, String)| {
                *severity == Severity::NotYet
                    && message.contains("because GitHub's published description of its API does not have it")
                    && message.starts_with(&format!("repos/shop.yml:{} ", line + offset))
            };
            assert!(found.iter().any(is_reported), "{text}\n{found:?}");
            let ruleset = desired(&policy).sections["rulesets"].items()[0].json();
            let kept = ruleset["rules"].to_string();
            assert!(
                kept.contains("deletion")
                    && ["code_", "repository_", "unattributed"].iter().all(|word| !kept.contains(word)),
                "{kept}"
            );
            assert_eq!(
                kept.contains("required_approving_review_count"),
                rule.contains("pull_request"),
                "{kept}"
            );
        }
    }
}

#[test]
fn empty_topics_are_not_specified() {
    for empty in ["''", "' '"] {
        let text = format!("repository:\n  has_wiki: false\n  topics: {empty}\n");
        let policy = accepted(&[("settings.yml", text.as_str())]);
        assert_eq!(desired(&policy).topics, None, "{empty}");
        assert_eq!(setting(&policy, "has_wiki"), Some(json!(false)));
        let found = remarks(&policy);
        let [(Severity::Warning, message)] = found.as_slice() else { panic!("{found:?}") };
        assert!(message.starts_with("settings.yml:3 `repository.topics` is an empty text"), "{message}");
    }
}

#[test]
fn new_name_of_a_label_is_its_name() {
    for (entry, expected) in [
        (
            "{ name: wip, new_name: in progress, color: cc0000 }",
            json!({ "name": "in progress", "color": "cc0000", "oldname": "wip" }),
        ),
        ("{ name: wip, color: cc0000 }", json!({ "name": "wip", "color": "cc0000" })),
    ] {
        for text in [format!("labels: [{entry}]\n"), format!("labels: {{ include: [{entry}] }}\n")] {
            let policy = accepted(&[("settings.yml", text.as_str())]);
            assert!(policy.remarks.is_empty(), "{text}: {:?}", policy.remarks);
            assert_eq!(desired(&policy).sections["labels"].items()[0].json(), expected, "{text}");
        }
    }
    let both = errors(&[("settings.yml", "labels: [{ name: a, new_name: b, oldname: c }]\n")]);
    assert!(both.contains("unknown key `labels[0].new_name`"), "{both}");
}

#[test]
fn a_branch_without_protection_sets_nothing() {
    let rule = "branches: [{ name: main, protection: { enforce_admins: true } }]\n";
    for (settings, count) in [("repository: { has_wiki: false }\n", 0), (rule, 1)] {
        let policy = accepted(&[("settings.yml", settings), ("repos/shop.yml", "branches:\n- name: main\n")]);
        let branches = desired(&policy).branches;
        assert_eq!(branches.len(), count, "{settings}");
        assert!(branches.iter().all(|branch| branch.protection.is_some()), "the lower layer counts");
        let found = remarks(&policy);
        let [(Severity::Warning, message)] = found.as_slice() else { panic!("{found:?}") };
        assert!(message.starts_with("repos/shop.yml:2 `branches[0]` has no `protection`"), "{message}");
    }
}

#[test]
fn keys_that_ask_for_nothing_are_not_reported() {
    for (key, count) in [
        ("repository: { has_wiki: false, force_create: false }", 0),
        ("repository: { has_wiki: false, auto_init: false }", 0),
        ("repository: { has_wiki: false, gitignore_template: null, license_template: null }", 0),
        ("repository: { has_wiki: false, force_create: true }", 0),
        ("repository: { has_wiki: false, license_template: mit }", 0),
        ("repository: { has_wiki: false, new_name: shop }", 1),
    ] {
        let found = remarks(&accepted(&[("settings.yml", key)]));
        assert_eq!(found.len(), count, "{key}: {found:?}");
    }
}
