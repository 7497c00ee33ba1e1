//! Groups the problems of repositories and groups by their causes. For example, if a missing team
//! affects 200 repositories, the output shows one problem.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use beadle_engine::guard::{HoldState, is_undo, short_undo};
use beadle_engine::{Finding, Hold, HoldsByKey, Key, KeyCondition, KeyState, Risk, Row, Time, key_findings};

use super::model::{KeyCounts, Problem};
use crate::commands::shared::holds_text;

/// The kind of the key of an organisation itself.
const ORGANISATION: &str = "organisation";
/// The kinds of keys that the counts of an instance contain.
const COUNTED: [&str; 2] = ["repository", "target-group"];

/// The group of a problem.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    kind: KeyCondition,
    instance: String,
    of: String,
    cause: String,
    held: Option<HeldAs>,
}

/// A text about one key.
#[derive(Clone)]
struct KeyText {
    own: String,
    /// The text without the name of the key.
    common: String,
}

impl KeyText {
    /// Creates the texts. In the common text, `this one` replaces the key and its name. So the same
    /// cause has the same text for all repositories. The function replaces only names with an
    /// owner, because a name without an owner might be an ordinary word.
    fn new(text: &str, KnownKey { key, name, .. }: &KnownKey) -> Self {
        let common = text.replace(key.as_str(), "this one");
        let common = if name.contains('/') { common.replace(name.as_str(), "this one") } else { common };
        Self { own: text.to_owned(), common }
    }

    /// Returns the text about this number of keys. Only the text about several keys contains `this
    /// one`, such as `/repos/this one`.
    fn of(self, count: usize) -> String {
        if count == 1 { self.own } else { self.common }
    }
}

/// The reason why a change is held. Two held changes are separate problems if their decisions,
/// their causes or their undos differ.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct HeldAs {
    state: HoldState,
    undo: Option<String>,
    cause: String,
}

impl HeldAs {
    fn of(hold: &Hold) -> Self {
        let undo = is_undo(&hold.generation).then(|| hold.generation.clone());
        Self { state: HoldState::of(hold), undo, cause: hold.cause() }
    }
}

/// The repositories or groups with one problem, each with its name, and the time at which the
/// problem began.
struct Members {
    since: Time,
    /// The cause, as a text about the first key that was added.
    cause: KeyText,
    /// The reason of the oldest held change.
    held_because: Option<KeyText>,
    names: BTreeMap<Key, String>,
}

/// Collects problems.
#[derive(Default)]
struct Problems(BTreeMap<Group, Members>);

impl Problems {
    /// Adds a problem of a key. If the problem is a held change, `hold` is this change.
    fn add(&mut self, kind: KeyCondition, of: &KnownKey, cause: &str, (since, hold): (Time, Option<&Hold>)) {
        let KnownKey { key, name, .. } = of;
        let cause = KeyText::new(cause, of);
        let held_because = hold.map(|hold| KeyText::new(&reason(hold), of));
        let group = Group {
            kind,
            instance: key.instance().to_owned(),
            of: key.kind().to_owned(),
            cause: cause.common.clone(),
            held: hold.map(HeldAs::of),
        };
        let first = held_because.clone();
        let members = self.0.entry(group).or_insert_with(|| Members {
            since,
            cause,
            held_because: first,
            names: BTreeMap::new(),
        });
        if since < members.since {
            (members.since, members.held_because) = (since, held_because);
        }
        members.names.insert(key.clone(), name.clone());
    }
}

/// Returns why Beadle holds a change, or the decision of the operator about it.
fn reason(hold: &Hold) -> String {
    let why = holds_text::state(&HoldState::of(hold), &hold.why);
    if is_undo(&hold.generation) { format!("{}: {why}", short_undo(&hold.generation)) } else { why }
}

