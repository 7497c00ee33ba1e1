//! Plans: ordered lists of changes, as data. A plan can be printed, stored and compared; it cannot write.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::key::Key;
use crate::mode::Mode;

/// What a change may do to those who rely on the thing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Risk {
    /// Something new that grants nobody more than was declared.
    Adds,
    /// A value that is neither stricter nor laxer.
    Changes,
    /// Fewer approvals or checks, wider bypass, protection off.
    Weakens,
    /// More can see or write.
    Exposes,
    /// Something that was there is gone.
    Removes,
}

impl Risk {
    /// Every risk, smallest first.
    pub const ALL: [Self; 5] = [Self::Adds, Self::Changes, Self::Weakens, Self::Exposes, Self::Removes];

    /// As stored and printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Adds => "adds",
            Self::Changes => "changes",
            Self::Weakens => "weakens",
            Self::Exposes => "exposes",
            Self::Removes => "removes",
        }
    }

    /// The noun for this number of things, such as `removals`.
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

    /// Whether the guard counts it.
    pub fn is_guarded(self) -> bool {
        self >= Self::Weakens
    }
}

impl fmt::Display for Risk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How many things of each risk a change, or a plan, touches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Risks {
    /// Things added.
    pub adds: u32,
    /// Values changed.
    pub changes: u32,
    /// Protections weakened.
    pub weakens: u32,
    /// Things exposed.
    pub exposes: u32,
    /// Things removed.
    pub removes: u32,
}

impl Risks {
    /// How many of one risk.
    pub fn count(&self, risk: Risk) -> u32 {
        match risk {
            Risk::Adds => self.adds,
            Risk::Changes => self.changes,
            Risk::Weakens => self.weakens,
            Risk::Exposes => self.exposes,
            Risk::Removes => self.removes,
        }
    }

    /// Counts `n` more of one risk.
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

    /// Counts everything of `other` too.
    pub fn merge(&mut self, other: &Self) {
        for risk in Risk::ALL {
            self.add(risk, other.count(risk));
        }
    }

    /// The gravest risk there is, if any.
    pub fn gravest(&self) -> Option<Risk> {
        Risk::ALL.into_iter().rev().find(|risk| self.count(*risk) > 0)
    }

    /// Whether the guard has to look.
    pub fn is_guarded(&self) -> bool {
        self.gravest().is_some_and(Risk::is_guarded)
    }

    /// How many things in all.
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
    /// What was observed; `Null` when there was nothing.
    pub before: Value,
    /// What is asked for; `Null` when it is to go.
    pub after: Value,
    /// Who asks for it.
    pub asked: Option<PolicyLocation>,
    /// What it may do to others.
    pub risk: Risk,
}

/// One write.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change<W> {
    /// The aspect it belongs to.
    pub aspect: String,
    /// What it is about within the aspect, such as `team platform`; empty for the repository itself.
    pub what: String,
    /// Every value that the write changes.
    pub fields: Vec<Field>,
    /// The mode that applies to it.
    pub mode: Mode,
    /// Positions, in the plan, of changes that have to be written before this one may be.
    pub after: Vec<usize>,
    /// Why somebody has to approve it, whatever room the window has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<String>,
    /// The number of repositories that this one write reaches. The guard counts each risk that
    /// often.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub reaches: u32,
    /// How it is written.
    pub write: W,
}

fn one() -> u32 {
    1
}

fn is_one(reaches: &u32) -> bool {
    *reaches == 1
}

impl<W> Change<W> {
    /// The risks of all its fields, each counted for every repository that the write reaches.
    pub fn risks(&self) -> Risks {
        let mut risks = Risks::default();
        for field in &self.fields {
            risks.add(field.risk, self.reaches);
        }
        risks
    }

    /// A short name for exactly this change of this key, by which an operator approves it.
    pub fn digest(&self, key: &Key) -> String {
        let mut hash = Sha256::new();
        for part in [key.as_str(), &self.aspect, &self.what] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        for field in &self.fields {
            hash.update(format!("{}\0{}\0{}\0", field.name, field.before, field.after).as_bytes());
        }
        // An approval of a change that reaches 60 repositories is none for one that reaches 600.
        if self.reaches != 1 {
            hash.update(self.reaches.to_be_bytes());
        }
        hash.finalize().iter().take(6).fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
    }

    /// The same change, without the means to write it.
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

/// An aspect, or a part of it, that could not be read or resolved. Nothing of it is removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unknown {
    /// The aspect.
    pub aspect: String,
    /// Only this part of it, such as one setting; `None` for the whole.
    pub part: Option<String>,
    /// What could not be read or resolved, and what to do.
    pub why: String,
    /// Whether it may be known at the next try, without anybody's help.
    pub transient: bool,
}

/// What has to be written so that a key is as declared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan<W> {
    /// The thing's name for people, such as `acme/widgets`.
    pub subject: String,
    /// The writes, in order.
    pub changes: Vec<Change<W>>,
    /// What could not be read or resolved.
    pub unknowns: Vec<Unknown>,
    /// Why nothing is planned for it at all, such as `archived`.
    pub skipped: Option<String>,
}

impl<W> Plan<W> {
    /// A plan for `subject` without changes.
    pub fn new(subject: impl Into<String>) -> Self {
        Self { subject: subject.into(), changes: Vec::new(), unknowns: Vec::new(), skipped: None }
    }

    /// Keeps the changes for which `keep` holds, without those that depend on one that goes.
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

    /// The risks of all its changes.
    pub fn risks(&self) -> Risks {
        let mut risks = Risks::default();
        for change in &self.changes {
            risks.merge(&change.risks());
        }
        risks
    }

    /// The same plan, without the means to write it.
    pub fn describe(&self) -> Plan<()> {
        Plan {
            subject: self.subject.clone(),
            changes: self.changes.iter().map(Change::describe).collect(),
            unknowns: self.unknowns.clone(),
            skipped: self.skipped.clone(),
        }
    }
}
