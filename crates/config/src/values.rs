//! Lists every value of a configuration file by the path of the value's key. Beadle can then
//! compare two versions of the file.

use std::collections::BTreeMap;

use toml::Value;

/// Returns every value in the text of a configuration file, by the path of the value's key. For an
/// entry in a list of tables, the path contains the name of the entry, such as `org.acme.mode`. If
/// the entry has no name, the path contains its position. A text that is not TOML has no values.
pub(crate) fn values(text: &str) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    if let Ok(table) = toml::from_str::<toml::Table>(text) {
        collect("", &Value::Table(table), &mut values);
    }
    values
}

fn collect(path: &str, value: &Value, values: &mut BTreeMap<String, String>) {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match value {
        Value::Table(table) => table.iter().for_each(|(key, value)| collect(&below(key), value, values)),
        Value::Array(entries) if entries.iter().any(Value::is_table) => {
            for (at, entry) in entries.iter().enumerate() {
                let name = entry.get("name").and_then(Value::as_str);
                let name = name.map_or_else(|| (at + 1).to_string(), str::to_owned);
                collect(&below(&name), entry, values);
            }
        }
        value => {
            values.insert(path.to_owned(), value.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_the_path_of_its_key_and_the_name_of_its_entry() {
        let text = "[server]\nlisten = \"127.0.0.1:1\"\n\
                    [[org]]\nname = \"acme\"\nmode = \"observe\"\n[org.guard]\nremoves = 5\n\
                    [[org.dispatch]]\nname = \"police\"\non = \"repository.created\"\n\
                    [[groups]]\ninclude = [\"a\", \"b\"]\n";
        let expected = [
            ("groups.1.include", "[\"a\", \"b\"]"),
            ("org.acme.dispatch.police.name", "\"police\""),
            ("org.acme.dispatch.police.on", "\"repository.created\""),
            ("org.acme.guard.removes", "5"),
            ("org.acme.mode", "\"observe\""),
            ("org.acme.name", "\"acme\""),
            ("server.listen", "\"127.0.0.1:1\""),
        ];
        let expected = expected.map(|(path, value)| (path.to_owned(), value.to_owned()));
        assert_eq!(values(text), BTreeMap::from(expected));
    }

    #[test]
    fn comments_blanks_and_the_order_of_the_keys_do_not_count() {
        let one = values("[server]\nlisten = \"a\"\noperator=\"b\"\n");
        let other = values("# a comment\n[server]\noperator = 'b'\n\nlisten   = \"a\"\n");
        assert_eq!(one, other);
        assert_eq!(values("[server"), BTreeMap::new());
    }
}
