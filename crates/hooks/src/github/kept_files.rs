//! Decides whether an event affects the files that Beadle keeps in a repository.
//!
//! <https://docs.github.com/webhooks/webhook-events-and-payloads#push>,
//! <https://docs.github.com/webhooks/webhook-events-and-payloads#pull_request>

use super::org_facts::OrgFacts;
use super::payload::{Payload, PushedCommit};

/// The maximum number of commits that GitHub lists in a push.
const MOST_COMMITS: usize = 2048;
/// The maximum number of files that GitHub lists for a commit.
const MOST_FILES: usize = 3000;

/// After these actions on a pull request, Beadle checks the files of the pull request. Other
/// actions, such as a new label, change neither the proposed files nor the target branch.
const ACTIONS: [&str; 5] = ["closed", "edited", "opened", "reopened", "synchronize"];

/// Returns whether the event can change the files that Beadle keeps, the branch that proposes these
/// files, or the pull request of this branch.
pub(super) fn concerns(event: &str, payload: &Payload<'_>, known: &OrgFacts) -> bool {
    match event {
        "push" => is_pushed(payload, known),
        "pull_request" => is_proposed(payload, known),
        _ => false,
    }
}

fn is_pushed(payload: &Payload<'_>, known: &OrgFacts) -> bool {
    let reference = payload.reference.as_deref().unwrap_or_default();
    let Some(branch) = reference.strip_prefix("refs/heads/") else { return false };
    if known.proposes_from(branch) {
        return true;
    }
    let default = payload.repository.as_ref().and_then(|repository| repository.default_branch.as_deref());
    if default.is_some_and(|default| default != branch) {
        return false;
    }
    let commits = payload.commits.as_deref().unwrap_or_default();
    // In the following cases, the lists do not contain all changed files. For example, a forced
    // push can remove commits, and the lists do not contain the files of these commits.
    let is_short = payload.commits.is_none()
        || payload.forced == Some(true)
        || commits.len() >= MOST_COMMITS
        || commits.iter().any(has_more_files);
    if is_short { known.keeps_files() } else { known.keeps(commits.iter().flat_map(PushedCommit::paths)) }
}

/// Returns whether a commit possibly changes more files than the push lists. For a very large commit,
/// GitHub lists no files, or only the first ones.
///
/// <https://docs.github.com/webhooks/webhook-events-and-payloads#push>
fn has_more_files(commit: &PushedCommit) -> bool {
    let count = commit.paths().count();
    count == 0 || count >= MOST_FILES
}

fn is_proposed(payload: &Payload<'_>, known: &OrgFacts) -> bool {
    let action = payload.action.as_deref().unwrap_or_default();
    let own = payload.repository.as_ref().and_then(|repository| repository.id);
    let branch = payload.pull_request.as_ref().and_then(|pull| pull.branch_in(own?));
    ACTIONS.contains(&action) && branch.is_some_and(|branch| known.proposes_from(branch))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::super::org_facts::WatchedFiles;
    use super::*;

    fn known(paths: &[&str]) -> OrgFacts {
        let known = OrgFacts::default();
        let paths = paths.iter().map(|path| (*path).to_owned()).collect();
        known.watch(BTreeSet::new(), WatchedFiles { branch: "beadle/files".into(), paths });
        known
    }

    fn is_about(event: &str, more: &Value, known: &OrgFacts) -> bool {
        let mut payload = json!({ "repository": { "id": 5, "default_branch": "main" } });
        for (key, value) in more.as_object().unwrap() {
            payload[key] = value.clone();
        }
        let text = payload.to_string();
        concerns(event, &Payload::read(text.as_bytes()).unwrap(), known)
    }

    #[test]
    fn a_push_counts_if_it_can_change_a_kept_file_of_the_default_branch() {
        let commit = |path: &str| json!([{ "added": [], "removed": [], "modified": ["src/main.rs", path] }]);
        let many: Vec<Value> = (0..MOST_COMMITS).map(|_| json!({ "added": ["a"] })).collect();
        for (branch, more, expected) in [
            ("main", json!({ "commits": commit("CODEOWNERS") }), true),
            ("main", json!({ "commits": [{ "removed": ["CODEOWNERS"] }] }), true),
            ("main", json!({ "commits": [{ "added": ["CODEOWNERS"] }, { "added": ["x"] }] }), true),
            ("main", json!({ "commits": commit("README.md") }), false),
            ("topic", json!({ "commits": commit("CODEOWNERS") }), false),
            ("beadle/files", json!({ "commits": commit("README.md") }), true),
            ("beadle/files", json!({ "commits": [], "deleted": true }), true),
            // GitHub does not list all files of these pushes.
            ("main", json!({ "commits": commit("README.md"), "forced": true }), true),
            ("main", json!({ "commits": many }), true),
            ("main", json!({ "commits": [{ "added": [], "removed": [], "modified": [] }] }), true),
            ("main", json!({ "commits": [{ "added": vec!["a"; MOST_FILES] }] }), true),
            ("main", json!({}), true),
        ] {
            let mut push = more.clone();
            push["ref"] = json!(format!("refs/heads/{branch}"));
            assert_eq!(is_about("push", &push, &known(&["CODEOWNERS"])), expected, "{branch}: {more}");
            assert!(!is_about("push", &push, &known(&[])), "{branch}: a policy without files");
        }
        let tag = json!({ "ref": "refs/tags/main", "commits": commit("CODEOWNERS") });
        assert!(!is_about("push", &tag, &known(&["CODEOWNERS"])));
    }

    #[test]
    fn a_pull_request_counts_if_it_comes_from_the_branch_of_beadle() {
        let pull = |action: &str, branch: &str, repository: Value| {
            let head = json!({ "ref": branch, "repo": repository });
            json!({ "action": action, "pull_request": { "number": 7, "head": head } })
        };
        let own = json!({ "id": 5 });
        for action in ACTIONS {
            let event = pull(action, "beadle/files", own.clone());
            assert!(is_about("pull_request", &event, &known(&["LICENSE"])), "{action}");
            assert!(!is_about("pull_request", &event, &known(&[])), "{action}");
        }
        for other in [
            pull("labeled", "beadle/files", own.clone()),
            pull("closed", "topic", own),
            pull("closed", "beadle/files", json!({ "id": 6 })),
            // The fork was deleted.
            pull("closed", "beadle/files", Value::Null),
        ] {
            assert!(!is_about("pull_request", &other, &known(&["LICENSE"])), "{other}");
        }
    }
}
