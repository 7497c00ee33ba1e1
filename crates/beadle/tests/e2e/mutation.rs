//! One mutation at a time of every field that the aspects cover, behind Beadle's back. The table is generated from the
//! state document: a new field is in it, or in the list of those that are not covered, with the reason.

use serde_json::{Value, json};

use crate::world::{World, acme};

const SETTINGS: &str = "
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
security:
  dependabot_alerts: true
  dependabot_security_updates: true
  private_vulnerability_reporting: true
  code_scanning_default_setup: { state: configured, query_suite: extended, languages: [python, go] }
webhooks:
  - { url: 'https://ci.example.com/hook', events: [push, pull_request], content_type: json, secret: ci_hook }
";

/// Rulesets of the repository itself: every type of rule.
const RULESETS: &str = "
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

/// What no aspect covers, and why.
const NOT_COVERED: &[(&str, &str)] = &[
    ("/id", "identity"),
    ("/name", "a rename is no drift: the policy does not name it"),
    ("/private", "it follows visibility, which is in the table"),
    ("/fork", "a fact"),
    ("/disabled", "GitHub's own"),
    ("/created_at", "a fact"),
    ("/archived", "an archived repository is left alone, which has its own test"),
    ("/branches", "git's"),
    ("/contents", "git's"),
    ("/protection/main/id", "identity"),
    ("/invitations/0/id", "identity"),
    ("/invitations/0/created_at", "a fact"),
    ("/labels/*/id", "identity"),
    ("/autolinks/*/id", "identity"),
    ("/rulesets/*/id", "identity"),
    ("/rulesets/*/updated_at", "a fact"),
    ("/rulesets/*/rules/*/type", "a rule of another type is one less and one more, which are in the table"),
    ("/rulesets/*/bypass_actors/*/actor_type", "another actor is one less and one more"),
    ("/rulesets/main/bypass_actors/2/actor_id", "an organisation's administrators have no id"),
    ("/hooks/*/id", "identity"),
    ("/hooks/*/config/url", "identity"),
    ("/private_vulnerability_reporting", "for public repositories only; it has a test of its own"),
    ("/workflows", "git's"),
    ("/runs", "facts"),
];

fn is_covered(path: &str) -> bool {
    let fits = |pattern: &str| {
        let (wanted, got): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), path.split('/').collect());
        wanted.len() == got.len()
            && wanted.iter().zip(&got).all(|(wanted, got)| *wanted == "*" || wanted == got)
    };
    !NOT_COVERED.iter().any(|(pattern, _)| fits(pattern))
}

/// Texts that have to be one of a few: another one of them.
fn other_text(path: &str, text: &str) -> String {
    let sets: &[&[&str]] = &[
        &["private", "internal", "public"],
        &["all", "collaborators_only"],
        &["PR_BODY", "COMMIT_MESSAGES", "BLANK"],
        &["PR_TITLE", "COMMIT_OR_PR_TITLE"],
        &["enabled", "disabled"],
        &["pull", "triage", "push", "maintain", "admin"],
        &["local_only", "selected"],
        &["configured", "not-configured"],
        &["default", "extended"],
        &["json", "form"],
        &["0", "1"],
        &["active", "evaluate", "disabled"],
        &["branch", "tag"],
        &["push", "tag"],
        &["always", "pull_request"],
        &["squash", "merge", "rebase"],
        &["regex", "contains"],
        &["ALLGREEN", "HEADGREEN"],
        &["SQUASH", "MERGE"],
        &["errors", "all"],
        &["high_or_higher", "all"],
    ];
    match path {
        "/default_branch" => return "develop".into(),
        "/merge_commit_title" => return "MERGE_MESSAGE".into(),
        "/merge_commit_message" => return "BLANK".into(),
        "/teams/security" => return "pull".into(),
        "/invitations/0/login" => return "eve".into(),
        "/invitations/0/permissions" | "/actions/default_workflow_permissions" => return "write".into(),
        path if path.starts_with("/labels/") && path.ends_with("/color") => return "ffffff".into(),
        path if path.starts_with("/code_scanning/languages/") => return "ruby".into(),
        path if path.starts_with("/hooks/") && path.contains("/events/") => return "issues".into(),
        path if path.ends_with("/enforcement") => return "disabled".into(),
        path if path.ends_with("/target") => return "tag".into(),
        path if path.contains("/users/") => return "eve".into(),
        path if path.contains("/protection") && path.contains("/teams/") => return "contractors".into(),
        path if path.contains("/apps/") => return "beadle-app".into(),
        _ => {}
    }
    let set = sets.iter().find(|set| set.contains(&text));
    let other = set.and_then(|set| set.iter().find(|other| **other != text));
    other.map_or_else(|| format!("{text}-changed"), ToString::to_string)
}

