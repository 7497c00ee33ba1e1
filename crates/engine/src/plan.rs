//! Plans, which are ordered lists of changes. A plan is only data: Beadle can print, store and
//! compare it, but the plan itself cannot write.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::key::Key;
use crate::mode::Mode;

/// What a change does to the safety of the changed thing. A stored risk that only a newer version
/// knows counts as the gravest one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", from = "String")]
pub enum Risk {
    /// Adds a thing. Nobody gets more access than the policy declares.
    Adds,
    /// Sets a value that is neither stricter nor weaker than before.
    Changes,
    /// Weakens protection: fewer approvals or checks, more people who may bypass a rule, or a
    /// protection that is switched off.
    Weakens,
    /// Lets more people read or change something.
    Exposes,
    /// Removes an existing thing or an existing access.
    Removes,
}

impl From<String> for Risk {
    fn from(name: String) -> Self {
        Self::ALL.into_iter().find(|risk| risk.as_str() == name).unwrap_or(Self::Removes)
    }
}

impl Risk {
    /// All risks, with the smallest risk first.
    pub const ALL: [Self; 5] = [Self::Adds, Self::Changes, Self::Weakens, Self::Exposes, Self::Removes];

    /// All risks in the order in which a person checks an undo. An undo that adds a thing often
    /// gives back an access, so exposures and additions come first.
    pub const OF_UNDO: [Self; 5] = [Self::Exposes, Self::Adds, Self::Weakens, Self::Removes, Self::Changes];

    /// Returns the name that is stored and printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Adds => "adds",
            Self::Changes => "changes",
            Self::Weakens => "weakens",
            Self::Exposes => "exposes",
            Self::Removes => "removes",
        }
    }

    /// Returns the noun for `count` things of this risk, such as `removal` or `removals`.
    pub fn noun(self, count: u32) -> &'static str {
        match (self, count) {
            (Self::Adds, 1) => "addition",
            (Self::Adds, _) => "additions",
            // `2 changes` would look like the number of all changes.
            (Self::Changes, 1) => "modification",
            (Self::Changes, _) => "modifications",
            (Self::Weakens, 1) => "weakening",
            (Self::Weakens, _) => "weakenings",
            (Self::Exposes, 1) => "exposure",
            (Self::Exposes, _) => "exposures",
            (Self::Removes, 1) => "removal",
            (Self::Removes, _) => "removals",
        }
    }

    /// Returns whether the guard limits changes of this risk.
    pub fn is_guarded(self) -> bool {
        self >= Self::Weakens
    }
}

impl fmt::Display for Risk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How many things a change or a plan adds, changes, weakens, exposes and removes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Risks {
    /// The number of added things.
    pub adds: u32,
    /// The number of changed values.
    pub changes: u32,
    /// The number of weakened protections.
    pub weakens: u32,
    /// The number of exposed things.
    pub exposes: u32,
    /// The number of removed things.
    pub removes: u32,
}

impl Risks {
    /// Returns the number of things of one risk.
    pub fn count(&self, risk: Risk) -> u32 {
        match risk {
            Risk::Adds => self.adds,
            Risk::Changes => self.changes,
            Risk::Weakens => self.weakens,
            Risk::Exposes => self.exposes,
            Risk::Removes => self.removes,
        }
    }

    /// Adds `n` to the number of things of one risk.
    pub fn add(&mut self, risk: Risk, n: u32) {
        let count = match risk {
            Risk::Adds => &mut self.adds,
            Risk::Changes => &mut self.changes,
            Risk::Weakens => &mut self.weakens,
            Risk::Exposes => &mut self.exposes,
            Risk::Removes => &mut self.removes,
        };
        *count = count.saturating_add(n);
    }

    /// Adds the numbers of `other` to these numbers.
    pub fn merge(&mut self, other: &Self) {
        for risk in Risk::ALL {
            self.add(risk, other.count(risk));
        }
    }

    /// Returns the gravest risk with a number above zero, if there is one.
    pub fn gravest(&self) -> Option<Risk> {
        Risk::ALL.into_iter().rev().find(|risk| self.count(*risk) > 0)
    }

    /// Returns whether the guard must check the change, because the guard limits one of its risks.
    pub fn is_guarded(&self) -> bool {
        self.gravest().is_some_and(Risk::is_guarded)
    }

    /// Adds up the numbers for all risks, and returns the sum.
    pub fn total(&self) -> u32 {
        Risk::ALL.iter().map(|risk| self.count(*risk)).sum()
    }
}

/// The policy line that asks for a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PolicyLocation {
    /// The path of the file, relative to the folder of the policy.
    pub file: std::sync::Arc<str>,
    /// The number of the line. The first line is 1.
    pub line: u32,
}

