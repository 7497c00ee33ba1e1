//! The files in the folder `templates/` of a policy. An entry of `files` can use such a file as its
//! template.

use std::collections::{BTreeMap, BTreeSet};

use beadle_engine::PolicyLocation;

use super::folder::TEMPLATES;
use super::node::{Kind, Node};
use super::normal::each;
use super::origin::BASE;
use super::problem::{Problem, Severity, nearest};

/// The key whose value is the name of a file in `templates/`.
const NAME: &str = "template_file";
/// The key whose value is the text of a template.
const TEXT: &str = "template";
/// The maximum total size, in bytes, of all texts that a policy's entries get from templates. Each
/// entry has its own copy of the text. Without this limit, a small file could use all memory if
/// each of its lines uses a large template.
const FILLED: usize = 64 << 20;

/// Returns whether a file is a template of a policy or of the policy's base.
pub(super) fn is_template_file(file: &str) -> bool {
    file.strip_prefix(BASE).unwrap_or(file).rsplit_once('/').is_some_and(|(folder, _)| folder == TEMPLATES)
}

/// The templates of a policy.
pub(super) struct Templates<'a> {
    /// The texts of all files of the policy.
    sources: &'a BTreeMap<String, String>,
    /// The templates that at least one entry uses.
    used: BTreeSet<&'a str>,
    /// The total size, in bytes, of all texts that entries got from templates so far.
    filled: usize,
}

impl<'a> Templates<'a> {
    pub(super) fn of(sources: &'a BTreeMap<String, String>) -> Self {
        Self { sources, used: BTreeSet::new(), filled: 0 }
    }

    /// Puts the texts of templates into the entries that use these templates. All other code then
    /// handles only the texts, and not the names of templates. If a template changes, these entries
    /// also change.
    pub(super) fn fill(&mut self, file: &str, root: &mut Node, problems: &mut Vec<Problem>) {
        let base = if file.starts_with(BASE) { BASE } else { "" };
        each(root, "files", |entry| self.fill_entry(base, entry, problems));
        for case in root.child("first_match").into_iter().flat_map(Node::children) {
            each(case, "files", |entry| self.fill_entry(base, entry, problems));
        }
    }

    fn fill_entry(&mut self, base: &str, entry: &mut Node, problems: &mut Vec<Problem>) {
        let has_text = entry.get(TEXT).is_some();
        let Kind::Map(entries) = &mut entry.kind else { return };
        let Some((key, value)) = entries.iter_mut().find(|(key, _)| key.text() == Some(NAME)) else { return };
        // If the value is not a text, the check of the keys reports it.
        let Some(name) = value.text() else { return };
        if has_text {
            let text = "an entry of `files` must not have both `template` and `template_file`";
            problems.push(Problem::error(value.asked.clone(), value.column, text));
            return;
        }
        let path = format!("{base}{TEMPLATES}/{name}");
        let Some((path, text)) = self.sources.get_key_value(&path) else {
            let text = format!("the policy has no file `{path}`");
            let problem = Problem::error(value.asked.clone(), value.column, text);
            let known = self.sources.keys().filter(|file| is_template_file(file));
            let known = known.filter_map(|file| file.rsplit_once('/').map(|(_, name)| name));
            problems.push(match nearest(name, known) {
                Some(near) => problem.hint(format!("did you mean `{near}`?")),
                None => problem,
            });
            return;
        };
        self.used.insert(path);
        self.filled = self.filled.saturating_add(text.len());
        if self.filled > FILLED {
            let most = FILLED >> 20;
            let text = format!("all entries of `files` must have at most {most} MiB of templates together");
            problems.push(Problem::error(value.asked.clone(), value.column, text));
            return;
        }
        key.kind = Kind::Text(TEXT.to_owned());
        value.kind = Kind::Text(text.clone());
    }

