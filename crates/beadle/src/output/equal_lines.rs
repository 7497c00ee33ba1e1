//! Groups equal lines about several repositories, so that a person reads each line only once.

use std::collections::HashMap;

use beadle_engine::examples;

use crate::output::plural::counted;

/// The number of names that a text shows for equal lines, if nobody asks for all names.
pub(crate) const EXAMPLES: usize = 5;

/// The lines that are the same for exactly these repositories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EqualLines<'a> {
    /// The names of the repositories, in the order of the lines.
    pub(crate) names: Vec<&'a str>,
    /// The lines, without the names.
    pub(crate) lines: Vec<String>,
}

/// Groups lines. Each line comes with the name of its repository. The groups are in the order of
/// their first lines.
pub(crate) fn equal_lines<'a>(all: impl IntoIterator<Item = (&'a str, String)>) -> Vec<EqualLines<'a>> {
    let mut of_lines: Vec<(String, Vec<&'a str>)> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for (name, line) in all {
        let place = *places.entry(line.clone()).or_insert(of_lines.len());
        match of_lines.get_mut(place) {
            Some((_, names)) if names.last() == Some(&name) => {}
            Some((_, names)) => names.push(name),
            None => of_lines.push((line, vec![name])),
        }
    }
    let mut groups: Vec<EqualLines<'a>> = Vec::new();
    let mut places: HashMap<Vec<&'a str>, usize> = HashMap::new();
    for (line, names) in of_lines {
        let place = *places.entry(names.clone()).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.lines.push(line),
            None => groups.push(EqualLines { names, lines: vec![line] }),
        }
    }
    groups
}

/// Returns the name if there is only one. Otherwise, returns the number of names and the first
/// `most` names.
pub(crate) fn heading(names: &[&str], (one, many): (&str, &str), most: usize) -> String {
    match names {
        [name] => (*name).to_owned(),
        _ => format!("{}: {}", counted(names.len(), one, many), examples(names, most)),
    }
}

/// Returns the noun for keys of the kind `kind` in an undo, in the singular and in the plural.
pub(crate) fn noun(kind: &str) -> (&'static str, &'static str) {
    if kind == "organisation" { ("organisation", "organisations") } else { ("repository", "repositories") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_several_repositories_is_in_one_group() {
        let lines = [("a", "wiki"), ("a", "team"), ("b", "wiki"), ("b", "team"), ("c", "wiki"), ("c", "own")];
        let groups = equal_lines(lines.map(|(name, line)| (name, line.to_owned())));
        let shown: Vec<(String, Vec<&str>)> = groups
            .iter()
            .map(|group| (group.names.join(" "), group.lines.iter().map(String::as_str).collect()))
            .collect();
        let expected = [("a b c", vec!["wiki"]), ("a b", vec!["team"]), ("c", vec!["own"])];
        assert_eq!(shown, expected.map(|(names, lines)| (names.to_owned(), lines)));
        let both =
            equal_lines([("a", "x"), ("a", "y"), ("a", "y")].map(|(name, line)| (name, line.to_owned())));
        assert_eq!(both, [EqualLines { names: vec!["a"], lines: vec!["x".to_owned(), "y".to_owned()] }]);
    }

    #[test]
    fn the_heading_names_one_repository_or_counts_several() {
        let noun = noun("repository");
        assert_eq!(heading(&["acme/shop"], noun, 1), "acme/shop");
        assert_eq!(heading(&["a", "b", "c"], noun, 2), "3 repositories: a, b and 1 more");
        assert_eq!(heading(&["a", "b"], noun, usize::MAX), "2 repositories: a, b");
    }
}
