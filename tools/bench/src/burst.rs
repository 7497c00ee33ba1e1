//! Measures a burst: 500 repositories change at the same time, and GitHub sends webhooks for each
//! of them. The measurement shows whether each webhook gets its answer within 10 s, because GitHub
//! does not wait longer for an answer.

use std::time::Duration;

use beadle_sim::{Limits, Settings, Sim};
use serde_json::{Value, json};

use crate::clock::now;
use crate::service::Service;

const REPOSITORIES: usize = 500;
const PATIENCE: Duration = Duration::from_secs(600);

pub(crate) async fn run() -> anyhow::Result<()> {
    let mut repositories = json!({});
    for n in 0..REPOSITORIES {
        repositories[format!("r{n:03}")] =
            json!({ "has_wiki": false, "topics": ["managed"], "branches": { "main": {} } });
    }
    let state = json!({ "orgs": { "acme": { "repos": repositories } }, "apps": { "beadle-app": { "id": beadle_sim::APP_ID } } });
    let latency = Duration::from_millis(100);
    let settings = Settings { limits: Limits::default(), state: Some(state), latency, ..Settings::default() };
    let policy = "repository: { has_wiki: false, topics: [managed] }\n";
    let mut service = Service::start(settings, policy).await?;
    let mut drift = json!({});
    for n in 0..REPOSITORIES {
        drift[format!("r{n:03}")] = json!({ "topics": [] });
    }
    let patch = json!({ "orgs": { "acme": { "repos": drift } } });
    let started = now();
    service.change(&patch).await?;
    let is_declared =
        |found: &Value| found["topics"] == json!(["managed"]) && found["has_wiki"] == json!(false);
    let all = |sim: &Sim| {
        let state = sim.state();
        state["orgs"]["acme"]["repos"].as_object().is_some_and(|all| all.values().all(is_declared))
    };
    while !all(&service.sim) && started.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let took = started.elapsed().as_secs_f64();
    let deliveries = format!("{}/_sim/deliveries", service.sim.url());
    let rows = service.client.get(deliveries).send().await?.text().await?;
    let rows: Vec<Value> = serde_json::from_str(&rows)?;
    let mut answered: Vec<f64> =
        rows.iter().filter(|row| row["status"] == "OK").filter_map(|row| row["duration"].as_f64()).collect();
    answered.sort_by(f64::total_cmp);
    let own = answered.len();
    let reconciled = all(&service.sim);
    service.stop()?;
    anyhow::ensure!(reconciled, "not every repository was repaired in {took:.0} s");
    println!(
        "{REPOSITORIES} repositories changed at once: {own} webhooks sent, {} not answered; the slowest answer took {:.3} s, the \
         median {:.3} s; all repaired after {took:.1} s (a write each, 100 ms a call, GitHub's limits)",
        rows.len() - own,
        answered.last().copied().unwrap_or(0.0),
        answered.get(own / 2).copied().unwrap_or(0.0)
    );
    Ok(())
}
