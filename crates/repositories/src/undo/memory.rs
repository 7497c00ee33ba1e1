//! Stores the repository values that an undo restored. Beadle only observes such a value until the
//! policy agrees with the value, or until an operator resumes the value. Without this memory, the
//! next run would write the policy's values again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use beadle_engine::{
    Change, Field, Key, Lane, Mark, Metadata, Note, Plan, Store, StoreError, Time, Waiting, note,
};
use parking_lot::Mutex;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::hidden::is_in_aspect;
use super::kept::is_never_exempt;
use super::reversal::{self, is_same};

/// The minimum time for which Beadle keeps all restored values in its memory after an undo. During
/// this time, GitHub might still show the old value that the undo replaced. The policy declares the
/// same old value. Without this rule, Beadle would conclude that the policy agrees with the undo.
const SETTLE: Duration = Duration::from_secs(600);

/// The number of keys that Beadle marks as due in one transaction.
const BATCH: usize = 500;

/// The word that replaces a repository's id in the name of the organisation's own note.
pub(crate) const ORGANISATION: &str = "organisation";

/// The values that an undo restored in a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Undone {
    /// The time of the most recent undo.
    at: Time,
    /// The operator who started the undo.
    by: String,
    values: Vec<UndoneValue>,
}

/// A value that an undo restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct UndoneValue {
    aspect: String,
    /// The part of the aspect, such as `team platform`.
    what: String,
    /// The name of the value.
    name: String,
    /// The value that the undo wrote, or the value that a planned change would write. `None` in
    /// notes of older versions.
    #[serde(default, deserialize_with = "stored", skip_serializing_if = "Option::is_none")]
    value: Option<Value>,
}

/// Reads a stored value. The value `null` does not count as missing, because `null` means that the
/// undo removed something.
fn stored<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

impl Metadata for Undone {
    const KIND: &'static str = "undone";
    const IS_NEEDED: bool = true;
}

impl Undone {
    /// Returns whether a change would replace a restored value with the value of `field`.
    pub(super) fn has<W>(&self, change: &Change<W>, field: &Field) -> bool {
        let (what, name) = reversal::named(change, field);
        let (aspect, value) = (change.aspect.clone(), Some(field.after.clone()));
        let value = UndoneValue { aspect, what, name, value };
        self.values.iter().any(|known| known.covers(&value))
    }

    /// Removes the values whose keys are in `never`, so that Beadle compares these values again. An
    /// undo might have restored such a value before somebody added the key to the configuration.
    fn without(mut self, never: &[String]) -> Self {
        let is_exempt =
            |one: &UndoneValue| !is_never_exempt(never, (&one.aspect, &one.what, &one.name), false);
        self.values.retain(is_exempt);
        self
    }
}

impl UndoneValue {
    /// Returns whether a change would replace this restored value. `value` is the value that the
    /// change would write. If an undo deleted an environment, a change that creates something in
    /// this environment would replace the restored value too.
    fn covers(&self, value: &Self) -> bool {
        let inner = value.what.strip_prefix(self.what.as_str());
        let is_inside = inner.is_some_and(|inner| inner.starts_with(": "));
        let is_deleted = || self.value.as_ref().is_none_or(Value::is_null);
        let is_around = self.aspect == value.aspect && self.name == "environment" && is_inside;
        (self.is(value) && !self.is_restored_by(value)) || (is_around && is_deleted())
    }

    /// Returns whether a change would write the restored value again. If so, the policy agrees with
    /// the undo, and somebody changed the value after the undo. For example, an undo of an undo
    /// restores the value of the policy.
    fn is_restored_by(&self, value: &Self) -> bool {
        let both = self.value.as_ref().zip(value.value.as_ref());
        both.is_some_and(|(restored, wanted)| is_same(&self.name, restored, wanted))
    }

    fn is(&self, other: &Self) -> bool {
        self.aspect == other.aspect && self.name == other.name && self.what.eq_ignore_ascii_case(&other.what)
    }
}

/// Returns the name of the stored note about a repository. If `id` is empty, the function returns
/// the common prefix of these names.
pub(crate) fn note_of(organisation: &str, id: &str) -> String {
    note(Undone::KIND, &[&organisation.to_lowercase(), id])
}

/// Returns the note about a key. The name of the organisation's own note contains a word instead of
/// an id. If the name contained an id without a repository, Beadle would treat the repository as
/// gone.
fn of_key(key: &Key) -> Note<Undone> {
    own(key.instance(), if key.kind() == "organisation" { ORGANISATION } else { key.id() })
}

fn own(organisation: &str, id: &str) -> Note<Undone> {
    Note::of(&[&organisation.to_lowercase(), id])
}

