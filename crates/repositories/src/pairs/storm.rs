//! Tests Beadle in storms, with a simulated GitHub that has many faults (`beadle_sim::storm`).
//! Beadle applies a random policy to a random organisation. During this time, GitHub refuses
//! requests for hours, fails, breaks connections and answers late. The answers to write requests
//! are lost. Lists are wrong, and some answers show an earlier state. The test simulates time, so a
//! storm of several hours needs only a moment.
//!
//! First, a calm run applies the same policy to the same organisation. In the storm, these
//! conditions must then be true:
//!
//! - No write in the storm sets a value that did not occur in the calm run. No write removes an
//!   entry that the calm run kept. So an unknown value never causes a removal, a weakening or an
//!   exposure during a storm. Beadle also creates nothing twice.
//! - Beadle does not exceed a secondary limit of GitHub, and waits as long as GitHub asks.
//! - After the last fault, the plan becomes empty, and the organisation is the same as after the
//!   calm run.
//!
//! The test skips a pair whose calm run is not simple. There are two examples: GitHub refused a
//! change in this run, or a layer selects repositories by a value from another file.
//!
//! `cargo xtask storm vendors --for 10m` runs more storms. `--seeds 1 --from SEED` runs one storm.
//!
//! To see the test fail, remove one of these lines and run 2,000 storms:
//!
//! - The call of `answer::retry_after` in the function `refused` (`transport/src/client.rs`).
//!   Without this call, Beadle waits a minute although GitHub asked for a longer wait.
//! - The loop over the blocked accounts in the function `admit` (`engine/src/budget.rs`). Without
//!   this loop, Beadle sends requests while GitHub refuses all requests.
//! - The call of `unique` in the function `identified` (`github/src/read.rs`). Without this call,
//!   Beadle removes an entry because a wrong row shows the id of this entry.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use beadle_engine::{
    ApplyContext, Budgets, Failure, Key, Lane, Mode, Plan, Planner as _, Remembered, StepResult, WritePace,
    apply,
};
use beadle_github::{Api, Credential, Endpoint, Reader, Writer};
use beadle_sim::Sim;
use beadle_sim::storm::{Ledger, SecondaryLimits, Storm};
use beadle_transport::{ClientSettings, ContentLimits, Exchanged, Wire};
use bytes::Bytes;
use parking_lot::Mutex;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::dice::Dice;
use super::state::ORGANISATION;
use super::{Stage, files, folder, harm, number, simulated, state};
use crate::aspects::Step;
use crate::{Modes, Policy, PolicyHandle, RepositoryPlanner, RepositoryWriter, Secrets, Shard};

/// The number of storms in a normal test run.
const USUAL: u64 = 10;
/// The maximum number of seeds that the test tries until it finds a simple pair.
const TRIES: u64 = 40;
/// The maximum number of applies that write something.
const ROUNDS: usize = 12;
/// The rate limits for requests that create content.
const CONTENT: Option<ContentLimits> = Some(ContentLimits::GITHUB);
/// A duration that is a little longer than the longest wait time that GitHub requests in a storm.
const CALM: Duration = Duration::from_secs(2 * 3600);
/// The states of the simulated GitHub after each write: the certain states and the possible states.
#[derive(Default)]
struct Book {
    ledger: Ledger,
    is_filled: bool,
    writes: usize,
    /// The effects of writes that occurred in the storm but not in the calm run.
    strange: Vec<String>,
}

impl Book {
    fn note(&mut self, state: &Value) {
        if self.is_filled {
            let strangers = self.ledger.strangers(state);
            if self.strange.is_empty() {
                self.strange = strangers;
            }
        } else {
            self.ledger.record(state);
        }
    }
}

/// A simulated GitHub behind a storm.
struct Stormy {
    sim: Arc<Sim>,
    storm: Arc<Storm>,
    book: Arc<Mutex<Book>>,
}

fn is_write(request: &http::Request<Bytes>) -> bool {
    let is_graphql = request.uri().path().ends_with("/graphql");
    let has_mutation = request.body().windows(8).any(|part| part == b"mutation");
    *request.method() != http::Method::GET && (!is_graphql || has_mutation)
}

#[async_trait::async_trait]
impl Wire for Stormy {
    async fn exchange(&self, request: http::Request<Bytes>) -> Result<Exchanged, String> {
        let (sim, book) = (self.sim.clone(), self.book.clone());
        let vendor = move |request: http::Request<Bytes>| async move {
            let writes = is_write(&request);
            let answer = sim.exchange(request).await;
            if writes {
                let mut book = book.lock();
                book.writes += 1;
                sim.look(|state| book.note(state));
            }
            answer
        };
        self.storm.exchange(request, vendor).await.ok_or_else(|| "the connection broke".to_owned())
    }
}

