//! Groups the changes of many plans, so that one line shows one kind of change.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use beadle_engine::{Key, Plan, PolicyLocation, Risk, value_text};
use beadle_repositories::policy::BASE;
use serde_json::Value;

use crate::output::escape;
use crate::output::plans_and_results::is_only_a_name;

/// The maximum number of characters of a value.
const VALUE: usize = 200;

/// The people who can read the groups.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct GroupReaders {
    /// True if everybody can read the groups. The groups then contain only names from the policy,
    /// and no values.
    pub(super) is_public: bool,
    /// True if the members of another organisation can read the groups. These members are not
    /// allowed to read the policy, except its base.
    pub(super) is_foreign: bool,
    /// True if the readers might not be allowed to read the values that the repositories have now.
    pub(super) hides_live_values: bool,
}

/// The old value or the new value of the changes in a group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shown {
    /// There is no value, or the text must not show it.
    Nothing,
    /// All changes have this value.
    Same(String),
    /// The changes have different values.
    Different,
}

/// The properties that all changes of a group have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kind<'a> {
    pub(super) risk: Risk,
    pub(super) aspect: &'a str,
    /// The changed part of the aspect, such as `team core`, or the name of the changed value. Empty
    /// if the text must not show this name.
    pub(super) what: String,
    /// The new value. [`Shown::Nothing`] if the change adds or removes something without a further
    /// value.
    pub(super) after: Shown,
}

/// The repositories and the values of a group, while [`groups`] collects them.
#[derive(Default)]
struct Found<'a> {
    reaches: u64,
    names: BTreeSet<&'a str>,
    /// `None` before the first value.
    before: Option<Shown>,
    asked: BTreeSet<&'a PolicyLocation>,
}

impl Found<'_> {
    fn add_before(&mut self, before: Shown) {
        self.before = Some(match self.before.take() {
            Some(known) if known != before => Shown::Different,
            _ => before,
        });
    }
}

/// All changes of one kind.
#[derive(Debug)]
pub(super) struct Group<'a> {
    pub(super) kind: Kind<'a>,
    /// The number of repositories with this kind of change.
    pub(super) reaches: u64,
    /// The names of these repositories, sorted. Empty if the text must not show the names.
    pub(super) names: Vec<&'a str>,
    /// The old value. Changes with different old values are in one group.
    pub(super) before: Shown,
    /// The lines of the policy that ask for the changes, sorted. Empty if the text must not show
    /// the lines.
    pub(super) asked: Vec<&'a PolicyLocation>,
}

/// Returns the groups of all changes. The most severe risks come first, and then the largest
/// groups. The result contains the names of repositories without their owner. If everybody can read
/// the result, the result contains only names that are in the policy, and no names of repositories.
/// For example, the result does not contain the name of a removed team.
pub(super) fn groups<'a>(
    organisation: &str,
    plans: &'a [(Key, Plan<()>)],
    GroupReaders { is_public, is_foreign, hides_live_values }: GroupReaders,
) -> Vec<Group<'a>> {
    let mut found: BTreeMap<Kind<'a>, Found<'a>> = BTreeMap::new();
    for (_, plan) in plans {
        let name = plan
            .subject
            .strip_prefix(organisation)
            .and_then(|rest| rest.strip_prefix('/'))
            .unwrap_or(&plan.subject);
        for change in &plan.changes {
            for field in &change.fields {
                let is_whole = field.before.is_null() || field.after.is_null();
                let is_of_base = field.asked.as_ref().is_some_and(|at| at.file.starts_with(BASE));
                let is_hidden = (is_public && (field.risk == Risk::Removes || field.after.is_null()))
                    || (is_foreign && !is_of_base);
                let what = match (change.what.as_str(), is_whole) {
                    _ if is_hidden => String::new(),
                    ("", _) => field.name.clone(),
                    (what, true) => what.to_owned(),
                    (what, false) => format!("{what}: {}", field.name),
                };
                let has_values = !is_public && !is_only_a_name(field);
                // A new list might contain existing entries that the policy does not change.
                let has_after = has_values && !(hides_live_values && is_list(&field.after));
                let has_before = has_values && !hides_live_values;
                let shown = |is_shown, value| if is_shown { shown(value) } else { Shown::Nothing };
                let (risk, after) = (field.risk, shown(has_after, &field.after));
                let kind = Kind { risk, aspect: &change.aspect, what, after };
                let group = found.entry(kind).or_default();
                group.add_before(shown(has_before, &field.before));
                group.asked.extend(field.asked.as_ref().filter(|_| !is_public));
                // Several values of one change belong to one repository.
                if group.names.insert(name) {
                    group.reaches += u64::from(change.reaches);
                }
            }
        }
    }
    let group = |(kind, found): (Kind<'a>, Found<'a>)| Group {
        kind,
        reaches: found.reaches,
        names: found.names.into_iter().filter(|_| !is_public).collect(),
        before: found.before.unwrap_or(Shown::Nothing),
        asked: found.asked.into_iter().collect(),
    };
    let mut groups: Vec<Group<'a>> = found.into_iter().map(group).collect();
    groups.sort_by_key(|group| (Reverse(group.kind.risk), Reverse(group.reaches)));
    groups
}

fn is_list(value: &Value) -> bool {
    value.is_array() || value.is_object()
}