/// Every way to change one thing below `value`: the path, and the document after it.
fn mutations(document: &Value, path: &str, value: &Value, found: &mut Vec<(String, Value)>) {
    if !is_covered(path) {
        return;
    }
    let mut with = |suffix: &str, new: Value| {
        let mut changed = document.clone();
        *changed.pointer_mut(path).unwrap() = new;
        found.push((format!("{path}{suffix}"), changed));
    };
    match value {
        Value::Bool(on) => with("", json!(!on)),
        Value::Number(number) => with("", json!(number.as_i64().unwrap() + 1)),
        // What a secret is cannot be read back; whether there is one can.
        Value::String(_) if path.ends_with("/config/secret") => with(" gone", Value::Null),
        Value::String(text) => with("", json!(other_text(path, text))),
        Value::Null if path.ends_with("/actor_id") => {}
        Value::Null if path.ends_with("/app_id") => with(" set", json!(777)),
        Value::Null => with(" set", json!("somebody's")),
        Value::Array(items) => {
            if !items.is_empty() {
                with(" emptied", json!([]));
            }
            let mut more = items.clone();
            more.push(match items.first() {
                Some(Value::String(_)) if path.ends_with("/users") => json!("dan"),
                Some(Value::String(_)) if path.ends_with("/teams") => json!("contractors"),
                Some(Value::String(_)) if path.ends_with("/apps") => json!("beadle-app"),
                Some(check) if path.ends_with("/checks") => {
                    json!({ "context": "more", "app_id": check["app_id"] })
                }
                Some(_) if path.ends_with("/rules") => json!({ "type": "creation" }),
                Some(_) if path.ends_with("/required_status_checks") => json!({ "context": "more" }),
                Some(_) if path.ends_with("/code_scanning_tools") => {
                    json!({ "tool": "other", "alerts_threshold": "all", "security_alerts_threshold": "all" })
                }
                Some(_) if path.ends_with("/workflows") => json!({ "path": "other.yml", "repository_id": 43 }),
                Some(_) if path.ends_with("/languages") => json!("swift"),
                Some(_) if path.ends_with("/allowed_merge_methods") => json!("rebase"),
                _ if path.ends_with("/bypass_actors") => {
                    json!({ "actor_type": "DeployKey", "actor_id": null, "bypass_mode": "always" })
                }
                Some(_) if path == "/invitations" => {
                    json!({ "id": 9_999_999, "login": "eve", "permissions": "admin", "created_at": "2026-01-01T00:00:00Z" })
                }
                _ => json!("more"),
            });
            with(" and one more", json!(more));
        }
        Value::Object(map) => {
            // What may be absent as a whole.
            let part = path.starts_with("/protection/main/required") && !path.contains("/checks");
            if part || path.ends_with("restrictions") || path == "/protection" {
                with(" gone", if path == "/protection" { json!({}) } else { Value::Null });
            }
            let more_of = match path {
                "/teams" => Some(("contractors", json!("admin"))),
                "/collaborators" => Some(("cyd", json!("admin"))),
                "/labels" => Some(("more", json!({ "color": "ededed", "description": null }))),
                "/autolinks" => {
                    Some(("MORE-", json!({ "url_template": "https://x/<num>", "is_alphanumeric": true })))
                }
                "/rulesets" => {
                    Some(("more", json!({ "enforcement": "active", "rules": [{ "type": "creation" }] })))
                }
                "/hooks" => Some((
                    "https://evil.example.com/",
                    json!({ "active": true, "events": ["push"], "config": { "url": "https://evil.example.com/", "content_type": "json", "insecure_ssl": "0" } }),
                )),
                "/properties" => Some(("more", json!("value"))),
                _ => None,
            };
            if let Some((name, value)) = more_of {
                let mut more = map.clone();
                more.insert(name.into(), value);
                with(" and one more", json!(more));
                for name in map.keys() {
                    let mut fewer = map.clone();
                    fewer.remove(name);
                    with(&format!(" without {name}"), json!(fewer));
                }
            }
        }
    }
    let children: Vec<(String, Value)> = match value {
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        Value::Array(items) => {
            items.iter().enumerate().map(|(at, value)| (at.to_string(), value.clone())).collect()
        }
        _ => Vec::new(),
    };
    for (key, child) in children {
        let escaped = key.replace('~', "~0").replace('/', "~1");
        mutations(document, &format!("{path}/{escaped}"), &child, found);
    }
}

