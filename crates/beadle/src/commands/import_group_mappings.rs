//! The part of `beadle import` that writes mappings. If a group of the directory and a group of the
//! target have the same members, Beadle writes a mapping for them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::Context as _;
use beadle_groups::{GroupPair, equal_groups};
use serde_json::Value;

use crate::app::application::App;

/// The name of the file.
pub(super) const FILE: &str = "groups.toml";

/// The way in which a mapping determines the name of the target's group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Naming {
    /// The mapping removes this prefix. The prefix can be empty.
    WithoutPrefix(String),
    /// The mapping contains the name of the group.
    Into(String),
}

/// Returns the text of a file with mappings for all targets of the configuration, and the number of
/// mapped groups. Returns `None` if the configuration has no target.
pub(super) async fn mappings(app: &App) -> anyhow::Result<Option<(String, usize)>> {
    let directories = app.directories()?;
    if directories.targets.is_empty() {
        return Ok(None);
    }
    let (mut text, mut count) = (String::new(), 0);
    for target in directories.targets.values() {
        let name = &target.file.name;
        let found = Box::pin(equal_groups(&target.directory)).await;
        let found = found.with_context(|| format!("comparing the groups of {name}"))?;
        count += found.pairs.iter().filter(|pair| is_plain(&pair.group)).count();
        text.push_str(&rendered(name, &found.pairs, &found.doubts));
    }
    Ok(Some((text, count)))
}

/// Returns the mappings to one target as TOML. If the names of several groups change in the same
/// way, one mapping is enough for these groups.
fn rendered(target: &str, pairs: &[GroupPair], doubts: &[String]) -> String {
    let mut text = String::new();
    let mut mappings: BTreeMap<(&str, Naming, Option<&str>), Vec<&str>> = BTreeMap::new();
    let mut left_out = doubts.to_vec();
    for pair in pairs {
        if !is_plain(&pair.group) {
            left_out
                .push(format!("`{}` of {}: its name would be read as a pattern", pair.group, pair.source));
            continue;
        }
        let naming = match pair.group.strip_suffix(&pair.target_group) {
            Some(prefix) => Naming::WithoutPrefix(prefix.to_owned()),
            None => Naming::Into(pair.target_group.clone()),
        };
        let role = pair.role.map(beadle_groups::mapping::Role::as_str);
        mappings.entry((pair.source.as_str(), naming, role)).or_default().push(pair.group.as_str());
    }
    for ((source, naming, role), groups) in &mappings {
        let groups: Vec<String> = groups.iter().map(|group| quoted(group)).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "[[groups]]\nsource = {}\ntarget = {}", quoted(source), quoted(target));
        let _ = writeln!(text, "include = [{}]", groups.join(", "));
        let _ = match naming {
            Naming::WithoutPrefix(prefix) if prefix.is_empty() => Ok(()),
            Naming::WithoutPrefix(prefix) => writeln!(text, "strip_prefix = {}", quoted(prefix)),
            Naming::Into(name) => writeln!(text, "into = {}", quoted(name)),
        };
        if let Some(role) = role.filter(|role| *role != "member") {
            let _ = writeln!(text, "role = {}", quoted(role));
        }
        text.push_str("# Beadle did not create these groups.\nadopt = true\n\n");
    }
    for why in left_out {
        let why: String = why.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let _ = writeln!(text, "# left out: {target}: {why}");
    }
    text
}

/// Returns whether this name is usable as a pattern. A mapping with this pattern must select only
/// the group with this name.
fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with("id:")
        && !name.contains(['*', '?', '[', ']', '{', '}', '!', '\\', '/'])
}

/// Returns a TOML string with this text. TOML strings use the same escapes as JSON strings.
fn quoted(text: &str) -> String {
    Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(group: &str, target_group: &str) -> GroupPair {
        GroupPair {
            source: "corp".to_owned(),
            group: group.to_owned(),
            target_group: target_group.to_owned(),
            role: None,
        }
    }

    #[test]
    fn groups_with_one_rule_for_their_names_share_a_mapping() {
        let pairs = [
            pair("AWS_Dev", "Dev"),
            pair("AWS_Ops \"x\"", "Ops \"x\""),
            pair("Same", "Same"),
            pair("Engineers", "Developers"),
            pair("All*", "All*"),
        ];
        let text = rendered("aws", &pairs, &["`x`\ny of corp: why".to_owned()]);
        let file: beadle_config::MappingsFile =
            toml::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let mappings: Vec<_> = file
            .groups
            .iter()
            .map(|one| (one.include.join(","), one.strip_prefix.clone(), one.into.clone(), one.adopt))
            .collect();
        let expected = [
            ("Same", None, None, true),
            ("AWS_Dev,AWS_Ops \"x\"", Some("AWS_"), None, true),
            ("Engineers", None, Some("Developers"), true),
        ];
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let expected = expected
            .map(|(include, prefix, into, adopt)| (include.to_owned(), owned(prefix), owned(into), adopt));
        assert_eq!(mappings, expected);
        for why in ["# left out: aws: `x` y of corp: why\n", "# left out: aws: `All*` of corp: its name"] {
            assert!(text.contains(why), "{why}: {text}");
        }
    }
}
