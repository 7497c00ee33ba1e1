//! The guard, which limits removals, weakenings and exposures in a window. If a change would exceed
//! a limit, the guard holds the change.
//!
//! The rules are pure functions over the window of one instance ([`window`]). A store loads the
//! window, calls a function, and writes the window back.

mod count;
mod decision;
mod groups;
mod in_force;
mod undo_name;
pub mod window;

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::clock::Time;
use crate::key::Key;
use crate::plan::{Change, Field, Risk, Risks};

pub use count::RepositoryCount;
pub use decision::{Decision, Ruling, decide, may_let_pass};
pub use groups::{HoldGroup, HoldState, group_holds, limit_holds, named_holds};
pub use in_force::LimitsInForce;
pub use undo_name::UndoName;
pub use window::{GuardReservation, Spent};

/// The first words in the name of an undo. The holds of an undo have this name in place of a
/// generation of the policy.
pub const UNDO_GENERATION: &str = "undo of ";

/// Returns whether a generation is the name of an undo.
pub fn is_undo(generation: &str) -> bool {
    generation.starts_with(UNDO_GENERATION)
}

/// The maximum number of items in the short name of an undo.
const ITEMS: usize = 3;

/// The second half of a sentence that tells a person how to undo an undo.
pub const GUARD_CHECKS_UNDO: &str = "the guard checks that undo too, and can hold its changes";

/// Returns a name of an undo that is short enough for one line of text. If the undo has many items,
/// the line has only the first item and the number of the other items, such as
/// `undo of run 270 and 188 more`. Returns the name of a generation unchanged.
pub fn short_undo(name: &str) -> Cow<'_, str> {
    let Some(items) = name.strip_prefix(UNDO_GENERATION) else { return Cow::Borrowed(name) };
    let mut items = items.split(", ");
    let (first, more) = (items.next().unwrap_or_default(), items.count());
    if more < ITEMS {
        return Cow::Borrowed(name);
    }
    Cow::Owned(format!("{UNDO_GENERATION}{first} and {more} more"))
}

/// The guard's limits for one window of one instance. All keys and all processes of the instance
/// share these limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The length of the window.
    pub window: Duration,
    /// The maximum number of removals in a window.
    pub removes: u32,
    /// The maximum number of weakenings in a window.
    pub weakens: u32,
    /// The maximum number of exposures in a window.
    pub exposes: u32,
    /// The maximum number of times that Beadle may make the same change within an hour. After that,
    /// the change is contested. Zero means that no change is ever contested.
    pub repeats: u32,
    /// In one aspect and one window, Beadle may remove or weaken something in at most this
    /// percentage of the instance's repositories.
    pub percent: u32,
    /// The number of repositories that `percent` always allows, so that the limit does not block
    /// small organisations.
    pub repositories: u32,
    /// The number of all repositories of the instance. If it is `None`, the guard does not check
    /// `percent`.
    #[serde(default)]
    pub among: Option<u32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(3600),
            removes: 50,
            weakens: 25,
            exposes: 10,
            repeats: 5,
            percent: 20,
            repositories: 10,
            among: None,
        }
    }
}

impl Limits {
    /// Returns the limit for a risk; `None` if the guard does not limit this risk.
    pub fn of(&self, risk: Risk) -> Option<u32> {
        match risk {
            Risk::Removes => Some(self.removes),
            Risk::Weakens => Some(self.weakens),
            Risk::Exposes => Some(self.exposes),
            Risk::Adds | Risk::Changes => None,
        }
    }

    /// Returns two numbers. The first number is a maximum: in one aspect and one window, Beadle may
    /// remove or weaken something in this number of repositories. The second number is the number
    /// of all repositories. Returns `None` if the number of repositories is unknown.
    pub fn share(&self) -> Option<(u64, u32)> {
        let among = self.among?;
        let share = u64::from(among) * u64::from(self.percent) / 100;
        Some((share.max(u64::from(self.repositories)), among))
    }

    /// Returns the first limit that the sum of `used` and `more` exceeds. The result names the risk
    /// and its limit.
    pub fn exceeded_by(&self, used: &Risks, more: &Risks) -> Option<(Risk, u32)> {
        Risk::ALL.into_iter().find_map(|risk| {
            let limit = self.of(risk)?;
            let passes = more.count(risk) > 0 && used.count(risk).saturating_add(more.count(risk)) > limit;
            passes.then_some((risk, limit))
        })
    }
}

