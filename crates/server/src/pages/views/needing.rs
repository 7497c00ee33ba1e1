//! Finds the organisations, repositories and groups that need attention. If several of them have the
//! same problem, the problem has one code.

use std::collections::HashSet;

use beadle_engine::{Hold, Key};
use sha2::{Digest as _, Sha256};

use crate::pages::condition::{Condition, Thing};

/// The number of bytes in the code of a problem.
const CODE: usize = 6;

/// Returns the things that need attention. The most important state comes first. Leaves out
/// rejected changes. Rejected changes stay held, and no operator has to decide about them again.
pub(super) fn needing_attention<'a>(all: impl Iterator<Item = &'a Thing>, holds: &[Hold]) -> Vec<&'a Thing> {
    let decided = decided(holds);
    let needs_attention = |thing: &&Thing| {
        let is_only_held = thing.state == Condition::Held && thing.further.is_empty();
        let is_decided = is_only_held && decided.contains(&thing.key);
        !thing.state.is_fine() && !is_decided
    };
    let mut attention: Vec<&Thing> = all.filter(needs_attention).collect();
    attention.sort_by_key(|thing| thing.state.rank());
    attention
}

/// Returns each key that has holds, if an operator has decided about all of its holds.
fn decided(holds: &[Hold]) -> HashSet<&Key> {
    let waiting: HashSet<&Key> = holds.iter().filter(|hold| hold.is_open()).map(|hold| &hold.key).collect();
    holds.iter().map(|hold| &hold.key).filter(|key| !waiting.contains(key)).collect()
}

/// Returns the code of a problem. All things with the same kind, instance, state and reason have the
/// same problem.
pub(super) fn code((kind, instance): (&str, &str), state: Condition, why: &str) -> String {
    let mut hash = Sha256::new();
    for part in [kind, instance, state.as_str(), why] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let digest = hash.finalize();
    hex::encode(&digest[..CODE])
}

/// Returns the keys of the things that need attention because of the problem with this code.
pub(super) fn with_problem(things: &[Thing], holds: &[Hold], wanted: &str) -> HashSet<Key> {
    let decided = decided(holds);
    let is_its = |thing: &&Thing| {
        thing.findings().any(|(state, why, _)| {
            let is_problem = state != Condition::Held || !decided.contains(&thing.key);
            is_problem && code((thing.key.kind(), thing.key.instance()), state, why) == wanted
        })
    };
    let needing = needing_attention(things.iter(), holds).into_iter().filter(is_its);
    needing.map(|thing| thing.key.clone()).collect()
}

#[cfg(test)]
mod tests {
    use beadle_engine::guard::Rejection;
    use beadle_engine::{Finding, Time, testing};

    use super::*;

    #[test]
    fn a_decided_hold_needs_no_attention() {
        let thing = |id: u64, state| {
            let (key, subject) = (Key::new("repository", "acme", id), format!("acme/r{id}"));
            Thing { key, subject, state, why: String::new(), since: Time(1), pending: 0, further: Vec::new() }
        };
        let hold = |id: u64, rejected: bool| Hold {
            since: Time(1),
            rejected: rejected.then(|| Rejection { by: "mona".into(), reason: None, at: Time(2) }),
            ..testing::hold(id)
        };
        let contested = Finding { state: Condition::Contested, why: "another writer".into(), since: Time(1) };
        let things = [
            thing(1, Condition::Drifted),
            thing(2, Condition::Held),
            thing(3, Condition::Held),
            thing(4, Condition::Held),
            thing(5, Condition::AsDeclared),
            Thing { further: vec![contested], ..thing(6, Condition::Held) },
        ];
        // The third repository has one more hold. The store has no hold of the fourth repository.
        let holds = [hold(2, true), hold(3, true), hold(3, false), hold(6, true)];
        let shown = needing_attention(things.iter(), &holds);
        let names: Vec<&str> = shown.iter().map(|thing| thing.subject.as_str()).collect();
        assert_eq!(names, ["acme/r3", "acme/r4", "acme/r6", "acme/r1"]);
        let of = |state, why| with_problem(&things, &holds, &code(("repository", "acme"), state, why));
        assert_eq!(of(Condition::Contested, "another writer"), HashSet::from([things[5].key.clone()]));
        let held = [2, 3].map(|at: usize| things[at].key.clone());
        assert_eq!(of(Condition::Held, ""), HashSet::from(held), "a decided hold is no problem");
    }

    #[test]
    fn a_problem_has_exactly_the_things_with_the_same_state_and_reason() {
        let thing = |id: u64, state, why: &str| {
            let (key, subject) = (Key::new("repository", "acme", id), format!("acme/r{id}"));
            Thing { key, subject, state, why: why.into(), since: Time(1), pending: 1, further: Vec::new() }
        };
        let things = [
            thing(1, Condition::Drifted, "the mode does not allow the changes"),
            thing(2, Condition::Drifted, "the mode does not allow the changes of labels"),
            thing(3, Condition::Drifted, "the mode does not allow the changes"),
            // If the result contained every thing with drift, it would also contain the next two
            // things.
            thing(4, Condition::Failing, "the mode does not allow the changes"),
            thing(5, Condition::AsDeclared, "the mode does not allow the changes"),
        ];
        let wanted = code(("repository", "acme"), Condition::Drifted, "the mode does not allow the changes");
        let found = with_problem(&things, &[], &wanted);
        assert_eq!(found, HashSet::from([things[0].key.clone(), things[2].key.clone()]));
        assert!(with_problem(&things, &[], "000000000000").is_empty());
    }
}
