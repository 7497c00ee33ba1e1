//! The identity of a group or an account at a target.

/// The identity of a group at a target. The identity consists of ids of the source, so it does not
/// change when somebody renames a group. The last part of the group's key is this identity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GroupKey {
    /// A group that is made from one group of a directory.
    One {
        /// The name of the directory.
        source: String,
        /// The id of the group at the directory.
        group: String,
    },
    /// A union with this name.
    Union(String),
    /// The account of one person. Beadle created this account, and checks it independently of
    /// groups.
    TargetAccount {
        /// The name of the directory.
        source: String,
        /// The id of the person at the directory.
        person: String,
    },
}

/// Names that a directory must not have, because the identities of unions and of accounts begin
/// with these names.
pub const RESERVED: [&str; 2] = ["into", ACCOUNT];
const ACCOUNT: &str = "account";

/// The first characters of the `externalId` that Beadle gives to each of its groups.
pub(crate) const OWNED: &str = "beadle:";

impl GroupKey {
    /// Returns the `externalId` that Beadle gives the group at the target. Okta can also push this
    /// group, and then uses the group's id as the `externalId`. So the result begins with a prefix.
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
