//! Finds the policy that was in force when the guard first held a change. A hold names the policy
//! of the latest plan, because each new policy plans the change again. This policy is often an
//! unrelated later commit.

use serde::Serialize;

use crate::clock::Time;
use crate::guard::{Hold, is_undo};
use crate::journal::{Detail, DriftCause, Entry, EntryKind, PolicyInForce, RunCounts};
use crate::key_state::KeyState;
use crate::store::{History, Store, StoreError};
use crate::unwritten::IN_JOURNAL;

/// The maximum number of runs of a key that Beadle searches. If a change is held for more runs than
/// this, the first hold is not known.
const RUNS: u32 = 200;
/// The maximum number of policies that Beadle searches.
const POLICIES: u32 = 200;

/// The first hold of a change that is still held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FirstHeld {
    /// The end of the first run in which Beadle planned the change and the guard held the change.
    pub at: Time,
    /// The policy that was in force at the time `at`.
    pub policy: PolicyInForce,
}

impl FirstHeld {
    /// Searches the journal for the first hold of a change. Returns `None` for the hold of an undo
    /// and for a policy that is not in Git. Also returns `None` if the journal does not reach back
    /// to the first hold.
    ///
    /// # Errors
    ///
    /// Returns an error if the store does not answer.
    pub async fn of(store: &dyn Store, hold: &Hold) -> Result<Option<Self>, StoreError> {
        if is_undo(&hold.generation) {
            return Ok(None);
        }
        // Before this time, the key had the declared state, so the change was not planned.
        let begun = KeyState::get(store, &hold.key).await?.map(|state| state.since);
        let history = History {
            key: Some(hold.key.to_string()),
            kind: Some(EntryKind::Run),
            since: begun,
            limit: RUNS,
            ..History::default()
        };
        let runs = store.newest_entries(history).await?;
        let Some(at) = first_run(&runs, &hold.digest, hold.since) else { return Ok(None) };
        let history = History {
            key: Some("-".to_owned()),
            kind: Some(EntryKind::Policy),
            limit: POLICIES,
            ..History::default()
        };
        let policies = store.newest_entries(history).await?;
        let before = |entry: &Entry| entry.subject == hold.key.instance() && entry.at <= at;
        let policy = policies.into_iter().filter(before).find_map(|entry| match entry.detail {
            Detail::Policy(policy) => Some(policy),
            _ => None,
        });
        Ok(policy.map(|policy| Self { at, policy }))
    }
}

/// Finds the latest sequence of runs that held a change, and returns the time of the first run in
/// this sequence. `runs` begins with the newest run. `since` is the beginning of the hold. A later
/// run without the change does not end the sequence, because this run might write an undo. An undo
/// does not plan the changes of the policy.
fn first_run(runs: &[Entry], digest: &str, since: Time) -> Option<Time> {
    let is_of_hold = |run: &Entry| run.at >= since && holds(run, digest) == Some(true);
    let before = &runs[runs.iter().rposition(is_of_hold).unwrap_or(0)..];
    let end = before.iter().position(|run| holds(run, digest) == Some(false));
    if end.is_none() && runs.len() >= RUNS as usize {
        return None;
    }
    let own = before.iter().take(end.unwrap_or(before.len()));
    own.rev().find(|run| holds(run, digest) == Some(true)).map(|run| run.at)
}

/// Returns whether the guard held a change in a run. Returns `None` if the entry does not show
/// this. For example, the list of the unwritten changes is incomplete, or an unknown aspect hides a
/// planned change.
fn holds(run: &Entry, digest: &str) -> Option<bool> {
    let Detail::Run(RunCounts { unwritten, unknown, .. }) = &run.detail else { return None };
    let left = unwritten.as_deref().unwrap_or_default();
    let is_held = left
        .iter()
        .any(|change| change.because == DriftCause::Held && change.digest.as_deref() == Some(digest));
    if is_held {
        return Some(true);
    }
    (left.len() < IN_JOURNAL.changes && unknown.is_empty()).then_some(false)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn run(at: i64, digests: &[&str], unknown: &Value) -> Entry {
        let change = |digest: &&str| {
            json!({
                "aspect": "teams", "what": "team a", "risk": "removes", "because": "held", "digest": digest,
                "asked": null,
            })
        };
        let unwritten: Vec<Value> = digests.iter().map(change).collect();
        let detail = json!({
            "changes": 1, "written": 0, "held": 1, "failed": 0, "unknown": unknown, "unwritten": unwritten,
        });
        Entry {
            seq: 0,
            at: Time(at),
            kind: EntryKind::Run,
            key: "repository:acme:1".into(),
            subject: "acme/shop".into(),
            intent: None,
            trace: None,
            detail: detail.into(),
        }
    }

    #[test]
    fn the_first_of_the_latest_runs_in_a_row_counts() {
        let (none, some) =
            (json!([]), json!([{ "aspect": "teams", "part": null, "why": "403", "transient": true }]));
        let others = ["a", "b", "c", "e", "f"];
        for (runs, expected) in [
            (vec![], None),
            (vec![run(9, &["e"], &none)], None),
            (vec![run(9, &["d"], &none), run(8, &["d", "e"], &none)], Some(Time(8))),
            // Between the two runs that hold the change, another run did not plan the change.
            (vec![run(9, &["d"], &none), run(8, &["e"], &none), run(7, &["d"], &none)], Some(Time(9))),
            // These runs do not show whether the change was held.
            (
                vec![
                    run(9, &["d"], &none),
                    run(8, &[], &some),
                    run(7, &others, &none),
                    run(6, &["d"], &none),
                ],
                Some(Time(6)),
            ),
            (vec![run(9, &["d"], &none); RUNS as usize], None),
        ] {
            assert_eq!(first_run(&runs, "d", Time(9)), expected, "{runs:?}");
        }
    }

    #[test]
    fn the_run_of_an_undo_does_not_move_the_first_hold() {
        let none = json!([]);
        let runs = [
            run(9, &["d"], &none),
            run(8, &[], &none),
            run(7, &["d"], &none),
            run(6, &["d"], &none),
            run(5, &[], &none),
        ];
        assert_eq!(first_run(&runs, "d", Time(7)), Some(Time(6)));
    }
}
