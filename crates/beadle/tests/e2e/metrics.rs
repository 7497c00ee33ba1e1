//! `/metrics` shows the condition of an organisation: unknown parts, a rejected policy, the mode,
//! the pauses and the sweeps. Prometheus reads these metrics.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::repair::{POLICY, declared};
use crate::world::{World, acme};

/// Returns the metrics after the service has read the condition again.
async fn scraped(world: &World) -> String {
    world.beadle(&["tasks", "run", "metrics"]).await.expect(0);
    let url = format!("http://127.0.0.1:{}/metrics", world.ports[1]);
    world.http.get(url).send().await.unwrap().text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_part_a_rejected_policy_and_a_pause_are_metrics_until_they_end() {
    let world = World::new(acme(json!({ "a": declared(), "b": declared(), "c": declared() }))).await;
    let with_ghosts = POLICY.replace("teams:\n", "teams:\n  - { name: ghosts, permission: pull }\n");
    world.policy("settings.yml", &with_ghosts);
    let serving = world.serve().await;
    world.until_swept(&serving).await;
    world.until_idle().await;
    let metrics = scraped(&world).await;
    let version = format!("beadle_build_info{{version=\"{}\"}} 1\n", env!("CARGO_PKG_VERSION"));
    for line in [
        version.as_str(),
        "beadle_keys_unknown{name=\"acme\",aspect=\"teams\"} 3\n",
        "beadle_mode{name=\"acme\",mode=\"enforce\"} 1\n",
        "beadle_mode{name=\"acme\",mode=\"observe\"} 0\n",
        "beadle_policy_rejected{name=\"acme\"} 0\n",
        "beadle_paused{name=\"acme\"} 0\n",
        "beadle_last_sweep_timestamp_seconds{name=\"acme\"} ",
        "beadle_next_sweep_timestamp_seconds{name=\"acme\"} ",
        "beadle_generation_timestamp_seconds{name=\"acme\"} ",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    world.policy("settings.yml", "repository:\n  has_wikki: true\n");
    world.beadle(&["tasks", "run", "policy of acme"]).await.expect(1);
    world.beadle(&["pause", "--org", "acme", "--for", "1h"]).await.expect(0);
    let metrics = scraped(&world).await;
    for line in ["beadle_policy_rejected{name=\"acme\"} 1\n", "beadle_paused{name=\"acme\"} 1\n"] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    world.policy("settings.yml", &with_ghosts);
    world.beadle(&["tasks", "run", "policy of acme"]).await.expect(0);
    let metrics = scraped(&world).await;
    assert!(metrics.contains("beadle_policy_rejected{name=\"acme\"} 0\n"), "{metrics}");
}

/// A running Prometheus that scrapes the service of a world. When the value is dropped, Prometheus
/// is killed.
struct Prometheus {
    child: Child,
    url: String,
    log: PathBuf,
}

impl Prometheus {
    fn start(program: &str, world: &World) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let (port, log) = (beadle_emulate::free_port(), world.path().join("prometheus.log"));
        let service = format!("127.0.0.1:{}", world.ports[1]);
        // JSON is valid YAML.
        let config = json!({
            "global": { "scrape_interval": "1s", "evaluation_interval": "1s" },
            "rule_files": [root.join("deploy/prometheus/rules.yml")],
            "scrape_configs": [{ "job_name": "beadle", "static_configs": [{ "targets": [service] }] }],
        });
        let place = world.path().join("prometheus.yml");
        std::fs::write(&place, config.to_string()).unwrap();
        let child = Command::new(program)
            .arg(format!("--config.file={}", place.display()))
            .arg(format!("--storage.tsdb.path={}", world.path().join("prometheus").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Self { child, url: format!("http://127.0.0.1:{port}/api/v1"), log }
    }

    /// Waits until the answer to a request meets a condition, and returns the answer.
    async fn until(&self, world: &World, path: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let mut last = None;
        for _ in 0..600 {
            let url = format!("{}/{path}", self.url);
            if let Ok(answer) = world.http.get(url).send().await {
                let answer: Value = answer.text().await.unwrap().parse().unwrap_or_default();
                if holds(&answer) {
                    return answer;
                }
                last = Some(answer);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        panic!("{path}: {last:#?}\n{log}");
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the path of a query, with every byte encoded.
fn query(text: &str) -> String {
    text.bytes().fold("query?query=".to_owned(), |path, byte| format!("{path}%{byte:02X}"))
}

/// Returns the alerting rules in an answer.
fn rules(answer: &Value) -> Vec<&Value> {
    let groups = answer["data"]["groups"].as_array();
    groups.into_iter().flatten().filter_map(|group| group["rules"].as_array()).flatten().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_reads_the_metrics_and_runs_each_rule_and_each_query() {
    let Ok(program) = std::env::var("BEADLE_PROMETHEUS") else {
        eprintln!("left out: BEADLE_PROMETHEUS is not set");
        return;
    };
    let world = World::new(acme(json!({ "a": declared() }))).await;
    world.policy("settings.yml", POLICY);
    let serving = world.serve().await;
    world.until_swept(&serving).await;
    scraped(&world).await;
    let prometheus = Prometheus::start(&program, &world);
    let has_series =
        |answer: &Value| answer["data"]["result"].as_array().is_some_and(|found| !found.is_empty());
    for name in ["up{job=\"beadle\"} == 1", "beadle_build_info", "beadle_last_sweep_timestamp_seconds"] {
        prometheus.until(&world, &query(name), has_series).await;
    }
    let dashboard: Value =
        serde_json::from_str(include_str!("../../../../deploy/grafana/beadle.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    for target in panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten() {
        let path = query(target["expr"].as_str().unwrap());
        prometheus.until(&world, &path, |answer| answer["status"] == "success").await;
    }
    let are_fine = |answer: &Value| {
        let rules = rules(answer);
        !rules.is_empty() && rules.iter().all(|rule| rule["health"] == "ok" && rule["state"] == "inactive")
    };
    prometheus.until(&world, "rules", are_fine).await;
    world.policy("settings.yml", "repository:\n  has_wikki: true\n");
    world.beadle(&["tasks", "run", "policy of acme"]).await.expect(1);
    scraped(&world).await;
    let is_raised = |answer: &Value| {
        rules(answer).iter().any(|rule| rule["name"] == "BeadlePolicyRejected" && rule["state"] == "pending")
    };
    prometheus.until(&world, "rules", is_raised).await;
}
