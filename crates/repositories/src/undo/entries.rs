//! Puts the earlier values into the lists of a policy file. Each thing, such as a label, a team or
//! a webhook, has one entry in its list.

use serde_json::{Value, json};

use super::draft::Draft;
use super::lists::{ALL, Entries};
use super::nested;
use super::reversal::{DELETED, Reversal, deleted};
use super::whole::changed_since;

/// In these lists, Beadle can create a removed entry again even if the journal does not contain all
/// values of the entry. The missing values get GitHub's defaults.
const PARTLY: [(&str, &str); 4] = [
    ("labels", "the description of the label is not in the journal"),
    ("milestones", "only the title of the milestone is in the journal, and its issues have lost it"),
    ("autolinks", "the journal does not show whether the reference can have letters"),
    ("deploy_keys", "the journal does not show whether the key could write, so it can only read"),
];

/// The parts of an entry that an undo does not restore, although the journal contains the values of
/// the entry.
const LOST: [(&str, &str); 2] = [
    ("labels", "its issues and pull requests have lost it"),
    ("milestones", "its issues and pull requests have lost it"),
];

/// If the aspect is a list, returns the name of the entry. The name comes from the text `what` of a
/// plan.
pub(super) fn thing<'a>(aspect: &str, what: &'a str) -> Option<&'a str> {
    let list = ALL.iter().find(|list| list.list == aspect)?;
    what.strip_prefix(list.prefix).filter(|thing| !thing.is_empty())
}

/// Returns whether a plan that creates or removes an entry shows the value with this name.
pub(super) fn is_primary(aspect: &str, name: &str) -> bool {
    ALL.iter().any(|list| list.list == aspect && list.primary == name)
}

/// Puts the earlier value into its list. `all` contains all values that the undo restores. If the
/// aspect has no list, the function returns `None`. Otherwise, the function returns a remark about
/// the parts that the undo does not restore.
pub(super) fn put(
    draft: &mut Draft<'_>,
    one: &Reversal,
    all: &[Reversal],
) -> Option<Result<Option<String>, String>> {
    // The list of rulesets has the same name in a file for the organisation and in a file for a
    // repository.
    let name = if one.aspect == "organisation_rulesets" { "rulesets" } else { one.aspect.as_str() };
    let list = ALL.iter().find(|list| list.list == name)?;
    // This value contains all values of a deleted entry. The function `create` uses this value when
    // it restores the primary value of the entry.
    if one.name == DELETED {
        return Some(Ok(None));
    }
    Some(list.put(draft, one, all))
}

impl Entries {
    fn put(&self, draft: &mut Draft<'_>, one: &Reversal, all: &[Reversal]) -> Result<Option<String>, String> {
        // In a plan, the value of a custom property is shown under the name of the property.
        let is_property = self.prefix.is_empty();
        let (thing, name) = if is_property {
            (one.name.as_str(), self.primary)
        } else {
            let thing = one.what.strip_prefix(self.prefix);
            (thing.ok_or("Beadle cannot restore this part of the entry")?, one.name.as_str())
        };
        let primary = if is_property { one.name.as_str() } else { self.primary };
        let is_primary = |other: &&Reversal| other.is_beside(one) && other.name == primary;
        let primary = all.iter().find(is_primary);
        if let Some(primary) = primary.filter(|primary| primary.before.is_null()) {
            return self.remove(draft, thing, primary, all);
        }
        if let Some(primary) = primary.filter(|primary| primary.after.is_null()) {
            return self.create(draft, thing, (primary, name == self.primary), all);
        }
        if name == "secret" || one.what.contains(": secret ") {
            return Err("GitHub and the journal have no value of a secret".to_owned());
        }
        if matches!(self.list, "environments" | "rulesets") {
            // If Beadle removes an environment, GitHub removes the environment's variables and
            // secrets too.
            let is_around = |other: &Reversal| {
                let inner = one.what.strip_prefix(other.what.as_str());
                other.name == self.primary
                    && other.before.is_null()
                    && other.aspect == one.aspect
                    && inner.is_some_and(|inner| inner.starts_with(": "))
            };
            if all.iter().any(is_around) {
                return Ok(None);
            }
            nested::put(self.list, draft.list(self.list)?, thing, one)?;
            return Ok(None);
        }
        let id = self.id;
        let value = value(self.list, name, &one.before)?;
        let entries = draft.list(self.list)?;
        // If the undo is already complete, the entry already has its earlier name.
        let renamed = all.iter().find(|other| other.is_beside(one) && other.name == id);
        let old = renamed.and_then(|renamed| renamed.before.as_str());
        let is_it = |entry: &Value| {
            is(entry, id, thing) || is(entry, "oldname", thing) || old.is_some_and(|old| is(entry, id, old))
        };
        let entry = entries.iter_mut().find(|entry| is_it(entry));
        let entry = entry.ok_or("it does not exist any more, or a policy cannot name it")?;
        if self.list == "labels" && name == "name" {
            entry["oldname"] = json!(thing);
        }
        entry[name] = value;
        Ok(None)
    }

