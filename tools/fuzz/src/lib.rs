//! Targets for a fuzzer: one for each parser that reads text from outside Beadle. A target gets any
//! bytes, and panics if the parser breaks a promise.
//!
//! There are two ways to run the targets. `cargo xtask fuzz` runs them with libFuzzer, which
//! searches for inputs that reach new code. The test of this package runs them with every input in
//! `corpus/`, and with random changes of these inputs.

mod config;
mod expressions;
mod github_lists;
mod github_repository;
mod github_webhook;
mod list;
mod names;
mod okta_hook;
mod okta_lists;
mod policy;
mod records;
mod scim_lists;
mod seed;
mod wire;

/// A parser to fuzz.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The name. The folder `corpus/` has a folder with this name.
    pub name: &'static str,
    /// Runs the parser with one input, and panics if the parser breaks a promise.
    pub run: fn(&[u8]),
    /// The number of random inputs that the test tries. This number is small for a slow target.
    pub tries: usize,
}

/// `beadle.toml`: each error names a line of the file, and shows no secret.
pub const CONFIG: Target = Target { name: "config", run: config::run, tries: 300 };

/// Expressions and templates: each evaluation ends, and its result has a limited size.
pub const EXPRESSIONS: Target = Target { name: "expressions", run: expressions::run, tries: 150 };

/// GitHub lists from REST and from GraphQL: a list is complete or unknown.
pub const GITHUB_LISTS: Target = Target { name: "github_lists", run: github_lists::run, tries: 500 };

/// A GitHub repository with its lists, from GraphQL: each list is complete or unknown.
pub const GITHUB_REPOSITORY: Target =
    Target { name: "github_repository", run: github_repository::run, tries: 500 };

/// GitHub webhooks: only a signed request marks keys, and Beadle can parse the text of each key.
pub const GITHUB_WEBHOOK: Target = Target { name: "github_webhook", run: github_webhook::run, tries: 3_000 };

/// Names that become a part of an address, a filter, a query, a key or a note: Beadle either keeps
/// the name unchanged or refuses it.
pub const NAMES: Target = Target { name: "names", run: names::run, tries: 1_000 };

/// Okta event hooks: only a request with a valid header marks keys, and Beadle can parse the text
/// of each key.
pub const OKTA_HOOK: Target = Target { name: "okta_hook", run: okta_hook::run, tries: 3_000 };

/// Okta lists: a list is complete or unknown.
pub const OKTA_LISTS: Target = Target { name: "okta_lists", run: okta_lists::run, tries: 500 };

/// The files of a policy: an error names a line of a file, and an accepted policy can be explained.
pub const POLICY: Target = Target { name: "policy", run: policy::run, tries: 100 };

/// Stored records: if a record can be read, a write and a second read do not change its value.
pub const RECORDS: Target = Target { name: "records", run: records::run, tries: 3_000 };

/// Lists of SCIM servers: a list is complete or unknown.
pub const SCIM_LISTS: Target = Target { name: "scim_lists", run: scim_lists::run, tries: 500 };

/// All targets.
pub const TARGETS: [Target; 11] = [
    CONFIG,
    EXPRESSIONS,
    GITHUB_LISTS,
    GITHUB_REPOSITORY,
    GITHUB_WEBHOOK,
    NAMES,
    OKTA_HOOK,
    OKTA_LISTS,
    POLICY,
    RECORDS,
    SCIM_LISTS,
];
