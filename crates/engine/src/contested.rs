//! Finds changes that two writers fight over: Beadle made the same change so often within an hour
//! that another writer must be undoing it.
//!
//! A change that removes, weakens or exposes is held until an operator approves it. Every other
//! change goes on at growing intervals, so that no protection stays off because of the fight.

use std::collections::HashMap;
use std::time::Duration;

use crate::clock::Time;
use crate::failure::Failure;
use crate::journal::{ContestedAspect, Detail, Entry, EntryKind, Happened, IntendedChange};
use crate::key::Key;
use crate::plan::{Change, Field, Plan};
use crate::store::{Listing, Store};

/// The time over which repeated repairs are counted.
const HOUR: Duration = Duration::from_secs(3600);
/// The first wait between two writes of a contested change. Each further write doubles the wait, up
/// to an hour.
const FIRST: Duration = Duration::from_secs(60);

/// The contested changes of a plan.
#[derive(Debug, Default)]
pub(crate) struct Contested {
    /// The reasons for which guarded changes are held, by aspect.
    held: HashMap<String, String>,
    /// The time and the reason of the next write of other changes, by their place in the plan.
    slowed: HashMap<usize, (Time, String)>,
    /// The entries to add to the journal.
    pub(crate) news: Vec<Entry>,
}

impl Contested {
    /// Returns the reason for which a guarded change of this aspect is held.
    pub(crate) fn holds(&self, aspect: &str) -> Option<&String> {
        self.held.get(aspect)
    }

    /// Returns the reason for which the change at this place of the plan has to wait.
    pub(crate) fn postpones(&self, at: usize, now: Time) -> Option<&String> {
        self.slowed.get(&at).filter(|(until, _)| now < *until).map(|(_, why)| why)
    }
}

/// The result of an intent without a certain write.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missed {
    NotMade,
    Lost,
}

/// The number of times that an effect was written.
#[derive(Clone, Copy, Default)]
struct Made {
    times: u32,
    /// The number of writes with a lost answer. They count for guarded changes only: an outage of
    /// the vendor is not a second writer.
    lost: u32,
    last: Time,
}

/// The new value of a field of a change.
type Effect = (String, String, String, String);

fn effect<W>(change: &Change<W>, field: &Field) -> Effect {
    (change.aspect.clone(), change.what.clone(), field.name.clone(), field.after.to_string())
}

/// Finds the contested changes of a plan, by the journal of the last hour. An effect is contested
/// after `repeats` writes; zero means never.
pub(crate) async fn contested<W>(
    key: &Key,
    plan: &Plan<W>,
    generation: &str,
    repeats: u32,
    (store, now): (&dyn Store, Time),
) -> Result<Contested, Failure> {
    let mut found = Contested::default();
    if plan.changes.is_empty() || repeats == 0 {
        return Ok(found);
    }
    // A contested change stays contested, also while Beadle's value is in place.
    for hold in store.holds_of(key).await? {
        if hold.contested && hold.approved_by.is_none() && hold.change.risks().is_guarded() {
            found.held.insert(hold.change.aspect, hold.why);
        }
    }
    let listing = Listing { after: 0, since: Some(now - HOUR), key: Some(key.to_string()), limit: u32::MAX };
    let entries = store.entries(listing).await?;
    let made = made(&entries, generation);
    for (at, change) in plan.changes.iter().enumerate() {
        let guarded = change.risks().is_guarded();
        let total = |made: &Made| made.times.saturating_add(if guarded { made.lost } else { 0 });
        let its = change.fields.iter().filter_map(|field| made.get(&effect(change, field)));
        let Some(most) = its.max_by_key(|made| total(made)) else { continue };
        let times = total(most);
        if times < repeats {
            continue;
        }
        let why = format!(
            "contested: the same change was made {times} times within an hour and is undone each time; find who else \
             writes it (`beadle journal --key {key}`)"
        );
        if guarded {
            found.held.entry(change.aspect.clone()).or_insert(why);
        } else {
            let until = most.last + wait(times - repeats);
            found.slowed.insert(at, (until, format!("{why}; Beadle writes it again after {until}")));
        }
        let is_its = |entry: &Entry| match &entry.detail {
            Detail::Contested(contested) => contested.aspect == change.aspect,
            _ => false,
        };
        if !entries.iter().chain(&found.news).any(is_its) {
            tracing::warn!(%key, aspect = change.aspect, times, held = guarded, "change contested, another writer undoes it");
            let (aspect, what) = (change.aspect.clone(), change.what.clone());
            let detail = Detail::Contested(ContestedAspect { aspect, what, times, held: guarded });
            let (kind, subject) = (EntryKind::Contested, plan.subject.clone());
            found.news.push(Entry {
                seq: 0,
                at: now,
                kind,
                key: key.to_string(),
                subject,
                intent: None,
                detail,
            });
        }
    }
    Ok(found)
}

