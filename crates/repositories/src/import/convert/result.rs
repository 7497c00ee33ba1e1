//! The result of a conversion: the files, and a report of what Beadle could not convert.

use std::collections::BTreeMap;

use beadle_engine::PolicyLocation;
use serde_json::{Map, Value, json};

use super::tree::without_places;
use crate::import::yaml::{comment, yaml};
use crate::policy::{FileKind, Kind, Node, Problem, Severity, UNKNOWN_KEY, examined, forms};

/// A policy that a conversion made from the files of another tool.
#[derive(Debug, Default)]
pub struct Conversion {
    /// The text of each file. The key is the file's path in the policy's folder.
    pub files: BTreeMap<String, String>,
    /// The parts that Beadle could not convert, and the parts that it had to interpret. Each part
    /// comes with its line in the original file.
    pub problems: Vec<Problem>,
    /// True if the conversion omits keys that Beadle does not know. The Probot settings app sends
    /// such keys to GitHub, and GitHub ignores most of them.
    pub(super) leaves_unknown: bool,
}

impl Conversion {
    /// Returns the tree of a file. Returns `None` if the file has no values.
    pub(super) fn parsed(&mut self, file: &str, source: &str) -> Option<Node> {
        match Node::parse(file, source) {
            Ok(root) if root.is_null() => {
                let warning = problem(&root, "the file has no values").severity(Severity::Warning);
                self.problems.push(warning);
                None
            }
            Ok(root) => Some(root),
            Err(error) => {
                self.problems.push(error);
                None
            }
        }
    }

    /// Returns whether a repository and its file can have this name. If they cannot, the function
    /// adds an error.
    pub(super) fn accepts(&mut self, at: &Node, repository: &str) -> bool {
        match forms::REPOSITORY.check(repository) {
            Ok(()) => true,
            Err(misfit) => {
                let text = format!("the name of a repository must {}, found `{repository}`", misfit.must);
                self.problems.push(problem(at, &text));
                false
            }
        }
    }

    /// Adds a file to the policy. `from` is the original file. `selector` contains additional keys
    /// that are not in the original file.
    pub(super) fn add(
        &mut self,
        from: &str,
        kind: FileKind,
        to: String,
        root: &Node,
        selector: Map<String, Value>,
    ) {
        let (root, mut found) = examined(kind, root);
        if self.leaves_unknown {
            let unknown = found.iter_mut().filter(|problem| problem.message.starts_with(UNKNOWN_KEY));
            unknown.for_each(|problem| problem.severity = Severity::NotYet);
        }
        // These keys would have no effect in a policy of Beadle.
        let places: Vec<(u32, u32)> = found
            .iter()
            .filter(|problem| problem.severity == Severity::NotYet)
            .map(|problem| (problem.asked.line, problem.column))
            .collect();
        let root = without_places(&root, &places);
        self.problems.extend(found);
        let is_error = self.problems.iter().any(|problem| problem.severity == Severity::Error);
        let is_empty = |section: &Node| matches!(&section.kind, Kind::Map(entries) if entries.is_empty());
        if self.leaves_unknown && !is_error && root.entries().iter().all(|(_, section)| is_empty(section)) {
            self.problems.push(problem(&root, "no settings found").severity(Severity::Warning));
            return;
        }
        let mut values = selector;
        if let Value::Object(sections) = root.json() {
            values.extend(sections);
        }
        if values.is_empty() {
            values.insert("repository".to_owned(), json!({}));
        }
        let text = format!("# Converted from {} by `beadle import`.\n{}", comment(from), yaml(&values));
        let is_taken = self.files.keys().any(|other| other.eq_ignore_ascii_case(&to));
        if is_taken {
            self.problems.push(problem(&root, &format!("two of the files would become {to}")));
            return;
        }
        self.files.insert(to, text);
    }
}

/// Creates an error at the place of a value.
pub(super) fn problem(at: &Node, text: &str) -> Problem {
    let asked = PolicyLocation { file: at.asked.file.clone(), line: at.asked.line.max(1) };
    Problem::error(asked, at.column.max(1), text)
}

/// Creates a finding about a key that Beadle cannot convert.
pub(super) fn unconverted(at: &Node, text: &str) -> Problem {
    problem(at, text).severity(Severity::NotYet)
}
