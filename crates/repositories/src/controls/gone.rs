//! Records that repositories are gone. A report about a later day does not contain these
//! repositories.

use std::collections::BTreeSet;

use beadle_engine::{Store, StoreError, Time};

use super::state::{ControlState, SKEW};

/// The reason why the policy does not apply to a repository that the sweep did not find.
pub(super) const GONE: &str = "the sweep did not find the repository, or the policy leaves it out";
/// The maximum number of notes in memory at the same time.
const PAGE: u32 = 1000;

/// Records as gone each repository of an organisation that a sweep did not find. `found` contains
/// the ids of the repositories that the sweep found. The sweep read its list at the time `listed`.
/// If a later run has recorded a state, the function does not change this state.
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
            // The newest state of a repository comes first. If the time of a state is in the
            // future, the time comes from a wrong clock.
            if id == last || state.at > now + SKEW {
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

    #[tokio::test]
    async fn a_state_from_the_future_keeps_no_repository_in_the_report() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("beadle.db"), SqliteSettings::default()).unwrap();
        for at in [10, 9_000_000_000] {
            let state = ControlState { at: Time(at), subject: "acme/1".into(), ..ControlState::default() };
            ControlState::note("acme", "1", state.at).put(&store, &state).await.unwrap();
        }
        record_gone(&store, "acme", &BTreeSet::new(), (Time(20), Time(40))).await.unwrap();
        let all = ControlState::of_organisation("acme").list(&store).await.unwrap();
        let gone: Vec<i64> =
            all.iter().filter(|(_, state)| state.outside.is_some()).map(|(_, state)| state.at.0).collect();
        assert_eq!((gone, all.len()), (vec![40], 3));
    }
}
