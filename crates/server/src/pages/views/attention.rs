//! The part of the page `/` that lists problems. If several repositories or groups have the same
//! problem, the list has only one row for them. This row links to a list of these repositories or
//! groups.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use beadle_engine::guard::{HoldGroup, HoldState};
use beadle_engine::{Key, Time, one_line};
use serde::Serialize;

use super::needing::code;
use super::things::{GROUP, REPOSITORY};
use crate::pages::condition::{Condition, Thing};
use crate::pages::group_names::{unique, with_line};
use crate::pages::html::{Html, joined, text};
use crate::pages::link::Link;
use crate::pages::parts::{counted, link, moment, short_list, state, subject};

/// The maximum number of problems on the page.
const SHOWN: usize = 20;
/// The maximum number of held changes whose names a row shows.
const NAMED: usize = 3;

/// A group of held changes in short form.
#[derive(Debug, Serialize)]
struct HeldChange {
    /// The code of the group. The page `/holds?group=CODE` shows the group.
    code: String,
    /// The risk, the aspect, the title and the line of the policy, such as `removes teams: team
    /// core [settings.yml:2]`. If several groups have the same title and line, the text also
    /// contains the code.
    title: String,
}

/// A problem of several repositories or groups that have the same state for the same reason.
#[derive(Debug, Serialize)]
pub(super) struct Problem {
    /// The kind of the keys.
    kind: String,
    /// The organisation, or the target of groups.
    instance: String,
    state: Condition,
    why: String,
    /// The earliest time at which one of these keys got the state.
    since: Time,
    /// The number of keys.
    count: usize,
    /// The key that has been in the state for the longest time.
    key: Key,
    /// The readable name of this key.
    subject: String,
    /// The held changes of these keys that wait for a decision. The most severe changes come first.
    /// This list is empty if the state is not [`Condition::Held`].
    holds: Vec<HeldChange>,
}

/// The values that all keys of a problem have in common: the state, the kind of the keys, the
/// instance and the reason.
type Cause<'a> = (Condition, &'a str, &'a str, &'a str);

/// Returns some problems. The most important state comes first. Within a state, the problem with
/// the most keys comes first. A thing with several problems belongs to several entries. `holds` are
/// all groups of held changes. If operators have rejected all held changes of a thing, the hold is
/// not a problem.
pub(super) fn problems(things: &[&Thing], holds: &[HoldGroup]) -> Vec<Problem> {
    let waiting = waiting(holds);
    let names: Vec<(&str, String)> = holds.iter().map(|group| (group.code.as_str(), name(group))).collect();
    let names = unique(&names);
    let known: HashSet<&Key> = holds.iter().flat_map(|group| &group.holds).map(|hold| &hold.key).collect();
    let mut groups: BTreeMap<Cause<'_>, Vec<(&Thing, Time)>> = BTreeMap::new();
    for thing in things.iter().copied() {
        let is_decided = known.contains(&thing.key) && !waiting.contains_key(&thing.key);
        for (state, why, since) in thing.findings() {
            if is_decided && state == Condition::Held {
                continue;
            }
            let key = (state, thing.key.kind(), thing.key.instance(), why);
            groups.entry(key).or_default().push((thing, since));
        }
    }
    let problem = |((state, kind, instance, why), things): (Cause<'_>, Vec<(&Thing, Time)>)| {
        let (first, since) = *things.iter().min_by_key(|(_, since)| *since)?;
        let held = things.iter().filter(|_| state == Condition::Held);
        let held: BTreeSet<usize> =
            held.filter_map(|(thing, _)| waiting.get(&thing.key)).flatten().copied().collect();
        Some(Problem {
            kind: kind.to_owned(),
            instance: instance.to_owned(),
            state,
            why: why.to_owned(),
            since,
            count: things.len(),
            key: first.key.clone(),
            subject: first.subject.clone(),
            holds: held
                .into_iter()
                .filter_map(|at| Some(HeldChange::of(holds.get(at)?, names.get(at)?)))
                .collect(),
        })
    };
    let mut found: Vec<Problem> = groups.into_iter().filter_map(problem).collect();
    found.sort_by_key(|problem| (problem.state.rank(), Reverse(problem.count)));
    found.truncate(SHOWN);
    found
}