/// Everything that the store knows about one key, except its holds.
pub(super) struct KnownKey {
    pub(super) key: Key,
    /// The readable name. If no run has found the name, this is the key.
    pub(super) name: String,
    /// The state after the last run, if a run stored one.
    pub(super) left: Option<KeyState>,
    /// The row of the key in the queue, if the key is parked or fails.
    pub(super) row: Option<Row>,
}

/// The problems, and for each instance the numbers of keys with a problem.
#[derive(Default)]
pub(super) struct Found {
    pub(super) problems: Vec<Problem>,
    pub(super) counts: BTreeMap<String, KeyCounts>,
}

/// Returns the problems of these keys. The most important kind comes first. Within a kind, the
/// problem with the most names comes first. `holds` are the held changes of all these keys. `at`
/// contains the present time, and the number of tries after which the queue parks a key.
pub(super) fn problems(keys: &[KnownKey], holds: &[Hold], at: (Time, u32)) -> Found {
    let (mut found, mut counts) = (Problems::default(), BTreeMap::new());
    let by_key = HoldsByKey::new(holds);
    let mut unapproved: HashMap<&Key, Vec<&Hold>> = HashMap::new();
    for hold in holds.iter().filter(|hold| hold.approved_by.is_none()) {
        unapproved.entry(&hold.key).or_default().push(hold);
    }
    for known in keys {
        let (first, further) =
            key_findings(known.left.as_ref(), known.row.as_ref(), by_key.of(&known.key), at);
        let own = unapproved.get(&known.key).map(Vec::as_slice).unwrap_or_default();
        let findings: Vec<Finding> = std::iter::once(first).chain(further).collect();
        for finding in findings.iter().filter(|finding| is_shown(known, finding)) {
            add(&mut found, known, finding, own);
        }
        let kinds: BTreeSet<KeyCondition> = findings.iter().map(|finding| finding.state).collect();
        count(counts.entry(known.key.instance().to_owned()).or_default(), &known.key, &kinds);
    }
    let problem = |(group, members): (Group, Members)| {
        let Group { kind, instance, of, .. } = group;
        let Members { since, cause, held_because, names } = members;
        let mut names: Vec<String> = names.into_values().collect();
        names.sort_unstable();
        let count = names.len();
        let (cause, held_because) = (cause.of(count), held_because.map(|why| why.of(count)));
        Problem { kind, instance, of, cause, held_because, since, count, names }
    };
    let mut problems: Vec<Problem> = found.0.into_iter().map(problem).collect();
    problems.sort_by_key(|problem| (problem.kind.rank(), Reverse(problem.count)));
    counts.retain(|_, counts: &mut KeyCounts| !counts.is_empty());
    Found { problems, counts }
}

/// Returns whether the output shows a finding. Some keys, such as the key of a policy, have no
/// state. A key without a state is a problem only if the key is parked.
fn is_shown(known: &KnownKey, finding: &Finding) -> bool {
    !finding.state.is_fine() && (is_thing(&known.key) || finding.state == KeyCondition::Parked)
}

/// Returns whether a key has a state. The row of any other key is a problem only if it is parked.
pub(super) fn is_thing(key: &Key) -> bool {
    key.kind() == ORGANISATION || COUNTED.contains(&key.kind())
}

/// Adds the problems of one finding. A key can have several held changes and several unknown parts.
/// Each held change and each unknown part is a separate problem.
fn add(found: &mut Problems, of: &KnownKey, finding: &Finding, holds: &[&Hold]) {
    let unknowns = of.left.iter().flat_map(|left| &left.unknown);
    match finding.state {
        KeyCondition::Held if !holds.is_empty() => {
            for hold in holds {
                found.add(finding.state, of, &change(hold), (hold.since, Some(hold)));
            }
        }
        KeyCondition::Unknown => {
            for unknown in unknowns {
                let part = unknown.part.as_deref().filter(|part| !unknown.why.contains(*part));
                let part = part.map(|part| format!(" {part}")).unwrap_or_default();
                let cause = format!("{}{part}: {}", unknown.aspect, unknown.why);
                found.add(finding.state, of, &cause, (finding.since, None));
            }
        }
        _ => found.add(finding.state, of, &finding.why, (finding.since, None)),
    }
}

