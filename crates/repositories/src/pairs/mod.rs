//! Tests Beadle with random pairs of an organisation and a policy. Beadle applies the policy to a
//! simulated GitHub in this process. The test makes the pairs from the description of the policy's
//! files. For every pair, these conditions must be true:
//!
//! - After Beadle has applied the policy a few times, the plan is empty or unknown. One more apply
//!   then writes nothing.
//! - Beadle changed only values that a file sets.
//! - Beadle removed nothing from a list that was unknown.
//!
//! In some pairs, the first reads fail or are incomplete. In some pairs, somebody else renames,
//! deletes or adds things after Beadle has applied the policy.
//!
//! `PAIRS=10000 cargo test --release -p beadle-repositories --lib whatever_is_applied` tests more
//! pairs. `PAIRS_FROM=42 PAIRS=1` tests only the pair with the seed 42. The message of a failure
//! contains the seed and the files.

mod dice;
mod entries;
mod environments;
mod files;
mod harm;
mod import;
mod lists;
mod names;
mod state;
mod storm;
mod weather;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use beadle_engine::{
    ApplyContext, Budgets, Clock, Failure, Key, Lane, Limits, Mode, Plan, Planner as _, Remembered,
    StepResult, Store, Time, WritePace, apply,
};
use beadle_github::{Api, Credential, Endpoint, Reader, Writer};
use beadle_sim::Sim;
use beadle_store_sqlite::{SqliteSettings, SqliteStore};
use beadle_transport::{ClientSettings, Exchanged, Wire};
use bytes::Bytes;
use secrecy::SecretString;
use serde_json::Value;

use self::dice::Dice;
use self::files::Files;
use self::state::ORGANISATION;
use self::weather::Act;
use crate::{Modes, Policy, PolicyError, PolicyHandle, RepositoryPlanner, RepositoryWriter, Secrets, Shard};

/// The number of pairs in a test run if `PAIRS` is not set.
const USUAL: u64 = 150;
/// The maximum number of times that Beadle applies the policy of a pair. The final apply must not
/// write anything.
const ROUNDS: usize = 5;
/// The budget of the simulated GitHub. The budget is so large that no test uses it up.
const PLENTY: u64 = 1_000_000_000;

/// The messages that GitHub sometimes returns when it refuses a change that a valid policy asks
/// for. Validation cannot predict these messages, because it does not know the live state. Each
/// message comes with the reason why GitHub refuses the change.
const REFUSALS: &[(&str, &str)] = &[
    ("no_merge_method", "the other ways to merge are off already, which no file says"),
    ("does not go with", "the title or the message is the live one"),
    ("Vulnerability alerts must be enabled", "the alerts are off, which no file says"),
    ("name already exists on this account", "another repository has the name"),
    ("key is already in use", "another repository has the deploy key"),
    ("is no Team of this organization", "a ruleset names a team by its id, and somebody deleted it"),
];

struct InProcess(Arc<Sim>);

#[async_trait::async_trait]
impl Wire for InProcess {
    async fn exchange(&self, request: http::Request<Bytes>) -> Result<Exchanged, String> {
        self.0.exchange(request).await.ok_or_else(|| "the connection broke".to_owned())
    }
}

/// The result of a pair.
#[derive(Debug)]
enum Outcome {
    /// Validation rejected the policy. The text is the first problem that validation found.
    Refused(String),
    /// Beadle applied the policy.
    Applied(Counts),
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    written: usize,
    unknown: usize,
    refused: usize,
    /// The number of pairs in which every apply wrote something. This happens if a layer selects
    /// repositories by values that other files set.
    moved: usize,
    /// The number of pairs in which Beadle had to write in more than two applies. An apply that
    /// writes an approved change does not count.
    slow: usize,
}

/// The result of one apply of the whole policy.
#[derive(Default)]
struct Round {
    /// The aspects that were completely unknown. The key is the id of the repository.
    doubts: BTreeMap<String, BTreeSet<String>>,
    /// The changes that are still in the plan. Unknown and refused changes are not included.
    left: Vec<String>,
    /// The changes that GitHub refused. Each change comes with GitHub's reason.
    refusals: Vec<String>,
    written: usize,
    /// The changes that Beadle tried to write.
    made: Vec<String>,
    /// The number of changes that needed an approval.
    held: usize,
    /// The number of write calls that GitHub received.
    calls: usize,
}

