//! Measures the pages of the operator listener with 10,000 repositories, 1,000 groups and a journal
//! of a million entries, while 32 browsers wait for updates.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use beadle_sim::okta::{self, OktaSim};
use beadle_sim::scim::{self, ScimSim};
use beadle_sim::{Settings, Sim};
use serde_json::json;

use crate::clock::now;
use crate::folder::{Folder, peak, resident};
use crate::intake::Running;
use crate::pages_data::{DELIVERIES, ENTRIES, GROUPS, HOLDS, REPOSITORIES, fill, hold};

/// How many times the benchmark asks for each page.
const TIMES: usize = 20;
/// The number of browsers that wait for updates.
const OPEN: usize = 32;

const PAGES: [&str; 21] = [
    "/",
    "/repositories",
    "/repositories?text=service-09",
    "/repositories?state=parked",
    "/repositories/acme/service-05000",
    "/groups",
    "/group?key=target-group%3Aaws%3Acorp%2F00g00500",
    "/holds",
    "/holds?text=service-00999",
    "/policy",
    "/journal",
    "/journal?kind=operator",
    "/journal?key=repository%3Aacme%3A5000",
    "/journal?text=no-entry-has-this",
    "/deliveries",
    "/deliveries?key=repository%3Aacme%3A5000",
    "/queue",
    "/tasks",
    "/api/v1/overview",
    "/assets/style.css",
    "/assets/live.js",
];

pub(crate) async fn run() -> anyhow::Result<()> {
    let any = ([127, 0, 0, 1], 0).into();
    let state = json!({ "orgs": { "acme": { "repos": {} } } });
    let sim = Sim::start(any, Settings { state: Some(state), ..Settings::default() }).await?;
    let okta = OktaSim::start(any, okta::Settings::default()).await?;
    let aws = ScimSim::start(any, scim::Settings::default()).await?;
    let folder = Folder::of_pages(&sim, &okta, &aws)?;
    let store = folder.path.path().join("beadle.db");
    std::fs::File::create(&store)?;
    let created = folder.beadle(&["pause", "--org", "acme", "--for", "1d"]).status()?;
    ensure!(created.success(), "the store cannot be created");
    fill(&store)?;

    let service = Running(folder.beadle(&["serve"]).spawn()?);
    let (pid, client) = (service.0.id(), reqwest::Client::new());
    folder.until_ready(&client).await;
    tokio::time::sleep(Duration::from_secs(5)).await; // the policy is in force after this time
    hold(&store)?;
    let before = resident(pid)?;
    println!(
        "{REPOSITORIES} repositories, {GROUPS} groups, {ENTRIES} entries of the journal, {HOLDS} holds, {DELIVERIES} deliveries, \
         {OPEN} open pages\n"
    );
    let address = format!("http://127.0.0.1:{}", folder.ports[1]);
    let mut open = Vec::new();
    for _ in 0..OPEN {
        let events = client.get(format!("{address}/live?part=overview")).send().await?;
        ensure!(events.status().is_success(), "an open page gets no events: {}", events.status());
        open.push(events);
    }
    println!("{:52} {:>8} {:>8} {:>8}", "", "p50 ms", "p95 ms", "bytes");
    for page in PAGES {
        measure(&client, &address, page).await?;
    }
    let after = resident(pid)?;
    println!(
        "\nmemory: {before} MiB before the first page, {after} MiB after the last one, at most {} MiB",
        peak(pid)?
    );
    drop(open);
    Ok(())
}

/// Asks for a page again and again. Prints how long the whole answers took, and the size of the
/// first answer.
async fn measure(client: &reqwest::Client, address: &str, page: &str) -> anyhow::Result<()> {
    let (mut times, mut size) = (Vec::new(), None);
    for _ in 0..TIMES {
        let started = now();
        let answer = client.get(format!("{address}{page}")).header("accept", "text/html").send().await?;
        let status = answer.status();
        let body = answer.bytes().await?;
        times.push(started.elapsed().as_secs_f64() * 1000.0);
        ensure!(status.is_success(), "{page}: {status}");
        size.get_or_insert(body.len());
    }
    times.sort_by(f64::total_cmp);
    let percentile = |percent: usize| times.get((TIMES - 1) * percent / 100).copied().unwrap_or(0.0);
    let size = size.context("no answer")?;
    println!("{page:52} {:>8.1} {:>8.1} {size:>8}", percentile(50), percentile(95));
    Ok(())
}