/// Returns the values that a change sets or removes. If the change renames a part, the result
/// contains both names of the part.
fn values<W>(change: &Change<W>) -> Vec<UndoneValue> {
    let (parts, written) = (reversal::parts(change), reversal::written(change));
    let of_part = |what: &String| {
        let what = what.clone();
        written.iter().map(move |(name, _, after)| UndoneValue {
            aspect: change.aspect.clone(),
            what: what.clone(),
            name: name.clone(),
            value: Some(after.clone()),
        })
    };
    parts.iter().flat_map(of_part).collect()
}

/// Stores a note that the operator `by` undoes the values of a change. Beadle stores this note
/// before the write. Otherwise, a run between the write and the note could restore the policy's
/// values.
pub(crate) async fn keep<W>(
    store: &dyn Store,
    key: &Key,
    change: &Change<W>,
    by: &str,
    now: Time,
) -> Result<(), StoreError> {
    let note = of_key(key);
    let mut undone =
        note.get(store).await?.unwrap_or_else(|| Undone { at: now, by: by.to_owned(), values: Vec::new() });
    undone.at = now;
    by.clone_into(&mut undone.by);
    for value in values(change) {
        match undone.values.iter_mut().find(|known| known.is(&value)) {
            Some(known) => *known = value,
            None => undone.values.push(value),
        }
    }
    note.put(store, &undone).await
}

/// A value that was restored by an undo. Beadle only observes this value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedValue {
    /// The aspect of the value.
    pub aspect: String,
    /// The part of the aspect, such as `team platform`.
    pub what: String,
    /// The name of the value.
    pub name: String,
    /// The time of the most recent undo in the repository.
    pub at: Time,
    /// The operator who started the most recent undo in the repository.
    pub by: String,
}

/// Lists the values that an undo restored in a repository, or in the organisation itself.
pub async fn observed(store: &dyn Store, key: &Key) -> Result<Vec<ObservedValue>, StoreError> {
    let Some(Undone { at, by, values }) = of_key(key).get(store).await? else { return Ok(Vec::new()) };
    let shown = |value: UndoneValue| {
        let UndoneValue { aspect, what, name, .. } = value;
        ObservedValue { aspect, what, name, at, by: by.clone() }
    };
    Ok(values.into_iter().map(shown).collect())
}

/// Counts the repositories in a scope that have restored values. The organisation itself counts as
/// one repository. The scope is either the key of a repository, or an organisation.
pub async fn count(store: &dyn Store, scope: &str) -> Result<usize, StoreError> {
    Ok(of_scope(store, scope).await?.len())
}

/// Deletes the notes about restored values in a scope, and marks the repositories as due. Beadle
/// then writes the values of the policy again. Returns the number of these repositories. Before the
/// deletion, [`count`] returns the same number.
pub async fn forget(store: &dyn Store, scope: &str, now: Time) -> Result<usize, StoreError> {
    let notes = of_scope(store, scope).await?;
    for (name, _) in &notes {
        store.forget(name).await?;
    }
    let keys: Vec<Key> = notes.iter().filter_map(|(_, key)| key.clone()).collect();
    for batch in keys.chunks(BATCH) {
        let marks = batch.iter().map(|key| Mark::new(key.clone(), Lane::Manual));
        store.mark_readable(marks.collect(), now).await?;
    }
    Ok(notes.len())
}

/// Returns the names of a scope's notes. Each name comes with the key of the note's repository. For
/// the note about the organisation itself, the key is `None`.
async fn of_scope(store: &dyn Store, scope: &str) -> Result<Vec<(String, Option<Key>)>, StoreError> {
    let key = scope.parse::<Key>().ok();
    let organisation = match &key {
        Some(key) if key.kind() == "repository" => key.instance(),
        Some(_) => return Ok(Vec::new()),
        None => scope,
    };
    let prefix = note_of(organisation, "");
    let mut found = Vec::new();
    for (name, _) in store.notes(&prefix).await? {
        let id = name.strip_prefix(&prefix).and_then(|id| id.parse::<u64>().ok());
        let own = id.map(|id| Key::new("repository", organisation, id));
        if key.is_none() || key == own {
            found.push((name, own));
        }
    }
    Ok(found)
}

/// The changes of a plan that would replace restored values. Beadle only observes these changes.
#[derive(Debug)]
pub(crate) struct UndoneChanges {
    pub(crate) changes: Vec<Change<()>>,
    /// A text for reports that shows who started the undo, and when.
    pub(crate) why: String,
}

/// A planner's access to the stored notes about restored values.
#[derive(Clone)]
pub(crate) struct Memory {
    store: Arc<dyn Store>,
    organisation: String,
    /// True if Beadle only reads its memory, and does not delete anything from it.
    looks_only: bool,
    /// The restored values that still differ from the policy. The key is the id of the repository.
    /// A repository is in this map only if its most recent plan agreed with some restored values.
    agreed: Arc<Mutex<HashMap<String, Undone>>>,
}

impl Memory {
    pub(crate) fn new(store: Arc<dyn Store>, organisation: &str) -> Self {
        Self { store, organisation: organisation.to_owned(), looks_only: false, agreed: Arc::default() }
    }

