//! Writes a policy file as YAML. The order of the keys is always the same. A text gets quotes if a
//! YAML reader could read the plain text as another value.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// The maximum length of a line. A line that contains a single long value can be longer.
const WIDTH: usize = 100;

/// The keys that come first in a block. In a block, these keys have the same order as in this
/// constant. All other keys follow in alphabetical order.
const FIRST: &[&str] = &[
    "name",
    "username",
    "key_prefix",
    "url",
    "type",
    "context",
    "select",
    "except",
    "repository",
    "teams",
    "collaborators",
    "branches",
    "rulesets",
    "labels",
    "milestones",
    "autolinks",
    "deploy_keys",
    "custom_properties",
    "actions",
    "oidc_subject",
    "immutable_releases",
    "pages",
    "interaction_limit",
    "security",
    "webhooks",
    "environments",
    "variables",
    "code_security_configurations",
    "custom_repository_roles",
    "organization",
];

/// The words that are a boolean or null in YAML 1.1 or 1.2.
const WORDS: &[&str] =
    &["true", "false", "yes", "no", "on", "off", "y", "n", "null", "nan", "inf", "infinity"];

/// Returns the text of a file.
pub(super) fn yaml(root: &Map<String, Value>) -> String {
    let mut text = String::new();
    for (key, value) in ordered(root) {
        entry(&mut text, 0, key, value, true);
    }
    text
}

fn ordered(map: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut entries: Vec<_> = map.iter().collect();
    entries
        .sort_by_key(|(key, _)| (FIRST.iter().position(|first| first == key).unwrap_or(FIRST.len()), *key));
    entries
}

/// Writes a key and its value. At the top level of a file, each key of a section gets its own line.
fn entry(text: &mut String, indent: usize, key: &str, value: &Value, is_top: bool) {
    let key = scalar(key);
    let start = format!("{:indent$}{key}:", "");
    let is_section = is_top && value.as_object().is_some_and(|map| !map.is_empty() && !is_choice(&key));
    let flow = flow(value);
    if !is_section && is_flat(value) && start.chars().count() + 1 + flow.chars().count() <= WIDTH {
        let _ = writeln!(text, "{start} {flow}"); // writing to a string cannot fail
        return;
    }
    match value {
        Value::Object(map) => {
            let _ = writeln!(text, "{start}");
            for (key, value) in ordered(map) {
                entry(text, indent + 2, key, value, false);
            }
        }
        Value::Array(items) => {
            let _ = writeln!(text, "{start}");
            for value in items {
                item(text, indent + 2, value);
            }
        }
        _ => {
            let _ = writeln!(text, "{start} {flow}");
        }
    }
}

/// Returns whether a key at the top level of a file is a selector. The value of a selector is
/// short.
fn is_choice(key: &str) -> bool {
    key == "select" || key == "except"
}

fn item(text: &mut String, indent: usize, value: &Value) {
    let flow = flow(value);
    let Value::Object(map) = value else {
        let _ = writeln!(text, "{:indent$}- {flow}", "");
        return;
    };
    if map.is_empty() || (is_flat(value) && indent + 2 + flow.chars().count() <= WIDTH) {
        let _ = writeln!(text, "{:indent$}- {flow}", "");
        return;
    }
    let mut block = String::new();
    for (key, value) in ordered(map) {
        entry(&mut block, indent + 2, key, value, false);
    }
    let _ = write!(text, "{:indent$}- {}", "", block.trim_start_matches(' '));
}

/// Returns whether a value is easy to read on one line.
fn is_flat(value: &Value) -> bool {
    fn depth(value: &Value) -> usize {
        match value {
            Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
            Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
            _ => 0,
        }
    }
    // Each object of a list has its own line.
    let is_table =
        value.as_array().is_some_and(|items| items.len() > 1 && items.iter().any(Value::is_object));
    depth(value) <= 2 && !is_table
}

