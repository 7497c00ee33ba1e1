//! Measures the cost of the work on a whole organisation: calls, REST units, GraphQL points, time
//! with 100 ms for each call, and memory. The benchmark compares first runs with runs that have
//! stored answers. The benchmark also compares 1,000 repositories with 10,000 repositories, and the
//! whole sweep of a command with the sweeps of the service.

use std::time::Duration;

use anyhow::Context as _;
use beadle_sim::{Limits, Settings, Sim};
use serde_json::{Value, json};

use crate::cost::Cost;
use crate::folder::{Ended, Folder};
use crate::{day, everything};

/// A typical policy. The policy has no aspect that Beadle can read only with REST.
pub(crate) const POLICY: &str = "
repository: { visibility: private, has_wiki: false, delete_branch_on_merge: true, topics: [managed] }
teams:
  - { name: platform, permission: admin }
  - { name: engineering, permission: push }
labels:
  - { name: bug, color: d73a4a, description: It does not work }
  - { name: security, color: ee0701, description: Tell nobody }
branches:
  - name: default
    protection: { required_pull_request_reviews: { required_approving_review_count: 1 }, enforce_admins: true }
";

/// A limit that no measurement reaches.
const PLENTY: u64 = 1_000_000;

/// A policy with one ruleset for every repository.
const RULESET: &str = "
rulesets:
  - name: main
    target: branch
    enforcement: active
    conditions: { ref_name: { include: ['~DEFAULT_BRANCH'], exclude: [] } }
    rules: [{ type: deletion }, { type: non_fast_forward }]
";

/// A policy whose aspects Beadle can read only with REST. Each repository then needs separate
/// calls.
const REST_ONLY: &str = "
collaborators: [{ username: ann, permission: push }]
autolinks: [{ key_prefix: T-, url_template: 'https://tickets.example.com/T-<num>', is_alphanumeric: false }]
";

/// Returns an organisation. Its repositories match the policies of this benchmark.
pub(crate) fn organisation(repositories: usize) -> Value {
    let mut all = json!({});
    for n in 0..repositories {
        all[format!("r{n:05}")] = json!({
            "visibility": "private", "has_wiki": false, "delete_branch_on_merge": true, "topics": ["managed"],
            "created_at": format!("2024-01-01T{:02}:{:02}:{:02}Z", n / 3600, n / 60 % 60, n % 60),
            "branches": { "main": {} }, "teams": { "platform": "admin", "engineering": "push" },
            "labels": {
                "bug": { "color": "d73a4a", "description": "It does not work" },
                "security": { "color": "ee0701", "description": "Tell nobody" },
            },
            "protection": { "main": { "enforce_admins": true,
                "required_pull_request_reviews": { "required_approving_review_count": 1 } } },
            "rulesets": { "main": { "target": "branch", "enforcement": "active",
                "conditions": { "ref_name": { "include": ["~DEFAULT_BRANCH"], "exclude": [] } },
                "rules": [{ "type": "deletion" }, { "type": "non_fast_forward" }] } },
            "collaborators": { "ann": "push" },
            "autolinks": { "T-": { "url_template": "https://tickets.example.com/T-<num>", "is_alphanumeric": false } },
        });
    }
    json!({
        "orgs": { "acme": { "members": ["ann"], "teams": { "platform": {}, "engineering": {} }, "repos": all } },
        "users": { "ann": {} },
        "apps": { "beadle-app": { "id": beadle_sim::APP_ID } },
    })
}

pub(crate) async fn run() -> anyhow::Result<()> {
    println!("an unchanged organisation, typical policy, 100 ms a call, GitHub's documented limits\n");
    println!(
        "{:52} {:>7} {:>8} {:>9} {:>9} {:>7} {:>6} {:>6}",
        "", "calls", "a repo", "REST/repo", "pts/repo", "s", "MiB", "writes"
    );
    let small = thousand().await?;
    let large = ten_thousand().await?;
    everything_declared().await?;
    println!();
    println!(
        "10,000 repositories compared with 1,000: {:.1} times the calls, {:.2} times the memory",
        large.0 / small.0,
        large.1 / small.1
    );
    Ok(())
}

async fn start(repositories: usize, minute: u64) -> anyhow::Result<(Sim, Folder)> {
    let limits =
        Limits { minute: Duration::from_secs(minute), core: 15_000, graphql: 10_000, ..Limits::default() };
    serve(organisation(repositories), limits, [POLICY, RULESET]).await
}

/// Starts a simulated GitHub with these limits. Also creates a folder with a policy:
/// `settings.yml`, and a layer for every repository.
async fn serve(state: Value, limits: Limits, [policy, layer]: [&str; 2]) -> anyhow::Result<(Sim, Folder)> {
    let minute = format!("{}s", limits.minute.as_secs());
    let latency = Duration::from_millis(100);
    let settings = Settings { limits, state: Some(state), latency, ..Settings::default() };
    let sim = Sim::start(([127, 0, 0, 1], 0).into(), settings).await?;
    let folder = Folder::new(&sim, policy, "unused", &minute)?;
    folder.layer(layer)?;
    Ok((sim, folder))
}

