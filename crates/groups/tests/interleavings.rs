//! Random interleavings, in simulated time: people come and go, groups are renamed, hooks are lost, repeated, delayed and
//! reordered, the process is killed, vendors fail. The target always ends equal to the source; and whoever was taken out
//! was not in the source when it was read whole for the last time.
//!
//! `INTERLEAVINGS=100000 cargo test -p beadle-groups` runs more of them, `INTERLEAVINGS_FROM=42` begins at another seed; a
//! failure names its seed.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use beadle_engine::{
    Budgets, Clock, Key, Lane, Limits, Mark, Mode, Reconciler, Store, Time, Worker, WorkerSettings, WritePace,
};
use beadle_groups::catchup::Catchup;
use beadle_groups::mapping::{Naming, OnDelete, OnMissingGroup, OnMissingUser, OnRename, Users};
use beadle_groups::sources::{OktaSource, Source};
use beadle_groups::targets::{ScimReader, ScimWriter};
use beadle_groups::{
    Directory, GroupLimits, GroupPlanner, GroupSweep, GroupWriter, Mapping, Mappings, Marker,
};
use beadle_hooks::okta::{Sender, receive};
use beadle_okta::{Credential, Okta, Status};
use beadle_scim::{Api, Dialect};
use beadle_sim::okta::{Hook, OktaSim};
use beadle_sim::scim::ScimSim;
use beadle_sim::{Fault, okta, scim};
use beadle_store_sqlite::{Settings as StoreSettings, SqliteStore};
use beadle_transport::{Exchanged, Settings, Wire};
use bytes::Bytes;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{RngExt as _, SeedableRng as _};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const PEOPLE: usize = 8;
const GROUPS: usize = 3;
/// In CI so many; they are as reproducible as more of them.
const USUAL: u64 = 10_000;
/// What was read longer ago takes nobody out: two minutes, in milliseconds.
const OLDEST: u64 = 120_000;
/// Every call takes a moment, so that others come between.
const LATENCY: std::ops::Range<u64> = 1..40;

enum Vendor {
    Okta(Arc<OktaSim>),
    Aws(Arc<ScimSim>),
}

struct InProcess {
    vendor: Vendor,
    random: std::sync::Mutex<StdRng>,
}

impl InProcess {
    fn new(vendor: Vendor, seed: u64) -> Arc<Self> {
        Arc::new(Self { vendor, random: std::sync::Mutex::new(StdRng::seed_from_u64(seed)) })
    }

    fn wait(&self) -> Duration {
        Duration::from_millis(self.random.lock().unwrap().random_range(LATENCY))
    }
}

#[async_trait::async_trait]
impl Wire for InProcess {
    async fn exchange(&self, request: http::Request<Bytes>) -> Result<Exchanged, String> {
        tokio::time::sleep(self.wait()).await;
        let answer = match &self.vendor {
            Vendor::Okta(sim) => sim.exchange(request).await,
            Vendor::Aws(sim) => sim.exchange(request).await,
        };
        tokio::time::sleep(self.wait()).await;
        answer.ok_or_else(|| "the connection broke".to_owned())
    }
}

fn person(n: usize) -> String {
    format!("00u{n}")
}

fn group(n: usize) -> String {
    format!("00g{n}")
}

fn mapping(into: Option<&str>) -> Mapping {
    Mapping {
        source: "corp".into(),
        target: "aws".into(),
        include: vec!["AWS_*".parse().unwrap()],
        exclude: Vec::new(),
        naming: Naming { strip_prefix: Some("AWS_".into()), ..Naming::default() },
        into: into.map(str::to_owned),
        mode: Mode::Enforce,
        on_missing_group: OnMissingGroup::Create,
        on_missing_user: OnMissingUser::Wait,
        users: Users::Leave,
        on_rename: OnRename::Follow,
        on_delete: OnDelete::Keep,
        adopt: false,
        may_empty: false,
        protected: Vec::new(),
        role: None,
        parent: None,
        description: None,
        asked: None,
    }
}