    /// Makes this value read-only: from now on, it does not delete anything from the memory.
    pub(crate) fn only_look(&mut self) {
        self.looks_only = true;
    }

    /// Returns the restored values of a repository, if there are any. The result omits the values
    /// whose keys are in `never`.
    pub(crate) async fn of(&self, id: &str, never: &[String]) -> Result<Option<Undone>, StoreError> {
        let stored = own(&self.organisation, id).get(self.store.as_ref()).await?;
        Ok(stored.map(|undone| undone.without(never)))
    }

    /// Marks the changes of a plan that would replace the restored values of a repository. Beadle
    /// only observes these changes. For the organisation itself, `id` is [`ORGANISATION`]. `never`
    /// contains the keys that Beadle still compares. Returns the changes that Beadle only observes.
    pub(crate) async fn observe<W>(
        &self,
        (id, never): (&str, &[String]),
        plan: &mut Plan<W>,
        now: Time,
    ) -> Result<Option<UndoneChanges>, StoreError> {
        let note = own(&self.organisation, id);
        let Some(stored) = note.get(self.store.as_ref()).await? else { return Ok(None) };
        let before = stored.values.len();
        let mut undone = stored.without(never);
        let mut open: Vec<UndoneValue> = Vec::new();
        let why = format!("{} undid this at {}, and Beadle only observes it", undone.by, undone.at);
        let mut found = UndoneChanges { changes: Vec::new(), why };
        for change in &mut plan.changes {
            let own = values(change);
            let hits = |known: &&UndoneValue| own.iter().any(|value| known.covers(value));
            let undone: Vec<UndoneValue> = undone.values.iter().filter(hits).cloned().collect();
            if !undone.is_empty() {
                change.observe_undone();
                found.changes.push(change.describe());
                open.extend(undone);
            }
        }
        if !open.is_empty() {
            let mut aspects: Vec<&str> = open.iter().map(|value| value.aspect.as_str()).collect();
            aspects.sort_unstable();
            aspects.dedup();
            let option = if id == ORGANISATION { "--org" } else { "--repo" };
            let subject = &plan.subject;
            let why = format!(
                "{} undid this at {}; Beadle only observes it until the policy agrees, or until \
                 `beadle resume {option} {subject}`",
                undone.by, undone.at
            );
            let waits =
                aspects.iter().map(|aspect| Waiting { aspect: (*aspect).to_owned(), why: why.clone() });
            plan.waits.extend(waits);
        }
        // While a part is unknown or waived, Beadle does not know whether the policy agrees with
        // the restored values in this part.
        let is_unknown = |aspect: &str| plan.unknowns.iter().any(|unknown| unknown.aspect == aspect);
        let is_waived = |aspect: &str| plan.waived.iter().any(|waived| is_in_aspect(&waived.key, aspect));
        let is_open = |value: &UndoneValue| open.iter().any(|known| known.is(value));
        undone.values.retain(|value| is_open(value) || is_unknown(&value.aspect) || is_waived(&value.aspect));
        let is_settled = plan.skipped.is_none() && now.since(undone.at) >= SETTLE;
        let is_news = is_settled && undone.values.len() != before;
        let mut agreed = self.agreed.lock();
        if is_news && !self.looks_only {
            agreed.insert(id.to_owned(), undone);
        } else {
            agreed.remove(id);
        }
        Ok(Some(found))
    }

    /// Deletes the restored values that agree with the policy of the most recent plan. Beadle calls
    /// this function only after it has applied the plan. A plan that an operator declined might
    /// come from a different policy.
    pub(crate) async fn forget_agreed(&self, id: &str) -> Result<(), StoreError> {
        let agreed = self.agreed.lock().remove(id);
        let Some(left) = agreed else { return Ok(()) };
        let (store, note) = (self.store.as_ref(), own(&self.organisation, id));
        // The plan is older than the most recent undo, so it does not contain this undo.
        if note.get(store).await?.is_none_or(|undone| undone.at != left.at) {
            return Ok(());
        }
        if left.values.is_empty() {
            return note.forget(store).await;
        }
        note.put(store, &left).await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_undone_value_that_no_waiver_may_exempt_is_compared_again() {
        let values = json!([
            { "aspect": "settings", "what": "", "name": "has_wiki" },
            { "aspect": "protection", "what": "rule main", "name": "enforce_admins" },
        ]);
        let undone = json!({ "at": 0, "by": "mona", "values": values });
        let undone: Undone = serde_json::from_value(undone).unwrap();
        let left = |never: &[&str]| {
            let never: Vec<String> = never.iter().map(|never| (*never).to_owned()).collect();
            let left = undone.clone().without(&never);
            left.values.into_iter().map(|value| value.name).collect::<Vec<_>>()
        };
        assert_eq!(left(&[]), ["has_wiki", "enforce_admins"]);
        assert_eq!(left(&["branches[*].protection.enforce_admins"]), ["has_wiki"]);
        assert_eq!(left(&["repository", "branches"]), [""; 0]);
    }
}
