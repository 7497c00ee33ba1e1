//! The identity of a target's group.

/// The identity of a target's group: the source that it consists of. It names the key, and does not
/// change when either side is renamed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GroupKey {
    /// One group of a directory.
    One {
        /// The directory.
        source: String,
        /// The group's id there.
        group: String,
    },
    /// A union of this name.
    Union(String),
    /// The account of one person that Beadle created, without a group.
    TargetAccount {
        /// The directory.
        source: String,
        /// The person's id there.
        person: String,
    },
}

/// Names that a directory must not have: they begin the keys of unions and of accounts.
pub const RESERVED: [&str; 2] = ["into", ACCOUNT];
const ACCOUNT: &str = "account";

/// The prefix of the `externalId` of Beadle's groups.
pub(crate) const OWNED: &str = "beadle:";

impl GroupKey {
    /// Returns the `externalId` of the group at the target. Its prefix marks the group as Beadle's:
    /// Okta's own push may use its id of the same group.
    pub(crate) fn external_id(&self) -> String {
        format!("{OWNED}{self}")
    }
}

impl std::fmt::Display for GroupKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::One { source, group } => write!(f, "{source}/{group}"),
            Self::Union(name) => write!(f, "into/{name}"),
            Self::TargetAccount { source, person } => write!(f, "{ACCOUNT}/{source}/{person}"),
        }
    }
}

impl std::str::FromStr for GroupKey {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('/') {
            Some(("into", name)) if !name.is_empty() => Ok(Self::Union(name.to_owned())),
            Some((ACCOUNT, whose)) => match whose.split_once('/') {
                Some((source, person)) if !source.is_empty() && !person.is_empty() => {
                    Ok(Self::TargetAccount { source: source.to_owned(), person: person.to_owned() })
                }
                _ => Err(format!("invalid account `{text}`: expected {ACCOUNT}/SOURCE/ID")),
            },
            Some((source, group)) if !source.is_empty() && !group.is_empty() => {
                Ok(Self::One { source: source.to_owned(), group: group.to_owned() })
            }
            _ => Err(format!("invalid group `{text}`: expected SOURCE/ID or into/NAME")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_parsed_from_its_text() {
        for text in ["corp/00g1", "into/Engineers and others", "account/corp/00u1"] {
            assert_eq!(text.parse::<GroupKey>().unwrap().to_string(), text);
        }
        assert_eq!("corp/00g1".parse::<GroupKey>().unwrap().external_id(), "beadle:corp/00g1");
    }

    #[test]
    fn a_text_without_a_source_or_an_id_is_no_key() {
        for text in ["", "corp", "/00g1", "corp/", "into/", "account/corp", "account//00u1", "account/corp/"]
        {
            assert!(text.parse::<GroupKey>().is_err(), "{text}");
        }
    }
}
