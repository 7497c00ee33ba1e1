//! Makes the leavers of a group wait for an approval if a source group has lost all of its members
//! at the same time. This rule applies to unions and to groups with one source group.

use beadle_engine::{Change, Field, Plan, Risk};
use serde_json::json;

use super::{Desired, Seen, What, Write};

impl Seen {
    /// If a former source group is in no mapping any more, returns why the leavers must wait for an
    /// approval.
    pub(super) fn why_vanished(&self) -> Option<String> {
        let source = self.vanished.first()?;
        Some(format!("{source} was a source of the group, and no mapping includes it now"))
    }
}

impl Desired<'_> {
    /// If a source group had members at the last write and is empty now, returns why the leavers
    /// must wait for an approval. Beadle does not know which leavers got their membership from the
    /// empty source group.
    pub(super) fn why_emptied(&self, seen: &Seen) -> Option<String> {
        let source = emptied(&self.empty, &seen.filled)?;
        Some(format!("{source}, a source of the group, had members and is empty now"))
    }

    /// Returns `true` if the group still has all of its source groups and none of these source
    /// groups has become empty.
    pub(super) fn keeps_its_sources(&self, seen: &Seen) -> bool {
        seen.vanished.is_empty() && emptied(&self.empty, &seen.filled).is_none()
    }

    /// If further source groups of a union now have members, plans a change that stores this fact.
    /// Plans nothing if another change of the plan already stores this fact. The change is needed
    /// even if no member joins, because the people of the source groups can already be in the
    /// group.
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

/// Returns the first source group that had members and is empty now.
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