/// Counts a key once for each of its problems.
fn count(counts: &mut KeyCounts, key: &Key, kinds: &BTreeSet<KeyCondition>) {
    let kinds = kinds.iter().copied().filter(|kind| !kind.is_fine());
    if COUNTED.contains(&key.kind()) {
        let mut has_problem = false;
        for kind in kinds {
            has_problem = true;
            *counts.counts.entry(kind).or_default() += 1;
        }
        counts.affected += usize::from(has_problem);
    } else if key.kind() == ORGANISATION {
        counts.organisation.extend(kinds);
    } else {
        counts.other_parked += kinds.filter(|kind| *kind == KeyCondition::Parked).count();
    }
}

/// Returns the effect of a held change, such as `removes teams: team engineering`.
fn change(hold: &Hold) -> String {
    let change = &hold.change;
    let risk = change.risks().gravest().map_or("changes", Risk::as_str);
    let what = if change.what.is_empty() { String::new() } else { format!(": {}", change.what) };
    format!("{risk} {}{what}", change.aspect)
}

#[cfg(test)]
mod tests {
    use beadle_engine::guard::Rejection;
    use beadle_engine::{DriftCause, ParkReason, Parked, Unknown};
    use serde_json::json;

    use super::*;

    fn key(id: u64) -> Key {
        Key::new("repository", "acme", id)
    }

    fn state(id: u64) -> KeyState {
        let state = json!({ "subject": format!("acme/r{id}"), "since": 1000 + id, "pending": 0 });
        serde_json::from_value(state).unwrap()
    }

    fn known(id: u64, left: Option<KeyState>) -> KnownKey {
        KnownKey { key: key(id), name: format!("acme/r{id}"), left, row: None }
    }

    fn parked(key: Key, name: &str) -> KnownKey {
        let mut row = Row::new(key.clone());
        row.parked = Some(Parked::new(ParkReason::Failed, "403 Forbidden".into(), Time(9)));
        KnownKey { key, name: name.to_owned(), left: None, row: Some(row) }
    }

    fn found(keys: &[KnownKey], holds: &[Hold]) -> Found {
        problems(keys, holds, (Time(2000), 14))
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
        let mut states: Vec<KeyState> = (1..=8).map(state).collect();
        for state in &mut states {
            state.unknown.push(unknown(missing, Some("security")));
        }
        states[0].unknown.push(unknown("the answer has no list", None));
        let keys: Vec<KnownKey> = (1..=8).zip(states).map(|(id, state)| known(id, Some(state))).collect();
        let found = found(&keys, &[]);
        let expected = [
            format!("unknown 8 since 1001: teams: {missing}"),
            "unknown 1 since 1001: teams: the answer has no list".to_owned(),
        ];
        assert_eq!(lines(&found.problems), expected);
        assert_eq!(found.counts["acme"].counts, BTreeMap::from([(KeyCondition::Unknown, 8)]));
    }

    #[test]
    fn a_cause_that_names_the_repository_is_the_same_for_all() {
        let keys = [1, 2].map(|id| {
            let mut state = state(id);
            (state.failed, state.pending) = (1, 1);
            state.failure = Some(format!("{}: 403 Forbidden", state.subject));
            known(id, Some(state))
        });
        let found = found(&keys, &[]).problems;
        assert_eq!(lines(&found), ["failing 2 since 1001: a change failed: this one: 403 Forbidden"]);
        assert_eq!(found[0].names, ["acme/r1", "acme/r2"]);
    }

