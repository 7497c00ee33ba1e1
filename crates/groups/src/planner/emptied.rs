//! A union whose source lost all of its members at once waits for an approval, as a group with an
//! empty source does.

use beadle_engine::{Change, Field, Plan, Risk};
use serde_json::json;

use super::{Desired, Seen, What, Write};

impl Seen {
    /// Returns the reason why the leavers wait, if a source of the group is not mapped any more.
    pub(super) fn why_vanished(&self) -> Option<String> {
        let source = self.vanished.first()?;
        Some(format!("{source} was a source of the group, and no mapping includes it now"))
    }
}

impl Desired<'_> {
    /// Returns the reason why the leavers wait, if a source had members at the last write and has
    /// none now. Nobody can tell which of the leavers came from this source.
    pub(super) fn why_emptied(&self, seen: &Seen) -> Option<String> {
        let source = emptied(&self.empty, &seen.filled)?;
        Some(format!("{source}, a source of the group, had members and is empty now"))
    }

    /// Returns whether the group still has all of its sources, and each source that had members
    /// still has some.
    pub(super) fn keeps_its_sources(&self, seen: &Seen) -> bool {
        seen.vanished.is_empty() && emptied(&self.empty, &seen.filled).is_none()
    }

    /// Plans to remember that a further source of a union has members, unless another change of the
    /// plan remembers it. Its people may have been in the group before.
    pub(super) fn remember_filled(&self, seen: &Seen, plan: &mut Plan<Write>) {
        let remembers = |change: &Change<Write>| {
            matches!(change.write.what, What::Create | What::Adopt { .. } | What::Remember | What::Add { .. })
        };
        if self.listed.len() < 2 || seen.group.is_none() || plan.changes.iter().any(remembers) {
            return;
        }
        let further = self.facts.filled.iter().filter(|source| !seen.filled.contains(source));
        let fields: Vec<Field> =
            further.map(|source| self.source(json!("without members"), source)).collect();
        if !fields.is_empty() {
            let mut change = self.change("remember", "", Risk::Adds, What::Remember);
            change.fields = fields;
            plan.changes.push(change);
        }
    }
}

/// Returns the first empty source that had members.
fn emptied<'a>(empty: &'a [String], filled: &[String]) -> Option<&'a String> {
    empty.iter().find(|source| filled.contains(source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_never_had_members_is_no_doubt_and_one_that_lost_them_is() {
        let list = |names: &[&str]| -> Vec<String> { names.iter().map(|name| (*name).to_owned()).collect() };
        let (empty, filled) = (list(&["corp/new", "corp/lost"]), list(&["corp/lost", "corp/ops"]));
        assert_eq!(emptied(&empty, &filled).map(String::as_str), Some("corp/lost"));
        assert_eq!(emptied(&list(&["corp/new"]), &filled), None);
    }
}
