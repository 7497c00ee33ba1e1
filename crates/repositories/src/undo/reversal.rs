//! Finds the values that an undo must restore, and compares a plan with these values.

use beadle_engine::{Change, Field};
use serde_json::{Value, json};

/// The value of the aspect `pages` that shows whether the site exists.
pub(super) const SITE: &str = "enabled";

/// The key for the values of a deleted thing. If a change deletes a thing, the thing's earlier
/// values are stored under this key.
pub(super) const DELETED: &str = "declared";

/// One value that Beadle wrote. An undo must restore the earlier value.
#[derive(Clone, Debug, PartialEq)]
pub struct Reversal {
    /// The aspect of the change.
    pub(crate) aspect: String,
    /// The part of the aspect, such as `team platform`. If the writes renamed the part, this field
    /// contains the new name.
    pub(crate) what: String,
    /// The name of the value.
    pub(crate) name: String,
    /// The value before the writes. The undo restores this value.
    pub(crate) before: Value,
    /// The value after the writes. If GitHub now has a different value, somebody has changed the
    /// value after the writes.
    pub(crate) after: Value,
}

impl Reversal {
    /// Returns the name of the value for messages.
    pub(crate) fn called(&self) -> String {
        if self.what.is_empty() { self.name.clone() } else { format!("{}: {}", self.what, self.name) }
    }

    /// Returns whether another reversal belongs to the same part of the same aspect.
    pub(crate) fn is_beside(&self, other: &Self) -> bool {
        self.aspect == other.aspect && self.what.eq_ignore_ascii_case(&other.what)
    }
}

/// Returns whether a value represents a whole thing: a branch rule, a ruleset or an environment.
/// The value is null if the thing does not exist.
pub(super) fn is_whole(name: &str) -> bool {
    matches!(name, "rule" | "ruleset" | "environment")
}

/// Returns the values of a deleted thing in the form that a policy uses. Returns `None` if the
/// journal does not contain these values. `one` is the value that shows whether the thing exists.
/// `all` contains all values of the undo.
pub(super) fn deleted<'a>(one: &'a Reversal, all: &'a [Reversal]) -> Option<&'a Value> {
    if !one.after.is_null() {
        return None;
    }
    let values = if is_whole(&one.name) {
        one.before.get(DELETED)
    } else {
        let is_it = |other: &&Reversal| other.is_beside(one) && other.name == DELETED;
        all.iter().find(is_it).filter(|other| other.after.is_null()).map(|other| &other.before)
    };
    values.filter(|values| values.is_object())
}

/// Returns whether a part is inside a thing that the undo creates again. For example, the part can
/// be a variable whose environment the undo creates again.
fn is_inside(one: &Reversal, all: &[Reversal], aspect: &str, what: &str) -> bool {
    let (outer, inner) = (what.get(..one.what.len()), what.get(one.what.len()..));
    deleted(one, all).is_some()
        && one.aspect == aspect
        && outer.is_some_and(|outer| outer.eq_ignore_ascii_case(&one.what))
        && inner.is_some_and(|inner| inner.starts_with(": "))
}

/// Finds a secret or a variable that Beadle would delete together with its environment, although
/// none of the reverted changes wrote this secret or variable.
fn foreign_content(before: &Value, what: &str, all: &[Reversal]) -> Option<String> {
    for (kind, list) in [("secret", "secrets"), ("variable", "variables")] {
        for name in before[list].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let inner = format!("{what}: {kind} {name}");
            let is_it = |one: &Reversal| one.what.eq_ignore_ascii_case(&inner) && !one.after.is_null();
            if !all.iter().any(|one| one.aspect == "environments" && is_it(one)) {
                return Some(format!("{kind} `{name}`"));
            }
        }
    }
    None
}

