//! Tests the table of forms. A policy can contain the same value in several forms. If only the form
//! changes, Beadle must not write anything. Each row contains a policy that the test applies one
//! time, and other forms of this policy. The forms differ in the order of keys and entries, in
//! upper and lower case, in omitted defaults, in `null` and empty values, and in ids and names.
//! After Beadle has applied the first policy, the plan of each other form must be empty. The forms
//! of environments are in `environments.rs`.

use super::world::World;
use super::*;

/// A policy, and other forms of the same policy.
type Row = (&'static str, &'static [&'static str]);

const OF_REPOSITORIES: &[Row] = &[
    (
        "variables: [{ name: colour, value: blue }, { name: SIZE, value: 3 }, { name: Ready, value: true }]",
        &[
            "variables: [{ value: 'true', name: READY }, { name: size, value: '3' }, { name: COLOUR, value: blue }]",
            "variables: { exclusive: [{ name: SIZE, value: 3 }, { name: READY, value: true }, { name: colour, value: blue }] }",
            "variables: { additive: [{ name: colour, value: blue }] }",
            "variables: { additive: [] }",
            "variables:",
        ],
    ),
    (
        "deploy_keys: [{ key: ssh-ed25519 AAAA ci@host, title: CI }, { key: ssh-ed25519 BBBB, title: Release, read_only: false }]",
        &[
            "deploy_keys: [{ read_only: false, title: Release, key: ssh-ed25519 BBBB }, { title: CI, key: ssh-ed25519 AAAA }]",
            "deploy_keys: [{ key: ssh-ed25519 AAAA other@host, title: CI, read_only: true }, { key: ssh-ed25519 BBBB x, title: Release, read_only: false }]",
            "deploy_keys: { additive: [{ key: ssh-ed25519 AAAA, title: CI }] }",
            "deploy_keys: { additive: [] }",
            "deploy_keys:",
        ],
    ),
    (
        "milestones: [{ title: v1, description: First, state: open, due_on: 2027-01-31 }, { title: v2, state: closed }]",
        &[
            "milestones: [{ title: v2 }, { title: v1 }]",
            "milestones: [{ due_on: '2027-01-31T23:59:59Z', title: V1, state: open, description: First }, { title: v2 }]",
            "milestones: [{ title: v1 }, { title: V2, description: '', state: closed }]",
            "milestones: { additive: [{ title: v1, due_on: '2027-01-31' }] }",
            "milestones:",
        ],
    ),
    (
        "pages: { build_type: legacy, source: { branch: main, path: / }, cname: docs.example.com }",
        &[
            "pages: { cname: docs.example.com, source: { branch: main } }",
            "pages: { enabled: true, source: { path: /, branch: main } }",
            "pages: { https_enforced: true, build_type: legacy }",
            "pages: { enabled: true }",
            "pages:",
        ],
    ),
    (
        "pages: { source: { branch: main, path: /docs }, cname: null }",
        &[
            "pages: { source: { path: /docs, branch: main }, cname: '' }",
            "pages: { build_type: legacy, source: { branch: main, path: /docs } }",
        ],
    ),
    (
        "pages: { build_type: workflow }",
        &[
            "pages: { build_type: workflow, source: { branch: main } }",
            "pages: { build_type: workflow, cname: null }",
        ],
    ),
    (
        "pages: { enabled: false }",
        &["pages: { enabled: false, source: { branch: main }, cname: docs.example.com }"],
    ),
    (
        "interaction_limit: { limit: existing_users }",
        &[
            "interaction_limit: { expiry: one_day, limit: existing_users }",
            "interaction_limit: { limit: existing_users, expiry: six_months }",
            "interaction_limit: { expiry: one_week }",
            "interaction_limit:",
        ],
    ),
    ("interaction_limit: { limit: none }", &["interaction_limit: { limit: none, expiry: one_month }"]),
    (
        "oidc_subject: { include_claim_keys: [repo, actor] }",
        &[
            "oidc_subject: { use_default: false, include_claim_keys: [repo, actor] }",
            "oidc_subject: { include_claim_keys: { replace: [repo, actor] } }",
            "oidc_subject: { use_default: false }",
            "oidc_subject: { use_immutable_subject: false, include_claim_keys: [repo, actor] }",
            "oidc_subject:",
        ],
    ),
    (
        "oidc_subject: { use_default: true }",
        &[
            "oidc_subject: { use_default: true, use_immutable_subject: false }",
            "oidc_subject: { use_default: true, include_claim_keys: [repo, actor] }",
            "oidc_subject: { use_default: true, include_claim_keys: null }",
        ],
    ),
    (
        "files: [{ path: LICENSE, content: MIT }, { path: docs/a.md, content: x, when_exists: keep }]",
        &[
            "files: [{ when_exists: keep, content: x, path: docs/a.md }, { content: MIT, path: LICENSE }]",
            "files: [{ path: LICENSE, content: MIT, when_exists: replace, push: false }, { path: docs/a.md, content: x }]",
            "files: [{ path: LICENSE, template: MIT }, { path: docs/a.md, template: '{{ \"x\" }}' }]",
            "files:",
        ],
    ),
    ("immutable_releases: true", &["immutable_releases:"]),
    ("immutable_releases: false", &["immutable_releases:"]),
    (
        "actions:
  enabled: true
  allowed_actions: selected
  github_owned_allowed: true
  patterns_allowed: [acme/*, other/*]
  default_workflow_permissions: read
  artifact_and_log_retention_days: 30",
        &[
            "actions: { patterns_allowed: [other/*, acme/*], allowed_actions: selected }",
            "actions: { allowed_actions: selected, patterns_allowed: { replace: [acme/*, other/*] } }",
            "actions: { allowed_actions: selected, github_owned_allowed: true, sha_pinning_required: false }",
            "actions: { can_approve_pull_request_reviews: false, default_workflow_permissions: read, enabled: true }",
            "actions: { artifact_and_log_retention_days: 30 }",
            "actions:",
        ],
    ),
];

/// Rows for the values that are possible only in private and internal repositories.
const OF_HIDDEN_REPOSITORIES: &[Row] = &[(
    "actions:
  access_level: organization
  fork_pr_workflows_private_repos: { run_workflows_from_fork_pull_requests: true, require_approval_for_fork_pr_workflows: true }",
    &[
        "actions:
  fork_pr_workflows_private_repos: { require_approval_for_fork_pr_workflows: true, run_workflows_from_fork_pull_requests: true }",
        "actions:
  fork_pr_workflows_private_repos: { send_secrets_and_variables: false, send_write_tokens_to_workflows: false }",
        "actions: { access_level: organization, fork_pr_workflows_private_repos: {} }",
    ],
)];

/// Rows for the values that are possible only in public repositories.
const OF_PUBLIC_REPOSITORIES: &[Row] = &[(
    "actions: { fork_pr_contributor_approval: all_external_contributors }",
    &["actions: { access_level: none, fork_pr_contributor_approval: all_external_contributors }"],
)];

/// Other forms of parts of `organization.yml`.
const OF_THE_ORGANISATION: &[&str] = &[
    "organization: { company: Acme Ltd, name: Acme, twitter_username: acme }",
    "organization: { members_can_create_pages: true, default_repository_permission: none }",
    "organization: { blocked_users: [SPAMMER] }",
    "organization: { blocked_users: { exclusive: [spammer] } }",
    "organization: { blocked_users: { additive: [] } }",
    "organization:
  webhooks:
  - { content_type: form, active: false, events: [push], url: https://chat.example.com/hook }
  - { url: https://ci.example.com/hook, events: [repository, push], content_type: json, active: true, insecure_ssl: false }",
    "organization: { webhooks: { additive: [{ events: [push, repository], url: https://ci.example.com/hook }] } }",
    "organization:
  variables:
  - { selected_repositories: [gadgets, WIDGETS], visibility: selected, value: '7', name: region }
  - { name: tier, value: gold, visibility: all }",
    "organization: { variables: { additive: [{ name: REGION, value: 7, visibility: selected }] } }",
    "organization: { actions: { patterns_allowed: [other/*, acme/*], selected_repositories: [WIDGETS] } }",
    "organization: { actions: { self_hosted_runner_repositories: [Gadgets], self_hosted_runners: selected } }",
    "organization: { oidc_subject: { include_claim_keys: [repo, environment, actor] } }",
    "organization: { oidc_subject: { use_immutable_subject: true } }",
    "organization:
  custom_properties:
  - { name: Owner, value_type: string, description: '', default_value: null }
  - name: TIER
    require_explicit_values: false
    allowed_values: [lead, gold]
    default_value: gold
    required: true
    value_type: single_select",
    "organization: { custom_properties: { additive: [{ name: owner, value_type: string }] } }",
    "organization:
  organization_roles:
  - { name: Security_Manager, users: [], teams: [GUARDS] }
  - { name: AUDITOR, permissions: [read_audit_logs], users: [mona], teams: [Core] }",
    "organization: { organization_roles: { additive: [{ name: auditor, base_role: read }] } }",
    "organization:
  runner_groups:
  - { name: fast, selected_repositories: [gadgets, Widgets], restricted_to_workflows: true, visibility: selected }",
    "organization: { runner_groups: { additive: [{ name: Default }] } }",
    "custom_repository_roles: [{ description: Makes releases, permissions: [manage_deploy_keys], base_role: triage, name: RELEASER }]",
    "custom_repository_roles: { additive: [] }",
];

/// Policies whose declared values already exist in a new organisation.
const OF_A_NEW_ORGANISATION: &[&str] = &[
    "organization: { email: '', company: '', name: '' }",
    "organization: { default_repository_permission: read, web_commit_signoff_required: false }",
    "organization: { actions: { enabled_repositories: all, allowed_actions: all, artifact_and_log_retention_days: 90 } }",
    "organization: { oidc_subject: { use_immutable_subject: false, include_claim_keys: [repo, context] } }",
    "organization: { runner_groups: [] }",
    "organization: { runner_groups: [{ name: Default, visibility: all, allows_public_repositories: false }] }",
    "organization: { blocked_users: [], webhooks: [], variables: [], custom_properties: [], organization_roles: [] }",
    "organization: { organization_roles: [{ name: security_manager, teams: [], users: [] }] }",
    "organization:",
    "custom_repository_roles: []",
];

fn state(visibility: &str) -> Value {
    let mut state = acme(501, 601);
    state["orgs"]["acme"]["repos"]["shop"]["visibility"] = json!(visibility);
    state
}

/// Applies a policy, and then makes a plan with each other form of this policy.
async fn expect_no_change(settled: &Value, what: &str, forms: &[&str]) {
    for form in forms {
        let world = World::new(settled.clone(), &format!("{form}\n")).await;
        let changes = Box::pin(world.changes()).await;
        assert_eq!(changes, Vec::<String>::new(), "after `{what}`, another form: `{form}`");
    }
}

async fn check(rows: &[Row], visibility: &str) {
    for (policy, forms) in rows {
        let world = World::new(state(visibility), &format!("{policy}\n")).await;
        Box::pin(world.apply()).await;
        let settled = world.sim.state();
        expect_no_change(&settled, policy, &[*policy]).await;
        expect_no_change(&settled, policy, forms).await;
        // If the policy changed nothing, the test would prove nothing.
        let is_new = ["enabled: false", "limit: none", "use_default: true", "releases: false"];
        let writes = world.sim.calls_that(|call| call["writes"] == true).len();
        assert_eq!(writes == 0, is_new.iter().any(|part| policy.contains(part)), "{policy}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_form_of_a_value_of_a_repository_means_the_same() {
    check(OF_REPOSITORIES, "public").await;
    check(OF_PUBLIC_REPOSITORIES, "public").await;
    check(OF_HIDDEN_REPOSITORIES, "private").await;
}

fn organisation() -> Value {
    json!({
        "orgs": { "acme": { "repos": {
            "widgets": { "id": 501, "branches": { "main": {} } },
            "gadgets": { "id": 502, "branches": { "main": {} }, "visibility": "public" },
        }, "members": ["mona"], "teams": { "core": { "id": 601 }, "guards": { "id": 602 } } } },
        "users": { "mona": { "id": 701 }, "spammer": { "id": 702 } },
        "apps": { "beadle-app": { "id": beadle_sim::APP_ID } },
    })
}

#[tokio::test(start_paused = true)]
async fn every_form_of_a_value_of_the_organisation_means_the_same() {
    let mut world = World::new(organisation(), include_str!("organization.yml")).await;
    world.set_secret("npm", "a value");
    expect_no_change(&world.sim.state(), "nothing", OF_A_NEW_ORGANISATION).await;
    Box::pin(world.apply()).await;
    expect_no_change(&world.sim.state(), "organization.yml", OF_THE_ORGANISATION).await;
}

#[tokio::test(start_paused = true)]
async fn one_value_of_a_property_with_several_values_is_a_text_or_a_list() {
    const DEFINED: &str = "value_type: multi_select, allowed_values: [eu, us]";
    let mut state = organisation();
    state["orgs"]["acme"]["property_definitions"] = json!({ "regions": {
        "value_type": "multi_select", "allowed_values": ["eu", "us"], "default_value": ["us"],
    } });
    state["orgs"]["acme"]["repos"]["widgets"]["properties"] = json!({ "regions": ["eu"] });
    state["orgs"]["acme"]["repos"]["gadgets"]["properties"] = json!({ "regions": ["eu"] });
    for default in ["us", "[us]"] {
        for value in ["eu", "[eu]"] {
            let definition = format!("{{ name: regions, {DEFINED}, default_value: {default} }}");
            let policy = format!(
                "organization: {{ custom_properties: [{definition}] }}\ncustom_properties: [{{ name: regions, value: {value} }}]\n"
            );
            let world = World::new(state.clone(), &policy).await;
            assert_eq!(Box::pin(world.changes()).await, Vec::<String>::new(), "{policy}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_form_of_a_list_of_secrets_means_the_same() {
    let policy = "secrets: [{ name: npm_token, secret: npm }, { name: SIGN, secret: npm }]
dependabot_secrets: [{ name: NPM_TOKEN, secret: npm }]
codespaces_secrets: [{ name: NPM_TOKEN, secret: npm }]
environments: [{ name: production, secrets: [{ name: KEY, secret: npm }] }]
webhooks: [{ url: 'https://ci.example.com/hook', secret: npm }]
";
    let mut world = World::new(state("private"), policy).await;
    world.set_secret("npm", "a value");
    Box::pin(world.apply()).await;
    for form in [
        "secrets: [{ secret: npm, name: Sign }, { secret: npm, name: NPM_TOKEN }]",
        "secrets: { exclusive: [{ name: sign, secret: npm }, { name: npm_token, secret: npm }] }",
        "secrets: { additive: [] }",
        "secrets:",
        "dependabot_secrets: { exclusive: [{ name: npm_token, secret: npm }] }",
        "codespaces_secrets: [{ name: Npm_Token, secret: npm }]",
        "environments: [{ secrets: [{ secret: npm, name: key }], name: PRODUCTION }]",
        "environments: [{ name: production }]",
        "webhooks: [{ secret: npm, url: 'https://ci.example.com/hook', active: true, content_type: json, events: [push] }]",
        "webhooks: [{ url: 'https://ci.example.com/hook', insecure_ssl: false }]",
    ] {
        world.replace_policy(&[("settings.yml".to_owned(), format!("{form}\n"))].into());
        assert_eq!(Box::pin(world.changes()).await, Vec::<String>::new(), "{form}");
    }
}
