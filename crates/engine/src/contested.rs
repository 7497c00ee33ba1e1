//! Finds contested changes. If Beadle makes the same change very often within an hour, another
//! writer probably reverts the change each time.
//!
//! If a contested change removes, weakens or exposes something, Beadle holds the change until an
//! operator approves the change. Beadle repeats any other contested change at growing intervals. So
//! if another writer switches off a protection again and again, Beadle always switches it on again.

use std::collections::HashMap;
use std::time::Duration;

use crate::clock::Time;
use crate::failure::Failure;
use crate::journal::{ContestedAspect, Detail, Entry, EntryKind, Happened, IntendedChange};
use crate::key::Key;
use crate::plan::{Change, Field, Plan};
use crate::store::{Listing, Store};

/// The period that Beadle searches for repeated writes of the same change.
pub(crate) const HOUR: Duration = Duration::from_secs(3600);
/// The wait before Beadle repeats a contested change for the first time. The wait doubles with each
/// further write, up to an hour.
const FIRST: Duration = Duration::from_secs(60);

/// The contested changes of a plan.
#[derive(Debug, Default)]
pub(crate) struct Contested {
    /// The aspects with guarded changes that must be held, each with the reason.
    held: HashMap<String, String>,
    /// The unguarded changes that must wait, by their position in the plan. Each entry has the time
    /// of the change's next write, and the reason.
    slowed: HashMap<usize, (Time, String)>,
    /// New journal entries about aspects that have just become contested.
    pub(crate) news: Vec<Entry>,
}

impl Contested {
    /// Returns the reason for holding the guarded changes of this aspect, if they must be held.
    pub(crate) fn holds(&self, aspect: &str) -> Option<&String> {
        self.held.get(aspect)
    }

    /// Returns the reason if the change at position `at` of the plan must still wait.
    pub(crate) fn postpones(&self, at: usize, now: Time) -> Option<&String> {
        self.slowed.get(&at).filter(|(until, _)| now < *until).map(|(_, why)| why)
    }
}

/// Why it is not certain that the write of an intent took effect.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missed {
    NotMade,
    Lost,
}

/// How often Beadle wrote the same value, according to the journal.
#[derive(Clone, Copy, Default)]
struct Made {
    times: u32,
    /// The number of writes with a lost answer. These writes count only for guarded changes. If
    /// these writes also counted for unguarded changes, an outage of the vendor would look like a
    /// second writer.
    lost: u32,
    last: Time,
}

/// The place of a value: the aspect, the part and the field.
type Place = (String, String, String);

fn place<W>(change: &Change<W>, field: &Field) -> Place {
    (change.aspect.clone(), change.what.clone(), field.name.clone())
}

/// The writes to one place. Two writes of the same value count as the same change.
#[derive(Default)]
struct Writes {
    /// The generation of the latest write.
    generation: String,
    /// How often Beadle wrote each value. The key is the value as JSON.
    values: HashMap<String, Made>,
}

/// Searches the last hour of the journal, and returns the contested changes of a plan. A change is
/// contested after `repeats` writes of the same value, even if several generations asked for this
/// value. If `repeats` is zero, no change is ever contested.
pub(crate) async fn contested<W>(
    key: &Key,
    plan: &Plan<W>,
    repeats: u32,
    (store, now): (&dyn Store, Time),
) -> Result<Contested, Failure> {
    let mut found = Contested::default();
    if plan.changes.is_empty() || repeats == 0 {
        return Ok(found);
    }
    // A contested change stays contested even while the vendor has the value that Beadle wrote.
    for hold in store.holds_of(key).await? {
        if hold.contested && hold.approved_by.is_none() && hold.change.risks().is_guarded() {
            found.held.insert(hold.change.aspect, hold.why);
        }
    }
    let listing = Listing { after: 0, since: Some(now - HOUR), key: Some(key.to_string()), limit: u32::MAX };
    let entries = store.entries(listing).await?;
    let made = made(&entries);
    for (at, change) in plan.changes.iter().enumerate() {
        let guarded = change.risks().is_guarded();
        let total = |made: &Made| made.times.saturating_add(if guarded { made.lost } else { 0 });
        let written = |field: &Field| made.get(&place(change, field))?.values.get(&field.after.to_string());
        let its = change.fields.iter().filter_map(written);
        let Some(most) = its.max_by_key(|made| total(made)) else { continue };
        let times = total(most);
        if times < repeats {
            continue;
        }
        let name = if plan.subject.is_empty() { key.as_str() } else { &plan.subject };
        let name = argument(name);
        let why = format!(
            "contested: Beadle made the same change {times} times within an hour, and another writer undid it each \
             time; find the other writer (`beadle history {name}`)"
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
            tracing::warn!(%key, subject = plan.subject, aspect = change.aspect, times, held = guarded, "change contested, another writer undoes it");
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
                trace: crate::trace::current_id(),
                detail,
            });
        }
    }
    Ok(found)
}

