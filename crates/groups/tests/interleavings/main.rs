//! Random interleavings, in simulated time: people come and go, groups are renamed, hooks are lost, repeated, delayed and
//! reordered, the process is killed, vendors fail. The target always ends equal to the source; and whoever was taken out
//! was not in the source when it was read whole for the last time.
//!
//! `INTERLEAVINGS=100000 cargo test -p beadle-groups` runs more of them, `INTERLEAVINGS_FROM=42` begins at another seed; a
//! failure names its seed.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod happen;
mod removals;
mod start;
mod wire;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use beadle_engine::{Clock, Key, Lane, Mark, Store, Time};
use beadle_groups::catchup::Catchup;
use beadle_sim::okta::{Hook, OktaSim};
use beadle_sim::scim::ScimSim;
use beadle_sim::{okta, scim};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use removals::Removals;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

const PEOPLE: usize = 8;
const GROUPS: usize = 3;
/// In CI so many; they are as reproducible as more of them.
const USUAL: u64 = 10_000;

fn person(n: usize) -> String {
    format!("00u{n}")
}

fn group(n: usize) -> String {
    format!("00g{n}")
}

/// The part that a kill ends: everything in memory.
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
    path: std::path::PathBuf,
    token: SecretString,
    bearer: SecretString,
    /// Deliveries on their way.
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

async fn one(seed: u64, okta: &Arc<OktaSim>, aws: &Arc<ScimSim>, folder: &Path) -> Result<Removals, String> {
    let (directory, target) = states();
    okta.begin_with(directory);
    aws.begin_with(target);
    okta.take_held();
    let path = folder.join(format!("{seed}.db"));
    let clock = Clock::simulated(Time::from_seconds(1_800_000_000));
    let (token, bearer) = (SecretString::from(okta.token()), SecretString::from(aws.token()));
    let random = StdRng::seed_from_u64(seed);
    let mut stage = Stage {
        okta: okta.clone(),
        aws: aws.clone(),
        clock: clock.clone(),
        random,
        path: path.clone(),
        token,
        bearer,
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
    // The vendors are well again; what hooks lost is in the log, and what the log does not tell a sweep sees.
    okta.no_faults();
    aws.no_faults();
    for round in 0..50 {
        tokio::time::sleep(Duration::from_secs(20)).await;
        process.catchup.read_on().await.map_err(|failure| failure.text)?;
        if round % 10 == 5 {
            let mark = Mark::new(Key::new("sweep", "corp", "groups"), Lane::Sweep);
            process.store.mark(vec![mark], clock.now()).await.unwrap();
        }
        // A source that became empty waits for somebody, who looks at it once everything has come to rest.
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
            for ending in ["", "-wal", "-shm"] {
                let _ = std::fs::remove_file(format!("{}{ending}", path.display())); // the folder goes with it
            }
            return stage.removals_were_right();
        }
    }
    let rows = process.store.rows(50).await.unwrap();
    Err(format!("wanted {:#?}\nheld {:#?}\nqueue {rows:#?}", stage.wanted(), stage.held()))
}

fn number(name: &str, usual: u64) -> u64 {
    #[expect(clippy::disallowed_methods, reason = "how many, and which, is said on the command line")]
    let said = std::env::var(name).ok();
    said.and_then(|text| text.parse().ok()).unwrap_or(usual)
}

#[tokio::test(start_paused = true)]
async fn the_target_ends_equal_to_the_source_and_every_removal_was_right() {
    let any = ([127, 0, 0, 1], 0).into();
    let okta = okta::Settings { record: true, limit: u64::MAX, ..okta::Settings::default() };
    let okta = Arc::new(OktaSim::start(any, okta).await.unwrap());
    let aws = scim::Settings { record: true, ..scim::Settings::default() };
    let aws = Arc::new(ScimSim::start(any, aws).await.unwrap());
    okta.send_events_to(Some(Hook { held: true, together: 3, ..Hook::default() }));
    let shared = Path::new("/dev/shm");
    let folder = if shared.is_dir() { tempfile::tempdir_in(shared) } else { tempfile::tempdir() }.unwrap();
    let from = number("INTERLEAVINGS_FROM", 0);
    let (mut removals, mut raced) = (0, 0);
    for seed in from..from + number("INTERLEAVINGS", USUAL) {
        match one(seed, &okta, &aws, folder.path()).await {
            Ok(found) => (removals, raced) = (removals + found.all, raced + found.raced),
            Err(why) => panic!("seed {seed}: {why}"),
        }
    }
    eprintln!("{removals} were taken out, of whom {raced} had come back meanwhile and were added again");
    assert!(removals > 0, "nobody was ever taken out: nothing was tried");
}
