use beadle_engine::guard::Decision;
use beadle_engine::journal::PolicyCommitted;
use beadle_engine::{Entry, EntryKind, Limits, testing};
use serde_json::{Value, json};

use super::*;
use crate::exchange::store;

#[tokio::test]
async fn a_group_names_the_policy_with_which_the_guard_first_held_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    let hold = testing::hold(1);
    let limits = Limits { removes: 0, ..Limits::default() };
    store.reserve(None, &limits, vec![hold.clone()], Time(40)).await.unwrap().unwrap();
    let policy = |generation: &str, by: &str, subject: &str| {
        json!({
            "in_force": generation, "repository": "acme/admin", "commit": generation, "author": by,
            "subject": subject,
        })
    };
    let run = json!({
        "changes": 1, "written": 0, "held": 1, "failed": 0, "unknown": [],
        "unwritten": [{
            "aspect": "teams", "what": "team engineering", "risk": "removes", "because": "held", "digest": "d1",
            "asked": null,
        }],
    });
    let entry = |kind, key: &str, subject: &str, at: i64, detail: Value| Entry {
        seq: 0,
        at: Time(at),
        kind,
        key: key.to_owned(),
        subject: subject.to_owned(),
        intent: None,
        trace: None,
        detail: detail.into(),
    };
    let key = hold.key.as_str();
    for one in [
        entry(EntryKind::Policy, "-", "acme", 10, policy("e0", "bob", "Add a label")),
        entry(EntryKind::Policy, "-", "acme", 20, policy("f16e", "ann", "Close <engineering>")),
        entry(EntryKind::Policy, "-", "labs", 25, policy("1ab5", "eve", "Of another organisation")),
        entry(EntryKind::Run, key, "acme/r1", 30, run.clone()),
        entry(EntryKind::Policy, "-", "acme", 35, policy("d3ff", "mona", "Add a topic")),
        entry(EntryKind::Run, key, "acme/r1", 40, run),
    ] {
        let at = one.at;
        store.journal(None, vec![one], at).await.unwrap();
    }
    let asked = Asked { group: "d1".into(), ..Asked::default() };
    let page = load(store.as_ref(), &asked).await.unwrap();
    let first = page.groups[0].first_held.as_ref().unwrap();
    assert_eq!((first.at, first.policy.in_force.as_str()), (Time(30), "f16e"));
    let shown: String = page.content(Time(50)).iter().map(Html::as_str).collect();
    for part in [
        ", when the policy was commit <code>f16e</code> of acme/admin by ann: Close &lt;engineering&gt;",
        "<p>planned with policy <a href=\"/journal?kind=policy&amp;text=g\">g</a></p>",
    ] {
        assert!(shown.contains(part), "`{part}` is not in {shown}");
    }
}

#[tokio::test]
async fn a_held_change_names_the_authors_of_the_policies_that_asked_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    let limits = Limits { removes: 0, ..Limits::default() };
    let asked = vec![testing::hold(1), testing::hold(2)];
    store.reserve(None, &limits, asked, Time(1)).await.unwrap().unwrap();
    let policy = |generation: &str, author: &str| PolicyInForce {
        in_force: generation.into(),
        from: PolicyCommitted {
            repository: "acme/admin".into(),
            commit: generation.into(),
            author: author.into(),
            subject: "Close <b>".into(),
        },
        base: None,
    };
    let facts = HoldFacts {
        policy: Some(policy("g", "zoe")),
        first_asked: Some("f16e".into()),
        first: Some(policy("f16e", "mona")),
    };
    let lines = || Lines::default().with_holds(BTreeMap::from([("d1".to_owned(), facts.clone())]));
    let expected = [
        "planned with policy <a href=\"/journal?kind=policy&amp;text=g\">g</a> by zoe: Close &lt;b&gt;",
        ", first asked for by policy <a href=\"/journal?kind=policy&amp;text=f16e\">f16e</a> by mona: Close",
    ];
    let page = load(store.as_ref(), &Asked::default()).await.unwrap();
    assert_eq!(page.holds().len(), 2, "the page asks about both changes of the group");
    let page = page.with_lines(lines());
    let shown: String = page.content(Time(50)).iter().map(Html::as_str).collect();
    for part in expected {
        assert_eq!(shown.matches(part).count(), 1, "`{part}` is not once in {shown}");
    }
    let single = table_of(&[testing::hold(1)], &lines(), Time(50), None);
    for part in expected {
        assert!(single.as_str().contains(part), "`{part}` is not in {}", single.as_str());
    }
    let undo = Hold { generation: "undo of 7".into(), ..testing::hold(1) };
    let undo = table_of(&[undo], &lines(), Time(50), None);
    assert!(!undo.as_str().contains("planned with"), "{}", undo.as_str());
}

