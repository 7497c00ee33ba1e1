//! The table of identities. For each kind of list, the table contains the fields that identify an
//! entry.

use serde_json::Value;

use super::Entry;

/// The way in which Beadle compares two values of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compare {
    /// Compares texts. Upper and lower case are different.
    Exact,
    /// Compares texts, and ignores case. GitHub allows only ASCII letters in these texts.
    Folded,
    /// Compares texts, and ignores the case of ASCII letters. GitHub does not document whether it
    /// ignores the case of other letters.
    FoldedAscii,
    /// Compares texts. GitHub does not document whether it ignores case. So if two values differ
    /// only in upper and lower case, Beadle does not know whether they are the same at GitHub.
    PerhapsFolded,
    /// Compares public keys, and ignores their comments.
    PublicKey,
    /// Compares lists, and ignores the order of their entries.
    Set,
    /// Compares the ids of Apps. `null`, 0 and -1 mean any App.
    App,
    /// Compares the ids of bypass actors. Some kinds of bypass actors have no id.
    Actor,
}

/// The meaning of a field that is missing in an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LeftOut {
    /// The entry has no identity, so Beadle compares the whole entry.
    Nameless,
    /// The entry matches any value of the field.
    Open,
}

/// A field that belongs to the identity of an entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    /// The possible paths of the field in an entry. Beadle uses the first path that the entry
    /// contains.
    paths: &'static [&'static str],
    compare: Compare,
    left_out: LeftOut,
}

/// A kind of list, with the fields that identify its entries.
#[derive(Debug)]
pub(crate) struct Kind {
    /// The key of such a list in a policy.
    key: &'static str,
    /// The identifying fields. If two entries have the same values in these fields, they are the
    /// same at GitHub.
    fields: &'static [Field],
    /// The optional fields of an entry. If an entry omits such a field, the field is not set at
    /// GitHub.
    pub(crate) unset: &'static [&'static str],
    /// True if the list is inside an entry of another list.
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

use Compare::{Actor, App, Exact, Folded, FoldedAscii, PerhapsFolded, PublicKey, Set};

/// All kinds of lists with identifying fields.
const TABLE: &[Kind] = &[
    section("teams", &[needed(&["name"], Folded)]),
    section("collaborators", &[needed(&["username"], Folded)]),
    section("branches", &[needed(&["name"], Exact)]),
    section("labels", &[needed(&["name"], FoldedAscii)]),
    section("autolinks", &[needed(&["key_prefix"], PerhapsFolded)]),
    section("milestones", &[needed(&["title"], PerhapsFolded)]),
    section("deploy_keys", &[needed(&["key"], PublicKey)]),
    section("rulesets", &[needed(&["name"], Exact)]),
    section("custom_properties", &[needed(&["name", "property_name"], Folded)]),
    section("webhooks", &[needed(&["url"], Exact)]),
    section("environments", &[needed(&["name"], FoldedAscii)]),
    // An environment can also have variables and secrets.
    section("variables", &[needed(&["name"], Folded)]),
    section("secrets", &[needed(&["name"], Folded)]),
    section("dependabot_secrets", &[needed(&["name"], Folded)]),
    section("codespaces_secrets", &[needed(&["name"], Folded)]),
    section("files", &[needed(&["path"], Exact)]),
    section("code_security_configurations", &[needed(&["name"], Exact)]),
    // The lists in a branch protection rule.
    nested("checks", &[needed(&["context"], Exact), open(&["app_id"], App)], &[]),
    // The list in an environment.
    nested("reviewers", &[needed(&["type"], Exact), needed(&["id", "slug", "login"], Folded)], &[]),
    // The lists in a ruleset.
    nested("bypass_actors", &[needed(&["actor_type"], Exact), open(&["actor_id"], Actor)], &[]),
    nested("rules", &[needed(&["type"], Exact)], &[]),
    // The lists in the rules of a ruleset.
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

/// The fields that can identify an entry if the list is not in [`TABLE`]. Like safe-settings,
/// Beadle uses the first of these fields that the entry contains.
const OTHERS: &[&str] =
    &["name", "username", "actor_id", "login", "type", "key_prefix", "context", "url", "path", "tool"];

impl Kind {
    /// Returns the number of required fields. The required fields are at the beginning of the list
    /// of fields.
    pub(super) fn needed(&self) -> usize {
        self.fields.iter().filter(|field| field.left_out == LeftOut::Nameless).count()
    }
}

/// Returns the kind of the list that has this key.
pub(crate) fn kind(list: &str) -> Option<&'static Kind> {
    TABLE.iter().find(|kind| kind.key == list)
}

/// Returns the keys of lists. If `are_nested` is true, these are the lists inside entries of other
/// lists. If `are_nested` is false, these are the lists that are sections.
#[cfg(test)]
pub(crate) fn keys(are_nested: bool) -> Vec<&'static str> {
    TABLE.iter().filter(|kind| kind.is_nested == are_nested).map(|kind| kind.key).collect()
}

/// The value of an identifying field, in several forms for comparisons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// The value in the spelling of the file.
    pub(super) written: String,
    /// If two values are equal in this form, they are certainly the same at GitHub.
    pub(super) sure: String,
    /// If two values are equal in this form, they might be the same at GitHub.
    pub(super) perhaps: String,
}

/// The kinds of bypass actors that have only one actor. Beadle ignores the id of this actor.
const WITHOUT_ID: &[&str] = &["OrganizationAdmin", "DeployKey", "EnterpriseOwner"];

/// Returns a public key without its comment. GitHub does not keep the comment.
pub(crate) fn public_key(text: &str) -> String {
    text.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Converts a text so that upper and lower case no longer differ. The function works for every
/// script. For example, `ß` and `SS` become the same text, and so do the two small forms of sigma.
fn fold(text: &str) -> String {
    if text.is_ascii() { text.to_ascii_lowercase() } else { text.to_uppercase().to_lowercase() }
}

impl Field {
    /// Returns the value of the field in an entry. Returns `None` if the field is optional and the
    /// entry omits it. Returns `Err` if the field is required and the entry omits it. An entry
    /// without a required field has no identity.
    fn part(&self, entry: &impl Entry) -> Result<Option<Part>, ()> {
        if self.compare == Compare::Actor {
            let kind = entry.value("actor_type");
            if kind.as_ref().and_then(Value::as_str).is_some_and(|kind| WITHOUT_ID.contains(&kind)) {
                return Ok(None);
            }
        }
        let value = self.paths.iter().find_map(|path| entry.value(path));
        let value = match (self.compare, value) {
            // In a file of the policy, `null` means any App. GitHub also shows `null` for a check
            // that any App can report.
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
            Compare::PublicKey => {
                let key = public_key(&written);
                (key.clone(), key)
            }
            Compare::Exact | Compare::Set | Compare::App | Compare::Actor => {
                (written.clone(), written.clone())
            }
        };
        Ok(Some(Part { written, sure, perhaps }))
    }
}

/// Returns the identifying fields of an entry, or `None` if the entry has no identity.
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

/// Returns whether the lists with this key are inside entries of other lists.
pub(super) fn is_nested(list: &str) -> bool {
    kind(list).is_some_and(|kind| kind.is_nested)
}
