//! Finds the controls that are still not met after a run. A change contains its aspect, the object
//! that changes, and the line of the policy. But a change does not contain the path of a control.
//! If several controls match a change, all of them count as not met, because a report must never
//! show an unmet control as met.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use beadle_engine::{Change, Field, Report, StepResult, Waiting};

use super::part::Part;
use super::state::ControlLine;
use crate::aspects;
use crate::policy::parts;
use crate::undo::UndoneChanges;

/// The controls that are not met or unknown after a run. Each control comes with its cause.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Findings {
    /// The controls that the repository does not meet.
    pub(super) not_met: BTreeMap<String, String>,
    /// The controls that Beadle could not read or resolve.
    pub(super) unknown: BTreeMap<String, String>,
}

/// One control of a repository.
struct Control<'a> {
    path: &'a str,
    /// The parts of the path.
    names: Vec<&'a str>,
    aspect: Option<&'static str>,
    file: &'a str,
    line: &'a ControlLine,
}

impl<'a> Control<'a> {
    fn new(path: &'a str, file: &'a str, line: &'a ControlLine) -> Self {
        let names = parts(path).unwrap_or_else(|| vec![path]);
        Self { path, aspect: aspect_of(&names), names, file, line }
    }

    /// Returns whether the path contains a list entry with this name. An example of a name is `team
    /// platform`.
    fn is_about(&self, text: &str) -> bool {
        let rest = text.split_once(' ').map_or(text, |(_, rest)| rest);
        self.names.iter().any(|name| {
            let is_entry = self.path.contains(&format!("[{name}]"));
            is_entry && [text, rest].iter().any(|text| text.eq_ignore_ascii_case(name))
        })
    }
}

/// Returns the aspect that compares a key of the policy.
pub(super) fn aspect_of(names: &[&str]) -> Option<&'static str> {
    let section = names.first()?;
    if *section == "repository" {
        let key = names.get(1)?;
        let owner =
            aspects::ALL.iter().find(|aspect| aspect.repository_keys.iter().any(|own| own.name == *key));
        return Some(owner.map_or(aspects::settings::SETTINGS.name, |aspect| aspect.name));
    }
    let owner = aspects::ALL.iter().find(|aspect| aspect.sections.iter().any(|own| own.name == *section));
    owner.map(|aspect| aspect.name)
}

/// Returns the controls in `parts` that are not met or unknown after a run. `undone` contains the
/// changes that would replace restored values.
pub(super) fn findings(
    declared: &[Arc<Part>],
    report: &Report,
    waits: &[Waiting],
    undone: Option<&UndoneChanges>,
) -> Findings {
    let mut controls = Vec::new();
    for part in declared {
        controls.extend(part.controls.iter().map(|(path, line)| Control::new(path, &part.file, line)));
    }
    let mut found = Findings::default();
    for step in &report.steps {
        let is_undone = |undone: &&UndoneChanges| {
            step.outcome == StepResult::Withheld && undone.changes.contains(&step.change)
        };
        let undone = undone.filter(is_undone).map(|undone| undone.why.as_str());
        let Some(why) = undone.or(cause(&step.outcome)) else { continue };
        for path in changed(&of_aspect(&controls, &step.change.aspect), &step.change) {
            found.not_met.entry(path.to_owned()).or_insert_with(|| why.to_owned());
        }
    }
    for wait in waits {
        let own = of_aspect(&controls, &wait.aspect);
        for control in narrowed(&own, |control| control.is_about(&wait.why)) {
            let why = || format!("waits for a person: {}", wait.why);
            found.not_met.entry(control.path.to_owned()).or_insert_with(why);
        }
    }
    for unknown in &report.unknowns {
        let mut own = of_aspect(&controls, &unknown.aspect);
        if let Some(part) = &unknown.part {
            own = narrowed(&own, |control| control.path.contains(part.as_str()));
        }
        for control in own {
            found.unknown.entry(control.path.to_owned()).or_insert_with(|| unknown.why.clone());
        }
    }
    found
}

/// Returns the reason why Beadle did not write a change. Returns `None` if Beadle wrote the change.
fn cause(outcome: &StepResult) -> Option<&'static str> {
    match outcome {
        StepResult::Written => None,
        StepResult::Withheld => Some("the mode does not allow the repair"),
        StepResult::Held { .. } => Some("the guard holds the repair"),
        StepResult::Postponed(_) => Some("contested: another writer changes the value again and again"),
        StepResult::Blocked => Some("the repair waits for another change"),
        StepResult::NotReached => Some("the run ended before the repair"),
        StepResult::Failed(_) => Some("the repair failed"),
    }
}

