//! Finds the changes that a new policy causes. Beadle compares the plan of the new policy with the
//! plan of the earlier policy. Both plans start from the same observed state. Beadle compares
//! single values. One write can set one value because the new policy asks for it, and another value
//! to repair drift.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};

use crate::mode::Mode;
use crate::plan::{Change, Field, Plan, Risk};

/// Whether Beadle may write a change without an operator's approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Leave {
    /// The mode does not allow the change.
    Refused,
    /// The change always needs an approval.
    Asks,
    /// The change needs an approval only if it exceeds a limit.
    Free,
}

impl Leave {
    fn of<W>(change: &Change<W>) -> Self {
        match &change.stop {
            _ if !change.mode.allows(&change.risks()) => Self::Refused,
            Some(_) => Self::Asks,
            None => Self::Free,
        }
    }
}

/// The instructions of a write. The instructions can contain more values than the change shows.
pub trait Instructions {
    /// Describes everything that the write sets in addition to the values of the change. Examples
    /// are the parameters of a new ruleset. `None` means that the values of the change show
    /// everything. If the texts of two writes differ, the writes differ too. The text contains no
    /// secret. It can contain the digest of a secret.
    fn unshown(&self) -> Option<String>;
}

impl Instructions for () {
    fn unshown(&self) -> Option<String> {
        None
    }
}

/// The place of a value. It contains everything that identifies the value, except for its new
/// content.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Place {
    aspect: String,
    what: String,
    reaches: u32,
    name: String,
    before: String,
    /// Two equal values can have different risks, because the risk can depend on other values.
    risk: Risk,
    unshown: Option<String>,
}

impl Place {
    fn of<W: Instructions>(change: &Change<W>, field: &Field) -> Self {
        Self {
            aspect: change.aspect.clone(),
            what: change.what.clone(),
            reaches: change.reaches,
            name: field.name.clone(),
            before: field.before.to_string(),
            risk: field.risk,
            unshown: change.write.unshown(),
        }
    }
}

/// A value with its new content.
type Identity = (Place, String);

/// The number of values with one identity, for each [`Leave`].
type Leaves = BTreeMap<Leave, usize>;

/// The values that occur in some plans of one key, such as the plans of the earlier policy.
#[derive(Debug, Default)]
pub struct PlannedValues {
    /// For each value, the highest number of times that it occurs in one of the added plans. A
    /// compared plan can have the same value twice. Both values are known only if one of the added
    /// plans also has the value twice.
    counts: HashMap<Identity, Leaves>,
    /// The new contents that are objects.
    objects: HashMap<(Place, Leave), Vec<Map<String, Value>>>,
}

/// The part of a plan that other plans do not have.
#[derive(Clone, Debug, PartialEq)]
pub struct Caused {
    /// The plan with only the values that the other plans do not have.
    pub plan: Plan<()>,
    /// The changes of `plan` in the same order, each with all values of its write.
    pub writes: Vec<Change<()>>,
    /// The number of values that the other plans have as well.
    pub drift: usize,
}

impl Caused {
    /// Returns the writes that the guard checks and that an approval of `plan` allows. A write is
    /// left out if it removes, weakens or exposes a value that `plan` does not show. If a write
    /// always needs an approval, any of its values can be the reason. `plan` must then show all
    /// values of this write.
    pub fn approvable(&self) -> Vec<Change<()>> {
        let shows_all = |shown: &Change<()>, write: &Change<()>| {
            let must_show = |field: &&Field| write.stop.is_some() || field.risk.is_guarded();
            shown.fields.iter().filter(must_show).count() == write.fields.iter().filter(must_show).count()
        };
        let pairs = self.plan.changes.iter().zip(&self.writes);
        let needed = pairs.filter(|(_, write)| write.risks().is_guarded() || write.stop.is_some());
        needed.filter(|(shown, write)| shows_all(shown, write)).map(|(_, write)| write.clone()).collect()
    }
}

impl PlannedValues {
    /// Adds the values of a plan.
    pub fn learn<W: Instructions>(&mut self, plan: &Plan<W>) {
        let mut counts: HashMap<Identity, Leaves> = HashMap::new();
        for change in &plan.changes {
            let leave = Leave::of(change);
            for field in values(change) {
                let place = Place::of(change, &field);
                if let Value::Object(after) = &field.after {
                    self.objects.entry((place.clone(), leave)).or_default().push(after.clone());
                }
                let identity = (place, field.after.to_string());
                *counts.entry(identity).or_default().entry(leave).or_default() += 1;
            }
        }
        for (identity, leaves) in counts {
            let known = self.counts.entry(identity).or_default();
            for (leave, count) in leaves {
                let most = known.entry(leave).or_default();
                *most = count.max(*most);
            }
        }
    }

