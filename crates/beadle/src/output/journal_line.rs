//! Shows one story of the journal as one readable line: the time, the place, the change and its
//! cause.

use beadle_engine::Detail;
use beadle_engine::guard::short_undo;
use beadle_engine::journal::{Happened, OperatorAction, RunCounts};

use crate::journal::reverted_state_makers;
use crate::journal::story::Story;
use crate::output::escape::{self, VALUE};
use crate::output::journal_run_and_policy::sentence;
use crate::output::journal_write::{change, dispatch};
use crate::output::plural::counted;
use crate::output::printer::{Printer, Tone};

/// The maximum number of characters of a sentence. `--format ndjson` prints the whole detail.
const SENTENCE: usize = 4 * VALUE;

/// Returns whether the output shows a story. A run whose changes are all written has no line,
/// because the lines of its writes already show everything.
pub(crate) fn is_shown(story: &Story) -> bool {
    match &story.entry.detail {
        Detail::Run(RunCounts { changes, written, unknown, .. }) => changes != written || !unknown.is_empty(),
        _ => true,
    }
}

/// Returns the line for a story. `organisations` contains the configured organisations. The line
/// about a sweep of a configured organisation contains the number of the sweep, and the command
/// that undoes the writes of the sweep.
pub(crate) fn line(story: &Story, organisations: &[String], printer: &Printer) -> String {
    let entry = &story.entry;
    let name = match entry.begun_sweep() {
        Some(swept) => swept,
        None if entry.subject.is_empty() => entry.key.clone(),
        None => entry.subject.clone(),
    };
    let name = printer.paint(Tone::Heading, escape::cut(&name, VALUE));
    let text = escape::cut(&text(story, organisations), SENTENCE);
    let text = if is_guarded(story) { printer.paint(Tone::Danger, text) } else { text };
    format!("{}  {name}  {text}", entry.at)
}

/// Returns whether a write removed, weakened or exposed something.
fn is_guarded(story: &Story) -> bool {
    story.change().is_some_and(|change| change.fields.iter().any(|field| field.risk.is_guarded()))
}

/// Returns the sentence for a story.
fn text(story: &Story, organisations: &[String]) -> String {
    let text = match &story.entry.detail {
        Detail::Change(intended) => change(intended, story.end(), (&story.quotes, &story.attribution)),
        Detail::Dispatch(intended) => dispatch(intended, story.end()),
        Detail::ObservedDispatch(observed) => {
            let workflow = &observed.would_dispatch;
            format!(
                "did not start workflow {} of {}: the mode is observe",
                workflow.workflow, workflow.repository
            )
        }
        Detail::Result(result) => {
            let end = match result.written {
                Happened::Yes => "written",
                Happened::No => "not written",
                Happened::Unknown => "unknown",
            };
            let why = result.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            format!("a write that began earlier ended: {end}{why}")
        }
        Detail::Dispatched(_) => "a workflow that was dispatched earlier has started".to_owned(),
        Detail::NotDispatched(result) => format!("a workflow did not start: {}", result.why),
        // The operator can undo the undo as a whole.
        Detail::Operator(action @ OperatorAction::Undid { .. }) => {
            return format!("{}; to undo this undo: `beadle undo {}`", operator(action), story.entry.seq);
        }
        Detail::Operator(action) => story.entry.begun_sweep_sentence().unwrap_or_else(|| operator(action)),
        Detail::Refused(refused) => refused.to_string(),
        // `beadle undo` needs the number of the sweep. This is the number of the sweep's journal
        // entry. Beadle does not undo writes to groups, and the sweep of a directory has no other
        // writes.
        Detail::Sweep(end) if organisations.contains(&story.entry.subject) => {
            let number = story.entry.seq;
            let undo = match end.summary.repaired {
                0 => String::new(),
                _ => format!("; to undo what Beadle wrote during it: `beadle undo {number}`"),
            };
            return format!("sweep {number} {end}{undo}");
        }
        Detail::Sweep(end) => format!("sweep {end}"),
        Detail::Recovery(end) => end.to_string(),
        Detail::Contested(contested) => contested.to_string(),
        Detail::Policy(_) => {
            let text = sentence(&story.entry.detail).unwrap_or_default();
            return format!("{text}; to undo what this policy wrote: `beadle undo {}`", story.entry.seq);
        }
        // The sentence of a run already has the causes.
        detail => return sentence(detail).unwrap_or_else(|| detail.to_string()),
    };
    match reverted_state_makers::text(story) {
        Some(by) => format!("{text}; {by}"),
        None => text,
    }
}