struct Stage {
    sim: Arc<Sim>,
    store: Arc<dyn Store>,
    clock: Clock,
    policy: Policy,
    token: String,
}

impl Stage {
    /// Prepares an apply with a new store. The apply starts with the present state of the simulated
    /// GitHub.
    fn open(sim: &Arc<Sim>, path: &Path, policy: Policy) -> Result<Self, String> {
        let store = SqliteStore::open_inline(path, SqliteSettings::default());
        let store: Arc<dyn Store> = Arc::new(store.map_err(|error| error.to_string())?);
        let clock = Clock::simulated(Time::from_seconds(1_800_000_000));
        Ok(Self { sim: sim.clone(), store, clock, policy, token: sim.token() })
    }

    /// Creates a planner and a writer without any memory of earlier applies.
    fn parts(&self) -> Result<(RepositoryPlanner, RepositoryWriter), String> {
        let wire = Arc::new(InProcess(self.sim.clone()));
        let settings = ClientSettings {
            rest_points: u32::MAX,
            graphql_points: u32::MAX,
            wire: Some(wire),
            ..ClientSettings::default()
        };
        let endpoint = Endpoint::new(&self.sim.url());
        let credential = Credential::Token(SecretString::from(self.token.as_str()));
        let budgets = Budgets::new(ORGANISATION, 0);
        let api = Api::new(&endpoint, ORGANISATION, credential, budgets, &self.clock, settings)?;
        let reader = Reader::new(api.clone(), self.policy.asks());
        let modes = Modes { organisation: Mode::Enforce, ..Modes::default() };
        let secrets = Secrets::from([("hook".to_owned(), SecretString::from("a secret of a webhook"))]);
        let planner = RepositoryPlanner::new(reader.clone(), PolicyHandle::new(self.policy.clone()), modes)
            .lending(secrets)
            .remembering(self.store.clone());
        Ok((planner, RepositoryWriter::new(Writer::new(api), reader)))
    }

    /// Applies the policy. The function then approves the changes that the guard held, so that the
    /// next apply writes them.
    async fn round(&self) -> Result<Round, String> {
        let round = self.applied().await?;
        for hold in self.store.holds().await.map_err(|error| error.to_string())? {
            let approved = self.store.approve(&hold.digest, "somebody", self.clock.now()).await;
            approved.map_err(|error| error.to_string())?;
        }
        self.clock.sleep(Duration::from_secs(5)).await;
        Ok(round)
    }

    async fn applied(&self) -> Result<Round, String> {
        let (planner, writer) = self.parts()?;
        self.sim.forget_calls();
        let whole = planner.organisation(ORGANISATION, &[], Shard::default(), &|_, _| {}).await;
        let whole = whole.map_err(|failure| format!("the plan failed: {}", failure.text))?;
        if let Some(short) = whole.short {
            return Err(format!("the list of repositories is short: {short}"));
        }
        let mut round = Round::default();
        let planned = self.clock.now();
        for (key, plan) in &whole.plans {
            let gate = self.gate(plan.generation.clone(), planned);
            let failed = |failure: Failure| format!("{}: {}", plan.subject, failure.text);
            let remembered = Remembered::read(key, &gate).await.map_err(failed)?;
            let report = apply(key, plan, &writer, &gate, remembered, &|_, _| {}).await.map_err(failed)?;
            let unknown: BTreeSet<&str> =
                plan.unknowns.iter().map(|unknown| unknown.aspect.as_str()).collect();
            let in_doubt = plan.unknowns.iter().filter(|unknown| unknown.part.is_none());
            let in_doubt = in_doubt.map(|unknown| unknown.aspect.clone()).collect();
            round.doubts.insert(key.id().to_owned(), in_doubt);
            for step in &report.steps {
                let change = &step.change;
                let shown =
                    || format!("{}: {} {} {:?}", plan.subject, change.aspect, change.what, change.fields);
                match &step.outcome {
                    StepResult::Failed(why) => round.refusals.push(format!("{why} ({})", shown())),
                    // If a change depends on another change, the test checks only that other
                    // change.
                    StepResult::Blocked => {}
                    outcome => {
                        round.written += usize::from(*outcome == StepResult::Written);
                        round.held += usize::from(matches!(outcome, StepResult::Held { .. }));
                        round.made.push(format!("{} is {outcome:?}", shown()));
                        if !unknown.contains(change.aspect.as_str()) {
                            round.left.push(format!("{} is {outcome:?}", shown()));
                        }
                    }
                }
            }
        }
        round.calls = self.sim.calls().iter().filter(|call| call["writes"] == true).count();
        Ok(round)
    }

