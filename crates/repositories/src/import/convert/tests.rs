//! Tests of the conversions.

use std::collections::BTreeMap;

use super::{Conversion, Incumbent, convert};
use crate::policy::Severity;

fn converted(from: Incumbent, files: &[(&str, &str)]) -> Conversion {
    let sources = files.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect();
    convert(from, None, &sources).unwrap()
}

/// Returns the lines that the conversion reported, and their messages.
fn said(made: &Conversion, severity: Severity) -> Vec<String> {
    let found = made.problems.iter().filter(|problem| problem.severity == severity);
    found.map(|problem| format!("{}: {}", problem.asked.line, problem.message)).collect()
}

fn body(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    lines.join("\n") + "\n"
}

#[test]
fn a_file_of_the_probot_app_becomes_the_file_of_its_repository() {
    let made = converted(
        Incumbent::Probot,
        &[(
            "src/shop/.github/settings.yml",
            "repository:
  name: shop
  topics: web, rust
  has_pages: true
  enable_vulnerability_alerts: true
  enable_automated_security_fixes: true
labels:
  - name: wip
    new_name: in progress
    color: 336699
milestones:
  - title: one
",
        )],
    );
    assert_eq!(made.files.keys().collect::<Vec<_>>(), ["repos/shop.yml"]);
    let expected = "repository:
  topics: [web, rust]
labels: [{ name: in progress, color: \"336699\", oldname: wip }]
milestones: [{ title: one }]
security:
  dependabot_alerts: true
  dependabot_security_updates: true
";
    assert_eq!(body(&made.files["repos/shop.yml"]), expected);
    let left = said(&made, Severity::NotYet);
    assert!(
        left.len() == 1 && left.iter().any(|line| line.starts_with("4: `repository.has_pages`")),
        "{left:?}"
    );
    assert_eq!(said(&made, Severity::Error), [""; 0]);
}

#[test]
fn a_key_that_beadle_does_not_know_is_left_out_with_its_line() {
    let known = "repository:\n  name: shop\n  has_wiki: false\n  wiki: true\nbranch_protection: []\n";
    let made = converted(Incumbent::Probot, &[("a.yml", known)]);
    assert_eq!(body(&made.files["repos/shop.yml"]), "repository:\n  has_wiki: false\n");
    let mut left = said(&made, Severity::NotYet);
    left.sort_unstable();
    assert_eq!(left, ["4: unknown key `repository.wiki`", "5: unknown key `branch_protection`"]);
    for (file, unknown) in [
        ("shop/.github/settings.yml", "general: {}\n"),
        ("a.yml", "repository: { name: shop, wiki: true }\n"),
    ] {
        let made = converted(Incumbent::Probot, &[(file, unknown)]);
        assert!(made.files.is_empty(), "{:?}", made.files);
        assert_eq!(said(&made, Severity::Warning), ["1: no settings found"], "{unknown}");
        assert_eq!(said(&made, Severity::Error), [""; 0], "{unknown}");
    }
    let made = converted(Incumbent::SafeSettings, &[("settings.yml", "general: {}\n")]);
    assert_eq!(said(&made, Severity::Error), ["1: unknown key `general`"]);
}

#[test]
fn a_block_that_loses_its_unknown_keys_does_not_become_an_empty_one() {
    let text = "repository:
  name: shop
  has_wiki: false
branches:
  - name: main
    protection:
      review_count: 2
  - name: next
    protection:
      enforce_admins: true
      restrictions: { people: [mona] }
";
    let made = converted(Incumbent::Probot, &[("a.yml", text)]);
    // An empty `protection` would remove the rule. With empty `restrictions`, nobody could push.
    let body = body(&made.files["repos/shop.yml"]);
    assert!(body.contains("enforce_admins: true"), "{body}");
    for empty in ["protection: {}", "restrictions", "protection: null"] {
        assert!(!body.contains(empty), "{empty}: {body}");
    }
    let mut left = said(&made, Severity::NotYet);
    left.sort_unstable();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn a_name_with_spaces_gets_hyphens() {
    let text = "repository:\n  name: fabric private chaincode\n  has_wiki: false\n";
    for file in ["settings.yml", "fabric-private-chaincode/.github/settings.yml"] {
        let made = converted(Incumbent::Probot, &[(file, text)]);
        let body = body(&made.files["repos/fabric-private-chaincode.yml"]);
        assert_eq!(body, "repository:\n  has_wiki: false\n", "{file}");
        let found = said(&made, Severity::Warning);
        assert!(found.len() == 1 && found[0].starts_with("2: "), "{found:?}");
    }
}

#[test]
fn a_part_of_a_ruleset_is_written_if_another_file_has_the_rest() {
    let rest = "suborgrepos: [shop]\nrulesets: [{ name: main, enforcement: active }]\n";
    let part = "rulesets: [{ name: main, rules: [{ type: deletion }] }]\n";
    let made = converted(Incumbent::SafeSettings, &[("suborgs/a.yml", rest), ("repos/shop.yml", part)]);
    assert!(made.problems.is_empty(), "{:?}", made.problems);
    assert!(!made.files["repos/shop.yml"].contains("enforcement"), "{:?}", made.files);
    let alone = [("repos/shop.yml".to_owned(), part.to_owned())].into();
    let refused = convert(Incumbent::SafeSettings, None, &alone).unwrap_err();
    assert!(refused.contains("must have `enforcement`"), "{refused}");
}

#[test]
fn a_file_that_others_extend_becomes_a_layer() {
    let base = "repository: { has_wiki: false }\n";
    let shop = "_extends: acme/base\nrepository: { has_issues: false }\n";
    let alone = "_extends: elsewhere:.github/settings.yml\nrepository: { new_name: better }\n";
    let made = converted(
        Incumbent::Probot,
        &[
            ("base/.github/settings.yml", base),
            ("shop/.github/settings.yml", shop),
            ("alone/.github/settings.yml", alone),
        ],
    );
    let files: Vec<&String> = made.files.keys().collect();
    assert_eq!(files, ["layers/extends-base.yml", "repos/alone.yml", "repos/shop.yml"]);
    let layer = body(&made.files["layers/extends-base.yml"]);
    assert_eq!(layer, "select: { name: [base, shop] }\nrepository:\n  has_wiki: false\n");
    assert_eq!(body(&made.files["repos/alone.yml"]), "repository:\n  name: better\n");
    let left = said(&made, Severity::NotYet);
    assert_eq!(left, ["1: `_extends`: the file of the repository `elsewhere` is not among the files"]);
}

#[test]
fn files_of_safe_settings_keep_their_places_and_lose_only_what_is_reported() {
    let made = converted(
        Incumbent::SafeSettings,
        &[
            ("admin/.github/settings.yml", "repository:\n  has_pages: true\n  has_wiki: false\n"),
            (
                "admin/.github/suborgs/web.yml",
                "suborgrepos: [web-*]\nteams:\n  - name: web\n    privacy: closed\n",
            ),
            ("admin/.github/repos/shop.yml", "# nothing yet\n"),
        ],
    );
    assert_eq!(made.files.keys().collect::<Vec<_>>(), ["settings.yml", "suborgs/web.yml"]);
    assert_eq!(body(&made.files["settings.yml"]), "repository:\n  has_wiki: false\n");
    assert!(!made.files["suborgs/web.yml"].contains("privacy"));
    assert_eq!(said(&made, Severity::NotYet).len(), 2, "{:?}", made.problems);
    assert_eq!(said(&made, Severity::Warning), ["1: the file has no values"]);
}

#[test]
fn peribolos_has_repositories_and_the_access_of_teams() {
    let org = "orgs:
  acme:
    billing_email: a@example.com
    members: [ann]
    repos:
      shop:
        description: The shop
        previously: [store]
    teams:
      Core Team:
        privacy: closed
        repos: { shop: write, other: read }
        teams:
          leads: { repos: { shop: admin }, members: [ann] }
";
    let made = converted(Incumbent::Peribolos, &[("org.yaml", org)]);
    let expected = "repository:
  description: The shop
teams:
  additive:
    - { name: core-team, permission: push }
    - { name: leads, permission: admin }
";
    assert_eq!(body(&made.files["repos/shop.yml"]), expected);
    assert!(made.files["repos/other.yml"].contains("permission: pull"));
    let lines: Vec<u32> = made.problems.iter().map(|problem| problem.asked.line).collect();
    let (mut lines, expected) = (lines, [3, 4, 8, 11, 14]);
    lines.sort_unstable();
    assert_eq!(lines, expected, "{:?}", made.problems);
}

#[test]
fn what_is_wrong_is_an_error_with_its_line() {
    for (from, file, text, why) in [
        (
            Incumbent::Probot,
            "settings.yml",
            "repository: { has_wiki: true }",
            "the name of the repository is unknown",
        ),
        (Incumbent::Probot, "settings.yml", "repository:\n  name: ../x\n", "the name of a repository must"),
        (Incumbent::SafeSettings, "other.yml", "a: 1", "a file of safe-settings must be"),
        (
            Incumbent::SafeSettings,
            "settings.yml",
            "repository:\n  has_wiki: maybe\n",
            "must be true or false",
        ),
        (Incumbent::Peribolos, "org.yaml", "orgs: { a: {}, b: {} }", "must have one organisation"),
        (Incumbent::Peribolos, "org.yaml", "orgs: [", ""),
    ] {
        let made = converted(from, &[(file, text)]);
        let errors = said(&made, Severity::Error);
        assert!(errors.len() == 1 && errors[0].contains(why), "{from:?} {text}: {errors:?}");
    }
}

#[test]
fn an_organisation_is_chosen_by_name() {
    let org = "orgs:\n  a: { repos: { one: {} } }\n  b: { repos: { two: {} } }\n";
    let sources = BTreeMap::from([("org.yaml".to_owned(), org.to_owned())]);
    let made = convert(Incumbent::Peribolos, Some("B"), &sources).unwrap();
    assert_eq!(made.files.keys().collect::<Vec<_>>(), ["repos/two.yml"]);
}