/// Returns the sentence for an action of an operator.
pub(crate) fn operator(action: &OperatorAction) -> String {
    match action {
        OperatorAction::Approved { approved, by, reason, .. } => {
            format!("{by} approved the held change {approved}{}", because(reason.as_deref()))
        }
        OperatorAction::Rejected { rejected, by, reason, .. } => {
            format!("{by} rejected the held change {rejected}{}", because(reason.as_deref()))
        }
        OperatorAction::ApprovedGeneration { approved_generation, plan, reason, by } => {
            format!("{by} approved the policy {approved_generation} (plan {plan}): {reason}")
        }
        OperatorAction::AdoptedName { adopted, id, before, by, reason } => {
            let before = before.map(|before| format!(", before id {before}")).unwrap_or_default();
            format!("{by} confirmed that `{adopted}` means id {id}{before}{}", because(reason.as_deref()))
        }
        OperatorAction::AdoptedFile { adopted, by, reason } => {
            format!("{by} confirmed that {adopted} belongs to this repository{}", because(reason.as_deref()))
        }
        OperatorAction::Paused { paused_until, by, reason } => {
            format!("{by} paused it until {paused_until}{}", because(reason.as_deref()))
        }
        OperatorAction::Resumed { by, reason, .. } => {
            format!("{by} ended the pause{}", because(reason.as_deref()))
        }
        OperatorAction::Undid { undid, by, reason } => {
            format!("{by} began the {}{}", short_undo(undid), because(reason.as_deref()))
        }
        OperatorAction::EndedUndo { ended_undo, by, reason } => {
            let count = counted(*ended_undo, "repository", "repositories");
            // The sentence already contains a colon, so the reason is in parentheses.
            let because = reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
            format!("{by} ended the undo of values of {count}: the policy applies to them again{because}")
        }
        OperatorAction::Retried { by, reason, .. } => {
            format!("{by} made the key due{}", because(reason.as_deref()))
        }
        OperatorAction::Reloaded { by, .. } => format!("{by} made the service read its configuration again"),
        OperatorAction::RanTask { ran_task, by } => format!("{by} ran the background task `{ran_task}`"),
        OperatorAction::Waived { waived, repositories, waived_until, reason, by, .. } => {
            let (keys, names) = (waived.join(", "), repositories.join(", "));
            format!("{by} exempted {keys} of {names} until {waived_until}: {reason}")
        }
        OperatorAction::EndedWaiver { waived, repositories, by, reason, .. } => {
            let (keys, names) = (waived.join(", "), repositories.join(", "));
            format!("{by} ended the exemption of {keys} of {names}{}", because(reason.as_deref()))
        }
    }
}

