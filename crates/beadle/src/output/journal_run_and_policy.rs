//! Shows the entries of the journal about runs, policies and waivers as sentences.

use beadle_engine::gate::noun;
use beadle_engine::journal::{
    PolicyCommitted, PolicyHeld, PolicyInForce, PolicyWithdrawn, RunCounts, WaiverEnded,
};
use beadle_engine::{Detail, DriftCause, UnwrittenChange};

use crate::output::plural::counted;

/// The number of digits of a commit's id that a sentence shows.
const DIGITS: usize = 12;
/// The maximum number of deliveries in a sentence.
const CAUSES: usize = 3;

/// Returns the sentence for an entry about a run, a policy or the end of a waiver. Returns `None`
/// for all other entries.
pub(crate) fn sentence(detail: &Detail) -> Option<String> {
    match detail {
        Detail::Run(counts) => Some(run(counts)),
        Detail::Policy(policy) => Some(in_force(policy)),
        Detail::PolicyHeld(held) => Some(self::held(held)),
        Detail::PolicyWithdrawn(withdrawn) => Some(self::withdrawn(withdrawn)),
        Detail::WaiverEnded(ended) => Some(waiver_ended(ended)),
        _ => None,
    }
}

/// Returns a description of a commit in one line, such as `commit 0123456789ab of acme/admin by
/// mona: Add a team`.
pub(crate) fn commit(of: &PolicyCommitted) -> String {
    let PolicyCommitted { repository, commit, author, subject } = of;
    let short: String = commit.chars().take(DIGITS).collect();
    format!("commit {short} of {repository} by {author}: {subject}")
}

fn run(counts: &RunCounts) -> String {
    let results = [
        (counts.written, "written"),
        (counts.held, "held by the guard"),
        (counts.withheld.unwrap_or_default(), "skipped by the mode"),
        (counts.undone.unwrap_or_default(), "skipped because of an undo"),
        (counts.failed, "failed"),
        (counts.postponed.unwrap_or_default(), "postponed because another writer undoes it"),
    ];
    let results = results.into_iter().filter(|(count, _)| *count > 0);
    let results: Vec<String> = results.map(|(count, result)| format!("{count} {result}")).collect();
    let mut text = counted(counts.changes as u64, "change", "changes");
    if !results.is_empty() {
        text = format!("{text}: {}", results.join(", "));
    }
    for unknown in &counts.unknown {
        let part = unknown.part.as_ref().map(|part| format!(" {part}")).unwrap_or_default();
        text = format!("{text}; {}{part} unknown: {}", unknown.aspect, unknown.why);
    }
    let unwritten = counts.unwritten.as_deref().unwrap_or_default();
    if !unwritten.is_empty() {
        let shown: Vec<String> = unwritten.iter().map(self::unwritten).collect();
        text = format!("{text}; not written: {}", shown.join(", "));
        let all = counts.changes.saturating_sub(counts.written);
        if let Some(more) = all.checked_sub(unwritten.len()).filter(|more| *more > 0) {
            text = format!("{text}, {more} more");
        }
    }
    let causes = counts.after.as_deref().unwrap_or_default();
    if causes.is_empty() {
        return text;
    }
    let mut shown: Vec<String> = Vec::new();
    for cause in causes.iter().take(CAUSES) {
        shown.push(match &cause.by {
            Some(by) => format!("{} by {by}", cause.event),
            None => cause.event.clone(),
        });
    }
    if let Some(more) = causes.len().checked_sub(CAUSES).filter(|more| *more > 0) {
        shown.push(format!("{more} more"));
    }
    format!("{text}; after {}", shown.join(", "))
}

/// Returns a description of an unwritten change, such as `removes team contractors (teams) asked by
/// settings.yml:7 (held as 8f0c1d2e3a4b)`.
fn unwritten(change: &UnwrittenChange) -> String {
    let part = &change.part;
    let what = match (part.what.as_str(), part.value_names().as_str()) {
        ("", "") => part.aspect.clone(),
        ("", values) => format!("{}: {values}", part.aspect),
        (what, _) => format!("{what} ({})", part.aspect),
    };
    let asked = change.asked.as_ref().map(|line| format!(" asked by {line}")).unwrap_or_default();
    let because = match (change.because, &change.digest) {
        (DriftCause::Held, Some(digest)) => format!("held as {digest}"),
        (DriftCause::Held, None) => "held".to_owned(),
        (DriftCause::Mode, _) if change.undone => "skipped because of an undo".to_owned(),
        (DriftCause::Mode, _) => "skipped by the mode".to_owned(),
        (DriftCause::Contested, _) => "postponed".to_owned(),
        (DriftCause::Failed, _) => "failed".to_owned(),
        (DriftCause::NotReached, _) => "not reached".to_owned(),
        (DriftCause::Blocked, _) => "depends on another change that was not written".to_owned(),
    };
    format!("{} {what}{asked} ({because})", change.risk)
}

fn in_force(policy: &PolicyInForce) -> String {
    let base = policy.base.as_ref().map(|base| format!("; base: {}", commit(base))).unwrap_or_default();
    format!("policy {} in force: {}{base}", policy.in_force, commit(&policy.from))
}