    fn gate(&self, generation: String, planned: Time) -> ApplyContext {
        let most = 1_000_000;
        let limits = Limits {
            removes: most,
            weakens: most,
            exposes: most,
            repeats: 0,
            percent: 100,
            repositories: most,
            ..Limits::default()
        };
        let (store, clock) = (self.store.clone(), self.clock.clone());
        let pace = WritePace::new(Duration::ZERO);
        let lane = Lane::Manual;
        ApplyContext { store, clock, lease: None, lane, limits, pace, patient: true, generation, planned }
    }

    /// Makes a change directly at GitHub. GitHub can refuse this change.
    async fn act(&self, act: &Act) -> Result<(), String> {
        let body = if act.body.is_null() { Bytes::new() } else { Bytes::from(act.body.to_string()) };
        let request = http::Request::builder()
            .method(act.method.clone())
            .uri(format!("{}/{}", self.sim.url(), act.path))
            .header("authorization", format!("Bearer {}", self.token))
            .body(body);
        let request = request.map_err(|error| error.to_string())?;
        let answer = self.sim.exchange(request).await;
        answer.map(drop).ok_or_else(|| "the connection broke".to_owned())
    }

    /// If the plan of all repositories is empty, the function checks that the plan of a single
    /// repository is also empty.
    async fn is_quiet_alone(&self) -> Result<(), String> {
        let (planner, _) = self.parts()?;
        let state = self.sim.state();
        let Some((id, _)) = harm::repositories(&state).into_iter().next() else { return Ok(()) };
        let key = Key::new("repository", ORGANISATION, id);
        let plan: Plan<_> = planner.plan(&key, None, Lane::Manual).await.map_err(|failure| failure.text)?;
        let is_known = |aspect: &str| plan.unknowns.iter().all(|unknown| unknown.aspect != aspect);
        match plan.changes.iter().find(|change| is_known(&change.aspect)) {
            Some(change) => Err(format!(
                "{} is quiet in the plan of all, and not in its own: {} {} {:?}",
                plan.subject, change.aspect, change.what, change.fields
            )),
            None => Ok(()),
        }
    }
}

/// Tests a pair: applies its policy and checks the result. For some pairs, the function then
/// changes something directly at GitHub, applies the policy again, and checks the result again.
async fn both(stage: &Stage, files: &Files, before: &Value, dice: &mut Dice) -> Result<Counts, String> {
    let fault = dice.chance(20).then(|| weather::fault(dice));
    let is_faulty = fault.is_some();
    let shown = format!("{fault:?}");
    if let Some(fault) = fault {
        stage.sim.fault(fault);
    }
    let mut counts = settle(stage, files, before, is_faulty)
        .await
        .map_err(|why| if is_faulty { format!("{why}\n\nThe fault: {shown}") } else { why })?;
    if dice.chance(30) {
        let acts = weather::acts(dice, &stage.sim.state());
        for act in &acts {
            stage.act(act).await?;
        }
        let before = stage.sim.state();
        let more = settle(stage, files, &before, false).await;
        let more = more.map_err(|why| format!("{why}\n\nAfter what was done by hand: {acts:#?}"))?;
        counts.written += more.written;
        counts.unknown += more.unknown;
        counts.refused += more.refused;
        counts.moved += more.moved;
        counts.slow += more.slow;
    }
    Ok(counts)
}