/// What two documents have to agree on: ids and times of what is made anew aside, and lists of actors in any order.
fn comparable(document: &Value) -> Value {
    fn clean(path: &str, value: &mut Value) {
        match value {
            Value::Object(map) => {
                let made = ["/protection", "/invitations", "/labels", "/autolinks", "/rulesets", "/hooks"];
                if made.iter().any(|part| path.starts_with(part)) {
                    map.remove("id");
                    map.remove("created_at");
                    map.remove("updated_at");
                    map.retain(|key, value| !(key == "conditions" && *value == json!({})));
                    map.retain(|key, value| !(key == "expired" && *value == Value::Bool(false)));
                }
                map.iter_mut().for_each(|(key, value)| clean(&format!("{path}/{key}"), value));
            }
            Value::Array(items) => {
                for item in items.iter_mut() {
                    clean(path, item);
                }
                items.sort_by_key(ToString::to_string);
            }
            _ => {}
        }
    }
    let mut document = document.clone();
    clean("", &mut document);
    document
}

async fn world() -> World {
    let mut state = acme(json!({ "widgets": { "branches": { "main": {}, "develop": {} } } }));
    state["orgs"]["acme"]["custom_roles"] = json!(["security-reader"]);
    state["orgs"]["acme"]["property_definitions"] = json!({ "tier": {}, "more": {}, "regions": { "value_type": "multi_select", "allowed_values": ["eu", "us"] } });
    state["orgs"]["acme"]["teams"]["platform"]["id"] = json!(501);
    let mut world = World::unlimited(state).await;
    std::fs::write(world.path().join("ci.secret"), format!("{:032x}", rand::random::<u128>())).unwrap();
    world.org_lines += "[org.guard]\nrepeats = 0\npercent = 100\nremoves = 100000\nweakens = 100000\nexposes = 100000\n\
                       [org.secrets]\nci_hook = \"file:ci.secret\"\n";
    world.policy("settings.yml", SETTINGS);
    world.policy("repos/widgets.yml", RULESETS);
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_is_found_and_mended_and_the_plan_after_is_empty() {
    let world = world().await;
    world.beadle(&["apply", "--yes"]).await.expect(0);
    world.beadle(&["plan"]).await.expect(0);
    let declared = world.repository("widgets");
    let mut table = Vec::new();
    mutations(&declared, "", &declared, &mut table);
    assert!(table.len() > 220, "the table has shrunk: {}", table.len());
    let mut wrong = Vec::new();
    for (what, mutated) in &table {
        put(&world, mutated).await;
        let seen = world.repository("widgets");
        if comparable(&seen) == comparable(&declared) {
            wrong.push(format!("{what}: the simulator does not keep this mutation"));
            continue;
        }
        let plan = world.beadle(&["plan"]).await;
        if plan.code != 2 {
            wrong.push(format!("{what}: not found ({}): {} {}", plan.code, plan.out, plan.err));
            put(&world, &declared).await;
            continue;
        }
        let applied = world.beadle(&["apply", "--yes"]).await;
        if applied.code != 0 {
            wrong.push(format!("{what}: not mended ({}): {} {}", applied.code, applied.out, applied.err));
        }
        let mut after = world.repository("widgets");
        if what == "/default_branch" {
            // The branch that was the default one by mistake was protected as well, and stays so.
            after["protection"].as_object_mut().unwrap().remove("develop");
        }
        if comparable(&after) != comparable(&declared) {
            let (after, declared) = (comparable(&after), comparable(&declared));
            let keys = declared.as_object().unwrap().keys().filter(|key| after[*key] != declared[*key]);
            let differ: Vec<String> =
                keys.map(|key| format!("{key}: {} and not {}", after[key], declared[key])).collect();
            wrong.push(format!("{what}: mended otherwise: {}", differ.join("; ")));
        }
        let again = world.beadle(&["plan"]).await;
        if again.code != 0 {
            wrong.push(format!("{what}: the plan after is not empty: {}", again.out));
        }
        put(&world, &declared).await;
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), table.len(), wrong.join("\n"));
}

