//! Tests each kind of list in each form.

use serde_json::{Value, json};

use super::{accepted, declared, lowest, warnings};
use crate::policy::Node;

/// The meaning of null for a list.
#[derive(Clone, Copy, PartialEq)]
enum Null {
    /// Beadle does not manage the list.
    Unmanaged,
    /// GitHub gives null its own meaning.
    OfGitHub,
    /// The value is not specified, so Beadle uses the value of a layer of lower rank.
    NotSpecified,
}

/// A kind of list. A row contains four things: a file with the placeholder `LIST`, two entries of
/// the list, the name of the first entry, and the path of the list in the declared values.
type Row = (&'static str, &'static str, &'static str, &'static str, &'static str, Null);

const ROWS: &[Row] = &[
    ("teams: LIST", "{ name: a, permission: pull }", "{ name: b }", "A", "/teams", Null::Unmanaged),
    (
        "collaborators: LIST",
        "{ username: a, permission: pull }",
        "{ username: b }",
        "a",
        "/collaborators",
        Null::Unmanaged,
    ),
    ("labels: LIST", "{ name: a, color: cc0000 }", "{ name: b }", "A", "/labels/include", Null::Unmanaged),
    ("repository: { topics: LIST }", "a", "b", "A", "/repository/topics", Null::Unmanaged),
    (
        "rulesets: LIST",
        "{ name: a, enforcement: active }",
        "{ name: b, enforcement: active }",
        "a",
        "/rulesets",
        Null::Unmanaged,
    ),
    (
        "webhooks: LIST",
        "{ url: 'https://a.example.com' }",
        "{ url: 'https://b.example.com' }",
        "'https://a.example.com'",
        "/webhooks",
        Null::Unmanaged,
    ),
    (
        "autolinks: LIST",
        "{ key_prefix: A-, url_template: 'https://x/<num>' }",
        "{ key_prefix: B-, url_template: 'https://x/<num>' }",
        "A-",
        "/autolinks",
        Null::Unmanaged,
    ),
    ("milestones: LIST", "{ title: a }", "{ title: b, state: open }", "a", "/milestones", Null::Unmanaged),
    (
        "deploy_keys: LIST",
        "{ key: ssh-ed25519 AAAA, title: a }",
        "{ key: ssh-ed25519 BBBB, title: b }",
        "ssh-ed25519 AAAA",
        "/deploy_keys",
        Null::Unmanaged,
    ),
    (
        "custom_properties: LIST",
        "{ name: a, value: x }",
        "{ name: b, value: x }",
        "{ property_name: A }",
        "/custom_properties/include",
        Null::Unmanaged,
    ),
    (
        "environments: LIST",
        "{ name: a, wait_timer: 5 }",
        "{ name: b }",
        "A",
        "/environments",
        Null::Unmanaged,
    ),
    (
        "environments: [{ name: prod, wait_timer: 5, reviewers: LIST }]",
        "{ type: Team, slug: a }",
        "{ type: User, login: b }",
        "{ type: Team, slug: A }",
        "/environments/0/reviewers",
        Null::Unmanaged,
    ),
    (
        "environments: [{ name: prod, wait_timer: 5, variables: LIST }]",
        "{ name: a, value: x }",
        "{ name: b, value: x }",
        "A",
        "/environments/0/variables",
        Null::Unmanaged,
    ),
    ("secrets: LIST", "{ name: a, secret: x }", "{ name: b, secret: x }", "A", "/secrets", Null::Unmanaged),
    (
        "dependabot_secrets: LIST",
        "{ name: a, secret: x }",
        "{ name: b, secret: x }",
        "A",
        "/dependabot_secrets",
        Null::Unmanaged,
    ),
    (
        "codespaces_secrets: LIST",
        "{ name: a, secret: x }",
        "{ name: b, secret: x }",
        "A",
        "/codespaces_secrets",
        Null::Unmanaged,
    ),
    (
        "environments: [{ name: prod, wait_timer: 5, secrets: LIST }]",
        "{ name: a, secret: x }",
        "{ name: b, secret: x }",
        "A",
        "/environments/0/secrets",
        Null::Unmanaged,
    ),
    ("files: LIST", "{ path: a, content: x }", "{ path: b, content: x }", "a", "/files", Null::Unmanaged),
    ("variables: LIST", "{ name: a, value: x }", "{ name: b, value: x }", "A", "/variables", Null::Unmanaged),
    (
        "branches: LIST",
        "{ name: a, protection: { enforce_admins: true } }",
        "{ name: b, protection: { enforce_admins: true } }",
        "a",
        "/branches",
        Null::Unmanaged,
    ),
    (
        "branches: [{ name: main, protection: { restrictions: { apps: [bot], users: LIST } } }]",
        "a",
        "b",
        "A",
        "/branches/0/protection/restrictions/users",
        Null::Unmanaged,
    ),
    (
        "branches: [{ name: main, protection: { force_push_allowances: { apps: [bot], teams: LIST } } }]",
        "a",
        "b",
        "A",
        "/branches/0/protection/force_push_allowances/teams",
        Null::Unmanaged,
    ),
    (
        "branches: [{ name: main, protection: { required_pull_request_reviews: { dismiss_stale_reviews: true, \
         dismissal_restrictions: { users: [mona], apps: LIST } } } }]",
        "a",
        "b",
        "a",
        "/branches/0/protection/required_pull_request_reviews/dismissal_restrictions/apps",
        Null::Unmanaged,
    ),
    (
        "branches: [{ name: main, protection: { required_status_checks: { strict: true, contexts: LIST } } }]",
        "a",
        "b",
        "a",
        "/branches/0/protection/required_status_checks/contexts",
        Null::Unmanaged,
    ),
    (
        "branches: [{ name: main, protection: { required_status_checks: { strict: true, checks: LIST } } }]",
        "{ context: a, app_id: 5 }",
        "{ context: b }",
        "a",
        "/branches/0/protection/required_status_checks/checks",
        Null::Unmanaged,
    ),
    (
        "branches: [{ name: main, protection: { enforce_admins: true, required_deployment_environments: LIST } }]",
        "a",
        "b",
        "a",
        "/branches/0/protection/required_deployment_environments",
        Null::OfGitHub,
    ),
    (
        "rulesets: [{ name: main, enforcement: active, bypass_actors: LIST }]",
        "{ actor_type: Team, actor_id: 5 }",
        "{ actor_type: OrganizationAdmin }",
        "{ actor_type: Team, actor_id: 5 }",
        "/rulesets/0/bypass_actors",
        Null::Unmanaged,
    ),
    (
        "rulesets: [{ name: main, enforcement: active, rules: LIST }]",
        "{ type: deletion }",
        "{ type: creation }",
        "deletion",
        "/rulesets/0/rules",
        Null::Unmanaged,
    ),
    (
        "rulesets: [{ name: main, enforcement: active, rules: [{ type: required_status_checks, parameters: { \
         strict_required_status_checks_policy: true, required_status_checks: LIST } }] }]",
        "{ context: a, integration_id: 5 }",
        "{ context: b }",
        "{ context: a }",
        "/rulesets/0/rules/0/parameters/required_status_checks",
        Null::Unmanaged,
    ),
    (
        "rulesets: [{ name: main, enforcement: active, rules: [{ type: pull_request, parameters: { \
         require_code_owner_review: true, allowed_merge_methods: LIST } }] }]",
        "merge",
        "squash",
        "merge",
        "/rulesets/0/rules/0/parameters/allowed_merge_methods",
        Null::Unmanaged,
    ),
    (
        "rulesets: [{ name: main, enforcement: active, conditions: { ref_name: { include: LIST, exclude: [refs/heads/x] } } }]",
        "refs/heads/a",
        "refs/heads/b",
        "refs/heads/a",
        "/rulesets/0/conditions/ref_name/include",
        Null::NotSpecified,
    ),
    (
        "webhooks: [{ url: 'https://x.example.com', active: true, events: LIST }]",
        "push",
        "issues",
        "push",
        "/webhooks/0/events",
        Null::Unmanaged,
    ),
    (
        "actions: { enabled: true, patterns_allowed: LIST }",
        "acme/*",
        "actions/*",
        "acme/*",
        "/actions/patterns_allowed",
        Null::Unmanaged,
    ),
    (
        "oidc_subject: { use_default: false, include_claim_keys: LIST }",
        "repo",
        "context",
        "repo",
        "/oidc_subject/include_claim_keys",
        Null::Unmanaged,
    ),
    (
        "security: { code_scanning_default_setup: { state: configured, languages: LIST } }",
        "go",
        "python",
        "go",
        "/security/code_scanning_default_setup/languages",
        Null::Unmanaged,
    ),
    (
        "custom_properties: [{ name: areas, value: LIST }]",
        "eu",
        "us",
        "eu",
        "/custom_properties/include/0/value",
        Null::OfGitHub,
    ),
];

fn node(text: &str) -> Value {
    Node::parse("test", text).unwrap().json()
}

#[test]
fn every_list_can_be_replaced_reduced_and_dropped() {
    for (file, a, b, name, place, null) in ROWS {
        let with = |list: &str| file.replace("LIST", list);
        let low = lowest(&with(&format!("[{a}, {b}]")));
        let result = |form: &str| {
            let policy =
                accepted(&[("layers/low.yml", low.as_str()), ("repos/shop.yml", with(form).as_str())]);
            let idle: Vec<String> =
                warnings(&policy).into_iter().filter(|text| text.contains("no effect")).collect();
            assert!(idle.is_empty(), "{file} {form}: {idle:?}");
            declared(&policy).pointer(place).cloned()
        };
        assert_eq!(result("[]"), Some(json!([node(a), node(b)])), "{file}");
        assert_eq!(result(&format!("{{ add: [{b}] }}")), Some(json!([node(a), node(b)])), "{file}");
        assert_eq!(result(&format!("{{ replace: [{b}] }}")), Some(json!([node(b)])), "{file}");
        // GitHub refuses a rule for required checks without any check. So the policy must not have
        // such a rule.
        if !place.ends_with("/parameters/required_status_checks") {
            assert_eq!(result("{ replace: [] }"), Some(json!([])), "{file}");
        }
        assert_eq!(result(&format!("{{ without: [{name}] }}")), Some(json!([node(b)])), "{file}");
        let both = format!("{{ without: [{name}], add: [{a}] }}");
        assert_eq!(result(&both), Some(json!([node(b), node(a)])), "{file}");
        let expected = match null {
            Null::Unmanaged => None,
            Null::OfGitHub => Some(Value::Null),
            Null::NotSpecified => Some(json!([node(a), node(b)])),
        };
        for word in ["null", "~"] {
            assert_eq!(result(word), expected, "{file}: {word}");
        }
    }
}

#[test]
fn an_edit_of_nothing_drops_the_list_with_a_warning() {
    for (file, _, _, name, place, null) in ROWS {
        let without = format!("{{ without: [{name}] }}");
        let forms = [without.as_str(), "null"];
        for form in forms.iter().filter(|form| **form != "null" || *null == Null::Unmanaged) {
            let wiki = ("layers/wiki.yml", "repository: { has_wiki: false }\n");
            let policy = accepted(&[wiki, ("repos/shop.yml", file.replace("LIST", form).as_str())]);
            assert_eq!(declared(&policy).pointer(place), None, "{file}: {form}");
            let found = warnings(&policy);
            assert!(
                found.len() == 1
                    && found[0].starts_with("repos/shop.yml:1 ")
                    && found[0].contains("no effect"),
                "{file}: {form}: {found:?}"
            );
        }
    }
}
