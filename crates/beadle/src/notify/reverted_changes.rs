//! Finds people's changes that Beadle reverted. Beadle knows the name of a person only from a
//! webhook of GitHub.

use std::cmp::Reverse;

use beadle_engine::journal::{Cause, IntendedChange};
use beadle_engine::{Detail, Entry, EntryKind, History, Key, Store, StoreError, Time};
use serde::{Deserialize, Serialize};

use crate::journal::reverted_state_makers::makers;
use crate::journal::stories_forwards::StoriesForwards;
use crate::journal::story::{Story, WriteEnd};

/// The maximum number of journal entries that Beadle reads to find the changes of one run.
const ENTRIES: u32 = 500;
/// The maximum number of people in a text.
const PEOPLE: usize = 3;
/// The event about a new repository. A new repository has no earlier state that Beadle could
/// restore.
const CREATED: &str = "repository.created";

/// A change that a person made and that Beadle reverted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RevertedPart {
    pub(super) aspect: String,
    /// The change that Beadle wrote, and the person who had changed the aspect before. The text
    /// contains no values, because a value can be confidential.
    pub(super) what: String,
    /// The line of the policy that asks for the written value.
    pub(super) why: String,
    pub(super) at: Time,
}

/// Returns people's changes that a run reverted. `end` is the last entry of the run. Leaves out
/// groups, because Beadle copies a change in the directory to the group, and never reverts this
/// change.
pub(super) async fn reverted_by(store: &dyn Store, end: &Entry) -> Result<Vec<RevertedPart>, StoreError> {
    let Detail::Run(run) = &end.detail else { return Ok(Vec::new()) };
    let is_named = run.after.iter().flatten().any(|cause| cause.by.is_some());
    let key = end.key.parse::<Key>().ok();
    let is_github = key.is_some_and(|key| matches!(key.kind(), "repository" | "organisation"));
    if run.written == 0 || !is_named || !is_github {
        return Ok(Vec::new());
    }
    let (before, key) = (Some(end.seq), Some(end.key.clone()));
    let history = History { before, key, limit: ENTRIES, ..History::default() };
    let mut entries = store.newest_entries(history).await?;
    entries.sort_by_key(|entry| Reverse(entry.seq));
    let mut own: Vec<Entry> = entries.into_iter().take_while(|entry| entry.kind != EntryKind::Run).collect();
    own.reverse();
    own.push(end.clone());
    let mut forwards = StoriesForwards::default();
    let stories: Vec<Story> = own.into_iter().flat_map(|entry| forwards.take(entry)).collect();
    Ok(stories.iter().filter_map(reverted).collect())
}

/// Returns the change that the write reverted, if a known person made the change.
fn reverted(story: &Story) -> Option<RevertedPart> {
    let Detail::Change(IntendedChange { change, generation, .. }) = &story.entry.detail else { return None };
    if story.end() != WriteEnd::Written || story.undo().is_some() {
        return None;
    }
    let by = people(&makers(story))?;
    let risk = change.risks().gravest()?;
    let its = || change.fields.iter().filter(move |field| field.risk == risk);
    let what = if change.what.is_empty() {
        its().map(|field| field.name.as_str()).collect::<Vec<_>>().join(", ")
    } else {
        change.what.clone()
    };
    let asked = its().chain(&change.fields).find_map(|field| field.asked.as_ref());
    Some(RevertedPart {
        aspect: change.aspect.clone(),
        // Another person or the policy might have caused the difference at the same time. So the
        // text does not say that these people caused the difference.
        what: format!("{risk} {what}, after a change by {by}"),
        why: asked.map_or_else(String::new, |asked| format!("{asked} at {generation} asks for it")),
        at: story.entry.at,
    })
}

/// Returns the names of people, each with the person's event, such as `ann (label.edited)`.
fn people(makers: &[&Cause]) -> Option<String> {
    let named = makers.iter().filter(|cause| cause.event != CREATED);
    let named = named.filter_map(|cause| Some(format!("{} ({})", cause.by.as_ref()?, cause.event)));
    let named: Vec<String> = named.take(PEOPLE).collect();
    (!named.is_empty()).then(|| named.join(" or "))
}

#[cfg(test)]
mod tests {
    use beadle_engine::journal::{Happened, RunCounts, WriteResult};
    use beadle_engine::testing::change;
    use beadle_engine::{PolicyLocation, Risk};

