use std::collections::BTreeMap;
use std::path::Path;

use crate::policy::assertions::repository;
use crate::policy::{Node, OverrideStatus, Policy, PolicyError, Verdict};

/// The example of docs/policy/rules-and-tests.md.
const EXAMPLE: &str = include_str!("../../../../../examples/policy/rules/overrides.yml");

fn load(files: &[(&str, &str)]) -> Result<Policy, PolicyError> {
    let sources: BTreeMap<String, String> =
        files.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect();
    Policy::from_sources(sources, "admin", Path::new("policy"))
}

/// Returns the errors of a policy. Each error has the form `file:line message`.
fn errors(files: &[(&str, &str)]) -> Vec<String> {
    match load(files) {
        Ok(_) => Vec::new(),
        Err(PolicyError::Invalid { problems, .. }) => {
            problems.iter().map(|problem| format!("{} {}", problem.asked, problem.message)).collect()
        }
        Err(error) => panic!("{error}"),
    }
}

/// Returns the sections that Beadle does not change in a repository. Each section comes with a
/// reason.
fn undecided(files: &[(&str, &str)], given: &str) -> Vec<(String, String)> {
    let policy = load(files).unwrap_or_else(|error| panic!("{error}"));
    let seen = repository(&Node::parse("test", given).unwrap());
    match policy.resolve(&seen, &OverrideStatus::default()) {
        Verdict::Reached(target) => {
            target.undecided.into_iter().map(|(section, unsure)| (section, unsure.why)).collect()
        }
        Verdict::Skipped(why) => panic!("{why}"),
    }
}

/// Returns the text of a file that requires the given number of approvals for the default branch.
fn approvals(count: &str) -> String {
    format!(
        "branches:\n- name: default\n  protection:\n    required_pull_request_reviews:\n      \
         required_approving_review_count: {count}\n"
    )
}

#[test]
fn an_override_must_not_lower_the_number_of_approvals() {
    let base = approvals("2");
    for (name, text, expected) in [
        ("lower", approvals("1"), Some("repos/shop.yml:5 ")),
        ("equal", approvals("2"), None),
        ("higher", approvals("3"), None),
        (
            "no rule",
            "branches: [{ name: default, protection: null }]\n".to_owned(),
            Some("repos/shop.yml:1 "),
        ),
        (
            "reviews off",
            "branches:\n- name: default\n  protection: { required_pull_request_reviews: null }\n".to_owned(),
            Some("repos/shop.yml:3 "),
        ),
        ("another branch", approvals("1").replace("default", "next"), None),
        ("another section", "repository: { has_wiki: false }\n".to_owned(), None),
    ] {
        let files = [
            ("settings.yml", base.as_str()),
            ("rules/overrides.yml", EXAMPLE),
            ("repos/shop.yml", text.as_str()),
        ];
        let found = errors(&files);
        match expected {
            None => assert!(found.is_empty(), "{name}: {found:?}"),
            Some(place) => {
                let [message] = found.as_slice() else { panic!("{name}: {found:?}") };
                assert!(message.starts_with(place), "{name}: {message}");
                assert!(message.contains("must not lower the number of approvals"), "{name}: {message}");
                assert!(message.contains("rules/overrides.yml:"), "{name}: {message}");
            }
        }
    }
}

#[test]
fn a_rule_sees_what_the_edits_of_a_layer_do() {
    let base = approvals("2");
    for (text, count) in [
        (approvals("{ at_least: 1 }"), 0),
        ("branches: { without: [default] }\n".to_owned(), 1),
        ("branches: { replace: [{ name: next, protection: { enforce_admins: true } }] }\n".to_owned(), 1),
        ("branches: { add: [{ name: next, protection: { enforce_admins: true } }] }\n".to_owned(), 0),
    ] {
        let files = [
            ("settings.yml", base.as_str()),
            ("rules/overrides.yml", EXAMPLE),
            ("repos/shop.yml", text.as_str()),
        ];
        let found = errors(&files);
        assert_eq!(found.len(), count, "{text}: {found:?}");
        assert!(found.iter().all(|message| message.starts_with("repos/shop.yml:1 ")), "{found:?}");
    }
}

