//! Checks the calls of the tests against the published descriptions of the vendors. `cargo xtask
//! tools` fetches GitHub's descriptions. A table contains a part of Okta's description.
//!
//! GitHub's descriptions have a size of 27 MB. A process reads the descriptions when it checks its
//! first call. So all tests that check calls should be in one program that runs them in threads.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::missing_panics_doc, reason = "the same")]

mod graphql;
pub mod okta;
mod openapi;

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::PathBuf;

use serde_json::Value;

/// Returns the path of a file that `cargo xtask tools` downloaded.
pub fn tool(path: &str) -> PathBuf {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/tools")).join(path);
    assert!(path.exists(), "{} is missing: run `cargo xtask tools` (it needs npm)", path.display());
    path
}

/// Returns a hash of a call. The hash covers only those parts of the call that the descriptions
/// define.
fn digest(call: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    for part in ["method", "path", "query", "status", "raw", "request", "answer"] {
        call[part].to_string().hash(&mut hasher);
    }
    hasher.finish()
}

/// Checks every call in a log of the simulated GitHub, and returns the number of checked calls.
/// Calls with an injected fault are not checked. Panics if a call does not match the descriptions.
pub fn check(calls: &[Value]) -> usize {
    let mut problems = Vec::new();
    let mut checked = 0;
    let mut seen = HashSet::new();
    for call in calls.iter().filter(|call| call["fault"] != Value::Bool(true)) {
        checked += 1;
        // A second plan sends the same calls as the first plan. Each distinct call is checked only
        // once.
        if !seen.insert(digest(call)) {
            continue;
        }
        let path = call["path"].as_str().unwrap_or_default();
        let found = if path.ends_with("/graphql") { graphql::check(call) } else { openapi::check(call) };
        problems.extend(found.into_iter().map(|problem| format!("{} {path}: {problem}", call["method"])));
    }
    problems.sort();
    problems.dedup();
    assert!(problems.is_empty(), "against GitHub's descriptions:\n{}", problems.join("\n"));
    checked
}
