//! Tests three processes that share the work. The test replaces one process after the other.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use beadle_emulate::Cluster;
use parking_lot::Mutex;
use reqwest::header::{COOKIE, HOST, LOCATION, SET_COOKIE};
use serde_json::{Value, json};

use super::{CHOSEN, Peer, body_of, deliver, logged, start_all, stored, until_idle, until_logged};
use crate::notify::Receiver;
use crate::repair::{POLICY, declared, is_declared};
use crate::sign_in::{change, lines, url as pages};
use crate::world::{World, acme, client_without_redirects};

const REPOSITORIES: usize = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn three_processes_share_the_work_and_a_rolling_restart_loses_nothing() {
    let cluster = Cluster::start().await;
    let url = cluster.url();
    let mut repositories = json!({});
    for n in 0..REPOSITORIES {
        repositories[format!("r{n:02}")] = declared();
    }
    // The guard holds the removal of this team.
    repositories["held"] = declared();
    repositories["held"]["teams"]["contractors"] = json!("admin");
    let mut world = World::unlimited(acme(repositories)).await;
    let receiver = Receiver::start(&mut world).await;
    world.lines = format!("[worker]\nlease = \"2s\"\n{}", world.lines);
    world.org_lines += "[org.guard]\nremoves = 0\nrepeats = 0\n";
    world.policy("settings.yml", POLICY);
    world.checked = false; // other tests make the same calls
    let mut peers = start_all(&world, &[url.as_str(); 3]).await;
    // Each task runs in only one process.
    until_logged(&world, "sweep ended", 1).await;
    receiver.until("a message", |receiver| !receiver.messages().is_empty()).await;
    assert_eq!(logged(&world, CHOSEN), 1);

    // Each process accepts deliveries, and each delivery counts once.
    for n in 0..REPOSITORIES {
        let name = format!("r{n:02}");
        world.patch(json!({ name.as_str(): { "has_wiki": true } }), false).await;
        let body = body_of(&world, &name);
        for peer in [&peers[n % 3], &peers[(n + 1) % 3]] {
            let status = peer.deliver(&world, &format!("first-{n}"), &body).await;
            assert!(matches!(status, Some(200 | 202)), "{status:?}");
        }
    }
    for n in 0..REPOSITORIES {
        world.until(&format!("r{n:02}"), "repair", is_declared).await;
    }
    until_idle(&world, &url).await;
    let ids = stored(&world, &url).await;
    for n in 0..REPOSITORIES {
        let id = format!("first-{n}");
        assert_eq!(ids.iter().filter(|known| **known == id).count(), 1, "{ids:?}");
    }

    // New processes replace the old processes while deliveries arrive.
    let world = Arc::new(world);
    let live = Arc::new(Mutex::new(peers.iter().map(|peer| peer.ports[0]).collect::<Vec<u16>>()));
    let sender = tokio::spawn(send(world.clone(), live.clone()));
    for n in 0..3 {
        let mut new = Peer::new(&world, &format!("new{n}"), &url);
        new.start(&world).await;
        live.lock().push(new.ports[0]);
        // A load balancer sends nothing to a process that will stop.
        live.lock().remove(0);
        tokio::time::sleep(Duration::from_millis(500)).await;
        let mut old = peers.remove(0);
        old.stop().await;
        peers.push(new);
    }
    live.lock().clear();
    let sent = sender.await.unwrap();
    assert!(sent.len() > 10, "too few to say anything: {sent:?}");
    for n in 0..REPOSITORIES {
        world.until(&format!("r{n:02}"), "repair", is_declared).await;
    }
    until_idle(&world, &url).await;
    let ids: BTreeSet<String> = stored(&world, &url).await.into_iter().collect();
    assert!(sent.is_subset(&ids), "lost: {:?}", sent.difference(&ids));
    // When a process stops, another process takes over the tasks. The new process knows which
    // messages other processes have already sent.
    until_logged(&world, CHOSEN, 2).await;
    let kinds: Vec<Value> =
        receiver.messages().iter().map(|(_, topics)| topics[0]["state"].clone()).collect();
    let ids: BTreeSet<String> = receiver.messages().into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids.len(), 1, "{kinds:?}");
    assert_eq!(kinds[0], json!("opened"));
    for mut peer in peers {
        peer.stop().await;
    }
}

