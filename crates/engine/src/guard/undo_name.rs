//! The name of an undo. The name contains the writes that the undo reverts, and the limit of the
//! undo.

use std::collections::BTreeSet;
use std::fmt;

use super::UNDO_GENERATION;

/// The text before the limit of an undo.
const ONLY: &str = " (only ";

/// The parts of an undo's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UndoName {
    /// What the undo reverts, such as `run 1234` or `policy 3c9f0a1b2d4e`. In the names of earlier
    /// versions, this is only the number or the code.
    pub of: Vec<String>,
    /// The keys and the repositories to which the undo is limited. `None` if the undo reverts all
    /// writes.
    pub only: Option<String>,
}

impl UndoName {
    /// Parses the name of an undo. Returns `None` if the text is not the name of an undo.
    pub fn parse(name: &str) -> Option<Self> {
        let text = name.strip_prefix(UNDO_GENERATION)?;
        let (of, only) = match text.split_once(ONLY) {
            Some((of, only)) => (of, Some(only.strip_suffix(')').unwrap_or(only).to_owned())),
            None => (text, None),
        };
        Some(Self { of: of.split(", ").map(str::to_owned).collect(), only })
    }

    /// Returns whether the undo reverts the writes of the journal entry with this number.
    pub fn is_of_entry(&self, number: u64) -> bool {
        let number = number.to_string();
        self.codes().contains(number.as_str())
    }

    /// Returns whether the two undos revert the same writes with the same limit. An earlier version
    /// could have written one of the names.
    pub fn is_same(&self, other: &Self) -> bool {
        self.only == other.only && self.codes() == other.codes()
    }

    /// Returns the numbers and the codes of the reverted items, without the kinds of the items.
    fn codes(&self) -> BTreeSet<&str> {
        self.of.iter().filter_map(|item| item.rsplit(' ').next()).collect()
    }
}

impl fmt::Display for UndoName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{UNDO_GENERATION}{}", self.of.join(", "))?;
        match &self.only {
            Some(only) => write!(f, "{ONLY}{only})"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written() {
        for (name, of, only) in [
            ("undo of run 7", vec!["run 7"], None),
            ("undo of sweep 7, policy 3c9f", vec!["sweep 7", "policy 3c9f"], None),
            ("undo of 7 (only labels[a, b] in shop)", vec!["7"], Some("labels[a, b] in shop")),
        ] {
            let parsed = UndoName::parse(name).unwrap();
            assert_eq!(parsed.of, of, "{name}");
            assert_eq!(parsed.only.as_deref(), only, "{name}");
            assert_eq!(parsed.to_string(), name);
        }
        assert_eq!(UndoName::parse("3c9f0a1b2d4e"), None);
    }

    #[test]
    fn the_names_of_two_versions_for_the_same_undo_are_the_same() {
        let parsed = |name: &str| UndoName::parse(name).unwrap();
        for (one, other, expected) in [
            ("undo of 7", "undo of run 7", true),
            ("undo of 3c9f, 7", "undo of run 7, policy 3c9f", true),
            ("undo of 7 (only labels)", "undo of run 7 (only labels)", true),
            ("undo of 7", "undo of run 7 (only in shop)", false),
            ("undo of 7", "undo of run 77", false),
            ("undo of 7", "undo of run 7, run 8", false),
        ] {
            assert_eq!(parsed(one).is_same(&parsed(other)), expected, "{one} {other}");
        }
    }

    #[test]
    fn a_name_has_the_number_of_its_entry_in_every_version() {
        for (name, expected) in [
            ("undo of 7", true),
            ("undo of sweep 7", true),
            ("undo of sweep 6, sweep 7 (only teams)", true),
            ("undo of run 77", false),
            ("undo of run 6 (only label 7)", false),
            ("undo of everything since 1970-01-01T00:00:00Z", false),
        ] {
            assert_eq!(UndoName::parse(name).unwrap().is_of_entry(7), expected, "{name}");
        }
    }
}
