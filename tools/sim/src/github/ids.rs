//! GraphQL's node ids. Each id consists of a type and a number.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The type and the number of a node id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    Organisation(u64),
    Repository(u64),
    Team(u64),
    User(u64),
    App(u64),
    Rule(u64),
    Ruleset(u64),
}

impl Node {
    /// Returns the node id as text. Apps have the old form of node ids, because clients can compute
    /// that form.
    pub(crate) fn encode(self) -> String {
        let (prefix, id) = match self {
            Self::App(id) => return STANDARD.encode(format!("03:App{id}")),
            Self::Organisation(id) => ("O", id),
            Self::Repository(id) => ("R", id),
            Self::Team(id) => ("T", id),
            Self::User(id) => ("U", id),
            Self::Rule(id) => ("BPR", id),
            Self::Ruleset(id) => ("RRS", id),
        };
        format!("{prefix}_kgDO{id:08}")
    }

    pub(crate) fn decode(text: &str) -> Option<Self> {
        if let Some((prefix, id)) = text.split_once("_kgDO") {
            let id = id.parse().ok()?;
            return match prefix {
                "O" => Some(Self::Organisation(id)),
                "R" => Some(Self::Repository(id)),
                "T" => Some(Self::Team(id)),
                "U" => Some(Self::User(id)),
                "BPR" => Some(Self::Rule(id)),
                "RRS" => Some(Self::Ruleset(id)),
                _ => None,
            };
        }
        let old = String::from_utf8(STANDARD.decode(text).ok()?).ok()?;
        Some(Self::App(old.strip_prefix("03:App")?.parse().ok()?))
    }
}
