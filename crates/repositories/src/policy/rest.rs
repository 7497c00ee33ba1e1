//! Finds layers that select repositories by a value that the policy itself sets. With such a layer,
//! an apply can change which repositories the layer selects. So each apply might change something
//! again. All findings are warnings, because with some of these policies, the first apply already
//! makes all changes.

use std::collections::BTreeMap;

use super::lists::{entries, list_of, removed};
use super::node::{Kind, Node};
use super::problem::{Problem, Severity};

/// A kind of value that the selector of a layer can use.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Fact {
    Visibility,
    Topic,
    Team,
    Property(String),
}

impl Fact {
    /// Returns the sections that can set the value. The key `disable_plugins` can disable these
    /// sections.
    fn sections(&self) -> &'static [&'static str] {
        match self {
            Self::Visibility => &["repository"],
            Self::Topic => &["repository", "topics"],
            Self::Team => &["teams"],
            Self::Property(_) => &["custom_properties"],
        }
    }

    /// Returns whether `disable_plugins` disables one of the sections that can set the value.
    pub(super) fn is_disabled(&self, disabled: &[String]) -> bool {
        self.sections().iter().any(|section| disabled.iter().any(|other| other == section))
    }
}

/// A condition of a file's selector. The condition checks one kind of value.
pub(super) struct Pick<'a> {
    pub(super) fact: Fact,
    /// The values that match the condition.
    values: Vec<String>,
    /// The place of the condition in the file.
    pub(super) at: &'a Node,
    /// True if the condition is in `except`. The file then applies only to repositories that have
    /// none of these values.
    pub(super) is_excepted: bool,
}

/// Sections of a file that always apply together, with the conditions for these sections.
struct Part<'a> {
    file: &'a str,
    picks: Vec<Pick<'a>>,
    root: &'a Node,
}

/// The effect of some sections of a file on a condition.
pub(super) struct Effect<'a> {
    /// True if a repository matches the condition after Beadle has applied the sections.
    pub(super) matches: bool,
    /// The place in the file that has this effect.
    pub(super) at: &'a Node,
    /// True if the sections set the value. False if a list removes the value.
    pub(super) is_written: bool,
}

