//! Tests random interleavings in simulated time. People join and leave, groups are renamed, hooks
//! are lost, repeated, delayed and reordered, the process is killed, and vendors fail. At the end
//! of each interleaving, the target must equal the source. The test also checks each removal: the
//! last complete read of the source before the removal must not contain the removed member.
//!
//! The interleavings run on all cores. `INTERLEAVINGS=10000 cargo test -p beadle-groups --test
//! interleavings` runs more interleavings, and `INTERLEAVINGS_FROM=42` begins at a different seed.
//! The first failure shows its seed and ends the test.
//!
//! In another test, a storm disturbs the calls to each vendor (`beadle_sim::storm`). The storms
//! last for hours. At the end of a storm, the test checks the same conditions as at the end of an
//! interleaving. Beadle must also have waited as long as the vendors asked. `cargo xtask storm
//! directories --for 10m` runs more storms, and `--seeds 1 --from SEED` runs one storm.
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
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use beadle_engine::{Clock, Key, Lane, Mark, Store, Time};
use beadle_groups::sources::Catchup;
use beadle_sim::okta::OktaSim;
use beadle_sim::scim::ScimSim;
use beadle_sim::storm::Storm;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use removals::Removals;
use seeds::Seeds;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

const PEOPLE: usize = 8;
const GROUPS: usize = 3;
/// The number of interleavings in a normal test run. With this number, a developer does not wait
/// long. CI runs 10,000 interleavings.
const USUAL: u64 = 1_000;
/// The number of storms in a normal test run.
const STORMS: u64 = 40;
/// A duration that is a little longer than the longest requested wait of a vendor in a storm.
const CALM: Duration = Duration::from_secs(2 * 3600);
/// With at least this number of interleavings, the test requires that some removals happened. With
/// fewer interleavings, it is possible that no removal happens.
const ENOUGH: u64 = 100;

fn person(n: usize) -> String {
    format!("00u{n}")
}

fn group(n: usize) -> String {
    format!("00g{n}")
}

/// The parts that a process loses when it is killed: everything in memory.
struct Process {
    worker: JoinHandle<()>,
    store: Arc<dyn Store>,
    catchup: Catchup,
    bell: Arc<Notify>,
    /// The value is false after a kill of the process.
    is_alive: Arc<AtomicBool>,
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
    /// The storms that disturb Okta and the target, if the test has storms.
    storms: Option<(Arc<Storm>, Arc<Storm>)>,
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
async fn one(
    seed: u64,
    okta: &Arc<OktaSim>,
    aws: &Arc<ScimSim>,
    path: &Path,
    is_stormy: bool,
) -> Result<Removals, String> {
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
        storms: None,
    };
    if is_stormy {
        let storm = |seed| Arc::new(Storm::of_directory(seed));
        stage.storms = Some((storm(seed), storm(!seed)));
    }
    let mut process = stage.start();
    let began = process.catchup.read_on().await.map_err(|failure| failure.text);
    if !is_stormy {
        began?;
    }
    for _ in 0..stage.random.random_range(5..25) {
        stage.happen(&mut process).await;
        stage.deliver(&process).await;
        let longest = if is_stormy { 900_000 } else { 300 };
        tokio::time::sleep(Duration::from_millis(stage.random.random_range(0..longest))).await;
    }
    // After this point, the vendors do not fail. The System Log has the events of the lost hooks,
    // and a sweep finds everything else.
    okta.no_faults();
    aws.no_faults();
    if let Some((of_okta, of_aws)) = &stage.storms {
        of_okta.end();
        of_aws.end();
        tokio::time::sleep(CALM).await;
    }
    for round in 0..50 {
        tokio::time::sleep(Duration::from_secs(20)).await;
        process.catchup.read_on().await.map_err(|failure| failure.text)?;
        if round % 10 == 5 {
            let mark = Mark::new(Key::new("sweep", "corp", "groups"), Lane::Sweep);
            process.store.mark(vec![mark], clock.now()).await.unwrap();
        }
        // If a source group has become empty, the leavers at the target wait for an approval. The
        // test's operator approves after a few rounds.
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
            let _ = process.worker.await; // the next round has nothing to do
            stage.clients_waited()?;
            return stage.removals_were_right();
        }
    }
    let rows = process.store.rows(50).await.unwrap();
    Err(format!("wanted {:#?}\nheld {:#?}\nqueue {rows:#?}", stage.wanted(), stage.held()))
}

impl Stage {
    /// Returns an error if a client did not wait as long as its vendor asked.
    fn clients_waited(&self) -> Result<(), String> {
        let mut storms = self.storms.iter().flat_map(|(of_okta, of_aws)| [of_okta, of_aws]);
        storms.find_map(|storm| storm.broken()).map_or(Ok(()), Err)
    }
}

fn number(name: &str, usual: u64) -> u64 {
    #[expect(clippy::disallowed_methods, reason = "the caller of the test sets the seeds")]
    let text = std::env::var(name).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// Runs the seeds on all cores. The test fails if a seed fails.
fn run(seeds: &Seeds) -> Removals {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let removals = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(|| seeds.work())).collect();
        let found = running.into_iter().map(|thread| thread.join().unwrap());
        found.fold(Removals::default(), Removals::and)
    });
    if let Some(why) = seeds.failure() {
        panic!("{why}");
    }
    removals
}

/// Returns a new folder for the stores. If the system allows it, the folder is in memory.
fn folder() -> tempfile::TempDir {
    let shared = Path::new("/dev/shm");
    if shared.is_dir() { tempfile::tempdir_in(shared) } else { tempfile::tempdir() }.unwrap()
}

#[test]
fn the_target_ends_equal_to_the_source_and_every_removal_was_right() {
    let (folder, count) = (folder(), number("INTERLEAVINGS", USUAL));
    let seeds = Seeds::new(number("INTERLEAVINGS_FROM", 0), count, folder.path());
    let Removals { all, raced } = run(&seeds);
    eprintln!(
        "{count} interleavings removed {all} members; {raced} of them had come back and were added again"
    );
    assert!(all > 0 || count < ENOUGH, "no member was removed: the test proved nothing");
}

#[test]
fn no_storm_of_a_directory_breaks_a_promise() {
    let seconds = number("STORM_SECONDS", 0);
    let usual = if seconds > 0 { u64::MAX } else { STORMS };
    let (folder, count) = (folder(), number("STORM_SEEDS", usual));
    let seeds = Seeds::new(number("STORM_FROM", 0), count, folder.path()).in_storms();
    let seeds = if seconds > 0 { seeds.for_time(Duration::from_secs(seconds)) } else { seeds };
    let removals = run(&seeds);
    eprintln!("{} storms: {removals:?}", seeds.tried());
    assert!(removals.all > 0 || count < STORMS, "no member was removed: the test proved nothing");
}
