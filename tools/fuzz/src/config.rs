//! Fuzzes the configuration file.

use std::path::Path;

use beadle_config::{ConfigError, File, MappingsFile, Source};
use toml::{Table, Value};

/// The keys whose values are references to secrets. A user could by mistake write a secret instead
/// of a reference.
const SECRET_KEYS: [&str; 8] = [
    "client_secret",
    "hook_secrets",
    "key",
    "operator_token",
    "password",
    "secrets",
    "token",
    "webhook_secrets",
];

/// A secret instead of its reference.
const SECRET: &str = "s3cr3t-0123456789";

pub(crate) fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Some(shown) = checked(&text) {
        assert_eq!(Some(shown), checked(&text), "the same file has two results");
    }
    if let Some(text) = with_secrets(&text)
        && let Some(shown) = checked(&text)
    {
        assert!(!shown.contains(SECRET), "an error shows a secret: {shown}");
    }
}

/// Parses the file. Returns the text of the error, if there is one.
fn checked(text: &str) -> Option<String> {
    let source = Source::new(Path::new("beadle.toml"), text);
    // The input can also be a file of `groups_from`, or `groups.toml` of a policy.
    let _ = source.parse::<MappingsFile>();
    // The service compares all values of two versions of the file.
    let _ = source.values();
    let error = File::parse(&source).err()?;
    let ConfigError::Invalid { file, line, .. } = &error else { panic!("nothing reads a file: {error}") };
    let lines = text.matches('\n').count() + 1;
    assert!(file == "beadle.toml" && (1..=lines).contains(line), "{file}:{line} of {lines} lines");
    Some(error.to_string())
}

/// Returns a copy of the file. In the copy, a secret replaces each reference to a secret. Returns
/// `None` if the file is not TOML, or has no reference.
fn with_secrets(text: &str) -> Option<String> {
    let mut table: Table = toml::from_str(text).ok()?;
    let mut count = 0;
    replace_in(&mut table, &mut count);
    let text = toml::to_string(&table).ok()?;
    (count > 0).then_some(text)
}

fn replace_in(table: &mut Table, count: &mut usize) {
    for (key, value) in table {
        let holds_secrets = SECRET_KEYS.contains(&key.as_str());
        replace(value, holds_secrets, count);
    }
}

fn replace(value: &mut Value, holds_secrets: bool, count: &mut usize) {
    match value {
        Value::String(text) if holds_secrets => {
            SECRET.clone_into(text);
            *count += 1;
        }
        Value::Array(entries) => entries.iter_mut().for_each(|entry| replace(entry, holds_secrets, count)),
        // The table `secrets` of an organisation contains a name for each reference.
        Value::Table(table) if holds_secrets => {
            for (_, value) in table {
                replace(value, true, count);
            }
        }
        Value::Table(table) => replace_in(table, count),
        _ => {}
    }
}