/// Finds each file that changes its own selection of repositories with its values. Also finds
/// groups of files that change each other's selections in a circle. `files` contains the parsed
/// files. `disabled` contains the sections that Beadle does not apply.
pub(super) fn unrest(files: &BTreeMap<String, Node>, disabled: &[String]) -> Vec<Problem> {
    let parts: Vec<Part<'_>> = files.iter().flat_map(|(file, root)| parts(file, root)).collect();
    let mut problems = Vec::new();
    // Each pair contains the indexes of two parts. A value of the first part decides whether the
    // second part applies.
    let mut decides: Vec<(usize, usize)> = Vec::new();
    let mut ends: Vec<(usize, usize, &Node, &Node)> = Vec::new();
    // In a large policy, most files are in repos/. These files do not select repositories by a
    // value.
    let readers: Vec<(usize, &Part<'_>)> =
        parts.iter().enumerate().filter(|(_, part)| !part.picks.is_empty()).collect();
    for (at, writer) in parts.iter().enumerate() {
        for (place, reader) in readers.iter().copied() {
            for pick in reader.picks.iter().filter(|pick| !pick.fact.is_disabled(disabled)) {
                let Some(effect) = effect(writer.root, pick) else { continue };
                let applies = effect.matches != pick.is_excepted;
                // A file without a selector always applies, so it cannot be in a circle.
                let is_other = writer.file != reader.file && !writer.picks.is_empty();
                if at == place {
                    let is_kept = applies || (!effect.is_written && is_listed(files, pick));
                    problems.extend((!is_kept).then(|| own(&effect, pick)));
                } else if effect.is_written && is_other {
                    decides.push((at, place));
                    if !applies {
                        ends.push((at, place, effect.at, pick.at));
                    }
                }
            }
        }
    }
    for (writer, reader, value, pick) in ends {
        if leads(&decides, reader, writer) {
            let text = format!(
                "this value removes repositories from the selection at {}, and that file decides, directly or through \
                 others, whether this file reaches them: the policy may change them again and again",
                pick.asked
            );
            let problem = Problem::error(value.asked.clone(), value.column, text);
            let hint = "select by a value that no file of the circle sets";
            let problem = problem.severity(Severity::Warning).hint(hint);
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
    }
    problems
}

/// Creates the warning about a file that changes its own selection of repositories with its values.
fn own(effect: &Effect<'_>, pick: &Pick<'_>) -> Problem {
    let what = match (effect.is_written, pick.is_excepted) {
        (true, true) => "this value matches `except` of the same file",
        (true, false) => "this value does not match the selector of the same file",
        (false, _) => "this list removes the value by which the file selects",
    };
    let text = format!("{what} ({}): the file removes repositories from its own selection", pick.at.asked);
    let problem = Problem::error(effect.at.asked.clone(), effect.at.column, text);
    let problem = problem.severity(Severity::Warning);
    problem.hint("change the selector, or select by a value that the file does not set")
}

/// Returns `true` if part `from` decides whether part `to` applies, either directly or through
/// other parts.
fn leads(decides: &[(usize, usize)], from: usize, to: usize) -> bool {
    let mut reached = vec![from];
    let mut next = 0;
    while let Some(at) = reached.get(next).copied() {
        next += 1;
        for (_, place) in decides.iter().filter(|(writer, _)| *writer == at) {
            if !reached.contains(place) {
                reached.push(*place);
            }
        }
    }
    reached[1..].contains(&to)
}

fn parts<'a>(file: &'a str, root: &'a Node) -> Vec<Part<'a>> {
    let mut parts = vec![Part { file, picks: picks(root, None), root }];
    for (at, case) in root.get("first_match").map(Node::items).unwrap_or_default().iter().enumerate() {
        parts.push(Part { file, picks: picks(root, Some(at)), root: case });
    }
    parts
}

/// Returns the conditions of a file, or of one entry in the file's `first_match`. `case` is the
/// index of the entry.
pub(super) fn picks(root: &Node, case: Option<usize>) -> Vec<Pick<'_>> {
    let mut picks = chosen(root);
    picks.extend(of_suborg(root));
    if let Some(case) = case.and_then(|at| root.get("first_match")?.items().get(at)) {
        picks.extend(chosen(case));
    }
    picks
}

fn texts(node: &Node) -> Vec<String> {
    let text = |node: &Node| match node.json() {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    };
    match &node.kind {
        Kind::List(items) => items.iter().map(text).collect(),
        _ => vec![text(node)],
    }
}

/// Returns the conditions in `select` and `except`.
fn chosen(root: &Node) -> Vec<Pick<'_>> {
    let mut picks = Vec::new();
    for (key, is_excepted) in [("select", false), ("except", true)] {
        let Some(block) = root.get(key) else { continue };
        // A repository is an exception only if it matches all keys of `except`. If there are
        // several keys, no single value decides whether the repository is an exception.
        if is_excepted && block.entries().len() != 1 {
            continue;
        }
        let mut pick = |fact, at| picks.push(Pick { fact, values: texts(at), at, is_excepted });
        for (name, value) in block.entries() {
            match name.text() {
                Some("visibility") => pick(Fact::Visibility, value),
                Some("topic") => pick(Fact::Topic, value),
                Some("team") => pick(Fact::Team, value),
                Some("property") if !is_excepted || value.entries().len() == 1 => {
                    for (name, value) in value.entries() {
                        let name = name.text().unwrap_or_default();
                        pick(Fact::Property(name.to_owned()), value);
                    }
                }
                _ => {}
            }
        }
    }
    picks
}

