//! Tests the notifications of a process that is killed at random points.

use std::collections::{BTreeMap, BTreeSet};

use super::tests::{at, problem, rules};
use super::{Ledger, Members, Outgoing, Present, ProblemKind, Rules, State, Topic, collect};
use crate::clock::Time;

/// A source of pseudo-random numbers (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }

    fn is_one_of(&mut self, limit: u64) -> bool {
        self.below(limit) == 0
    }
}

/// A store, a receiver and a process that is killed at random points.
struct World {
    random: Random,
    stored: Ledger,
    rules: Rules,
    /// The messages by id, in the order of their first receipt.
    received: Vec<Outgoing>,
    /// The number of repeated messages, and the number of kills that explain the repeated messages.
    repeated: usize,
    kills_after_sending: usize,
    kills: usize,
}

impl World {
    /// Runs the task once. The process can be killed before or after each effect.
    fn run(&mut self, present: &Present, is_quiet: bool, is_away: bool, now: Time) {
        let mut ledger = self.stored.clone();
        ledger.observe("ops", present, &self.rules, is_quiet, now);
        let outgoing = ledger.begin(is_quiet, now);
        if self.is_killed() {
            return;
        }
        self.stored = ledger.clone();
        let Some(outgoing) = outgoing else { return };
        assert!(!is_quiet, "no message in quiet hours");
        if self.is_killed() {
            return;
        }
        if is_away {
            ledger.failed("away", None, now);
        } else {
            match self.received.iter().find(|other| other.id == outgoing.id) {
                Some(other) => {
                    assert_eq!(other.items, outgoing.items, "a repeated message is the same");
                    self.repeated += 1;
                }
                None => self.received.push(outgoing),
            }
            if self.is_killed() {
                self.kills_after_sending += 1;
                return;
            }
            ledger.delivered(now);
        }
        if !self.is_killed() {
            self.stored = ledger;
        } else if !is_away {
            self.kills_after_sending += 1;
        }
    }

    fn is_killed(&mut self) -> bool {
        let killed = self.random.is_one_of(12);
        self.kills += usize::from(killed);
        killed
    }

    /// Returns what a person knows after reading all messages.
    fn known(&self) -> BTreeMap<Topic, Members> {
        let mut known: BTreeMap<Topic, Members> = BTreeMap::new();
        for item in self.received.iter().flat_map(|outgoing| &outgoing.items) {
            let before = known.remove(&item.topic);
            assert_eq!(before.is_some(), item.state != State::Opened, "{item:?}");
            if item.state != State::Recovered {
                let members = &item.found.members;
                let members = before.map_or_else(|| members.clone(), |before| members.with(&before));
                known.insert(item.topic.clone(), members);
            }
        }
        known
    }
}

fn changed(present: &mut BTreeSet<(usize, u32)>, random: &mut Random) {
    for _ in 0..=random.below(3) {
        let one = (usize::try_from(random.below(3)).unwrap(), u32::try_from(random.below(6)).unwrap());
        if !present.remove(&one) {
            present.insert(one);
        }
    }
}

#[test]
fn over_kills_and_outages_each_change_of_state_is_told_once() {
    let mut kills = 0;
    for seed in 0..100 {
        let mut world = World {
            random: Random(seed),
            stored: Ledger::default(),
            rules: rules(6),
            received: Vec::new(),
            repeated: 0,
            kills_after_sending: 0,
            kills: 0,
        };
        let mut problems = BTreeSet::new();
        let (mut is_away, mut is_quiet) = (false, false);
        let mut second = 0;
        for step in 0..1200 {
            // At the end nothing changes any more, and the channel gets everything that is missing.
            let is_calm = step > 600;
            if !is_calm && world.random.is_one_of(15) {
                changed(&mut problems, &mut world.random);
            }
            is_away = !is_calm && is_away != world.random.is_one_of(20);
            is_quiet = !is_calm && is_quiet != world.random.is_one_of(40);
            second += 10 + i64::try_from(world.random.below(10)).unwrap();
            let present =
                collect(problems.iter().map(|(kind, id)| problem(ProblemKind::ALL[*kind], "", *id)));
            world.run(&present, is_quiet, is_away, at(second));
        }
        let present = collect(problems.iter().map(|(kind, id)| problem(ProblemKind::ALL[*kind], "", *id)));
        let known = world.known();
        assert!(known.keys().eq(present.keys()), "seed {seed}: {known:?}, {present:?}");
        for (topic, found) in &present {
            assert!(known[topic].has_all(&found.members), "seed {seed}: {topic:?}");
        }
        assert!(world.repeated <= world.kills_after_sending, "seed {seed}");
        assert!(world.stored.outbox().is_none(), "seed {seed}");
        kills += world.kills;
    }
    assert!(kills > 200, "{kills}");
}