/// Counts in the journal how often each value was written. A new generation can ask for the same
/// value, so it does not restart the count. The count starts again if another generation or an undo
/// wrote another value to the same place, because then no other writer undid the value.
fn made(entries: &[Entry]) -> HashMap<Place, Writes> {
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
    let mut made: HashMap<Place, Writes> = HashMap::new();
    for entry in entries {
        let Detail::Change(IntendedChange { change, generation, .. }) = &entry.detail else { continue };
        let missed = missed.get(&entry.seq).copied();
        if missed == Some(Missed::NotMade) {
            continue;
        }
        for field in &change.fields {
            let value = field.after.to_string();
            let writes = made.entry(place(change, field)).or_default();
            if writes.generation != *generation {
                writes.values.retain(|written, _| *written == value);
                writes.generation.clone_from(generation);
            }
            let one = writes.values.entry(value).or_default();
            let count = if missed == Some(Missed::Lost) { &mut one.lost } else { &mut one.times };
            *count = count.saturating_add(1);
            one.last = one.last.max(entry.at);
        }
    }
    made
}

/// Returns the wait until the next write of a contested change. `beyond` is the number of writes
/// above the limit.
fn wait(beyond: u32) -> Duration {
    FIRST.saturating_mul(2_u32.saturating_pow(beyond.min(16))).min(HOUR)
}

/// Returns a name as one argument of a shell command. The name of a group comes from a directory,
/// and can contain any characters. Between single quotes, only the single quote has a special
/// meaning for a shell.
fn argument(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._/:@-".contains(c);
    if !name.is_empty() && name.chars().all(is_plain) {
        name.to_owned()
    } else {
        format!("'{}'", name.replace('\'', "'\\''"))
    }
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
            undone: false,
            reaches: 1,
            write: (),
        };
        let detail = Detail::Change(IntendedChange {
            change,
            generation: "g".into(),
            approved_by: None,
            first_asked: None,
        });
        let (key, subject) = ("repository:acme:1".into(), "acme/shop".into());
        Entry { seq, at: Time(at), kind: EntryKind::Intent, key, subject, intent: None, trace: None, detail }
    }

    fn result(intent: u64, detail: serde_json::Value) -> Entry {
        let (key, subject) = ("repository:acme:1".into(), "acme/shop".into());
        let (kind, detail) = (EntryKind::Result, detail.into());
        Entry { seq: 0, at: Time(0), kind, key, subject, intent: Some(intent), trace: None, detail }
    }

    #[test]
    fn a_shell_reads_each_name_as_one_argument() {
        for (name, shown) in [
            ("acme/shop", "acme/shop"),
            ("Dev Ops", "'Dev Ops'"),
            ("R&D", "'R&D'"),
            ("it's", r"'it'\''s'"),
            ("$(date)", "'$(date)'"),
            ("", "''"),
        ] {
            assert_eq!(argument(name), shown);
        }
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
            // The process was killed after this intent, so the intent has no result.
            intent(4, 25),
        ];
        let made = made(&entries);
        let values = made.values().flat_map(|writes| writes.values.values());
        let made: Vec<_> = values.map(|made| (made.times, made.lost, made.last)).collect();
        assert_eq!(made, [(2, 1, Time(25))]);
    }

    #[test]
    fn a_new_policy_restarts_the_count_only_if_beadle_wrote_another_value() {
        let first = json!(1);
        for (writes, expected) in [
            (vec![("g1", 1), ("g1", 1), ("g2", 1)], 3),
            (vec![("g1", 1), ("g1", 1), ("g2", 2), ("g3", 1)], 1),
            (vec![("g1", 1), ("undo of 7", 2), ("g1", 1)], 1),
            // The repository changes its layers back and forth.
            (vec![("g1", 1), ("g1", 2), ("g1", 1)], 2),
        ] {
            let entry = |(seq, (generation, value)): (u64, &(&str, i64))| {
                let mut entry = intent(seq, 10);
                if let Detail::Change(intended) = &mut entry.detail {
                    (*generation).clone_into(&mut intended.generation);
                    intended.change.fields[0].after = json!(value);
                }
                entry
            };
            let entries: Vec<Entry> = (1..).zip(&writes).map(entry).collect();
            let made = made(&entries);
            let times: Vec<u32> = made
                .values()
                .filter_map(|writes| writes.values.get(&first.to_string()))
                .map(|made| made.times)
                .collect();
            assert_eq!(times, [expected], "{writes:?}");
        }
    }

    #[test]
    fn a_contested_change_waits_from_a_minute_to_an_hour() {
        let minutes: Vec<u64> = (0..9).map(|n| wait(n).as_secs() / 60).collect();
        assert_eq!(minutes, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }
}