/// Returns the condition of a suborg if the suborg has exactly one list. If there are several
/// lists, a repository needs to match only one of them. So no single list decides whether the
/// suborg applies.
fn of_suborg(root: &Node) -> Option<Pick<'_>> {
    let lists = ["suborgrepos", "suborgteams", "suborgproperties"].map(|key| root.get(key));
    match lists {
        [None, Some(at), None] => Some(Pick { fact: Fact::Team, values: texts(at), at, is_excepted: false }),
        [None, None, Some(list)] => {
            let [item] = list.items() else { return None };
            let (name, at) = match (item.get("property_name"), item.get("values")) {
                (Some(name), Some(values)) => (name, values),
                _ => item.entries().first().map(|(name, value)| (name, value))?,
            };
            let fact = Fact::Property(name.text()?.to_owned());
            Some(Pick { fact, values: texts(at), at, is_excepted: false })
        }
        _ => None,
    }
}

/// Returns the effect of some sections on a condition. Returns `None` if the sections have no
/// effect on the condition.
pub(super) fn effect<'a>(root: &'a Node, pick: &Pick<'_>) -> Option<Effect<'a>> {
    let is_picked = |text: &str| pick.values.iter().any(|value| value.eq_ignore_ascii_case(text));
    let written = |at: &'a Node, matches: bool| Effect { matches, at, is_written: true };
    match &pick.fact {
        Fact::Visibility => {
            let repository = root.get("repository")?;
            if let Some(at) = repository.get("visibility") {
                return Some(written(at, is_picked(at.text()?)));
            }
            let at = repository.get("private")?;
            let is_private = at.bool()?;
            // With `private: true`, an internal repository stays internal.
            let is_kept = is_private && is_picked("internal");
            let visibility = if is_private { "private" } else { "public" };
            (!is_kept).then(|| written(at, is_picked(visibility)))
        }
        Fact::Topic => {
            let list = root.get("repository")?.get("topics")?;
            let items = list_of(list).items();
            listed(list, items.iter().find(|item| item.text().is_some_and(is_picked)), &is_picked)
        }
        Fact::Team => {
            let list = root.get("teams")?;
            // An entry with `include` or `exclude` applies only to some repositories. So the effect
            // of this entry is not certain.
            let for_some = |item: &Node| item.get("include").is_some() || item.get("exclude").is_some();
            let item = team(root, pick);
            if item.is_some_and(for_some) { None } else { listed(list, item, &is_picked) }
        }
        Fact::Property(property) => {
            let list = root.get("custom_properties")?;
            let name = |item: &Node| {
                let name = item.get("name").or(item.get("property_name")).and_then(Node::text);
                name.is_some_and(|name| name.eq_ignore_ascii_case(property))
            };
            let item = entries(root, "custom_properties").iter().find(|item| name(item));
            match item.and_then(|item| item.get("value")) {
                // The value depends on a file of lower rank.
                Some(value) if !removed(value).is_empty() => None,
                // In the values of a property, upper and lower case are different.
                Some(value) => {
                    let value = list_of(value);
                    let matches = texts(value).iter().any(|text| pick.values.contains(text));
                    Some(written(value, matches && !value.is_null()))
                }
                None => listed(list, None, &|name| name.eq_ignore_ascii_case(property)),
            }
        }
    }
}

/// Finds an entry for one of the condition's teams in the sections.
fn team<'a>(root: &'a Node, pick: &Pick<'_>) -> Option<&'a Node> {
    entries(root, "teams").iter().find(|item| {
        let name = item.get("name").and_then(Node::text);
        name.is_some_and(|name| pick.values.iter().any(|value| value.eq_ignore_ascii_case(name)))
    })
}