/// The guard's decision about one change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The change fits into the window, or is approved.
    Pass,
    /// The change is held for the reason in the text.
    Hold(String),
}

/// The rejection of a held change by an operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// The operator who rejected the change.
    pub by: String,
    /// The operator's reason; `None` if the operator gave none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The time of the rejection.
    pub at: Time,
}

/// A change that the guard holds. The hold ends when an operator approves the change, when another
/// generation of the policy comes into force, or when the change is no longer planned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hold {
    /// The digest of the change ([`Change::digest`]). An operator uses it to approve the change.
    pub digest: String,
    /// The key that the change belongs to.
    pub key: Key,
    /// The name that people use for the key, such as `acme/widgets`.
    pub subject: String,
    /// The time when the hold began.
    pub since: Time,
    /// The reason for the hold. The planner, or the check for contested changes, can set the reason
    /// before the change is submitted to the guard. The guard then holds the change, unless an
    /// operator approved it.
    pub why: String,
    /// True if the change is held because its aspect is contested.
    #[serde(default)]
    pub contested: bool,
    /// The operator who approved the change; `None` before the approval.
    pub approved_by: Option<String>,
    /// The reason of the operator who approved the change; `None` if there is no reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_reason: Option<String>,
    /// The rejection, if an operator rejected the change. The change then stays held until an
    /// operator approves it, or until none of its values is planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected: Option<Rejection>,
    /// True if the approval is used up. The approved write has then begun, and its result is not
    /// known. The approval does not allow a second write.
    #[serde(default)]
    pub spent: bool,
    /// The number of the approved write's intent in the journal. `None` if the approval is not used
    /// up, or if an older version began the write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<u64>,
    /// The generation of the policy that asks for the change.
    pub generation: String,
    /// The change, without the instructions for the write.
    pub change: Change<()>,
    /// The fields that only a newer version knows. A decision does not change these fields. A new
    /// hold has no such fields.
    #[serde(flatten)]
    pub newer: Map<String, Value>,
}

impl Hold {
    /// Creates a hold without a decision of an operator. `why` is empty and `contested` is false,
    /// so the guard decides about the change. The digest is the digest of the change.
    pub fn new(key: &Key, subject: &str, generation: &str, change: Change<()>, since: Time) -> Self {
        Self {
            digest: change.digest(key),
            key: key.clone(),
            subject: subject.to_owned(),
            since,
            why: String::new(),
            contested: false,
            approved_by: None,
            approval_reason: None,
            rejected: None,
            spent: false,
            intent: None,
            generation: generation.to_owned(),
            change,
            newer: Map::new(),
        }
    }

    /// Returns whether the hold ends. A hold ends if it belongs to this instance but not to
    /// `generation`. A rejection stays after its generation ends, unless the change is contested.
    /// Without this rule, an unrelated change of the policy could let the rejected change pass. The
    /// hold of an undo stays too, because no policy asks for its change.
    pub fn is_outdated(&self, instance: &str, generation: &str) -> bool {
        let is_kept = self.rejected.is_some() && !self.contested;
        let is_of_other = self.generation != generation && !is_undo(&self.generation);
        self.key.instance() == instance && is_of_other && !is_kept
    }

    /// Returns whether the hold waits for a decision of an operator.
    pub fn is_open(&self) -> bool {
        self.approved_by.is_none() && self.rejected.is_none()
    }

    /// Returns whether an operator rejected a value that `change` would set. A rejection applies to
    /// each value of the rejected change, even if the value is now part of another change. The value
    /// at the vendor before the change is not important.
    pub fn rejects<V>(&self, change: &Change<V>) -> bool {
        self.has_rejected(change, |_| true)
    }

    /// Returns whether `change` must be held because of a rejected value. A change that only sets the
    /// value again after it became weaker, such as from 0 approvals to the rejected 1, is not held.
    pub fn stops<V>(&self, change: &Change<V>) -> bool {
        self.has_rejected(change, |new| new.risk.is_guarded())
    }

