//! Plans: ordered lists of changes, as data. A plan can be printed, stored and compared; it cannot
//! write.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::key::Key;
use crate::mode::Mode;

/// The effect that a change may have on the users of the changed thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Risk {
    /// Something new that grants nobody more than the policy declares.
    Adds,
    /// A value that is neither stricter nor laxer.
    Changes,
    /// Fewer approvals or checks, wider bypass, protection off.
    Weakens,
    /// More people can see or write.
    Exposes,
    /// Something existing is removed.
    Removes,
}

impl Risk {
    /// Every risk, the smallest one first.
    pub const ALL: [Self; 5] = [Self::Adds, Self::Changes, Self::Weakens, Self::Exposes, Self::Removes];

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

    /// Returns the noun for this number of things, such as `removals`.
    pub fn noun(self, count: u32) -> &'static str {
        match (self, count) {
            (Self::Adds, 1) => "addition",
            (Self::Adds, _) => "additions",
            (Self::Changes, 1) => "change",
            (Self::Changes, _) => "changes",
            (Self::Weakens, 1) => "weakening",
            (Self::Weakens, _) => "weakenings",
            (Self::Exposes, 1) => "exposure",
            (Self::Exposes, _) => "exposures",
            (Self::Removes, 1) => "removal",
            (Self::Removes, _) => "removals",
        }
    }

    /// Returns whether the guard counts the risk.
    pub fn is_guarded(self) -> bool {
        self >= Self::Weakens
    }
}

impl fmt::Display for Risk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The number of things of each risk in a change or a plan.
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

    /// Adds `n` things of one risk.
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

    /// Adds all things of `other`.
    pub fn merge(&mut self, other: &Self) {
        for risk in Risk::ALL {
            self.add(risk, other.count(risk));
        }
    }

    /// Returns the gravest risk, if there is any.
    pub fn gravest(&self) -> Option<Risk> {
        Risk::ALL.into_iter().rev().find(|risk| self.count(*risk) > 0)
    }

    /// Returns whether the guard has to check.
    pub fn is_guarded(&self) -> bool {
        self.gravest().is_some_and(Risk::is_guarded)
    }

    /// Returns the number of all things.
    pub fn total(&self) -> u32 {
        Risk::ALL.iter().map(|risk| self.count(*risk)).sum()
    }
}

/// The policy line that asks for a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PolicyLocation {
    /// The policy's file, relative to its folder.
    pub file: std::sync::Arc<str>,
    /// The line, from 1.
    pub line: u32,
}

impl fmt::Display for PolicyLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// One value of a change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Field {
    /// The value's name in the vendor's terms, such as `allow_squash_merge`.
    pub name: String,
    /// The observed value; `Null` if there was none.
    pub before: Value,
    /// The desired value; `Null` if the value is to be removed.
    pub after: Value,
    /// The policy line that asks for the value.
    pub asked: Option<PolicyLocation>,
    /// The effect on others.
    pub risk: Risk,
}

/// One write.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change<W> {
    /// The aspect.
    pub aspect: String,
    /// The part of the aspect, such as `team platform`; empty for the repository itself.
    pub what: String,
    /// Every value that the write changes.
    pub fields: Vec<Field>,
    /// The mode that applies to it.
    pub mode: Mode,
    /// The positions, in the plan, of changes that must be written before this one.
    pub after: Vec<usize>,
    /// The reason why an operator must approve the change, also if the window has room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<String>,
    /// The number of repositories that this one write reaches. The guard counts each risk once for
    /// each of them.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub reaches: u32,
    /// The instructions for the write.
    pub write: W,
}

fn one() -> u32 {
    1
}

fn is_one(reaches: &u32) -> bool {
    *reaches == 1
}

impl<W> Change<W> {
    /// Returns the risks of all fields, each counted for every repository that the write reaches.
    pub fn risks(&self) -> Risks {
        let mut risks = Risks::default();
        for field in &self.fields {
            risks.add(field.risk, self.reaches);
        }
        risks
    }

    /// Returns a short name for exactly this change of this key. An operator approves the change by
    /// it.
    pub fn digest(&self, key: &Key) -> String {
        let mut hash = Sha256::new();
        for part in [key.as_str(), &self.aspect, &self.what] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        for field in &self.fields {
            hash.update(format!("{}\0{}\0{}\0", field.name, field.before, field.after).as_bytes());
        }
        // An approval of a change that reaches 60 repositories is no approval of one that reaches
        // 600.
        if self.reaches != 1 {
            hash.update(self.reaches.to_be_bytes());
        }
        hash.finalize().iter().take(6).fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
    }

    /// Returns the same change, without the instructions for the write.
    pub fn describe(&self) -> Change<()> {
        Change {
            aspect: self.aspect.clone(),
            what: self.what.clone(),
            fields: self.fields.clone(),
            mode: self.mode,
            after: self.after.clone(),
            stop: self.stop.clone(),
            reaches: self.reaches,
            write: (),
        }
    }
}

/// An aspect, or a part of it, that could not be read or resolved. Beadle removes nothing of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unknown {
    /// The aspect.
    pub aspect: String,
    /// The part, such as one setting; `None` for the whole aspect.
    pub part: Option<String>,
    /// The problem and the next step.
    pub why: String,
    /// Whether a retry may succeed without anybody's help.
    pub transient: bool,
}

/// The changes that make a key as declared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan<W> {
    /// The name for people, such as `acme/widgets`.
    pub subject: String,
    /// The changes, in order.
    pub changes: Vec<Change<W>>,
    /// The parts that could not be read or resolved.
    pub unknowns: Vec<Unknown>,
    /// The reason why the plan has no changes at all, such as `archived`.
    pub skipped: Option<String>,
}

impl<W> Plan<W> {
    /// Creates a plan for `subject` without changes.
    pub fn new(subject: impl Into<String>) -> Self {
        Self { subject: subject.into(), changes: Vec::new(), unknowns: Vec::new(), skipped: None }
    }

    /// Keeps the changes for which `keep` holds. A change that depends on a dropped change is
    /// dropped too.
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

    /// Returns the risks of all changes.
    pub fn risks(&self) -> Risks {
        let mut risks = Risks::default();
        for change in &self.changes {
            risks.merge(&change.risks());
        }
        risks
    }

    /// Returns the same plan, without the instructions for the writes.
    pub fn describe(&self) -> Plan<()> {
        Plan {
            subject: self.subject.clone(),
            changes: self.changes.iter().map(Change::describe).collect(),
            unknowns: self.unknowns.clone(),
            skipped: self.skipped.clone(),
        }
    }
}