/// Returns the values that the undo of these changes must restore. The changes belong to one
/// repository. The changes must be in the order of Beadle's writes.
pub fn reversals<'a>(changes: impl IntoIterator<Item = &'a Change<()>>) -> Vec<Reversal> {
    let mut all: Vec<Reversal> = Vec::new();
    for change in changes {
        let what = part(change);
        for (name, before, after) in written(change) {
            let new = Reversal { aspect: change.aspect.clone(), what: what.clone(), name, before, after };
            match all.iter_mut().find(|known| known.is_beside(&new) && known.name == new.name) {
                // Somebody changed the value between the two writes. The undo restores the value
                // that this person set, because an undo does not revert the changes of other
                // people.
                Some(known) if !is_same(&new.name, &known.after, &new.before) => *known = new,
                Some(known) => known.after = new.after,
                None => all.push(new),
            }
        }
        if let Some((_, new)) = renamed(change) {
            let is_it = |one: &&mut Reversal| one.aspect == change.aspect && one.what == what;
            all.iter_mut().filter(is_it).for_each(|one| one.what.clone_from(&new));
        }
    }
    all.retain(|one| !is_same(&one.name, &one.before, &one.after));
    all
}

/// Returns the name, the old value and the new value of each value that a change sets or removes.
pub(super) fn written<W>(change: &Change<W>) -> Vec<(String, Value, Value)> {
    let mut values: Vec<(String, Value, Value)> =
        change.fields.iter().map(|field| plain(&change.aspect, field)).collect();
    if creates_site(change) {
        values.push((SITE.to_owned(), json!(false), json!(true)));
    }
    values
}

/// Returns whether a change creates a Pages site. A plan shows the values of the new site, but not
/// the creation itself.
fn creates_site<W>(change: &Change<W>) -> bool {
    let is_new = change.fields.iter().all(|field| field.before.is_null());
    change.aspect == "pages" && change.what.is_empty() && is_new
}

/// Returns the part of an aspect that a change affects. The result contains the name of the part
/// before the change. An invitation and a collaborator have the same part, because a person who
/// accepts an invitation becomes a collaborator.
fn part<W>(change: &Change<W>) -> String {
    if let Some((old, _)) = renamed(change) {
        return old;
    }
    let is_branch = |field: &Field| field.name == "default_branch";
    match change.aspect.as_str() {
        // For settings of the organisation, the part depends on whether the guard can hold the
        // change.
        "organization" => return change.aspect.clone(),
        // For a default branch, the part contains a word that shows whether Beadle renames or
        // creates the branch.
        "settings" if change.fields.iter().any(is_branch) => return String::new(),
        _ => {}
    }
    let invited = change.what.strip_prefix("invitation of ").filter(|_| change.aspect == "collaborators");
    invited.map_or_else(|| change.what.clone(), |login| format!("collaborator {login}"))
}

/// If a change renames a part, the function returns the old and the new part.
pub(super) fn renamed<W>(change: &Change<W>) -> Option<(String, String)> {
    let (key, kind) = match change.aspect.as_str() {
        "labels" => ("name", "label"),
        "deploy_keys" => ("title", "deploy key"),
        _ => return None,
    };
    let field = change.fields.iter().find(|field| field.name == key)?;
    Some((format!("{kind} {}", field.before.as_str()?), format!("{kind} {}", field.after.as_str()?)))
}

/// Returns the part and the name of one value of a change.
pub(super) fn named<W>(change: &Change<W>, field: &Field) -> (String, String) {
    (part(change), plain(&change.aspect, field).0)
}

/// Returns the part that a change affects. If the change renames the part, the result contains both
/// names.
pub(super) fn parts<W>(change: &Change<W>) -> Vec<String> {
    let mut parts = vec![part(change)];
    parts.extend(renamed(change).map(|(_, new)| new));
    parts
}

/// Returns the part and the name of each value that a change sets or removes. If the change renames
/// the part, the result contains both names.
pub(super) fn values<W>(change: &Change<W>) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for part in parts(change) {
        for field in &change.fields {
            all.push((part.clone(), plain(&change.aspect, field).0));
        }
    }
    if creates_site(change) {
        all.push((part(change), SITE.to_owned()));
    }
    all
}

