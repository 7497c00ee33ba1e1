//! Fuzzes the files of a policy.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use beadle_github::{Known, Repository, Visibility};
use beadle_repositories::policy::{OverrideStatus, Verdict, explain, is_policy_file};
use beadle_repositories::{Policy, PolicyError, Problem, Severity};
use serde_json::Map;

/// A line with this beginning starts a file. The rest of the line is the path of the file.
const FILE: &str = "=== ";
/// The maximum size of an input, in bytes. Larger inputs find no new errors, and take long.
const LONGEST: usize = 32 << 10;

pub(crate) fn run(data: &[u8]) {
    if data.len() > LONGEST {
        return;
    }
    let sources = sources(&String::from_utf8_lossy(data));
    let load = || Policy::from_sources(sources.clone(), "admin", Path::new("policy"));
    let loaded = load();
    assert_eq!(outcome(&loaded), outcome(&load()), "the same files have two results");
    match &loaded {
        Ok(policy) => {
            for remark in &policy.remarks {
                placed(remark, &sources);
            }
            for repository in [known(), unread()] {
                assert_eq!(explained(policy, &repository), explained(policy, &repository));
            }
        }
        Err(PolicyError::Invalid { problems, .. }) => {
            assert!(problems.iter().any(|problem| problem.severity == Severity::Error), "no error");
            for problem in problems {
                placed(problem, &sources);
            }
        }
        Err(PolicyError::Empty(_)) => {}
        Err(other) => panic!("nothing reads a folder: {other}"),
    }
}

/// Splits an input into its files. A text without a path is `settings.yml`.
fn sources(text: &str) -> BTreeMap<String, String> {
    let mut sources: BTreeMap<String, String> = BTreeMap::new();
    let mut file = Some("settings.yml".to_owned());
    for line in text.split_inclusive('\n') {
        if let Some(path) = line.strip_prefix(FILE) {
            let path = path.trim();
            file = is_policy_file(path).unwrap_or(false).then(|| path.to_owned());
        } else if let Some(file) = &file {
            sources.entry(file.clone()).or_default().push_str(line);
        }
    }
    sources
}

/// Returns the result of the load as a text, so that two loads can be compared.
fn outcome(loaded: &Result<Policy, PolicyError>) -> String {
    match loaded {
        Ok(policy) => format!("{} {:?}", policy.generation, policy.remarks),
        Err(error) => error.to_string(),
    }
}

/// Checks that a finding names a line of a file, and that a person can read it.
fn placed(problem: &Problem, sources: &BTreeMap<String, String>) {
    let Some(source) = sources.get(&*problem.asked.file) else {
        panic!("there is no file {}: {}", problem.asked.file, problem.message)
    };
    // In YAML, a single carriage return also ends a line.
    let lines = source.replace("\r\n", "\n").split(['\n', '\r']).count();
    let line = problem.asked.line as usize;
    assert!((1..=lines).contains(&line), "line {line} of {lines}: {}", problem.message);
    assert!(problem.column >= 1, "{}", problem.message);
    let shown = problem.render(Some(source));
    let acts = |c: char| c.is_control() && c != '\n';
    assert!(problem.asked.file.contains(acts) || !shown.contains(acts), "{shown:?}");
}

/// Returns the values of a repository as JSON.
fn explained(policy: &Policy, repository: &Repository) -> String {
    match policy.resolve(repository, &OverrideStatus::default()) {
        Verdict::Skipped(why) => why,
        Verdict::Reached(target) => {
            let explained = explain(policy, &target, repository, "");
            serde_json::to_string(&explained).expect("an explanation is JSON")
        }
    }
}

/// Returns a repository with known topics, teams and properties.
fn known() -> Repository {
    Repository {
        topics: Known::Known(vec!["backend".into()]),
        teams: Known::Known(Vec::new()),
        properties: Known::Known(BTreeMap::from([("tier".to_owned(), "1".into())])),
        ..unread()
    }
}

/// Returns a repository whose topics, teams, properties and other lists are not known.
fn unread() -> Repository {
    Repository {
        id: 101,
        node_id: "R_101".into(),
        name: "shop".into(),
        owner: "acme".into(),
        archived: false,
        fork: false,
        visibility: Visibility::Private,
        settings: Map::new(),
        rest_settings: Known::NotAsked,
        default_branch: Some("main".into()),
        topics: Known::NotAsked,
        teams: Known::NotAsked,
        has_age: false,
        missing: Arc::default(),
        collaborators: Known::NotAsked,
        invitations: Known::NotAsked,
        protection: Known::NotAsked,
        created_at: "2026-01-01T00:00:00Z".into(),
        last_seen: None,
        vulnerability_alerts: None,
        labels: Known::NotAsked,
        deploy_keys: Known::NotAsked,
        milestones: Known::NotAsked,
        rulesets: Known::NotAsked,
        properties: Known::NotAsked,
    }
}
