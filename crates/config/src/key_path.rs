//! Paths to keys of a configuration file, and the search for the line of a key.

use std::fmt;

use toml::de::{DeArray, DeTable};

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// A step to the key with this name in a table.
    Key(String),
    /// A step to the entry at this position in a list. The first position is 0.
    Entry(usize),
}

/// The path to a key of a file, such as `app.id` of the second `[[org]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyPath(Vec<Step>);

impl KeyPath {
    /// Returns the path to a key of the first level.
    pub fn new(key: &str) -> Self {
        Self::default().key(key)
    }

    /// Returns the path to a key of the table at this path.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.with(Step::Key(key.to_owned()))
    }

    /// Returns the path to an entry of the list at this path. The first entry is 0.
    #[must_use]
    pub fn entry(&self, entry: usize) -> Self {
        self.with(Step::Entry(entry))
    }

    fn with(&self, step: Step) -> Self {
        Self(self.0.iter().cloned().chain([step]).collect())
    }

    /// Returns the number of the line that contains the key. The first line is 1. If the file does
    /// not contain the key, the result is the line of the innermost table or list on the path.
    pub fn line(&self, text: &str) -> usize {
        let start = DeTable::parse(text).map_or(0, |document| self.start(document.get_ref()));
        text.get(..start).unwrap_or_default().matches('\n').count() + 1
    }

    fn start(&self, document: &DeTable<'_>) -> usize {
        let (mut table, mut list): (Option<&DeTable<'_>>, Option<&DeArray<'_>>) = (Some(document), None);
        let mut start = 0;
        for step in &self.0 {
            let found = match step {
                Step::Key(name) => table
                    .and_then(|table| table.iter().find(|(key, _)| **key.get_ref() == **name))
                    .map(|(key, value)| (key.span().start, value.get_ref())),
                Step::Entry(entry) => {
                    list.and_then(|list| list.get(*entry)).map(|value| (value.span().start, value.get_ref()))
                }
            };
            let Some((at, value)) = found else { break };
            start = at;
            (table, list) = (value.as_table(), value.as_array());
        }
        start
    }
}

impl fmt::Display for KeyPath {
    /// Writes the path without the positions in lists, such as `org.app.id`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.0.iter().filter_map(|step| match step {
            Step::Key(key) => Some(key.escape_debug()),
            Step::Entry(_) => None,
        });
        for (at, key) in keys.enumerate() {
            let dot = if at == 0 { "" } else { "." };
            write!(f, "{dot}{key}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_key_is_found_in_every_kind_of_table() {
        let text = "[[org]]\nname = \"a\"\n\n[[org]]\nname = \"b\"\napp = { id = 1 }\n[org.guard]\nwindow = \"1h\"\n\
                    webhook_secrets = [\n  \"env:A\",\n  \"env:B\",\n]\n[server]\nlisten = \"x\"\n";
        let org = |entry| KeyPath::new("org").entry(entry);
        for (path, line) in [
            (org(0).key("name"), 2),
            (org(1).key("name"), 5),
            (org(1).key("app").key("id"), 6),
            (org(1).key("guard").key("window"), 8),
            (org(1).key("guard").key("webhook_secrets").entry(1), 11),
            (KeyPath::new("server").key("listen"), 14),
            // If a key is missing, the result is the line of its table.
            (org(0).key("app"), 1),
            (org(1).key("token"), 4),
            (KeyPath::new("server").key("operator"), 13),
            (KeyPath::new("worker").key("concurrency"), 1),
        ] {
            assert_eq!(path.line(text), line, "{path}");
        }
    }

    #[test]
    fn the_text_of_a_path_has_its_keys_and_no_entry_numbers() {
        let path = KeyPath::new("org").entry(3).key("secrets").key("a\u{1b}");
        assert_eq!(path.to_string(), "org.secrets.a\\u{1b}");
    }
}
