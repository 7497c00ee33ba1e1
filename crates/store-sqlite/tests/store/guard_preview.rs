//! Tests that a preview of the guard names the changes that the guard then holds.

use beadle_engine::guard::RepositoryCount;
use beadle_engine::store::prelude::*;
use beadle_engine::{
    Change, GuardPreview, Hold, Key, Limits, Mode, Plan, Risk, Time, Unknown, Verdict, preview_guard, testing,
};
use beadle_store_sqlite::{SqliteSettings, SqliteStore};

const NOW: Time = Time(1_000_000_000);

fn removal(what: &str) -> Change<()> {
    testing::change("teams", what, &[Risk::Removes])
}

fn plans() -> [(Key, Plan<()>); 2] {
    let stopped = Change { stop: Some("it is the last team".into()), ..removal("team b") };
    let observed = Change { mode: Mode::Observe, ..removal("team c") };
    // Beadle never removes a part of an aspect that it could not read.
    let doubtful = testing::change("labels", "label a", &[Risk::Removes]);
    let unknown = Unknown { aspect: "labels".into(), part: None, why: "502".into(), transient: true };
    let added = testing::change("topics", "", &[Risk::Adds]);
    let one = Plan {
        changes: vec![removal("team a"), stopped, observed, doubtful, added],
        unknowns: vec![unknown],
        ..Plan::new("acme/r1")
    };
    let two = Plan { changes: vec![removal("team a"), removal("team b")], ..Plan::new("acme/r2") };
    [(Key::new("repository", "acme", 1), one), (Key::new("repository", "acme", 2), two)]
}

#[tokio::test]
async fn a_preview_of_the_guard_knows_the_holds_of_its_own_keys() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("beadle.db");
    let store = SqliteStore::open_inline(&path, SqliteSettings::default()).unwrap();
    let limits = Limits { removes: 0, ..Limits::default() };
    let [_, two] = plans();
    let (key, plan) = &two;
    let own = |change: &Change<()>| Hold::new(key, &plan.subject, &plan.generation, change.clone(), NOW);
    let asked: Vec<Hold> = plan.changes.iter().map(own).collect();
    let digests = [0, 1].map(|at: usize| asked[at].digest.clone());
    store.reserve(None, &limits, asked, NOW).await.unwrap().unwrap();
    store.approve(&digests[0], "ann", NOW).await.unwrap().unwrap();
    let plans = [two];
    let count = async || {
        let preview = preview_guard(&store, limits, &plans, NOW).await.unwrap();
        preview.held.iter().map(|(_, count)| *count).sum::<usize>()
    };
    assert_eq!(count().await, 1, "an operator approved the other change");
    let file = rusqlite::Connection::open(&path).unwrap();
    for (digest, expected) in [(&digests[1], 1), (&digests[0], 2)] {
        file.execute("UPDATE hold SET hold = '{' WHERE digest = ?1", [digest]).unwrap();
        assert_eq!(count().await, expected, "an unreadable hold is no approval, and stops no preview");
    }
}

#[tokio::test]
async fn a_preview_of_the_guard_names_the_held_changes_and_reserves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("beadle.db"), SqliteSettings::default()).unwrap();
    // The write of another run uses a part of the window. Another organisation has its own window.
    for (organisation, id) in [("acme", 8), ("labs", 9)] {
        let key = Key::new("repository", organisation, id);
        let hold = Hold { key, why: String::new(), ..testing::hold(id) };
        let verdicts = store.reserve(None, &Limits::default(), vec![hold], NOW).await.unwrap().unwrap();
        assert_eq!(verdicts, [Verdict::Pass]);
    }
    let (limits, plans) = (Limits { removes: 2, ..Limits::default() }, plans());
    let before = store.bookings(Time(0)).await.unwrap();
    let preview = preview_guard(&store, limits, &plans, NOW).await.unwrap();
    let reached = "guard limit reached: at most 2 removals in 60 min, 2 used";
    let expected = GuardPreview {
        writes: 5,
        held: vec![("it is the last team".to_owned(), 1), (reached.to_owned(), 2)],
    };
    assert_eq!(preview, expected);
    assert_eq!(store.bookings(Time(0)).await.unwrap(), before);
    assert!(store.holds().await.unwrap().is_empty());
    // The percentage applies to the number of repositories that the last sweep counted.
    RepositoryCount::note("acme").put(&store, &RepositoryCount(10)).await.unwrap();
    let share = Limits { percent: 20, repositories: 1, ..Limits::default() };
    let part = preview_guard(&store, share, &plans, NOW).await.unwrap();
    assert_eq!(part.held.iter().map(|(_, count)| count).sum::<usize>(), 3, "{part:?}");
    let wide = preview_guard(&store, Limits::default(), &plans[1..], NOW).await.unwrap();
    assert_eq!(wide, GuardPreview { writes: 2, held: Vec::new() });
    // The guard then holds the same changes that the preview shows.
    let asked: Vec<Hold> = plans
        .iter()
        .flat_map(|(key, plan)| {
            let guarded =
                plan.changes.iter().filter(|change| change.mode == Mode::Enforce && change.aspect == "teams");
            guarded.map(|change| Hold {
                why: change.stop.clone().unwrap_or_default(),
                ..Hold::new(key, &plan.subject, &plan.generation, change.clone(), NOW)
            })
        })
        .collect();
    let verdicts = store.reserve(None, &limits, asked, NOW).await.unwrap().unwrap();
    let held = verdicts.into_iter().filter_map(|verdict| match verdict {
        Verdict::Hold(why) => Some(why),
        Verdict::Pass => None,
    });
    assert_eq!(held.collect::<Vec<_>>(), ["it is the last team", reached, reached]);
}
