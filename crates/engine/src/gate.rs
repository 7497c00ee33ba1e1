//! The gate, which checks a new generation of a policy before Beadle uses it. Beadle plans the
//! generation without writing, and adds up the changes. If the sum exceeds a limit, the gate holds
//! the whole generation.
//!
//! All rules of the gate are pure functions over plans.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::key::Key;
use crate::plan::{Change, Plan, Risk, Risks};

/// The kind of the notes about held generations, see [`crate::Metadata::KIND`].
pub const HELD_NOTE: &str = "held-generation";

/// Returns whether a command holds the generation. `note` is the name of the note about the hold,
/// such as `acme (command)`. The exit code of the command reports the hold, so no metric counts the
/// hold.
pub fn is_of_command(note: &str) -> bool {
    note.ends_with(')')
}

/// If a generation is a version of the guard's limits, its name begins with this text.
pub const LIMITS_PREFIX: &str = "limits-";
/// If a generation is a version of a target, its name begins with this text.
pub const TARGET_PREFIX: &str = "target-";

/// Returns the noun that stands before the name of a generation in a text.
pub fn noun(generation: &str) -> &'static str {
    if generation.starts_with(LIMITS_PREFIX) || generation.starts_with(TARGET_PREFIX) {
        "generation"
    } else {
        "policy"
    }
}

/// Who holds a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Holder {
    /// The service. After an approval, the service starts to use the generation.
    Service,
    /// `beadle apply` or `beadle sweep`. An operator runs the command again after an approval.
    Command,
}

impl Holder {
    /// Returns the holder of a generation. `note` is the name of the note about the hold.
    pub fn of(note: &str) -> Self {
        if is_of_command(note) { Self::Command } else { Self::Service }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Service => "the service",
            Self::Command => "a command (`apply` or `sweep`)",
        })
    }
}

/// The limits for one generation. A generation that exceeds any limit needs an approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateLimits {
    /// The maximum number of removals.
    pub removes: u32,
    /// The maximum number of weakenings.
    pub weakens: u32,
    /// The maximum number of exposures.
    pub exposes: u32,
    /// The maximum number of additions.
    pub creates: u32,
    /// The generation may remove, weaken or expose something in at most this percentage of the
    /// repositories.
    pub percent: u32,
    /// The number of repositories that `percent` always allows, so that the limit does not block
    /// small organisations.
    pub repositories: u32,
}

impl GateLimits {
    /// The default for the maximum number of additions.
    pub const CREATES: u32 = 1000;
    /// The default for the maximum percentage of the repositories.
    pub const PERCENT: u32 = 10;
    /// The default for the number of repositories that are always allowed.
    pub const REPOSITORIES: u32 = 3;

    fn of(&self, risk: Risk) -> Option<u32> {
        match risk {
            Risk::Removes => Some(self.removes),
            Risk::Weakens => Some(self.weakens),
            Risk::Exposes => Some(self.exposes),
            Risk::Adds => Some(self.creates),
            Risk::Changes => None,
        }
    }
}

/// The sums of the changes that a generation would write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateSums {
    /// The number of values, by risk.
    pub risks: Risks,
    /// The number of repositories where something is removed, weakened or exposed.
    pub repositories: u64,
}

impl GateSums {
    /// Adds up the changes of plans. A change does not count if its mode does not allow it.
    pub fn of<'a, W: 'a>(plans: impl IntoIterator<Item = &'a Plan<W>>) -> Self {
        let mut sums = Self::default();
        for plan in plans {
            let mut reached = 0;
            for change in plan.changes.iter().filter(|change| is_allowed(change)) {
                let risks = change.risks();
                sums.risks.merge(&risks);
                if risks.is_guarded() {
                    reached = reached.max(change.reaches);
                }
            }
            sums.repositories = sums.repositories.saturating_add(u64::from(reached));
        }
        sums
    }
}

/// A limit that a generation exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExceededLimit {
    /// The generation has too many values with the same risk.
    Risk {
        /// The risk.
        risk: Risk,
        /// The maximum number of values with the risk.
        limit: u32,
        /// The number of values with the risk.
        found: u32,
    },
    /// The generation removes, weakens or exposes something in too many repositories.
    Repositories {
        /// The maximum number of repositories.
        limit: u64,
        /// The number of repositories.
        found: u64,
        /// The number of all repositories of the organisation.
        total: u64,
    },
}

impl fmt::Display for ExceededLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Risk { risk, limit, found } => {
                write!(f, "{found} {}, at most {limit} allowed", risk.noun(*found))
            }
            Self::Repositories { limit, found, total } => {
                let noun = if *found == 1 { "repository" } else { "repositories" };
                write!(
                    f,
                    "removes, weakens or exposes something in {found} {noun}, at most {limit} of {total} allowed"
                )
            }
        }
    }
}