    /// Returns a warning for each template that no entry uses.
    pub(super) fn unused(&self) -> Vec<Problem> {
        let templates = self.sources.keys().filter(|file| is_template_file(file));
        let unused = templates.filter(|file| !self.used.contains(file.as_str()));
        let warning = |file: &String| {
            let at = PolicyLocation { file: file.as_str().into(), line: 1 };
            let problem = Problem::error(at, 1, "no entry of `files` names this template");
            problem.severity(Severity::Warning).hint("delete the file, or write its name in `template_file`")
        };
        unused.map(warning).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::policy::{Policy, PolicyError};

    const OWNERS: (&str, &str) = ("templates/CODEOWNERS", "* @{{ repository.owner }}/core\n");

    fn load(files: &[(&str, &str)]) -> Result<Policy, PolicyError> {
        let files = files.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect();
        Policy::from_sources(files, "admin", Path::new("policy"))
    }

    #[test]
    fn an_entry_gets_the_text_of_the_template_that_it_names() {
        let entry = "{ path: CODEOWNERS, template_file: CODEOWNERS }";
        let settings = format!("files: [{entry}]\n");
        let layer = format!("select: {{ name: shop }}\nfiles: {{ add: [{entry}] }}\n");
        let case = format!("first_match: [{{ select: {{ name: shop }}, files: [{entry}] }}]\n");
        for (file, text) in [("settings.yml", &settings), ("layers/a.yml", &layer), ("layers/b.yml", &case)] {
            let policy = load(&[(file, text.as_str()), OWNERS]).unwrap_or_else(|error| panic!("{error}"));
            let is_about_files = |problem: &Problem| problem.message.contains("template");
            assert!(!policy.remarks.iter().any(is_about_files), "{file}: {:?}", policy.remarks);
            let list = policy.layers[0].roots().find_map(|root| root.get("files")).unwrap();
            let expected = serde_json::json!([{ "path": "CODEOWNERS", "template": OWNERS.1 }]);
            assert_eq!(list.json(), expected, "{file}");
        }
    }

    #[test]
    fn a_change_of_a_template_is_another_generation() {
        let settings = ("settings.yml", "files: [{ path: a, template_file: CODEOWNERS }]\n");
        let generation = |text: &str| load(&[settings, (OWNERS.0, text)]).unwrap().generation;
        assert_ne!(generation("* @acme/core\n"), generation("* @acme/web\n"));
    }

    #[test]
    fn templates_that_are_missing_invalid_or_in_the_way_are_errors() {
        for (entry, template, expected) in [
            ("template_file: CODEOWNER", "x", "did you mean `CODEOWNERS`?"),
            ("template_file: x, template: y", "x", "must not have both `template` and `template_file`"),
            ("template_file: CODEOWNERS, content: y", "x", "must not have both `content` and `template`"),
            ("template_file: CODEOWNERS", "{{ repository.nme }}", "template"),
            ("template_file: 5", "x", "found 5"),
        ] {
            let settings = format!("files: [{{ path: a, {entry} }}]\n");
            let error = load(&[("settings.yml", settings.as_str()), (OWNERS.0, template)]).unwrap_err();
            assert!(error.to_string().contains(expected), "{entry}: {error}");
        }
    }

    #[test]
    fn entries_that_name_a_large_template_too_often_are_an_error() {
        let sources = BTreeMap::from([("templates/large".to_owned(), "x".repeat(1 << 20))]);
        let entries = "- { path: a, template_file: large }\n".repeat((FILLED >> 20) + 1);
        let mut root = Node::parse("settings.yml", &format!("files:\n{entries}")).unwrap();
        let mut problems = Vec::new();
        Templates::of(&sources).fill("settings.yml", &mut root, &mut problems);
        let found: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
        assert_eq!(found, ["all entries of `files` must have at most 64 MiB of templates together"]);
    }

    #[test]
    fn a_template_without_an_entry_is_reported_and_is_no_layer() {
        let policy = load(&[("settings.yml", "repository: { has_wiki: false }\n"), OWNERS]).unwrap();
        let found: Vec<String> = policy.remarks.iter().map(|problem| problem.asked.to_string()).collect();
        assert_eq!((found, policy.layers.len()), (vec!["templates/CODEOWNERS:1".to_owned()], 1));
        // Two templates are allowed to have names that differ only in the extension.
        let two = [("templates/ci.yml", "x"), ("templates/ci.md", "x")];
        let files = [&[("settings.yml", "repository: { has_wiki: false }\n")][..], &two[..]].concat();
        assert!(load(&files).is_ok());
    }
}
