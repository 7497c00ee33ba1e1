//! Checks the Prometheus rules and the queries of the dashboard. The check uses `promtool`, and a
//! Prometheus that reads the metrics of a running service.

use std::process::Command;

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::debian;
use crate::run::{root, run, step};
use crate::suite;

/// The rules, and their tests.
const RULES: &str = "deploy/prometheus/rules.yml";
const TESTS: &str = "deploy/prometheus/rules.test.yml";
/// The dashboard for Grafana.
const DASHBOARD: &str = "deploy/grafana/beadle.json";

/// Checks the rules, runs their tests, checks the queries of the dashboard, and runs everything
/// against a service. If Prometheus cannot be downloaded, only prints that the check is left out.
pub(crate) fn check() -> anyhow::Result<()> {
    let program = |name| debian::program("prometheus", name);
    let programs = program("promtool").and_then(|promtool| Ok((promtool, program("prometheus")?)));
    let (promtool, server) = match programs {
        Ok(programs) => programs,
        Err(error) => {
            step(&format!("Prometheus is missing, its rules and the dashboard are not checked: {error:#}"));
            return Ok(());
        }
    };
    let queries = root().join("target/dashboard.json");
    std::fs::write(&queries, rules_of(&std::fs::read_to_string(root().join(DASHBOARD))?)?.to_string())?;
    let call = |args: &[&str]| run(Command::new(&promtool).args(args).current_dir(root()));
    call(&["check", "rules", RULES])?;
    call(&["test", "rules", TESTS])?;
    call(&["check", "rules", &queries.display().to_string()])?;
    let server = server.display().to_string();
    suite::one("e2e", "prometheus_reads_the_metrics", &[("BEADLE_PROMETHEUS", &server)])
}

/// Converts the queries of a dashboard to a file of rules, because `promtool` checks only rules.
/// The file is JSON, and JSON is valid YAML.
fn rules_of(dashboard: &str) -> anyhow::Result<Value> {
    let dashboard: Value = serde_json::from_str(dashboard)?;
    let panels = dashboard["panels"].as_array().context("the dashboard has no panels")?;
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let rule =
        |(at, target): (usize, &Value)| json!({ "record": format!("query:{at}"), "expr": target["expr"] });
    let rules: Vec<Value> = targets.enumerate().map(rule).collect();
    Ok(json!({ "groups": [{ "name": "dashboard", "rules": rules }] }))
}
