//! Checks the names of the files in `repos/` against `validator.pattern`.

use super::layers::{Layer, LayerKind};
use super::meeting::{Part, parts};
use super::name_pattern::{LastPattern, SECTION, mismatch};
use super::node::Node;
use super::problem::{Problem, Severity};

/// Finds the files in `repos/` whose repository names do not match the pattern. `layers` must be
/// sorted by rank. `disabled` contains the sections that Beadle does not apply.
pub(super) fn mismatches(layers: &[Layer], disabled: &[String]) -> Vec<Problem> {
    let mut off = disabled.iter().chain(layers.iter().flat_map(|layer| &layer.disabled_above));
    let is_set = |root: &Node| root.get(SECTION).is_some();
    if off.any(|name| name == SECTION) || !layers.iter().flat_map(Layer::roots).any(is_set) {
        return Vec::new();
    }
    let (parts, mut last) = (parts(layers), LastPattern::default());
    let setting: Vec<&Part<'_>> = parts.iter().filter(|part| part.root.is_some_and(is_set)).collect();
    parts.iter().filter_map(|part| mismatch_of(part, &setting, &mut last)).collect()
}

/// Returns the finding about one file in `repos/`. If the applicable pattern is not clear from the
/// policy's files, the function returns no finding. `setting` contains the parts that set a
/// pattern.
fn mismatch_of(part: &Part<'_>, setting: &[&Part<'_>], last: &mut LastPattern) -> Option<Problem> {
    let layer = part.layer?;
    let LayerKind::Repository(name) = &layer.kind else { return None };
    let others: Vec<&&Part<'_>> = setting.iter().filter(|other| !other.is_apart_from(part)).collect();
    if !others.iter().all(|other| other.covers(part)) {
        return None;
    }
    let section = others.last()?.root?.get(SECTION)?;
    let why = mismatch(section, layer.given_name().unwrap_or(name), last)?;
    let problem = Problem::error(layer.root.asked.clone(), 1, why).severity(Severity::Warning);
    Some(problem.hint("rename the repository and this file, or change the pattern"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::policy::Policy;

    /// Returns the findings of this check. Each finding comes with its line.
    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let files = files.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect();
        let policy = Policy::from_sources(files, "admin", Path::new("policy"));
        let policy = policy.unwrap_or_else(|error| panic!("{error}"));
        let remarks = policy.remarks.iter().filter(|problem| problem.message.contains("does not match"));
        remarks.map(|problem| format!("{} {}", problem.asked, problem.message)).collect()
    }

    #[test]
    fn the_check_names_the_files_whose_names_do_not_match() {
        const SETTINGS: &str = "validator: { pattern: '^team-' }\n";
        const WIKI: &str = "repository: { has_wiki: false }\n";
        let all = |more: &[(&str, &str)]| {
            let files = [("settings.yml", SETTINGS), ("repos/shop.yml", WIKI), ("repos/team-a.yml", WIKI)];
            found(&[&files[..], more].concat())
        };
        let message =
            "repos/shop.yml:1 the name `shop` does not match `validator.pattern` `^team-` (settings.yml:1)";
        assert_eq!(all(&[]), [message]);
        // A layer can set another pattern for the repository.
        let own = "select: { name: shop }\nvalidator: { pattern: '^shop' }\n";
        assert_eq!(all(&[("layers/shop.yml", own)]), Vec::<String>::new());
        // Only GitHub shows whether the layer applies to the repository.
        let unsure = "select: { topic: web }\nvalidator: { pattern: '^shop' }\n";
        assert_eq!(all(&[("layers/web.yml", unsure)]), Vec::<String>::new());
        let disabled = "disable_plugins: [validator]\n";
        assert_eq!(all(&[("deployment-settings.yml", disabled)]), Vec::<String>::new());
    }

    #[test]
    fn the_file_of_a_repository_can_have_its_own_pattern() {
        let files = [
            ("settings.yml", "validator: { pattern: '^team-' }\n"),
            ("repos/shop.yml", "validator: { pattern: shop }\n"),
            ("repos/till.yml", "validator: { pattern: shop }\n"),
        ];
        let found = found(&files);
        let message =
            "repos/till.yml:1 the name `till` does not match `validator.pattern` `shop` (repos/till.yml:1)";
        assert_eq!(found, [message]);
    }
}