/// How many were taken out.
#[derive(Debug, Default)]
struct Removals {
    all: usize,
    /// Of them, people who had come back between the read and the write.
    raced: usize,
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

impl Stage {
    fn start(&mut self) -> Process {
        let clock = self.clock.clone();
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open_inline(&self.path, StoreSettings::default()).unwrap());
        let seed: u64 = self.random.random();
        let wire = InProcess::new(Vendor::Okta(self.okta.clone()), seed);
        let settings = Settings { rest_points: u32::MAX, wire: Some(wire), ..Settings::default() };
        let token = Credential::Token(self.token.clone());
        let okta = Okta::new(&self.okta.url(), "corp", token, 0, &clock, &settings).unwrap();
        let leaving = vec![Status::Suspended, Status::Deprovisioned];
        let source: Arc<dyn Source> =
            Arc::new(OktaSource::new(okta.clone(), leaving, Vec::new(), Vec::new()));
        let wire = InProcess::new(Vendor::Aws(self.aws.clone()), seed + 1);
        let settings = Settings { rest_points: u32::MAX, wire: Some(wire), ..Settings::default() };
        let budgets = Budgets::new("aws", 0);
        let api = Api::new(&self.aws.url(), &self.bearer, Dialect::AWS, budgets, &clock, settings).unwrap();
        let reader = ScimReader::new(beadle_scim::Reader::new(api.clone()));
        let writer = Arc::new(ScimWriter::new(beadle_scim::Writer::new(api), &reader));
        let reader = Arc::new(reader);
        let mappings = Mappings::new(vec![mapping(None), mapping(Some("All"))]);
        let directory = Directory {
            sources: HashMap::from([("corp".to_owned(), source)]),
            target: reader,
            name: "aws".into(),
            mappings: Arc::new(RwLock::new(Arc::new(mappings))),
            pushed: Arc::default(),
        };
        let limits = GroupLimits { percent: 100, count: 100, ..GroupLimits::default() };
        let groups = Reconciler {
            planner: GroupPlanner::new(directory.clone(), limits, clock.clone(), Some(store.clone())),
            writer: GroupWriter::new(writer, "aws", limits.window, clock.clone(), Some(store.clone())),
            store: store.clone(),
            clock: clock.clone(),
            limits: Limits { removes: 1000, repeats: 0, ..Limits::default() },
            pace: WritePace::new(Duration::ZERO),
        };
        let directories = HashMap::from([("aws".to_owned(), directory)]);
        let marker = Arc::new(Marker {
            source: "corp".into(),
            directories: directories.clone(),
            store: store.clone(),
            clock: clock.clone(),
        });
        let sweep =
            GroupSweep { source: "corp".into(), directories, store: store.clone(), clock: clock.clone() };
        let bell = Arc::new(Notify::new());
        let worker = Arc::new(Worker {
            store: store.clone(),
            clock: clock.clone(),
            reconcilers: HashMap::from([
                ("target-group", Arc::new(groups) as Arc<dyn beadle_engine::Reconcile>),
                ("group", marker.clone()),
                ("user", marker),
                ("sweep", Arc::new(sweep)),
            ]),
            settings: WorkerSettings { concurrency: 8, ..WorkerSettings::default() },
            bell: bell.clone(),
            counts: Arc::default(),
        });
        let running = tokio::spawn(worker.run(CancellationToken::new(), Duration::ZERO));
        let catchup = Catchup { okta, store: store.clone(), clock };
        Process { worker: running, store, catchup, bell }
    }

