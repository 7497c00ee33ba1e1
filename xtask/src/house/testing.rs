//! Checks who asks for the feature `testing`. Some packages offer tools for tests in a module
//! `testing`, which exists only with this feature.
//!
//! If one package of a build asks for the feature, cargo sets it for all packages of the build. So
//! a package that lacks the feature in its manifest can be tested together with the whole
//! workspace. But its tests cannot be built alone, for example with `cargo test --package` or
//! `cargo xtask storm`.

use std::path::PathBuf;

use anyhow::Context as _;

use super::members::Member;
use super::sizes::collect;

/// Returns a problem for each package that uses the module `testing` of another package and does
/// not ask for its feature `testing`.
pub(super) fn problems(members: &[Member]) -> anyhow::Result<Vec<String>> {
    let mut problems = Vec::new();
    for member in members {
        let mut files: Vec<PathBuf> = Vec::new();
        collect(&member.folder, &mut files)?;
        files.sort();
        let lacks =
            |other: &&str| *other != member.name && !member.with_testing.iter().any(|name| name == other);
        let mut lacking: Vec<&str> = members.iter().map(|other| other.name.as_str()).filter(lacks).collect();
        for file in &files {
            let text =
                std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
            let code: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
            let (name, file) = (&member.name, file.display());
            lacking.retain(|other| {
                let is_used = uses_testing(&code, &other.replace('-', "_"));
                if is_used {
                    problems.push(format!(
                        "{file} uses the module `testing` of {other}: add the feature `testing` to the entry of {other} \
                         below `[dev-dependencies]` of {name}"
                    ));
                }
                !is_used
            });
        }
    }
    Ok(problems)
}

/// Returns whether `code` contains the path of the module `testing` of a crate. Also finds an
/// import of several items, such as `use beadle_engine::{Key, testing};`.
fn uses_testing(code: &str, name: &str) -> bool {
    let prefix = format!("{name}::");
    code.match_indices(&prefix).any(|(at, _)| {
        let rest = &code[at + prefix.len()..];
        let items = match rest.strip_prefix('{') {
            Some(items) => group(items),
            None => rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default(),
        };
        items.split(|c: char| !c.is_alphanumeric() && c != '_').any(|item| item == "testing")
    })
}

/// Returns the items of a group of imports. `text` begins after the opening brace of the group.
fn group(text: &str) -> &str {
    let mut depth = 1;
    let end = text.find(|c| {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        depth == 0
    });
    &text[..end.unwrap_or(text.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The name of a crate. The tests put this name into texts, so that this file itself does not
    /// contain a path of the crate.
    const ENGINE: &str = "beadle_engine";

    #[test]
    fn a_package_asks_for_the_tools_that_its_tests_use() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("github");
        std::fs::create_dir_all(own.join("tests")).unwrap();
        std::fs::write(own.join("tests/walk.rs"), format!("use {ENGINE}::testing::hold;\n")).unwrap();
        // A comment is not a use.
        let other = folder.path().join("okta");
        std::fs::create_dir(&other).unwrap();
        std::fs::write(other.join("lib.rs"), format!("    // See {ENGINE}::testing.\n")).unwrap();
        let empty = folder.path().join("engine");
        std::fs::create_dir(&empty).unwrap();
        let member = |name: &str, folder: &PathBuf, with_testing: &[&str]| Member {
            name: name.to_owned(),
            folder: folder.clone(),
            roots: Vec::new(),
            dependencies: Vec::new(),
            with_testing: with_testing.iter().map(|&name| name.to_owned()).collect(),
        };
        let found = |with_testing: &[&str]| {
            let members = [
                member("beadle-engine", &empty, &[]),
                member("beadle-github", &own, with_testing),
                member("beadle-okta", &other, &[]),
            ];
            problems(&members).unwrap()
        };
        assert_eq!(found(&["beadle-engine"]), [""; 0]);
        let without = found(&["beadle-transport"]);
        assert_eq!(without.len(), 1, "{without:?}");
        assert!(without[0].ends_with("below `[dev-dependencies]` of beadle-github"), "{without:?}");
    }

    #[test]
    fn each_form_of_an_import_is_found() {
        let uses = |text: &str| uses_testing(&text.replace("CRATE", ENGINE), ENGINE);
        assert!(uses("use CRATE::testing;"));
        assert!(uses("    let hold = CRATE::testing::hold(1);"));
        assert!(uses("use CRATE::{\n    Key, testing,\n};"));
        assert!(uses("use CRATE::{guard::{Hold, Ruling}, testing};"));
        assert!(!uses("use CRATE::{Key, Lane};\nuse another::testing;"));
        assert!(!uses("use CRATE::testing_times;"));
    }
}
