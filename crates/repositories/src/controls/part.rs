//! Divides the declared values of a repository into parts. There is one part for each file of the
//! policy. If several repositories have the same values from a file, these repositories share one
//! part, and the store contains this part only once.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::state::ControlLine;
use crate::policy::{BASE, DeclaredControl, Policy};

/// The maximum length of a stored value, in characters. People read stored values, and an undo
/// compares them.
const VALUE: usize = 200;

/// The values that one file declares for a repository.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// A digest of the file, the paths and the values.
    pub(super) digest: String,
    /// The path of the file.
    pub(super) file: Arc<str>,
    /// The commit that contains the file.
    pub(super) commit: String,
    /// The values. The key is the path of the value.
    pub(super) controls: BTreeMap<String, ControlLine>,
}

/// Returns the commit that a policy file comes from. For a policy in a folder, the function returns
/// the generation instead of a commit.
pub(super) fn commit_of(policy: &Policy, file: &str) -> String {
    let origin = if file.starts_with(BASE) { &policy.base } else { &policy.origin };
    origin.as_ref().map_or_else(|| policy.generation.clone(), |origin| origin.commit.id.clone())
}

/// Divides the values of a repository into parts, one part for each file that declares values.
pub(super) fn parts(policy: &Policy, controls: Vec<DeclaredControl>) -> Vec<Part> {
    let mut files: BTreeMap<Arc<str>, BTreeMap<String, (String, u32)>> = BTreeMap::new();
    for DeclaredControl { path, value, asked } in controls {
        files.entry(asked.file).or_default().insert(path, (value.to_string(), asked.line));
    }
    let part = |(file, controls): (Arc<str>, BTreeMap<String, (String, u32)>)| Part {
        digest: digest(&file, &controls),
        commit: commit_of(policy, &file),
        file,
        controls: controls
            .into_iter()
            .map(|(path, (value, line))| (path, ControlLine { value: cut(value), line }))
            .collect(),
    };
    files.into_iter().map(part).collect()
}

fn digest(file: &str, controls: &BTreeMap<String, (String, u32)>) -> String {
    let mut hash = Sha256::new();
    let values = controls.iter().flat_map(|(path, (value, _))| [path.as_str(), value.as_str()]);
    for text in std::iter::once(file).chain(values) {
        hash.update(text.as_bytes());
        hash.update([0]);
    }
    hash.finalize().iter().take(16).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing to a string cannot fail
        text
    })
}

/// Returns the part of a value that the record stores.
pub(super) fn cut(value: String) -> String {
    match value.char_indices().nth(VALUE) {
        Some((at, _)) => format!("{}…", &value[..at]),
        None => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_covers_the_file_the_paths_and_the_values_but_no_line() {
        let digest = |file: &str, path: &str, value: &str, line: u32| {
            super::digest(file, &BTreeMap::from([(path.to_owned(), (value.to_owned(), line))]))
        };
        let one = digest("settings.yml", "teams", "1", 3);
        assert_eq!(digest("settings.yml", "teams", "1", 4), one);
        assert_ne!(digest("repos/a.yml", "teams", "1", 3), one);
        assert_ne!(digest("settings.yml", "labels", "1", 3), one);
        assert_ne!(digest("settings.yml", "teams", "2", 3), one);
    }

    #[test]
    fn a_long_value_is_cut_between_two_characters() {
        assert_eq!(cut("é".repeat(VALUE + 5)), format!("{}…", "é".repeat(VALUE)));
        assert_eq!(cut("é".repeat(VALUE)), "é".repeat(VALUE));
    }
}