/// Applies the policy until an apply writes nothing. If the test makes reads fail, they fail only
/// in the first apply.
async fn settle(stage: &Stage, files: &Files, before: &Value, is_faulty: bool) -> Result<Counts, String> {
    let settled = settle_once(stage, files, before, is_faulty).await;
    // A file never changes its own selection of repositories (`files::agree`). But another file can
    // change this selection. Validation cannot notice such a change, because the other file might
    // not apply to the repository.
    match settled {
        Err(why) if why.starts_with("GitHub refused") => Err(why),
        Err(why)
            if files::selects_by_what_is_written(files)
                && (why.starts_with("it is not quiet")
                    || harm::selects_otherwise(before, &stage.sim.state())) =>
        {
            Ok(Counts { moved: 1, ..Counts::default() })
        }
        settled => settled,
    }
}

async fn settle_once(
    stage: &Stage,
    files: &Files,
    before: &Value,
    is_faulty: bool,
) -> Result<Counts, String> {
    let mut counts = Counts::default();
    let (mut last, mut writing) = (Round::default(), 0);
    for n in 0..ROUNDS {
        let tried = stage.round().await;
        let faulty = n == 0 && is_faulty;
        stage.sim.no_faults();
        let round = match tried {
            // Even if the apply failed, the code below must compare the state. The function
            // therefore returns the error later.
            Err(_) if faulty => continue,
            tried => tried?,
        };
        if n == 0 {
            no_removal_on_doubt(&round, before, &stage.sim.state())?;
        }
        let is_expected = |refusal: &&String| REFUSALS.iter().any(|(text, _)| refusal.contains(text));
        if let Some(refusal) = round.refusals.iter().find(|refusal| !is_expected(refusal)) {
            return Err(format!("GitHub refused what the check takes: {refusal}"));
        }
        counts.written += round.written;
        counts.refused += round.refusals.len();
        writing += usize::from(round.calls > 0 && last.held == 0 && !faulty);
        last = round;
        // At this point, the test has already approved all changes that the guard held.
        if last.calls == 0 && last.held == 0 && !faulty {
            break;
        }
    }
    if !last.left.is_empty() {
        return Err(format!("it is not quiet after {ROUNDS} applies:\n  {}", last.left.join("\n  ")));
    }
    if last.calls > 0 && last.refusals.is_empty() {
        return Err(format!(
            "apply {ROUNDS} still made {} calls that write, of aspects in doubt:\n  {}",
            last.calls,
            last.made.join("\n  ")
        ));
    }
    if last.made.is_empty() && last.refusals.is_empty() {
        let again = stage.round().await?;
        if again.calls > 0 || !again.made.is_empty() {
            let made = again.made.join("\n  ");
            return Err(format!(
                "after an empty plan, an apply made {} calls that write:\n  {made}",
                again.calls
            ));
        }
    }
    counts.slow = usize::from(writing > 2);
    counts.unknown = last.doubts.values().map(BTreeSet::len).sum();
    if last.refusals.is_empty() {
        stage.is_quiet_alone().await?;
    }
    let strays = harm::strays(files, before, &stage.sim.state());
    if strays.is_empty() {
        Ok(counts)
    } else {
        Err(format!("it changed what no file names:\n  {}", strays.join("\n  ")))
    }
}

fn no_removal_on_doubt(round: &Round, before: &Value, after: &Value) -> Result<(), String> {
    let (before, after) = (harm::repositories(before), harm::repositories(after));
    for (id, aspects) in &round.doubts {
        let id: u64 = id.parse().unwrap_or_default();
        let (Some(old), Some(new)) = (before.get(&id), after.get(&id)) else { continue };
        for aspect in aspects {
            let lost = harm::lost(aspect, old, new);
            if !lost.is_empty() {
                return Err(format!("{aspect} of {} is in doubt, and lost {lost:?}", old["name"]));
            }
        }
    }
    Ok(())
}