/// The result of one apply of the whole policy.
#[derive(Debug, Default)]
struct Round {
    errors: Vec<String>,
    /// The changes of the plans.
    planned: Vec<String>,
    /// True in three cases: GitHub refused a change, the guard held a change, or a part was
    /// unknown.
    is_odd: bool,
    /// The number of writes that GitHub carried out or refused.
    writes: usize,
}

impl Round {
    fn is_quiet(&self) -> bool {
        self.errors.is_empty() && self.planned.is_empty() && self.writes == 0
    }
}

/// A process that applies a policy.
struct Service<'a> {
    stage: &'a Stage,
    api: Api,
    book: Arc<Mutex<Book>>,
    planner: RepositoryPlanner,
    writer: RepositoryWriter,
    pace: WritePace,
}

impl<'a> Service<'a> {
    fn start(
        stage: &'a Stage,
        storm: &Arc<Storm>,
        book: &Arc<Mutex<Book>>,
        content: Option<ContentLimits>,
    ) -> Result<Self, String> {
        let wire = Stormy { sim: stage.sim.clone(), storm: storm.clone(), book: book.clone() };
        let settings = ClientSettings { content, wire: Some(Arc::new(wire)), ..ClientSettings::default() };
        let endpoint = Endpoint::new(&stage.sim.url());
        let credential = Credential::Token(SecretString::from(stage.token.as_str()));
        let budgets = Budgets::new(ORGANISATION, 0);
        let api = Api::new(&endpoint, ORGANISATION, credential, budgets, &stage.clock, settings)?;
        let api = api.keeping(stage.store.clone());
        let (planner, writer) = parts(stage, &api);
        let pace = WritePace::new(Duration::from_secs(1));
        Ok(Self { stage, api, book: book.clone(), planner, writer, pace })
    }

    /// Simulates the restart of a process: deletes everything in memory except the budget.
    fn restart(&mut self) {
        (self.planner, self.writer) = parts(self.stage, &self.api);
    }

    /// Plans everything and applies the plans. Runs of the lane `manual` do not wait between
    /// writes.
    async fn round(&self, lane: Lane) -> Round {
        let mut round = Round::default();
        let before = self.book.lock().writes;
        let planned = self.stage.clock.now();
        let plans = match self.plans(lane, &mut round).await {
            Ok(plans) => plans,
            Err(failure) => {
                round.errors.push(failure.text);
                Vec::new()
            }
        };
        for (key, plan) in plans {
            round.is_odd |= !plan.unknowns.is_empty();
            let shown = |change: &beadle_engine::Change<Box<dyn Step>>| {
                format!("{}: {} {}", plan.subject, change.aspect, change.what)
            };
            round.planned.extend(plan.changes.iter().map(shown));
            let gate = self.stage.gate(plan.generation.clone(), planned);
            let is_manual = lane == Lane::Manual;
            let pace = if is_manual { WritePace::new(Duration::ZERO) } else { self.pace.clone() };
            let gate = ApplyContext { lane, pace, patient: is_manual, ..gate };
            let applied = match Remembered::read(&key, &gate).await {
                Ok(remembered) => apply(&key, &plan, &self.writer, &gate, remembered, &|_, _| {}).await,
                Err(failure) => Err(failure),
            };
            match applied {
                Ok(report) => {
                    let is_odd = |outcome: &StepResult| {
                        matches!(outcome, StepResult::Failed(_) | StepResult::Held { .. })
                    };
                    round.is_odd |= report.steps.iter().any(|step| is_odd(&step.outcome));
                }
                Err(failure) => round.errors.push(failure.text),
            }
        }
        round.writes = self.book.lock().writes - before;
        round
    }

    async fn plans(&self, lane: Lane, round: &mut Round) -> Result<Vec<(Key, Plan<Box<dyn Step>>)>, Failure> {
        if lane == Lane::Manual {
            let whole = self.planner.organisation(ORGANISATION, &[], Shard::default(), &|_, _| {}).await?;
            round.errors.extend(whole.short);
            return Ok(whole.plans);
        }
        let ids: Vec<u64> = self.stage.sim.look(|state| harm::repositories(state).into_keys().collect());
        let mut plans = Vec::new();
        for id in ids {
            let key = Key::new("repository", ORGANISATION, id);
            match self.planner.plan(&key, None, lane).await {
                Ok(plan) => plans.push((key, plan)),
                Err(failure) => round.errors.push(failure.text),
            }
        }
        Ok(plans)
    }

