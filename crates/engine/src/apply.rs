//! From a plan to its writes: modes, the guard, the lease, the journal, in this order, before every write.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;
use serde_json::json;

use crate::budget::current_lane;
use crate::clock::{Clock, Time};
use crate::failure::{Class, Failure};
use crate::guard::{Hold, Limits, Verdict};
use crate::journal::{Entry, EntryKind};
use crate::key::{Key, Lane};
use crate::pace::WritePace;
use crate::plan::{Change, Field, Plan, Risk, Unknown};
use crate::queue::Lease;
use crate::store::{Listing, Store};

/// Reads both sides and says what has to be written. What implements it holds no means to write.
#[async_trait]
pub trait Planner: Send + Sync + 'static {
    /// How a change of this planner is written.
    type Write: Send + Sync + 'static;
    /// Plans one key. `hint` is the vendor's faster name for it, to be checked against the key.
    async fn plan(&self, key: &Key, hint: Option<&str>) -> Result<Plan<Self::Write>, Failure>;
    /// The policy's generation that plans are made by now.
    fn generation(&self) -> String;
    /// Whether a key is set aside for a name that does not exist. Where one name can be meant for every key there is, the
    /// fault is the policy's and no key's: the next generation, event or sweep looks again.
    fn parks_unresolved(&self) -> bool {
        true
    }
}

/// Writes changes.
#[async_trait]
pub trait Writer<W>: Send + Sync + 'static {
    /// Resolves again what the key is called now, before a run's first write.
    async fn open(&self, key: &Key, plan: &Plan<W>) -> Result<Box<dyn Session<W>>, Failure>;
}

/// The writes of one run, addressed to what [`Writer::open`] found.
#[async_trait]
pub trait Session<W>: Send + Sync {
    /// Writes one change. Writing it twice does no harm.
    async fn write(&self, change: &Change<W>) -> Result<(), Failure>;
}

/// What stands between a plan and its writes.
#[derive(Clone)]
pub struct Gate {
    /// Where the window, the holds and the journal are.
    pub store: Arc<dyn Store>,
    /// Time.
    pub clock: Clock,
    /// The right to work on the key; `None` for an operator's command on a store that no service uses.
    pub lease: Option<Lease>,
    /// The window's limits.
    pub limits: Limits,
    /// The turns of bulk writes.
    pub pace: WritePace,
    /// Waits for its turn in its place: for commands, that have no queue to wait in.
    pub patient: bool,
    /// The policy's generation that the plan was made by.
    pub generation: String,
}

/// What became of one change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "result", content = "why")]
pub enum StepResult {
    /// It was written.
    Written,
    /// The mode does not allow it.
    Withheld,
    /// The guard stopped it: the digest to approve, and why.
    Held {
        /// By this it is approved.
        digest: String,
        /// Which limit stopped it.
        why: String,
    },
    /// A change that it depends on was not written.
    Blocked,
    /// The run ended before it.
    NotReached,
    /// The write failed.
    Failed(String),
}

/// One change of a plan, and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// The change.
    pub change: Change<()>,
    /// What became of it.
    pub outcome: StepResult,
}

/// What became of a plan.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The thing's name for people.
    pub subject: String,
    /// Every change, in order.
    pub steps: Vec<Step>,
    /// What could not be read or resolved.
    pub unknowns: Vec<Unknown>,
    /// Why nothing was planned at all.
    pub skipped: Option<String>,
    /// The failure that the run as a whole reports, if one step failed: the one that asks for the longest patience.
    #[serde(skip)]
    pub failure: Option<Failure>,
}

impl Report {
    /// How many steps came out like this.
    pub fn count(&self, wanted: impl Fn(&StepResult) -> bool) -> usize {
        self.steps.iter().filter(|step| wanted(&step.outcome)).count()
    }

    /// Of a plan of which nothing is to be written.
    pub fn of_nothing<W>(plan: &Plan<W>) -> Self {
        Self {
            subject: plan.subject.clone(),
            steps: Vec::new(),
            unknowns: plan.unknowns.clone(),
            skipped: plan.skipped.clone(),
            failure: None,
        }
    }

