//! Measures how many calls Beadle sends to a target: for one event of a directory, and for one
//! sweep that finds no change. For comparison, the table also has numbers for other connectors.
//! These numbers are calculated, not measured.

use std::time::Duration;

use beadle_sim::okta::{self, Hook, OktaSim};
use beadle_sim::scim::{self, ScimSim};
use serde_json::{Map, Value, json};

use crate::clock::now;
use crate::folder::Folder;

const PEOPLE: usize = 10_000;
const GROUPS: usize = 500;
const MEMBERS: usize = 100;
const PAGE: usize = 100;
const PATIENCE: Duration = Duration::from_secs(300);

fn person(n: usize) -> String {
    format!("00u{n:05}")
}

fn account(n: usize) -> String {
    format!("a{n:05}")
}

/// Returns the numbers that identify the people in a group.
fn of(group: usize, members: usize) -> impl Iterator<Item = usize> {
    (0..members).map(move |n| (group * 17 + n) % (PEOPLE - 1000))
}

fn set(ids: impl Iterator<Item = String>) -> Value {
    ids.map(|id| (id, json!(true))).collect::<Map<_, _>>().into()
}

/// Returns the size of a group. Three groups have special sizes. Each other group has 100 members.
fn size(group: usize) -> usize {
    match group {
        0 => 10,
        1 => 450,
        2 => 0,
        _ => MEMBERS,
    }
}

fn states() -> (Value, Value) {
    let (mut users, mut accounts) = (json!({}), json!({}));
    for n in 0..PEOPLE {
        let login = format!("p{n}@acme.example");
        users[person(n)] = json!({ "profile": { "login": login } });
        accounts[account(n)] = json!({
            "userName": login, "externalId": person(n), "displayName": login,
            "name": { "givenName": "P", "familyName": "Example" },
        });
    }
    let (mut groups, mut targets) = (json!({}), json!({}));
    for group in 0..GROUPS {
        let members = || of(group, size(group));
        groups[format!("00g{group:04}")] =
            json!({ "profile": { "name": format!("AWS_G{group}") }, "members": set(members().map(person)) });
        targets[format!("t{group:04}")] = json!({
            "displayName": format!("G{group}"), "externalId": format!("beadle:corp/00g{group:04}"),
            "members": set(members().map(account)),
        });
    }
    (json!({ "users": users, "groups": groups }), json!({ "users": accounts, "groups": targets }))
}

fn reads(aws: &ScimSim) -> usize {
    aws.calls().iter().filter(|call| call["method"] == "GET").count()
}

fn writes(aws: &ScimSim) -> usize {
    aws.calls().iter().filter(|call| call["method"] != "GET").count()
}

/// Waits until the condition is true and the target has had no call for a while.
async fn settled(aws: &ScimSim, holds: impl Fn(&Value) -> bool) -> anyhow::Result<()> {
    let started = now();
    let mut calls = usize::MAX;
    while started.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let asked = aws.calls().len();
        if asked == calls && holds(&aws.state()) {
            return Ok(());
        }
        calls = asked;
    }
    anyhow::bail!("the target did not come to rest")
}

pub(crate) async fn run() -> anyhow::Result<()> {
    let any = ([127, 0, 0, 1], 0).into();
    let (directory, target) = states();
    let settings = okta::Settings { state: Some(directory), limit: 1_000_000, ..okta::Settings::default() };
    let okta = OktaSim::start(any, settings).await?;
    let aws =
        ScimSim::start(any, scim::Settings { state: Some(target), ..scim::Settings::default() }).await?;
    let secret = format!("{:032x}", rand::random::<u128>());
    let folder = Folder::of_directory(&okta, &aws, &secret)?;
    let mut service = folder.beadle(&["serve"]).spawn()?;
    let measured = measure(&okta, &aws, &folder, &secret).await;
    service.kill()?;
    service.wait()?;
    measured
}

