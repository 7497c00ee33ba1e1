//! The reasons why a policy is not accepted.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use super::problem::{Problem, Severity};

/// The reason why a policy is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// Beadle cannot read a file or the folder. The last accepted generation stays in force.
    #[error("cannot read {}: {why}", path.display())]
    Unreadable {
        /// The path of the file or the folder.
        path: PathBuf,
        /// The error of the operating system.
        why: std::io::Error,
    },
    /// The folder has no file of a policy.
    #[error("{}: no policy found: the folder must have settings.yml, suborgs/, layers/ or repos/", .0.display())]
    Empty(PathBuf),
    /// The folder has no file of a policy, but its folder `.github` has. Beadle does not choose that
    /// folder itself: its `settings.yml` may be the file of another tool for one repository.
    #[error("{}: no policy found: {} has files of a policy\n  hint: set `policy` to that folder", folder.display(), inner.display())]
    Inside {
        /// The folder of the configuration.
        folder: PathBuf,
        /// The folder with the files.
        inner: PathBuf,
    },
    /// Beadle itself failed. The last accepted generation stays in force.
    #[error("{}: Beadle failed with an internal error while it read this policy; please report it", .0.display())]
    Panicked(PathBuf),
    /// The files have errors.
    #[error("{}", render(problems, sources))]
    Invalid {
        /// All findings, also those that are not errors.
        problems: Vec<Problem>,
        /// The texts of the files, for excerpts.
        sources: BTreeMap<String, String>,
    },
}

fn render(problems: &[Problem], sources: &BTreeMap<String, String>) -> String {
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error);
    let mut text = String::new();
    for problem in errors {
        let _ = writeln!(text, "{}", problem.render(sources.get(&*problem.asked.file).map(String::as_str)));
    }
    text.trim_end().to_owned()
}