    /// Whether only people can mend what is unknown, in the policy or at the vendor, and nothing else went wrong.
    pub fn is_for_people(&self) -> bool {
        self.failure.is_none() && self.unknowns.iter().all(|unknown| !unknown.transient)
    }

    /// The failure of the run as a whole: a step's, or that something could not be read or resolved.
    pub fn verdict(&self) -> Option<Failure> {
        self.failure.clone().or_else(|| {
            let unknown = self.unknowns.iter().find(|unknown| unknown.transient).or(self.unknowns.first())?;
            let class = if unknown.transient { Class::Retry } else { Class::Rejected };
            Some(Failure::new(class, format!("{} is unknown: {}", unknown.aspect, unknown.why)))
        })
    }
}

/// Applies a plan as far as modes and guard allow. One failing change stops only what depends on it; a used-up budget,
/// a conflict or a lost lease ends the run. `told` hears of each step as it is known.
pub async fn apply<W: Send + Sync + 'static>(
    key: &Key,
    plan: &Plan<W>,
    writer: &dyn Writer<W>,
    gate: &Gate,
    told: &(dyn Fn(usize, &StepResult) + Send + Sync),
) -> Result<Report, Failure> {
    let (mut results, asked) = judge(key, plan, gate).await?;
    for (at, result) in results.iter().enumerate() {
        if let Some(result) = result {
            told(at, result);
        }
    }
    let lane = current_lane();
    let writes = results.iter().filter(|result| result.is_none()).count();
    while let Err(until) = gate.pace.book(key, writes, lane, gate.clock.now()) {
        if !gate.patient {
            return Err(turn(until));
        }
        gate.clock.sleep_until(until).await;
    }
    let begun = gate.clock.now();
    let mut failure: Option<Failure> = None;
    let mut session = None;
    for (at, change) in plan.changes.iter().enumerate() {
        if results[at].is_some() {
            continue;
        }
        let result = if failure.as_ref().is_some_and(ends_run) {
            StepResult::NotReached
        } else if change.after.iter().any(|before| results[*before] != Some(StepResult::Written)) {
            StepResult::Blocked
        } else {
            if session.is_none() {
                let opened = writer.open(key, plan).await;
                session = Some(opened.inspect_err(|_| gate.pace.settle(gate.clock.now()))?);
            }
            let Some(session) = &session else { continue };
            gate.pace.turn(lane, &gate.clock).await;
            let now = gate.clock.now();
            if !gate.patient && lane != Lane::Event && now.since(begun) > LONGEST {
                // The rest has its turn after the others; it is planned anew then.
                failure = Some(graver(failure, turn(now)));
                told(at, &StepResult::NotReached);
                results[at] = Some(StepResult::NotReached);
                continue;
            }
            match write(key, plan, change, session.as_ref(), gate, asked.contains(&at)).await {
                Ok(()) => StepResult::Written,
                Err(error) => {
                    let text = error.text.clone();
                    failure = Some(graver(failure, error));
                    StepResult::Failed(text)
                }
            }
        };
        told(at, &result);
        results[at] = Some(result);
    }
    gate.pace.settle(gate.clock.now());
    let steps = plan.changes.iter().zip(results);
    Ok(Report {
        subject: plan.subject.clone(),
        steps: steps
            .map(|(change, result)| Step {
                change: change.describe(),
                outcome: result.unwrap_or(StepResult::NotReached),
            })
            .collect(),
        unknowns: plan.unknowns.clone(),
        skipped: plan.skipped.clone(),
        failure,
    })
}

/// How long a run makes bulk writes before it lets others have their turns.
const LONGEST: Duration = Duration::from_secs(120);

fn turn(until: Time) -> Failure {
    let text = "it waits for its turn among the bulk writes";
    Failure::new(Class::RateLimited { until, spares_events: true }, text)
}

