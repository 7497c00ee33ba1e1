use super::*;
use crate::journal::{Entry, EntryKind};

/// A stored text, and a function that tests the detail from this text.
type Stored = (&'static str, fn(&Detail) -> bool);

/// One example of every shape. The examples come from the last version that had no types for
/// details.
const STORED: &[Stored] = &[
    (
        r#"{"aspect":"teams","what":"","fields":[],"mode":"enforce","after":[],"write":null,"generation":"g1","approved_by":"sec"}"#,
        |detail| matches!(detail, Detail::Change(intent) if intent.approved_by.as_deref() == Some("sec")),
    ),
    (
        r#"{"aspect":"teams","what":"","fields":[],"mode":"enforce","after":[],"write":null,"generation":"g2","approved_by":"sec","first_asked":"g1"}"#,
        |detail| matches!(detail, Detail::Change(intent) if intent.first_asked.as_deref() == Some("g1")),
    ),
    (
        r#"{"aspect":"teams","what":"team a","fields":[{"name":"x","before":true,"after":null,"asked":{"file":"repos/x.yml","line":3},"risk":"removes"}],"mode":"enforce","after":[0],"write":null,"generation":"g1"}"#,
        |detail| matches!(detail, Detail::Change(intent) if intent.generation == "g1" && intent.change.reaches == 1),
    ),
    (
        r#"{"aspect":"actions","what":"","fields":[{"name":"x","before":1.5,"after":{"b":[1,-2],"a":"ä"},"asked":null,"risk":"weakens"}],"mode":"add-only","after":[],"stop":"moved","reaches":7,"write":null,"generation":""}"#,
        |detail| matches!(detail, Detail::Change(intent) if intent.change.stop.as_deref() == Some("moved")),
    ),
    (
        r#"{"workflow":"police.yml","repository":"admin","ref":"main","inputs":{"repo":"widgets"}}"#,
        |detail| matches!(detail, Detail::Dispatch(intent) if intent.reference == "main" && intent.again.is_none()),
    ),
    (
        r#"{"workflow":"police.yml","repository":"admin","ref":"main","inputs":{},"again":"the answer was lost"}"#,
        |detail| matches!(detail, Detail::Dispatch(intent) if intent.again.is_some()),
    ),
    (
        r#"{"written":true}"#,
        |detail| matches!(detail, Detail::Result(result) if result.written == Happened::Yes),
    ),
    (r#"{"written":false,"unknown":true,"why":"502"}"#, |detail| {
        let lost = |result: &WriteResult| result.written == Happened::No && result.unknown == Some(true);
        matches!(detail, Detail::Result(result) if lost(result))
    }),
    (
        r#"{"written":"unknown","why":"the process ended before the answer; observed again"}"#,
        |detail| matches!(detail, Detail::Result(result) if result.written == Happened::Unknown),
    ),
    (
        r#"{"dispatched":true,"run":null}"#,
        |detail| matches!(detail, Detail::Dispatched(result) if result.run.is_none()),
    ),
    (
        r#"{"dispatched":true,"run":77,"why":"found by its run name"}"#,
        |detail| matches!(detail, Detail::Dispatched(result) if result.run == Some(77)),
    ),
    (
        r#"{"dispatched":false,"why":"422"}"#,
        |detail| matches!(detail, Detail::NotDispatched(result) if result.dispatched == Happened::No),
    ),
    (
        r#"{"dispatched":"unknown","why":"timeout"}"#,
        |detail| matches!(detail, Detail::NotDispatched(result) if result.dispatched == Happened::Unknown),
    ),
    (
        r#"{"changes":2,"written":1,"held":1,"withheld":0,"failed":0,"postponed":0,"unknown":[{"aspect":"labels","part":null,"why":"403","transient":false}],"after":[{"event":"repository.edited","by":null,"delivery":"d1"}]}"#,
        |detail| matches!(detail, Detail::Run(run) if run.changes == 2 && run.after.is_some()),
    ),
    (
        r#"{"changes":1,"written":1,"held":0,"failed":0,"unknown":[]}"#,
        |detail| matches!(detail, Detail::Run(run) if run.postponed.is_none() && run.after.is_none()),
    ),
    (
        r#"{"changes":2,"written":1,"held":1,"failed":0,"unknown":[],"unwritten":[{"aspect":"teams","what":"team a","risk":"removes","asked":{"file":"repos/x.yml","line":3},"because":"held","digest":"0a1b2c3d4e5f"}]}"#,
        |detail| matches!(detail, Detail::Run(run) if run.unwritten.as_ref().is_some_and(|left| left.len() == 1)),
    ),
    (
        r#"{"changes":1,"written":0,"held":0,"failed":0,"unknown":[],"unwritten":[{"aspect":"settings","what":"","values":["has_wiki"],"more_values":2,"risk":"changes","asked":null,"because":"blocked"}]}"#,
        |detail| matches!(detail, Detail::Run(run) if run.unwritten.as_ref().is_some_and(|left| left.len() == 1)),
    ),
    (
        r#"{"changes":1,"written":0,"held":0,"failed":1,"unknown":[],"unwritten":[{"aspect":"teams","what":"team a","risk":"adds","asked":null,"because":"not-reached"}]}"#,
        |detail| matches!(detail, Detail::Run(run) if run.unwritten.as_ref().is_some_and(|left| left.len() == 1)),
    ),
    (r#"{"approved":"0a1b2c3d4e5f","by":"mona"}"#, |detail| {
        matches!(detail, Detail::Operator(OperatorAction::Approved { .. }))
    }),
    (r#"{"approved":"0a1b2c3d4e5f","by":"mona","reason":"asked for","group":"5d0c1e2f3a4b"}"#, |detail| {
        matches!(detail, Detail::Operator(OperatorAction::Approved { group: Some(_), .. }))
    }),
    (r#"{"rejected":"0a1b2c3d4e5f","by":"mona","reason":"it stays"}"#, |detail| {
        matches!(detail, Detail::Operator(OperatorAction::Rejected { group: None, .. }))
    }),
    (r#"{"approved_generation":"g1","plan":"0a1b2c3d4e5f","reason":"asked for","by":"mona"}"#, |detail| {
        matches!(detail, Detail::Operator(OperatorAction::ApprovedGeneration { .. }))
    }),
    (r#"{"adopted":"repos/x.yml","by":"mona"}"#, |detail| {
        matches!(detail, Detail::Operator(OperatorAction::AdoptedFile { .. }))
    }),
    (r#"{"adopted":"team platform","id":4,"before":null,"by":"mona"}"#, |detail| {
        matches!(detail, Detail::Operator(OperatorAction::AdoptedName { before: None, .. }))
    }),
    (r#"{"paused_until":"2026-01-02T03:04:05Z","by":"mona"}"#, |detail| {
        matches!(detail, Detail::Operator(OperatorAction::Paused { .. }))
    }),
    (r#"{"undid":"undo of 1234","by":"mona","reason":"the wrong team"}"#, |detail| {
        matches!(detail, Detail::Operator(OperatorAction::Undid { reason: Some(_), .. }))
    }),
    (r#"{"paused_until":"2026-01-02T03:04:05Z","by":"mona","reason":"release"}"#, |detail| {
        matches!(detail, Detail::Operator(OperatorAction::Paused { reason: Some(_), .. }))
    }),
    (r#"{"ended_undo":2,"by":"mona","reason":"the policy agrees"}"#, |detail| {
        matches!(detail, Detail::Operator(OperatorAction::EndedUndo { reason: Some(_), .. }))
    }),
    (r#"{"resumed":true,"by":"mona","reason":"released"}"#, |detail| {
        matches!(detail, Detail::Operator(OperatorAction::Resumed { reason: Some(_), .. }))
    }),
    (r#"{"adopted":"repos/widgets.yml","by":"mona","reason":"renamed"}"#, |detail| {
        matches!(detail, Detail::Operator(OperatorAction::AdoptedFile { reason: Some(_), .. }))
    }),
    (r#"{"undid":"undo of 1234","by":"mona"}"#, |detail| {
        matches!(detail, Detail::Operator(OperatorAction::Undid { .. }))
    }),
    (r#"{"ended_undo":2,"by":"mona"}"#, |detail| {
        matches!(detail, Detail::Operator(OperatorAction::EndedUndo { .. }))
    }),
    (r#"{"resumed":true,"by":"mona"}"#, |detail| {
        matches!(detail, Detail::Operator(OperatorAction::Resumed { .. }))
    }),
    (r#"{"retried":true,"by":"mona"}"#, |detail| {
        matches!(detail, Detail::Operator(OperatorAction::Retried { reason: None, .. }))
    }),
    (r#"{"retried":true,"by":"mona","reason":"granted"}"#, |detail| {
        matches!(detail, Detail::Operator(OperatorAction::Retried { reason: Some(_), .. }))
    }),
    (r#"{"reloaded":true,"by":"mona"}"#, |detail| {
        matches!(detail, Detail::Operator(OperatorAction::Reloaded { .. }))
    }),
    (r#"{"ran_task":"policy of acme","by":"mona"}"#, |detail| {
        matches!(detail, Detail::Operator(OperatorAction::RanTask { .. }))
    }),
    (
        r#"{"waived":["teams"],"repositories":["shop"],"waived_until":"2026-01-02T03:04:05Z","reason":"release","owner":"mona","by":"mona"}"#,
        |detail| matches!(detail, Detail::Operator(OperatorAction::Waived { .. })),
    ),
    (r#"{"ended_waiver":"0a1b2c3d","waived":["teams"],"repositories":["shop"],"by":"mona"}"#, |detail| {
        matches!(detail, Detail::Operator(OperatorAction::EndedWaiver { .. }))
    }),
    (
        r#"{"waiver_ended":"0a1b2c3d","keys":["teams"],"repositories":["shop"],"until":"2026-01-02T03:04:05Z","reason":"release","owner":"mona","due":1}"#,
        |detail| matches!(detail, Detail::WaiverEnded(ended) if ended.due == 1),
    ),
    (r#"{"status":403}"#, |detail| matches!(detail, Detail::Refused(answer) if answer.status == 403)),
    (
        r#"{"summary":{"checked":3,"drifted":2,"repaired":1,"held":0,"failed":0,"unknown":1},"took_s":9}"#,
        |detail| matches!(detail, Detail::Sweep(end) if end.summary.checked == 3),
    ),
    (
        r#"{"since":"2026-01-02T03:04:05Z","recovered":{"marked":3,"redelivered":1,"known":0,"given_up":0,"beyond":false,"seen":9,"failed":4,"open":false}}"#,
        |detail| matches!(detail, Detail::Recovery(end) if end.recovered.redelivered == 1),
    ),
    (
        r#"{"would_dispatch":{"workflow":"police.yml","repository":"admin","ref":"main","inputs":{}}}"#,
        |detail| matches!(detail, Detail::ObservedDispatch(_)),
    ),
    (
        r#"{"aspect":"teams","what":"team a","times":5,"held":true}"#,
        |detail| matches!(detail, Detail::Contested(contested) if contested.times == 5),
    ),
    (
        r#"{"in_force":"0123456789ab","repository":"acme/admin","commit":"0123456789abcdef0123456789abcdef01234567","author":"mona","subject":"Turn wikis on"}"#,
        |detail| matches!(detail, Detail::Policy(policy) if policy.from.author == "mona" && policy.base.is_none()),
    ),
    (
        r#"{"in_force":"0123456789ab+fedcba987654","repository":"acme/admin","commit":"01","author":"mona","subject":"x","base":{"repository":"shared/rules","commit":"fe","author":"ann","subject":"y"}}"#,
        |detail| matches!(detail, Detail::Policy(policy) if policy.base.is_some()),
    ),
    (
        r#"{"held_generation":"0123456789ab","plan":"0a1b2c3d4e5f","why":"gate limit reached","held_by":"service","commit":{"repository":"acme/admin","commit":"01","author":"mona","subject":"x"}}"#,
        |detail| matches!(detail, Detail::PolicyHeld(held) if held.commit.is_some()),
    ),
    (
        r#"{"held_generation":"0123456789ab","plan":"0a1b2c3d4e5f","why":"gate limit reached","held_by":"command"}"#,
        |detail| matches!(detail, Detail::PolicyHeld(held) if held.commit.is_none()),
    ),
    (
        r#"{"withdrawn_generation":"0123456789ab","plan":"0a1b2c3d4e5f","why":"replaced by g2","held_by":"service"}"#,
        |detail| matches!(detail, Detail::PolicyWithdrawn(_)),
    ),
];

