//! Measures how many deliveries of 9 KB the intake stores in a second, and the 99th percentile of
//! the answer times, with 64 connections. The result is compared with a minimal handler that only
//! checks the HMAC, in the same run.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use beadle_sim::{Settings, Sim};
use serde_json::json;

use crate::folder::{Folder, free_ports};
use crate::load::{self, Load, Measured};

const CONNECTIONS: usize = 64;
const TIME: Duration = Duration::from_secs(8);
const ROUNDS: usize = 3;

/// Returns a payload with the size and the form of a real payload of GitHub.
fn body() -> String {
    let mut payload = json!({ "action": "edited", "organization": { "login": "acme" },
        "repository": { "id": 1, "node_id": "R_kgDO00000001", "owner": { "login": "acme" } } });
    let mut n = 0;
    while payload.to_string().len() < 9 * 1024 {
        payload["repository"][format!("field_{n}_url")] =
            json!(format!("https://api.github.com/repos/acme/r{n}/part"));
        n += 1;
    }
    payload.to_string()
}

/// A child process, which is killed when this value is dropped.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill(); // it may have ended
        let _ = self.0.wait();
    }
}

pub(crate) async fn run() -> anyhow::Result<()> {
    let secret = "a secret of the benchmark";
    let state = json!({ "orgs": { "acme": { "repos": {} } } });
    let sim = Sim::start(([127, 0, 0, 1], 0).into(), Settings { state: Some(state), ..Settings::default() })
        .await?;
    let folder = Folder::new(&sim, "repository: { has_wiki: false }\n", secret, "60s")?;
    let body = body();
    let tag = beadle_hooks::github::sign(secret, body.as_bytes());

    let port = free_ports()?[0];
    let mut bare = Command::new(std::env::current_exe()?)
        .args(["bare", &port.to_string()])
        .stdin(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = bare.stdin.take() {
        stdin.write_all(secret.as_bytes())?;
    }
    let _bare = Running(bare);
    let _served = Running(folder.beadle(&["serve"]).spawn()?);
    tokio::time::sleep(Duration::from_secs(2)).await;
    // The benchmark measures only the intake. While the organisation is paused, the worker does
    // nothing. The service creates the store, so that the pause comes after its start.
    let paused = folder.beadle(&["pause", "--org", "acme", "--for", "1h"]).status()?;
    anyhow::ensure!(paused.success(), "the pause failed");

    println!(
        "{} bytes a delivery, {CONNECTIONS} connections, {} s a round, sender and server on the same cores\n",
        body.len(),
        TIME.as_secs()
    );
    println!("{:10} {:>16} {:>10} {:>10}", "", "deliveries/s", "p50 ms", "p99 ms");
    let mut ratios = Vec::new();
    for round in 0..ROUNDS {
        let ids = format!("round{round}");
        let load =
            |port| Load { port, body: &body, tag: &tag, ids: &ids, connections: CONNECTIONS, time: TIME };
        let only_checks = load::run(&load(port)).await?;
        show("bare", &only_checks);
        let durable = load::run(&load(folder.ports[0])).await?;
        show("durable", &durable);
        ratios.push(durable.rate / only_checks.rate);
    }
    let text: Vec<String> = ratios.iter().map(|ratio| format!("{ratio:.2}")).collect();
    println!("\ndurable to bare: {}", text.join(", "));
    Ok(())
}

fn show(name: &str, measured: &Measured) {
    println!(
        "{name:10} {:>16.0} {:>10.2} {:>10.2}",
        measured.rate,
        measured.percentile(50),
        measured.percentile(99)
    );
}