/// A hold whose change is no longer planned is over, and so is its approval; where an aspect is unknown, nothing is.
pub async fn forget_what_is_mended<W>(key: &Key, plan: &Plan<W>, gate: &Gate) -> Result<(), Failure> {
    let held = gate.store.holds_of(key).await?;
    if held.is_empty() {
        return Ok(());
    }
    let planned: Vec<String> = plan.changes.iter().map(|change| change.digest(key)).collect();
    let unknown = |aspect: &str| plan.unknowns.iter().any(|unknown| unknown.aspect == aspect);
    // What is contested stays so until somebody approves it, or another generation asks for something else.
    let stays = |hold: &Hold| hold.contested && hold.approved_by.is_none();
    let over = held
        .into_iter()
        .filter(|hold| !planned.contains(&hold.digest) && !unknown(&hold.change.aspect) && !stays(hold));
    let over: Vec<String> = over.map(|hold| hold.digest).collect();
    if !over.is_empty() {
        gate.store.release(over).await?;
    }
    Ok(())
}

/// Decides, for the whole plan before its first write, what modes and guard let pass: `None` may be written.
/// And which changes the guard was asked for.
async fn judge<W>(
    key: &Key,
    plan: &Plan<W>,
    gate: &Gate,
) -> Result<(Vec<Option<StepResult>>, HashSet<usize>), Failure> {
    let mut results: Vec<Option<StepResult>> = Vec::with_capacity(plan.changes.len());
    let now = gate.clock.now();
    let contested = contested(key, plan, gate).await?;
    let mut asked = Vec::new();
    let mut places = Vec::new();
    for (at, change) in plan.changes.iter().enumerate() {
        let risks = change.risks();
        // A removal on a doubt never leaves the plan, whatever planned it.
        let doubtful = risks.count(Risk::Removes) > 0
            && plan.unknowns.iter().any(|u| u.aspect == change.aspect && u.part.is_none());
        let allowed = change.mode.allows(&risks) && !doubtful;
        results.push((!allowed).then_some(StepResult::Withheld));
        let fought_over = contested.get(change.aspect.as_str());
        let stop = fought_over.or(change.stop.as_ref());
        if allowed && (risks.is_guarded() || stop.is_some()) {
            places.push(at);
            asked.push(Hold {
                digest: change.digest(key),
                key: key.clone(),
                subject: plan.subject.clone(),
                since: now,
                why: stop.cloned().unwrap_or_default(),
                contested: fought_over.is_some(),
                approved_by: None,
                generation: gate.generation.clone(),
                change: change.describe(),
            });
        }
    }
    let guarded: HashSet<usize> = places.iter().copied().collect();
    if asked.is_empty() {
        return Ok((results, guarded));
    }
    let digests: Vec<_> = asked.iter().map(|hold| hold.digest.clone()).collect();
    let verdicts = gate.store.reserve(gate.lease.as_ref(), &gate.limits, asked, now).await?;
    let verdicts = verdicts.ok_or_else(lease_lost)?;
    for ((at, digest), verdict) in places.into_iter().zip(digests).zip(verdicts) {
        if let Verdict::Hold(why) = verdict {
            results[at] = Some(StepResult::Held { digest, why });
        }
    }
    Ok((results, guarded))
}

/// How far back repeated repairs are counted.
const HOUR: Duration = Duration::from_secs(3600);