/// Maps each key to the positions of groups in `holds`. Each of these groups has a change of this
/// key that waits for a decision.
fn waiting(holds: &[HoldGroup]) -> HashMap<&Key, Vec<usize>> {
    let mut found: HashMap<&Key, Vec<usize>> = HashMap::new();
    for (at, group) in holds.iter().enumerate().filter(|(_, group)| group.state == HoldState::Open) {
        for hold in &group.holds {
            found.entry(&hold.key).or_default().push(at);
        }
    }
    found
}

/// Returns the name of a group of held changes. Another group can have the same name.
fn name(group: &HoldGroup) -> String {
    with_line(format!("{} {}: {}", group.risk, group.aspect, group.title), group.asked.as_ref())
}

impl HeldChange {
    fn of(group: &HoldGroup, title: &str) -> Self {
        Self { code: group.code.clone(), title: title.to_owned() }
    }

    /// Returns the title with a link to the held changes.
    fn html(&self) -> Html {
        link(&Link::to("/holds").with("group", &self.code), &self.title)
    }
}

impl Problem {
    /// Returns the reason, and the names of some held changes.
    fn reason(&self) -> Html {
        let why = text(one_line(&self.why));
        if self.holds.is_empty() {
            return why;
        }
        joined([why, short_list(self.holds.iter().map(HeldChange::html), NAMED)])
    }

    /// If there is only one key, returns the name of the key. Otherwise, returns the number of
    /// keys, with a link to the list of these keys.
    fn name(&self) -> Html {
        let (place, one, many) = match self.kind.as_str() {
            REPOSITORY => ("/repositories", "repository", "repositories"),
            GROUP => ("/groups", "group", "groups"),
            _ => return subject(self.key.as_str(), &self.subject),
        };
        if self.count == 1 {
            return subject(self.key.as_str(), &self.subject);
        }
        let problem = code((&self.kind, &self.instance), self.state, &self.why);
        let list = Link::to(place).with("instance", &self.instance).with("state", self.state.as_str());
        link(&list.with("problem", &problem), counted(self.count, one, many))
    }
}