/// The gate's decision about a generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GateVerdict {
    /// The generation exceeds no limit.
    Passes,
    /// The generation exceeds these limits, so it needs an approval.
    Held {
        /// The exceeded limits. The list has at least one entry.
        exceeded: Vec<ExceededLimit>,
    },
}

impl fmt::Display for GateVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passes => f.write_str("the gate lets this policy pass"),
            Self::Held { exceeded } => {
                let texts: Vec<String> = exceeded.iter().map(ToString::to_string).collect();
                write!(f, "gate limit reached: {}", texts.join("; "))
            }
        }
    }
}

/// Compares the sums of a generation with the limits. `repositories_touched` is the number of
/// repositories where the generation removes, weakens or exposes something. `total` is the number
/// of all repositories of the organisation.
pub fn check_gate(limits: &GateLimits, sums: &Risks, repositories_touched: u64, total: u64) -> GateVerdict {
    let mut exceeded: Vec<ExceededLimit> = Vec::new();
    for risk in Risk::ALL.into_iter().rev() {
        let found = sums.count(risk);
        if let Some(limit) = limits.of(risk).filter(|limit| found > *limit) {
            exceeded.push(ExceededLimit::Risk { risk, limit, found });
        }
    }
    let share = total.saturating_mul(u64::from(limits.percent)) / 100;
    let limit = share.max(u64::from(limits.repositories));
    if repositories_touched > limit {
        exceeded.push(ExceededLimit::Repositories { limit, found: repositories_touched, total });
    }
    if exceeded.is_empty() { GateVerdict::Passes } else { GateVerdict::Held { exceeded } }
}

/// Returns whether the mode of a change allows the change.
fn is_allowed<W>(change: &Change<W>) -> bool {
    change.mode.allows(&change.risks())
}

/// Returns whether an operator must see a change before the operator approves the generation. The
/// operator must see each change that the gate counts. The operator must also see each change that
/// always needs an approval, because the approval of the generation also approves this change.
pub fn is_counted<W>(change: &Change<W>) -> bool {
    let risks = change.risks();
    is_allowed(change) && (risks.is_guarded() || risks.count(Risk::Adds) > 0 || change.stop.is_some())
}

/// Returns a short code that identifies all changes that the gate counts in the plans. The code
/// also shows which of these changes always need an approval. The code does not depend on the order
/// of the plans. An approval of a generation is bound to this code.
pub fn plan_digest<'a, W: 'a>(plans: impl IntoIterator<Item = (&'a Key, &'a Plan<W>)>) -> String {
    code_of(plans, |change| is_counted(change).then_some(if change.stop.is_some() { " asks" } else { "" }))
}

/// Returns a short code that identifies all changes of the plans, including those that the gate
/// does not count. The code also shows which of these changes are allowed by their modes. The code
/// does not depend on the order of the plans.
pub fn whole_plan_digest<'a, W: 'a>(plans: impl IntoIterator<Item = (&'a Key, &'a Plan<W>)>) -> String {
    code_of(plans, |change| Some(if is_allowed(change) { "" } else { " skipped" }))
}

