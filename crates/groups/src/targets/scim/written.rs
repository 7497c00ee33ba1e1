//! The members that a group should have after a write, and the differences between these members
//! and the real members.

use std::collections::BTreeSet;

/// A write of members that Beadle sent to the server.
pub(super) struct Written<'a> {
    pub(super) group: &'a str,
    pub(super) added: &'a [String],
    pub(super) removed: &'a [String],
    /// The members before the write, if Beadle read them.
    pub(super) before: Option<BTreeSet<String>>,
    /// The members after the write, if the server's answer shows them.
    pub(super) shown: Option<Vec<String>>,
}

/// The differences between the members of a group after a write and the expected members.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Surprise {
    /// Members for whom the write had no effect: the write should have added a member who is
    /// missing now, or should have removed a member who is still there.
    pub(super) undone: Vec<String>,
    /// Members that are missing although the write did not remove them.
    pub(super) lost: Vec<String>,
}

impl Surprise {
    pub(super) fn of(written: &Written<'_>, now: &BTreeSet<String>) -> Self {
        let added = written.added.iter().filter(|id| !now.contains(*id));
        let removed = written.removed.iter().filter(|id| now.contains(*id));
        Self {
            undone: added.chain(removed).cloned().collect(),
            lost: written.stayers().filter(|id| !now.contains(*id)).cloned().collect(),
        }
    }

    pub(super) fn is_none(&self) -> bool {
        self.undone.is_empty() && self.lost.is_empty()
    }
}

impl Written<'_> {
    /// Returns the former members whom the write does not remove. These members should still be in
    /// the group.
    pub(super) fn stayers(&self) -> impl Iterator<Item = &String> {
        self.before.iter().flatten().filter(move |id| !self.removed.contains(*id))
    }

    /// Returns the lost members that Beadle puts back: the members for whom `has_to_stay` is true.
    /// If Beadle would put back exactly one member and the group still has other members, Beadle
    /// puts nobody back. Another person might have removed this one member at the same moment.
    pub(super) fn to_put_back(&self, lost: &[String], has_to_stay: impl Fn(&str) -> bool) -> Vec<String> {
        let back: Vec<String> = lost.iter().filter(|id| has_to_stay(id)).cloned().collect();
        let is_emptied = lost.len() == self.stayers().count();
        if back.len() == 1 && !is_emptied { Vec::new() } else { back }
    }

    /// Returns the members that the group should have now.
    pub(super) fn expected(&self) -> BTreeSet<String> {
        self.stayers().chain(self.added).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(list: &[&str]) -> Vec<String> {
        list.iter().map(|id| (*id).to_owned()).collect()
    }

    fn surprise(added: &[&str], removed: &[&str], before: &[&str], now: &[&str]) -> Surprise {
        let (added, removed) = (ids(added), ids(removed));
        let written = Written {
            group: "g",
            added: &added,
            removed: &removed,
            before: Some(ids(before).into_iter().collect()),
            shown: None,
        };
        Surprise::of(&written, &ids(now).into_iter().collect())
    }

    #[test]
    fn a_write_is_held_to_what_it_names_and_to_those_who_stay() {
        assert!(surprise(&["c"], &[], &["a", "b"], &["a", "b", "c"]).is_none());
        assert!(surprise(&[], &["a"], &["a", "b"], &["b"]).is_none());
        assert!(surprise(&[], &["a"], &["a", "b"], &["b", "z"]).is_none(), "somebody else may add");
        assert_eq!(surprise(&[], &["a"], &["a", "b", "c"], &[]).lost, ["b", "c"], "it was emptied");
        assert_eq!(surprise(&["c"], &[], &["a", "b"], &["c"]).lost, ["a", "b"], "it was replaced");
        assert_eq!(surprise(&["c"], &[], &["a"], &["a"]).undone, ["c"]);
        assert_eq!(surprise(&[], &["a"], &["a", "b"], &["a", "b"]).undone, ["a"]);
    }
}