fn held(held: &PolicyHeld) -> String {
    let PolicyHeld { held_generation, plan, why, held_by, commit: from } = held;
    let from = from.as_ref().map(|from| format!("; {}", commit(from))).unwrap_or_default();
    let noun = noun(held_generation);
    format!("{noun} {held_generation} (plan {plan}) held by {held_by}: {why}{from}")
}

fn withdrawn(withdrawn: &PolicyWithdrawn) -> String {
    let PolicyWithdrawn { withdrawn_generation, plan, why, held_by } = withdrawn;
    let noun = noun(withdrawn_generation);
    format!("{noun} {withdrawn_generation} (plan {plan}) held by {held_by}, withdrawn: {why}")
}

fn waiver_ended(ended: &WaiverEnded) -> String {
    let (keys, repositories) = (ended.keys.join(", "), ended.repositories.join(", "));
    let due = counted(ended.due as u64, "repository", "repositories");
    format!("waiver of {keys} in {repositories} ended ({}, {}): {due} due", ended.owner, ended.reason)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn entries_about_runs_and_policies_are_sentences() {
        let from = json!({
            "repository": "acme/admin", "commit": "0123456789abcdef", "author": "mona", "subject": "Add a team",
        });
        let cause = |event: &str, by: Option<&str>| json!({ "event": event, "by": by, "delivery": "d" });
        let causes = [cause("push", None), cause("team.edited", Some("ann")), cause("push", None)];
        let mut in_force = from.clone();
        in_force["in_force"] = json!("0123456789ab");
        for (stored, expected) in [
            (
                json!({
                    "changes": 4, "written": 1, "held": 1, "withheld": 1, "failed": 1, "postponed": 0,
                    "unknown": [{ "aspect": "labels", "part": null, "why": "403", "transient": false }],
                    "after": [cause("repository.edited", Some("mona"))],
                }),
                "4 changes: 1 written, 1 held by the guard, 1 skipped by the mode, 1 failed; labels unknown: 403; after \
                 repository.edited by mona",
            ),
            (
                json!({ "changes": 1, "written": 1, "held": 0, "failed": 0, "unknown": [] }),
                "1 change: 1 written",
            ),
            (
                json!({
                    "changes": 0, "written": 0, "held": 0, "failed": 0,
                    "unknown": [{ "aspect": "teams", "part": "team a", "why": "404", "transient": true }],
                    "after": [causes[0], causes[1], causes[2], causes[0], causes[0]],
                }),
                "0 changes; teams team a unknown: 404; after push, team.edited by ann, push, 2 more",
            ),
            (
                json!({
                    "changes": 3, "written": 0, "held": 1, "withheld": 2, "failed": 0, "unknown": [],
                    "unwritten": [
                        { "aspect": "teams", "what": "team a", "risk": "removes", "because": "held", "digest": "8f0c",
                          "asked": { "file": "settings.yml", "line": 7 } },
                        { "aspect": "settings", "what": "", "values": ["has_wiki", "has_issues"], "more_values": 3,
                          "risk": "changes", "because": "mode", "asked": null },
                    ],
                }),
                "3 changes: 1 held by the guard, 2 skipped by the mode; not written: removes team a (teams) asked by \
                 settings.yml:7 (held as 8f0c), changes settings: has_wiki, has_issues, 3 more (skipped by the \
                 mode), 1 more",
            ),
            (
                json!({
                    "changes": 2, "written": 0, "held": 0, "withheld": 0, "undone": 2, "failed": 0, "unknown": [],
                    "unwritten": [
                        { "aspect": "topics", "what": "", "risk": "adds", "because": "mode", "undone": true,
                          "asked": null },
                    ],
                }),
                "2 changes: 2 skipped because of an undo; not written: adds topics (skipped because of an undo), 1 more",
            ),
            (in_force, "policy 0123456789ab in force: commit 0123456789ab of acme/admin by mona: Add a team"),
            (
                json!({
                    "held_generation": "g1", "plan": "p1", "why": "too many", "held_by": "service", "commit": from,
                }),
                "policy g1 (plan p1) held by the service: too many; commit 0123456789ab of acme/admin by mona: Add a team",
            ),
            (
                json!({ "withdrawn_generation": "g1", "plan": "p1", "why": "the policy g0 is in force", "held_by": "command" }),
                "policy g1 (plan p1) held by a command (`apply` or `sweep`), withdrawn: the policy g0 is in force",
            ),
            (
                json!({
                    "waiver_ended": "0a1b2c3d", "keys": ["teams"], "repositories": ["shop", "api-*"],
                    "until": "2026-01-02T03:04:05Z", "reason": "release", "owner": "mona", "due": 1,
                }),
                "waiver of teams in shop, api-* ended (mona, release): 1 repository due",
            ),
        ] {
            assert_eq!(sentence(&Detail::from(stored)).as_deref(), Some(expected));
        }
        assert_eq!(sentence(&Detail::from(json!({ "status": 403 }))), None);
    }
}