/// Counts the writes of each effect in the journal.
fn made(entries: &[Entry], generation: &str) -> HashMap<Effect, Made> {
    let missed: HashMap<u64, Missed> = entries
        .iter()
        .filter_map(|entry| match &entry.detail {
            Detail::Result(result) if result.written == Happened::No => {
                let is_lost = result.unknown == Some(true);
                Some((entry.intent?, if is_lost { Missed::Lost } else { Missed::NotMade }))
            }
            _ => None,
        })
        .collect();
    let mut made: HashMap<Effect, Made> = HashMap::new();
    for entry in entries {
        let Detail::Change(IntendedChange { change, generation: by }) = &entry.detail else { continue };
        if by != generation {
            continue;
        }
        let missed = missed.get(&entry.seq).copied();
        if missed == Some(Missed::NotMade) {
            continue;
        }
        for field in &change.fields {
            let made = made.entry(effect(change, field)).or_default();
            let count = if missed == Some(Missed::Lost) { &mut made.lost } else { &mut made.times };
            *count = count.saturating_add(1);
            made.last = made.last.max(entry.at);
        }
    }
    made
}

/// Returns the wait between two writes of a contested change.
fn wait(beyond: u32) -> Duration {
    FIRST.saturating_mul(2_u32.saturating_pow(beyond.min(16))).min(HOUR)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::mode::Mode;
    use crate::plan::Risk;

    fn intent(seq: u64, at: i64) -> Entry {
        let field = Field {
            name: "x".into(),
            before: json!(true),
            after: json!(null),
            asked: None,
            risk: Risk::Removes,
        };
        let change = Change {
            aspect: "teams".into(),
            what: "team a".into(),
            fields: vec![field],
            mode: Mode::Enforce,
            after: Vec::new(),
            stop: None,
            reaches: 1,
            write: (),
        };
        let detail = Detail::Change(IntendedChange { change, generation: "g".into() });
        let (key, subject) = ("repository:acme:1".into(), "acme/shop".into());
        Entry { seq, at: Time(at), kind: EntryKind::Intent, key, subject, intent: None, detail }
    }

    fn result(intent: u64, detail: serde_json::Value) -> Entry {
        let (key, subject) = ("repository:acme:1".into(), "acme/shop".into());
        let (kind, detail) = (EntryKind::Result, detail.into());
        Entry { seq: 0, at: Time(0), kind, key, subject, intent: Some(intent), detail }
    }

    #[test]
    fn a_lost_answer_counts_as_made_and_a_refusal_does_not() {
        let entries = [
            intent(1, 10),
            result(1, json!({ "written": true })),
            intent(2, 20),
            result(2, json!({ "written": false, "unknown": true })),
            intent(3, 30),
            result(3, json!({ "written": false, "unknown": false })),
            // A kill: no result.
            intent(4, 25),
        ];
        let made = made(&entries, "g");
        let made: Vec<_> = made.values().map(|made| (made.times, made.lost, made.last)).collect();
        assert_eq!(made, [(2, 1, Time(25))]);
        assert!(self::made(&entries, "another").is_empty(), "another policy asks for something else");
    }

    #[test]
    fn a_contested_change_waits_from_a_minute_to_an_hour() {
        let minutes: Vec<u64> = (0..9).map(|n| wait(n).as_secs() / 60).collect();
        assert_eq!(minutes, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }
}