/// Returns the name of a value, its old value and its new value. For some things, a plan uses
/// different words for a creation and a removal. The result uses the same words for the creation
/// and for the removal.
fn plain(aspect: &str, field: &Field) -> (String, Value, Value) {
    match (aspect, field.name.as_str()) {
        ("protection", "new rule") => ("rule".to_owned(), Value::Null, json!(true)),
        ("rulesets" | "organisation_rulesets", "new ruleset") => {
            ("ruleset".to_owned(), Value::Null, field.after.clone())
        }
        // The flag and the list have the same name.
        ("protection", name) if field.before.is_array() || field.after.is_array() => {
            (format!("{name} list"), field.before.clone(), field.after.clone())
        }
        (_, name) => (name.to_owned(), field.before.clone(), field.after.clone()),
    }
}

/// Returns whether two values of a field are the same at GitHub.
pub(crate) fn is_same(name: &str, one: &Value, other: &Value) -> bool {
    let is_nothing = |value: &Value| match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(block) => block.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    };
    let sorted = |items: &[Value]| {
        let mut items: Vec<String> = items.iter().map(Value::to_string).collect();
        items.sort_unstable();
        items
    };
    match (one, other) {
        (one, other) if is_whole(name) => one.is_null() == other.is_null(),
        (Value::Array(one), Value::Array(other)) => sorted(one) == sorted(other),
        (Value::String(one), Value::String(other)) if name == "color" => one.eq_ignore_ascii_case(other),
        // GitHub shows the date together with a time of day.
        (Value::String(one), Value::String(other)) if name == "due_on" => one.get(..10) == other.get(..10),
        _ => one == other || (is_nothing(one) && is_nothing(other)),
    }
}

/// The relation between a planned change and the undo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Planned {
    /// The change contains only values that the undo must restore, and it restores them.
    Restores,
    /// The change contains no value that the undo must restore.
    Other,
    /// The undo does not write this change, although the change contains values that the undo must
    /// restore. The reason is that the undo cannot restore all of these values, or that the change
    /// also contains other values. The list contains the positions of the values that stay
    /// unchanged. Each position comes with its reason.
    Leaves(Vec<(usize, String)>),
}