    /// Compares a plan of the same key with the added plans, and returns the part that only this
    /// plan has. A value also counts as new if its write in this plan needs less approval than each
    /// write of this value in the added plans. A change stays in the returned part, even if it
    /// depends on a change that is left out.
    pub fn caused<W: Instructions>(&self, plan: &Plan<W>) -> Caused {
        let mut left = self.counts.clone();
        let mut places: Vec<Option<usize>> = Vec::with_capacity(plan.changes.len());
        let (mut kept, mut writes, mut drift) = (Vec::new(), Vec::new(), 0);
        for change in &plan.changes {
            let leave = Leave::of(change);
            let is_known = |field: &Field| {
                let identity = (Place::of(change, field), field.after.to_string());
                left.get_mut(&identity).is_some_and(|leaves| take(leaves, leave))
            };
            let (known, own): (Vec<Field>, Vec<Field>) = values(change).into_iter().partition(is_known);
            drift += known.len();
            if own.is_empty() {
                places.push(None);
                continue;
            }
            let own = own.into_iter().map(|field| self.without_known_keys(change, leave, field)).collect();
            let mut write = change.describe();
            write.after = write.after.iter().filter_map(|at| places.get(*at).copied().flatten()).collect();
            places.push(Some(kept.len()));
            kept.push(narrowed(write.clone(), own));
            writes.push(write);
        }
        let plan = Plan { changes: kept, ..plan.describe() };
        Caused { plan, writes, drift }
    }

    /// Leaves out each key of a value's new content if another plan sets this key to the same
    /// content. If a write might need an approval, its value stays whole, because any key of the
    /// value can be the reason.
    fn without_known_keys<W: Instructions>(
        &self,
        change: &Change<W>,
        leave: Leave,
        mut field: Field,
    ) -> Field {
        let Value::Object(after) = &field.after else { return field };
        let Some(others) = self.objects.get(&(Place::of(change, &field), leave)) else { return field };
        if field.risk.is_guarded() || change.stop.is_some() {
            return field;
        }
        let is_new = |key: &str, value: &Value| others.iter().all(|other| other.get(key) != Some(value));
        let new: Map<String, Value> = after
            .iter()
            .filter(|(key, value)| is_new(key, value))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        if new.is_empty() {
            return field;
        }
        if let Value::Object(before) = &mut field.before {
            before.retain(|key, _| new.contains_key(key) || !after.contains_key(key));
        }
        field.after = Value::Object(new);
        field
    }
}

/// Returns a change with only these values.
fn narrowed(mut change: Change<()>, own: Vec<Field>) -> Change<()> {
    if change.fields.is_empty() {
        return change;
    }
    let leave = Leave::of(&change);
    change.fields = own;
    // A mode allows or refuses the whole write. The reason for the refusal might be a value that is
    // left out.
    if leave == Leave::Refused && change.mode.allows(&change.risks()) {
        change.mode = Mode::Observe;
    }
    change
}

/// Returns the values of a change. If a change has no value, it counts as one value.
fn values<W>(change: &Change<W>) -> Vec<Field> {
    if !change.fields.is_empty() {
        return change.fields.clone();
    }
    let (before, after) = (Value::Null, Value::Null);
    vec![Field { name: String::new(), before, after, asked: None, risk: Risk::Changes }]
}

