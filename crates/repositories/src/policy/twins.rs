//! Finds files of a policy that differ only in their extensions.

use std::collections::BTreeMap;

use beadle_engine::PolicyLocation;

use super::problem::Problem;
use super::template_files::is_template_file;

/// Finds files whose paths differ only in the extension, and returns an error for each of them.
/// `sources` contains the texts of the policy's files.
pub(super) fn twins(sources: &BTreeMap<String, String>) -> Vec<Problem> {
    let mut stems: BTreeMap<String, &str> = BTreeMap::new();
    let mut problems = Vec::new();
    for file in sources.keys().filter(|file| !is_template_file(file)) {
        if let Some(other) = stems.insert(stem(file).to_lowercase(), file) {
            let asked = PolicyLocation { file: file.as_str().into(), line: 1 };
            let text = format!("{other} differs from this file only in the extension; keep one of them");
            problems.push(Problem::error(asked, 1, text));
        }
    }
    problems
}

/// Returns the path of a file without its extension.
fn stem(file: &str) -> &str {
    file.rsplit_once('.').map_or(file, |(stem, _)| stem)
}