    #[test]
    fn the_cause_of_one_repository_has_its_name() {
        let refused = |id: u64| {
            let mut state = state(id);
            (state.failed, state.pending) = (1, 1);
            state.failure = Some(format!("PATCH /repos/{}: 422", state.subject));
            known(id, Some(state))
        };
        let one = found(&[refused(1)], &[]).problems;
        assert_eq!(lines(&one), ["failing 1 since 1001: a change failed: PATCH /repos/acme/r1: 422"]);
        let two = found(&[refused(1), refused(2)], &[]).problems;
        assert_eq!(lines(&two), ["failing 2 since 1001: a change failed: PATCH /repos/this one: 422"]);
    }

    #[test]
    fn each_change_that_is_left_has_one_kind() {
        let mut withheld = state(1);
        (withheld.pending, withheld.withheld) = (2, 2);
        withheld.drift.insert("labels".into(), DriftCause::Mode);
        let mut undone = state(7);
        (undone.pending, undone.undone) = (1, 1);
        let mut held = state(2);
        (held.pending, held.held) = (1, 1);
        let mut postponed = state(3);
        postponed.pending = 1;
        postponed.contested.insert("labels".into());
        let keys = [
            known(1, Some(withheld)),
            known(7, Some(undone)),
            known(2, Some(held)),
            known(3, Some(postponed)),
            parked(key(4), "acme/r4"),
            known(5, None),
            known(6, None),
        ];
        let holds = [hold(2, false, None), hold(5, true, None), hold(6, false, Some("mona"))];
        let found = found(&keys, &holds);
        assert_eq!(
            lines(&found.problems),
            [
                "parked 1 since 9: 403 Forbidden",
                "held 1 since 5: removes teams: team engineering",
                "held 1 since 2: removes teams: team engineering",
                "contested 1 since 1003: another writer undoes the changes of labels",
                "contested 1 since 5: another writer undoes the changes of teams: team engineering (team)",
                "drifted 1 since 1007: an operator undid values, and Beadle only observes them until `beadle resume`",
                "drifted 1 since 1001: the mode does not allow the changes of labels",
            ]
        );
        let expected = [
            (KeyCondition::Drifted, 2),
            (KeyCondition::Held, 2),
            (KeyCondition::Contested, 2),
            (KeyCondition::Parked, 1),
        ];
        assert_eq!(found.counts["acme"].counts, BTreeMap::from(expected));
        assert_eq!(found.counts["acme"].affected, 6, "one repository is held and contested");
    }

    #[test]
    fn an_undo_does_not_hide_other_drift() {
        let mut state = state(1);
        (state.pending, state.withheld, state.undone) = (2, 1, 1);
        state.undone_since = Some(Time(5000));
        state.only_undone.insert("settings".into());
        for aspect in ["labels", "settings"] {
            state.drift.insert(aspect.into(), DriftCause::Mode);
        }
        let found = found(&[known(1, Some(state))], &[]);
        assert_eq!(
            lines(&found.problems),
            [
                "drifted 1 since 5000: an operator undid values, and Beadle only observes them until `beadle resume`",
                "drifted 1 since 1001: the mode does not allow the changes of labels",
            ]
        );
        assert_eq!(found.counts["acme"].counts, BTreeMap::from([(KeyCondition::Drifted, 1)]));
    }

    #[test]
    fn a_parked_repository_does_not_count_as_drifted() {
        let mut drifted = state(4);
        (drifted.pending, drifted.withheld) = (1, 1);
        let keys = [KnownKey { left: Some(drifted), ..parked(key(4), "acme/r4") }];
        let found = found(&keys, &[]);
        assert_eq!(lines(&found.problems), ["parked 1 since 9: 403 Forbidden"]);
        assert_eq!(found.counts["acme"].counts, BTreeMap::from([(KeyCondition::Parked, 1)]));
    }

