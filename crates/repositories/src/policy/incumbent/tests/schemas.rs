use super::{accepted, remarks};
use crate::policy::Severity;

/// Keys that Beadle does not support. The keys come from the published schemas and samples of
/// safe-settings, and from the Probot settings app. Each element contains a file name and a text.
/// The final line of the text contains the key.
const NOT_CARRIED_OUT: &[(&str, &str)] = &[
    ("settings.yml", "repository:\n  has_downloads: true"),
    ("settings.yml", "repository:\n  org: acme"),
    ("repos/a.yml", "repository:\n  organization: acme"),
    ("repos/a.yml", "repository:\n  new_name: b"),
    ("repos/a.yml", "repository:\n  has_pages: true"),
    ("repos/a.yml", "repository:\n  enable_vulnerability_alerts: true"),
    ("repos/a.yml", "repository:\n  enable_automated_security_fixes: true"),
    ("repos/a.yml", "_extends: base"),
    ("settings.yml", "repositories: { has_wiki: true }"),
    ("suborgs/a.yml", "suborgrepos: [a]\nrepositories: { has_wiki: true }"),
    ("repos/a.yml", "repositories: { has_wiki: true }"),
    ("settings.yml", "repository:\n  team_id: 5"),
    ("settings.yml", "repository:\n  custom_properties: { tier: gold }"),
    ("settings.yml", "ruleset_scope: repo"),
    ("suborgs/a.yml", "suborgrepos: [a]\nruleset_scope: repo"),
    ("settings.yml", "centralized_ruleset_bypass_actors: [{ actor_type: Team, actor_id: 5 }]"),
    (
        "deployment-settings.yml",
        "configvalidators: [{ plugin: collaborators, error: a, script: return true }]",
    ),
    ("deployment-settings.yml", "overridevalidators: [{ plugin: branches, error: a, script: return true }]"),
    ("settings.yml", "environments:\n- name: a\n  deployment_protection_rules: [{ app_id: 5, id: 6 }]"),
    ("settings.yml", "variables:\n- name: a\n  value: b\n  visibility: all"),
    ("settings.yml", "app_installations: [{ app_slug: a }]"),
    ("suborgs/a.yml", "app_installations: [{ app_slug: a }]"),
    ("repos/a.yml", "app_installations: [{ app_slug: a }]"),
    ("settings.yml", "teams:\n- name: a\n  description: b"),
    ("settings.yml", "teams:\n- name: a\n  privacy: closed"),
    ("settings.yml", "teams:\n- name: a\n  visibility: closed"),
    ("settings.yml", "teams:\n- name: a\n  notification_setting: b"),
    ("settings.yml", "teams:\n- name: a\n  parent_team_id: 1"),
    ("settings.yml", "teams:\n- name: a\n  parent_team_slug: b"),
    ("settings.yml", "teams:\n- name: a\n  external_group: b"),
    ("settings.yml", "teams:\n- name: a\n  maintainers: [mona]"),
    ("settings.yml", "teams:\n- name: a\n  repo_names: [acme/b]"),
];