    /// Applies the policy until an apply changes nothing. Also approves the changes that the guard
    /// held.
    async fn settle(&self) -> Result<bool, String> {
        let (mut last, mut is_odd) = (Round::default(), false);
        for _ in 0..ROUNDS {
            last = self.round(Lane::Manual).await;
            if last.is_quiet() {
                return Ok(!is_odd);
            }
            is_odd |= last.is_odd || !last.errors.is_empty();
            for hold in self.stage.store.holds().await.map_err(|error| error.to_string())? {
                let approved =
                    self.stage.store.approve(&hold.digest, "somebody", self.stage.clock.now()).await;
                approved.map_err(|error| error.to_string())?;
            }
            self.stage.clock.sleep(Duration::from_secs(60)).await;
        }
        Err(format!("it is not quiet after {ROUNDS} applies: {last:#?}"))
    }
}

fn parts(stage: &Stage, api: &Api) -> (RepositoryPlanner, RepositoryWriter) {
    let reader = Reader::new(api.clone(), stage.policy.asks());
    let modes = Modes { organisation: Mode::Enforce, ..Modes::default() };
    let secrets = Secrets::from([("hook".to_owned(), SecretString::from("a secret of a webhook"))]);
    let planner = RepositoryPlanner::new(reader.clone(), PolicyHandle::new(stage.policy.clone()), modes)
        .lending(secrets)
        .remembering(stage.store.clone());
    (planner, RepositoryWriter::new(Writer::new(api.clone()), reader))
}

/// The result of a storm.
#[derive(Clone, Copy, Debug, Default)]
struct Weathered {
    storms: u64,
    writes: usize,
    disturbed: u64,
    lost_writes: u64,
}

/// Runs the storm of a seed, and then deletes the storm's stores. Returns `None` if the calm run of
/// the pair is not simple.
async fn one(seed: u64, sim: &Arc<Sim>, folder: &Path) -> Result<Option<Weathered>, String> {
    let weathered = Box::pin(weather(seed, sim, folder)).await;
    for name in [format!("{seed}-calm.db"), format!("{seed}.db")] {
        for ending in ["", "-wal", "-shm"] {
            // An error here means that the file does not exist, so there is nothing to delete.
            let _ = std::fs::remove_file(folder.join(format!("{name}{ending}")));
        }
    }
    weathered
}

async fn weather(seed: u64, sim: &Arc<Sim>, folder: &Path) -> Result<Option<Weathered>, String> {
    let mut dice = Dice::new(seed);
    let state = state::state(&mut dice);
    let files = files::files(&mut dice, &state);
    let texts: BTreeMap<String, String> =
        files.iter().map(|(file, body)| (file.clone(), format!("{body:#}"))).collect();
    let Ok(policy) = Policy::from_sources(texts, "admin", Path::new("policy")) else { return Ok(None) };
    if files::selects_by_what_is_written(&files) {
        return Ok(None);
    }
    let book = Arc::new(Mutex::new(Book::default()));
    sim.begin_with(state.doc.clone());
    sim.look(|state| book.lock().note(state));
    let calm = Arc::new(Storm::of_github(seed, SecondaryLimits::GITHUB));
    calm.end();
    let stage = Stage::open(sim, &folder.join(format!("{seed}-calm.db")), policy.clone())?;
    // The test of pairs already reports a calm run whose plan never becomes empty.
    if !matches!(Service::start(&stage, &calm, &book, CONTENT)?.settle().await, Ok(true)) {
        return Ok(None);
    }
    let end = sim.state();
    sim.begin_with(state.doc);
    {
        let mut book = book.lock();
        (book.is_filled, book.writes) = (true, 0);
    }
    let storm = Arc::new(Storm::of_github(seed, SecondaryLimits::GITHUB));
    let stage = Stage::open(sim, &folder.join(format!("{seed}.db")), policy)?;
    let mut service = Service::start(&stage, &storm, &book, CONTENT)?;
    let check = |when: &str| match (storm.broken(), book.lock().strange.as_slice()) {
        (Some(broken), _) => Err(format!("{when}: {broken}")),
        (None, []) => Ok(()),
        (None, strange) => Err(format!("{when}: {}", strange.join("\n  "))),
    };
    for n in 0..6 + dice.below(10) {
        let lane = dice.one(&[Lane::Manual, Lane::Event, Lane::Sweep]);
        service.round(lane).await;
        check(&format!("apply {n} in the lane {lane:?}"))?;
        if dice.chance(20) {
            service.restart();
        }
        let pause = dice.one(&[1, 30, 300, 1_500]);
        stage.clock.sleep(Duration::from_secs(pause)).await;
    }
    storm.end();
    stage.clock.sleep(CALM).await;
    service.settle().await?;
    check("after the storm")?;
    let differences = book.lock().ledger.differences(&end, &sim.state());
    if !differences.is_empty() {
        return Err(format!("it ended differently:\n  {}", differences.join("\n  ")));
    }
    let ((disturbed, lost_writes), writes) = (storm.disturbed(), book.lock().writes);
    Ok(Some(Weathered { storms: 1, writes, disturbed, lost_writes }))
}

