//! Records that repositories are gone, so that a report about a later day does not contain them.

use std::collections::BTreeSet;

use beadle_engine::{Store, StoreError, Time};

use super::state::ControlState;

/// The reason why the policy does not apply to a repository that a sweep did not find.
pub(super) const GONE: &str = "the sweep did not find the repository, or the policy leaves it out";
/// The number of notes that are in memory at the same time.
const PAGE: u32 = 1000;

/// Records the repositories of an organisation that a sweep did not find. `found` has the ids of
/// the repositories that it found. The sweep listed them at the time `listed`, so it does not know
/// the repositories that a later run found.
pub(crate) async fn record_gone(
    store: &dyn Store,
    instance: &str,
    found: &BTreeSet<String>,
    (listed, now): (Time, Time),
) -> Result<(), StoreError> {
    let notes = ControlState::of_organisation(instance);
    let (mut after, mut last) = (Some(String::new()), String::new());
    while let Some(begin) = after {
        let (page, next) = notes.page(store, &begin, PAGE).await?;
        for (rest, state) in page {
            let Some((id, _)) = rest.split_once(':') else { continue };
            // The newest state of a repository comes first.
            if id == last {
                continue;
            }
            id.clone_into(&mut last);
            if found.contains(id) || state.at >= listed || state.outside.as_deref() == Some(GONE) {
                continue;
            }
            let (subject, commit, outside) = (state.subject, state.commit, Some(GONE.to_owned()));
            let gone = ControlState { at: now, subject, commit, outside, ..ControlState::default() };
            ControlState::note(instance, id, now).put(store, &gone).await?;
        }
        after = next;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use beadle_store_sqlite::{SqliteSettings, SqliteStore};

    use super::*;

    #[tokio::test]
    async fn a_repository_that_the_sweep_did_not_find_is_gone_from_then_on() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("beadle.db"), SqliteSettings::default()).unwrap();
        for (id, at) in [("1", 10), ("2", 10), ("3", 30), ("10", 10)] {
            let state =
                ControlState { at: Time(at), subject: format!("acme/{id}"), ..ControlState::default() };
            ControlState::note("acme", id, state.at).put(&store, &state).await.unwrap();
        }
        let found = BTreeSet::from(["1".to_owned(), "10".to_owned()]);
        for now in [40, 50] {
            record_gone(&store, "acme", &found, (Time(20), Time(now))).await.unwrap();
        }
        let all = ControlState::of_organisation("acme").list(&store).await.unwrap();
        let gone: Vec<(&str, i64)> = all
            .iter()
            .filter(|(_, state)| state.outside.is_some())
            .map(|(_, state)| (state.subject.as_str(), state.at.0))
            .collect();
        assert_eq!((gone, all.len()), (vec![("acme/2", 40)], 5));
    }
}