/// Returns the rows of a table with the columns of things.
pub(super) fn rows(problems: &[Problem], now: Time) -> Vec<Vec<Html>> {
    let row = |problem: &Problem| {
        let (state, since) = (state(problem.state.as_str()), moment(problem.since, now));
        vec![problem.name(), state, problem.reason(), since]
    };
    problems.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use beadle_engine::guard::{Rejection, group_holds};
    use beadle_engine::{Finding, Hold, PolicyLocation, Risk, testing};

    use super::*;

    fn thing(kind: &str, id: u64, state: Condition, why: &str) -> Thing {
        let since = Time(i64::try_from(id).unwrap());
        Thing {
            key: Key::new(kind, "acme", id),
            subject: format!("acme/r{id}"),
            state,
            why: why.into(),
            since,
            pending: 0,
            further: Vec::new(),
        }
    }

    #[test]
    fn a_hold_hides_no_contested_change() {
        let contested = Finding {
            state: Condition::Contested,
            why: "another writer undoes the changes of settings".into(),
            since: Time(9),
        };
        let both = |id: u64| Thing {
            further: vec![contested.clone()],
            ..thing(REPOSITORY, id, Condition::Held, "the guard holds 1 change")
        };
        let hold = |id: u64, rejected: Option<Rejection>| Hold {
            key: Key::new(REPOSITORY, "acme", id),
            rejected,
            ..testing::hold(id)
        };
        let rejection = Rejection { by: "mona".into(), reason: None, at: Time(2) };
        let groups = group_holds(vec![hold(1, None), hold(2, Some(rejection))]);
        let things = [both(1), both(2), thing(REPOSITORY, 3, Condition::Held, "the guard holds 1 change")];
        let found = problems(&things.iter().collect::<Vec<_>>(), &groups);
        let seen: Vec<(Condition, usize, Time)> =
            found.iter().map(|problem| (problem.state, problem.count, problem.since)).collect();
        assert_eq!(seen, [(Condition::Held, 2, Time(1)), (Condition::Contested, 2, Time(9))]);
        assert_eq!((found[0].holds.len(), found[1].holds.len()), (1, 0));
        let problem = code((REPOSITORY, "acme"), Condition::Contested, &contested.why);
        let list = format!("/repositories?instance=acme&amp;state=contested&amp;problem={problem}");
        assert!(found[1].name().as_str().contains(&list), "{}", found[1].name().as_str());
    }

    #[test]
    fn a_held_problem_names_its_changes_and_leads_to_them() {
        let hold = |id: u64, what: &str| Hold {
            digest: format!("d{id}{what}"),
            key: Key::new(REPOSITORY, "acme", id),
            change: testing::change("teams", what, &[Risk::Removes]),
            ..testing::hold(id)
        };
        let rejection = Rejection { by: "mona".into(), reason: None, at: Time(2) };
        let groups = group_holds(vec![
            hold(1, "team <core>"),
            hold(2, "team <core>"),
            Hold { rejected: Some(rejection), ..hold(1, "team old") },
            // The state of this hold's repository is `Parked`, not `Held`.
            hold(3, "team web"),
        ]);
        let things = [
            thing(REPOSITORY, 1, Condition::Held, "the guard holds 1 change"),
            thing(REPOSITORY, 2, Condition::Held, "the guard holds 1 change"),
            thing(REPOSITORY, 3, Condition::Parked, "403"),
        ];
        let found = problems(&things.iter().collect::<Vec<_>>(), &groups);
        let core = groups.iter().find(|group| group.title == "team <core>").unwrap();
        assert_eq!((found.len(), core.holds.len()), (2, 2));
        assert_eq!(found[0].reason().as_str(), "403");
        let link = format!("<a href=\"/holds?group={}\">removes teams: team &lt;core&gt;</a>", core.code);
        let expected = format!("the guard holds 1 change<ul><li>{link}</li></ul>");
        assert_eq!(found[1].reason().as_str(), expected);
    }

    #[test]
    fn held_changes_with_the_same_title_have_different_names() {
        let hold = |id: u64, line: u32| {
            let mut change = testing::change("teams", "team auditors", &[Risk::Removes]);
            change.fields[0].asked = Some(PolicyLocation { file: "settings.yml".into(), line });
            Hold { key: Key::new(REPOSITORY, "acme", id), change, ..testing::hold(id) }
        };
        let groups = group_holds(vec![hold(1, 2), hold(2, 9)]);
        let things = [1, 2].map(|id| thing(REPOSITORY, id, Condition::Held, "the guard holds 1 change"));
        let found = problems(&things.iter().collect::<Vec<_>>(), &groups);
        let mut titles: Vec<&str> =
            found.iter().flat_map(|problem| &problem.holds).map(|held| held.title.as_str()).collect();
        titles.sort_unstable();
        let expected = [2, 9].map(|line| format!("removes teams: team auditors [settings.yml:{line}]"));
        assert_eq!(titles, expected);
    }

    #[test]
    fn equal_problems_are_one_row_with_their_number_and_the_gravest_come_first() {
        let mut all: Vec<Thing> =
            (1..=170).map(|id| thing(REPOSITORY, id, Condition::Unknown, "teams: 502 & more")).collect();
        all.push(thing(REPOSITORY, 200, Condition::Unknown, "labels: 404"));
        all.push(thing(REPOSITORY, 201, Condition::Parked, "no team `x`"));
        all.push(thing(GROUP, 202, Condition::Unknown, "teams: 502 & more"));
        let all: Vec<&Thing> = all.iter().collect();
        let found = problems(&all, &[]);
        let counts: Vec<(&str, usize)> =
            found.iter().map(|problem| (problem.why.as_str(), problem.count)).collect();
        assert_eq!(
            counts,
            [("no team `x`", 1), ("teams: 502 & more", 170), ("labels: 404", 1), ("teams: 502 & more", 1)]
        );
        assert_eq!(found[1].since, Time(1), "the oldest one");
        let shown: Vec<String> = found.iter().map(|problem| problem.name().as_str().to_owned()).collect();
        let problem = code((REPOSITORY, "acme"), Condition::Unknown, "teams: 502 & more");
        let list = format!("/repositories?instance=acme&amp;state=unknown&amp;problem={problem}");
        assert_eq!(shown[1], format!("<a href=\"{list}\">170 repositories</a>"));
        assert_eq!(shown[0], "<a href=\"/repositories/acme/r201\">acme/r201</a>");
    }

    #[test]
    fn the_page_has_at_most_twenty_problems() {
        let all: Vec<Thing> =
            (0..50).map(|id| thing(REPOSITORY, id, Condition::Failing, &format!("why {id}"))).collect();
        assert_eq!(problems(&all.iter().collect::<Vec<_>>(), &[]).len(), SHOWN);
    }
}