    fn has_rejected<V>(&self, change: &Change<V>, counts: impl Fn(&Field) -> bool) -> bool {
        let is_rejected = |field: &&Field| field.risk.is_guarded();
        self.rejected.is_some()
            && self.change.aspect == change.aspect
            && self.change.what == change.what
            && self.change.fields.iter().filter(is_rejected).any(|rejected| {
                let is_same = |new: &Field| new.name == rejected.name && goes_as_far(rejected, new);
                let takes = |new: &Field| takes_away(new, &change.what, rejected);
                change.fields.iter().any(|new| (is_same(new) || takes(new)) && counts(new))
            })
    }

    /// Returns the reason why a change is held that contains a value of this rejected change.
    pub fn stated_for_another(&self) -> String {
        format!("the change contains a value of the rejected change {} ({})", self.digest, self.stated())
    }

    /// Returns the reason why the change is held now. If there is a rejection, the rejection is the
    /// reason.
    pub fn stated(&self) -> String {
        match &self.rejected {
            Some(Rejection { by, reason: Some(reason), .. }) => format!("rejected by {by}: {reason}"),
            Some(Rejection { by, reason: None, .. }) => format!("rejected by {by}"),
            None => self.why.clone(),
        }
    }
}

/// Returns whether the field `new` of another change contains the rejected value: the same value, a
/// number that is even further away in the same direction, or a list that adds or removes one of the
/// entries that the rejected change adds or removes.
fn goes_as_far(rejected: &Field, new: &Field) -> bool {
    if new.after == rejected.after {
        return true;
    }
    if let (Some(before), Some(after), Some(now)) =
        (rejected.before.as_f64(), rejected.after.as_f64(), new.after.as_f64())
    {
        return if after < before { now < after } else { now > after };
    }
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let minus = |some: &Value, others: &Value| -> Vec<Value> {
        let others = list(others);
        list(some).into_iter().filter(|item| !others.contains(item)).collect()
    };
    let (added, removed) = (minus(&new.after, &new.before), minus(&new.before, &new.after));
    let shares = |some: &[Value], others: &[Value]| some.iter().any(|item| others.contains(item));
    shares(&added, &minus(&rejected.after, &rejected.before))
        || shares(&removed, &minus(&rejected.before, &rejected.after))
}

