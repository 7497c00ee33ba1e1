//! Tests the lists that the pages show: how they continue on further pages, their groups and their
//! filters.

use beadle_engine::guard::Decision;
use beadle_engine::{
    Delivery, Entry, EntryKind, Hold, Key, KeyState, Lane, Limits, Mark, Risk, Store, Time, Unknown, testing,
};
use serde_json::{Value, json};

use super::asked::{Asked, Refused};
use super::tests::{HostileFacts, report};
use super::view::View as _;
use super::views::things::{self, REPOSITORY, Repositories};
use super::views::{deliveries, holds, journal};
use crate::exchange::store;

/// Stores the states of `count` repositories. Every 400th repository has an unknown part.
async fn many(store: &dyn Store, count: u64) {
    let records = (0..count).map(|n| async move {
        let (key, mut report) = (Key::new("repository", "acme", n), report(&format!("acme/Repo{n:05}")));
        if n % 400 == 1 {
            let why = "502".to_owned();
            report.unknowns.push(Unknown { aspect: "teams".into(), part: None, why, transient: true });
        }
        KeyState::record(store, &key, &report, Time(1)).await.unwrap();
    });
    futures::future::join_all(records).await;
}

#[tokio::test]
async fn a_long_list_has_pages_and_each_row_is_on_one_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    many(store.as_ref(), 1203).await;
    let of = (REPOSITORY, vec!["acme".to_owned()]);
    let mut seen = Vec::new();
    let mut asked = Asked::default();
    loop {
        let page = things::load(store.as_ref(), of.clone(), &asked, Time(5)).await.unwrap();
        let page = serde_json::to_value(&page).unwrap();
        assert_eq!(page["total"], 1203);
        let rows = page["rows"].as_array().unwrap();
        assert!(rows.len() <= 100, "{}", rows.len());
        seen.extend(rows.iter().map(|row| row["subject"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        asked.after = next.to_owned();
    }
    let page = things::load(store.as_ref(), of.clone(), &Asked::default(), Time(5)).await.unwrap();
    let size: usize = Repositories(page).content(Time(5)).iter().map(|piece| piece.as_str().len()).sum();
    assert!(size < 100_000, "{size} bytes");
    let all: Vec<String> = (0..1203).map(|n| format!("acme/Repo{n:05}")).collect();
    assert_eq!(seen, all);
    let asked = Asked { state: "unknown".into(), text: "rePO".into(), ..Asked::default() };
    let page = things::load(store.as_ref(), of, &asked, Time(5)).await.unwrap();
    let page = serde_json::to_value(&page).unwrap();
    assert_eq!((page["total"].as_u64(), page["next"].as_str()), (Some(4), None), "{page}");
}

#[tokio::test]
async fn equal_holds_are_one_group_with_the_code_of_all_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    let hold = |n: u64| Hold {
        digest: format!("d{n:03}"),
        key: Key::new("repository", "acme", n),
        subject: format!("acme/repo{n:03}"),
        since: Time(1),
        why: "guard limit reached".into(),
        generation: "g1".into(),
        change: testing::change("teams", "team core", &[Risk::Removes]),
        ..testing::hold(n)
    };
    store.reserve(None, &Limits::default(), (0..170).map(hold).collect(), Time(1)).await.unwrap();
    store.decide("d000", &Decision::reject("mona", Some("it stays")), Time(2)).await.unwrap();
    // The code depends on all changes of the group, so a search must not change the code.
    let asked = Asked { text: "REPO005".into(), ..Asked::default() };
    let page = serde_json::to_value(holds::load(store.as_ref(), &asked).await.unwrap()).unwrap();
    assert_eq!((page["total"].as_u64(), page["groups"].as_array().map(Vec::len)), (Some(169), Some(1)));
    let all = holds::load(store.as_ref(), &Asked::default()).await.unwrap();
    let shown = all.content(Time(5)).iter().map(|piece| piece.as_str().to_owned()).collect::<String>();
    let all = serde_json::to_value(&all).unwrap();
    assert_eq!(all["groups"][0]["code"], page["groups"][0]["code"]);
    assert_eq!(all["groups"][1]["decision"], "rejected", "{all}");
    assert!(shown.contains("rejected by mona: it stays") && shown.contains("169 changes"), "{shown}");
    let code = page["groups"][0]["code"].as_str().unwrap();
    let mut asked = Asked { group: code.to_owned(), ..Asked::default() };
    let page = serde_json::to_value(holds::load(store.as_ref(), &asked).await.unwrap()).unwrap();
    assert_eq!((page["holds"].as_array().map(Vec::len), page["next"].as_u64()), (Some(50), Some(50)));
    asked.skip = "150".into();
    let page = serde_json::to_value(holds::load(store.as_ref(), &asked).await.unwrap()).unwrap();
    assert_eq!((page["holds"].as_array().map(Vec::len), page["next"].as_u64()), (Some(19), None));
    asked.group = "nothing".into();
    assert!(matches!(holds::load(store.as_ref(), &asked).await, Err(Refused::NotFound(_))));
}

#[tokio::test]
async fn a_name_means_the_deliveries_of_each_repository_that_has_or_had_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    let key = |id: u64| Key::new("repository", "acme", id);
    for n in 0..120_i64 {
        let delivery = Delivery {
            source: "github".into(),
            id: format!("d{n:03}"),
            instance: "acme".into(),
            event: "repository.edited".into(),
            // Three deliveries have the same time.
            received: Time(1000 * (n / 3)),
            actor: None,
            body: Vec::new(),
        };
        let keys = match n % 3 {
            0 => vec![key(7), key(8)],
            1 => vec![key(8)],
            _ => vec![key(9)],
        };
        let marks = keys.into_iter().map(|key| Mark::new(key, Lane::Event)).collect();
        store.accept(delivery, marks).await.unwrap();
    }
    let found = async |key: &str, skip: &str| {
        let asked = Asked { key: key.into(), skip: skip.into(), ..Asked::default() };
        let page = deliveries::load(store.as_ref(), &HostileFacts, &asked).await?;
        let page: Value = serde_json::to_value(&page).unwrap();
        let rows = page["deliveries"].as_array().unwrap();
        let ids: Vec<String> = rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect();
        Ok::<_, Refused>((ids, page["next"].as_u64()))
    };
    let mut wanted: Vec<String> = (0..120).rev().filter(|n| n % 3 < 2).map(|n| format!("d{n:03}")).collect();
    // Deliveries with the same time are in the order of their ids.
    wanted.chunks_mut(2).for_each(<[String]>::reverse);
    assert_eq!(found("acme/shop", "").await.unwrap(), (wanted[..50].to_vec(), Some(50)));
    assert_eq!(found("acme/shop", "50").await.unwrap(), (wanted[50..].to_vec(), None));
    assert_eq!(found("repository:acme:7", "").await.unwrap().0.len(), 40);
    assert_eq!(found("acme/nothing", "").await.unwrap(), (Vec::new(), None), "a name without a key");
    assert_eq!(found("", "").await.unwrap().0.len(), 50);
    let refused = found("acme/shop", "10001").await.unwrap_err();
    assert_eq!(refused.why(), "`skip` must be at most 10000, found `10001`");
}