#[test]
fn a_minimum_alone_counts_as_its_number() {
    let rule = "- name: approvals\n  each: branches\n  expect: override.protection.required_pull_request_reviews\
                .required_approving_review_count | default(0) >= 2\n  message: two approvals\n";
    for (least, count) in [("1", 1), ("2", 0)] {
        let text = approvals(&format!("{{ at_least: {least} }}"));
        let files = [
            ("settings.yml", "repository: { has_wiki: false }\n"),
            ("rules/a.yml", rule),
            ("repos/shop.yml", text.as_str()),
        ];
        let found = errors(&files);
        assert_eq!(found.len(), count, "{least}: {found:?}");
    }
}

#[test]
fn an_override_must_not_grant_admin_to_a_person() {
    for (permission, count) in [("admin", 1), ("push", 0)] {
        let text = format!("collaborators: [{{ username: mona, permission: {permission} }}]\n");
        let rules = ("rules/overrides.yml", EXAMPLE);
        let base = ("settings.yml", "repository: { has_wiki: false }\n");
        for file in ["repos/shop.yml", "layers/a.yml"] {
            let found = errors(&[base, rules, (file, text.as_str())]);
            assert_eq!(found.len(), count, "{file} {permission}: {found:?}");
        }
        // `settings.yml` does not override another layer.
        assert_eq!(errors(&[rules, ("settings.yml", text.as_str())]), Vec::<String>::new());
    }
}

#[test]
fn only_the_layers_that_certainly_reach_the_same_repositories_are_the_base_of_a_check() {
    let (two, one) = (approvals("2"), approvals("1"));
    let web = format!("suborgrepos: ['web-*']\n{two}");
    let topic = format!("select: {{ topic: infra }}\nrank: 50\n{two}");
    let rules = ("rules/overrides.yml", EXAMPLE);
    let certain = errors(&[rules, ("suborgs/web.yml", web.as_str()), ("repos/web-shop.yml", one.as_str())]);
    assert_eq!(certain.len(), 1, "{certain:?}");
    for (below, own) in [("suborgs/web.yml", "repos/api.yml"), ("layers/infra.yml", "repos/shop.yml")] {
        let text = if below == "suborgs/web.yml" { &web } else { &topic };
        let found = errors(&[rules, (below, text.as_str()), (own, one.as_str())]);
        assert!(found.is_empty(), "{below} {own}: {found:?}");
    }
    // If the repository has the topic, the repository's layers break the rule.
    let files = [rules, ("layers/infra.yml", topic.as_str()), ("repos/shop.yml", one.as_str())];
    let found = undecided(&files, "{ name: shop, topics: [infra] }");
    let [(section, why)] = found.as_slice() else { panic!("{found:?}") };
    assert!(section == "branches" && why.starts_with("repos/shop.yml:5: "), "{section}: {why}");
    assert_eq!(undecided(&files, "{ name: shop }"), Vec::new());
}

#[test]
fn an_entry_of_first_match_is_checked_with_the_values_of_its_file() {
    let base = approvals("2");
    let case = "select: { name: 'web-*' }\nfirst_match:\n- branches:\n  - name: default\n    protection:\n      \
                required_pull_request_reviews: { required_approving_review_count: 1 }\n";
    let files = [("settings.yml", base.as_str()), ("rules/a.yml", EXAMPLE), ("layers/web.yml", case)];
    let found = errors(&files);
    assert!(matches!(found.as_slice(), [one] if one.starts_with("layers/web.yml:6 ")), "{found:?}");
}

#[test]
fn a_rule_about_repositories_leaves_the_sections_that_it_names_alone() {
    let rule = "- name: no public repository has a wiki\n  when: resolved.repository.visibility == 'public'\n  \
                expect: not resolved.repository.has_wiki\n  message: a public repository must not have a wiki\n";
    let base = "repository: { has_wiki: true }\nlabels: [{ name: a, color: cc0000 }]\n";
    let public = "repository: { visibility: public }\n";
    let files = [("settings.yml", base), ("rules/a.yml", rule), ("repos/shop.yml", public)];
    let found = undecided(&files, "{ name: shop }");
    let [(section, why)] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(section, "repository");
    assert!(
        why.contains("a public repository must not have a wiki") && why.contains("rules/a.yml:1"),
        "{why}"
    );
    assert_eq!(undecided(&files, "{ name: blog }"), Vec::new());
}