/// The keys of safe-settings that Beadle supports. Each element is the text of a file.
const CARRIED_OUT: &[(&str, &str)] = &[
    (
        "settings.yml",
        "repository: { description: a, homepage: b, topics: [a], private: true, visibility: private }",
    ),
    (
        "settings.yml",
        "repository: { security: { enableVulnerabilityAlerts: true, enableAutomatedSecurityFixes: true } }",
    ),
    (
        "settings.yml",
        "repository: { has_issues: true, has_projects: true, has_wiki: true, is_template: false }",
    ),
    (
        "settings.yml",
        "repository: { allow_squash_merge: true, allow_merge_commit: true, allow_rebase_merge: true }",
    ),
    (
        "settings.yml",
        "repository: { allow_auto_merge: true, delete_branch_on_merge: true, allow_update_branch: true }",
    ),
    (
        "repos/a.yml",
        "repository: { force_create: true, template: base, auto_init: true, gitignore_template: node, oldname: b }",
    ),
    ("settings.yml", "repository: { force_create: true, license_template: mit, template: acme/base }"),
    ("settings.yml", "repository: { default_branch: main, archived: true, allow_forking: false }"),
    ("settings.yml", "repository: { security_and_analysis: { secret_scanning: { status: enabled } } }"),
    (
        "settings.yml",
        "labels: { include: [{ name: a, color: CC0000, description: b, oldname: c }], exclude: [{ name: ^a }] }",
    ),
    ("settings.yml", "labels: { include: [{ name: a, color: CC0000 }], exclude: [^a] }"),
    ("settings.yml", "collaborators: [{ username: a, permission: push, include: [b], exclude: [c] }]"),
    ("settings.yml", "teams: [{ name: a, permission: push, include: [b], exclude: [c] }]"),
    ("settings.yml", "custom_properties: [{ name: a, value: b }]"),
    (
        "settings.yml",
        "repository:\n  security_and_analysis:\n    secret_scanning_delegated_bypass_options: { reviewers: [] }",
    ),
    ("settings.yml", "milestones: [{ title: a, description: b, state: open }]"),
    (
        "settings.yml",
        "custom_repository_roles: [{ name: a, description: b, base_role: read, permissions: [add_label] }]",
    ),
    (
        "settings.yml",
        "autolinks: [{ key_prefix: A-, url_template: 'https://a/<num>', is_alphanumeric: false }]",
    ),
    (
        "suborgs/a.yml",
        "suborgrepos: [a*]\nsuborgteams: [core]\nsuborgproperties: [{ EDP: true }]\nrepository: { has_wiki: true }",
    ),
    (
        "suborgs/a.yml",
        "suborgproperties: [{ property_name: a, values: [b] }]\nrepository: { has_wiki: true }",
    ),
    ("settings.yml", "variables: [{ name: a, value: b }]"),
    ("settings.yml", "validator: { pattern: a }"),
    (
        "settings.yml",
        "environments: [{ name: a, wait_timer: 1, prevent_self_review: true, reviewers: [{ type: Team, id: 5 }], \
         deployment_branch_policy: null, variables: [{ name: a, value: b }] }]",
    ),
    (
        "settings.yml",
        "environments: [{ name: a, deployment_branch_policy: { protected_branches: false, custom_branch_policies: \
         [{ names: [main, 'release/*'], type: branch }] }, deployment_protection_rules: [{ app_id: 5 }] }]",
    ),
    ("deployment-settings.yml", "restrictedRepos: { include: [a], exclude: [b] }"),
];

#[test]
fn validators_are_reported_with_the_key_that_lets_mode_enforce_accept_them() {
    for key in ["configvalidators", "overridevalidators"] {
        let deployment = format!("{key}: [{{ plugin: labels, error: a, script: return true }}]\n");
        let wiki = ("settings.yml", "repository: { has_wiki: false }\n");
        let found = remarks(&accepted(&[wiki, ("deployment-settings.yml", deployment.as_str())]));
        let [(Severity::NotYet, message)] = found.as_slice() else { panic!("{found:?}") };
        for part in [key, "mode `enforce` refuses", "[[org]] has `validators = \"ignored\"`", "rules/*.yml"] {
            assert!(message.contains(part), "{message}");
        }
    }
}

#[test]
fn no_key_of_the_published_schemas_is_silent() {
    for (file, text) in NOT_CARRIED_OUT {
        let other = ("layers/wiki.yml", "repository: { has_wiki: false }\n");
        let found = remarks(&accepted(&[other, (*file, *text)]));
        let line = text.lines().count();
        let is_reported = |(kind, message): &(Severity, String)| {
            *kind == Severity::NotYet && message.starts_with(&format!("{file}:{line} "))
        };
        assert!(found.iter().any(is_reported), "{file}: {text}\n{found:?}");
    }
    for (file, text) in CARRIED_OUT {
        let policy =
            accepted(&[("layers/wiki.yml", "repository: { has_discussions: false }\n"), (*file, *text)]);
        assert!(policy.remarks.is_empty(), "{file}: {text}\n{:?}", policy.remarks);
    }
}