fn code_of<'a, W: 'a>(
    plans: impl IntoIterator<Item = (&'a Key, &'a Plan<W>)>,
    mark: impl Fn(&Change<W>) -> Option<&'static str>,
) -> String {
    let mut digests: Vec<String> = Vec::new();
    for (key, plan) in plans {
        let digest = |change: &Change<W>| mark(change).map(|mark| change.digest(key) + mark);
        digests.extend(plan.changes.iter().filter_map(digest));
    }
    digests.sort_unstable();
    let mut hash = Sha256::new();
    for digest in &digests {
        hash.update(digest.as_bytes());
        hash.update([0]);
    }
    hash.finalize().iter().take(6).fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mode::Mode;
    use crate::testing;

    const LIMITS: GateLimits =
        GateLimits { removes: 5, weakens: 2, exposes: 0, creates: 100, percent: 10, repositories: 3 };

    fn change(what: &str, risks: &[Risk], mode: Mode) -> Change<()> {
        Change { mode, ..testing::change("teams", what, risks) }
    }

    fn plan(changes: Vec<Change<()>>) -> Plan<()> {
        Plan { changes, ..Plan::new("acme/shop") }
    }

    fn sums(counts: &[(Risk, u32)]) -> Risks {
        let mut sums = Risks::default();
        for (risk, count) in counts {
            sums.add(*risk, *count);
        }
        sums
    }

    #[test]
    fn a_generation_passes_up_to_each_limit_and_is_held_above_it() {
        use Risk::{Adds, Changes, Exposes, Removes, Weakens};
        for (counts, touched, total, held) in [
            (vec![(Removes, 5), (Weakens, 2), (Adds, 100), (Changes, 9_999)], 3, 5, 0),
            (vec![(Removes, 6)], 3, 1000, 1),
            (vec![(Weakens, 3)], 1, 1000, 1),
            (vec![(Exposes, 1)], 1, 1000, 1),
            (vec![(Adds, 101)], 0, 1000, 1),
            (vec![(Removes, 4)], 4, 10, 1),
            (vec![(Removes, 4)], 4, 40, 0),
            (vec![(Removes, 5)], 5, 49, 1),
            (vec![(Removes, 6), (Exposes, 1)], 6, 7, 3),
            (vec![], 0, 0, 0),
        ] {
            let verdict = check_gate(&LIMITS, &sums(&counts), touched, total);
            let exceeded = match &verdict {
                GateVerdict::Passes => 0,
                GateVerdict::Held { exceeded } => exceeded.len(),
            };
            assert_eq!(exceeded, held, "{counts:?} in {touched} of {total}: {verdict}");
        }
    }

    #[test]
    fn the_text_of_a_hold_names_each_limit_with_its_number() {
        let verdict = check_gate(&LIMITS, &sums(&[(Risk::Removes, 300)]), 170, 220);
        assert_eq!(
            verdict.to_string(),
            "gate limit reached: 300 removals, at most 5 allowed; removes, weakens or exposes something in 170 \
             repositories, at most 22 of 220 allowed"
        );
    }

    #[test]
    fn the_name_of_a_note_tells_who_holds_the_generation() {
        for (note, holder) in [
            ("acme", Holder::Service),
            ("acme (command)", Holder::Command),
            ("acme (command 1/3)", Holder::Command),
        ] {
            assert_eq!(Holder::of(note), holder, "{note}");
        }
    }

    #[test]
    fn changes_that_the_mode_does_not_allow_do_not_count() {
        let plans = [
            plan(vec![
                change("a", &[Risk::Removes, Risk::Removes], Mode::Enforce),
                change("b", &[Risk::Removes], Mode::AddOnly),
                change("c", &[Risk::Exposes], Mode::Observe),
            ]),
            plan(vec![change("d", &[Risk::Adds], Mode::AddOnly)]),
        ];
        let found = GateSums::of(&plans);
        assert_eq!(found.risks, sums(&[(Risk::Removes, 2), (Risk::Adds, 1)]));
        assert_eq!(found.repositories, 1, "an addition takes nothing away");
    }

    #[test]
    fn a_change_of_the_organisation_counts_every_repository_that_it_reaches() {
        let wide = Change { reaches: 60, ..change("a", &[Risk::Weakens], Mode::Enforce) };
        let found = GateSums::of(&[plan(vec![wide])]);
        assert_eq!((found.repositories, found.risks.weakens), (60, 60));
    }

    #[test]
    fn the_digest_depends_on_the_counted_changes_and_not_on_their_order() {
        let (one, two) = (Key::new("repository", "acme", 1), Key::new("repository", "acme", 2));
        let removal = || change("a", &[Risk::Removes], Mode::Enforce);
        let (first, second) = (plan(vec![removal()]), plan(vec![change("b", &[Risk::Adds], Mode::Enforce)]));
        let digest = plan_digest([(&one, &first), (&two, &second)]);
        assert_eq!(digest, plan_digest([(&two, &second), (&one, &first)]));
        let with_setting = plan(vec![removal(), change("c", &[Risk::Changes], Mode::Enforce)]);
        assert_eq!(
            digest,
            plan_digest([(&one, &with_setting), (&two, &second)]),
            "no limit counts a setting"
        );
        assert_ne!(digest, plan_digest([(&two, &first), (&one, &second)]), "it is another repository");
        assert_ne!(digest, plan_digest([(&one, &first)]));
        let whole = whole_plan_digest([(&one, &first), (&two, &second)]);
        assert_eq!(whole, whole_plan_digest([(&two, &second), (&one, &first)]));
        assert_ne!(whole, whole_plan_digest([(&one, &with_setting), (&two, &second)]), "a setting counts");
        let skipped = plan(vec![change("a", &[Risk::Removes], Mode::Observe)]);
        assert_ne!(whole, whole_plan_digest([(&one, &skipped), (&two, &second)]), "the mode is another one");
    }

    #[test]
    fn an_approval_is_also_bound_to_the_changes_that_always_need_one() {
        let key = Key::new("target-group", "teams", 1);
        let digest = |changes: Vec<Change<()>>| plan_digest([(&key, &plan(changes))]);
        for risk in [Risk::Changes, Risk::Removes] {
            let free = change("rename", &[risk], Mode::Enforce);
            let asks = Change { stop: Some("renamed".into()), ..free.clone() };
            assert!(is_counted(&asks), "{risk}");
            assert_ne!(digest(vec![free]), digest(vec![asks.clone()]), "{risk}");
            assert_ne!(digest(Vec::new()), digest(vec![asks]), "{risk}");
        }
    }

    #[test]
    fn only_a_policy_is_called_a_policy() {
        let names = ["3c9f0a1b2d4e", "limits-3c9f0a1b2d4e", "target-3c9f0a1b2d4e"];
        assert_eq!(names.map(noun), ["policy", "generation", "generation"]);
    }
}