/// Uses up one known value of `leaves`. The write of this value must need no more approval than
/// `leave`. Returns `false` if `leaves` has no such value.
fn take(leaves: &mut Leaves, leave: Leave) -> bool {
    let found = leaves.range_mut(leave..).find(|(_, count)| **count > 0);
    let Some((_, count)) = found else { return false };
    *count -= 1;
    true
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;
    use crate::gate::GateSums;
    use crate::testing;

    fn value(name: &str, before: Value, after: Value, risk: Risk) -> Field {
        Field { name: name.into(), before, after, asked: None, risk }
    }

    fn change(what: &str, fields: Vec<Field>) -> Change<()> {
        Change { fields, ..testing::change("settings", what, &[]) }
    }

    fn plan(changes: Vec<Change<()>>) -> Plan<()> {
        Plan { changes, ..Plan::new("acme/shop") }
    }

    fn caused(before: Vec<Change<()>>, after: Vec<Change<()>>) -> Caused {
        let mut known = PlannedValues::default();
        known.learn(&plan(before));
        known.caused(&plan(after))
    }

    fn names(plan: &Plan<()>) -> Vec<&str> {
        plan.changes.iter().flat_map(|change| &change.fields).map(|field| field.name.as_str()).collect()
    }

    #[test]
    fn drift_in_the_same_write_is_not_caused_by_the_policy() {
        let wiki = || value("has_wiki", json!(true), json!(false), Risk::Changes);
        let issues = || value("has_issues", json!(true), json!(false), Risk::Removes);
        let found = caused(vec![change("", vec![wiki()])], vec![change("", vec![wiki(), issues()])]);
        assert_eq!(names(&found.plan), ["has_issues"]);
        assert_eq!(found.drift, 1);
        // An approval applies to the whole write, and the write also contains the drift.
        assert_eq!(found.approvable(), [change("", vec![wiki(), issues()])]);
        let found = caused(vec![change("", vec![issues()])], vec![change("", vec![wiki(), issues()])]);
        assert_eq!((names(&found.plan), found.drift), (vec!["has_wiki"], 1));
        assert!(found.approvable().is_empty(), "nobody saw the removal that is drift");
        assert_eq!(GateSums::of(&[found.plan]).risks.removes, 0, "drift does not count");
    }

    /// Returns the plan of a policy for some keys. `live` and `declared` are numbers. `None` means
    /// that the policy does not declare the key.
    fn planned(live: &[u8], declared: &[Option<u8>]) -> Vec<Change<()>> {
        let risk = |from: u8, to: u8| if to < from { Risk::Weakens } else { Risk::Changes };
        let fields: Vec<Field> = live
            .iter()
            .zip(declared)
            .enumerate()
            .filter_map(|(at, (live, declared))| {
                let to = declared.filter(|to| to != live)?;
                Some(value(&format!("k{at}"), json!(live), json!(to), risk(*live, to)))
            })
            .collect();
        if fields.is_empty() { Vec::new() } else { vec![change("", fields)] }
    }

    #[test]
    fn over_all_small_states_a_key_is_caused_only_if_the_policies_differ_in_it() {
        let declared = [None, Some(0), Some(1), Some(2)];
        let (mut states, mut caused_somewhere) = (0, 0);
        for code in 0..(3 * 4 * 4_usize).pow(2) {
            let digits = [code % 48, code / 48];
            let live = digits.map(|digit| u8::try_from(digit % 3).unwrap());
            let before = digits.map(|digit| declared[digit / 3 % 4]);
            let after = digits.map(|digit| declared[digit / 12]);
            let whole = planned(&live, &after);
            let found = caused(planned(&live, &before), whole.clone());
            let expected: BTreeSet<String> = (0..2)
                .filter(|at| after[*at].is_some_and(|to| to != live[*at]) && after[*at] != before[*at])
                .map(|at| format!("k{at}"))
                .collect();
            let shown: BTreeSet<String> = names(&found.plan).into_iter().map(str::to_owned).collect();
            assert_eq!(shown, expected, "{live:?} {before:?} {after:?}");
            let all = whole.iter().map(|change| change.fields.len()).sum::<usize>();
            assert_eq!(shown.len() + found.drift, all, "each value is shown or drift");
            for change in &found.approvable() {
                let mut hidden = change.fields.iter().filter(|field| !shown.contains(&field.name));
                assert!(hidden.all(|field| !field.risk.is_guarded()), "{change:?}");
                assert!(whole.contains(change), "an approval is about a whole write");
            }
            states += 1;
            caused_somewhere += usize::from(!shown.is_empty());
        }
        assert!(states == 2304 && caused_somewhere > 500, "{states} {caused_somewhere}");
    }

    #[test]
    fn a_value_is_new_if_beadle_may_write_it_with_less_approval() {
        let removal = |mode: Mode, stop: Option<&str>| Change {
            mode,
            stop: stop.map(str::to_owned),
            ..change("team a", vec![value("permission", json!("push"), Value::Null, Risk::Removes)])
        };
        let (free, asks) = (removal(Mode::Enforce, None), removal(Mode::Enforce, Some("doubt")));
        let refused = removal(Mode::AddOnly, None);
        for (before, after, is_new) in [
            (&free, &free, false),
            (&free, &asks, false),
            (&asks, &asks, false),
            (&asks, &free, true),
            (&refused, &free, true),
            (&refused, &asks, true),
            (&refused, &refused, false),
            (&asks, &refused, false),
        ] {
            let found = caused(vec![before.clone()], vec![after.clone()]);
            assert_eq!(!found.plan.changes.is_empty(), is_new, "{before:?} {after:?}");
        }
    }

    #[test]
    fn a_write_that_a_mode_refuses_because_of_drift_stays_refused() {
        let added = || value("web", Value::Null, json!(true), Risk::Adds);
        let gone = || value("old", json!(true), Value::Null, Risk::Removes);
        let both = Change { mode: Mode::AddOnly, ..change("", vec![added(), gone()]) };
        let drift = Change { mode: Mode::AddOnly, ..change("", vec![gone()]) };
        let found = caused(vec![drift], vec![both]);
        assert_eq!(names(&found.plan), ["web"]);
        assert_eq!(GateSums::of(&[found.plan]).risks.adds, 0, "Beadle does not write it");
    }

    #[test]
    fn equal_values_match_one_to_one_and_a_wider_reach_is_another_value() {
        let label = || change("labels", vec![value("x", Value::Null, json!(1), Risk::Adds)]);
        let found = caused(vec![label()], vec![label(), label()]);
        assert_eq!((found.plan.changes.len(), found.drift), (1, 1));
        let mut known = PlannedValues::default();
        known.learn(&plan(vec![label()]));
        known.learn(&plan(vec![label()]));
        let found = known.caused(&plan(vec![label(), label()]));
        assert_eq!(found.drift, 1, "two plans with one value each are not one plan with two");
        let wide = Change { reaches: 600, ..label() };
        assert_eq!(caused(vec![label()], vec![wide]).drift, 0);
    }

    #[test]
    fn of_a_rule_that_both_policies_create_only_the_other_keys_are_shown() {
        let rule =
            |after: Value, risk| change("ruleset main", vec![value("rules.x", Value::Null, after, risk)]);
        let (one, two) = (json!({ "count": 1, "stale": true }), json!({ "count": 2, "stale": true }));
        let found = caused(vec![rule(one.clone(), Risk::Adds)], vec![rule(two.clone(), Risk::Adds)]);
        assert_eq!(found.plan.changes, [rule(json!({ "count": 2 }), Risk::Adds)]);
        let guarded = vec![rule(two, Risk::Exposes)];
        assert_eq!(caused(vec![rule(one, Risk::Exposes)], guarded.clone()).plan.changes, guarded);
    }

    #[test]
    fn the_same_value_with_another_risk_is_not_drift() {
        let on = |risk| change("", vec![value("run", json!(false), json!(true), risk)]);
        for (before, after, drift) in [
            (Risk::Weakens, Risk::Weakens, 1),
            (Risk::Changes, Risk::Weakens, 0),
            (Risk::Weakens, Risk::Exposes, 0),
        ] {
            let found = caused(vec![on(before)], vec![on(after)]);
            assert_eq!((found.drift, found.plan.changes.len()), (drift, 1 - drift), "{before} {after}");
        }
    }

    #[test]
    fn an_approval_of_a_write_that_always_asks_needs_all_of_its_values() {
        let [one, two] =
            ["a", "b"].map(|name| value(name, Value::Null, json!({ "x": 1, "y": 2 }), Risk::Changes));
        let asks = |fields: Vec<Field>| Change { stop: Some("renamed".into()), ..change("", fields) };
        let whole = asks(vec![one.clone(), two.clone()]);
        let found = caused(Vec::new(), vec![whole.clone()]);
        assert_eq!(found.approvable(), std::slice::from_ref(&whole));
        let found = caused(vec![asks(vec![one])], vec![whole]);
        assert_eq!((names(&found.plan), found.drift), (vec!["b"], 1));
        assert!(found.approvable().is_empty(), "nobody saw the other value, and it may be the reason");
        // The content of a value stays whole, because the risk can depend on any key of the
        // content.
        let other = value("b", Value::Null, json!({ "x": 1, "y": 3 }), Risk::Changes);
        let found = caused(vec![asks(vec![two])], vec![asks(vec![other.clone()])]);
        assert_eq!(found.plan.changes, [asks(vec![other])]);
    }

    /// Instructions with a part that no value of the change shows.
    struct Body(&'static str);

    impl Instructions for Body {
        fn unshown(&self) -> Option<String> {
            Some(self.0.to_owned())
        }
    }

    #[test]
    fn two_writes_that_look_the_same_are_not_the_same_if_they_send_another_body() {
        let create = |body: &'static str| {
            let shown = change("ruleset main", vec![value("new", Value::Null, json!(["x"]), Risk::Adds)]);
            let Change { aspect, what, fields, mode, after, stop, undone, reaches, write: () } = shown;
            let write = Body(body);
            let change = Change { aspect, what, fields, mode, after, stop, undone, reaches, write };
            Plan { changes: vec![change], ..Plan::new("acme/shop") }
        };
        let mut known = PlannedValues::default();
        known.learn(&create("two approvals"));
        assert_eq!(known.caused(&create("two approvals")).drift, 1);
        let found = known.caused(&create("no approval"));
        assert_eq!((found.drift, names(&found.plan)), (0, vec!["new"]));
    }

    #[test]
    fn a_change_without_values_is_known_as_a_whole_and_positions_follow() {
        let bare = |what: &str| change(what, Vec::new());
        let last = Change { after: vec![0, 1], ..bare("c") };
        let found = caused(vec![bare("a")], vec![bare("a"), bare("b"), last]);
        assert_eq!(found.drift, 1);
        assert_eq!(found.plan.changes, [bare("b"), Change { after: vec![0], ..bare("c") }]);
    }
}