    /// What may happen, happens.
    async fn happen(&mut self, process: &mut Process) {
        let random = &mut self.random;
        let who = person(random.random_range(0..PEOPLE));
        let which = group(random.random_range(0..GROUPS));
        match random.random_range(0..100) {
            0..25 => self.okta.patch(&json!({ "groups": { which: { "members": { who: true } } } })),
            25..50 => self.okta.patch(&json!({ "groups": { which: { "members": { who: null } } } })),
            50..56 => {
                self.names += 1;
                let name = format!("AWS_{which}-{}", self.names);
                self.okta.patch(&json!({ "groups": { which: { "profile": { "name": name } } } }));
            }
            56..66 => {
                let status = ["ACTIVE", "SUSPENDED", "DEPROVISIONED", "LOCKED_OUT"].choose(random).unwrap();
                self.okta.patch(&json!({ "users": { who: { "status": status } } }));
            }
            66..72 => {
                process.worker.abort();
                let _ = (&mut process.worker).await; // it was killed
                *process = self.start();
            }
            72..84 => {
                let fault = Fault { count: Some(random.random_range(1..4)), ..Fault::default() };
                let of_okta = ["/groups", "/users?", "after="].choose(random).unwrap();
                match random.random_range(0..9) {
                    0 => self.okta.fault(Fault { path: (*of_okta).into(), status: Some(500), ..fault }),
                    1 => self.okta.fault(Fault {
                        path: (*of_okta).into(),
                        status: Some(429),
                        retry_after: Some(2),
                        ..fault
                    }),
                    2 => self.okta.fault(Fault { path: "/users?".into(), short: true, ..fault }),
                    3 => self.okta.fault(Fault { path: "/users?".into(), empty: true, ..fault }),
                    4 => self.okta.fault(Fault { path: "/users?".into(), truncate: true, ..fault }),
                    // One is shown twice, and another is not shown: as many as are counted.
                    8 => self.okta.fault(Fault { path: "/users?".into(), twice: true, ..fault }),
                    5 => self.aws.fault(Fault { path: "/Groups".into(), reset: true, ..fault }),
                    6 => self.aws.fault(Fault { path: "/Groups".into(), status: Some(500), ..fault }),
                    _ => self.aws.fault(Fault {
                        path: "/Users".into(),
                        status: Some(429),
                        retry_after: Some(1),
                        ..fault
                    }),
                }
            }
            84..88 => {
                // The target's list says less than it has: who is not seen in it is added again, and nobody goes.
                self.aws.fault(Fault {
                    path: "groups.value".into(),
                    short: true,
                    count: Some(1),
                    ..Fault::default()
                });
            }
            88..92 => {
                process.catchup.read_on().await.ok(); // a vendor may fail
                process.bell.notify_one();
            }
            _ => {
                let mark = Mark::new(Key::new("sweep", "corp", "groups"), Lane::Sweep);
                process.store.mark(vec![mark], self.clock.now()).await.unwrap();
                process.bell.notify_one();
            }
        }
    }

    /// Some of the deliveries that are under way arrive: in any order, lost, or twice.
    async fn deliver(&mut self, process: &Process) {
        self.under_way.extend(self.okta.take_held());
        self.under_way.shuffle(&mut self.random);
        let sender = Sender { instance: "corp".into(), proofs: Vec::new() };
        let count = self.random.random_range(0..=self.under_way.len());
        for delivery in self.under_way.drain(..count).collect::<Vec<_>>() {
            let times = match self.random.random_range(0..10) {
                0..2 => 0,
                2..4 => 2,
                _ => 1,
            };
            for _ in 0..times {
                let now = self.clock.now();
                let verified = receive(&sender, delivery.to_string().into_bytes(), now).unwrap();
                for (event, marks) in verified.events {
                    process.store.accept(event, marks).await.unwrap();
                }
                process.store.accept(verified.delivery, Vec::new()).await.unwrap();
                process.bell.notify_one();
            }
        }
    }

    /// Who should be in each group of the target, by its name.
    fn wanted(&self) -> BTreeMap<String, BTreeSet<String>> {
        let state = self.okta.state();
        let mut wanted: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (_, group) in state["groups"].as_object().unwrap() {
            let is_there = |id: &&String| {
                !["SUSPENDED", "DEPROVISIONED"]
                    .contains(&state["users"][id.as_str()]["status"].as_str().unwrap())
            };
            let people = group["members"].as_object().unwrap().keys().filter(is_there).cloned();
            let people: BTreeSet<String> = people.collect();
            wanted.entry("All".into()).or_default().extend(people.iter().cloned());
            let name = group["profile"]["name"].as_str().unwrap().trim_start_matches("AWS_");
            wanted.insert(name.to_owned(), people);
        }
        wanted
    }

