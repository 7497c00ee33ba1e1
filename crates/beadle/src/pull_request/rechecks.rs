//! Checks open pull requests again after another generation of the policy came into force. So the
//! results always belong to the policy in force.

use beadle_engine::{Lane, Mark, Metadata, Note, Store, StoreError, Time};
use serde::{Deserialize, Serialize};

use super::stored_check_results::CheckedPull;

/// The generation that was in force when Beadle last looked at the results of an organisation.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct FollowedGeneration(String);

impl Metadata for FollowedGeneration {
    const KIND: &'static str = "checks-follow";
}

fn note(organisation: &str) -> Note<FollowedGeneration> {
    Note::of(&[organisation])
}

/// Marks open pull requests of an organisation as due, if their results do not show a comparison
/// with the generation `in_force`. Does nothing if an earlier call has already looked at the
/// results for this generation. Also ignores a fork's result that has no preview, because strangers
/// can open many pull requests from forks. Returns whether this call marked a pull request as due.
pub(crate) async fn follow(
    store: &dyn Store,
    organisation: &str,
    in_force: &str,
    now: Time,
) -> Result<bool, StoreError> {
    let followed = note(organisation);
    if followed.get(store).await?.is_some_and(|FollowedGeneration(name)| name == in_force) {
        return Ok(false);
    }
    let is_other = |pull: &CheckedPull| match &pull.merge {
        Some(merge) => !merge.is_of(Some(in_force)),
        None => !pull.is_from_fork,
    };
    let all = CheckedPull::all(store).await?.into_iter();
    let others = all.filter(|pull| pull.organisation == organisation && is_other(pull));
    // The checks must not delay the keys that the policy affects.
    let mark = |pull: CheckedPull| Some(Mark::new(pull.key.parse().ok()?, Lane::Sweep));
    let marks: Vec<Mark> = others.filter_map(mark).collect();
    let is_any_due = !marks.is_empty();
    if is_any_due {
        store.mark_readable(marks, now).await?;
    }
    followed.put(store, &FollowedGeneration(in_force.to_owned())).await?;
    Ok(is_any_due)
}

/// Makes the next call of [`follow`] look at the results again. This is necessary if a check began
/// with the generation `in_force`, and another generation came into force before the check ended.
pub(super) async fn follow_again(
    store: &dyn Store,
    organisation: &str,
    in_force: &str,
) -> Result<(), StoreError> {
    match note(organisation).get(store).await? {
        Some(FollowedGeneration(name)) if name != in_force => note(organisation).forget(store).await,
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use beadle_engine::Key;

    use super::super::findings::Findings;
    use super::super::findings::tests::{findings, preview};
    use super::*;
    use crate::app::store;

    fn key(number: u64) -> Key {
        Key::new("check", "acme", format!("7/{number}"))
    }

    /// Returns the findings in a policy that changes a repository.
    fn found(is_from_fork: bool) -> Findings {
        Findings { is_from_fork, ..findings(Some(preview(&["shop".to_owned()], &[]))) }
    }

    #[tokio::test]
    async fn a_new_policy_makes_the_results_of_another_policy_due() {
        let (_folder, store) = store::temporary().unwrap();
        let store = store.as_ref();
        let based_on = |number: u64, base: &str| {
            let mut pull = CheckedPull::new(&key(number), ("acme/admin#7", number), &found(false), Time(5));
            pull.merge.as_mut().unwrap().base = Some(base.to_owned());
            pull
        };
        for (number, base) in [(7, "old"), (8, "new")] {
            based_on(number, base).remember(&key(number), store).await.unwrap();
        }
        let due = || async {
            let seven = store.row(&key(7)).await.unwrap();
            (seven.is_some_and(|row| row.wanted > row.done), store.row(&key(8)).await.unwrap().is_some())
        };
        follow(store, "labs", "new", Time(6)).await.unwrap();
        assert_eq!(due().await, (false, false), "another organisation");
        follow(store, "acme", "new", Time(6)).await.unwrap();
        assert_eq!(due().await, (true, false));
    }

    #[tokio::test]
    async fn a_new_policy_makes_a_result_due_once() {
        let (_folder, store) = store::temporary().unwrap();
        let store = store.as_ref();
        let pull = CheckedPull::new(&key(7), ("acme/admin#7", 7), &found(false), Time(5));
        pull.remember(&key(7), store).await.unwrap();
        let marks = async |in_force: &str| {
            follow(store, "acme", in_force, Time(6)).await.unwrap();
            store.row(&key(7)).await.unwrap().map_or(0, |row| row.wanted)
        };
        assert_eq!((marks("g1").await, marks("g1").await), (1, 1));
        assert_eq!((marks("g2").await, marks("g2").await), (2, 2));
        // If a check used the policy in force, the pull requests do not become due again.
        follow_again(store, "acme", "g2").await.unwrap();
        assert_eq!(marks("g2").await, 2);
        // A check that began with the generation `g1` ended after `g2` came into force.
        follow_again(store, "acme", "g1").await.unwrap();
        assert_eq!((marks("g2").await, marks("g2").await), (3, 3));
    }

    #[tokio::test]
    async fn a_new_policy_makes_no_fork_without_a_preview_due() {
        let (_folder, store) = store::temporary().unwrap();
        let store = store.as_ref();
        let invalid = || findings(None);
        for (number, found) in [
            (7, Findings { is_from_fork: true, is_hidden: true, ..invalid() }),
            (8, Findings { is_from_fork: true, ..invalid() }),
            (9, found(true)),
            (10, invalid()),
        ] {
            let pull = CheckedPull::new(&key(number), ("acme/admin#7", number), &found, Time(5));
            pull.remember(&key(number), store).await.unwrap();
        }
        follow(store, "acme", "new", Time(6)).await.unwrap();
        for (number, is_due) in [(7, false), (8, false), (9, true), (10, true)] {
            assert_eq!(store.row(&key(number)).await.unwrap().is_some(), is_due, "{number}");
        }
    }
}
