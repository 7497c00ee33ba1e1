//! Shows changes, and the facts of journal entries.

use beadle_engine::guard::{is_undo, short_undo};
use beadle_engine::journal::{
    Happened, OperatorAction, PolicyCommitted, PolicyInForce, RunCounts, WriteResult,
};
use beadle_engine::{Change, Detail, DriftCause, Field, Risk, UnwrittenChange, value_text};

use super::html::{Html, Tag, element, is_very_long, joined, long_text, text};
use super::lines::LinesOf;
use super::link::Link;
use super::parts::{code, link, list, short_list, state};

/// The number of digits that a page shows of a commit's id.
const DIGITS: usize = 12;
/// The maximum number of values that a page shows for one change. In practice, no change has this
/// many values.
const FIELDS: usize = 500;

/// Returns a change with all its values. `lines` are the lines of the policy that asked for the
/// change.
pub(super) fn change(change: &Change<()>, lines: &LinesOf<'_>) -> Html {
    joined([long_text(format!("{} {}", change.aspect, change.what)), values(change, lines)])
}

/// Returns a change from an undo, with all its values. If an undo adds a thing, the page says that
/// the undo restores the thing.
pub(super) fn undo(change: &Change<()>) -> Html {
    let word = |risk: Risk| if risk == Risk::Adds { "restores" } else { risk.as_str() };
    let lines = LinesOf::default();
    let values = short_list(
        change.fields.iter().map(|field| value((change, field), word(field.risk), &lines)),
        FIELDS,
    );
    joined([long_text(format!("{} {}", change.aspect, change.what)), values])
}

/// Returns the values of a change. A person who approves a change must see all its values.
pub(super) fn values(change: &Change<()>, lines: &LinesOf<'_>) -> Html {
    short_list(change.fields.iter().map(|field| value((change, field), field.risk.as_str(), lines)), FIELDS)
}

/// Returns whether the pages truncate a text of a change or leave out one of its values.
pub fn is_cut(change: &Change<()>) -> bool {
    let is_cut = |field: &Field| {
        is_very_long(&field.name)
            || is_very_long(&value_text(&field.before))
            || is_very_long(&value_text(&field.after))
    };
    change.fields.len() > FIELDS || is_very_long(&change.what) || change.fields.iter().any(is_cut)
}

/// Returns the old and the new value of a field, the word for the risk of the change, and the line
/// that asked for the value.
fn value((change, field): (&Change<()>, &Field), risk: &'static str, lines: &LinesOf<'_>) -> Html {
    let asked = field.asked.as_ref().map(|at| joined([text(" "), lines.place(at)])).unwrap_or_default();
    joined([
        long_text(format!("{}: ", field.name)),
        element(Tag::Code, &[], [long_text(value_text(&field.before))]),
        text(" → "),
        element(Tag::Code, &[], [long_text(value_text(&field.after))]),
        text(" "),
        state(risk),
        asked,
        lines.absence(change, field),
    ])
}

/// Returns a description of a commit in one line.
pub(super) fn commit(of: &PolicyCommitted) -> Html {
    let short: String = of.commit.chars().take(DIGITS).collect();
    joined([code(short), text(format!(" of {} by {}: {}", of.repository, of.author, of.subject))])
}

/// Returns the facts of a journal entry. `lines` are the lines of the policy that asked for the
/// change of the entry.
pub(super) fn detail(detail: &Detail, lines: &LinesOf<'_>) -> Html {
    match detail {
        Detail::Change(intended) if is_undo(&intended.generation) => {
            joined([undo(&intended.change), text(short_undo(&intended.generation))])
        }
        Detail::Change(intended) => {
            let by = intended.approved_by.as_ref().map(|by| text(format!(", approved by {by}")));
            let write = lines.write();
            let first = intended.first_asked.as_ref().map(|first| {
                let known = write.and_then(|write| write.first.as_ref());
                joined([text(", first asked for by "), policy(first, known)])
            });
            let own = policy(&intended.generation, write.and_then(|write| write.policy.as_ref()));
            let further = [first, by].into_iter().flatten();
            joined([change(&intended.change, lines), own].into_iter().chain(further))
        }
        Detail::Result(result) => text(result_text(result)),
        Detail::Run(counts) => run(counts),
        Detail::Operator(action) => operator(action),
        Detail::Policy(policy) => {
            joined([text(format!("policy {} in force: ", policy.in_force)), commit(&policy.from)])
        }
        Detail::PolicyHeld(held) => {
            text(format!("policy {} (plan {}) held: {}", held.held_generation, held.plan, held.why))
        }
        Detail::PolicyWithdrawn(held) => {
            text(format!("policy {} (plan {}) withdrawn: {}", held.withdrawn_generation, held.plan, held.why))
        }
        Detail::WaiverEnded(ended) => text(format!(
            "waiver {} of {} ended: {} of {} ({})",
            ended.waiver_ended,
            ended.owner,
            ended.keys.join(", "),
            ended.repositories.join(", "),
            ended.reason
        )),
        Detail::Sweep(end) => text(format!("sweep {end}")),
        Detail::Recovery(end) => text(end),
        Detail::Contested(contested) => text(contested),
        Detail::Refused(refused) => text(refused),
        // An entry of any other kind shows its facts as JSON, as the journal stores them.
        _ => code(detail),
    }
}

