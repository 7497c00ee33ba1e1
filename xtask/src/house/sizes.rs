//! Checks the length of files. A Rust file must not have more than 500 lines. `xtask/house.toml`
//! can state the reason for a longer file.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::rules::LargeFile;

/// The maximum number of lines in a file, if `xtask/house.toml` has no reason for a longer file.
const MOST: usize = 500;

/// Returns a problem for each long file without a stated reason. Also returns a problem for each
/// stated reason that belongs to a short file.
pub(super) fn problems(
    root: &Path,
    folders: &[PathBuf],
    allowed: &[LargeFile],
) -> anyhow::Result<Vec<String>> {
    let mut files = Vec::new();
    for folder in folders {
        collect(folder, &mut files)?;
    }
    files.sort();
    let mut long = Vec::new();
    for path in files {
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let lines = text.lines().count();
        if lines > MOST {
            long.push((path.strip_prefix(root).unwrap_or(&path).display().to_string(), lines));
        }
    }
    let unexplained = long.iter().filter(|(file, _)| !allowed.iter().any(|one| one.file == *file));
    let mut problems: Vec<String> = unexplained
        .map(|(file, lines)| {
            format!(
                "{file} has {lines} lines, more than {MOST}: split it, or add it as `[[large]]` with a reason"
            )
        })
        .collect();
    for one in allowed {
        let file = &one.file;
        if one.reason.trim().is_empty() {
            problems.push(format!("`[[large]]` of {file} has no reason"));
        }
        if !long.iter().any(|(long, _)| long == file) {
            problems
                .push(format!("`[[large]]` names {file}, which has no more than {MOST} lines: remove it"));
        }
    }
    Ok(problems)
}

/// Adds Rust files to `files`: all Rust files in a folder and in the folders below this folder.
pub(super) fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            if path.file_name().is_none_or(|name| name != "target") {
                collect(&path, files)?;
            }
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the check on a folder that contains one file with this number of lines. Returns the
    /// problems.
    fn found(lines: usize, allowed: &[(&str, &str)]) -> Vec<String> {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("crates/engine/src");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("guard.rs"), "//\n".repeat(lines)).unwrap();
        std::fs::write(folder.join("data.json"), "\n".repeat(1000)).unwrap();
        let allowed: Vec<LargeFile> = allowed
            .iter()
            .map(|(file, reason)| LargeFile { file: (*file).to_owned(), reason: (*reason).to_owned() })
            .collect();
        problems(root.path(), &[root.path().join("crates/engine")], &allowed).unwrap()
    }

    #[test]
    fn a_long_file_needs_a_reason() {
        assert_eq!(found(500, &[]), [""; 0]);
        let problems = found(501, &[]);
        assert!(problems[0].starts_with("crates/engine/src/guard.rs has 501 lines"), "{problems:?}");
        assert_eq!(found(501, &[("crates/engine/src/guard.rs", "It is one table.")]), [""; 0]);
        let problems = found(501, &[("crates/engine/src/guard.rs", " ")]);
        assert_eq!(problems, ["`[[large]]` of crates/engine/src/guard.rs has no reason"]);
    }

    #[test]
    fn a_reason_without_a_long_file_is_removed() {
        let problems = found(500, &[("crates/engine/src/guard.rs", "It is one table.")]);
        assert!(problems[0].starts_with("`[[large]]` names crates/engine/src/guard.rs"), "{problems:?}");
    }
}