impl fmt::Display for PolicyLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// One value that a change sets or removes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Field {
    /// The name of the value at the vendor, such as `allow_squash_merge`.
    pub name: String,
    /// The value at the vendor before the change; `Null` if there is none.
    pub before: Value,
    /// The value that the policy declares; `Null` if the change removes the value.
    pub after: Value,
    /// The policy line that asks for the value.
    pub asked: Option<PolicyLocation>,
    /// What the new value does to safety.
    pub risk: Risk,
}

/// One change of a plan, which needs one write. `W` is the type of the instructions for the write.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change<W> {
    /// The aspect that the change belongs to.
    pub aspect: String,
    /// The part of the aspect, such as `team platform`. The text is empty if the change is about
    /// the repository as a whole.
    pub what: String,
    /// All values that the write sets or removes.
    pub fields: Vec<Field>,
    /// The mode that applies to the change. If a newer version wrote the mode and this version does
    /// not know the mode, Beadle uses [`Mode::Observe`].
    #[serde(deserialize_with = "stored_mode")]
    pub mode: Mode,
    /// The positions of other changes of the plan. Beadle must write these other changes first.
    pub after: Vec<usize>,
    /// The reason why the change always needs an approval, even if the guard's window has room for
    /// it. `None` means that the change needs an approval only if it exceeds a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<String>,
    /// True if the write would replace values that an undo restored. Beadle only observes these
    /// values, so the mode of the change is [`Mode::Observe`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undone: bool,
    /// The number of repositories that the write affects. The guard counts each risk once for each
    /// repository.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub reaches: u32,
    /// The instructions that a writer needs for the write.
    pub write: W,
}

fn stored_mode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Mode, D::Error> {
    let name = String::deserialize(deserializer)?;
    let known = [Mode::Observe, Mode::AddOnly, Mode::Enforce];
    Ok(known.into_iter().find(|mode| mode.as_str() == name).unwrap_or_default())
}

fn one() -> u32 {
    1
}

fn is_one(reaches: &u32) -> bool {
    *reaches == 1
}

impl<W> Change<W> {
    /// Returns how many things the change adds, changes, weakens, exposes and removes. Each field
    /// counts once for each repository that the write affects.
    pub fn risks(&self) -> Risks {
        let mut risks = Risks::default();
        for field in &self.fields {
            risks.add(field.risk, self.reaches);
        }
        risks
    }

    /// Returns the place of the change in the list of an undo. Of all risks of the change, the risk
    /// that comes first in [`Risk::OF_UNDO`] decides the place. A change without values comes last.
    pub fn undo_place(&self) -> usize {
        let is_here = |risk: &Risk| self.fields.iter().any(|field| field.risk == *risk);
        Risk::OF_UNDO.iter().position(is_here).unwrap_or(Risk::OF_UNDO.len())
    }

    /// Returns a short code that identifies exactly this change of this key. An operator uses the
    /// code to approve the change.
    pub fn digest(&self, key: &Key) -> String {
        let mut hash = Sha256::new();
        for part in [key.as_str(), &self.aspect, &self.what] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        for field in &self.fields {
            hash.update(format!("{}\0{}\0{}\0", field.name, field.before, field.after).as_bytes());
        }
        // The digest covers the number of repositories. An approval of a change that reaches 60
        // repositories must not allow a change that reaches 600.
        if self.reaches != 1 {
            hash.update(self.reaches.to_be_bytes());
        }
        hash.finalize().iter().take(6).fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
    }

    /// Returns whether both changes set the same values. The digest alone is not enough. A digest
    /// is short, so the author of a policy can find two changes with the same digest.
    pub fn is_same<V>(&self, other: &Change<V>) -> bool {
        let has_same_values = |(one, other): (&Field, &Field)| {
            one.name == other.name && one.before == other.before && one.after == other.after
        };
        self.aspect == other.aspect
            && self.what == other.what
            && self.reaches == other.reaches
            && self.fields.len() == other.fields.len()
            && self.fields.iter().zip(&other.fields).all(has_same_values)
    }

    /// Marks the change as one that Beadle only observes, because the write would replace values
    /// that an undo restored.
    pub fn observe_undone(&mut self) {
        self.mode = Mode::Observe;
        self.undone = true;
    }

    /// Returns a copy of the change without the instructions for the write.
    pub fn describe(&self) -> Change<()> {
        Change {
            aspect: self.aspect.clone(),
            what: self.what.clone(),
            fields: self.fields.clone(),
            mode: self.mode,
            after: self.after.clone(),
            stop: self.stop.clone(),
            undone: self.undone,
            reaches: self.reaches,
            write: (),
        }
    }
}

