//! Groups held changes with the same content and the same cause. An operator can then decide about
//! equal changes of many repositories together. All rules are pure functions over the stored holds.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

use super::Hold;
use crate::change_title::change_title;
use crate::clock::Time;
use crate::plan::{Change, PolicyLocation, Risk};

/// The decisions of the operators about the changes of a group. A list of groups shows the variants
/// in this order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HoldState {
    /// The changes wait for a decision.
    Open,
    /// An operator approved the changes, and Beadle has not written them yet.
    Approved {
        /// The operator.
        by: String,
        /// The operator's reason.
        reason: Option<String>,
    },
    /// An operator rejected the changes.
    Rejected {
        /// The operator.
        by: String,
        /// The operator's reason.
        reason: Option<String>,
    },
}

impl HoldState {
    /// Returns the state of a hold.
    pub fn of(hold: &Hold) -> Self {
        match (&hold.approved_by, &hold.rejected) {
            (Some(by), _) => Self::Approved { by: by.clone(), reason: hold.approval_reason.clone() },
            (None, Some(rejection)) => {
                Self::Rejected { by: rejection.by.clone(), reason: rejection.reason.clone() }
            }
            (None, None) => Self::Open,
        }
    }
}

/// Held changes that have the same title, the same policy line and the same cause.
#[derive(Clone, Debug, PartialEq)]
pub struct HoldGroup {
    /// The code of the group. An operator uses it to decide about the whole group. The code
    /// identifies exactly the changes of the group. If a change joins or leaves the group, the code
    /// changes. The code of a group with one change is the digest of the change.
    pub code: String,
    /// The instance of the changes, such as an organisation.
    pub instance: String,
    /// The generation of the policy that asks for the changes.
    pub generation: String,
    /// The most severe risk of the changes.
    pub risk: Risk,
    /// The aspect of the changes.
    pub aspect: String,
    /// The title of the changes, such as `team engineering`. The title names the values of all
    /// risks.
    pub title: String,
    /// The policy line that asks for the changes, if there is one.
    pub asked: Option<PolicyLocation>,
    /// The decisions of the operators.
    pub state: HoldState,
    /// The held changes, sorted by subject. A group has at least one hold.
    pub holds: Vec<Hold>,
}

impl HoldGroup {
    /// Returns the time when the oldest hold of the group began.
    pub fn since(&self) -> Time {
        self.holds.iter().map(|hold| hold.since).min().unwrap_or(Time(0))
    }

    /// Returns the reason of the oldest hold. The reasons of the other holds differ only in their
    /// numbers, or in the key of a contested change.
    pub fn why(&self) -> &str {
        self.holds.iter().min_by_key(|hold| hold.since).map_or("", |hold| hold.why.as_str())
    }

    /// Returns the names of the repositories or groups, sorted and without duplicates.
    pub fn subjects(&self) -> Vec<&str> {
        let subjects: BTreeSet<&str> = self.holds.iter().map(|hold| hold.subject.as_str()).collect();
        subjects.into_iter().collect()
    }

    /// Returns the number of repositories that the changes affect. A repository counts once for
    /// each change.
    pub fn reaches(&self) -> u64 {
        self.holds.iter().map(|hold| u64::from(hold.change.reaches)).sum()
    }
}

/// Groups held changes. The groups that wait for a decision come first. Among groups with the same
/// state, more severe groups come first, then larger groups.
pub fn group_holds(holds: Vec<Hold>) -> Vec<HoldGroup> {
    let mut groups: BTreeMap<GroupKey, Vec<Hold>> = BTreeMap::new();
    for hold in holds {
        groups.entry(GroupKey::of(&hold)).or_default().push(hold);
    }
    let mut groups: Vec<HoldGroup> = groups.into_iter().map(|(key, holds)| into_group(key, holds)).collect();
    groups.sort_by(|one, other| {
        let rank = |group: &HoldGroup| std::cmp::Reverse((group.risk, group.holds.len()));
        (&one.state, rank(one)).cmp(&(&other.state, rank(other)))
    });
    groups
}

/// Returns all holds of the group with the code `name`, or the hold with the digest `name`. Returns
/// an empty list if nothing has the code now, for example because the group has changed in the
/// meantime.
pub fn named_holds<'a>(groups: &'a [HoldGroup], name: &str) -> Vec<&'a Hold> {
    match groups.iter().find(|group| group.code == name) {
        Some(group) => group.holds.iter().collect(),
        None => groups.iter().flat_map(|group| &group.holds).filter(|hold| hold.digest == name).collect(),
    }
}