/// Returns the policy generation that asked for a change, and its author. The generation is a link
/// to the journal entries about this generation.
pub(super) fn policy(generation: &str, known: Option<&PolicyInForce>) -> Html {
    let entries = Link::to("/journal").with("kind", "policy").with("text", generation);
    let by = known.map(|policy| {
        let by = |of: &PolicyCommitted| format!("by {}: {}", of.author, of.subject);
        let base = policy.base.as_ref().map(|base| format!(", base {}", by(base))).unwrap_or_default();
        text(format!(" {}{base}", by(&policy.from)))
    });
    joined([text("policy "), link(&entries, generation)].into_iter().chain(by))
}

/// Returns the action of an operator.
fn operator(action: &OperatorAction) -> Html {
    let because = |reason: Option<&str>| reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    text(match action {
        OperatorAction::Approved { approved, by, reason, .. } => {
            format!("{by} approved the change {approved}{}", because(reason.as_deref()))
        }
        OperatorAction::Rejected { rejected, by, reason, .. } => {
            format!("{by} rejected the change {rejected}{}", because(reason.as_deref()))
        }
        OperatorAction::ApprovedGeneration { approved_generation, plan, reason, by } => {
            format!("{by} approved the policy {approved_generation} (plan {plan}): {reason}")
        }
        OperatorAction::Paused { paused_until, by, reason } => {
            format!("{by} began a pause until {paused_until}{}", because(reason.as_deref()))
        }
        OperatorAction::Resumed { by, reason, .. } => {
            format!("{by} ended a pause{}", because(reason.as_deref()))
        }
        OperatorAction::Undid { undid, by, reason } => {
            format!("{by} began the {}{}", short_undo(undid), because(reason.as_deref()))
        }
        OperatorAction::EndedUndo { by, reason, .. } => {
            format!("{by} let the policy apply to undone values again{}", because(reason.as_deref()))
        }
        OperatorAction::Retried { by, reason, .. } => {
            format!("{by} made the key due{}", because(reason.as_deref()))
        }
        OperatorAction::Reloaded { by, .. } => format!("{by} made the service read its configuration again"),
        OperatorAction::RanTask { ran_task, by } => format!("{by} ran the background task {ran_task}"),
        OperatorAction::Waived { waived, repositories, waived_until, reason, owner, by } => format!(
            "{by} exempted {} of {} until {waived_until} for {owner}: {reason}",
            waived.join(", "),
            repositories.join(", ")
        ),
        OperatorAction::EndedWaiver { ended_waiver, waived, repositories, by, reason } => format!(
            "{by} ended the waiver {ended_waiver}: {} of {}{}",
            waived.join(", "),
            repositories.join(", "),
            because(reason.as_deref())
        ),
        // These actions confirm a name or a file of the policy.
        _ => return code(Detail::Operator(action.clone())),
    })
}

pub(super) fn result_text(result: &WriteResult) -> String {
    let written = match (result.written, result.unknown) {
        (Happened::Yes, _) => "written",
        // The vendor might have made the change although the write failed.
        (Happened::Unknown, _) | (Happened::No, Some(true)) => "unknown whether it was written",
        (Happened::No, _) => "not written",
    };
    match &result.why {
        Some(why) => format!("{written}: {why}"),
        None => written.to_owned(),
    }
}