fn shown(value: &Value) -> Shown {
    match value {
        Value::Null => Shown::Nothing,
        Value::String(text) if !text.is_empty() => Shown::Same(escape::cut(text, VALUE)),
        other => Shown::Same(escape::cut(&value_text(other), VALUE)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::findings::tests::{change, preview};
    use super::*;

    #[test]
    fn equal_changes_of_many_repositories_are_one_group_whatever_they_were_before() {
        let names = ["b".to_owned(), "a".to_owned()];
        let add = change("team docs", Risk::Adds, &Value::Null, &json!("pull"));
        let mut shown =
            preview(&names, &[add, change("team core", Risk::Removes, &json!("push"), &Value::Null)]);
        shown.plans[0].1.changes[1].fields[0].before = json!("admin");
        shown.plans[1].1.changes.push(change("team web", Risk::Changes, &json!("pull"), &json!("push")));
        let groups = groups("acme", &shown.plans, GroupReaders::default());
        let lines: Vec<String> = groups
            .iter()
            .map(|group| {
                let Kind { risk, aspect, what, after } = &group.kind;
                let (before, names) = (&group.before, &group.names);
                format!("{risk} {aspect} {what} {before:?} {after:?} {} {names:?}", group.reaches)
            })
            .collect();
        assert_eq!(
            lines,
            [
                r#"removes teams team core Different Nothing 2 ["a", "b"]"#,
                r#"changes teams team web: permission Same("pull") Same("push") 1 ["a"]"#,
                r#"adds teams team docs Nothing Same("pull") 2 ["a", "b"]"#,
            ]
        );
    }

    #[test]
    fn a_group_has_the_old_and_the_new_value_and_the_lines_of_the_policy() {
        let mut merge = change("", Risk::Changes, &json!(false), &json!(true));
        merge.fields[0].asked = Some(PolicyLocation { file: "settings.yml".into(), line: 12 });
        let topic = change("", Risk::Adds, &Value::Null, &json!(true));
        let plans = preview(&["a".to_owned(), "b".to_owned()], &[merge, topic]).plans;
        let values = |is_public: bool, hides_live_values: bool| -> Vec<(Shown, Shown, Vec<String>)> {
            let readers = GroupReaders { is_public, hides_live_values, ..GroupReaders::default() };
            let groups = groups("acme", &plans, readers).into_iter();
            let lines = |group: &Group<'_>| group.asked.iter().map(ToString::to_string).collect();
            groups.map(|group| (group.before.clone(), group.kind.after.clone(), lines(&group))).collect()
        };
        let nothing = || (Shown::Nothing, Shown::Nothing, Vec::new());
        let same = |text: &str| Shown::Same(text.to_owned());
        let line = vec!["settings.yml:12".to_owned()];
        let merge = (same("false"), same("true"), line.clone());
        assert_eq!(values(false, false), [merge, nothing()]);
        assert_eq!(values(false, true), [(Shown::Nothing, same("true"), line), nothing()]);
        assert_eq!(values(true, false), [nothing(), nothing()]);
    }

    #[test]
    fn a_reader_who_may_not_read_the_repositories_sees_none_of_their_values() {
        let changes = [
            change("variable DB_HOST", Risk::Changes, &json!("db.internal"), &json!("x")),
            change("variable OLD", Risk::Removes, &json!("old.internal"), &Value::Null),
            change("hosts", Risk::Adds, &json!(["a.internal"]), &json!(["a.internal", "x"])),
        ];
        let shown = preview(&["a".to_owned()], &changes);
        let readers = GroupReaders { hides_live_values: true, ..GroupReaders::default() };
        let groups = groups("acme", &shown.plans, readers);
        assert_eq!(groups.len(), changes.len());
        assert!(!format!("{groups:?}").contains("internal"), "{groups:?}");
        assert!(groups.iter().any(|group| group.kind.after == Shown::Same("x".to_owned())), "{groups:?}");
    }

    #[test]
    fn what_everybody_can_read_names_no_repository_and_nothing_that_is_not_declared() {
        let add = change("team docs", Risk::Adds, &Value::Null, &json!("pull"));
        let removals = ["core", "web"]
            .map(|team| change(&format!("team {team}"), Risk::Removes, &json!("push"), &Value::Null));
        let [core, web] = removals;
        let shown = preview(&["a".to_owned(), "b".to_owned()], &[add, core, web]);
        let groups =
            groups("acme", &shown.plans, GroupReaders { is_public: true, ..GroupReaders::default() });
        let lines: Vec<_> = groups
            .iter()
            .map(|group| (group.kind.risk, group.kind.what.as_str(), group.reaches, group.names.len()))
            .collect();
        assert_eq!(lines, [(Risk::Removes, "", 2, 0), (Risk::Adds, "team docs", 2, 0)]);
    }

    #[test]
    fn another_organisation_reads_only_what_its_base_declares() {
        let adds = ["docs", "secret"].map(|team| {
            let mut add = change(&format!("team {team}"), Risk::Adds, &Value::Null, &json!("pull"));
            let file = if team == "docs" { "base/settings.yml" } else { "settings.yml" };
            add.fields[0].asked = Some(PolicyLocation { file: file.into(), line: 3 });
            add
        });
        let shown = preview(&["a".to_owned()], &adds);
        let readers = GroupReaders { is_public: true, is_foreign: true, ..GroupReaders::default() };
        let groups = groups("acme", &shown.plans, readers);
        let mut names: Vec<&str> = groups.iter().map(|group| group.kind.what.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["", "team docs"]);
    }
}
