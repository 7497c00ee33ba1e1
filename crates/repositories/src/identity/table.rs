//! The table of identities: the fields that identify an entry, for each kind of list.

use serde_json::Value;

use super::Entry;

/// The comparison of two values of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compare {
    /// Compares letter by letter.
    Exact,
    /// Without case. GitHub allows only ASCII in these names.
    Folded,
    /// Without the case of ASCII letters. GitHub does not document whether it ignores the case of
    /// other letters.
    FoldedAscii,
    /// Letter by letter. GitHub does not document whether it ignores case.
    PerhapsFolded,
    /// Compares lists in any order.
    Set,
    /// The id of an App. `null`, 0 and -1 mean any App.
    App,
    /// The id of a bypass actor. Some kinds of actors have no id.
    Actor,
}

/// The meaning of an entry without the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LeftOut {
    /// The entry has no identity and is compared as a whole.
    Nameless,
    /// The entry matches any value of the field.
    Open,
}

/// A field of an identity.
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
    /// The fields that make two entries the same at GitHub.
    fields: &'static [Field],
    /// The fields that GitHub leaves unset if an entry does not set them.
    pub(crate) unset: &'static [&'static str],
    /// True if the list is part of an entry of another list.
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

/// The fields that can identify an entry of a list that is not in [`TABLE`]. As in safe-settings,
/// Beadle uses the first of these fields that is in the entry.
const OTHERS: &[&str] =
    &["name", "username", "actor_id", "login", "type", "key_prefix", "context", "url", "path", "tool"];

impl Kind {
    /// Returns the number of required fields, which come first.
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
    /// The value as the file has it.
    pub(super) written: String,
    /// If this form is equal, the values are certainly the same.
    pub(super) sure: String,
    /// If this form is equal, the values are perhaps the same.
    pub(super) perhaps: String,
}

/// The kinds of bypass actors with one actor only, so that their id does not count.
const WITHOUT_ID: &[&str] = &["OrganizationAdmin", "DeployKey", "EnterpriseOwner"];

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Removes the case of letters in every script: `ß` and `SS`, and both small sigmas, become the
/// same.
fn fold(text: &str) -> String {
    if text.is_ascii() { text.to_ascii_lowercase() } else { text.to_uppercase().to_lowercase() }
}

impl Field {
    /// Returns the value of the field; `None` if the entry leaves out an optional field; `Err` if
    /// it leaves out a required field and has no identity.
    fn part(&self, entry: &impl Entry) -> Result<Option<Part>, ()> {
        if self.compare == Compare::Actor {
            let kind = entry.value("actor_type");
            if kind.as_ref().and_then(Value::as_str).is_some_and(|kind| WITHOUT_ID.contains(&kind)) {
                return Ok(None);
            }
        }
        let value = self.paths.iter().find_map(|path| entry.value(path));
        let value = match (self.compare, value) {
            // A `null` in a file means any App. A live check of any App has `null` too.
            (Compare::App, Some(id)) if id.as_i64().is_none_or(|id| id <= 0) => Some(Value::from("any")),
            (_, Some(value)) if !value.is_null() => Some(value),
            _ => None,
        };
        let Some(value) = value else {
            return if self.left_out == LeftOut::Open { Ok(None) } else { Err(()) };
        };
        let written = match (self.compare, &value) {
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
                let folded = fold(&written);
                (folded.clone(), folded)
            }
            Compare::FoldedAscii => (written.to_ascii_lowercase(), fold(&written)),
            Compare::PerhapsFolded => (written.clone(), fold(&written)),
            Compare::Exact | Compare::Set | Compare::App | Compare::Actor => {
                (written.clone(), written.clone())
            }
        };
        Ok(Some(Part { written, sure, perhaps }))
    }
}

/// Returns the parts of an entry's identity; `None` if it has no identity.
pub(super) fn parts(kind: Option<&Kind>, entry: &impl Entry) -> Option<Vec<Option<Part>>> {
    match kind {
        Some(kind) => kind.fields.iter().map(|field| field.part(entry)).collect::<Result<_, ()>>().ok(),
        None => OTHERS.iter().find_map(|key| {
            let written = text(&entry.value(key).filter(|value| !value.is_null())?);
            let sure = format!("{key} {}", fold(&written));
            Some(vec![Some(Part { written, perhaps: sure.clone(), sure })])
        }),
    }
}

/// Returns whether lists of this key are parts of entries.
pub(super) fn is_nested(list: &str) -> bool {
    kind(list).is_some_and(|kind| kind.is_nested)
}
