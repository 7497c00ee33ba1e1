//! Tests three processes on one database. The test kills processes, makes the server fail over, and
//! cuts the connection of one process. `CLUSTER_KILLS=200` increases the number of kills.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use beadle_emulate::Cluster;
use parking_lot::Mutex;
use rand::RngExt as _;
use serde_json::json;

use super::partition::Detour;
use super::{Peer, body_of, deliver, start_all, stored, until_idle};
use crate::notify::Receiver;
use crate::repair::{POLICY, declared, is_declared};
use crate::world::{World, acme};

/// The number of repositories that drift. The test sends deliveries about each drift.
const DRIFTING: usize = 16;
/// The number of repositories with an undeclared team, and the guard's limit for the removal of
/// these teams.
const GUARDED: usize = 12;
const REMOVES: usize = 5;
/// The duration for which one process has no connection. The duration is longer than every lease.
const PARTITION: Duration = Duration::from_secs(20);
/// The maximum time until a process accepts a delivery.
const PATIENCE: Duration = Duration::from_secs(240);

/// The points where a process ends itself. `n*off` skips the first n passes.
const POINTS: &[&str] =
    &["between-claim-and-write", "before-intent", "between-intent-and-write", "between-write-and-result"];

/// Records two things: each claim of a key that still has a valid lease, and each change of the
/// lease on the tasks. The database writes these records, so they do not depend on Beadle.
const WITNESS: &str = "
CREATE TABLE SCHEMA.witness (
    at   double precision NOT NULL DEFAULT extract(epoch FROM clock_timestamp()) * 1000,
    what text NOT NULL, was text NOT NULL, became text NOT NULL);
CREATE FUNCTION SCHEMA.see_claim() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.epoch > OLD.epoch AND OLD.lease_until > extract(epoch FROM clock_timestamp()) * 1000 THEN
        INSERT INTO SCHEMA.witness (what, was, became) VALUES ('claim', OLD.key || ' ' || OLD.epoch, NEW.epoch);
    END IF;
    RETURN NEW;
END $$;
CREATE FUNCTION SCHEMA.see_lease() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO SCHEMA.witness (what, was, became) VALUES ('lease', OLD.value, NEW.value);
    RETURN NEW;
END $$;
CREATE TRIGGER see_claim AFTER UPDATE ON SCHEMA.work FOR EACH ROW EXECUTE FUNCTION SCHEMA.see_claim();
CREATE TRIGGER see_lease AFTER UPDATE ON SCHEMA.note FOR EACH ROW
    WHEN (NEW.name = 'task-lease:background') EXECUTE FUNCTION SCHEMA.see_lease();
";

/// Counts how often a process took over the lease on the tasks too early. 10 s must pass after the
/// last renewal of the lease by another process.
const EARLY: &str = "
SELECT count(*) FROM (
    SELECT at - lag(at) OVER (ORDER BY at) AS gap,
           was::json ->> 'holder' AS giver, became::json ->> 'holder' AS taker
    FROM SCHEMA.witness WHERE what = 'lease') AS changes
WHERE giver <> taker AND giver <> '' AND taker <> '' AND gap < 10000";

