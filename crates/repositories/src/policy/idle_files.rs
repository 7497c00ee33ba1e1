//! Finds files that apply to no repository. All findings are warnings, because such a file does no
//! harm.

use beadle_engine::PolicyLocation;

use super::layers::{Layer, LayerKind};
use super::problem::{Problem, Severity};
use super::restricted::Restricted;

/// Finds two kinds of files: suborgs without a selector, and files in repos/ whose repository is
/// excluded by `restrictedRepos`. The function does not report a repository that is missing in
/// `include`, because many organisations include only a few repositories at first.
pub(super) fn idle_files(layers: &[Layer], restricted: &Restricted) -> Vec<Problem> {
    let warning = |layer: &Layer| {
        let (text, hint) = match &layer.kind {
            LayerKind::Suborg { globs, teams, properties }
                if globs.is_empty() && teams.is_empty() && properties.is_empty() =>
            {
                let text = "the file selects no repository, so it has no effect";
                (text.to_owned(), "write `suborgrepos`, `suborgteams` or `suborgproperties`")
            }
            LayerKind::Repository(name) => {
                let pattern = restricted.excluding(name)?.text();
                let text = format!("`restrictedRepos` excludes this repository with `{pattern}`");
                (format!("{text}: the file has no effect"), "delete the file, or change `restrictedRepos`")
            }
            _ => return None,
        };
        let asked = PolicyLocation { file: layer.file.as_str().into(), line: 1 };
        Some(Problem::error(asked, 1, text).severity(Severity::Warning).hint(hint))
    };
    layers.iter().filter(|layer| !layer.is_empty()).filter_map(warning).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::policy::{Policy, Severity};

    /// Returns the warnings about the files of a policy.
    fn warnings(files: &[(&str, &str)]) -> Vec<String> {
        let files = files.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect();
        let policy = Policy::from_sources(files, "admin", Path::new("policy"));
        let policy = policy.unwrap_or_else(|error| panic!("{error}"));
        assert!(
            policy.remarks.iter().all(|found| found.severity == Severity::Warning),
            "{:?}",
            policy.remarks
        );
        policy.remarks.iter().map(|found| format!("{} {}", found.asked, found.message)).collect()
    }

    #[test]
    fn a_suborg_without_a_selector_is_a_warning() {
        let wiki = "repository: { has_wiki: true }\n";
        for (selector, count) in [
            ("", 1),
            ("suborgrepos: []\nsuborgteams: []\n", 1),
            ("suborgteams: [core]\nsuborgrepos: []\n", 0),
        ] {
            let found = warnings(&[("suborgs/a.yml", &format!("{selector}{wiki}")), ("settings.yml", wiki)]);
            assert_eq!(found.len(), count, "{selector}: {found:?}");
            assert!(
                found.iter().all(|text| text.starts_with("suborgs/a.yml:1 the file selects no")),
                "{found:?}"
            );
        }
    }

    #[test]
    fn a_file_for_an_excluded_repository_is_a_warning() {
        let wiki = "repository: { has_wiki: true }\n";
        for (restricted, count) in [
            ("restrictedRepos: [Shop]\n", 1),
            ("restrictedRepos: { exclude: ['^sh'] }\n", 1),
            ("restrictedRepos: { include: [till] }\n", 0),
            ("restrictedRepos: [till]\n", 0),
        ] {
            let files = [("repos/shop.yml", wiki), ("deployment-settings.yml", restricted)];
            let found = warnings(&files);
            assert_eq!(found.len(), count, "{restricted}: {found:?}");
            assert!(found.iter().all(|text| text.starts_with("repos/shop.yml:1 ")), "{found:?}");
        }
    }
}
