//! Measures a policy in a repository, with 100 ms for each call: the check of a pull request, a
//! merge, and one changed file of a large policy.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use beadle_sim::{Limits, Settings, Sim};
use serde_json::{Value, json};

use crate::clock::now;
use crate::generated;
use crate::service::{PATIENCE, Service};

const REPOSITORIES: usize = 1_000;
/// The number of files in the large policy.
const FILES: usize = 2_000;
/// The repositories that the merged file affects.
const AFFECTED: [usize; 3] = [3, 500, 999];
/// The log message that Beadle writes when a generation comes into force.
const IN_FORCE: &str = "policy in force";

pub(crate) async fn run() -> anyhow::Result<()> {
    let settings = BTreeMap::from([("settings.yml".to_owned(), generated::settings(false))]);
    let mut service = start(generated::organisation(REPOSITORIES, &settings)).await?;
    pull_request(&service).await?;
    merge(&service).await?;
    service.stop()?;
    let mut service = start(generated::organisation(1, &generated::policy(FILES))).await?;
    one_file(&service).await?;
    service.stop()
}

async fn start(state: Value) -> anyhow::Result<Service> {
    let limits = Limits { core: 15_000, graphql: 10_000, ..Limits::default() };
    let latency = Duration::from_millis(100);
    Service::of_git(Settings { limits, state: Some(state), latency, ..Settings::default() }).await
}

/// Changes the repository of the policy.
async fn change(service: &Service, admin: &Value) -> anyhow::Result<()> {
    service.change(&json!({ "orgs": { "acme": { "repos": { "admin": admin } } } })).await
}

/// Merges a file into the policy.
async fn merge_file(service: &Service, path: &str, text: &str) -> anyhow::Result<()> {
    let commit = json!({ "author": "ann", "message": "Change the policy" });
    change(service, &json!({ "contents": { path: text }, "commit": commit })).await
}

/// Waits until a condition is true. Returns how many seconds this took.
async fn until(service: &Service, what: &str, holds: impl Fn(&Value) -> bool) -> anyhow::Result<f64> {
    let started = now();
    let is_there = |sim: &Sim| sim.look(|state| holds(&state["orgs"]["acme"]["repos"]));
    while !is_there(&service.sim) {
        anyhow::ensure!(started.elapsed() < PATIENCE, "{what} did not come true:\n{}", service.log()?);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(started.elapsed().as_secs_f64())
}

/// Measures the check of a pull request that affects every repository.
async fn pull_request(service: &Service) -> anyhow::Result<()> {
    service.sim.forget_calls();
    let files = json!({ ".github/settings.yml": generated::settings(true) });
    change(service, &json!({ "pulls": { "7": { "contents": files } } })).await?;
    let is_concluded = |all: &Value| {
        let mut runs = all["admin"]["check_runs"].as_array().into_iter().flatten();
        runs.any(|run| run["status"] == "completed")
    };
    let took = until(service, "a concluded check", is_concluded).await?;
    let has_comment = |all: &Value| {
        let mut issues = all["admin"]["issues"].as_array().into_iter().flatten();
        issues.any(|issue| issue["comments"][0].is_object())
    };
    until(service, "a comment", has_comment).await?;
    let calls = service.sim.call_count();
    let title = service.sim.look(|state| {
        let admin = &state["orgs"]["acme"]["repos"]["admin"];
        admin["check_runs"][0]["output"]["title"].as_str().map(str::to_owned)
    });
    println!(
        "a pull request that affects {REPOSITORIES} repositories, 100 ms a call: check concluded after {took:.1} s, {calls} calls \
         with its comment ({})",
        title.unwrap_or_default()
    );
    Ok(())
}

/// Measures a merge that affects a few repositories.
async fn merge(service: &Service) -> anyhow::Result<()> {
    service.until_quiet().await;
    service.sim.forget_calls();
    let names = AFFECTED.map(generated::name);
    let text = format!("suborgrepos: [{}]\nrepository: {{ has_projects: false }}\n", names.join(", "));
    merge_file(service, ".github/suborgs/three.yml", &text).await?;
    let is_written =
        |all: &Value| names.iter().all(|name| all[name.as_str()]["has_projects"] == json!(false));
    let took = until(service, "the merged policy", is_written).await?;
    let calls = service.sim.call_count();
    let log = service.log()?;
    let line = log.lines().rev().find(|line| line.contains("keys affected by the policy due"));
    let keys = line.context("the log does not have the number of keys")?;
    let keys = keys.split_once("keys=").map(|(_, rest)| rest.chars().take_while(char::is_ascii_digit));
    let keys: String = keys.context("the log does not have the number of keys")?.collect();
    println!(
        "a merge that affects {} of {REPOSITORIES} repositories, 100 ms a call: in force after {took:.1} s, {keys} keys due, {calls} \
         calls",
        AFFECTED.len()
    );
    Ok(())
}

/// Counts the calls that read the policy after one of its many files changed.
async fn one_file(service: &Service) -> anyhow::Result<()> {
    service.until_quiet().await;
    service.sim.forget_calls();
    let before = service.log()?.matches(IN_FORCE).count();
    let started = now();
    let file = format!(".github/repos/{}.yml", generated::name(0));
    merge_file(service, &file, "repository: { description: Changed }\n").await?;
    service.until_logged(IN_FORCE, before + 1).await?;
    let took = started.elapsed().as_secs_f64();
    let calls = service.sim.calls_that(|call| {
        let is_read = call["path"].as_str().is_some_and(|path| path.contains("/repos/acme/admin/"));
        // An answer with the status 304 costs nothing.
        call["status"] == 200 && (is_read || call["operation"] == "repository")
    });
    println!(
        "one changed file of {FILES} in the policy's repository, 100 ms a call: {} calls read it, in force after {took:.1} s",
        calls.len()
    );
    Ok(())
}
