//! Finds the pull requests that Beadle must check after an event in a repository that contains a
//! policy.
//!
//! <https://docs.github.com/webhooks/webhook-events-and-payloads#pull_request>,
//! <https://docs.github.com/webhooks/webhook-events-and-payloads#check_suite>

use std::fmt;
use std::str::FromStr;

use beadle_engine::{Key, Lane, Mark};

use super::payload::{CheckedCommit, Payload};
use super::watched_policy::WatchedPolicy;

/// The key kind for a pull request that Beadle checks.
pub const CHECK: &str = "check";

/// The subject of a `check` key. The subject is also the id of the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckSubject {
    /// A pull request, written as `1296269/7`.
    Pull {
        /// The id of the repository that the pull request changes.
        repository: u64,
        /// The number of the pull request.
        number: u64,
    },
    /// All open pull requests with this head, written as `1296269/head/0a1b...`. GitHub's event
    /// contains no pull request if the head is in a fork.
    Head {
        /// The id of the repository that the pull requests change.
        repository: u64,
        /// The id of the commit, 40 hexadecimal digits.
        commit: String,
    },
}

impl fmt::Display for CheckSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pull { repository, number } => write!(f, "{repository}/{number}"),
            Self::Head { repository, commit } => write!(f, "{repository}/head/{commit}"),
        }
    }
}

impl FromStr for CheckSubject {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let subject = || {
            let (repository, rest) = text.split_once('/')?;
            let repository = repository.parse().ok()?;
            match rest.strip_prefix("head/") {
                Some(commit) => {
                    is_commit(commit).then(|| Self::Head { repository, commit: commit.to_owned() })
                }
                None => Some(Self::Pull { repository, number: rest.parse().ok()? }),
            }
        };
        subject().ok_or_else(|| {
            format!("invalid id `{text}` of a check: must be REPOSITORY_ID/NUMBER, such as 1296269/7")
        })
    }
}

impl CheckSubject {
    /// Returns the key of the subject for one organisation.
    pub fn key(&self, instance: &str) -> Key {
        Key::new(CHECK, instance, self)
    }
}

/// Returns whether a text is the id of a commit. A payload must not put any other text into a key.
fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Returns whether an event of this type and action can mark a `check` key. Only the payload shows
/// which pull request the key is for.
pub(super) fn can_mark(event: &str, action: Option<&str>) -> bool {
    match event {
        "pull_request" => {
            matches!(
                action,
                Some("opened" | "synchronize" | "reopened" | "ready_for_review" | "closed" | "edited")
            )
        }
        "check_suite" => matches!(action, Some("requested" | "rerequested")),
        "check_run" => action == Some("rerequested"),
        _ => false,
    }
}

/// Returns the marks of the pull requests that the event affects. An organisation gets marks only
/// if its policy is in the repository of the event.
pub(super) fn marks(event: &str, payload: &Payload<'_>, policies: &[WatchedPolicy]) -> Vec<Mark> {
    let name = payload.repository.as_ref().and_then(|repository| repository.name.as_deref());
    let concerned: Vec<&WatchedPolicy> = policies
        .iter()
        .filter(|policy| name.is_some_and(|name| name.eq_ignore_ascii_case(&policy.repository)))
        .collect();
    if concerned.is_empty() {
        return Vec::new();
    }
    let subjects = subjects(event, payload);
    let mark = |policy: &&WatchedPolicy, subject: &CheckSubject| {
        Mark::new(subject.key(&policy.instance), Lane::Event)
    };
    concerned.iter().flat_map(|policy| subjects.iter().map(move |subject| mark(policy, subject))).collect()
}

fn subjects(event: &str, payload: &Payload<'_>) -> Vec<CheckSubject> {
    let Some(repository) = payload.repository.as_ref().and_then(|repository| repository.id) else {
        return Vec::new();
    };
    let action = payload.action.as_deref().unwrap_or_default();
    match (event, action) {
        ("pull_request", "opened" | "synchronize" | "reopened" | "ready_for_review") => {
            pull(repository, payload)
        }
        // After a merge, Beadle searches for reviews that approve the new policy.
        ("pull_request", "closed")
            if payload.pull_request.as_ref().is_some_and(|pull| pull.merged == Some(true)) =>
        {
            pull(repository, payload)
        }
        // Only a new base branch needs another check. A new title changes nothing that Beadle
        // checks.
        ("pull_request", "edited")
            if payload.changes.as_ref().is_some_and(|changes| changes.base.is_some()) =>
        {
            pull(repository, payload)
        }
        ("check_suite", "requested" | "rerequested") => of_commit(repository, payload.check_suite.as_ref()),
        ("check_run", "rerequested") => of_commit(repository, payload.check_run.as_ref()),
        _ => Vec::new(),
    }
}

fn pull(repository: u64, payload: &Payload<'_>) -> Vec<CheckSubject> {
    let number = payload.pull_request.as_ref().and_then(|pull| pull.number);
    number.map(|number| CheckSubject::Pull { repository, number }).into_iter().collect()
}

