//! What a full `plan` of an unchanged organisation of 1,000 repositories costs: calls, REST units and GraphQL points
//! apart, time at 100 ms a call, memory.

use std::time::{Duration, Instant};

use beadle_sim::{Limits, Settings, Sim};
use serde_json::{Value, json};

use crate::folder::{Folder, peak};

const REPOSITORIES: usize = 1000;

const POLICY: &str = "
repository: { visibility: private, has_wiki: false, delete_branch_on_merge: true, topics: [managed] }
teams:
  - { name: platform, permission: admin }
  - { name: engineering, permission: push }
branches:
  - name: default
    protection: { required_pull_request_reviews: { required_approving_review_count: 1 }, enforce_admins: true }
";

fn organisation() -> Value {
    let mut repositories = json!({});
    for n in 0..REPOSITORIES {
        repositories[format!("r{n:04}")] = json!({
            "visibility": "private", "has_wiki": false, "delete_branch_on_merge": true, "topics": ["managed"],
            "branches": { "main": {} }, "teams": { "platform": "admin", "engineering": "push" },
            "protection": { "main": { "enforce_admins": true,
                "required_pull_request_reviews": { "required_approving_review_count": 1 } } },
        });
    }
    json!({
        "orgs": { "acme": { "teams": { "platform": {}, "engineering": {} }, "repos": repositories } },
        "apps": { "beadle-app": { "id": beadle_sim::APP_ID } },
    })
}

pub(crate) async fn run() -> anyhow::Result<()> {
    println!(
        "unchanged organisation of {REPOSITORIES} repositories, 100 ms a call, GitHub's documented limits\n"
    );
    println!(
        "{:44} {:>6} {:>9} {:>6} {:>7} {:>7} {:>7} {:>5}",
        "", "calls", "a repo", "REST", "points", "s", "MiB", "writes"
    );
    measure("settings, topics, 2 teams, 1 protection", POLICY).await?;
    measure("the same and collaborators", &format!("{POLICY}collaborators: []\n")).await
}

async fn measure(name: &str, policy: &str) -> anyhow::Result<()> {
    let settings = Settings {
        limits: Limits::default(),
        state: Some(organisation()),
        latency: Duration::from_millis(100),
        ..Settings::default()
    };
    let sim = Sim::start(([127, 0, 0, 1], 0).into(), settings).await?;
    let folder = Folder::new(&sim, policy, "unused", "60s")?;
    let mut child = folder.beadle(&["plan"]).spawn()?;
    let started = now();
    let mut most = 0;
    let status = loop {
        most = most.max(peak(child.id()).unwrap_or(0));
        if let Some(status) = child.try_wait()? {
            break status;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let took = started.elapsed().as_secs_f64();
    anyhow::ensure!(status.code() == Some(0), "the plan is not empty, or failed: {status}");
    let calls = sim.calls();
    let sum = |graphql: bool| -> u64 {
        let of =
            |call: &&Value| call["path"].as_str().is_some_and(|path| path.ends_with("/graphql")) == graphql;
        calls.iter().filter(of).filter_map(|call| call["cost"].as_u64()).sum()
    };
    let writes = calls.iter().filter(|call| call["writes"] == Value::Bool(true)).count();
    let count = u32::try_from(calls.len())?;
    println!(
        "{name:44} {count:>6} {:>9.3} {:>6} {:>7} {took:>7.1} {most:>7} {writes:>5}",
        f64::from(count) / 1000.0,
        sum(false),
        sum(true)
    );
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn now() -> Instant {
    Instant::now()
}
