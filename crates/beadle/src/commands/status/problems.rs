//! Groups the problems of repositories and groups by their causes. For example, if a missing team
//! affects 200 repositories, the output shows one problem.

use std::collections::{BTreeMap, BTreeSet};

use beadle_engine::{DriftCause, Hold, Key, KeyState, Parked, Risk, Time};

use super::model::{Problem, ProblemKind};

/// The group of a problem.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    kind: ProblemKind,
    instance: String,
    of: String,
    cause: String,
}

/// The names of the repositories or groups with one problem, and the time at which the problem
/// began.
struct Members {
    since: Time,
    names: BTreeSet<String>,
}

/// Collects problems.
#[derive(Default)]
struct Problems(BTreeMap<Group, Members>);

impl Problems {
    fn add(&mut self, kind: ProblemKind, (key, name): (&Key, &str), cause: &str, since: Time) {
        // If a cause contains the name of the repository itself, the function replaces this name.
        // Then the same cause has the same text for all repositories. The function replaces only
        // names with an owner, because a name without an owner might be an ordinary word.
        let cause = cause.replace(key.as_str(), "this one");
        let cause = if name.contains('/') { cause.replace(name, "this one") } else { cause };
        let (instance, of) = (key.instance().to_owned(), key.kind().to_owned());
        let group = Group { kind, instance, of, cause };
        let members = self.0.entry(group).or_insert_with(|| Members { since, names: BTreeSet::new() });
        members.since = members.since.min(since);
        members.names.insert(name.to_owned());
    }
}

/// A parked key with its readable name.
pub(super) struct ParkedKey {
    pub(super) key: Key,
    pub(super) name: String,
    pub(super) parked: Parked,
}

/// Returns the problems. The most severe kind comes first. Within a kind, the problem with the most
/// names comes first.
pub(super) fn problems(states: &[(Key, KeyState)], holds: &[Hold], parked: &[ParkedKey]) -> Vec<Problem> {
    let mut found = Problems::default();
    for ParkedKey { key, name, parked } in parked {
        found.add(ProblemKind::Parked, (key, name.as_str()), &parked.why, parked.since);
    }
    // An approved change is not a problem any more, because its key is due.
    for hold in holds.iter().filter(|hold| hold.approved_by.is_none()) {
        // After a rejection, no writer fights over the value: the change is only held.
        let is_contested = hold.contested && hold.is_open();
        let kind = if is_contested { ProblemKind::Contested } else { ProblemKind::Held };
        found.add(kind, (&hold.key, hold.subject.as_str()), &change(hold), hold.since);
    }
    for (key, state) in states {
        let of = (key, state.subject.as_str());
        for aspect in &state.contested {
            let cause = format!("another writer undoes the changes of {aspect}");
            found.add(ProblemKind::Contested, of, &cause, state.since);
        }
        for unknown in &state.unknown {
            let part = unknown.part.as_deref().filter(|part| !unknown.why.contains(*part));
            let part = part.map(|part| format!(" {part}")).unwrap_or_default();
            let cause = format!("{}{part}: {}", unknown.aspect, unknown.why);
            found.add(ProblemKind::Unknown, of, &cause, state.since);
        }
        if let Some((cause, since)) = left(state) {
            found.add(ProblemKind::Drifted, of, &cause, since);
        }
    }
    let problem = |(group, members): (Group, Members)| {
        let Group { kind, instance, of, cause } = group;
        let names: Vec<String> = members.names.into_iter().collect();
        Problem { kind, instance, of, cause, since: members.since, count: names.len(), names }
    };
    let mut problems: Vec<Problem> = found.0.into_iter().map(problem).collect();
    problems.sort_by_key(|problem| (problem.kind, std::cmp::Reverse(problem.count)));
    problems
}

/// Returns the effect of a held change, such as `removes teams: team engineering`.
fn change(hold: &Hold) -> String {
    let change = &hold.change;
    let risk = change.risks().gravest().map_or("changes", Risk::as_str);
    let what = if change.what.is_empty() { String::new() } else { format!(": {}", change.what) };
    format!("{risk} {}{what}", change.aspect)
}