#[tokio::test]
async fn a_group_names_the_policies_that_first_asked_for_some_of_its_changes() {
    let shown = async |last: u64| {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder);
        let limits = Limits { removes: 0, ..Limits::default() };
        let asked = (1..=last).map(testing::hold).collect();
        store.reserve(None, &limits, asked, Time(1)).await.unwrap().unwrap();
        let page = load(store.as_ref(), &Asked::default()).await.unwrap();
        let known = page.holds().into_iter().map(|hold| {
            let first = if hold.digest == "d1" { "f16e" } else { "e0e0" };
            let facts = HoldFacts { first_asked: Some(first.to_owned()), ..HoldFacts::default() };
            (hold.digest.clone(), facts)
        });
        let lines = Lines::default().with_holds(known.collect());
        let content = page.with_lines(lines).content(Time(50));
        content.iter().map(Html::as_str).collect::<String>()
    };
    let link = |generation: &str| {
        format!("policy <a href=\"/journal?kind=policy&amp;text={generation}\">{generation}</a>")
    };
    let all = shown(5).await;
    let some = shown(6).await;
    for generation in ["f16e", "e0e0"] {
        let of_some = format!(", some of them first asked for by {}", link(generation));
        assert_eq!(some.matches(&of_some).count(), 1, "`{of_some}` is not once in {some}");
        let of_all = format!(", first asked for by {}", link(generation));
        assert_eq!(all.matches(&of_all).count(), 1, "`{of_all}` is not once in {all}");
    }
    assert!(!all.contains("some of them"), "{all}");
}

#[tokio::test]
async fn an_approved_change_no_longer_shows_the_limit_of_the_guard() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    let limits = Limits { removes: 0, ..Limits::default() };
    let asked = vec![testing::hold(1), testing::hold(2)];
    store.reserve(None, &limits, asked, Time(1)).await.unwrap().unwrap();
    let content = async || {
        let page = load(store.as_ref(), &Asked::default()).await.unwrap();
        page.content(Time(50)).iter().map(Html::as_str).collect::<String>()
    };
    let open = content().await;
    assert!(open.contains("<p>2 held changes</p>") && !open.contains("approved: "), "{open}");
    store.decide("d1", &Decision::approve("mona", Some("closed")), Time(2)).await.unwrap();
    let shown = content().await;
    assert!(shown.contains("<p>2 held changes, 1 of them approved and not written yet</p>"), "{shown}");
    assert_eq!(shown.matches("approved: Beadle writes it in its next run").count(), 1, "{shown}");
    let undo = why("approved", "undo of run 7", "limit");
    assert_eq!(undo.as_str(), "approved: request the undo again to write it");
    assert_eq!(why("rejected", "g", "limit").as_str(), "limit");
}

#[tokio::test]
async fn two_groups_with_the_same_title_have_links_with_different_names() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    let hold = |n: u64, line: u32| {
        let mut hold = testing::hold(n);
        hold.change.fields[0].asked = Some(PolicyLocation { file: "settings.yml".into(), line });
        hold
    };
    let limits = Limits { removes: 0, ..Limits::default() };
    let asked = vec![hold(1, 2), hold(2, 2), hold(3, 9), hold(4, 9)];
    store.reserve(None, &limits, asked, Time(1)).await.unwrap().unwrap();
    let page = load(store.as_ref(), &Asked::default()).await.unwrap();
    let shown: String = page.content(Time(2)).iter().map(Html::as_str).collect();
    for line in [2, 9] {
        let name = format!(">2 changes: removes teams: team engineering [settings.yml:{line}]</a>");
        assert_eq!(shown.matches(&name).count(), 1, "`{name}` is not once in {shown}");
    }
}

#[tokio::test]
async fn an_unreadable_hold_is_named_and_hides_no_other_hold() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    let limits = Limits { removes: 0, ..Limits::default() };
    let asked = vec![testing::hold(1), testing::hold(2)];
    store.reserve(None, &limits, asked, Time(1)).await.unwrap().unwrap();
    let file = rusqlite::Connection::open(folder.path().join("beadle.db")).unwrap();
    file.execute("UPDATE hold SET hold = '{' WHERE digest = 'd1'", []).unwrap();
    let page = load(store.as_ref(), &Asked::default()).await.unwrap();
    assert_eq!((page.total, page.unreadable.len()), (1, 1));
    let shown: String = page.content(Time(2)).iter().map(Html::as_str).collect();
    assert!(shown.contains("the hold d1: ") && shown.contains("acme/r2"), "{shown}");
}