fn kills() -> usize {
    std::env::var("CLUSTER_KILLS").map_or(6, |kills| kills.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn kills_a_failover_and_a_partition_lose_nothing_and_nothing_happens_twice() {
    let mut cluster = Cluster::start().await;
    let url = cluster.url();
    let schema = url.rsplit_once("schema=").unwrap().1.to_owned();
    let mut repositories = json!({});
    for n in 0..DRIFTING {
        repositories[format!("r{n:02}")] = declared();
    }
    for n in 0..GUARDED {
        repositories[format!("g{n:02}")] = declared();
        repositories[format!("g{n:02}")]["teams"]["contractors"] = json!("admin");
    }
    let mut world = World::unlimited(acme(repositories)).await;
    let receiver = Receiver::start(&mut world).await;
    world.lines = format!("[worker]\nlease = \"2s\"\n{}", world.lines);
    world.org_lines += &format!("[org.guard]\nremoves = {REMOVES}\npercent = 100\nrepeats = 0\n");
    world.policy("settings.yml", POLICY);
    world.checked = false; // other tests make the same calls
    let detour = Detour::open(cluster.folder());
    let detoured = detour.url(&url, cluster.folder());
    let mut peers = start_all(&world, &[url.as_str(), url.as_str(), detoured.as_str()]).await;
    cluster.psql(&WITNESS.replace("SCHEMA", &schema));
    let world = Arc::new(world);
    let stop = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(Mutex::new(BTreeSet::new()));
    let ports: Arc<[u16]> = peers.iter().map(|peer| peer.ports[0]).collect();
    let senders: Vec<_> = (0..DRIFTING)
        .map(|n| tokio::spawn(send(n, world.clone(), ports.clone(), stop.clone(), answered.clone())))
        .collect();

    let kills = kills();
    for kill in 0..kills {
        if kill == kills / 3 {
            cluster.crash().await;
        }
        if kill == kills * 2 / 3 {
            detour.cut();
            tokio::time::sleep(PARTITION).await;
            detour.heal();
        }
        let peer = &mut peers[kill % 3];
        if kill % 2 == 0 {
            let run = rand::rng().random_range(100..900);
            tokio::time::sleep(Duration::from_millis(run)).await;
            peer.kill();
        } else {
            end_at_a_point(peer, &world, kill).await;
        }
        peer.start(&world).await;
    }
    stop.store(true, Ordering::Relaxed);
    for sender in senders {
        sender.await.unwrap();
    }
    let answered = answered.lock().clone();
    assert!(answered.len() > 30, "too few to say anything: {}", answered.len());

    for n in 0..DRIFTING {
        world.until(&format!("r{n:02}"), "repair", is_declared).await;
    }
    until_idle(&world, &url).await;
    receiver.until("a message", |receiver| !receiver.messages().is_empty()).await;
    let stored: BTreeSet<String> = stored(&world, &url).await.into_iter().collect();
    let lost: Vec<&String> = answered.difference(&stored).collect();
    assert!(lost.is_empty(), "{} of {} accepted deliveries are lost: {lost:?}", lost.len(), answered.len());
    let count = |query: &str| cluster.psql(&query.replace("SCHEMA", &schema));
    let claims = "SELECT string_agg(was || ' ' || became, ', ') FROM SCHEMA.witness WHERE what = 'claim'";
    assert_eq!(count(claims), "", "claims of keys that another worker still had");
    assert_eq!(count(EARLY), "0", "the lease on the tasks was taken from a process that still had it");
    let is_guarded = |n: &usize| world.repository(&format!("g{n:02}"))["teams"].get("contractors").is_some();
    let left = (0..GUARDED).filter(is_guarded).count();
    assert!(
        left >= GUARDED - REMOVES,
        "the guard allows {REMOVES} removals, and {left} of {GUARDED} are left"
    );
    // If a kill interrupted a message, Beadle sends it again with the same id.
    let opened: BTreeSet<String> = receiver
        .messages()
        .into_iter()
        .filter(|(_, topics)| topics.as_array().unwrap().iter().any(|topic| topic["state"] == "opened"))
        .map(|(id, _)| id)
        .collect();
    assert_eq!(opened.len(), 1, "{:?}", receiver.messages());
    for mut peer in peers {
        peer.stop().await;
    }
    eprintln!("{} deliveries accepted over {kills} kills, {left} of {GUARDED} removals held", answered.len());
}

/// Kills a process, and starts it again. The new process ends itself at a point, or is killed after
/// a while.
async fn end_at_a_point(peer: &mut Peer, world: &World, kill: usize) {
    peer.kill();
    let passes = rand::rng().random_range(3..15);
    peer.spawn(world, &format!(";{}={passes}*off->return", POINTS[kill / 2 % POINTS.len()]));
    for _ in 0..500 {
        let serving = peer.serving.as_mut().unwrap();
        if serving.child.try_wait().unwrap().is_some() {
            peer.serving = None;
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // The process might reach the fail point too late, because the other processes work on most
    // keys. So the test kills the process.
    peer.kill();
}

/// Changes a repository. Sends a delivery about the drift to one process after another, until a
/// process accepts the delivery. So even the last drift of each repository has an accepted
/// delivery.
async fn send(
    n: usize,
    world: Arc<World>,
    ports: Arc<[u16]>,
    stop: Arc<AtomicBool>,
    answered: Arc<Mutex<BTreeSet<String>>>,
) {
    let name = format!("r{n:02}");
    let body = body_of(&world, &name);
    let mut round = 0;
    while !stop.load(Ordering::Relaxed) {
        world.patch(json!({ name.as_str(): { "has_wiki": true } }), false).await;
        let id = format!("{name}-{round}");
        // GitHub does not repeat a failed delivery, but an operator can send it again.
        let begun = Instant::now();
        loop {
            let port = ports[rand::rng().random_range(0..ports.len())];
            let status = deliver(&world, port, &id, &body).await;
            if status.is_some_and(|status| (200..300).contains(&status)) {
                answered.lock().insert(id.clone());
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "{id}: {status:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        round += 1;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}