    #[test]
    fn only_repositories_and_groups_are_in_the_counts_of_an_instance() {
        let mut drifted = state(1);
        (drifted.pending, drifted.withheld) = (1, 1);
        let organisation = KnownKey {
            key: Key::new("organisation", "acme", 1),
            name: "acme".into(),
            left: Some(drifted),
            row: None,
        };
        let mut failing = Row::new(Key::new("policy", "acme", 1));
        (failing.attempts, failing.last_error) = (2, Some("502".into()));
        let policy =
            KnownKey { key: failing.key.clone(), name: "policy".into(), left: None, row: Some(failing) };
        let check = parked(Key::new("check", "acme", "1/7"), "check 7 of acme/admin");
        let found = found(&[organisation, policy, check], &[]);
        assert_eq!(
            lines(&found.problems),
            ["parked 1 since 9: 403 Forbidden", "drifted 1 since 1001: the mode does not allow the changes",]
        );
        let acme = &found.counts["acme"];
        assert_eq!((acme.counts.len(), acme.other_parked), (0, 1));
        assert_eq!(acme.organisation, BTreeSet::from([KeyCondition::Drifted]));
    }

    #[test]
    fn a_rejected_change_is_held_and_no_longer_contested() {
        let mut rejected = hold(5, true, None);
        rejected.rejected = Some(Rejection { by: "mona".into(), reason: None, at: Time(9) });
        let found = found(&[known(5, None)], &[rejected]);
        assert_eq!(lines(&found.problems), ["held 1 since 5: removes teams: team engineering"]);
    }

    #[test]
    fn held_changes_have_a_line_for_each_reason() {
        let limit = |id: u64, used: u32| {
            let why = format!("guard limit reached: at most 50 removals in 60 min, {used} used");
            Hold { why, ..hold(id, false, None) }
        };
        let contested = |id: u64| {
            let why = format!("contested: see `beadle journal --key {}`", key(id));
            Hold { why, ..hold(id, true, None) }
        };
        let rejection = |why: &str| Rejection { by: "mona".into(), reason: Some(why.into()), at: Time(9) };
        let holds = [
            limit(2, 50),
            limit(1, 49),
            Hold { generation: "undo of 7".into(), ..limit(3, 50) },
            Hold { rejected: Some(rejection("ticket 12")), ..limit(4, 50) },
            contested(5),
            Hold { generation: "undo of 8".into(), ..limit(6, 50) },
            Hold { rejected: Some(rejection("ticket 34")), ..limit(7, 50) },
        ];
        let keys: Vec<KnownKey> = (1..=7).map(|id| known(id, None)).collect();
        let reasons = |holds: &[Hold]| {
            let held = found(&keys, holds).problems.into_iter();
            let held = held.filter(|problem| problem.kind == KeyCondition::Held);
            let mut reasons: Vec<(usize, String)> =
                held.map(|problem| (problem.count, problem.held_because.unwrap())).collect();
            reasons.sort();
            reasons
        };
        let guard = "guard limit reached: at most 50 removals in 60 min";
        let expected = [
            (1, "contested: see `beadle journal --key repository:acme:5`".to_owned()),
            (1, "rejected by mona (ticket 12)".to_owned()),
            (1, "rejected by mona (ticket 34)".to_owned()),
            (1, format!("undo of 7: {guard}, 50 used")),
            (1, format!("undo of 8: {guard}, 50 used")),
            (2, format!("{guard}, 49 used")),
        ];
        assert_eq!(reasons(&holds), expected);
        let several = [(2, "contested: see `beadle journal --key this one`".to_owned())];
        assert_eq!(reasons(&[contested(4), contested(5)]), several);
    }

    #[test]
    fn the_problem_of_most_repositories_comes_first() {
        let keys = [(1, "a"), (2, "b"), (3, "b")].map(|(id, why)| {
            let mut state = state(id);
            state.unknown.push(unknown(why, None));
            known(id, Some(state))
        });
        assert_eq!(
            lines(&found(&keys, &[]).problems),
            ["unknown 2 since 1002: teams: b", "unknown 1 since 1001: teams: a"]
        );
    }
}