/// Returns whether `new` takes away the part or the whole entry that contains the rejected value. For
/// example, the removal of a rule goes further than the rejected weakening of one value of the rule.
/// The first word of `what` names the entry: the removal of `ruleset main` has the field `ruleset`.
fn takes_away(new: &Field, what: &str, rejected: &Field) -> bool {
    let is_off = matches!(new.after, Value::Null | Value::Bool(false));
    let takes = matches!(new.risk, Risk::Weakens | Risk::Removes);
    let contains = || {
        let inner = rejected.name.strip_prefix(&new.name);
        // The field of a removed member has the name of the member, and this name can contain dots.
        let is_inner = |inner: &str| new.risk == Risk::Weakens && inner.starts_with(['.', ' ']);
        inner.is_some_and(|inner| inner.is_empty() || is_inner(inner))
            || what.split(' ').next() == Some(new.name.as_str())
    };
    is_off && takes && matches!(rejected.risk, Risk::Weakens | Risk::Removes) && contains()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_rejection_also_stops_a_value_that_goes_further() {
        let field = |before: Value, after: Value| Field {
            name: "x".into(),
            before,
            after,
            asked: None,
            risk: Risk::Weakens,
        };
        let number = field(json!(2), json!(1));
        for (after, stops) in [(json!(1), true), (json!(0), true), (json!(3), false)] {
            assert_eq!(goes_as_far(&number, &field(json!(2), after.clone())), stops, "{after}");
        }
        let added = field(json!([]), json!(["a"]));
        for (before, after, stops) in [
            (json!([]), json!(["a", "b"]), true),
            (json!([]), json!(["b"]), false),
            (json!(["a"]), json!(["a", "b"]), false),
            (json!(["a"]), json!([]), false),
        ] {
            assert_eq!(goes_as_far(&added, &field(before.clone(), after.clone())), stops, "{before} {after}");
        }
        let removed = field(json!(["a", "b"]), json!(["a"]));
        assert!(goes_as_far(&removed, &field(json!(["a", "b"]), json!(["a", "c"]))));
        assert!(!goes_as_far(&removed, &field(json!(["a", "b"]), json!(["b"]))));
    }

    #[test]
    fn a_rejected_weakening_also_stops_the_removal_of_what_contains_it() {
        let field = |name: &str, after: Value, risk: Risk| Field {
            name: name.into(),
            before: json!(2),
            after,
            asked: None,
            risk,
        };
        let change = |fields: Vec<Field>| Change {
            what: "ruleset main".into(),
            fields,
            ..crate::testing::hold(1).change
        };
        let rejected = |name: &str, risk: Risk| Hold {
            rejected: Some(Rejection { by: "ann".into(), reason: None, at: Time(0) }),
            change: change(vec![field(name, json!(1), risk)]),
            ..crate::testing::hold(1)
        };
        let count = rejected("rules.pull_request.count", Risk::Weakens);
        for (name, after, risk, stops) in [
            ("rules.pull_request", Value::Null, Risk::Weakens, true),
            ("rules.pull_request", json!(false), Risk::Weakens, true),
            ("ruleset", Value::Null, Risk::Removes, true),
            ("rules.pull", Value::Null, Risk::Weakens, false),
            ("rules.deletion", Value::Null, Risk::Weakens, false),
            ("rules.pull_request", json!(true), Risk::Adds, false),
            ("ruleset", json!(true), Risk::Adds, false),
        ] {
            assert_eq!(count.stops(&change(vec![field(name, after, risk)])), stops, "{name} {risk:?}");
        }
        // Somebody rejected that a person gets more rights. The person can still lose all rights.
        let raised = rejected("permission", Risk::Exposes);
        assert!(!raised.stops(&change(vec![field("permission", Value::Null, Risk::Removes)])));
        // The names of members can begin with the same letters.
        let member = rejected("ann.lee", Risk::Removes);
        assert!(!member.stops(&change(vec![field("ann", Value::Null, Risk::Removes)])));
        let list = rejected("restrictions to list", Risk::Weakens);
        assert!(list.stops(&change(vec![field("restrictions", json!(false), Risk::Weakens)])));
        let lowered = rejected("permission", Risk::Removes);
        assert!(lowered.stops(&change(vec![field("permission", Value::Null, Risk::Removes)])));
    }

    #[test]
    fn the_short_name_of_an_undo_has_the_first_item_and_the_number_of_the_others() {
        for name in ["undo of 7", "undo of 7, 8, 9", "undo of everything since 1970-01-01T00:00:00Z"] {
            assert_eq!(short_undo(name), name);
        }
        assert_eq!(short_undo("undo of 7, 8, 9, 10"), "undo of 7 and 3 more");
        assert_eq!(short_undo("undo of run 7, run 8, run 9, run 10"), "undo of run 7 and 3 more");
        assert_eq!(short_undo("7, 8, 9, 10"), "7, 8, 9, 10", "this is no undo");
    }

    #[test]
    fn a_new_hold_has_the_digest_of_its_change_and_no_decision() {
        let key = Key::new("repository", "acme", 1);
        let change = crate::testing::change("teams", "team a", &[Risk::Removes]);
        let hold = Hold::new(&key, "acme/widgets", "g1", change.clone(), Time(5));
        assert_eq!((&hold.digest, &hold.change), (&change.digest(&key), &change));
        assert_eq!((&hold.key, hold.subject.as_str(), hold.since), (&key, "acme/widgets", Time(5)));
        assert_eq!((hold.generation.as_str(), hold.why.as_str()), ("g1", ""));
        assert!(hold.is_open() && !hold.contested && !hold.spent && hold.newer.is_empty());
    }

    #[test]
    fn a_limit_is_passed_only_by_what_it_counts() {
        let limits = Limits { removes: 2, weakens: 0, ..Limits::default() };
        let mut used = Risks::default();
        used.add(Risk::Removes, 2);
        let mut more = Risks::default();
        more.add(Risk::Adds, 1000);
        assert_eq!(
            limits.exceeded_by(&used, &more),
            None,
            "adding is never stopped, however full the window"
        );
        more.add(Risk::Removes, 1);
        assert_eq!(limits.exceeded_by(&used, &more), Some((Risk::Removes, 2)));
        let mut weakens = Risks::default();
        weakens.add(Risk::Weakens, 1);
        assert_eq!(limits.exceeded_by(&Risks::default(), &weakens), Some((Risk::Weakens, 0)));
    }
}