#[test]
fn every_stored_text_has_a_type_and_is_stored_again_byte_for_byte() {
    for (text, is_its) in STORED {
        let stored: Value = serde_json::from_str(text).unwrap();
        let detail: Detail = serde_json::from_str(text).unwrap();
        assert!(is_its(&detail), "{text} is {detail:?}");
        assert_eq!(detail.to_string(), stored.to_string());
        assert_eq!(serde_json::to_string(&detail).unwrap(), stored.to_string());
    }
}

#[test]
fn a_text_that_no_type_describes_in_full_is_kept_as_it_is() {
    for text in [
        "null",
        "7",
        "{}",
        r#"["x"]"#,
        r#"{"written":"perhaps"}"#,
        r#"{"written":true,"later":1}"#,
        r#"{"adopted":"repos/x.yml","by":"mona","why":"moved"}"#,
        r#"{"status":403.5}"#,
        r#"{"changes":-1,"written":0,"held":0,"failed":0,"unknown":[]}"#,
        r#"{"changes":1,"written":0,"held":0,"failed":0,"unknown":[],"unwritten":[{"aspect":"teams","what":"team a","risk":"adds","asked":null,"because":"deferred"}]}"#,
    ] {
        let stored: Value = serde_json::from_str(text).unwrap();
        let detail: Detail = serde_json::from_str(text).unwrap();
        assert_eq!(detail, Detail::Other(stored.clone()), "{text}");
        assert_eq!(detail.to_string(), stored.to_string());
    }
}

#[test]
fn an_entry_of_a_newer_version_is_read() {
    let text = r#"{"seq":4,"at":7,"kind":"archived","key":"-","subject":"acme","intent":null,"place":"eu","detail":{"archived":403}}"#;
    let entry: Entry = serde_json::from_str(text).unwrap();
    assert_eq!((entry.kind, entry.kind.as_str()), (EntryKind::Other, "other"));
    assert_eq!(entry.detail, Detail::Other(serde_json::json!({ "archived": 403 })));
    assert!(serde_json::from_str::<EntryKind>("7").is_err());
}

#[test]
fn an_entry_is_read_with_its_detail() {
    let text = r#"{"seq":4,"at":7,"kind":"refused","key":"-","subject":"acme","intent":null,"detail":{"status":403}}"#;
    let entry: Entry = serde_json::from_str(text).unwrap();
    assert_eq!(entry.kind, EntryKind::Refused);
    assert_eq!(entry.detail, Detail::Refused(RefusedWebhook { status: 403 }));
    assert_eq!(serde_json::to_string(&entry).unwrap(), text);
}