/// The aspects of which a planned change was made too often already: somebody else writes it too. Each with what to say.
async fn contested<'a, W>(
    key: &Key,
    plan: &'a Plan<W>,
    gate: &Gate,
) -> Result<HashMap<&'a str, String>, Failure> {
    let mut found = HashMap::new();
    if plan.changes.is_empty() || gate.limits.repeats == 0 {
        return Ok(found);
    }
    // What was contested before stays so, whoever has the upper hand.
    for hold in gate.store.holds_of(key).await?.into_iter().filter(|hold| hold.contested) {
        let planned = plan.changes.iter().find(|change| change.aspect == hold.change.aspect);
        if let (None, Some(change)) = (&hold.approved_by, planned) {
            found.insert(change.aspect.as_str(), hold.why);
        }
    }
    let since = Some(gate.clock.now() - HOUR);
    let listing = Listing { after: 0, since, key: Some(key.to_string()), limit: u32::MAX };
    let entries = gate.store.entries(listing).await?;
    let failed: HashSet<u64> = entries
        .iter()
        .filter(|entry| entry.kind == EntryKind::Result && entry.detail["written"] == json!(false))
        .filter_map(|entry| entry.intent)
        .collect();
    let mut made: HashMap<(String, String, String, String), u32> = HashMap::new();
    let counts = |entry: &&Entry| {
        entry.kind == EntryKind::Intent
            && !failed.contains(&entry.seq)
            && entry.detail["generation"] == json!(gate.generation)
    };
    for entry in entries.iter().filter(counts) {
        if let Ok(change) = serde_json::from_value::<Change<()>>(entry.detail.clone()) {
            for field in &change.fields {
                *made.entry(effect(&change, field)).or_default() += 1;
            }
        }
    }
    for change in &plan.changes {
        let times = change.fields.iter().filter_map(|field| made.get(&effect(change, field)).copied()).max();
        let times = times.unwrap_or(0);
        if times >= gate.limits.repeats && !found.contains_key(change.aspect.as_str()) {
            let why = format!(
                "contested: the same change was made {times} times within an hour and is undone each time; find who else \
                 writes it (`beadle journal --key {key}`)"
            );
            tracing::warn!(%key, aspect = change.aspect, times, "contested: somebody else writes it too; it is left alone");
            found.insert(change.aspect.as_str(), why);
        }
    }
    Ok(found)
}

/// What a field of a change comes to, whatever it was before.
fn effect<W>(change: &Change<W>, field: &Field) -> (String, String, String, String) {
    (change.aspect.clone(), change.what.clone(), field.name.clone(), field.after.to_string())
}

async fn write<W: Send + Sync + 'static>(
    key: &Key,
    plan: &Plan<W>,
    change: &Change<W>,
    session: &dyn Session<W>,
    gate: &Gate,
    asked: bool,
) -> Result<(), Failure> {
    let mut detail =
        serde_json::to_value(change.describe()).map_err(|error| Failure::new(Class::Fatal, error))?;
    detail["generation"] = json!(gate.generation);
    let entry = |kind, intent, detail| Entry {
        seq: 0,
        at: gate.clock.now(),
        kind,
        key: key.to_string(),
        subject: plan.subject.clone(),
        intent,
        detail,
    };
    fail::fail_point!("before-intent", |_| std::process::abort());
    // The fenced write of the intent is also the check of the lease before the vendor is touched.
    let intent = vec![entry(EntryKind::Intent, None, detail)];
    let intent =
        gate.store.journal(gate.lease.as_ref(), intent, gate.clock.now()).await?.ok_or_else(lease_lost)?[0];
    fail::fail_point!("between-intent-and-write", |_| std::process::abort());
    let written = session.write(change).await;
    fail::fail_point!("between-write-and-result", |_| std::process::abort());
    let detail = match &written {
        Ok(()) => json!({ "written": true }),
        Err(failure) => json!({ "written": false, "why": failure.text }),
    };
    let result = vec![entry(EntryKind::Result, Some(intent), detail)];
    gate.store.journal(None, result, gate.clock.now()).await?;
    if written.is_ok() && asked {
        // If somebody approved it, that was for this one time.
        gate.store.release(vec![change.digest(key)]).await?;
    }
    written
}

fn lease_lost() -> Failure {
    Failure::new(Class::Conflict, "another worker took this key over; this run wrote nothing more")
}

fn ends_run(failure: &Failure) -> bool {
    matches!(failure.class, Class::RateLimited { .. } | Class::Conflict)
}

/// Of two failures, the one whose treatment covers the other.
fn graver(first: Option<Failure>, second: Failure) -> Failure {
    let weight = |failure: &Failure| match failure.class {
        Class::Rejected => 0,
        Class::Retry => 1,
        Class::Conflict => 2,
        Class::RateLimited { .. } => 3,
        Class::Fatal => 4,
    };
    match first {
        Some(first) if weight(&first) >= weight(&second) => first,
        _ => second,
    }
}