/// Compares a planned change with the values that the undo must restore. `open` contains the
/// positions of the values that the undo can still restore.
pub(crate) fn judge<W>(change: &Change<W>, all: &[Reversal], open: &[usize]) -> Planned {
    let what = part(change);
    let only_adds = change.fields.iter().all(|field| plain(&change.aspect, field).1.is_null());
    let mut wanted = open.iter().filter_map(|at| all.get(*at));
    if only_adds && wanted.any(|one| is_inside(one, all, &change.aspect, &what)) {
        return Planned::Restores;
    }
    let (mut exact, mut leaves, mut other) = (Vec::new(), Vec::new(), None);
    for field in &change.fields {
        let (name, before, after) = plain(&change.aspect, field);
        let found = open.iter().copied().find(|at| {
            all.get(*at).is_some_and(|one| {
                one.aspect == change.aspect && one.what.eq_ignore_ascii_case(&what) && one.name == name
            })
        });
        match found.and_then(|at| Some((at, all.get(at)?))) {
            // If a new deploy key has only read access, the plan always shows this value.
            None if name == "read_only" && before.is_null() && after == json!(true) => {}
            None => other = Some(name),
            Some((at, one)) if !is_same(&name, &one.after, &before) => {
                leaves.push((at, format!("somebody changed it since, to {}", shown(&before))));
            }
            Some((at, one)) if !is_same(&name, &one.before, &after) => {
                leaves.push((at, "Beadle cannot set the earlier value again".to_owned()));
            }
            Some((at, _)) if after.is_null() && name == "environment" => {
                match foreign_content(&before, &what, all) {
                    Some(content) => leaves.push((at, format!("it also has the {content}"))),
                    None => exact.push(at),
                }
            }
            Some((at, _)) => exact.push(at),
        }
    }
    // A change that creates a thing again also contains the values of the thing.
    let is_again = |one: &Reversal| deleted(one, all).is_some();
    let creates_again = exact.iter().any(|at| all.get(*at).is_some_and(is_again));
    let other = other.filter(|_| !(only_adds && creates_again));
    match (other, leaves.is_empty()) {
        (None, true) if !exact.is_empty() => Planned::Restores,
        (_, false) => Planned::Leaves(leaves),
        (Some(name), true) if !exact.is_empty() => {
            let why = format!("GitHub changes it only together with `{name}`");
            Planned::Leaves(exact.into_iter().map(|at| (at, why.clone())).collect())
        }
        _ => Planned::Other,
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => format!("`{text}`"),
        other => format!("`{other}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(aspect: &str, what: &str, fields: &[(&str, Value, Value)]) -> Change<()> {
        let fields = fields.iter().map(|(name, before, after)| {
            json!({ "name": name, "before": before, "after": after, "asked": null, "risk": "changes" })
        });
        let change = json!({
            "aspect": aspect, "what": what, "fields": fields.collect::<Vec<_>>(), "mode": "enforce",
            "after": [], "write": null,
        });
        serde_json::from_value(change).unwrap()
    }

    fn one(aspect: &str, what: &str, name: &str, before: Value, after: Value) -> Reversal {
        Reversal { aspect: aspect.into(), what: what.into(), name: name.into(), before, after }
    }

    #[test]
    fn several_writes_of_one_value_are_one_reversal_and_a_value_that_came_back_is_none() {
        let changes = [
            change("settings", "", &[("has_wiki", json!(true), json!(false))]),
            change("settings", "", &[("description", json!("a"), json!("b"))]),
            change("settings", "", &[("description", json!("b"), json!("c"))]),
            change("settings", "", &[("has_wiki", json!(false), json!(true))]),
        ];
        let expected = [one("settings", "", "description", json!("a"), json!("c"))];
        assert_eq!(reversals(&changes), expected);
    }

    #[test]
    fn a_value_that_somebody_set_between_two_writes_is_the_one_that_returns() {
        let permission =
            |before: Value, after: Value| change("teams", "team core", &[("permission", before, after)]);
        let changes = [
            permission(json!(null), json!("push")),
            permission(json!("admin"), json!("push")),
            // Another run wrote a value between the two writes.
            change("settings", "", &[("description", json!("a"), json!("b"))]),
            change("settings", "", &[("description", json!("c"), json!("d"))]),
            change("settings", "", &[("description", json!("d"), json!("e"))]),
        ];
        let expected = [
            one("teams", "team core", "permission", json!("admin"), json!("push")),
            one("settings", "", "description", json!("c"), json!("e")),
        ];
        assert_eq!(reversals(&changes), expected);
    }

    #[test]
    fn a_renamed_label_and_an_accepted_invitation_stay_one_thing() {
        let changes = [
            change("labels", "label wip", &[("name", json!("wip"), json!("in progress"))]),
            change("labels", "label in progress", &[("color", json!("aa0000"), json!("bb0000"))]),
            change("collaborators", "collaborator mona", &[("permission", json!(null), json!("push"))]),
            change("collaborators", "invitation of mona", &[("permission", json!("push"), json!("pull"))]),
        ];
        let expected = [
            one("labels", "label in progress", "name", json!("wip"), json!("in progress")),
            one("labels", "label in progress", "color", json!("aa0000"), json!("bb0000")),
            one("collaborators", "collaborator mona", "permission", json!(null), json!("pull")),
        ];
        assert_eq!(reversals(&changes), expected);
    }

    #[test]
    fn an_environment_with_content_of_others_stays() {
        let all = reversals(&[
            change("environments", "environment prod", &[("environment", json!(null), json!({}))]),
            change("environments", "environment prod: secret TOKEN", &[("value", json!(null), json!("set"))]),
        ]);
        let gone = |variables: Vec<&str>, secrets: Vec<&str>| {
            let lost = json!({ "variables": variables, "secrets": secrets });
            judge(
                &change("environments", "environment prod", &[("environment", lost, json!(null))]),
                &all,
                &[0],
            )
        };
        assert_eq!(gone(vec![], vec!["TOKEN"]), Planned::Restores);
        for (variables, secrets, named) in
            [(vec![], vec!["TOKEN", "THEIRS"], "secret `THEIRS`"), (vec!["A"], vec!["TOKEN"], "variable `A`")]
        {
            let judged = gone(variables, secrets);
            assert!(matches!(&judged, Planned::Leaves(left) if left[0].1.contains(named)), "{judged:?}");
        }
    }

    #[test]
    fn a_deleted_thing_is_created_again_with_all_of_its_values() {
        let lost = json!({ "variables": ["A"], "secrets": [], DELETED: { "name": "prod" } });
        let rule = json!({ DELETED: { "enforce_admins": true } });
        let all = reversals(&[
            change("environments", "environment prod", &[("environment", lost, json!(null))]),
            change("protection", "rule main", &[("rule", rule, json!(null))]),
        ]);
        let judged = |what: &str, aspect: &str, fields: &[(&str, Value, Value)]| {
            judge(&change(aspect, what, fields), &all, &[0, 1])
        };
        let new = ("environment", json!(null), json!({ "wait_timer": 3 }));
        assert_eq!(judged("environment prod", "environments", &[new]), Planned::Restores);
        let variable = ("value", json!(null), json!("1"));
        let inside = "environment prod: variable A";
        assert_eq!(judged(inside, "environments", std::slice::from_ref(&variable)), Planned::Restores);
        assert_eq!(judged("environment production: variable A", "environments", &[variable]), Planned::Other);
        let other = ("value", json!("2"), json!("1"));
        assert_eq!(judged(inside, "environments", &[other]), Planned::Other);
        let fields = [("new rule", json!(null), json!(true)), ("enforce_admins", json!(null), json!(true))];
        assert_eq!(judged("rule main", "protection", &fields), Planned::Restores);
    }

    #[test]
    fn a_deleted_deploy_key_can_only_read_unless_the_journal_has_its_values() {
        let key = || ("key", json!("ssh-ed25519 AAAA"), json!(null));
        let values = (DELETED, json!({ "title": "CI", "read_only": false }), json!(null));
        let what = "deploy key CI";
        let judged = |all: &[Reversal], read_only: bool| {
            let fields = [
                ("key", json!(null), json!("ssh-ed25519 AAAA")),
                ("read_only", json!(null), json!(read_only)),
            ];
            judge(&change("deploy_keys", what, &fields), all, &[0, 1])
        };
        let partly = reversals(&[change("deploy_keys", what, &[key()])]);
        assert_eq!(judged(&partly, true), Planned::Restores);
        assert!(matches!(judged(&partly, false), Planned::Leaves(_)));
        let whole = reversals(&[change("deploy_keys", what, &[key(), values])]);
        assert_eq!(judged(&whole, false), Planned::Restores);
    }

    #[test]
    fn only_the_exact_opposite_of_a_change_is_written() {
        let all = reversals(&[
            change("teams", "team core", &[("permission", json!("pull"), json!("push"))]),
            change("protection", "rule main", &[("new rule", json!(null), json!(true))]),
        ]);
        let judged = |change: &Change<()>| judge(change, &all, &[0, 1]);
        let back = change("teams", "team Core", &[("permission", json!("push"), json!("pull"))]);
        assert_eq!(judged(&back), Planned::Restores);
        let gone = change("protection", "rule main", &[("rule", json!(true), json!(null))]);
        assert_eq!(judged(&gone), Planned::Restores);
        let other = change("teams", "team guards", &[("permission", json!("push"), json!(null))]);
        assert_eq!(judged(&other), Planned::Other);
        let since = change("teams", "team core", &[("permission", json!("admin"), json!("pull"))]);
        assert!(matches!(judged(&since), Planned::Leaves(left) if left[0].1.contains("`admin`")));
        let more = change(
            "teams",
            "team core",
            &[("permission", json!("push"), json!("pull")), ("colour", json!("a"), json!("b"))],
        );
        assert!(matches!(judged(&more), Planned::Leaves(left) if left[0].1.contains("`colour`")));
        // The undo has already decided not to change this value. So the undo must not restore the
        // value by accident.
        assert_eq!(judge(&back, &all, &[1]), Planned::Other);
    }
}