/// Changes repositories, and sends deliveries about the drift. Each running process gets a delivery
/// in turn. Ends when no process runs any more. A process must accept each delivery. Returns the
/// ids of the deliveries.
async fn send(world: Arc<World>, live: Arc<Mutex<Vec<u16>>>) -> BTreeSet<String> {
    let mut sent = BTreeSet::new();
    for round in 0.. {
        let name = format!("r{:02}", round % REPOSITORIES);
        world.patch(json!({ name.as_str(): { "has_wiki": true } }), false).await;
        let id = format!("rolling-{round}");
        let body = body_of(&world, &name);
        let port = {
            let live = live.lock();
            if live.is_empty() {
                break;
            }
            live[round % live.len()]
        };
        let status = deliver(&world, port, &id, &body).await;
        assert!(matches!(status, Some(200 | 202)), "{id}: {status:?}");
        sent.insert(id);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // It is possible that the last drift has no delivery.
    let name = format!("r{:02}", sent.len() % REPOSITORIES);
    world.patch(json!({ name.as_str(): { "has_wiki": false } }), false).await;
    sent
}

/// Returns the name and the value of a cookie that an answer sets.
fn cookie(answer: &reqwest::Response, name: &str) -> String {
    let mut lines = answer.headers().get_all(SET_COOKIE).into_iter().map(|line| line.to_str().unwrap());
    let line = lines.find(|line| line.starts_with(&format!("{name}="))).unwrap();
    line.split(';').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_begins_at_one_process_ends_at_another_and_the_session_is_valid_at_all() {
    let cluster = Cluster::start().await;
    let url = cluster.url();
    let mut state = acme(json!({ "widgets": declared() }));
    state["orgs"]["acme"]["teams"]["security"]["members"] = json!({ "ann": "member" });
    let mut world = World::unlimited(state).await;
    let provider = "[server.sign_in.github]\norg = \"acme\"\nclient_id = \"Iv1.1\"";
    world.lines = lines(&world, "approvers = [\"security\"]", provider);
    world.policy("settings.yml", POLICY);
    let peers = start_all(&world, &[url.as_str(); 3]).await;
    let oauth = json!({
        "client_id": "Iv1.1", "client_secret": crate::sign_in::SECRET, "user": "ann",
        "callbacks": [format!("{}/sign-in/return", pages(&world))],
    });
    change(&world, &json!({ "oauth": oauth })).await;
    let http = client_without_redirects();
    // The test acts as a load balancer: the name of the pages stays the same, and the test chooses
    // a process.
    let origin = pages(&world);
    let host = origin.strip_prefix("http://").unwrap();
    let get = async |at: usize, path: &str, cookies: &str| {
        let address = format!("http://127.0.0.1:{}{path}", peers[at].ports[1]);
        http.get(address).header(HOST, host).header(COOKIE, cookies).send().await.unwrap()
    };
    let place = |answer: &reqwest::Response| answer.headers()[LOCATION].to_str().unwrap().to_owned();
    let begun = get(0, "/sign-in", "").await;
    assert_eq!(begun.status().as_u16(), 303);
    let attempt = cookie(&begun, "beadle-sign-in");
    let consent = http.get(place(&begun)).send().await.unwrap();
    let back = place(&consent);
    let back = back.strip_prefix(&origin).unwrap();
    let ended = get(1, back, &attempt).await;
    assert_eq!(ended.status().as_u16(), 303, "{}", ended.text().await.unwrap());
    let session = cookie(&ended, "beadle-session");
    // The state of a sign-in is valid only once, even if several processes receive it.
    for at in 0..3 {
        assert_eq!(get(at, back, &attempt).await.status().as_u16(), 400);
        assert_eq!(get(at, "/api/v1/holds", "").await.status().as_u16(), 401);
        assert_eq!(get(at, "/api/v1/holds", &session).await.status().as_u16(), 200);
    }
    // If one process creates the token of a form, the token is also valid at another process.
    let token: Value = get(2, "/api/v1/session", &session).await.text().await.unwrap().parse().unwrap();
    let form = format!("token={}", token["token"].as_str().unwrap());
    let out = http.post(format!("http://127.0.0.1:{}/sign-out", peers[0].ports[1]));
    let out = out.header(HOST, host).header(COOKIE, &session).header("origin", origin.as_str()).body(form);
    assert_eq!(out.send().await.unwrap().status().as_u16(), 303);
    for at in 0..3 {
        assert_eq!(get(at, "/api/v1/holds", &session).await.status().as_u16(), 401);
    }
}
