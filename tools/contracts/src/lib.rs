//! GitHub's published descriptions, as `cargo xtask tools` fetches them, and Okta's, as a table:
//! the calls of the tests are held to them.
//!
//! A process reads GitHub's descriptions (27 MB) when it checks its first call. So tests that check
//! calls belong into one program that runs its tests in threads.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::missing_panics_doc, reason = "the same")]

mod graphql;
pub mod okta;
mod openapi;

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::PathBuf;

use serde_json::Value;

/// Returns the path of a file that `cargo xtask tools` fetched.
pub fn tool(path: &str) -> PathBuf {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/tools")).join(path);
    assert!(path.exists(), "{} is missing: run `cargo xtask tools` (it needs npm)", path.display());
    path
}

/// Returns a hash of the parts of a call that the descriptions cover.
fn digest(call: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    for part in ["method", "path", "query", "status", "raw", "request", "answer"] {
        call[part].to_string().hash(&mut hasher);
    }
    hasher.finish()
}

/// Checks every call of a log of the simulated GitHub, and returns how many there were. Calls that
/// a fault struck are left out. A call that is not as described panics.
pub fn check(calls: &[Value]) -> usize {
    let mut problems = Vec::new();
    let mut checked = 0;
    let mut seen = HashSet::new();
    for call in calls.iter().filter(|call| call["fault"] != Value::Bool(true)) {
        checked += 1;
        // A plan reads what the plan before it read: an equal call needs no second look.
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
