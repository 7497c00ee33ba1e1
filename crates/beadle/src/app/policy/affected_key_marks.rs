//! The marks of the keys that a new generation of a policy affects.

use beadle_engine::{Hold, Key, Lane, Mark, Store, StoreError, Time, VoidApproval};
use beadle_repositories::Affected;

/// The maximum number of affected keys in the lane `event`. If a generation affects more keys, the
/// remaining keys get the lane `sweep`. So these keys do not delay events that arrive later.
const AS_EVENTS: usize = 500;
/// The number of marks that one transaction stores.
const BATCH: usize = 500;

/// Returns the marks of the affected keys. The organisation comes first, because repositories can
/// depend on the organisation.
fn marks(affected: &Affected) -> Vec<Mark> {
    let own = affected.organisation.iter().map(|key| (key, None));
    let repositories = affected.repositories.iter().map(|(key, node_id)| (key, Some(node_id.clone())));
    let mark = |(at, (key, hint)): (usize, (&Key, Option<String>))| {
        let lane = if at < AS_EVENTS { Lane::Event } else { Lane::Sweep };
        Mark { hint, ..Mark::new(key.clone(), lane) }
    };
    let creations = affected.creations.iter().map(|key| (key, None));
    own.chain(repositories).chain(creations).enumerate().map(mark).collect()
}

/// Makes the affected keys due, and deletes their holds from earlier generations. Returns the
/// number of keys. An unreadable hold stays, and still stops its change.
pub(super) async fn store(
    store: &dyn Store,
    affected: &Affected,
    generation: &str,
    now: Time,
) -> Result<usize, StoreError> {
    let is_affected = |key: &Key| {
        affected.repositories.contains_key(key)
            || affected.creations.contains(key)
            || affected.organisation.as_ref().is_some_and(|own| own == key)
    };
    let holds = store.all_holds().await?.holds.into_iter();
    let is_outdated = |hold: &Hold| hold.is_outdated(hold.key.instance(), generation);
    let outdated = holds.filter(|hold| is_outdated(hold) && is_affected(&hold.key));
    let outdated: Vec<Hold> = outdated.collect();
    if !outdated.is_empty() {
        VoidApproval::record(store, &outdated, now).await?;
        store.release(outdated).await?;
    }
    let marks = marks(affected);
    for batch in marks.chunks(BATCH) {
        store.mark_readable(batch.to_vec(), now).await?;
        fail::fail_point!("between-generation-marks", |_| std::process::abort());
    }
    Ok(marks.len())
}

#[cfg(test)]
mod tests {
    use beadle_engine::StoreRecord;
    use beadle_engine::queue::{Row, Timing};
    use beadle_engine::testing::hold;

    use super::*;

    #[test]
    fn a_new_event_overtakes_most_keys_of_a_large_generation() {
        let key = |n: u64| Key::new("repository", "acme", n);
        let affected = Affected {
            repositories: (0..10_000).map(|n| (key(n), format!("R{n}"))).collect(),
            organisation: Some(Key::new("organisation", "acme", 1)),
            ..Affected::default()
        };
        let marks = marks(&affected);
        assert_eq!(marks.len(), 10_001);
        assert_eq!(marks[0].key.kind(), "organisation");
        let rank = |mark: &Mark, now: Time| {
            let mut row = Row::new(mark.key.clone());
            row.mark(mark, now, &Timing::default());
            row.rank()
        };
        let event = rank(&Mark::new(key(20_000), Lane::Event), Time(60_000));
        let before = marks.iter().filter(|mark| rank(mark, Time(0)) < event).count();
        assert_eq!(before, AS_EVENTS);
    }

    #[tokio::test]
    async fn an_unreadable_hold_stays_and_every_affected_key_becomes_due() {
        let (folder, opened) = crate::app::store::temporary().unwrap();
        let opened = opened.as_ref();
        for n in [1, 2] {
            opened.take(StoreRecord::Hold(hold(n))).await.unwrap();
        }
        let file = rusqlite::Connection::open(folder.path().join("beadle.db")).unwrap();
        file.execute("UPDATE hold SET hold = '{' WHERE digest = 'd1'", []).unwrap();
        let affected = Affected {
            repositories: [1, 2].map(|n| (hold(n).key, format!("R{n}"))).into(),
            ..Affected::default()
        };
        assert_eq!(store(opened, &affected, "g2", Time(1)).await.unwrap(), 2);
        let list = opened.all_holds().await.unwrap();
        assert_eq!((list.holds.len(), list.unreadable.len()), (0, 1));
        for n in [1, 2] {
            let row = opened.row(&hold(n).key).await.unwrap().unwrap();
            assert!(row.wanted > row.done, "{}", row.key);
        }
    }
}