/// Returns the last part of a sentence: the reason.
fn because(reason: Option<&str>) -> String {
    reason.map(|reason| format!(": {reason}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use beadle_engine::{Entry, EntryKind, Time};
    use serde_json::{Value, json};

    use super::*;

    fn story(kind: EntryKind, detail: Value) -> Story {
        Story::of(Entry {
            seq: 1,
            at: Time(0),
            kind,
            key: "repository:acme:1".into(),
            subject: "acme/shop".into(),
            intent: None,
            trace: None,
            detail: detail.into(),
        })
    }

    #[test]
    fn each_kind_of_entry_is_one_sentence() {
        for (kind, detail, expected) in [
            (
                EntryKind::Operator,
                json!({ "approved": "8f0c", "by": "ann" }),
                "ann approved the held change 8f0c",
            ),
            (
                EntryKind::Operator,
                json!({ "paused_until": "2030-01-01", "by": "ann" }),
                "ann paused it until 2030-01-01",
            ),
            (EntryKind::Operator, json!({ "resumed": true, "by": "ann" }), "ann ended the pause"),
            (EntryKind::Operator, json!({ "retried": true, "by": "ann" }), "ann made the key due"),
            (
                EntryKind::Operator,
                json!({ "reloaded": true, "by": "ann" }),
                "ann made the service read its configuration again",
            ),
            (
                EntryKind::Operator,
                json!({ "ran_task": "policy of acme", "by": "ann" }),
                "ann ran the background task `policy of acme`",
            ),
            (
                EntryKind::Operator,
                json!({ "undid": "undo of run 1234", "by": "ann" }),
                "ann began the undo of run 1234; to undo this undo: `beadle undo 1`",
            ),
            (
                EntryKind::Operator,
                json!({ "undid": "undo of 270, 271, 272, 273", "by": "ann" }),
                "ann began the undo of 270 and 3 more; to undo this undo: `beadle undo 1`",
            ),
            (
                EntryKind::Operator,
                json!({ "undid": "undo of run 1234", "by": "mona (system user ci)", "reason": "the wrong team" }),
                "mona (system user ci) began the undo of run 1234: the wrong team; to undo this undo: `beadle undo 1`",
            ),
            (
                EntryKind::Operator,
                json!({ "paused_until": "2030-01-01", "by": "ann", "reason": "release" }),
                "ann paused it until 2030-01-01: release",
            ),
            (
                EntryKind::Operator,
                json!({ "resumed": true, "by": "ann", "reason": "released" }),
                "ann ended the pause: released",
            ),
            (
                EntryKind::Operator,
                json!({ "ended_undo": 1, "by": "ann", "reason": "fixed" }),
                "ann ended the undo of values of 1 repository: the policy applies to them again (fixed)",
            ),
            (
                EntryKind::Operator,
                json!({ "adopted": "repos/shop.yml", "by": "ann", "reason": "renamed" }),
                "ann confirmed that repos/shop.yml belongs to this repository: renamed",
            ),
            (
                EntryKind::Operator,
                json!({
                    "ended_waiver": "c1", "waived": ["labels"], "repositories": ["shop"], "by": "ann",
                    "reason": "released",
                }),
                "ann ended the exemption of labels of shop: released",
            ),
            (
                EntryKind::Operator,
                json!({ "ended_undo": 2, "by": "ann" }),
                "ann ended the undo of values of 2 repositories: the policy applies to them again",
            ),
            (
                EntryKind::Intent,
                json!({
                    "aspect": "topics", "what": "", "mode": "enforce", "after": [], "write": null,
                    "fields": [{ "name": "web", "before": true, "after": null, "asked": null, "risk": "removes" }],
                    "generation": "undo of run 1234",
                }),
                "began to remove topics: web: true → none; there is no result yet; undo of run 1234",
            ),
            (
                EntryKind::Operator,
                json!({ "adopted": "team platform", "id": 7, "before": 6, "by": "ann" }),
                "ann confirmed that `team platform` means id 7, before id 6",
            ),
            (
                EntryKind::Refused,
                json!({ "status": 403 }),
                "refused a webhook whose sender is not configured, with status 403",
            ),
            (
                EntryKind::Contested,
                json!({ "aspect": "teams", "what": "team a", "times": 5, "held": true }),
                "teams team a is contested: Beadle wrote it 5 times within an hour; the change is held",
            ),
            (
                EntryKind::Sweep,
                json!({
                    "took_s": 3,
                    "summary": { "checked": 5, "drifted": 1, "repaired": 1, "held": 0, "failed": 0, "unknown": 0 },
                }),
                "sweep ended after 3 s: 5 checked, 1 drifted, 1 repaired, 0 held, 0 failed, 0 unknown",
            ),
            (EntryKind::Run, json!({ "from": "another version" }), "{\"from\":\"another version\"}"),
        ] {
            assert_eq!(text(&story(kind, detail), &[]), expected);
        }
    }

    #[test]
    fn only_the_sweep_of_an_organisation_has_its_number_for_an_undo() {
        let shown = |name: &str| {
            let summary =
                json!({ "checked": 5, "drifted": 1, "repaired": 1, "held": 0, "failed": 0, "unknown": 0 });
            let mut story = story(EntryKind::Sweep, json!({ "took_s": 3, "summary": summary }));
            story.entry.subject = name.into();
            text(&story, &["acme".to_owned()])
        };
        let end = "; to undo what Beadle wrote during it: `beadle undo 1`";
        assert!(shown("acme").starts_with("sweep 1 ended after 3 s"), "{}", shown("acme"));
        assert!(shown("acme").ends_with(end), "{}", shown("acme"));
        assert!(shown("okta").starts_with("sweep ended after 3 s"), "{}", shown("okta"));
    }

    #[test]
    fn a_policy_in_force_shows_the_command_that_undoes_exactly_its_writes() {
        let policy = json!({
            "repository": "acme/admin", "commit": "0123456789abcdef", "author": "mona", "subject": "Add a team",
            "in_force": "0123456789ab",
        });
        let mut story = story(EntryKind::Policy, policy);
        story.entry.subject = "acme".into();
        let shown = text(&story, &[]);
        let end = "Add a team; to undo what this policy wrote: `beadle undo 1`";
        assert!(shown.starts_with("policy 0123456789ab in force") && shown.ends_with(end), "{shown}");
    }

    #[test]
    fn a_sweep_that_a_person_began_has_words_and_no_key() {
        let mut story = story(EntryKind::Operator, json!({ "retried": true, "by": "ann" }));
        story.entry.subject = String::new();
        for (key, expected) in [
            ("sweep:acme:1", "acme  ann began a sweep of acme"),
            ("sweep:corp:groups", "corp  ann began a sweep of corp"),
            ("repository:acme:1", "repository:acme:1  ann made the key due"),
        ] {
            story.entry.key = key.into();
            let shown = line(&story, &[], &Printer::plain());
            assert_eq!(shown, format!("1970-01-01T00:00:00Z  {expected}"));
        }
    }

    #[test]
    fn a_line_has_the_name_and_not_the_key() {
        let story = story(EntryKind::Operator, json!({ "resumed": true, "by": "ann" }));
        let shown = line(&story, &[], &Printer::plain());
        assert_eq!(shown, "1970-01-01T00:00:00Z  acme/shop  ann ended the pause");
    }

    #[test]
    fn a_run_that_wrote_all_its_changes_has_no_line_of_its_own() {
        let run = |written: u32| {
            let counts = json!({ "changes": 2, "written": written, "held": 0, "failed": 0, "unknown": [] });
            story(EntryKind::Run, counts)
        };
        assert!(!is_shown(&run(2)));
        assert!(is_shown(&run(1)));
    }
}
