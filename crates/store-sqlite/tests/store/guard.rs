//! Compares the guard with a simple specification: no window has more writes than the limit allows.
//! A change of several repositories counts once for each repository. The test runs random schedules
//! of changes, lost answers, refusals, kills, approvals, pauses and generations. Two processes
//! share one file.
//!
//! `GUARD_SCHEDULES=1000 cargo test -p beadle-store-sqlite guard` tries more schedules than CI
//! does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use beadle_engine::store::prelude::*;
use beadle_engine::{
    Begun, Change, End, Entry, EntryKind, Field, Hold, Intent, Key, Limits, Mode, Risk, Time, Verdict,
};
use beadle_store_sqlite::{SqliteSettings, SqliteStore};
use proptest::prelude::*;
use serde_json::json;

const WINDOW: Duration = Duration::from_secs(600);
/// The number of repositories in the organisation.
const AMONG: u32 = 10;
const ASPECTS: [&str; 2] = ["teams", "rulesets"];

fn limits() -> Limits {
    Limits {
        window: WINDOW,
        removes: 6,
        weakens: 5,
        exposes: 2,
        repeats: 0,
        percent: 40,
        repositories: 3,
        among: Some(AMONG),
    }
}

/// A change that becomes necessary again and again, because of drift or another writer.
#[derive(Clone, Copy, Debug)]
struct What {
    key: u64,
    aspect: usize,
    risk: Risk,
    reaches: u32,
}

/// How a write ends.
#[derive(Clone, Copy, Debug)]
enum How {
    Written,
    /// The vendor made the change, and the vendor's answer was lost.
    Lost,
    /// The answer was a 5xx status, and the vendor did not make the change. The process cannot know
    /// whether the vendor made the change.
    Failed,
    Refused,
    /// The process is killed before the write. In the next two cases, the process is killed after
    /// the write, or the run does not reach the change.
    KilledBefore,
    KilledAfter,
    NotReached,
}

#[derive(Clone, Debug)]
enum Op {
    /// A run of one of the two processes. The run submits all changes to the guard, and then writes
    /// them in order. `apart` is the time between two writes.
    Run {
        process: usize,
        changes: Vec<(What, How)>,
        apart: u16,
    },
    Approve(u8),
    Pause(u16),
    Resume,
    Generation,
    Advance(u32),
    /// A process ends, and another one opens the file.
    Restart(usize),
}

fn whats() -> impl Strategy<Value = What> {
    let risk = prop_oneof![4 => Just(Risk::Removes), 3 => Just(Risk::Weakens), 1 => Just(Risk::Exposes), 1 => Just(Risk::Adds)];
    let reaches = prop_oneof![8 => Just(1_u32), 1 => 2..6_u32];
    (0..u64::from(AMONG), 0..ASPECTS.len(), risk, reaches).prop_map(|(key, aspect, risk, reaches)| What {
        key,
        aspect,
        risk,
        reaches,
    })
}

fn hows() -> impl Strategy<Value = How> {
    prop_oneof![
        5 => Just(How::Written),
        2 => Just(How::Lost),
        1 => Just(How::Failed),
        2 => Just(How::Refused),
        1 => Just(How::KilledBefore),
        1 => Just(How::KilledAfter),
        1 => Just(How::NotReached),
    ]
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let run = (0..2_usize, proptest::collection::vec((whats(), hows()), 1..4), 0..20_000_u16);
    let op = prop_oneof![
        10 => run.prop_map(|(process, changes, apart)| Op::Run { process, changes, apart }),
        2 => any::<u8>().prop_map(Op::Approve),
        1 => (1..60_000_u16).prop_map(Op::Pause),
        1 => Just(Op::Resume),
        1 => Just(Op::Generation),
        3 => prop_oneof![0..60_000_u32, 0..700_000_u32].prop_map(Op::Advance),
        1 => (0..2_usize).prop_map(Op::Restart),
    ];
    proptest::collection::vec(op, 1..40)
}

/// A write without an approval. The vendor made the write, or might have made the write.
#[derive(Clone, Debug)]
struct Made {
    at: Time,
    what: What,
}

struct World {
    path: std::path::PathBuf,
    processes: [Arc<SqliteStore>; 2],
    now: Time,
    generation: u32,
    made: Vec<Made>,
    /// The digests of changes with an unused approval.
    approved: BTreeSet<String>,
    paused_until: Time,
}

fn digest(what: &What) -> String {
    format!("{}-{}-{}-{}", what.key, what.aspect, what.risk, what.reaches)
}

impl World {
    fn open(path: &std::path::Path) -> Arc<SqliteStore> {
        Arc::new(SqliteStore::open_inline(path, SqliteSettings::default()).unwrap())
    }

    fn hold(&self, what: &What) -> Hold {
        let field =
            Field { name: "x".into(), before: json!(true), after: json!(null), asked: None, risk: what.risk };
        let change = Change {
            aspect: ASPECTS[what.aspect].into(),
            what: String::new(),
            fields: vec![field],
            mode: Mode::Enforce,
            after: Vec::new(),
            stop: None,
            undone: false,
            reaches: what.reaches,
            write: (),
        };
        let (key, generation) = (Key::new("repository", "acme", what.key), self.generation.to_string());
        Hold { digest: digest(what), ..Hold::new(&key, "acme/shop", &generation, change, self.now) }
    }