/// Returns the controls of an aspect.
fn of_aspect<'c, 'a>(controls: &'c [Control<'a>], aspect: &str) -> Vec<&'c Control<'a>> {
    controls.iter().filter(|control| control.aspect == Some(aspect)).collect()
}

/// Returns the controls that match `is_meant`, or all controls if none matches.
fn narrowed<'c, 'a>(
    controls: &[&'c Control<'a>],
    is_meant: impl Fn(&Control<'a>) -> bool,
) -> Vec<&'c Control<'a>> {
    let meant: Vec<&'c Control<'a>> = controls.iter().copied().filter(|control| is_meant(control)).collect();
    if meant.is_empty() { controls.to_vec() } else { meant }
}

/// Returns the paths of the controls that match `is_meant`.
fn paths<'a>(controls: &[&Control<'a>], is_meant: impl Fn(&Control<'a>) -> bool) -> Vec<&'a str> {
    controls.iter().filter(|control| is_meant(control)).map(|control| control.path).collect()
}

/// Returns the paths of the controls that a change affects.
fn changed<'a>(own: &[&Control<'a>], change: &Change<()>) -> BTreeSet<&'a str> {
    let own = narrowed(own, |control| control.is_about(&change.what));
    if change.fields.is_empty() {
        return own.iter().map(|control| control.path).collect();
    }
    change.fields.iter().flat_map(|field| changed_by(&own, field)).collect()
}

/// Returns the paths of the controls that one field of a change affects.
fn changed_by<'a>(own: &[&Control<'a>], field: &Field) -> Vec<&'a str> {
    let is_asked = |control: &Control<'a>| {
        let asked = field.asked.as_ref();
        asked.is_some_and(|asked| *asked.file == *control.file && asked.line == control.line.line)
    };
    let is_named = |control: &Control<'a>| control.names.contains(&field.name.as_str());
    if field.after.is_null() {
        // The change removes an entry. So it affects the list's control, which forbids undeclared
        // entries.
        let lists = paths(own, |control| control.line.is_list() && is_asked(control));
        if !lists.is_empty() {
            return lists;
        }
    }
    let exact = paths(own, |control| is_asked(control) && is_named(control));
    if !exact.is_empty() {
        return exact;
    }
    // A change can affect a whole entry, such as a missing rule. Such a change contains the first
    // line of the entry.
    let is_in_entry = |control: &Control<'a>| {
        let (Some(asked), Some(entry)) = (&field.asked, entry_of(control.path)) else { return false };
        let lines = own.iter().filter(|other| *other.file == *asked.file && other.path.starts_with(entry));
        lines.map(|other| other.line.line).min() == Some(asked.line)
    };
    let similar = paths(own, |control| is_asked(control) || is_named(control) || is_in_entry(control));
    if similar.is_empty() { paths(own, |_| true) } else { similar }
}

/// Returns the beginning of a path, up to and including the name of the first entry, such as
/// `branches[main]`.
fn entry_of(path: &str) -> Option<&str> {
    path.find(']').and_then(|end| path.get(..=end))
}

#[cfg(test)]
mod tests {
    use beadle_engine::{Step, Unknown};
    use serde_json::json;

    use super::*;
    use crate::policy::NO_OTHERS;

    /// The controls of a repository. Each control comes with its line in settings.yml.
    fn declared() -> Vec<Arc<Part>> {
        let controls = [
            ("repository.has_wiki", 2),
            ("repository.has_issues", 2),
            ("repository.topics", 3),
            ("repository.topics[web]", 4),
            ("teams", 5),
            ("teams[core].name", 6),
            ("teams[core].permission", 6),
            ("teams[web].permission", 8),
            ("branches[default].protection.enforce_admins", 11),
            ("branches[default].protection.required_status_checks.contexts[ci]", 14),
        ];
        let value = |path: &str| match path {
            "teams" | "repository.topics" => format!("\"{NO_OTHERS}\""),
            _ => "1".to_owned(),
        };
        let controls =
            controls.map(|(path, line)| (path.to_owned(), ControlLine { value: value(path), line }));
        vec![Arc::new(Part {
            digest: "d".into(),
            file: "settings.yml".into(),
            commit: "c".into(),
            controls: controls.into(),
        })]
    }

    fn report(steps: Vec<Step>, unknowns: Vec<Unknown>) -> Report {
        Report { subject: "acme/shop".into(), steps, unknowns, skipped: None, failure: None }
    }