/// Returns a change that a run did not write, with the reason and the line of the policy.
fn unwritten(change: &UnwrittenChange) -> Html {
    let because = match change.because {
        DriftCause::Held => "held by the guard",
        DriftCause::Mode if change.undone => "skipped because of an undo",
        DriftCause::Mode => "skipped by the mode",
        DriftCause::Contested => "postponed",
        DriftCause::Failed => "failed",
        DriftCause::NotReached => "not reached",
        DriftCause::Blocked => "depends on another change that was not written",
    };
    let part = &change.part;
    let name = match (part.what.as_str(), part.value_names().as_str()) {
        ("", "") => part.aspect.clone(),
        ("", values) => format!("{}: {values}", part.aspect),
        (what, _) => format!("{} {what}", part.aspect),
    };
    let asked = change.asked.as_ref().map(|asked| joined([text(" "), code(asked)])).unwrap_or_default();
    let what = text(format!("not written: {name} ({because}) "));
    joined([what, state(change.risk.as_str()), asked])
}

fn run(counts: &RunCounts) -> Html {
    let results = [
        (counts.written, "written"),
        (counts.held, "held by the guard"),
        (counts.withheld.unwrap_or_default(), "skipped by the mode"),
        (counts.undone.unwrap_or_default(), "skipped because of an undo"),
        (counts.failed, "failed"),
        (counts.postponed.unwrap_or_default(), "postponed"),
    ];
    let results = results.into_iter().filter(|(count, _)| *count > 0);
    let results: Vec<String> = results.map(|(count, result)| format!("{count} {result}")).collect();
    let noun = if counts.changes == 1 { "change" } else { "changes" };
    let sums = if results.is_empty() { String::new() } else { format!(": {}", results.join(", ")) };
    let unknowns = counts.unknown.iter().map(|unknown| {
        let part = unknown.part.as_deref().unwrap_or_default();
        text(format!("unknown: {} {part}: {}", unknown.aspect, unknown.why))
    });
    let causes = counts.after.iter().flatten().map(|cause| match &cause.by {
        Some(by) => text(format!("after {} by {by}", cause.event)),
        None => text(format!("after {}", cause.event)),
    });
    let unwritten = counts.unwritten.iter().flatten().map(unwritten);
    let further: Vec<Html> = unknowns.chain(unwritten).chain(causes).collect();
    let further = if further.is_empty() { Html::default() } else { list(further) };
    joined([text(format!("{} {noun}{sums}", counts.changes)), further])
}

#[cfg(test)]
mod tests {
    use beadle_engine::Unknown;
    use beadle_engine::journal::IntendedChange;
    use beadle_engine::testing;
    use serde_json::json;

    use super::*;

    const HOSTILE: &str = "<img src=x onerror=alert(1)>";
    const INERT: &str = "&lt;img src=x onerror=alert(1)&gt;";

    /// Returns the facts of an entry if nothing is known about the lines of its policy.
    fn plain(of: &Detail) -> Html {
        detail(of, &LinesOf::default())
    }

    #[test]
    fn no_value_of_a_change_becomes_html() {
        let mut hostile = testing::change(HOSTILE, HOSTILE, &[Risk::Removes]);
        hostile.fields[0].name = HOSTILE.into();
        hostile.fields[0].before = json!([HOSTILE]);
        hostile.fields[0].after = json!({ HOSTILE: HOSTILE });
        let shown = change(&hostile, &LinesOf::default());
        assert!(!shown.as_str().contains("<img"), "{}", shown.as_str());
        assert_eq!(shown.as_str().matches(INERT).count(), 6, "{}", shown.as_str());
    }

    #[test]
    fn no_value_of_a_change_hides_behind_others() {
        let mut long = testing::change("settings", "", &[Risk::Changes; 60]);
        long.fields[59].name = "visibility".into();
        let shown = values(&long, &LinesOf::default());
        assert!(shown.as_str().contains("visibility"), "{}", shown.as_str());
    }