/// Returns the pull requests of a check suite or a check run. If the event contains no pull
/// request, the head might be in a fork. The result is then the head itself.
fn of_commit(repository: u64, checked: Option<&CheckedCommit<'_>>) -> Vec<CheckSubject> {
    let Some(checked) = checked else { return Vec::new() };
    let named = checked.pull_requests.iter().flatten();
    let pulls: Vec<CheckSubject> = named
        .filter(|pull| pull.base_repository().is_none_or(|base| base == repository))
        .filter_map(|pull| Some(CheckSubject::Pull { repository, number: pull.number? }))
        .collect();
    if !pulls.is_empty() {
        return pulls;
    }
    let commit = checked.head_sha.as_deref().filter(|commit| is_commit(commit));
    let head = |commit: &str| CheckSubject::Head { repository, commit: commit.to_owned() };
    commit.map(head).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const HEAD: &str = "0123456789abcdef0123456789abcdef01234567";

    fn keys(event: &str, payload: &Value) -> Vec<String> {
        let text = payload.to_string();
        let payload = Payload::read(text.as_bytes()).unwrap();
        let policy = |instance: &str, repository: &str| WatchedPolicy {
            instance: instance.to_owned(),
            repository: repository.to_owned(),
            reference: "main".to_owned(),
        };
        let policies = [policy("acme", "admin"), policy("labs", "Admin"), policy("other", "policies")];
        let marks = marks(event, &payload, &policies);
        assert!(marks.iter().all(|mark| mark.lane == Lane::Event));
        marks.into_iter().map(|mark| mark.key.to_string()).collect()
    }

    fn payload(action: &str, more: &Value) -> Value {
        let mut payload = json!({
            "action": action, "repository": { "id": 5, "name": "admin", "owner": { "login": "acme" } },
        });
        for (key, value) in more.as_object().unwrap() {
            payload[key] = value.clone();
        }
        payload
    }

    #[test]
    fn only_the_events_that_can_mark_a_check_need_their_payload() {
        let more = json!({ "pull_request": { "number": 7, "merged": true }, "changes": { "base": {} },
            "check_suite": { "head_sha": HEAD }, "check_run": { "head_sha": HEAD } });
        for event in super::super::EVENTS.iter().copied() {
            for action in ["opened", "synchronize", "closed", "edited", "labeled", "requested", "rerequested"]
            {
                let marks = !keys(event, &payload(action, &more)).is_empty();
                assert_eq!(can_mark(event, Some(action)), marks, "{event}.{action}");
            }
        }
    }

    #[test]
    fn an_event_marks_its_pull_request_for_each_organisation_of_the_policy() {
        let pull = json!({ "number": 7, "pull_request": { "number": 7 } });
        for action in ["opened", "synchronize", "reopened", "ready_for_review"] {
            let marked = keys("pull_request", &payload(action, &pull));
            assert_eq!(marked, ["check:acme:5/7", "check:labs:5/7"], "{action}");
        }
        for action in ["closed", "labeled", "edited"] {
            assert!(keys("pull_request", &payload(action, &pull)).is_empty(), "{action}");
        }
        let moved =
            json!({ "pull_request": { "number": 7 }, "changes": { "base": { "ref": { "from": "old" } } } });
        assert_eq!(keys("pull_request", &payload("edited", &moved)).len(), 2);
        let merged = json!({ "pull_request": { "number": 7, "merged": true } });
        assert_eq!(keys("pull_request", &payload("closed", &merged)).len(), 2);
        let mut other = payload("opened", &pull);
        other["repository"]["name"] = json!("shop");
        assert!(keys("pull_request", &other).is_empty());
    }

    #[test]
    fn a_check_of_a_fork_marks_its_head_and_a_check_of_a_branch_marks_its_pull_requests() {
        let fork = json!({ "head_sha": HEAD, "pull_requests": [] });
        let head = format!("check:acme:5/head/{HEAD}");
        for (event, action) in
            [("check_suite", "requested"), ("check_suite", "rerequested"), ("check_run", "rerequested")]
        {
            let marked = keys(event, &payload(action, &json!({ event: fork })));
            assert_eq!(marked.first(), Some(&head), "{event}.{action}");
            let base = |id: u64| json!({ "repo": { "id": id } });
            let pulls = json!([{ "number": 8, "base": base(5) }, { "number": 9, "base": base(6) }]);
            let named = json!({ event: { "head_sha": HEAD, "pull_requests": pulls } });
            assert_eq!(keys(event, &payload(action, &named)), ["check:acme:5/8", "check:labs:5/8"]);
        }
        for (event, action) in [("check_suite", "completed"), ("check_run", "created")] {
            assert!(keys(event, &payload(action, &json!({ event: fork }))).is_empty(), "{event}.{action}");
        }
    }

    #[test]
    fn only_the_id_of_a_commit_gets_into_a_key() {
        for sha in ["main", "", "../../7", HEAD.to_uppercase().as_str(), &HEAD[1..]] {
            let suite = json!({ "check_suite": { "head_sha": sha, "pull_requests": [] } });
            assert!(keys("check_suite", &payload("requested", &suite)).is_empty(), "{sha}");
        }
    }

    #[test]
    fn the_id_of_a_key_is_read_as_it_was_written() {
        for subject in [
            CheckSubject::Pull { repository: 5, number: 7 },
            CheckSubject::Head { repository: 5, commit: HEAD.to_owned() },
        ] {
            let key = subject.key("acme");
            assert_eq!(key.id().parse::<CheckSubject>(), Ok(subject));
        }
        for id in ["", "5", "5/", "x/7", "5/head/", "5/head/main", "5/7/8"] {
            assert!(id.parse::<CheckSubject>().is_err(), "{id}");
        }
    }
}
