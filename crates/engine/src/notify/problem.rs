//! The present problems, grouped by topic. One topic is one subject of notifications, even if many
//! repositories or groups have the problem.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The maximum number of lines that describe a topic.
const LINES: usize = 5;
/// The maximum number of names in a line.
const EXAMPLES: usize = 5;
/// The maximum length of a text in a line, in bytes. Lines are stored in the ledger.
const TEXT: usize = 300;
/// The maximum length of a name in a line, in bytes.
const NAME: usize = 100;
/// The maximum number of problem identities that the ledger stores for one topic. If a topic has
/// more problems than this, the ledger stores only the smallest identities. When Beadle compares
/// two states, both states therefore contain the same selection of identities.
const MEMBERS: usize = 200;
/// The maximum number of stored identities of all topics. A DynamoDB table limits the size of a
/// note to 400 KB, and an enterprise can have hundreds of topics. If there are more than 40 topics,
/// the ledger stores fewer identities for each topic.
const ALL_MEMBERS: usize = 40 * MEMBERS;

/// The kind of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProblemKind {
    /// The guard holds a change until an operator approves it.
    Held,
    /// Another writer undoes a change repeatedly.
    Contested,
    /// A key failed too often, so Beadle does not work on it any more.
    Parked,
    /// Beadle has not been able to read or resolve a part of a repository or group for a long time.
    Unknown,
    /// Beadle cannot use the newest policy.
    PolicyRejected,
    /// The gate holds a policy until an operator approves it.
    PolicyHeld,
    /// A sweep did not begin in time.
    SweepOverdue,
    /// A sweep cannot begin, or ended with failures.
    SweepFailed,
    /// A credential ends soon, or the vendor denies it.
    CredentialEnds,
    /// Beadle reverted a person's change.
    Reverted,
    /// This version of Beadle cannot read a stored hold or waiver.
    Unreadable,
}

impl ProblemKind {
    /// All kinds.
    pub const ALL: [Self; 11] = [
        Self::Held,
        Self::Contested,
        Self::Parked,
        Self::Unknown,
        Self::PolicyRejected,
        Self::PolicyHeld,
        Self::SweepOverdue,
        Self::SweepFailed,
        Self::CredentialEnds,
        Self::Reverted,
        Self::Unreadable,
    ];

    /// Returns the name that is stored, sent and used in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Contested => "contested",
            Self::Parked => "parked",
            Self::Unknown => "unknown",
            Self::PolicyRejected => "policy-rejected",
            Self::PolicyHeld => "policy-held",
            Self::SweepOverdue => "sweep-overdue",
            Self::SweepFailed => "sweep-failed",
            Self::CredentialEnds => "credential-ends",
            Self::Reverted => "reverted",
            Self::Unreadable => "unreadable",
        }
    }
}

impl fmt::Display for ProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The subject of notifications: all problems of one kind, at one instance and in one aspect.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Topic {
    /// The kind of the problems.
    pub kind: ProblemKind,
    /// The organisation, the directory or the target.
    pub instance: String,
    /// The aspect; empty if the problem is not about one aspect.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub aspect: String,
}

impl Topic {
    /// Returns the topic of all problems of one kind at an instance.
    pub fn new(kind: ProblemKind, instance: &str) -> Self {
        Self { kind, instance: instance.to_owned(), aspect: String::new() }
    }

    /// Returns the same topic, for one aspect only.
    #[must_use]
    pub fn of_aspect(self, aspect: &str) -> Self {
        Self { aspect: aspect.to_owned(), ..self }
    }
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The topic of the problem.
    pub topic: Topic,
    /// The identity of the problem in its topic, such as the digest of a held change. If the
    /// identity changes, the problem counts as a new one.
    pub id: String,
    /// The name of the repository, the group or the thing that has the problem.
    pub subject: String,
    /// The text of the problem, without the name. Problems with the same text share one line.
    pub what: String,
    /// The cause, or what a person can do.
    pub why: String,
    /// The code that an operator uses to decide about the problem. It is empty if there is no code.
    /// Problems with the same code share one line.
    pub code: String,
}

/// Problems with the same text and the same code, within one topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The text of the problems.
    pub what: String,
    /// The cause of one of the problems.
    pub why: String,
    /// The code that an operator uses to decide about all of the problems. It is empty if there is
    /// no code.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub code: String,
    /// The number of problems.
    pub count: u64,
    /// Some of the names.
    pub examples: Vec<String>,
}

/// The present state of a topic that has at least one problem.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The number of problems, and their identities.
    pub members: Members,
    /// The problems, grouped by their text, with the largest groups first.
    pub lines: Vec<Line>,
    /// The number of problems that are in no line.
    pub more: u64,
}

/// The problems of a topic: their number, and the hashes of their identities.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredMembers")]
pub struct Members {
    /// The number of problems.
    pub count: u64,
    /// The smallest hashes of the identities, at most 200.
    hashes: BTreeSet<u32>,
}

/// The problems in their stored form. The first version stored only the hashes.
#[derive(Deserialize)]
#[serde(untagged)]
enum StoredMembers {
    Counted { count: u64, hashes: BTreeSet<u32> },
    Hashes(BTreeSet<u32>),
}

