//! The reasons why Beadle refuses a policy.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use super::problem::{Problem, Severity};

/// The reason why Beadle refuses a policy.
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
    /// The folder contains no policy file.
    #[error("{}: no policy found: the folder must have settings.yml, suborgs/, layers/ or repos/", .0.display())]
    Empty(PathBuf),
    /// The folder contains no policy file, but its subfolder `.github` contains policy files.
    /// Beadle does not use this subfolder automatically. The `settings.yml` in this subfolder might
    /// belong to another tool and apply to a single repository.
    #[error("{}: no policy found: {} has files of a policy\n  hint: set `policy` to that folder", folder.display(), inner.display())]
    Inside {
        /// The folder in the configuration.
        folder: PathBuf,
        /// The subfolder that contains policy files.
        inner: PathBuf,
    },
    /// Beadle failed because of an internal error. The last accepted generation stays in force.
    #[error("{}: Beadle failed with an internal error while it read this policy; please report it", .0.display())]
    Panicked(PathBuf),
    /// The files of the policy have errors.
    #[error("{}", render(problems, sources))]
    Invalid {
        /// All findings, including warnings.
        problems: Vec<Problem>,
        /// The texts of the files. Messages show excerpts from these texts.
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