/// Returns a value on one line.
fn flow(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(map) if map.is_empty() => "{}".to_owned(),
        Value::Object(map) => {
            let entries =
                ordered(map).into_iter().map(|(key, value)| format!("{}: {}", scalar(key), flow(value)));
            format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// Returns a text as YAML. The function omits the quotes only if every YAML reader still reads the
/// same text.
pub(super) fn scalar(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { quoted(text) }
}

fn is_plain(text: &str) -> bool {
    let is_word = WORDS.iter().any(|word| word.eq_ignore_ascii_case(text));
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let fits = |c: char| c.is_ascii_alphanumeric() || "_-./ ".contains(c);
    // People write colours in quotes, because many of them look like numbers.
    let is_color = text.len() == 6 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    starts_well
        && text.chars().all(fits)
        && !text.ends_with(' ')
        && !text.contains("  ")
        && !is_word
        && !is_color
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        // YAML does not allow some of these characters. Older readers treat the remaining
        // characters as a line break.
        let is_odd =
            c.is_control() || ['\u{2028}', '\u{2029}', '\u{feff}', '\u{fffe}', '\u{ffff}'].contains(&c);
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            c if is_odd => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c)); // writing to a string cannot fail
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Returns a text for a comment. The text has only one line and contains no characters that end a
/// comment.
pub(super) fn comment(text: &str) -> String {
    let is_odd =
        |c: char| c.is_control() || ['\u{2028}', '\u{2029}', '\u{feff}', '\u{fffe}', '\u{ffff}'].contains(&c);
    text.replace(is_odd, " ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::policy::Node;

    fn written(value: &Value) -> String {
        yaml(value.as_object().unwrap())
    }

    #[test]
    fn a_file_looks_as_a_person_writes_it() {
        let text = written(&json!({
            "teams": [{ "permission": "push", "name": "core" }, { "permission": "pull", "name": "on" }],
            "select": { "topic": "rust" },
            "repository": { "has_wiki": false, "topics": ["a", "b c"] },
            "branches": [{ "protection": { "enforce_admins": true, "required_pull_request_reviews": {
                "required_approving_review_count": 1 } }, "name": "default" }],
            "labels": [{ "name": "bug", "color": "d73a4a" }],
        }));
        let expected = "\
select: { topic: rust }
repository:
  has_wiki: false
  topics: [a, b c]
teams:
  - { name: core, permission: push }
  - { name: \"on\", permission: pull }
branches:
  - name: default
    protection: { enforce_admins: true, required_pull_request_reviews: { required_approving_review_count: 1 } }
labels: [{ name: bug, color: \"d73a4a\" }]
";
        // On one line, the protection would have more than 100 characters. The protection therefore
        // becomes a block.
        let expected = expected.replace(
            "    protection: { enforce_admins: true, required_pull_request_reviews: { required_approving_review_count: 1 } }\n",
            "    protection:\n      enforce_admins: true\n      required_pull_request_reviews: { required_approving_review_count: 1 }\n",
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn words_numbers_and_marks_of_yaml_stay_texts() {
        for text in [
            "on",
            "No",
            "YES",
            "null",
            "~",
            "1",
            "0x1f",
            "1e3",
            "5319e7",
            "",
            " ",
            "a: b",
            "a #b",
            "- a",
            "&a",
            "*a",
            "!a",
            "%a",
            "@a",
            "`a`",
            "{a}",
            "[a]",
            "a, b",
            "'a'",
            "\"a\"",
            "a\\b",
            "a\nb",
            "a\r\nb\t",
            "\u{0}",
            "\u{7f}",
            "\u{85}",
            "\u{2028}",
            "\u{feff}",
            "ü",
            "🔥",
            "a  b",
            "a ",
            "2026-01-01",
            "---",
            "...",
            "=",
            "<<",
            ".5",
            "12:30",
        ] {
            let value = json!({ "repository": { "description": text, "topics": [text, text] }, "x": [{ "a": text }] });
            let node = Node::parse("f.yml", &written(&value))
                .unwrap_or_else(|problem| panic!("{text:?}: {problem:?}"));
            assert_eq!(node.json(), value, "{text:?}");
        }
    }

    #[test]
    fn a_comment_stays_one_line() {
        assert_eq!(comment("a\nteams: []\u{2028}b"), "a teams: [] b");
    }

    proptest! {
        #[test]
        fn any_text_is_read_as_it_was(text in "\\PC{0,40}", key in "[ -~]{1,20}", long in "[a-z ]{0,150}") {
            let value = json!({ "a": { key.clone(): text.clone() }, "b": [[text], { "c": { "d": { "e": long } } }] });
            let node = Node::parse("f.yml", &written(&value)).unwrap();
            prop_assert_eq!(node.json(), value);
        }
    }
}
