//! Compares the queue with a simple model. The random steps are: mark a key, raise the lane of a
//! key, claim keys, crash, let a lease end, finish a run late, and move the clock.

use std::collections::BTreeMap;
use std::sync::Arc;

use beadle_engine::store::prelude::*;
use beadle_engine::{Key, Lane, Lease, Mark, Outcome, ParkReason, Time};
use beadle_store_sqlite::{SqliteSettings, SqliteStore};
use proptest::prelude::*;

const KEYS: u8 = 4;

#[derive(Clone, Debug)]
enum Op {
    Mark(u8, u8),
    Claim(u8),
    /// Ends one of the earlier claims. The claim can be an old one.
    Finish(u8, u8),
    Renew(u8),
    Advance(u32),
    /// The clock is set back by this time.
    Back(u16),
    /// The process ends, and its leases stay in the file. Another process opens the file.
    Crash,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        5 => (0..KEYS, 0..3u8).prop_map(|(key, lane)| Op::Mark(key, lane)),
        4 => (1..4u8).prop_map(Op::Claim),
        4 => (any::<u8>(), 0..5u8).prop_map(|(which, how)| Op::Finish(which, how)),
        1 => any::<u8>().prop_map(Op::Renew),
        4 => prop_oneof![0..500u32, 0..120_000u32].prop_map(Op::Advance),
        1 => (0..30_000u16).prop_map(Op::Back),
        1 => Just(Op::Crash),
    ];
    proptest::collection::vec(op, 1..80)
}

/// The simple model of one key. The model does not use the code of the queue.
#[derive(Clone, Debug, Default)]
struct Model {
    /// The number of marks that no completed run covers.
    open: u64,
    /// The number of uncovered marks that came after the last claim.
    since_claim: u64,
    /// The lease of the worker that has the key, and the end of the lease.
    holder: Option<(Lease, Time)>,
    parked: Option<ParkReason>,
}

struct World {
    store: Arc<SqliteStore>,
    path: std::path::PathBuf,
    now: Time,
    model: BTreeMap<Key, Model>,
    leases: Vec<Lease>,
}

fn key(n: u8) -> Key {
    Key::new("repository", "acme", n)
}

impl World {
    fn open(path: &std::path::Path) -> Arc<SqliteStore> {
        Arc::new(SqliteStore::open_inline(path, SqliteSettings::default()).unwrap())
    }