    #[test]
    fn a_change_is_cut_only_if_a_text_is_very_long_or_a_value_is_left_out() {
        let with = |length: usize| {
            let mut change = testing::change("settings", "", &[Risk::Changes]);
            change.fields[0].after = json!("x".repeat(length));
            change
        };
        assert!(!is_cut(&with(3000)) && is_cut(&with(5000)));
        let shown = values(&with(3000), &LinesOf::default());
        assert!(!shown.as_str().contains("more characters"), "{}", shown.as_str());
        let shown = values(&with(5000), &LinesOf::default());
        assert!(shown.as_str().contains("more characters"), "{}", shown.as_str());
        assert!(is_cut(&testing::change("settings", "", &[Risk::Changes; FIELDS + 1])));
    }

    #[test]
    fn no_value_of_an_entry_becomes_html() {
        let commit = PolicyCommitted {
            repository: HOSTILE.into(),
            commit: HOSTILE.into(),
            author: HOSTILE.into(),
            subject: HOSTILE.into(),
        };
        let unknown = Unknown {
            aspect: HOSTILE.into(),
            part: Some(HOSTILE.into()),
            why: HOSTILE.into(),
            transient: true,
        };
        let mut policy = serde_json::to_value(&commit).unwrap();
        policy["in_force"] = HOSTILE.into();
        for stored in [
            policy,
            json!({
                "changes": 1, "written": 0, "held": 0, "failed": 1, "unknown": [unknown],
                "after": [{ "event": HOSTILE, "by": HOSTILE, "delivery": "d" }],
            }),
            json!({ "written": false, "why": HOSTILE }),
            json!({ "approved": HOSTILE, "by": HOSTILE }),
            json!({ "adopted": HOSTILE, "id": 1, "before": null, "by": HOSTILE }),
            json!({ "paused_until": HOSTILE, "by": HOSTILE }),
            json!({ "rejected": HOSTILE, "by": HOSTILE, "reason": HOSTILE }),
            json!({ "undid": HOSTILE, "by": HOSTILE, "reason": HOSTILE }),
            json!({ "resumed": true, "by": "ann", "reason": HOSTILE }),
            json!({ "ended_undo": 2, "by": HOSTILE }),
            json!({ "retried": true, "by": HOSTILE, "reason": HOSTILE }),
            json!({ "reloaded": true, "by": HOSTILE }),
            json!({ "ran_task": HOSTILE, "by": HOSTILE }),
            json!({
                "waived": [HOSTILE], "repositories": [HOSTILE], "waived_until": HOSTILE, "reason": HOSTILE,
                "owner": HOSTILE, "by": HOSTILE,
            }),
            json!({
                "ended_waiver": HOSTILE, "waived": [HOSTILE], "repositories": [HOSTILE], "by": HOSTILE,
            }),
            json!({
                "waiver_ended": HOSTILE, "keys": [HOSTILE], "repositories": [HOSTILE], "until": HOSTILE,
                "reason": HOSTILE, "owner": HOSTILE, "due": 1,
            }),
            json!({ "held_generation": HOSTILE, "plan": HOSTILE, "why": HOSTILE, "held_by": "service" }),
            json!({ "something": HOSTILE }),
        ] {
            let shown = plain(&Detail::from(stored));
            assert!(shown.as_str().contains(INERT), "{}", shown.as_str());
            assert!(!shown.as_str().contains("<img"), "{}", shown.as_str());
        }
    }

    #[test]
    fn a_written_change_leads_to_the_author_of_its_policy() {
        let change = testing::change("teams", "team core", &[Risk::Removes]);
        let shown = |generation: &str| {
            let (change, generation) = (change.clone(), generation.to_owned());
            let intended = IntendedChange { change, generation, approved_by: None, first_asked: None };
            plain(&Detail::Change(intended)).as_str().to_owned()
        };
        let approved = IntendedChange {
            change: change.clone(),
            generation: "3c9f".to_owned(),
            approved_by: Some("<b>sec".to_owned()),
            first_asked: Some("<i>2a1b".to_owned()),
        };
        let approved = plain(&Detail::Change(approved));
        assert!(approved.as_str().ends_with(", approved by &lt;b&gt;sec"), "{}", approved.as_str());
        let first = ", first asked for by policy <a href=\"/journal?kind=policy&amp;text=%3Ci%3E2a1b\">&lt;i&gt;2a1b</a>";
        assert!(approved.as_str().contains(first), "{}", approved.as_str());
        let link = "<a href=\"/journal?kind=policy&amp;text=3c9f%2Bg\">3c9f+g</a>";
        assert!(shown("3c9f+g").ends_with(link), "{}", shown("3c9f+g"));
        let undo = shown("undo of 7");
        assert!(undo.ends_with("undo of 7") && !undo.contains("<a "), "{undo}");
        let undo = shown("undo of 270, 271, 272, 273");
        assert!(undo.ends_with("undo of 270 and 3 more"), "{undo}");
        assert!(!shown(HOSTILE).contains("<img"), "{}", shown(HOSTILE));
    }