impl From<StoredMembers> for Members {
    fn from(stored: StoredMembers) -> Self {
        match stored {
            StoredMembers::Counted { count, hashes } => Self { count, hashes },
            StoredMembers::Hashes(hashes) => Self { count: hashes.len() as u64, hashes },
        }
    }
}

impl Members {
    /// Returns the number of problems that are not in `before`.
    pub fn new_since(&self, before: &Self) -> u64 {
        // If `before` lacks some hashes, only hashes up to the largest hash of `before` show
        // whether a problem is new.
        let known = if before.is_cut() { before.hashes.last().copied() } else { None };
        let is_new = |hash: &&u32| known.is_none_or(|known| **hash <= known);
        let new = self.hashes.difference(&before.hashes).filter(is_new).count() as u64;
        if self.is_cut() || before.is_cut() { new.max(self.count.saturating_sub(before.count)) } else { new }
    }

    /// Returns all problems that at least one of the two values contains.
    pub(super) fn with(&self, other: &Self) -> Self {
        // If hashes are missing in one of the two values, the union is complete only up to the
        // largest hash of this value.
        let cut = [self, other].into_iter().filter(|members| members.is_cut());
        let known = cut.filter_map(|members| members.hashes.last().copied()).min();
        let all: BTreeSet<u32> = self.hashes.union(&other.hashes).copied().collect();
        let count = known.map_or(all.len() as u64, |_| self.count.max(other.count));
        let is_known = |hash: &u32| known.is_none_or(|known| *hash <= known);
        Self { count, hashes: all.into_iter().filter(is_known).take(MEMBERS).collect() }
    }

    /// Returns the problems that both values contain.
    pub(super) fn within(&self, other: &Self) -> Self {
        let hashes: BTreeSet<u32> = self.hashes.intersection(&other.hashes).copied().collect();
        let is_cut = self.is_cut() || other.is_cut();
        let count = if is_cut { self.count.min(other.count) } else { hashes.len() as u64 };
        Self { count, hashes }
    }

    /// Returns whether hashes are left out.
    fn is_cut(&self) -> bool {
        (self.hashes.len() as u64) < self.count
    }

    /// Returns whether all problems of `other` are among these problems.
    #[cfg(test)]
    pub(super) fn has_all(&self, other: &Self) -> bool {
        self.hashes.is_superset(&other.hashes)
    }

    /// Returns a hash of the problems. If the problems change, the hash changes too.
    pub(super) fn fingerprint(&self) -> u32 {
        let hashes = self.hashes.iter().flat_map(|member| member.to_be_bytes());
        hash(&self.count.to_be_bytes().into_iter().chain(hashes).collect::<Vec<u8>>())
    }
}

/// The present problems, by topic. A topic without problems is not in the map.
pub type Present = BTreeMap<Topic, Found>;

/// Groups problems by their topics.
pub fn collect(problems: impl IntoIterator<Item = Problem>) -> Present {
    let mut all: BTreeMap<Topic, BTreeMap<String, Problem>> = BTreeMap::new();
    for problem in problems {
        all.entry(problem.topic.clone()).or_default().insert(problem.id.clone(), problem);
    }
    let most = (ALL_MEMBERS / all.len().max(1)).clamp(1, MEMBERS);
    all.into_iter().map(|(topic, problems)| (topic, found(&problems, most))).collect()
}

/// Returns the state of a topic with these problems. It contains the identities of at most `most`
/// problems.
fn found(problems: &BTreeMap<String, Problem>, most: usize) -> Found {
    let mut lines: BTreeMap<(&str, &str), Line> = BTreeMap::new();
    for problem in problems.values() {
        let line = lines.entry((problem.what.as_str(), problem.code.as_str())).or_insert_with(|| Line {
            what: cut(&problem.what, TEXT),
            why: cut(&problem.why, TEXT),
            code: problem.code.clone(),
            count: 0,
            examples: Vec::new(),
        });
        line.count += 1;
        let subject = cut(&problem.subject, NAME);
        if line.examples.len() < EXAMPLES && !line.examples.contains(&subject) {
            line.examples.push(subject);
        }
    }
    let mut lines: Vec<Line> = lines.into_values().collect();
    lines.sort_by_key(|line| std::cmp::Reverse(line.count));
    let more = lines.iter().skip(LINES).map(|line| line.count).sum();
    lines.truncate(LINES);
    let all: BTreeSet<u32> = problems.keys().map(|id| hash(id.as_bytes())).collect();
    let hashes = all.into_iter().take(most).collect();
    Found { members: Members { count: problems.len() as u64, hashes }, lines, more }
}

/// Returns a short hash. Two problems of one topic have the same hash so rarely that a short hash
/// is enough.
fn hash(bytes: &[u8]) -> u32 {
    let hash = Sha256::digest(bytes);
    u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]])
}

/// Returns the beginning of a text, with at most this number of bytes.
fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let end = text.char_indices().map(|(at, _)| at).take_while(|at| *at <= most).last().unwrap_or(0);
    format!("{}…", &text[..end])
}
