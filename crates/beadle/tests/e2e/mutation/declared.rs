//! A policy that sets every field of the aspects.

pub(super) const SETTINGS: &str = "
repository:
  description: Makes widgets
  homepage: https://widgets.example.com
  visibility: internal
  has_issues: true
  has_projects: false
  has_wiki: false
  has_discussions: true
  has_pull_requests: true
  pull_request_creation_policy: collaborators_only
  is_template: false
  default_branch: main
  allow_squash_merge: true
  allow_merge_commit: true
  allow_rebase_merge: false
  allow_auto_merge: true
  delete_branch_on_merge: true
  allow_update_branch: true
  use_squash_pr_title_as_default: false
  squash_merge_commit_title: PR_TITLE
  squash_merge_commit_message: PR_BODY
  merge_commit_title: PR_TITLE
  merge_commit_message: PR_BODY
  allow_forking: false
  web_commit_signoff_required: true
  security_and_analysis:
    advanced_security: { status: enabled }
    code_security: { status: enabled }
    secret_scanning: { status: enabled }
    secret_scanning_push_protection: { status: enabled }
    secret_scanning_ai_detection: { status: disabled }
    secret_scanning_non_provider_patterns: { status: enabled }
    secret_scanning_validity_checks: { status: enabled }
    secret_scanning_delegated_alert_dismissal: { status: enabled }
    secret_scanning_delegated_bypass: { status: enabled }
    secret_scanning_delegated_bypass_options:
      reviewers: [{ team: security, mode: EXEMPT }, { reviewer_id: 501, mode: ALWAYS }]
  topics: [widgets, rust]
teams:
  - { name: platform, permission: admin }
  - { name: engineering, permission: push }
  - { name: security, permission: security-reader }
collaborators:
  - { username: ann, permission: maintain }
  - { username: dan, permission: triage }
branches:
  - name: default
    protection:
      required_status_checks:
        strict: true
        checks: [{ context: build, app_id: 15368 }, { context: lint, app_id: -1 }]
      enforce_admins: true
      required_pull_request_reviews:
        dismissal_restrictions: { users: [ann], teams: [platform], apps: [ci] }
        dismiss_stale_reviews: true
        require_code_owner_reviews: true
        required_approving_review_count: 2
        require_last_push_approval: true
        bypass_pull_request_allowances: { users: [bob], teams: [security], apps: [deployer] }
      restrictions: { users: [ann], teams: [platform], apps: [deployer] }
      required_linear_history: true
      allow_force_pushes: false
      force_push_allowances: { users: [cyd], teams: [platform], apps: [ci] }
      allow_deletions: false
      block_creations: true
      required_conversation_resolution: true
      required_signatures: true
      lock_branch: false
      allow_fork_syncing: false
      required_deployment_environments: [production]
labels:
  - { name: bug, color: d73a4a, description: It does not work }
  - { name: security, color: '#EE0701', description: Tell nobody }
milestones:
  - { title: v1, description: The first, state: open, due_on: 2027-01-31 }
  - { title: v2, description: The second, state: closed, due_on: 2027-12-31 }
autolinks:
  - { key_prefix: APO-, url_template: 'https://tickets.example.com/APO-<num>', is_alphanumeric: false }
  - { key_prefix: APOPS-, url_template: 'https://tickets.example.com/APOPS-<num>', is_alphanumeric: false }
custom_properties:
  - { name: tier, value: gold }
  - { name: regions, value: [eu, us] }
actions:
  enabled: true
  allowed_actions: selected
  sha_pinning_required: true
  github_owned_allowed: true
  verified_allowed: false
  patterns_allowed: ['acme/*', 'docker/*']
  default_workflow_permissions: read
  can_approve_pull_request_reviews: false
  access_level: organization
  artifact_and_log_retention_days: 30
  fork_pr_contributor_approval: all_external_contributors
  fork_pr_workflows_private_repos:
    run_workflows_from_fork_pull_requests: true
    send_write_tokens_to_workflows: false
    send_secrets_and_variables: false
    require_approval_for_fork_pr_workflows: true
oidc_subject: { use_default: false, include_claim_keys: [repo, context], use_immutable_subject: true }
immutable_releases: true
pages:
  build_type: legacy
  source: { branch: main, path: /docs }
  cname: docs.example.com
  https_enforced: true
  public: false
security:
  dependabot_alerts: true
  dependabot_security_updates: true
  private_vulnerability_reporting: true
  code_scanning_default_setup: { state: configured, query_suite: extended, languages: [python, go] }
environments:
  - name: production
    wait_timer: 30
    reviewers: [{ type: Team, slug: platform }, { type: User, login: ann }]
    prevent_self_review: true
    deployment_branch_policy: { custom_branch_policies: [main, { name: 'v*', type: tag }] }
    deployment_protection_rules: [{ app: deployer }]
    variables: [{ name: region, value: eu }]
variables:
  - { name: colour, value: blue }
webhooks:
  - { url: 'https://ci.example.com/hook', events: [push, pull_request], content_type: json, secret: ci_hook }
";

/// Repository rulesets with every type of rule.
pub(super) const RULESETS: &str = "
rulesets:
  - name: main
    target: branch
    enforcement: active
    bypass_actors:
      - { actor_type: Team, actor_id: 501, bypass_mode: pull_request }
      - { actor_type: RepositoryRole, actor_id: 5, bypass_mode: always }
      - { actor_type: OrganizationAdmin, bypass_mode: always }
    conditions:
      ref_name: { include: ['~DEFAULT_BRANCH', 'refs/heads/release/*'], exclude: ['refs/heads/release/old'] }
    rules:
      - { type: deletion }
      - { type: non_fast_forward }
      - { type: required_linear_history }
      - { type: required_signatures }
      - { type: update, parameters: { update_allows_fetch_and_merge: false } }
      - type: pull_request
        parameters:
          allowed_merge_methods: [squash, merge]
          dismiss_stale_reviews_on_push: true
          require_code_owner_review: true
          require_last_push_approval: true
          required_approving_review_count: 2
          required_review_thread_resolution: true
      - type: required_status_checks
        parameters:
          strict_required_status_checks_policy: true
          do_not_enforce_on_create: false
          required_status_checks: [{ context: build, integration_id: 15368 }, { context: lint, integration_id: 777 }]
      - { type: required_deployments, parameters: { required_deployment_environments: [production] } }
      - { type: commit_message_pattern, parameters: { name: ticket, negate: false, operator: regex, pattern: 'APO-' } }
      - type: code_scanning
        parameters:
          code_scanning_tools: [{ tool: CodeQL, alerts_threshold: errors, security_alerts_threshold: high_or_higher }]
      - type: merge_queue
        parameters:
          check_response_timeout_minutes: 60
          grouping_strategy: ALLGREEN
          max_entries_to_build: 5
          max_entries_to_merge: 5
          merge_method: SQUASH
          min_entries_to_merge: 1
          min_entries_to_merge_wait_minutes: 5
      - type: workflows
        parameters: { do_not_enforce_on_create: false, workflows: [{ path: .github/workflows/scan.yml, repository_id: 42, ref: refs/heads/main }] }
  - name: push
    target: push
    enforcement: evaluate
    bypass_actors: []
    rules:
      - { type: file_path_restriction, parameters: { restricted_file_paths: ['secrets/*'] } }
      - { type: max_file_path_length, parameters: { max_file_path_length: 200 } }
      - { type: file_extension_restriction, parameters: { restricted_file_extensions: ['*.exe'] } }
      - { type: max_file_size, parameters: { max_file_size: 50 } }
";