/// Returns the reason why Beadle has not written some changes of a key, and the time at which the
/// problem began. Returns `None` if the guard or another writer is the reason.
fn left(state: &KeyState) -> Option<(String, Time)> {
    if let Some(failure) = &state.failure {
        return Some((format!("a change failed: {failure}"), state.since));
    }
    if state.failed > 0 {
        return Some(("the last run ended before its last change".to_owned(), state.since));
    }
    if state.undone > 0 {
        let why = "an operator undid values, and Beadle only observes them until `beadle resume`";
        return Some((why.to_owned(), state.undone_since.unwrap_or(state.since)));
    }
    if state.withheld > 0 {
        let its = state.drift.iter().filter(|(_, cause)| **cause == DriftCause::Mode);
        let aspects: Vec<&str> = its.map(|(aspect, _)| aspect.as_str()).collect();
        // A state of an older version does not name the aspects.
        let of = if aspects.is_empty() { String::new() } else { format!(" of {}", aspects.join(", ")) };
        return Some((format!("the mode does not allow the changes{of}"), state.since));
    }
    let is_explained = state.held > 0 || !state.contested.is_empty();
    let is_left = state.pending > 0 && !is_explained;
    is_left.then(|| ("Beadle has not written some changes".to_owned(), state.since))
}

/// For each instance and each kind of problem, returns the number of repositories or groups with
/// this problem. If a repository has several problems of one kind, counts the repository only once.
pub(super) fn counts(problems: &[Problem]) -> BTreeMap<String, BTreeMap<ProblemKind, usize>> {
    let mut names: BTreeMap<&str, BTreeMap<ProblemKind, BTreeSet<&str>>> = BTreeMap::new();
    for problem in problems {
        let kinds = names.entry(&problem.instance).or_default();
        kinds.entry(problem.kind).or_default().extend(problem.names.iter().map(String::as_str));
    }
    let counted = |kinds: BTreeMap<ProblemKind, BTreeSet<&str>>| {
        kinds.into_iter().map(|(kind, names)| (kind, names.len())).collect()
    };
    names.into_iter().map(|(instance, kinds)| (instance.to_owned(), counted(kinds))).collect()
}

#[cfg(test)]
mod tests {
    use beadle_engine::guard::Rejection;
    use beadle_engine::{ParkReason, Unknown};
    use serde_json::json;

    use super::*;

    fn key(id: u64) -> Key {
        Key::new("repository", "acme", id)
    }

    fn state(id: u64) -> (Key, KeyState) {
        let state = json!({ "subject": format!("acme/r{id}"), "since": 1000 + id, "pending": 0 });
        (key(id), serde_json::from_value(state).unwrap())
    }

    fn unknown(why: &str, part: Option<&str>) -> Unknown {
        let part = part.map(str::to_owned);
        Unknown { aspect: "teams".into(), part, why: why.into(), transient: false }
    }

    fn hold(id: u64, is_contested: bool, approved_by: Option<&str>) -> Hold {
        let field =
            json!({ "name": "team", "before": "push", "after": null, "asked": null, "risk": "removes" });
        serde_json::from_value(json!({
            "digest": format!("d{id}"), "key": key(id), "subject": format!("acme/r{id}"), "since": id,
            "why": "guard limit reached", "contested": is_contested, "approved_by": approved_by, "generation": "g",
            "change": { "aspect": "teams", "what": "team engineering", "fields": [field], "mode": "enforce",
                        "after": [], "write": null },
        }))
        .unwrap()
    }

    /// Returns each problem in one line.
    fn lines(problems: &[Problem]) -> Vec<String> {
        let line = |problem: &Problem| {
            let Problem { kind, count, cause, since, .. } = problem;
            format!("{} {count} since {}: {cause}", kind.as_str(), since.0)
        };
        problems.iter().map(line).collect()
    }