async fn one(seed: u64, sim: &Arc<Sim>, folder: &Path) -> Result<Outcome, String> {
    let mut dice = Dice::new(seed);
    let state = state::state(&mut dice);
    let files = files::files(&mut dice, &state);
    let texts: BTreeMap<String, String> =
        files.iter().map(|(file, body)| (file.clone(), format!("{body:#}"))).collect();
    let policy = match Policy::from_sources(texts, "admin", Path::new("policy")) {
        Ok(policy) => policy,
        Err(PolicyError::Invalid { problems, .. }) => {
            let first = problems.iter().find(|problem| problem.severity == crate::Severity::Error);
            return Ok(Outcome::Refused(first.map(|problem| kind(&problem.message)).unwrap_or_default()));
        }
        Err(error) => return Err(error.to_string()),
    };
    sim.begin_with(state.doc);
    let before = sim.state();
    let path = folder.join(format!("{seed}.db"));
    let stage = Stage::open(sim, &path, policy)?;
    let settled = both(&stage, &files, &before, &mut dice).await;
    for ending in ["", "-wal", "-shm"] {
        // The test ignores an error here, because it deletes the whole folder at the end.
        let _ = std::fs::remove_file(format!("{}{ending}", path.display()));
    }
    settled.map(Outcome::Applied).map_err(|why| {
        let shown: Vec<String> = files.iter().map(|(file, body)| format!("--- {file}\n{body:#}\n")).collect();
        let organisation = &before["orgs"][ORGANISATION];
        format!("{why}\n\nThe policy:\n{}\nThe organisation before:\n{organisation:#}", shown.concat())
    })
}

/// Returns the text of a finding without names. Without names, all findings of the same kind have
/// the same text, and the test counts them together.
fn kind(message: &str) -> String {
    message.split('`').step_by(2).collect::<Vec<_>>().join("`_`")
}

fn number(name: &str, usual: u64) -> u64 {
    #[expect(clippy::disallowed_methods, reason = "how many, and which, is said on the command line")]
    let said = std::env::var(name).ok();
    said.and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// Returns a simulated GitHub with budgets that are never used up.
async fn simulated() -> Arc<Sim> {
    let limits = beadle_sim::Limits {
        core: PLENTY,
        graphql: PLENTY,
        rest_points: PLENTY,
        graphql_points: PLENTY,
        ..beadle_sim::Limits::default()
    };
    let settings = beadle_sim::Settings { limits, ..beadle_sim::Settings::default() };
    Arc::new(Sim::start(([127, 0, 0, 1], 0).into(), settings).await.unwrap())
}

/// Returns a new folder for the stores. The folder is in memory if the system allows this.
fn folder() -> tempfile::TempDir {
    let shared = Path::new("/dev/shm");
    if shared.is_dir() { tempfile::tempdir_in(shared) } else { tempfile::tempdir() }.unwrap()
}

#[tokio::test(start_paused = true)]
async fn whatever_is_applied_comes_to_rest_and_harms_nothing() {
    let (sim, folder) = (simulated().await, folder());
    let (from, count) = (number("PAIRS_FROM", 0), number("PAIRS", USUAL));
    let mut refused: BTreeMap<String, u64> = BTreeMap::new();
    let (mut all, mut failures) = (Counts::default(), Vec::new());
    for seed in from..from + count {
        match Box::pin(one(seed, &sim, folder.path())).await {
            Ok(Outcome::Applied(counts)) => {
                all.written += counts.written;
                all.unknown += counts.unknown;
                all.refused += counts.refused;
                all.moved += counts.moved;
                all.slow += counts.slow;
            }
            Ok(Outcome::Refused(why)) => *refused.entry(why).or_default() += 1,
            Err(why) => failures.push(format!("seed {seed}: {why}\n\nAgain: PAIRS_FROM={seed} PAIRS=1")),
        }
    }
    // Prints one line for each failure, and all details of the first failure.
    for failure in &failures {
        eprintln!("{}", failure.lines().take(2).collect::<Vec<_>>().join(" "));
    }
    if let Some(first) = failures.first() {
        panic!("{} of {count} pairs failed; {first}", failures.len());
    }
    let not_taken: u64 = refused.values().sum();
    eprintln!("{count} pairs: the check refused {not_taken}; {all:?}");
    for (why, times) in &refused {
        eprintln!("  {times} times: {why}");
    }
    assert!(count < 20 || not_taken * 2 <= count, "the check refuses more than half of the policies");
    assert!(count < 20 || all.written > 0, "nothing was ever written: nothing was tried");
    assert!(
        count < 20 || all.moved * 100 <= 200 + usize::try_from(count).unwrap_or(0),
        "too many pairs do not rest: {all:?}"
    );
}