#[tokio::test(start_paused = true)]
#[expect(clippy::disallowed_methods, reason = "the caller of the test limits the real time")]
async fn no_storm_of_github_breaks_a_promise() {
    let (sim, folder, began) = (simulated().await, folder(), Instant::now());
    let time = match number("STORM_SECONDS", 0) {
        0 => None,
        seconds => Some(Duration::from_secs(seconds)),
    };
    let usual = if time.is_some() { u64::MAX } else { USUAL };
    let (from, count) = (number("STORM_FROM", 0), number("STORM_SEEDS", usual));
    let (mut all, mut tried) = (Weathered::default(), 0);
    let is_late = || time.is_some_and(|time| began.elapsed() >= time);
    while all.storms < count && !is_late() && (count == u64::MAX || tried < count.saturating_mul(TRIES)) {
        let seed = from + tried;
        tried += 1;
        match Box::pin(one(seed, &sim, folder.path())).await {
            Ok(None) => {}
            Ok(Some(found)) => {
                all.storms += found.storms;
                all.writes += found.writes;
                all.disturbed += found.disturbed;
                all.lost_writes += found.lost_writes;
            }
            Err(why) => {
                panic!("seed {seed}: {why}\n\nAgain: cargo xtask storm vendors --seeds 1 --from {seed}")
            }
        }
    }
    eprintln!("of {tried} seeds: {all:?}");
    let is_whole_run = count >= USUAL && from == 0 && time.is_none();
    assert!(!is_whole_run || all.storms == count, "too few pairs have a simple calm run: {all:?}");
    assert!(!is_whole_run || all.lost_writes > 0, "no answer of a write was lost: {all:?}");
}

/// Applies a policy in runs that are started by events. The policy has more new labels than GitHub
/// accepts in a minute. Returns the limit that Beadle exceeded.
async fn many_labels(content: Option<ContentLimits>) -> Option<String> {
    let (sim, folder) = (simulated().await, folder());
    let shop = json!({ "id": 101, "created_at": "2026-01-01T00:00:00Z", "branches": { "main": {} } });
    let organisation = json!({ "id": 1, "members": [], "owners": [], "repos": { "shop": shop } });
    sim.begin_with(json!({ "users": {}, "apps": {}, "orgs": { ORGANISATION: organisation } }));
    let label = |n: u32| json!({ "name": format!("label {n}"), "color": "cc0000" });
    let labels: Vec<Value> = (0..120).map(label).collect();
    let sources = BTreeMap::from([("settings.yml".to_owned(), json!({ "labels": labels }).to_string())]);
    let policy = Policy::from_sources(sources, "admin", Path::new("policy")).unwrap();
    let stage = Stage::open(&sim, &folder.path().join("labels.db"), policy).unwrap();
    let storm = Arc::new(Storm::of_github(0, SecondaryLimits::GITHUB));
    storm.end();
    let service = Service::start(&stage, &storm, &Arc::default(), content).unwrap();
    let mut last = Round::default();
    for _ in 0..ROUNDS {
        last = service.round(Lane::Event).await;
        if last.is_quiet() {
            break;
        }
        stage.clock.sleep(Duration::from_secs(60)).await;
    }
    assert!(last.is_quiet(), "{last:#?}");
    storm.broken()
}

#[tokio::test(start_paused = true)]
async fn writes_for_an_event_keep_to_the_limits_of_requests_that_create_content() {
    assert_eq!(many_labels(CONTENT).await, None);
    let broken = many_labels(None).await;
    assert!(broken.is_some_and(|broken| broken.contains("created content")), "the witness notices nothing");
}