/// Returns the effect of a list on a condition. `item` is the list's entry with the selected value,
/// if the list has such an entry. `is_picked` takes a name, and returns whether the condition
/// selects this name. A list with the value null removes nothing.
fn listed<'a>(
    list: &'a Node,
    item: Option<&'a Node>,
    is_picked: &dyn Fn(&str) -> bool,
) -> Option<Effect<'a>> {
    let name = |item: &'a Node| item.get("name").or(item.get("property_name")).unwrap_or(item).text();
    match item {
        Some(at) => Some(Effect { matches: true, at, is_written: true }),
        None if !removed(list).is_empty() => {
            let at = removed(list).iter().find(|item| name(item).is_some_and(is_picked))?;
            Some(Effect { matches: false, at, is_written: false })
        }
        None if list.get("additive").is_some() || list.get("exclusive").unwrap_or(list).is_null() => None,
        None => Some(Effect { matches: false, at: list, is_written: false }),
    }
}

/// Returns whether a file prevents the removal of the value. A file does so in two cases: it adds a
/// value of the condition, or it makes the list additive.
pub(super) fn is_listed(files: &BTreeMap<String, Node>, pick: &Pick<'_>) -> bool {
    let section = match pick.fact {
        Fact::Visibility => return false,
        Fact::Topic => "topics",
        Fact::Team => "teams",
        Fact::Property(_) => "custom_properties",
    };
    let keeps = |root: &Node| {
        let list = if section == "topics" {
            root.get("repository").and_then(|repository| repository.get("topics"))
        } else {
            root.get(section)
        };
        let mut additive = super::layers::plugins(root, "additive_plugins").into_iter();
        // An entry of the team counts even with `include` or `exclude`, because the entry might
        // apply to the repository.
        let has_team = pick.fact == Fact::Team && team(root, pick).is_some();
        has_team
            || list.is_some_and(|list| list.get("additive").is_some())
            || effect(root, pick).is_some_and(|effect| effect.is_written)
            || additive.any(|name| name == section)
    };
    files.values().any(|root| {
        let cases = root.get("first_match").map(Node::items).unwrap_or_default();
        keeps(root) || cases.iter().any(keeps)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<(Severity, String)> {
        found_without(files, &[])
    }

    /// Returns the warnings about files. `disabled` contains the sections that Beadle does not
    /// apply.
    fn found_without(files: &[(&str, &str)], disabled: &[&str]) -> Vec<(Severity, String)> {
        let disabled: Vec<String> = disabled.iter().map(|name| (*name).to_owned()).collect();
        let files: BTreeMap<String, Node> =
            files.iter().map(|(file, text)| ((*file).to_owned(), Node::parse(file, text).unwrap())).collect();
        let problems = unrest(&files, &disabled);
        problems.iter().map(|found| (found.severity, format!("{} {}", found.asked, found.message))).collect()
    }

    #[test]
    fn a_file_that_changes_its_own_selection_is_a_warning_with_both_lines() {
        for text in [
            "select: { visibility: private }\nrepository: { visibility: public }\n",
            "select: { visibility: [private, internal] }\nrepository: { private: false }\n",
            "select: { property: { tier: gold } }\ncustom_properties: [{ name: Tier, value: lead }]\n",
            "suborgproperties: [{ tier: gold }]\ncustom_properties: [{ name: tier, value: null }]\n",
            "select: { topic: infra }\nrepository: { topics: { exclusive: [rust] } }\n",
            "select: { team: core }\nteams: { exclusive: [{ name: infra, permission: pull }] }\n",
            "except: { visibility: public }\nrepository: { visibility: public }\n",
            "except: { topic: infra }\nrepository: { topics: { additive: [infra] } }\n",
            "select: { visibility: private }\nfirst_match: [{ repository: { visibility: public } }]\n",
            "suborgteams: [core]\nteams: [{ name: infra, permission: pull }]\n",
        ] {
            let found = found(&[("layers/a.yml", text)]);
            let [(Severity::Warning, message)] = found.as_slice() else { panic!("{text}: {found:?}") };
            assert!(
                message.starts_with("layers/a.yml:2 ") && message.contains("layers/a.yml:1"),
                "{message}"
            );
        }
    }

    #[test]
    fn a_file_that_keeps_its_own_selection_is_fine() {
        for text in [
            "select: { visibility: private }\nrepository: { visibility: private }\n",
            "select: { visibility: [internal, private] }\nrepository: { private: true }\n",
            "select: { property: { tier: [gold, lead] } }\ncustom_properties: [{ name: tier, value: lead }]\n",
            "select: { topic: infra }\nrepository: { topics: { additive: [rust] } }\n",
            "suborgteams: [core]\nsuborgrepos: [shop]\nteams: { exclusive: [{ name: infra, permission: pull }] }\n",
            "select: { team: core }\nteams: [{ name: Core, permission: pull }]\n",
            "except: { topic: infra }\nrepository: { topics: { exclusive: [rust] } }\n",
        ] {
            assert!(found(&[("layers/a.yml", text)]).is_empty(), "{text}");
        }
        let lists = "select: { topic: infra }\nrepository: { topics: { exclusive: [rust] } }\n";
        let settings = "repository: { topics: [infra] }\n";
        let kept = found(&[("layers/a.yml", lists), ("settings.yml", settings)]);
        assert!(kept.is_empty(), "another file keeps it: {kept:?}");
    }

    #[test]
    fn what_beadle_leaves_alone_changes_no_selection() {
        for (name, text) in [
            ("repository", "select: { visibility: private }\nrepository: { visibility: public }\n"),
            ("repository", "select: { topic: infra }\nrepository: { topics: { exclusive: [rust] } }\n"),
            ("topics", "select: { topic: infra }\nrepository: { topics: { exclusive: [rust] } }\n"),
            ("teams", "select: { team: core }\nteams: [{ name: infra, permission: pull }]\n"),
            (
                "custom_properties",
                "select: { property: { tier: gold } }\ncustom_properties: [{ name: tier, value: lead }]\n",
            ),
        ] {
            assert_eq!(found(&[("layers/a.yml", text)]).len(), 1, "{text}");
            assert!(found_without(&[("layers/a.yml", text)], &[name]).is_empty(), "{name}: {text}");
        }
    }

    #[test]
    fn a_list_without_a_value_takes_nothing_away() {
        for text in [
            "select: { team: core }\nteams:\n",
            "select: { team: core }\nteams: { exclusive: }\n",
            "select: { topic: infra }\nrepository: { topics: }\n",
            "select: { property: { tier: gold } }\ncustom_properties: null\n",
        ] {
            assert!(found(&[("layers/a.yml", text)]).is_empty(), "{text}");
        }
    }

    #[test]
    fn a_team_that_another_file_lists_for_some_repositories_is_listed() {
        let lists = "select: { team: core }\nteams: [{ name: infra, permission: pull }]\n";
        let settings = "teams: [{ name: core, permission: push, include: [shop] }]\n";
        let kept = found(&[("layers/a.yml", lists), ("settings.yml", settings)]);
        assert!(kept.is_empty(), "{kept:?}");
    }

    #[test]
    fn files_that_take_the_selection_from_each_other_are_a_warning() {
        let one = "select: { property: { tier: gold } }\nrepository: { visibility: public }\n";
        let other = "select: { visibility: public }\ncustom_properties: [{ name: tier, value: lead }]\n";
        let circle = found(&[("layers/a.yml", one), ("layers/b.yml", other)]);
        let [(Severity::Warning, message)] = circle.as_slice() else { panic!("{circle:?}") };
        assert!(message.starts_with("layers/b.yml:2 ") && message.contains("layers/a.yml:1"), "{message}");
        let kept = other.replace("lead", "gold");
        assert!(
            found(&[("layers/a.yml", one), ("layers/b.yml", kept.as_str())]).is_empty(),
            "it comes to rest"
        );
        let third = "select: { topic: infra }\nrepository: { visibility: public }\n";
        let first = "select: { property: { tier: gold } }\nrepository: { topics: { additive: [infra] } }\n";
        let three = [("layers/a.yml", first), ("layers/b.yml", other), ("layers/c.yml", third)];
        assert_eq!(found(&three).len(), 1);
    }
}