/// Selects the holds of the changes with these digests, in these repositories. An empty list of
/// digests selects all digests, and an empty list of repositories selects all repositories. If a
/// digest or a repository matches no hold, returns the first digest or repository without a hold as
/// an error.
pub fn limit_holds<'a, 'b>(
    holds: &[&'a Hold],
    only: &'b [String],
    repositories: &'b [String],
) -> Result<Vec<&'a Hold>, &'b str> {
    if let Some(missing) = only.iter().find(|digest| !holds.iter().any(|hold| hold.digest == **digest)) {
        return Err(missing);
    }
    if let Some(missing) = repositories.iter().find(|name| !holds.iter().any(|hold| is_in(hold, name))) {
        return Err(missing);
    }
    let is_chosen = |hold: &&&Hold| {
        (only.is_empty() || only.contains(&hold.digest))
            && (repositories.is_empty() || repositories.iter().any(|name| is_in(hold, name)))
    };
    Ok(holds.iter().filter(is_chosen).copied().collect())
}

/// Returns whether a name is the name of the hold's repository. The name can begin with the owner
/// of the repository.
fn is_in(hold: &Hold, name: &str) -> bool {
    let own = hold.subject.rsplit('/').next().unwrap_or_default();
    name.eq_ignore_ascii_case(&hold.subject) || name.eq_ignore_ascii_case(own)
}

/// The values that all holds of a group have in common.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct GroupKey {
    state: HoldState,
    instance: String,
    /// The kind of the key. Holds of repositories and holds of directory groups are never in one
    /// group.
    kind: String,
    generation: String,
    aspect: String,
    risk: Risk,
    title: String,
    asked: Option<PolicyLocation>,
    cause: String,
}

impl GroupKey {
    fn of(hold: &Hold) -> Self {
        let risk = hold.change.risks().gravest().unwrap_or(Risk::Changes);
        let mut its = hold.change.fields.iter().filter(|field| field.risk == risk);
        Self {
            state: HoldState::of(hold),
            instance: hold.key.instance().to_owned(),
            kind: hold.key.kind().to_owned(),
            generation: hold.generation.clone(),
            aspect: hold.change.aspect.clone(),
            risk,
            title: title(&hold.change, risk),
            asked: its.find_map(|field| field.asked.clone()),
            cause: hold.cause(),
        }
    }
}

/// Returns the title of a change. The title has the values of all risks, the most severe risk
/// first. An approval applies to all of these values.
fn title(change: &Change<()>, gravest: Risk) -> String {
    let first = change_title(change, gravest);
    let has = |risk: &Risk| *risk != gravest && change.fields.iter().any(|field| field.risk == *risk);
    let further = Risk::ALL.into_iter().rev().filter(has).map(|risk| (risk, change_title(change, risk)));
    let further = further.filter(|(_, more)| *more != first).map(|(risk, more)| format!("{risk} {more}"));
    std::iter::once(first.clone()).chain(further).collect::<Vec<_>>().join("; ")
}

impl Hold {
    /// Returns the part of the reason that is the same for all holds with the same cause. A reason
    /// of the guard contains the used part of the limit. The used part differs from hold to hold.
    /// The reason of a contested change contains the key of the change.
    pub fn cause(&self) -> String {
        if self.contested {
            return "contested".to_owned();
        }
        if self.change.stop.is_some() {
            return self.why.clone();
        }
        self.why.chars().filter(|c| !c.is_ascii_digit()).collect()
    }
}

fn into_group(key: GroupKey, mut holds: Vec<Hold>) -> HoldGroup {
    holds.sort_by(|one, other| (&one.subject, &one.digest).cmp(&(&other.subject, &other.digest)));
    let GroupKey { state, instance, generation, aspect, risk, title, asked, .. } = key;
    HoldGroup { code: code(&holds), instance, generation, risk, aspect, title, asked, state, holds }
}

/// Returns the code of a group. The code does not depend on the order of the holds.
fn code(holds: &[Hold]) -> String {
    if let [hold] = holds {
        return hold.digest.clone();
    }
    let mut digests: Vec<&str> = holds.iter().map(|hold| hold.digest.as_str()).collect();
    digests.sort_unstable();
    let mut hash = Sha256::new();
    for digest in digests {
        hash.update(digest.as_bytes());
        hash.update([0]);
    }
    hash.finalize().iter().take(6).fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

#[cfg(test)]
mod tests;
