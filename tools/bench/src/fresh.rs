//! Measures how long Beadle needs until a new repository matches the policy. The benchmark compares
//! this time with the time that the same calls need if they run one after the other.

use std::time::Duration;

use beadle_sim::{Settings, Sim};
use serde_json::{Value, json};

use crate::clock::now;
use crate::everything;
use crate::service::Service;

const LATENCY: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(60);
/// If Beadle writes nothing for this duration, it has already written everything.
const QUIET: Duration = Duration::from_secs(5);

const POLICY: &str = "
repository: { visibility: private, has_wiki: false, delete_branch_on_merge: true, topics: [managed] }
teams:
  - { name: platform, permission: admin }
  - { name: engineering, permission: push }
labels:
  - { name: incident, color: d73a4a, description: It does not work }
  - { name: confidential, color: ee0701, description: Tell nobody }
autolinks: [{ key_prefix: T-, url_template: 'https://tickets.example.com/T-<num>', is_alphanumeric: false }]
branches:
  - name: default
    protection: { required_pull_request_reviews: { required_approving_review_count: 1 }, enforce_admins: true }
";

fn is_declared(found: &Value) -> bool {
    found["has_wiki"] == json!(false)
        && found["topics"] == json!(["managed"])
        && found["teams"] == json!({ "platform": "admin", "engineering": "push" })
        && ["incident", "confidential"].iter().all(|label| found["labels"][*label].is_object())
        && found["autolinks"]["T-"].is_object()
        && found["protection"]["main"]["enforce_admins"] == json!(true)
}

pub(crate) async fn run() -> anyhow::Result<()> {
    typical().await?;
    with_everything().await
}

/// Measures a new repository. The policy declares every section of this repository.
async fn with_everything() -> anyhow::Result<()> {
    let state = everything::with_repositories(&json!({}));
    let settings = Settings { state: Some(state), latency: LATENCY, ..Settings::default() };
    let mut service = Service::start(settings, everything::POLICY).await?;
    service.sim.forget_calls();
    let new = json!({ "branches": { "main": {} }, "visibility": "private" });
    let started = now();
    service.change(&json!({ "orgs": { "acme": { "repos": { "new": new } } } })).await?;
    let (mut writes, mut last) = (0, Duration::ZERO);
    while writes == 0 || started.elapsed() < last + QUIET {
        anyhow::ensure!(started.elapsed() < PATIENCE, "Beadle still writes after {writes} writes");
        let seen = service.sim.calls_that(|call| call["writes"] == Value::Bool(true)).len();
        if seen > writes {
            (writes, last) = (seen, started.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    service.stop()?;
    anyhow::ensure!(service.is_as_declared().await?, "the new repository is not as declared");
    println!(
        "a new repository with everything, 100 ms a call: {writes} writes, the last after {:.2} s",
        last.as_secs_f64()
    );
    Ok(())
}

/// Measures a new repository with a typical policy.
async fn typical() -> anyhow::Result<()> {
    let state = json!({
        "orgs": { "acme": { "teams": { "platform": {}, "engineering": {} }, "repos": {} } },
        "apps": { "beadle-app": { "id": beadle_sim::APP_ID } },
    });
    let settings = Settings { state: Some(state), latency: LATENCY, ..Settings::default() };
    let mut service = Service::start(settings, POLICY).await?;
    service.client.delete(format!("{}/_sim/calls", service.sim.url())).send().await?;
    let patch = json!({ "orgs": { "acme": { "repos": { "new": { "visibility": "private" } } } } });
    let started = now();
    service.change(&patch).await?;
    let is_there = |sim: &Sim| is_declared(&sim.state()["orgs"]["acme"]["repos"]["new"]);
    while !is_there(&service.sim) && started.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let took = started.elapsed().as_secs_f64();
    let calls = service.sim.calls();
    let reconciled = is_there(&service.sim);
    service.stop()?;
    anyhow::ensure!(reconciled, "the new repository was not as declared in {took:.0} s");
    let writes = calls.iter().filter(|call| call["writes"] == Value::Bool(true)).count();
    let one_by_one = LATENCY.as_secs_f64() * f64::from(u32::try_from(calls.len())?);
    println!(
        "a new repository, 100 ms a call: {} calls, {writes} of them writes; {one_by_one:.1} s if one came after the other, \
         as declared after {took:.2} s",
        calls.len()
    );
    Ok(())
}