    /// Returns the controls that are not met if Beadle does not write a change. The change has one
    /// field.
    fn not_met(aspect: &str, what: &str, name: &str, line: Option<u32>, after: Option<i64>) -> Vec<String> {
        let asked = line.map(|line| json!({ "file": "settings.yml", "line": line }));
        let field = json!({ "name": name, "before": 1, "after": after, "asked": asked, "risk": "changes" });
        let change = json!({
            "aspect": aspect, "what": what, "fields": [field], "mode": "enforce", "after": [], "write": null,
        });
        let change = serde_json::from_value(change).unwrap();
        let step = Step { change, outcome: StepResult::Withheld };
        findings(&declared(), &report(vec![step], Vec::new()), &[], None).not_met.into_keys().collect()
    }

    #[test]
    fn a_change_is_about_the_controls_of_its_line_thing_and_name() {
        let enforce = "branches[default].protection.enforce_admins";
        let contexts = "branches[default].protection.required_status_checks.contexts[ci]";
        let core = ["teams[core].name", "teams[core].permission"];
        for (aspect, what, name, line, expected) in [
            ("settings", "", "has_wiki", Some(2), vec!["repository.has_wiki"]),
            ("settings", "", "wiki", Some(2), vec!["repository.has_issues", "repository.has_wiki"]),
            ("teams", "team core", "permission", Some(6), vec!["teams[core].permission"]),
            ("teams", "team Core", "access", Some(6), core.to_vec()),
            ("teams", "team webcore", "access", Some(5), vec!["teams"]),
            ("protection", "branch main", "enforce_admins", Some(11), vec![enforce]),
            // The name of GitHub's field differs from the key of the policy. The field might have
            // no line.
            ("protection", "branch main", "required_status_checks", Some(12), vec![contexts]),
            ("protection", "branch main", "checks", Some(12), vec![enforce, contexts]),
            ("protection", "branch main", "checks", None, vec![enforce, contexts]),
            ("protection", "rule main", "rule", Some(11), vec![enforce, contexts]),
            ("topics", "", "topics", Some(4), vec!["repository.topics[web]"]),
            ("autolinks", "JIRA-", "url", Some(2), vec![]),
        ] {
            assert_eq!(not_met(aspect, what, name, line, Some(2)), expected, "{aspect} {what} {name}");
        }
    }

    #[test]
    fn an_entry_that_the_policy_does_not_have_is_about_its_list() {
        assert_eq!(not_met("teams", "team contractors", "permission", Some(5), None), ["teams"]);
        assert_eq!(not_met("topics", "", "topic", Some(3), None), ["repository.topics"]);
        assert_eq!(not_met("settings", "", "has_wiki", Some(2), None), ["repository.has_wiki"]);
    }

    #[test]
    fn a_written_change_is_met() {
        let change = serde_json::from_value(json!({
            "aspect": "teams", "what": "", "fields": [], "mode": "enforce", "after": [], "write": null,
        }))
        .unwrap();
        let step = Step { change, outcome: StepResult::Written };
        assert_eq!(findings(&declared(), &report(vec![step], Vec::new()), &[], None), Findings::default());
    }

    #[test]
    fn an_undone_change_names_who_undid_it() {
        let change = |what: &str| -> Change<()> {
            let change = json!({
                "aspect": "teams", "what": what, "fields": [], "mode": "observe", "after": [], "write": null,
            });
            serde_json::from_value(change).unwrap()
        };
        let why = "mona undid this".to_owned();
        let undone = UndoneChanges { changes: vec![change("team core")], why: why.clone() };
        let steps = ["team core", "team web"]
            .map(|what| Step { change: change(what), outcome: StepResult::Withheld })
            .to_vec();
        let found = findings(&declared(), &report(steps, Vec::new()), &[], Some(&undone));
        assert_eq!(found.not_met["teams[core].permission"], why);
        assert_eq!(found.not_met["teams[web].permission"], "the mode does not allow the repair");
    }

    #[test]
    fn an_unknown_aspect_or_part_makes_its_controls_unknown() {
        for (aspect, part, expected) in [
            ("teams", None, 4),
            ("settings", Some("has_wiki"), 1),
            ("settings", Some("merge queue"), 2),
            ("labels", None, 0),
        ] {
            let (part, why) = (part.map(str::to_owned), "502".to_owned());
            let unknown = Unknown { aspect: aspect.into(), part, why, transient: true };
            let found = findings(&declared(), &report(Vec::new(), vec![unknown]), &[], None);
            assert_eq!((found.unknown.len(), found.not_met.len()), (expected, 0), "{aspect}");
        }
    }

    #[test]
    fn what_waits_for_a_person_is_not_met() {
        let wait = Waiting { aspect: "teams".into(), why: "team web".into() };
        let found = findings(&declared(), &report(Vec::new(), Vec::new()), &[wait], None);
        assert_eq!(found.not_met.into_keys().collect::<Vec<_>>(), ["teams[web].permission"]);
    }
}
