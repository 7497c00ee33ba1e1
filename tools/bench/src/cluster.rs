//! Measures how the throughput grows with the number of processes that share one PostgreSQL schema.
//! The first figure is the number of deliveries that the processes store in a second. The second
//! figure is the time that the processes need to complete the keys that became due during a pause.

use std::process::Child;
use std::time::Duration;

use anyhow::Context as _;
use beadle_sim::{Limits, Settings, Sim};
use futures::StreamExt as _;
use serde_json::json;

use crate::clock::now;
use crate::folder::Folder;
use crate::load::{self, Load};

/// The numbers of processes that the benchmark compares.
const COUNTS: [usize; 3] = [1, 2, 4];
const CONNECTIONS: usize = 64;
const TIME: Duration = Duration::from_secs(8);
const REPOSITORIES: usize = 2000;
/// How long the simulated GitHub needs for each call.
const LATENCY: Duration = Duration::from_millis(100);
/// The maximum time that a measurement waits.
const PATIENCE: Duration = Duration::from_secs(600);
const SECRET: &str = "a secret of the benchmark";
const POLICY: &str = "repository: { has_wiki: false }\n";

/// A process of `beadle serve` in its own folder. The process is killed when this value is dropped.
struct Process {
    folder: Folder,
    child: Child,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill(); // this fails if the process has ended
        let _ = self.child.wait();
    }
}

/// The processes on one schema.
struct Fleet {
    client: reqwest::Client,
    store: String,
    processes: Vec<Process>,
}

impl Fleet {
    async fn start(sim: &Sim, store: String, count: usize) -> anyhow::Result<Self> {
        let client = reqwest::Client::new();
        let mut processes = Vec::new();
        for _ in 0..count {
            // The minute is short, so that GitHub's limits do not affect the result.
            let folder = Folder::new(sim, POLICY, SECRET, "1s")?;
            let child = folder.beadle(&["serve"]).env("BEADLE_STORE", &store).spawn()?;
            folder.until_ready(&client).await;
            processes.push(Process { folder, child });
        }
        let fleet = Self { client, store, processes };
        tokio::time::sleep(Duration::from_secs(5)).await; // the first sweep begins within this time
        fleet.until_idle().await?;
        Ok(fleet)
    }

    fn port(&self, n: usize) -> anyhow::Result<u16> {
        let process = self.processes.get(n % self.processes.len()).context("no process")?;
        Ok(process.folder.ports[0])
    }

    /// Runs a command that uses the store of the processes.
    fn run(&self, args: &[&str]) -> anyhow::Result<()> {
        let process = self.processes.first().context("no process")?;
        let status = process.folder.beadle(args).env("BEADLE_STORE", &self.store).status()?;
        anyhow::ensure!(status.success(), "{args:?} failed");
        Ok(())
    }

    /// Waits until no key is due or running. The metrics of each process show the keys of all
    /// processes.
    async fn until_idle(&self) -> anyhow::Result<()> {
        let process = self.processes.first().context("no process")?;
        let url = format!("http://127.0.0.1:{}/metrics", process.folder.ports[1]);
        let started = now();
        loop {
            let metrics = self.client.get(&url).send().await?.text().await?;
            let is_of_keys =
                |line: &&str| line.starts_with("beadle_keys_due") || line.starts_with("beadle_keys_leased");
            let mut keys = metrics.lines().filter(is_of_keys).peekable();
            if keys.peek().is_some() && keys.all(|line| line.ends_with(" 0")) {
                return Ok(());
            }
            anyhow::ensure!(started.elapsed() < PATIENCE, "keys are still due");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Returns how many deliveries all processes together store in a second.
    async fn intake(&self, body: &str) -> anyhow::Result<f64> {
        let tag = beadle_hooks::github::sign(SECRET, body.as_bytes());
        let (count, tag) = (self.processes.len(), tag.as_str());
        let loads = (0..count).map(|n| async move {
            let (port, ids) = (self.port(n)?, format!("intake-{n}"));
            let load = Load { port, body, tag, ids: &ids, connections: CONNECTIONS / count, time: TIME };
            load::run(&load).await
        });
        let measured = futures::future::try_join_all(loads).await?;
        Ok(measured.iter().map(|measured| measured.rate).sum())
    }

    /// Returns how many seconds the processes need to complete one key for each of these bodies.
    async fn drain(&self, bodies: &[String]) -> anyhow::Result<f64> {
        let sent = futures::stream::iter(bodies.iter().enumerate()).map(|(n, body)| async move {
            let url = format!("http://127.0.0.1:{}/hooks/github", self.port(n)?);
            let asked = self.client.post(url).header("content-type", "application/json");
            let asked = asked.header("x-github-event", "repository");
            let asked = asked.header("x-github-delivery", format!("drain-{n}"));
            let tag = beadle_hooks::github::sign(SECRET, body.as_bytes());
            let answer = asked.header("x-hub-signature-256", tag).body(body.clone()).send().await?;
            anyhow::ensure!(answer.status().is_success(), "a delivery was answered {}", answer.status());
            Ok(())
        });
        let sent: Vec<anyhow::Result<()>> = sent.buffer_unordered(CONNECTIONS).collect().await;
        sent.into_iter().collect::<anyhow::Result<()>>()?;
        self.run(&["resume", "--org", "acme"])?;
        let started = now();
        self.until_idle().await?;
        Ok(started.elapsed().as_secs_f64())
    }
}

/// Runs the benchmark. `url` is the address of an empty database.
pub(crate) async fn run(url: &str) -> anyhow::Result<()> {
    let mut repositories = json!({});
    for n in 0..REPOSITORIES {
        repositories[format!("r{n:04}")] = json!({ "has_wiki": false, "branches": { "main": {} } });
    }
    let most = 1_000_000_000;
    let limits = Limits {
        minute: Duration::from_secs(1),
        core: most,
        graphql: most,
        rest_points: most,
        graphql_points: most,
        ..Limits::default()
    };
    let apps = json!({ "beadle-app": { "id": beadle_sim::APP_ID } });
    let state = json!({ "orgs": { "acme": { "repos": repositories } }, "apps": apps });
    let settings = Settings { state: Some(state), limits, latency: LATENCY, ..Settings::default() };
    let sim = Sim::start(([127, 0, 0, 1], 0).into(), settings).await?;
    let state = sim.state();
    let repositories = state["orgs"]["acme"]["repos"].as_object().context("no repositories")?;
    let mut bodies = Vec::new();
    for repository in repositories.values() {
        let id = repository["id"].as_u64().context("a repository has no id")?;
        let repository =
            json!({ "id": id, "node_id": format!("R_kgDO{id:08}"), "owner": { "login": "acme" } });
        let body =
            json!({ "action": "edited", "organization": { "login": "acme" }, "repository": repository });
        bodies.push(body.to_string());
    }
    let first = bodies.first().context("no repositories")?.clone();
    println!("{:>9} {:>14} {:>12}", "processes", "deliveries/s", "keys/s");
    let run = rand::random::<u32>();
    for count in COUNTS {
        let separator = if url.contains('?') { '&' } else { '?' };
        let store = format!("{url}{separator}schema=bench_{run:08x}_{count}");
        let fleet = Fleet::start(&sim, store, count).await?;
        // The workers do nothing during the measurement of the intake.
        fleet.run(&["pause", "--org", "acme", "--for", "1h"])?;
        let rate = fleet.intake(&first).await?;
        let took = fleet.drain(&bodies).await?;
        let keys = u32::try_from(bodies.len()).map(f64::from)? / took;
        println!("{count:>9} {rate:>14.0} {keys:>12.0}");
    }
    Ok(())
}
