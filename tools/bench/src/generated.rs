//! Generates the policies and the organisations of the benchmark `policy`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// The number of files in `suborgs/`, and the number of files in `layers/`.
pub(crate) const LAYERS: usize = 100;

/// The sections that the generated policies declare for all repositories.
const SETTINGS: &str = "
repository: { visibility: private, has_wiki: false, delete_branch_on_merge: true }
labels:
  - { name: bug, color: d73a4a, description: It does not work }
  - { name: security, color: ee0701, description: Tell nobody }
branches:
  - name: default
    protection: { required_pull_request_reviews: { required_approving_review_count: 1 }, enforce_admins: true }
";

/// Returns the name of a repository.
pub(crate) fn name(n: usize) -> String {
    format!("r{n:05}")
}

/// Returns the files of a policy, by their paths. A third of the files in `suborgs/` selects
/// repositories by name, a third by team, and a third by custom property. The files in `layers/`
/// select repositories by topic. All other files are in `repos/`.
pub(crate) fn policy(files: usize) -> BTreeMap<String, String> {
    let mut policy = BTreeMap::from([("settings.yml".to_owned(), SETTINGS.to_owned())]);
    for n in 0..LAYERS {
        let selector = match n % 3 {
            0 => format!("suborgrepos: ['r{n:03}*', 'service-{n}-*']"),
            1 => format!("suborgteams: [team-{n}]"),
            _ => format!("suborgproperties: [{{ tier: tier-{n} }}]"),
        };
        let suborg = format!("{selector}\nrepository: {{ has_projects: false, allow_squash_merge: true }}\n");
        policy.insert(format!("suborgs/part-{n}.yml"), suborg);
        let layer = format!(
            "rank: {}\nselect: {{ topic: topic-{n} }}\nlabels: [{{ name: label-{n}, color: '0052cc' }}]\n",
            200 + n
        );
        policy.insert(format!("layers/topic-{n}.yml"), layer);
    }
    for n in 0..files.saturating_sub(policy.len()) {
        let text = format!(
            "repository: {{ description: Service number {n}, has_issues: false, allow_merge_commit: false }}\n"
        );
        policy.insert(format!("repos/{}.yml", name(n)), text);
    }
    policy
}

/// Returns the values that the organisation's policy declares for all repositories. `has_wiki` is a
/// parameter.
pub(crate) fn settings(has_wiki: bool) -> String {
    format!(
        "repository: {{ visibility: private, has_wiki: {has_wiki}, delete_branch_on_merge: true, topics: [managed] }}
teams:
  - {{ name: platform, permission: admin }}
  - {{ name: engineering, permission: push }}
branches:
  - name: default
    protection: {{ required_pull_request_reviews: {{ required_approving_review_count: 1 }}, enforce_admins: true }}
"
    )
}

/// Returns an organisation. Its repositories match [`settings`] without a wiki. The repository
/// `admin` has these files in the folder `.github`.
pub(crate) fn organisation(repositories: usize, files: &BTreeMap<String, String>) -> Value {
    let mut all: serde_json::Map<String, Value> = (0..repositories).map(|n| (name(n), declared(n))).collect();
    let files: serde_json::Map<String, Value> =
        files.iter().map(|(path, text)| (format!(".github/{path}"), json!(text))).collect();
    all.insert("admin".to_owned(), json!({ "branches": { "main": {} }, "contents": files }));
    json!({
        "orgs": { "acme": {
            "teams": { "platform": {}, "engineering": {} }, "repos": all,
            "permissions": {
                "actions": "write", "administration": "write", "checks": "write", "contents": "read",
                "issues": "write", "metadata": "read", "members": "read",
                "organization_administration": "write", "organization_custom_properties": "read",
                "pull_requests": "write", "repository_hooks": "write", "repository_custom_properties": "write",
            },
        } },
        "apps": { "beadle-app": { "id": beadle_sim::APP_ID } },
    })
}

fn declared(n: usize) -> Value {
    json!({
        "visibility": "private", "has_wiki": false, "has_projects": true, "delete_branch_on_merge": true,
        "topics": ["managed"], "branches": { "main": {} },
        "teams": { "platform": "admin", "engineering": "push" },
        "created_at": format!("2024-01-01T{:02}:{:02}:{:02}Z", n / 3600 % 24, n / 60 % 60, n % 60),
        "protection": { "main": { "enforce_admins": true,
            "required_pull_request_reviews": { "required_approving_review_count": 1 } } },
    })
}