#[tokio::test]
async fn the_author_of_a_policy_finds_the_writes_of_the_policy() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    let entry = |kind: EntryKind, key: &str, detail: Value| Entry {
        seq: 0,
        at: Time(1),
        kind,
        key: key.to_owned(),
        subject: "acme".to_owned(),
        intent: None,
        trace: None,
        detail: detail.into(),
    };
    let policy = |generation: &str, author: &str| {
        let detail = json!({
            "in_force": generation, "repository": "acme/admin", "commit": generation, "author": author,
            "subject": "Change it",
        });
        entry(EntryKind::Policy, "-", detail)
    };
    let write = |generation: &str| {
        let detail = json!({
            "aspect": "topics", "what": "", "fields": [], "mode": "enforce", "after": [], "write": null,
            "generation": generation,
        });
        entry(EntryKind::Intent, "repository:acme:1", detail)
    };
    let entries = vec![policy("g1", "ada"), policy("g2", "zoe"), write("g1"), write("g2")];
    store.journal(None, entries, Time(1)).await.unwrap();
    for (kind, text, expected) in [
        ("", "ADA", &[3, 1][..]),
        ("intent", "ada", &[3]),
        ("intent", "zoe", &[4]),
        ("policy", "ada", &[1]),
        ("intent", "ann", &[]),
    ] {
        let asked = Asked { kind: kind.into(), text: text.into(), ..Asked::default() };
        let page = journal::load(store.as_ref(), &HostileFacts, &asked).await.unwrap();
        let page = serde_json::to_value(&page).unwrap();
        let numbers: Vec<u64> =
            page["entries"].as_array().unwrap().iter().filter_map(|entry| entry["seq"].as_u64()).collect();
        assert_eq!(numbers, expected, "{kind} {text}");
    }
}