/// Puts a repository's whole document in place.
async fn put(world: &World, document: &Value) {
    let mut state = world.sim.state();
    state["orgs"]["acme"]["repos"]["widgets"] = document.clone();
    let url = format!("{}/_sim/state", world.sim.url());
    assert!(world.http.put(url).body(state.to_string()).send().await.unwrap().status().is_success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_beyond_the_first_page_counts() {
    let people: Vec<String> = (0..31).map(|n| format!("person{n:02}")).collect();
    let teams: Vec<String> = (0..101).map(|n| format!("team{n:03}")).collect();
    let mut state = acme(json!({ "widgets": { "branches": { "main": {} } } }));
    for person in &people {
        state["users"][person] = json!({});
        state["orgs"]["acme"]["members"].as_array_mut().unwrap().push(json!(person));
    }
    for team in &teams {
        state["orgs"]["acme"]["teams"][team] = json!({});
    }
    let mut policy = String::from("teams:\n");
    for team in &teams {
        policy += &format!("  - {{ name: {team}, permission: push }}\n");
    }
    policy += "collaborators:\n";
    for person in &people {
        policy += &format!("  - {{ username: {person}, permission: push }}\n");
    }
    policy += "branches:\n";
    for n in 0..6 {
        policy += &format!("  - {{ name: release/{n}, protection: {{ enforce_admins: true }} }}\n");
    }
    policy += "  - name: bypass\n    protection:\n      required_pull_request_reviews:\n        bypass_pull_request_allowances:\n          users: [";
    policy += &people[..12].join(", ");
    policy += "]\n";
    let world = World::unlimited(state).await;
    world.policy("settings.yml", &policy);
    // The table is about completeness, not about limits: a few hundred writes in a row.
    world.http.delete(format!("{}/_sim/limits", world.sim.url())).send().await.unwrap();
    let mut whole = world.repository("widgets");
    let all = |names: &[String]| {
        names.iter().map(|name| (name.clone(), json!("push"))).collect::<serde_json::Map<_, _>>()
    };
    whole["teams"] = json!(all(&teams));
    whole["collaborators"] = json!(all(&people));
    for n in 0..6 {
        whole["protection"][format!("release/{n}")] = json!({ "enforce_admins": true });
    }
    let reviews = json!({ "required_approving_review_count": 1, "bypass_pull_request_allowances": { "users": people[..12] } });
    whole["protection"]["bypass"] = json!({ "required_pull_request_reviews": reviews });
    put(&world, &whole).await;
    world.beadle(&["plan"]).await.expect(0);
    for (patch, what) in [
        (json!({ "teams": { "team100": "admin" } }), "team team100"),
        (json!({ "collaborators": { "person30": "admin" } }), "collaborator person30"),
        (json!({ "protection": { "release/5": { "enforce_admins": false } } }), "rule release/5"),
        (
            json!({ "protection": { "bypass": { "required_pull_request_reviews": {
                "bypass_pull_request_allowances": { "users": people[..13] } } } } }),
            "bypass_pull_request_allowances",
        ),
    ] {
        world.patch(json!({ "widgets": patch }), false).await;
        let plan = world.beadle(&["plan"]).await.expect(2);
        assert!(plan.out.contains(what) && plan.out.contains("1 changes in 1"), "{what}: {}", plan.out);
        world.beadle(&["apply", "--yes"]).await.expect(0);
        world.beadle(&["plan"]).await.expect(0);
    }
}