fn with_rest(folder: &Folder) -> anyhow::Result<()> {
    Ok(std::fs::write(folder.path.path().join("policy/settings.yml"), format!("{POLICY}{REST_ONLY}"))?)
}

/// Measures 1,000 repositories under the documented rate limits, with and without REST-only
/// aspects. Returns the calls of a run with stored answers, and the peak memory.
async fn thousand() -> anyhow::Result<(f64, f64)> {
    let (sim, folder) = start(1_000, 60).await?;
    measure(&sim, &folder, 1_000, "without REST-only aspects").await?;
    with_rest(&folder)?;
    let cold = measure(&sim, &folder, 1_000, "with autolinks and a collaborator, cold").await?;
    forget_tokens(&sim).await?;
    let warm = measure(&sim, &folder, 1_000, "the same, warm, with another token").await?;
    Ok((warm.0, warm.1.max(cold.1)))
}

/// Forces Beadle to get a new token. Otherwise, Beadle gets a new token only after an hour. With a
/// new token, the tags of all stored answers must be computed again, because a tag depends on the
/// token.
async fn forget_tokens(sim: &Sim) -> anyhow::Result<()> {
    reqwest::Client::new().delete(format!("{}/_sim/tokens", sim.url())).send().await?;
    Ok(())
}

/// Measures 1,000 repositories with a policy that declares everything. In the simulated rate
/// limits, a minute lasts only 6 s. There are no hourly limits, because a cold sweep needs more
/// calls than GitHub allows in an hour.
async fn everything_declared() -> anyhow::Result<()> {
    let state = everything::organisation(1_000).await?;
    let minute = Duration::from_secs(6);
    let limits = Limits { minute, core: PLENTY, graphql: PLENTY, ..Limits::default() };
    let (sim, folder) = serve(state, limits, [everything::POLICY, everything::LAYER]).await?;
    measure(&sim, &folder, 1_000, "everything, cold (minutes of 6 s)").await?;
    forget_tokens(&sim).await?;
    measure(&sim, &folder, 1_000, "the same, warm, with another token").await?;
    Ok(())
}

/// Measures the sweeps that the service makes in a day. The organisation and the policy are the
/// same as in `everything_declared`.
pub(crate) async fn day() -> anyhow::Result<()> {
    println!("a day of the service, unchanged organisation, everything declared\n");
    println!("{:52} {:>7} {:>8} {:>9} {:>9}", "", "", "a repo", "REST/repo", "pts/repo");
    let state = everything::organisation(1_000).await?;
    let limits = Limits {
        core: PLENTY,
        graphql: PLENTY,
        rest_points: PLENTY,
        graphql_points: PLENTY,
        ..Limits::default()
    };
    let (sim, folder) = serve(state, limits, [everything::POLICY, everything::LAYER]).await?;
    day::run(&sim, &folder.path.path().join("policy"), 1_000).await
}

/// Measures 10,000 repositories. In the simulated rate limits, a minute lasts only 6 s, so that the
/// measurement takes only some minutes. The number of calls and the memory do not depend on the
/// length of that minute.
async fn ten_thousand() -> anyhow::Result<(f64, f64)> {
    let (sim, folder) = start(10_000, 6).await?;
    with_rest(&folder)?;
    let cold = measure(&sim, &folder, 10_000, "the same, cold (minutes of 6 s)").await?;
    let warm = measure(&sim, &folder, 10_000, "the same, warm (minutes of 6 s)").await?;
    Ok((warm.0, warm.1.max(cold.1)))
}

async fn measure(sim: &Sim, folder: &Folder, repositories: usize, what: &str) -> anyhow::Result<(f64, f64)> {
    // The rate limits are reset before each measurement.
    let client = reqwest::Client::new();
    for part in ["calls", "limits"] {
        client.delete(format!("{}/_sim/{part}", sim.url())).send().await?;
    }
    let notes = folder.store();
    if notes.exists() {
        forget_processes(&notes)?;
    }
    let Ended { status, took, most } = folder.run(&["sweep"]).await?;
    anyhow::ensure!(status.code() == Some(0), "the sweep found changes or failed: {status}");
    let calls = sim.calls();
    let refused = calls.iter().filter(|call| call["status"] == 403 || call["status"] == 429).count();
    anyhow::ensure!(refused == 0, "GitHub had to refuse {refused} calls");
    let writes = calls.iter().filter(|call| call["writes"] == Value::Bool(true)).count();
    let count = calls.len();
    let each = Cost::of(&calls).per(repositories);
    let name = format!("{repositories}: {what}");
    println!(
        "{name:52} {count:>7} {:>8.3} {:>9.3} {:>9.3} {took:>7.1} {most:>6} {writes:>6}",
        each.calls, each.rest_units, each.graphql_points
    );
    Ok((f64::from(u32::try_from(count)?), f64::from(u32::try_from(most)?)))
}

/// Deletes the records about the budget. Earlier processes wrote these records, but the rate limits
/// are new for each measurement.
fn forget_processes(store: &std::path::Path) -> anyhow::Result<()> {
    let connection = rusqlite::Connection::open(store).context("the store cannot be opened")?;
    connection.execute("DELETE FROM note WHERE name LIKE 'process:%'", [])?;
    Ok(())
}
