//! The fields that identify an entry, for each kind of list.

use serde_json::Value;

use super::Entry;

/// The comparison of two values of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compare {
    /// Compares letter by letter.
    Exact,
    /// Compares without case. These names are ASCII at GitHub.
    Folded,
    /// Compares without the case of ASCII letters. GitHub does not document whether it folds other
    /// letters.
    FoldedAscii,
    /// Compares letter by letter. GitHub does not document whether it ignores case.
    PerhapsFolded,
    /// Compares lists in any order.
    Set,
    /// Compares the ids of Apps. `null`, 0 and -1 stand for any App.
    App,
    /// Compares the ids of bypass actors. Some kinds of actors have no id.
    Actor,
}

/// The meaning of an entry without the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LeftOut {
    /// The entry has no identity and is compared as a whole.
    Nameless,
    /// The entry is the same as an entry with any value.
    Open,
}

/// A field that identifies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    /// The paths of the field; the first path that the entry has counts.
    paths: &'static [&'static str],
    compare: Compare,
    left_out: LeftOut,
}

/// A kind of list.
#[derive(Debug)]
pub(crate) struct Kind {
    /// The key of these lists.
    key: &'static str,
    /// The fields that make two entries the same thing at GitHub.
    fields: &'static [Field],
    /// The fields that GitHub leaves unset if an entry does not set them.
    pub(crate) unset: &'static [&'static str],
    /// True if these lists are parts of entries of other lists.
    is_nested: bool,
}

const fn needed(paths: &'static [&'static str], compare: Compare) -> Field {
    Field { paths, compare, left_out: LeftOut::Nameless }
}

const fn open(paths: &'static [&'static str], compare: Compare) -> Field {
    Field { paths, compare, left_out: LeftOut::Open }
}

const fn section(key: &'static str, fields: &'static [Field]) -> Kind {
    Kind { key, fields, unset: &[], is_nested: false }
}

const fn nested(key: &'static str, fields: &'static [Field], unset: &'static [&'static str]) -> Kind {
    Kind { key, fields, unset, is_nested: true }
}

use Compare::{Actor, App, Exact, Folded, FoldedAscii, PerhapsFolded, Set};

/// Every kind of list.
const TABLE: &[Kind] = &[
    section("teams", &[needed(&["name"], Folded)]),
    section("collaborators", &[needed(&["username"], Folded)]),
    section("branches", &[needed(&["name"], Exact)]),
    section("labels", &[needed(&["name"], FoldedAscii)]),
    section("autolinks", &[needed(&["key_prefix"], PerhapsFolded)]),
    section("rulesets", &[needed(&["name"], Exact)]),
    section("custom_properties", &[needed(&["name", "property_name"], Folded)]),
    section("webhooks", &[needed(&["url"], Exact)]),
    section("code_security_configurations", &[needed(&["name"], Exact)]),
    // Lists of a branch protection rule.
    nested("checks", &[needed(&["context"], Exact), open(&["app_id"], App)], &[]),
    // Lists of a ruleset.
    nested("bypass_actors", &[needed(&["actor_type"], Exact), open(&["actor_id"], Actor)], &[]),
    nested("rules", &[needed(&["type"], Exact)], &[]),
    // Lists of a ruleset's rules.
    nested(
        "required_status_checks",
        &[needed(&["context"], Exact), open(&["integration_id"], App)],
        &["integration_id"],
    ),
    nested("workflows", &[needed(&["path"], Exact), open(&["repository_id"], Exact)], &["sha"]),
    nested("code_scanning_tools", &[needed(&["tool"], Exact)], &[]),
    nested(
        "required_reviewers",
        &[needed(&["reviewer.type"], Exact), needed(&["reviewer.id"], Exact), open(&["file_patterns"], Set)],
        &[],
    ),
];

/// The fields for lists that are not in the table. As in safe-settings, the first of these fields
/// that an entry has identifies it.
const OTHERS: &[&str] =
    &["name", "username", "actor_id", "login", "type", "key_prefix", "context", "url", "path", "tool"];