    #[test]
    fn one_missing_team_is_one_problem_of_all_repositories() {
        let missing = "team `security` does not exist (settings.yml:3)";
        let mut states: Vec<(Key, KeyState)> = (1..=8).map(state).collect();
        for (_, state) in &mut states {
            state.unknown.push(unknown(missing, Some("security")));
        }
        states[0].1.unknown.push(unknown("the answer has no list", None));
        let found = problems(&states, &[], &[]);
        let expected = [
            format!("unknown 8 since 1001: teams: {missing}"),
            "unknown 1 since 1001: teams: the answer has no list".to_owned(),
        ];
        assert_eq!(lines(&found), expected);
        assert_eq!(counts(&found)["acme"], BTreeMap::from([(ProblemKind::Unknown, 8)]));
    }

    #[test]
    fn a_cause_that_names_the_repository_is_the_same_for_all() {
        let mut states: Vec<(Key, KeyState)> = (1..=2).map(state).collect();
        for (_, state) in &mut states {
            state.failed = 1;
            state.pending = 1;
            state.failure = Some(format!("{}: 403 Forbidden", state.subject));
        }
        let found = problems(&states, &[], &[]);
        assert_eq!(lines(&found), ["drifted 2 since 1001: a change failed: this one: 403 Forbidden"]);
        assert_eq!(found[0].names, ["acme/r1", "acme/r2"]);
    }

    #[test]
    fn each_change_that_is_left_has_one_kind() {
        let mut withheld = state(1);
        (withheld.1.pending, withheld.1.withheld) = (2, 2);
        withheld.1.drift.insert("labels".into(), DriftCause::Mode);
        let mut undone = state(7);
        (undone.1.pending, undone.1.undone) = (1, 1);
        let mut held = state(2);
        (held.1.pending, held.1.held) = (1, 1);
        let mut postponed = state(3);
        postponed.1.pending = 1;
        postponed.1.contested.insert("labels".into());
        let parked = ParkedKey {
            key: key(4),
            name: "acme/r4".into(),
            parked: Parked::new(ParkReason::Failed, "403 Forbidden".into(), Time(9)),
        };
        let holds = [hold(2, false, None), hold(5, true, None), hold(6, false, Some("mona"))];
        let found = problems(&[withheld, undone, held, postponed], &holds, &[parked]);
        assert_eq!(
            lines(&found),
            [
                "parked 1 since 9: 403 Forbidden",
                "contested 1 since 1003: another writer undoes the changes of labels",
                "contested 1 since 5: removes teams: team engineering",
                "held 1 since 2: removes teams: team engineering",
                "drifted 1 since 1007: an operator undid values, and Beadle only observes them until `beadle resume`",
                "drifted 1 since 1001: the mode does not allow the changes of labels",
            ]
        );
    }

    #[test]
    fn an_undo_in_a_repository_that_already_drifted_has_its_own_time() {
        let mut undone = state(1);
        (undone.1.pending, undone.1.withheld, undone.1.undone) = (2, 1, 1);
        undone.1.undone_since = Some(Time(5000));
        let why = "an operator undid values, and Beadle only observes them until `beadle resume`";
        assert_eq!(
            lines(&problems(std::slice::from_ref(&undone), &[], &[])),
            [format!("drifted 1 since 5000: {why}")]
        );
        undone.1.failed = 1;
        assert_eq!(
            lines(&problems(&[undone], &[], &[])),
            ["drifted 1 since 1001: the last run ended before its last change"]
        );
    }

    #[test]
    fn a_rejected_change_is_held_and_no_longer_contested() {
        let mut rejected = hold(5, true, None);
        rejected.rejected = Some(Rejection { by: "mona".into(), reason: None, at: Time(9) });
        let found = problems(&[], &[rejected], &[]);
        assert_eq!(lines(&found), ["held 1 since 5: removes teams: team engineering"]);
    }

    #[test]
    fn the_problem_of_most_repositories_comes_first() {
        let mut states: Vec<(Key, KeyState)> = (1..=3).map(state).collect();
        states[0].1.unknown.push(unknown("a", None));
        states[1].1.unknown.push(unknown("b", None));
        states[2].1.unknown.push(unknown("b", None));
        assert_eq!(
            lines(&problems(&states, &[], &[])),
            ["unknown 2 since 1002: teams: b", "unknown 1 since 1001: teams: a"]
        );
    }
}