#[test]
fn a_rule_about_a_section_that_no_file_sets_is_broken_by_its_absence() {
    let rule = "- name: protected\n  expect: resolved.branches|length > 0\n  message: every repository needs a rule\n";
    let settings = ("settings.yml", "repository: { has_wiki: true }\n");
    let found = undecided(&[settings, ("rules/a.yml", rule)], "{ name: shop }");
    assert!(matches!(found.as_slice(), [(section, _)] if section == "branches"), "{found:?}");
}

#[test]
fn the_entries_of_a_list_are_checked_one_by_one_where_they_apply() {
    let rule = "- name: roles\n  each: teams\n  expect: resolved.permission != 'admin'\n  message: no team may administer\n";
    let teams =
        "teams:\n- { name: core, permission: push }\n- { name: ops, permission: admin, include: [shop] }\n";
    let files = [("settings.yml", teams), ("rules/a.yml", rule)];
    let found = undecided(&files, "{ name: shop }");
    assert!(
        matches!(found.as_slice(), [(section, why)] if section == "teams" && why.starts_with("settings.yml:3"))
    );
    assert_eq!(undecided(&files, "{ name: blog }"), Vec::new());
}

#[test]
fn sections_that_beadle_does_not_apply_break_no_rule() {
    let base = approvals("2");
    let own = format!("{}disable_plugins: [branches]\n", approvals("1"));
    let rules = ("rules/a.yml", EXAMPLE);
    assert!(
        errors(&[("settings.yml", base.as_str()), rules, ("repos/shop.yml", own.as_str())]).is_empty(),
        "the file disables the section itself"
    );
    let base = format!("{base}disable_plugins: [{{ plugin: branches, target: children }}]\n");
    let own = approvals("1");
    assert!(errors(&[("settings.yml", base.as_str()), rules, ("repos/shop.yml", own.as_str())]).is_empty());
}

#[test]
fn a_rule_that_cannot_be_evaluated_is_broken() {
    let rule = "- name: a\n  expect: override.repository.description - 1 > 2\n  message: b\n";
    let settings = ("settings.yml", "repository: { has_wiki: true }\n");
    let own = ("repos/shop.yml", "repository: { description: many }\n");
    let found = errors(&[settings, ("rules/a.yml", rule), own]);
    let [message] = found.as_slice() else { panic!("{found:?}") };
    assert!(message.starts_with("repos/shop.yml:1 ") && message.contains("cannot be evaluated"), "{message}");
}

#[test]
fn a_file_with_an_invalid_rule_is_refused_with_its_line() {
    let settings = ("settings.yml", "repository: { has_wiki: true }\n");
    for (text, expected) in [
        ("", ":1 the file has no rule"),
        ("# none\n", ":1 the file has no rule"),
        ("[]\n", ":1 the file has no rule"),
        ("name: a\n", ":1 the file must be a list"),
        ("- name: a\n  expect: 'true'\n", ":1 a rule must have `message`"),
        ("- name: a\n  message: b\n", ":1 a rule must have `expect`"),
        ("- name: a\n  message: b\n  expect: 'true'\n", ":1 `expect` must use base, override, resolved"),
        ("- name: a\n  message: b\n  expect: resolved.\n", ":3 expect: "),
        (
            "- name: a\n  message: b\n  expect: resolvd.repository.has_wiki\n",
            ":3 `expect`: unknown variable `resolvd`",
        ),
        (
            "- name: a\n  message: b\n  expect: resolved.repository.has_wikki\n",
            ":3 `expect`: unknown key `has_wikki` in `resolved.repository.has_wikki`",
        ),
        ("- name: a\n  message: b\n  expect: resolved.teams.name == 'a'\n", ":3 `expect`: `teams` in"),
        (
            "- name: a\n  message: b\n  each: branches\n  expect: 'true'\n  when: override.protection.restrictons\n",
            ":5 `when`: unknown key `restrictons`",
        ),
        (
            "- name: a\n  message: b\n  each: actions\n  expect: override.name\n",
            ":3 `[0].each` must be one of",
        ),
        (
            "- name: a\n  message: b\n  expect: range(3) == resolved.labels\n",
            ":3 `expect`: unknown variable `range`",
        ),
        ("- name: a\n  message: b\n  script: return true\n", ":3 unknown key `[0].script`"),
    ] {
        let found = errors(&[settings, ("rules/a.yml", text)]);
        let is_expected = |message: &&String| message.starts_with(&format!("rules/a.yml{expected}"));
        assert!(found.iter().any(|message| is_expected(&message)), "{text}: {found:?}");
    }
}