    use super::*;

    const KEY: &str = "repository:acme:7";

    fn entry(kind: EntryKind, key: &str, intent: Option<u64>, detail: Detail) -> Entry {
        let (key, subject) = (key.to_owned(), "acme/shop".to_owned());
        Entry { seq: 0, at: Time(1), kind, key, subject, intent, trace: None, detail }
    }

    fn intent(key: &str, generation: &str) -> Entry {
        let mut change = change("teams", "team contractors", &[Risk::Removes]);
        change.fields[0].asked = Some(PolicyLocation { file: "settings.yml".into(), line: 2 });
        let intended = IntendedChange {
            change,
            generation: generation.to_owned(),
            approved_by: None,
            first_asked: None,
        };
        entry(EntryKind::Intent, key, None, Detail::Change(intended))
    }

    fn result(key: &str, intent: u64, written: Happened) -> Entry {
        let result = WriteResult { written, unknown: None, why: None };
        entry(EntryKind::Result, key, Some(intent), Detail::Result(result))
    }

    fn end(key: &str, causes: &[(&str, Option<&str>)]) -> Entry {
        let cause = |(event, by): &(&str, Option<&str>)| Cause {
            event: (*event).to_owned(),
            by: by.map(str::to_owned),
            delivery: "d".into(),
        };
        let counts = RunCounts {
            changes: 1,
            written: 1,
            held: 0,
            withheld: None,
            undone: None,
            failed: 0,
            postponed: None,
            unknown: Vec::new(),
            unwritten: None,
            after: Some(causes.iter().map(cause).collect()),
            is_undo: false,
        };
        entry(EntryKind::Run, key, None, Detail::Run(counts))
    }

    /// Stores two equal runs for a test. Returns the changes that the second run reverted.
    async fn found(
        key: &str,
        generation: &str,
        written: Happened,
        causes: &[(&str, Option<&str>)],
    ) -> Vec<RevertedPart> {
        let (_folder, store) = crate::app::store::temporary().unwrap();
        let mut last = None;
        for _ in 0..2 {
            let begun = store.journal(None, vec![intent(key, generation)], Time(1)).await.unwrap().unwrap();
            let rest = vec![result(key, begun[0], written), end(key, causes)];
            let numbers = store.journal(None, rest, Time(1)).await.unwrap().unwrap();
            last = Some(Entry { seq: numbers[1], ..end(key, causes) });
        }
        reverted_by(store.as_ref(), &last.unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn a_reverted_change_names_the_person_and_the_line() {
        let team = ("team.added_to_repository", Some("ann"));
        let parts = found(KEY, "g1", Happened::Yes, &[team, ("label.edited", Some("bob"))]).await;
        let [part] = parts.as_slice() else { panic!("{parts:#?}") };
        assert_eq!(part.what, "removes team contractors, after a change by ann (team.added_to_repository)");
        assert_eq!(part.why, "settings.yml:2 at g1 asks for it");
        assert_eq!(part.aspect, "teams");
    }

    #[test]
    fn somebody_who_creates_a_repository_changes_nothing_that_beadle_changes_back() {
        let cause = |event: &str| Cause { event: event.into(), by: Some("ann".into()), delivery: "d".into() };
        assert_eq!(people(&[&cause(CREATED)]), None);
        let edited = people(&[&cause(CREATED), &cause("repository.edited")]);
        assert_eq!(edited.as_deref(), Some("ann (repository.edited)"));
    }

    #[tokio::test]
    async fn only_a_written_change_after_a_webhook_about_it_is_reverted() {
        let team = ("team.added_to_repository", Some("ann"));
        let nobody = ("team.added_to_repository", None);
        let label = ("label.edited", Some("ann"));
        let group = "target-group:aws:corp/00g1";
        for (key, generation, written, cause) in [
            (KEY, "g1", Happened::No, team),
            (KEY, "g1", Happened::Yes, nobody),
            (KEY, "g1", Happened::Yes, label),
            (KEY, "undo of 12", Happened::Yes, team),
            (group, "g1", Happened::Yes, team),
        ] {
            let parts = found(key, generation, written, &[cause]).await;
            assert!(parts.is_empty(), "{key} {generation} {written:?} {cause:?}: {parts:#?}");
        }
    }
}
