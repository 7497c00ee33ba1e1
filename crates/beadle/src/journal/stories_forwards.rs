//! Joins those entries of the journal that belong together, from the oldest to the newest.

use std::mem::take;

use beadle_engine::{Detail, Entry, EntryKind, Time};

use super::story::Story;

/// Collects the entries of each write until the run of the write has ended.
#[derive(Debug, Default)]
pub(crate) struct StoriesForwards {
    /// The writes of runs that have not ended.
    open: Vec<Story>,
}

impl StoriesForwards {
    /// Takes the next entry of the journal. Returns the stories that are complete now.
    pub(crate) fn take(&mut self, entry: Entry) -> Vec<Story> {
        if let Some(intent) = entry.intent {
            return match self.open.iter_mut().find(|story| story.entry.seq == intent) {
                Some(story) => {
                    story.result = Some(entry.detail);
                    Vec::new()
                }
                // The command has already shown this write. At that time, the result was not known.
                None => vec![Story::of(entry)],
            };
        }
        if entry.kind == EntryKind::Intent {
            self.open.push(Story::of(entry));
            return Vec::new();
        }
        let run = Story::of(entry);
        let mut ended = Vec::new();
        if matches!(run.entry.detail, Detail::Run(_)) {
            let (own, open) =
                take(&mut self.open).into_iter().partition(|story| story.entry.key == run.entry.key);
            self.open = open;
            ended = own;
            for story in &mut ended {
                story.causes.clone_from(&run.causes);
            }
        }
        ended.push(run);
        ended
    }

    /// Returns the writes that began before `time`, if the journal does not contain the end of
    /// their run. The end is missing, for example, if the process of the run was killed.
    pub(crate) fn older_than(&mut self, time: Time) -> Vec<Story> {
        let (old, open) = take(&mut self.open).into_iter().partition(|story| story.entry.at < time);
        self.open = open;
        old
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn entry(seq: u64, kind: EntryKind, key: &str, intent: Option<u64>, detail: Value) -> Entry {
        let at = Time(i64::try_from(seq).unwrap());
        Entry {
            seq,
            at,
            kind,
            key: key.into(),
            subject: key.into(),
            intent,
            trace: None,
            detail: detail.into(),
        }
    }

    #[test]
    fn a_write_is_shown_when_its_run_has_ended() {
        let change = json!({
            "aspect": "topics", "what": "", "fields": [], "mode": "enforce", "after": [], "write": null,
            "generation": "g",
        });
        let run = json!({
            "changes": 1, "written": 1, "held": 0, "failed": 0, "unknown": [],
            "after": [{ "event": "repository.edited", "by": "ann", "delivery": "d" }],
        });
        let mut forwards = StoriesForwards::default();
        for one in [
            entry(1, EntryKind::Intent, "a", None, change.clone()),
            entry(2, EntryKind::Intent, "b", None, change),
            entry(3, EntryKind::Result, "a", Some(1), json!({ "written": true })),
        ] {
            assert!(forwards.take(one).is_empty());
        }
        let ended = forwards.take(entry(4, EntryKind::Run, "a", None, run));
        let seen: Vec<_> = ended.iter().map(|story| (story.entry.seq, story.result.is_some())).collect();
        assert_eq!(seen, [(1, true), (4, false)]);
        assert!(ended.iter().all(|story| story.is_about("Ann")));
        assert!(forwards.older_than(Time(2)).is_empty());
        let killed = forwards.older_than(Time(3));
        assert_eq!(killed.iter().map(|story| story.entry.seq).collect::<Vec<_>>(), [2]);
        let late = forwards.take(entry(5, EntryKind::Result, "b", Some(2), json!({ "written": "unknown" })));
        assert_eq!(late.len(), 1, "the result of a write that was shown before");
    }
}