    /// Removes an entry that Beadle created, if nobody has changed the entry after its creation.
    fn remove(
        &self,
        draft: &mut Draft<'_>,
        thing: &str,
        primary: &Reversal,
        all: &[Reversal],
    ) -> Result<Option<String>, String> {
        if draft.is_incomplete(self.list) {
            return Err("a policy cannot list all entries, so Beadle removes none".to_owned());
        }
        let id = self.id;
        let entries = draft.list(self.list)?;
        let live = entries.iter().find(|entry| is(entry, id, thing));
        if let Some(what) = live.and_then(|live| changed_since(self.list, primary, live, all)) {
            return Err(format!("somebody changed {what} since"));
        }
        entries.retain(|entry| !is(entry, id, thing));
        Ok(None)
    }

    /// Creates an entry again. The values come from the journal.
    fn create_again(
        &self,
        draft: &mut Draft<'_>,
        thing: &str,
        primary: &Reversal,
        entry: &Value,
    ) -> Result<Option<String>, String> {
        let id = self.id;
        if !is(entry, id, thing) {
            return Err("the journal has the values of another entry".to_owned());
        }
        let entries = draft.list(self.list)?;
        match entries.iter().find(|live| is(live, id, thing)) {
            // Here, the undo of this value is already complete.
            Some(live) if live == entry => {}
            Some(_) => return Err("somebody created it again with other values".to_owned()),
            None => entries.push(entry.clone()),
        }
        if primary.before["secrets"].as_array().is_some_and(|secrets| !secrets.is_empty()) {
            return Ok(Some("GitHub and the journal have no values of its secrets".to_owned()));
        }
        let lost = LOST.iter().find(|(list, _)| *list == self.list);
        Ok(lost.map(|(_, why)| (*why).to_owned()))
    }

    /// Creates an entry again after Beadle removed it.
    fn create(
        &self,
        draft: &mut Draft<'_>,
        thing: &str,
        (primary, is_primary): (&Reversal, bool),
        all: &[Reversal],
    ) -> Result<Option<String>, String> {
        if let Some(entry) = deleted(primary, all) {
            return if is_primary { self.create_again(draft, thing, primary, entry) } else { Ok(None) };
        }
        let remark = PARTLY.iter().find(|(list, _)| *list == self.list).map(|(_, why)| (*why).to_owned());
        if !self.is_whole && remark.is_none() {
            return Err("the journal does not have the values that the entry had".to_owned());
        }
        if !is_primary {
            return Ok(None);
        }
        let mut made = json!({});
        made[self.id] = json!(thing);
        made[self.primary] = value(self.list, self.primary, &primary.before)?;
        let id = self.id;
        let entries = draft.list(self.list)?;
        match entries.iter_mut().find(|entry| is(entry, id, thing)) {
            Some(entry) => entry[self.primary] = made[self.primary].take(),
            None => entries.push(made),
        }
        Ok(remark)
    }
}

/// Returns whether an entry has this name. GitHub ignores the case of most names. The names of two
/// entries in one list never differ only in upper and lower case.
fn is(entry: &Value, id: &str, thing: &str) -> bool {
    entry[id].as_str().is_some_and(|name| name.eq_ignore_ascii_case(thing))
}

/// Returns a value in the form that a policy uses.
fn value(list: &str, name: &str, before: &Value) -> Result<Value, String> {
    match (list, name, before) {
        ("labels", "description", before) if before.is_null() || before == "" => Ok(Value::Null),
        ("milestones", "description", Value::Null) => Ok(json!("")),
        ("milestones", "due_on", Value::String(time)) => Ok(json!(time.get(..10).unwrap_or(time))),
        (_, _, Value::Null) => Err("a policy cannot remove this value".to_owned()),
        (_, _, before) => Ok(before.clone()),
    }
}