async fn measure(okta: &OktaSim, aws: &ScimSim, folder: &Folder, secret: &str) -> anyhow::Result<()> {
    let client = reqwest::Client::new();
    folder.until_ready(&client).await;
    settled(aws, |_| true).await?;
    println!(
        "{PEOPLE} people, {GROUPS} groups; the first sweep: {} reads, {} writes",
        reads(aws),
        writes(aws)
    );
    println!();
    println!("| what | calls to the target | of them writes | the old connector | one call a pair |");
    println!("|---|---|---|---|---|");
    let url = format!("http://127.0.0.1:{}/hooks/okta", folder.ports[0]);
    let headers = [("authorization".to_owned(), secret.to_owned())].into();
    let hook = Hook { url, headers, together: 1000, ..Hook::default() };
    okta.send_events_to(Some(hook));
    // The old connector lists all groups and all users before it writes.
    let listings = GROUPS.div_ceil(PAGE) + PEOPLE.div_ceil(PAGE);
    for (group, new) in [(0, PEOPLE - 1), (3, PEOPLE - 2), (1, PEOPLE - 3)] {
        aws.forget_calls();
        okta.patch(&json!({ "groups": { format!("00g{group:04}"): { "members": set([new].into_iter().map(person)) } } }));
        let id = format!("t{group:04}");
        settled(aws, |state| state["groups"][&id]["members"].get(account(new)).is_some()).await?;
        println!(
            "| one joins a group of {} | {} | {} | {} | {} |",
            size(group),
            aws.calls().len(),
            writes(aws),
            listings + 1,
            size(group) + 2
        );
    }
    aws.forget_calls();
    let joined: Vec<usize> = (PEOPLE - 600..PEOPLE - 500).collect();
    okta.patch(&json!({ "groups": { "00g0002": { "members": set(joined.iter().copied().map(person)) } } }));
    settled(aws, |state| {
        joined.iter().all(|n| state["groups"]["t0002"]["members"].get(account(*n)).is_some())
    })
    .await?;
    println!(
        "| 100 join one group, in one delivery | {} | {} | {} | {} |",
        aws.calls().len(),
        writes(aws),
        100 * (listings + 1),
        200
    );
    aws.forget_calls();
    folder.beadle(&["queue", "--retry", "sweep:corp:groups"]).status()?;
    settled(aws, |_| true).await?;
    let state = aws.state();
    let sizes = state["groups"].as_object().into_iter().flatten();
    let sizes: Vec<usize> =
        sizes.map(|(_, group)| group["members"].as_object().map_or(0, Map::len)).collect();
    let memberships: usize = sizes.iter().sum();
    let pages: usize =
        sizes.iter().map(|size| size.div_ceil(PAGE).max(1)).sum::<usize>() + GROUPS.div_ceil(PAGE);
    println!(
        "| an unchanged sweep of {memberships} memberships, on {pages} pages | {} | {} | it has none | {} |",
        aws.calls().len(),
        writes(aws),
        memberships + GROUPS
    );
    load(okta, aws, folder, secret).await
}

/// Sends 200 deliveries a second for a minute. In each delivery, a person joins or leaves a group.
async fn load(okta: &OktaSim, aws: &ScimSim, folder: &Folder, secret: &str) -> anyhow::Result<()> {
    const EVERY: Duration = Duration::from_millis(50);
    let url = format!("http://127.0.0.1:{}/hooks/okta", folder.ports[0]);
    let headers = [("authorization".to_owned(), secret.to_owned())].into();
    okta.send_events_to(Some(Hook { url, headers, ..Hook::default() }));
    let before = okta.deliveries().len();
    let mut every = tokio::time::interval(EVERY);
    for tick in 0..1200 {
        every.tick().await;
        let mut patch = json!({});
        for n in 0..10 {
            // Each tick changes the next ten groups. In one round, a person joins. In the next
            // round, this person leaves.
            let group = 10 + (tick % 40) * 10 + n;
            let is_in = if (tick / 40) % 2 == 0 { json!(true) } else { Value::Null };
            patch[format!("00g{group:04}")] = json!({ "members": { person(PEOPLE - 1 - tick % 40): is_in } });
        }
        okta.patch(&json!({ "groups": patch }));
    }
    settled(aws, |_| true).await?;
    let rows = okta.deliveries().split_off(before);
    let answered: Vec<&Value> = rows.iter().filter(|row| row["status"] == 202).collect();
    let mut times: Vec<f64> = answered.iter().filter_map(|row| row["ms"].as_f64()).collect();
    times.sort_by(f64::total_cmp);
    let (directory, target) = (okta.state(), aws.state());
    let equal = (0..GROUPS).all(|group| {
        let count = |state: &Value, id: &str| state["groups"][id]["members"].as_object().map_or(0, Map::len);
        count(&directory, &format!("00g{group:04}")) == count(&target, &format!("t{group:04}"))
    });
    anyhow::ensure!(equal, "some groups differ from the directory");
    println!();
    println!(
        "{} deliveries in a minute: {} answered 202, the slowest after {:.0} ms, the median after {:.1} ms; all groups are equal in \
         the end",
        rows.len(),
        answered.len(),
        times.last().copied().unwrap_or(0.0),
        times.get(times.len() / 2).copied().unwrap_or(0.0)
    );
    Ok(())
}