#[test]
fn the_other_spelling_of_a_value_does_not_pass_a_rule() {
    let settings = "branches:\n- name: default\n  protection:\n    required_pull_request_reviews: { required_approving_review_count: 2 }\n";
    let rules = "- name: visibility\n  expect: resolved.repository.visibility != 'public'\n  message: nothing is public\n\
                 - name: alerts\n  expect: resolved.security.dependabot_alerts\n  message: alerts are on\n";
    let files = |text: &'static str| {
        [
            ("settings.yml", settings),
            ("rules/a.yml", rules),
            ("rules/example.yml", EXAMPLE),
            ("repos/shop.yml", text),
        ]
    };
    let of = |text: &'static str| undecided(&files(text), "{ name: shop, default_branch: main }");
    let fine = "security: { dependabot_alerts: true }\nrepository: { private: true }\n";
    assert_eq!(of(fine), Vec::new());
    for (text, section, why) in [
        (
            "security: { dependabot_alerts: true }\nrepository: { private: false }\n",
            "repository",
            "nothing is public",
        ),
        (
            "repository: { private: true, security: { enableVulnerabilityAlerts: false } }\n",
            "security",
            "alerts are on",
        ),
        (
            "security: { dependabot_alerts: true }\nrepository: { private: true }\nbranches: [{ name: main, protection: \
             { required_pull_request_reviews: { required_approving_review_count: 0 } } }]\n",
            "branches",
            "repos/shop.yml:3",
        ),
    ] {
        let found = of(text);
        assert!(
            found.iter().any(|(name, reason)| name == section && reason.contains(why)),
            "{text}: {found:?}"
        );
    }
    for permission in ["Admin", "ADMIN"] {
        let text = format!("collaborators: [{{ username: mona, permission: {permission} }}]\n");
        let found =
            errors(&[("settings.yml", settings), ("rules/a.yml", EXAMPLE), ("repos/shop.yml", &text)]);
        assert!(
            matches!(found.as_slice(), [one] if one.starts_with("repos/shop.yml:1")),
            "{permission}: {found:?}"
        );
    }
}

#[test]
fn layers_of_equal_rank_that_spell_a_value_differently_disagree() {
    let of = |one: &'static str, other: &'static str| {
        undecided(&[("layers/a.yml", one), ("layers/b.yml", other)], "{ name: shop, default_branch: main }")
    };
    let admins = |name: &str, on: bool| {
        format!("branches: [{{ name: {name}, protection: {{ enforce_admins: {on} }} }}]\n")
    };
    let (strict, lax) = (admins("default", true).leak(), admins("main", false).leak());
    let found = of(strict, lax);
    assert!(found.iter().any(|(name, why)| name == "branches" && why.contains("disagree")), "{found:?}");
    assert_eq!(of(strict, admins("main", true).leak()), Vec::new());
    assert_eq!(of(strict, admins("dev", false).leak()), Vec::new());
    // Both layers reach every repository, so the check finds the conflict without a repository.
    let files = [
        ("layers/a.yml", "repository: { security: { enableVulnerabilityAlerts: true } }\n"),
        ("layers/b.yml", "security: { dependabot_alerts: false }\n"),
    ];
    let found = errors(&files);
    assert!(
        found.iter().any(|error| error.contains("disagree about `security.dependabot_alerts`")),
        "{found:?}"
    );
}