impl Kind {
    /// Returns the number of fields that every entry must have. These fields come first.
    pub(super) fn needed(&self) -> usize {
        self.fields.iter().filter(|field| field.left_out == LeftOut::Nameless).count()
    }
}

/// Returns the kind of a list by its key.
pub(crate) fn kind(list: &str) -> Option<&'static Kind> {
    TABLE.iter().find(|kind| kind.key == list)
}

/// Returns the keys of all kinds of lists: of sections, or of parts of entries.
#[cfg(test)]
pub(crate) fn keys(are_nested: bool) -> Vec<&'static str> {
    TABLE.iter().filter(|kind| kind.is_nested == are_nested).map(|kind| kind.key).collect()
}

/// The value of a field in the forms for comparisons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// The value as it is written.
    pub(super) said: String,
    /// Equal forms are certainly the same thing.
    pub(super) sure: String,
    /// Equal forms are perhaps the same thing.
    pub(super) perhaps: String,
}

/// The kinds of bypass actors that exist once each. Their id does not matter.
const WITHOUT_ID: &[&str] = &["OrganizationAdmin", "DeployKey", "EnterpriseOwner"];

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Folds the case of every script. `ß` and `SS`, and both small sigmas, become the same.
fn fold(text: &str) -> String {
    if text.is_ascii() { text.to_ascii_lowercase() } else { text.to_uppercase().to_lowercase() }
}

impl Field {
    /// `Ok(None)`: the entry leaves it out. `Err`: it has no identity without it.
    fn part(&self, entry: &impl Entry) -> Result<Option<Part>, ()> {
        if self.compare == Compare::Actor {
            let kind = entry.value("actor_type");
            if kind.as_ref().and_then(Value::as_str).is_some_and(|kind| WITHOUT_ID.contains(&kind)) {
                return Ok(None);
            }
        }
        let value = self.paths.iter().find_map(|path| entry.value(path));
        let value = match (self.compare, value) {
            // An explicit `null` stands for any App. A live check without an App has it too.
            (Compare::App, Some(id)) if id.as_i64().is_none_or(|id| id <= 0) => Some(Value::from("any")),
            (_, Some(value)) if !value.is_null() => Some(value),
            _ => None,
        };
        let Some(value) = value else {
            return if self.left_out == LeftOut::Open { Ok(None) } else { Err(()) };
        };
        let said = match (self.compare, &value) {
            (Compare::Set, Value::Array(items)) => {
                let mut items: Vec<String> = items.iter().map(text).collect();
                items.sort();
                items.dedup();
                items.join(",")
            }
            (_, value) => text(value),
        };
        let (sure, perhaps) = match self.compare {
            Compare::Folded => {
                let folded = fold(&said);
                (folded.clone(), folded)
            }
            Compare::FoldedAscii => (said.to_ascii_lowercase(), fold(&said)),
            Compare::PerhapsFolded => (said.clone(), fold(&said)),
            Compare::Exact | Compare::Set | Compare::App | Compare::Actor => (said.clone(), said.clone()),
        };
        Ok(Some(Part { said, sure, perhaps }))
    }
}

/// Returns the parts of an entry's identity. Returns `None` if the entry has none.
pub(super) fn parts(kind: Option<&Kind>, entry: &impl Entry) -> Option<Vec<Option<Part>>> {
    match kind {
        Some(kind) => kind.fields.iter().map(|field| field.part(entry)).collect::<Result<_, ()>>().ok(),
        None => OTHERS.iter().find_map(|key| {
            let said = text(&entry.value(key).filter(|value| !value.is_null())?);
            let sure = format!("{key} {}", fold(&said));
            Some(vec![Some(Part { said, perhaps: sure.clone(), sure })])
        }),
    }
}

/// Returns whether lists of this key are parts of entries.
pub(super) fn is_nested(list: &str) -> bool {
    kind(list).is_some_and(|kind| kind.is_nested)
}