    #[test]
    fn an_undo_restores_what_it_adds() {
        let shown = |risk: Risk| undo(&testing::change("teams", "team core", &[risk])).as_str().to_owned();
        assert!(shown(Risk::Adds).contains(">restores<"), "{}", shown(Risk::Adds));
        assert!(shown(Risk::Removes).contains(">removes<"), "{}", shown(Risk::Removes));
    }

    #[test]
    fn the_result_of_a_run_is_a_sentence() {
        let stored = json!({ "changes": 2, "written": 1, "held": 1, "failed": 0, "unknown": [] });
        assert_eq!(plain(&Detail::from(stored)).as_str(), "2 changes: 1 written, 1 held by the guard");
        let stored = json!({ "changes": 1, "written": 0, "held": 0, "withheld": 0, "undone": 1, "failed": 0, "unknown": [] });
        assert_eq!(plain(&Detail::from(stored)).as_str(), "1 change: 1 skipped because of an undo");
        let line = json!({ "file": "layers/labels.yml", "line": 4 });
        let one =
            json!({ "aspect": "labels", "what": HOSTILE, "risk": "adds", "asked": line, "because": "mode" });
        let stored = json!({
            "changes": 1, "written": 0, "held": 0, "withheld": 1, "failed": 0, "unknown": [], "unwritten": [one],
        });
        let shown = plain(&Detail::from(stored));
        let start = format!(
            "1 change: 1 skipped by the mode<ul><li>not written: labels {INERT} (skipped by the mode) "
        );
        assert!(shown.as_str().starts_with(&start), "{}", shown.as_str());
        assert!(shown.as_str().contains("<code>layers/labels.yml:4</code>"), "{}", shown.as_str());
        let one = json!({
            "aspect": "settings", "what": "", "values": [HOSTILE], "more_values": 2, "risk": "changes",
            "asked": null, "because": "blocked",
        });
        let stored = json!({
            "changes": 1, "written": 0, "held": 0, "failed": 0, "unknown": [], "unwritten": [one],
        });
        let shown = plain(&Detail::from(stored));
        let expected = format!(
            "not written: settings: {INERT}, 2 more (depends on another change that was not written) "
        );
        assert!(shown.as_str().contains(&expected), "{}", shown.as_str());
        let stored = json!({ "written": false, "unknown": false, "why": "403" });
        assert_eq!(plain(&Detail::from(stored)).as_str(), "not written: 403");
        let stored = json!({ "written": false, "unknown": true, "why": "timeout" });
        let expected = "unknown whether it was written: timeout";
        assert_eq!(plain(&Detail::from(stored)).as_str(), expected);
    }

    #[test]
    fn the_end_of_a_sweep_is_a_sentence_and_no_json() {
        let summary = json!({
            "checked": 5, "drifted": 2, "repaired": 1, "held": 1, "failed": 0, "unknown": 0,
        });
        let stored = json!({ "took_s": 3, "summary": summary });
        let expected = "sweep ended after 3 s: 5 checked, 2 drifted, 1 repaired, 1 held, 0 failed, 0 unknown";
        assert_eq!(plain(&Detail::from(stored)).as_str(), expected);
        let contested = json!({ "aspect": "teams", "what": HOSTILE, "times": 5, "held": true });
        let shown = plain(&Detail::from(contested));
        assert!(shown.as_str().starts_with(&format!("teams {INERT} is contested")), "{}", shown.as_str());
    }

    #[test]
    fn an_absent_value_is_none() {
        let mut change = testing::change("teams", "team core", &[Risk::Removes]);
        (change.fields[0].before, change.fields[0].after) = (json!("push"), json!(null));
        let shown = values(&change, &LinesOf::default());
        let expected = "<code>&quot;push&quot;</code> → <code>none</code>";
        assert!(shown.as_str().contains(expected), "{}", shown.as_str());
    }
}
