//! Checks of calls against GitHub's published descriptions, which `cargo xtask tools` fetches, and
//! against a table of Okta's description.

mod clients;
mod graphql;
pub(crate) mod okta;
mod openapi;

use std::path::PathBuf;

use serde_json::Value;

/// Returns a file of a fetched package.
pub(crate) fn tool(path: &str) -> PathBuf {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/tools")).join(path);
    assert!(path.exists(), "{} is missing: run `cargo xtask tools` (it needs npm)", path.display());
    path
}

/// Checks every call of a log against the descriptions, and returns the number of calls.
pub(crate) fn check(calls: &[Value]) -> usize {
    let mut problems = Vec::new();
    let mut checked = 0;
    for call in calls.iter().filter(|call| call["fault"] != Value::Bool(true)) {
        let path = call["path"].as_str().unwrap_or_default();
        let found = if path.ends_with("/graphql") { graphql::check(call) } else { openapi::check(call) };
        problems.extend(found.into_iter().map(|problem| format!("{} {path}: {problem}", call["method"])));
        checked += 1;
    }
    problems.sort();
    problems.dedup();
    assert!(problems.is_empty(), "against GitHub's descriptions:\n{}", problems.join("\n"));
    checked
}