    async fn apply(&mut self, op: Op) {
        match op {
            Op::Mark(n, lane) => {
                let lane = Lane::ALL[usize::from(lane)];
                self.store.mark(vec![Mark::new(key(n), lane)], self.now).await.unwrap();
                let model = self.model.entry(key(n)).or_default();
                model.open += 1;
                model.since_claim += 1;
                if model.parked == Some(ParkReason::Failed) || lane == Lane::Manual {
                    model.parked = None;
                }
            }
            Op::Claim(limit) => {
                let claims = self.store.claim(usize::from(limit), self.now).await.unwrap();
                assert!(claims.len() <= usize::from(limit));
                for claim in claims {
                    let model =
                        self.model.get_mut(&claim.lease.key).expect("nobody claims what was never marked");
                    assert!(model.open > 0, "{} has nothing to be done", claim.lease.key);
                    assert_eq!(model.parked, None, "{} is parked", claim.lease.key);
                    if let Some((_, until)) = &model.holder {
                        assert!(*until <= self.now, "{} is claimed twice", claim.lease.key);
                    }
                    model.since_claim = 0;
                    model.holder = Some((claim.lease.clone(), claim.lease.until));
                    self.leases.push(claim.lease);
                }
                self.see_parks().await;
            }
            Op::Finish(which, how) => {
                let Some(lease) = self.pick(which) else { return };
                let outcome = match how {
                    0 | 1 => Outcome::Done,
                    2 => Outcome::Retry("503".into()),
                    3 => Outcome::HandBack,
                    _ => Outcome::Park(ParkReason::Held, "asked".into()),
                };
                let before = self.store.row(&lease.key).await.unwrap();
                let finished = self.store.finish(&lease, outcome.clone(), self.now).await.unwrap();
                let model = self.model.get_mut(&lease.key).unwrap();
                let holds = model.holder.as_ref().is_some_and(|(holder, _)| holder.epoch == lease.epoch);
                assert_eq!(finished, holds, "only who claimed last may end it");
                if !finished {
                    assert_eq!(
                        self.store.row(&lease.key).await.unwrap(),
                        before,
                        "a late finisher changed something"
                    );
                    return;
                }
                model.holder = None;
                match outcome {
                    Outcome::Done => model.open = model.since_claim,
                    Outcome::Park(reason, _) => model.parked = Some(reason),
                    _ => {}
                }
                self.see_parks().await;
            }
            Op::Renew(which) => {
                let Some(lease) = self.pick(which) else { return };
                let until = self.store.renew(&lease, self.now).await.unwrap();
                let model = self.model.get_mut(&lease.key).unwrap();
                let holds = model.holder.as_ref().is_some_and(|(holder, _)| holder.epoch == lease.epoch);
                assert_eq!(until.is_some(), holds);
                if let (Some(until), Some((_, end))) = (until, &mut model.holder) {
                    *end = until;
                }
            }
            Op::Advance(ms) => self.now = Time(self.now.0 + i64::from(ms)),
            Op::Back(ms) => self.now = Time(self.now.0 - i64::from(ms)),
            Op::Crash => {
                // The old leases stay in the list, because a process can seem dead and still try to
                // use them.
                self.store = Self::open(&self.path);
            }
        }
    }

    /// Checks that the queue parks a key only if the attempts for this key are used up.
    async fn see_parks(&mut self) {
        for (key, model) in &mut self.model {
            let row = self.store.row(key).await.unwrap().unwrap();
            let parked = row.parked.as_ref().map(|parked| parked.reason);
            if parked != model.parked {
                assert_eq!(parked, Some(ParkReason::Failed), "{key}");
                assert!(row.attempts >= self.store.timing().max_attempts, "{key} was given up early");
                model.parked = parked;
            }
        }
    }

    fn pick(&self, which: u8) -> Option<Lease> {
        self.leases.get(usize::from(which) % self.leases.len().max(1)).cloned()
    }

    /// Checks that every key with uncovered marks runs exactly once now, and that no other key
    /// runs.
    async fn drain(&mut self) {
        self.now = Time(self.now.0 + 10_000_000);
        for key in self.model.iter().filter(|(_, model)| model.parked.is_some()).map(|(key, _)| key.clone()) {
            self.store.mark(vec![Mark::new(key, Lane::Manual)], self.now).await.unwrap();
        }
        let claims = self.store.claim(100, self.now).await.unwrap();
        let mut keys: Vec<Key> = claims.iter().map(|claim| claim.lease.key.clone()).collect();
        // This claim parks the keys that have used up their attempts.
        for (key, model) in &self.model {
            let row = self.store.row(key).await.unwrap().unwrap();
            if row.parked.is_some() {
                assert!(model.open > 0, "{key}");
                keys.push(key.clone());
            }
        }
        keys.sort();
        let due = self.model.iter().filter(|(_, model)| model.open > 0 || model.parked.is_some());
        assert_eq!(keys, due.map(|(key, _)| key.clone()).collect::<Vec<_>>(), "what is due, and no other");
        for claim in claims {
            assert!(self.store.finish(&claim.lease, Outcome::Done, self.now).await.unwrap());
        }
        assert!(self.store.claim(100, Time(self.now.0 + 10_000_000)).await.unwrap().is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_queue_does_what_the_model_does(ops in ops()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("b.db");
            let store = World::open(&path);
            let mut world = World { store, path, now: Time(1_000_000), model: BTreeMap::new(), leases: Vec::new() };
            for op in ops {
                world.apply(op).await;
            }
            world.drain().await;
        });
    }
}