    async fn apply(&mut self, op: Op) {
        match op {
            Op::Run { process, changes, apart } => self.run(process, &changes, apart).await,
            Op::Approve(which) => {
                let holds = self.processes[0].holds().await.unwrap();
                let Some(hold) = holds.get(usize::from(which) % holds.len().max(1)) else { return };
                let hold = self.processes[1].approve(&hold.digest, "ann", self.now).await.unwrap().unwrap();
                // If the approval of a change is used up, an operator can approve the change again
                // only after the guard holds it again.
                if !hold.spent {
                    self.approved.insert(hold.digest);
                }
            }
            Op::Pause(ms) => {
                self.paused_until = self.now + Duration::from_millis(ms.into());
                self.processes[0].pause("acme", self.paused_until).await.unwrap();
            }
            Op::Resume => {
                self.processes[1].resume("acme").await.unwrap();
                self.paused_until = self.now;
            }
            Op::Generation => {
                self.generation += 1;
                self.processes[0].forget_holds("acme", &self.generation.to_string()).await.unwrap();
                self.approved.clear();
            }
            Op::Advance(ms) => self.now = self.now + Duration::from_millis(ms.into()),
            Op::Restart(process) => self.processes[process] = Self::open(&self.path),
        }
    }

    /// Calls the store in the same order as `apply` does for a plan.
    async fn run(&mut self, process: usize, changes: &[(What, How)], apart: u16) {
        let store = self.processes[process].clone();
        let asked: Vec<Hold> = changes.iter().map(|(what, _)| self.hold(what)).collect();
        let verdicts = store.reserve(None, &limits(), asked.clone(), self.now).await.unwrap().unwrap();
        assert_eq!(verdicts.len(), asked.len());
        let mut not_begun = Vec::new();
        for (((what, how), hold), verdict) in changes.iter().zip(&asked).zip(&verdicts) {
            self.now = self.now + Duration::from_millis(apart.into());
            if matches!(verdict, Verdict::Hold(_)) {
                continue;
            }
            let ends =
                async |end: End| store.conclude("acme", vec![(hold.digest.clone(), end)]).await.unwrap();
            match how {
                How::KilledBefore => return,
                How::NotReached => {
                    not_begun.push((hold.digest.clone(), End::NotBegun));
                    continue;
                }
                _ => {}
            }
            let Some(intent) = self.begin(&store, hold).await else {
                not_begun.push((hold.digest.clone(), End::NotBegun));
                continue;
            };
            let by_approval = self.approved.remove(&hold.digest);
            let made = !matches!(how, How::Refused | How::Failed);
            if made && !by_approval {
                self.made.push(Made { at: self.now, what: *what });
            }
            match how {
                How::Written => ends(End::Written(intent)).await,
                How::Refused => {
                    // A layer below the call might have recorded this end already, so the test
                    // records it twice.
                    ends(End::Refused(intent)).await;
                    ends(End::Refused(intent)).await;
                    if by_approval {
                        self.approved.insert(hold.digest.clone());
                    }
                }
                How::KilledAfter => return,
                _ => {}
            }
        }
        store.conclude("acme", not_begun).await.unwrap();
    }

    /// Returns the number of the intent if the store allows the write.
    async fn begin(&self, store: &Arc<SqliteStore>, hold: &Hold) -> Option<u64> {
        let entry = Entry {
            seq: 0,
            at: self.now,
            kind: EntryKind::Intent,
            key: hold.key.to_string(),
            subject: hold.subject.clone(),
            intent: None,
            trace: None,
            detail: json!({}).into(),
        };
        let intent = Intent { entry, spends: Some((hold.digest.clone(), WINDOW)) };
        let begun = store.begin(None, &hold.key, intent, self.now).await.unwrap();
        let is_paused = self.paused_until > self.now;
        assert_eq!(
            matches!(begun, Begun::Paused { .. }),
            is_paused,
            "the next write sees a pause, and its end"
        );
        match begun {
            Begun::Yes(number) => Some(number),
            _ => None,
        }
    }

    /// Checks the specification: no window has more writes than the limits allow.
    fn check(&self) {
        let limits = limits();
        for last in &self.made {
            let window: Vec<&Made> =
                self.made.iter().filter(|made| made.at <= last.at && made.at > last.at - WINDOW).collect();
            for risk in [Risk::Removes, Risk::Weakens, Risk::Exposes] {
                let its = window.iter().filter(|made| made.what.risk == risk);
                let sum: u32 = its.map(|made| made.what.reaches).sum();
                assert!(sum <= limits.of(risk).unwrap(), "{sum} {risk} until {}", last.at);
            }
            for (aspect, name) in ASPECTS.iter().enumerate() {
                let its = window.iter().filter(|made| {
                    made.what.aspect == aspect && matches!(made.what.risk, Risk::Removes | Risk::Weakens)
                });
                let mut reached: BTreeMap<u64, u32> = BTreeMap::new();
                for made in its {
                    let most = reached.entry(made.what.key).or_default();
                    *most = made.what.reaches.max(*most);
                }
                let sum: u32 = reached.values().sum();
                assert!(sum <= 4, "{sum} repositories of {AMONG} by {name} until {}", last.at);
            }
        }
    }
}

fn cases() -> u32 {
    #[expect(clippy::disallowed_methods, reason = "how much a test tries is said from outside")]
    let said = std::env::var("GUARD_SCHEDULES");
    said.ok().and_then(|count| count.parse().ok()).unwrap_or(100)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_window_has_more_than_its_limit(ops in ops()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            // The file is in memory, because this test is not about the disk and runs faster
            // without it.
            let shared = std::path::Path::new("/dev/shm");
            let folder = if shared.is_dir() { tempfile::tempdir_in(shared) } else { tempfile::tempdir() }.unwrap();
            let path = folder.path().join("b.db");
            let processes = [World::open(&path), World::open(&path)];
            let mut world = World {
                path, processes, now: Time(10_000_000), generation: 0, made: Vec::new(), approved: BTreeSet::new(),
                paused_until: Time(0),
            };
            for op in ops {
                world.apply(op).await;
            }
            world.check();
        });
    }
}