/// An aspect, or a part of an aspect, that Beadle could not read or resolve. Beadle removes nothing
/// in this aspect or part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unknown {
    /// The aspect.
    pub aspect: String,
    /// The unknown part, such as one setting; `None` if the whole aspect is unknown.
    pub part: Option<String>,
    /// What went wrong, and what the user can do.
    pub why: String,
    /// True if a retry can succeed although nobody changes anything.
    pub transient: bool,
}

/// The reason for skipping an archived repository. GitHub accepts no write to an archived
/// repository.
pub const ARCHIVED: &str = "archived";

/// The reason for skipping a repository that a run did not find. Perhaps the repository exists and
/// the App has no access to it. In this case, the policy still applies to the repository.
pub const NOT_FOUND: &str = "the repository does not exist, or the App cannot see it";

/// A difference that waits for a person, because Beadle cannot remove it. The difference is neither
/// a change nor an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// The aspect.
    pub aspect: String,
    /// What Beadle waits for.
    pub why: String,
}

/// A key of the policy that Beadle does not compare, because a waiver exempts it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waived {
    /// The path of the key, such as `branches[main].protection.enforce_admins`.
    pub key: String,
    /// The time when the waiver ends.
    pub until: String,
    /// The reason why the key is exempt.
    pub reason: String,
    /// The person or team that is responsible for the waiver.
    pub owner: String,
    /// The policy line with the waiver. `None` for a waiver of `beadle waive`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<PolicyLocation>,
}

/// The list of changes that would make a key match the policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan<W> {
    /// The name that people use for the key, such as `acme/widgets`.
    pub subject: String,
    /// The generation of the policy from which the plan was made. A printed plan does not contain
    /// the generation, because all keys have the same generation.
    #[serde(skip)]
    pub generation: String,
    /// The changes, in the order of their writes.
    pub changes: Vec<Change<W>>,
    /// The parts that could not be read or resolved.
    pub unknowns: Vec<Unknown>,
    /// The differences that wait for a person.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits: Vec<Waiting>,
    /// The keys of the policy that Beadle did not compare, because waivers exempt them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waived: Vec<Waived>,
    /// The reason why Beadle skips the whole key, such as `archived`. The plan then has no changes.
    pub skipped: Option<String>,
}

impl<W> Plan<W> {
    /// Creates a plan for `subject` without changes.
    pub fn new(subject: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            generation: String::new(),
            changes: Vec::new(),
            unknowns: Vec::new(),
            waits: Vec::new(),
            waived: Vec::new(),
            skipped: None,
        }
    }

    /// Returns whether the plan has nothing to show: no change, no unknown part and no wait.
    pub fn is_silent(&self) -> bool {
        self.changes.is_empty() && self.unknowns.is_empty() && self.waits.is_empty()
    }

    /// Drops each change if `keep` returns `false` for this change. A kept change must not depend
    /// on a dropped one, so the function also drops each change that depends on a dropped one.
    pub fn retain(&mut self, keep: impl Fn(&Change<W>) -> bool) {
        let mut places: Vec<Option<usize>> = Vec::with_capacity(self.changes.len());
        let mut kept = Vec::new();
        for mut change in self.changes.drain(..) {
            let after: Option<Vec<usize>> = change.after.iter().map(|before| places[*before]).collect();
            let stays = keep(&change);
            match after {
                Some(after) if stays => {
                    change.after = after;
                    places.push(Some(kept.len()));
                    kept.push(change);
                }
                _ => places.push(None),
            }
        }
        self.changes = kept;
    }

    /// Adds up the risks of all changes, and returns the sum.
    pub fn risks(&self) -> Risks {
        let mut risks = Risks::default();
        for change in &self.changes {
            risks.merge(&change.risks());
        }
        risks
    }

    /// Returns the place of the plan in the list of an undo: the place of the change that comes
    /// first in this list. A plan without changes comes last.
    pub fn undo_place(&self) -> usize {
        self.changes.iter().map(Change::undo_place).min().unwrap_or(Risk::OF_UNDO.len())
    }

    /// Returns a copy of the plan without the instructions for the writes.
    pub fn describe(&self) -> Plan<()> {
        Plan {
            subject: self.subject.clone(),
            generation: self.generation.clone(),
            changes: self.changes.iter().map(Change::describe).collect(),
            unknowns: self.unknowns.clone(),
            waits: self.waits.clone(),
            waived: self.waived.clone(),
            skipped: self.skipped.clone(),
        }
    }
}
