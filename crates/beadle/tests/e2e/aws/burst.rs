//! Tests thousands of events for hundreds of keys during a sweep.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use beadle_emulate::{Moto, Shape, Tables};
use beadle_engine::store::prelude::*;
use beadle_engine::{Key, Row};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::deployment::Deployment;
use crate::directory::world::{World as Directory, state};
use crate::world::{World, acme};

const KEYS: usize = 300;
/// The default number of events.
const EVENTS: usize = 5000;
/// The number of intake instances.
const INTAKES: usize = 2;

/// A run from the log.
struct Run {
    lane: String,
    from: Timestamp,
    to: Option<Timestamp>,
}

/// Returns the runs of each key, in the order of their starts.
fn runs(log: &str) -> HashMap<String, Vec<Run>> {
    let parsed = |line: &str| {
        let value: Option<Value> = serde_json::from_str(line).ok();
        let is_run = line.contains("\"run begins\"") || line.contains("\"run ends\"");
        assert!(value.is_some() || !is_run, "a line of the log is broken: {line}");
        value
    };
    let mut lines: Vec<Value> = log.lines().filter_map(parsed).collect();
    lines.retain(|line| line["timestamp"].is_string());
    lines.sort_by_key(|line| line["timestamp"].as_str().unwrap().to_owned());
    let mut runs: HashMap<String, Vec<Run>> = HashMap::new();
    for line in lines {
        let at: Timestamp = line["timestamp"].as_str().unwrap().parse().unwrap();
        let key = line["key"].as_str().unwrap_or_default().to_owned();
        match line["message"].as_str() {
            Some("run begins") => {
                let lane = line["lane"].as_str().unwrap().to_owned();
                runs.entry(key).or_default().push(Run { lane, from: at, to: None });
            }
            Some("run ends") => runs.get_mut(&key).unwrap().last_mut().unwrap().to = Some(at),
            _ => {}
        }
    }
    runs
}

/// Waits until a key has no work left, and returns its row.
async fn until_done(deployed: &Deployment, key: &str) -> Row {
    let key: Key = key.parse().unwrap();
    for _ in 0..600 {
        let row = deployed.table.row(&key).await.unwrap().unwrap();
        if !row.is_pending() && row.lease_until.is_none() {
            return row;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{key} is not done: {:?}\n{}", deployed.table.row(&key).await, deployed.logs());
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_events_are_answered_and_each_key_runs_after_its_last_mark() {
    let repositories: serde_json::Map<String, Value> =
        (0..KEYS).map(|n| (format!("r{n:03}"), json!({ "branches": { "main": {} } }))).collect();
    let mut github = World::unlimited(acme(repositories.into())).await;
    // Other tests check the calls against GitHub's description. Thousands of checks would take too
    // long here.
    github.checked = false;
    github.policy("settings.yml", "repository:\n  has_wiki: true\n");
    let directory = Directory::new(state(1, &json!({}))).await;
    let tables = Tables::start().await;
    let moto = Moto::start().await.with_tables_at(&tables.url);
    let mut deployed = Deployment::on(moto, github, directory, Shape::Http).await;
    for _ in 0..INTAKES {
        deployed.run("intake", &[]);
    }
    for _ in 0..2 {
        deployed.run("worker", &[]);
    }
    deployed.pump(2, Duration::from_secs(20)).await;
    let ids: Vec<u64> =
        (0..KEYS).map(|n| deployed.github.repository(&format!("r{n:03}"))["id"].as_u64().unwrap()).collect();
    // A new policy makes the service sweep, and this sweep adds every repository to the queue.
    for _ in 0..3000 {
        if deployed.messages(&deployed.sweep[0]).await > 50 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    #[expect(clippy::disallowed_methods, reason = "a developer says how many")]
    let events = std::env::var("BEADLE_BURST").map_or(EVENTS, |count| count.parse().unwrap());
    let begun = Instant::now();
    let turns = Arc::new(Semaphore::new(16));
    let mut sent = JoinSet::new();
    for n in 0..events {
        let id = ids[n % KEYS];
        let body = json!({
            "action": "edited", "organization": { "login": "acme" }, "sender": { "login": "ann" },
            "repository": { "id": id, "name": format!("r{:03}", n % KEYS), "owner": { "login": "acme" } },
        });
        let mut request = deployed
            .github
            .delivery(&format!("d-{n}"), "repository", body.to_string().as_bytes())
            .build()
            .unwrap();
        *request.url_mut() = format!("{}/hooks/github", deployed.gateway.url).parse().unwrap();
        let (http, turns) = (deployed.github.http.clone(), turns.clone());
        sent.spawn(async move {
            let _turn = turns.acquire_owned().await.unwrap();
            let at = Timestamp::now();
            let status = http.execute(request).await.unwrap().status();
            assert_eq!(status, 202, "d-{n}");
            (id, at)
        });
    }
    let mut last: HashMap<String, Timestamp> = HashMap::new();
    while let Some(sent) = sent.join_next().await {
        let (id, at) = sent.unwrap();
        let key = format!("repository:acme:{id}");
        let latest = last.entry(key).or_insert(at);
        *latest = (*latest).max(at);
    }
    let took = begun.elapsed();
    // Waits until all work is done.
    deployed.until_idle().await;
    // The index might be out of date. The row of a key is always up to date.
    let mut rows: HashMap<String, Row> = HashMap::new();
    for key in last.keys() {
        let row = until_done(&deployed, key).await;
        rows.insert(key.clone(), row);
    }
    let all = begun.elapsed();
    let log = deployed.logs();
    let runs = runs(&log);
    let (mut count, mut last_sweep) = (0, None);
    for (key, runs) in &runs {
        count += runs.len();
        for pair in runs.windows(2) {
            assert!(pair[0].to.is_some_and(|to| to <= pair[1].from), "{key} was worked on twice at once");
        }
        let swept = runs.iter().filter(|run| run.lane == "sweep" && key.starts_with("repository:"));
        last_sweep = last_sweep.max(swept.map(|run| run.from).max());
    }
    for (key, marked) in &last {
        let run = runs[key].last().unwrap();
        // The epoch of the row is the number of claims. If this check fails, compare the epoch with
        // the number of runs in the log. If the two are equal, a mark was lost. If the epoch is
        // larger, a run is missing from the log.
        assert!(
            run.from >= *marked,
            "{key} was marked at {marked}, and last run at {}; {} runs in the log, {:?}",
            run.from,
            runs[key].len(),
            rows[key]
        );
    }
    let first_event = runs.values().flatten().filter(|run| run.lane == "event").map(|run| run.from).min();
    assert!(first_event < last_sweep, "an event is worked on before the sweep is through");
    for queue in [&deployed.event[1], &deployed.sweep[1]] {
        assert_eq!(deployed.messages(queue).await, 0, "nothing is in a dead-letter queue");
    }
    println!(
        "{events} events over {KEYS} keys: answered in {:.1} s, worked off after {:.1} s, {count} runs",
        took.as_secs_f64(),
        all.as_secs_f64()
    );
}