    fn held(&self) -> BTreeMap<String, BTreeSet<String>> {
        let state = self.aws.state();
        let groups = state["groups"].as_object().unwrap().values();
        let people = |group: &Value| {
            let ids = group["members"].as_object().unwrap().keys();
            ids.map(|id| state["users"][id]["externalId"].as_str().unwrap().to_owned()).collect()
        };
        groups.map(|group| (group["displayName"].as_str().unwrap().to_owned(), people(group))).collect()
    }

    /// Whoever was taken out: each of the group's sources was read whole, not long before, without them. (Another run may
    /// have read it meanwhile, after they came back: that is the race that the next run mends.)
    fn removals_were_right(&self) -> Result<Removals, String> {
        let state = self.aws.state();
        let mut calls: Vec<(bool, Value)> = self.okta.calls().into_iter().map(|call| (true, call)).collect();
        calls.extend(self.aws.calls().into_iter().map(|call| (false, call)));
        calls.sort_by_key(|(_, call)| call["at"].as_u64());
        // By source group: when it was read whole, and who was in it.
        let mut read: HashMap<String, Vec<(u64, BTreeSet<String>)>> = HashMap::new();
        // When a person's status was seen to be one of those that mean that access should go.
        let mut leaving: HashMap<String, u64> = HashMap::new();
        let mut removals = Removals::default();
        for (is_okta, call) in &calls {
            let now = call["ms"].as_u64().unwrap();
            let path = call["path"].as_str().unwrap();
            if *is_okta {
                let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
                if let (["api", "v1", "groups", id, "users"], 200) =
                    (parts.as_slice(), call["status"].as_u64().unwrap())
                {
                    let rows = call["answer"].as_array().into_iter().flatten();
                    let mut people = BTreeSet::new();
                    for row in rows {
                        let id = row["id"].as_str().unwrap().to_owned();
                        if ["SUSPENDED", "DEPROVISIONED"].contains(&row["status"].as_str().unwrap()) {
                            leaving.insert(id, now);
                        } else {
                            people.insert(id);
                        }
                    }
                    // A list that a fault made shorter is no whole one.
                    if call["spoiled"] != json!(true) {
                        read.entry((*id).to_owned()).or_default().push((now, people));
                    }
                }
                continue;
            }
            if call["method"] != "PATCH" || call["status"] != 204 {
                continue;
            }
            let id = path.rsplit('/').next().unwrap();
            let Some(target) = state["groups"].get(id) else { continue };
            let external = target["externalId"].as_str().unwrap().trim_start_matches("beadle:corp/");
            for operation in call["request"]["Operations"].as_array().into_iter().flatten() {
                if operation["op"] != "remove" {
                    continue;
                }
                for member in operation["value"].as_array().unwrap() {
                    let account = member["value"].as_str().unwrap();
                    let person = state["users"][account]["externalId"].as_str().unwrap();
                    let without = |(at, people): &(u64, BTreeSet<String>)| {
                        at + OLDEST >= now && !people.contains(person)
                    };
                    let is_in =
                        |source: &String| !read.get(source).is_some_and(|reads| reads.iter().any(without));
                    let sources: Vec<String> = if external.starts_with("beadle:into/") {
                        (0..GROUPS).map(group).collect()
                    } else {
                        vec![external.to_owned()]
                    };
                    let is_leaving = leaving.get(person).is_some_and(|at| at + OLDEST >= now);
                    if let Some(source) = sources.iter().find(|source| is_in(source) && !is_leaving) {
                        return Err(format!(
                            "{person} was taken out of {external}, and {source} was not read without them"
                        ));
                    }
                    removals.all += 1;
                    let is_back = |source: &String| {
                        read.get(source)
                            .and_then(|reads| reads.last())
                            .is_some_and(|(_, people)| people.contains(person))
                    };
                    removals.raced += usize::from(sources.iter().any(is_back));
                }
            }
        }
        Ok(removals)
    }
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
