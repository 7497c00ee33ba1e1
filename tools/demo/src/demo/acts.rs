//! The first half of the demo: people change repositories, and Beadle repairs them.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use beadle_engine::{Clock, Time};
use beadle_sim::Sim;
use serde_json::{Value, json};

use super::narration::{Proof, beadle_quietly, narrate};
use super::organisation::{name, violations_of};
use super::service::Service;

/// The maximum time that the demo waits until Beadle has repaired a repository.
const PATIENCE: Duration = Duration::from_secs(20);

/// Makes several changes one after the other, as people would. After each change, the demo checks
/// that Beadle repairs the repository.
pub(super) async fn one_by_one(sim: &Sim, proof: &mut Proof<'_>) -> anyhow::Result<()> {
    let client = reqwest::Client::new();
    let token = sim.token();
    narrate(
        proof.printer,
        "Somebody creates the repository `service-new`. It is empty and has no branch yet.",
    );
    let created = client
        .post(format!("{}/orgs/acme/repos", sim.url()))
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .body(json!({ "name": "service-new", "visibility": "private" }).to_string())
        .send()
        .await?;
    created.error_for_status().context("cannot create the repository at the simulated GitHub")?;
    repaired(
        sim,
        "service-new",
        "`service-new` has the declared settings, teams and branch protection",
        proof,
    )
    .await;

    narrate(proof.printer, "Somebody removes the required approval from `service-20`.");
    let weaker = json!({ "protection": { "main": { "required_pull_request_reviews": null, "enforce_admins": false } } });
    change(sim, &client, "service-20", weaker).await?;
    repaired(sim, "service-20", "`service-20` requires one approval again", proof).await;

    narrate(proof.printer, "Somebody gives the team `contractors` admin rights on `service-21`.");
    change(sim, &client, "service-21", json!({ "teams": { "contractors": "admin" } })).await?;
    repaired(sim, "service-21", "the team `contractors` has no access to `service-21`", proof).await;

    narrate(proof.printer, "Somebody makes `service-22` public.");
    change(sim, &client, "service-22", json!({ "visibility": "public", "private": false })).await?;
    repaired(sim, "service-22", "`service-22` is private again", proof).await;
    Ok(())
}

/// Makes many changes at the same time. While the service repairs the repositories, the demo kills
/// the service and starts it again.
pub(super) async fn burst(
    sim: &Sim,
    service: &mut Service,
    folder: &Path,
    proof: &mut Proof<'_>,
) -> anyhow::Result<()> {
    let client = reqwest::Client::new();
    let names: Vec<String> = (16..40).map(name).collect();
    let mut repositories = json!({});
    for name in &names {
        repositories[name] = json!({ "teams": { "contractors": "admin" }, "protection": { "main": { "enforce_admins": false } } });
    }
    let before = stored(folder).await?;
    patch(sim, &client, json!({ "orgs": { "acme": { "repos": repositories } } })).await?;
    // GitHub sends three webhooks for each repository: one for the protection, and two for the
    // team.
    let wanted = before + 3 * names.len();
    let clock = Clock::system();
    let patience = clock.now() + PATIENCE;
    let mut have = before;
    while have < wanted && clock.now() < patience {
        have = stored(folder).await?;
    }
    let wrong = |state: &Value| {
        let repositories = &state["orgs"]["acme"]["repos"];
        names.iter().filter(|name| !violations_of(name, &repositories[name.as_str()]).is_empty()).count()
    };
    // The demo kills the service at a moment when Beadle has repaired some repositories, is
    // repairing others, and has not begun to repair the remaining repositories.
    while wrong(&sim.state()) > names.len() * 3 / 4 && clock.now() < patience {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    service.kill().await?;
    let left = wrong(&sim.state());
    narrate(
        proof.printer,
        &format!(
            "Beadle acknowledged {} webhooks. At the kill, {left} of 24 repositories were not repaired yet.",
            have - before
        ),
    );
    proof.show(
        have >= wanted,
        "the inbox on disk has every acknowledged webhook",
        &format!("found {have} of {wanted}"),
    );
    let started = clock.now();
    service.again().await?;
    let patience = clock.now() + PATIENCE;
    while wrong(&sim.state()) > 0 && clock.now() < patience {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let left = wrong(&sim.state());
    let what =
        format!("after a restart, Beadle repaired all 24 repositories, in {}", seconds(started, clock.now()));
    proof.show(left == 0, &what, &format!("{left} are not repaired"));
    Ok(())
}

/// Returns the number of deliveries in the inbox. The demo reads this number with `beadle
/// deliveries`.
async fn stored(folder: &Path) -> anyhow::Result<usize> {
    let listed = beadle_quietly(folder, &["deliveries", "--json", "--limit", "100000"]).await?;
    Ok(listed.lines().filter(|line| line.starts_with('{')).count())
}

async fn change(sim: &Sim, client: &reqwest::Client, name: &str, change: Value) -> anyhow::Result<()> {
    patch(sim, client, json!({ "orgs": { "acme": { "repos": { name: change } } } })).await
}

async fn patch(sim: &Sim, client: &reqwest::Client, patch: Value) -> anyhow::Result<()> {
    let url = format!("{}/_sim/state?webhooks=true", sim.url());
    client.patch(url).body(patch.to_string()).send().await?.error_for_status()?;
    Ok(())
}

async fn repaired(sim: &Sim, name: &str, what: &str, proof: &mut Proof<'_>) {
    let clock = Clock::system();
    let started = clock.now();
    let mut wrong = Vec::new();
    while clock.now() < started + PATIENCE {
        wrong = violations_of(name, &sim.state()["orgs"]["acme"]["repos"][name]);
        if wrong.is_empty() {
            let what = format!("{what}, {} after the event", seconds(started, clock.now()));
            return proof.show(true, &what, "");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    proof.show(false, what, &wrong.join("; "));
}

pub(super) fn seconds(from: Time, to: Time) -> String {
    format!("{:.2} s", to.since(from).as_secs_f64())
}
