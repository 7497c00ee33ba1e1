//! Tests random interleavings in simulated time. People join and leave, groups are renamed, hooks
//! are lost, repeated, delayed and reordered, the process is killed, and vendors fail. At the end
//! of each interleaving, the target must equal the source. For each removal, the last complete read
//! of the source before it must not contain the removed member.
//!
//! The interleavings run on all cores. `INTERLEAVINGS=10000 cargo test -p beadle-groups --test
//! interleavings` runs more of them, and `INTERLEAVINGS_FROM=42` begins at another seed. The first
//! failure names its seed and ends the test.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../common/mod.rs"]
mod common;
mod happen;
mod removals;
mod seeds;
mod start;
mod wire;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use beadle_engine::{Clock, Key, Lane, Mark, Store, Time};
use beadle_groups::sources::Catchup;
use beadle_sim::okta::OktaSim;
use beadle_sim::scim::ScimSim;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use removals::Removals;
use seeds::Seeds;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

const PEOPLE: usize = 8;
const GROUPS: usize = 3;
/// The number of interleavings in a normal test run. It is small enough that a developer can wait.
/// CI runs 10,000.
const USUAL: u64 = 1_000;
/// With at least this number of interleavings, the test requires that some removals happened. With
/// fewer of them, there may be no removal.
const ENOUGH: u64 = 100;

fn person(n: usize) -> String {
    format!("00u{n}")
}

fn group(n: usize) -> String {
    format!("00g{n}")
}

/// The part of a process that is lost when the process is killed: everything in memory.
struct Process {
    worker: JoinHandle<()>,
    store: Arc<dyn Store>,
    catchup: Catchup,
    bell: Arc<Notify>,
}

struct Stage {
    okta: Arc<OktaSim>,
    aws: Arc<ScimSim>,
    clock: Clock,
    random: StdRng,
    path: PathBuf,
    /// Deliveries that Okta has sent but that have not arrived yet.
    under_way: Vec<Value>,
    names: u32,
}

fn states() -> (Value, Value) {
    let (mut users, mut accounts, mut groups) = (json!({}), json!({}), json!({}));
    for n in 0..PEOPLE {
        let login = format!("p{n}@acme.example");
        users[person(n)] = json!({ "profile": { "login": login } });
        accounts[format!("a{n}")] =
            json!({ "userName": login, "externalId": person(n), "displayName": login });
    }
    for n in 0..GROUPS {
        groups[group(n)] = json!({ "profile": { "name": format!("AWS_{}", group(n)) } });
    }
    (json!({ "users": users, "groups": groups }), json!({ "users": accounts }))
}

/// Runs the interleaving of one seed, with the file `path` as its store.
async fn one(seed: u64, okta: &Arc<OktaSim>, aws: &Arc<ScimSim>, path: &Path) -> Result<Removals, String> {
    let (directory, target) = states();
    okta.begin_with(directory);
    aws.begin_with(target);
    okta.take_held();
    let clock = Clock::simulated(Time::from_seconds(1_800_000_000));
    let random = StdRng::seed_from_u64(seed);
    let mut stage = Stage {
        okta: okta.clone(),
        aws: aws.clone(),
        clock: clock.clone(),
        random,
        path: path.to_owned(),
        under_way: Vec::new(),
        names: 0,
    };
    let mut process = stage.start();
    process.catchup.read_on().await.map_err(|failure| failure.text)?;
    for _ in 0..stage.random.random_range(5..25) {
        stage.happen(&mut process).await;
        stage.deliver(&process).await;
        tokio::time::sleep(Duration::from_millis(stage.random.random_range(0..300))).await;
    }
    // From here on the vendors do not fail. The System Log has the events whose hooks were lost,
    // and a sweep finds everything else.
    okta.no_faults();
    aws.no_faults();
    for round in 0..50 {
        tokio::time::sleep(Duration::from_secs(20)).await;
        process.catchup.read_on().await.map_err(|failure| failure.text)?;
        if round % 10 == 5 {
            let mark = Mark::new(Key::new("sweep", "corp", "groups"), Lane::Sweep);
            process.store.mark(vec![mark], clock.now()).await.unwrap();
        }
        // If a source group has become empty, its group waits for an approval. The test's operator
        // approves after a few rounds.
        for hold in process.store.holds().await.unwrap() {
            let is_empty = ["the source is empty", "had members and is empty now"];
            if round > 2 && is_empty.iter().any(|why| hold.why.contains(why)) {
                process.store.approve(&hold.digest, "somebody", clock.now()).await.unwrap();
            }
        }
        process.bell.notify_one();
        tokio::time::sleep(Duration::from_secs(20)).await;
        let depth = process.store.depth(clock.now()).await.unwrap();
        let idle = depth.due.iter().sum::<u64>() + depth.leased == 0;
        if idle && round > 5 && stage.wanted() == stage.held() {
            process.worker.abort();
            let _ = process.worker.await; // it has nothing to do any more
            return stage.removals_were_right();
        }
    }
    let rows = process.store.rows(50).await.unwrap();
    Err(format!("wanted {:#?}\nheld {:#?}\nqueue {rows:#?}", stage.wanted(), stage.held()))
}

fn number(name: &str, usual: u64) -> u64 {
    #[expect(clippy::disallowed_methods, reason = "the caller of the test sets the seeds")]
    let text = std::env::var(name).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(usual)
}

#[test]
fn the_target_ends_equal_to_the_source_and_every_removal_was_right() {
    let shared = Path::new("/dev/shm");
    let folder = if shared.is_dir() { tempfile::tempdir_in(shared) } else { tempfile::tempdir() }.unwrap();
    let count = number("INTERLEAVINGS", USUAL);
    let seeds = Seeds::new(number("INTERLEAVINGS_FROM", 0), count, folder.path());
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let Removals { all, raced } = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(|| seeds.work())).collect();
        let found = running.into_iter().map(|thread| thread.join().unwrap());
        found.fold(Removals::default(), Removals::and)
    });
    if let Some(why) = seeds.failure() {
        panic!("{why}");
    }
    eprintln!(
        "{count} interleavings removed {all} members; {raced} of them had come back and were added again"
    );
    assert!(all > 0 || count < ENOUGH, "no member was removed: the test proved nothing");
}
