//! Tests the keys in the published schemas of safe-settings. For most sections, the schemas refer
//! to calls in GitHub's published description. The test therefore also reads the bodies of these
//! calls.
//!
//! <https://github.com/github/safe-settings/tree/main-enterprise/schema>

use serde_json::Value;

use crate::policy::keys::{ALL_SECTIONS, REPO, REPOSITORY, SETTINGS, SUBORG};
use crate::policy::shape::{Key, Shape, Status};

/// The sections in the schemas. Each section comes with the keys that the schemas themselves
/// describe.
const SECTIONS: &[(&str, &[&str])] = &[
    ("repositories", &[]),
    ("labels", &["name", "color", "description", "oldname"]),
    ("milestones", &[]),
    ("collaborators", &["username", "exclude", "include"]),
    ("teams", &[]),
    ("branches", &["name", "protection"]),
    ("custom_properties", &["name", "value"]),
    ("autolinks", &[]),
    ("validator", &["pattern"]),
    ("rulesets", &[]),
    ("environments", &[]),
    ("variables", &[]),
];

/// The keys that the schemas add to the body of a repository.
const OF_REPOSITORY: &[&str] = &[
    "auto_init",
    "gitignore_template",
    "license_template",
    "topics",
    "security",
    "force_create",
    "template",
];

/// The calls that are named in the schemas and the documentation. Each call comes with its section.
/// The section `repository` is a block, and all other sections are lists.
const BODIES: &[(&str, &str)] = &[
    ("PATCH /repos/{owner}/{repo}", "repository"),
    ("POST /orgs/{org}/repos", "repository"),
    ("POST /orgs/{org}/teams", "teams"),
    ("PUT /repos/{owner}/{repo}/collaborators/{username}", "collaborators"),
    ("POST /repos/{owner}/{repo}/autolinks", "autolinks"),
    ("POST /repos/{owner}/{repo}/labels", "labels"),
    ("POST /repos/{owner}/{repo}/milestones", "milestones"),
    ("POST /repos/{owner}/{repo}/rulesets", "rulesets"),
    ("PUT /repos/{owner}/{repo}/environments/{environment_name}", "environments"),
    ("POST /repos/{owner}/{repo}/actions/variables", "variables"),
    ("POST /orgs/{org}/rulesets", "rulesets"),
];

fn table() -> Value {
    serde_json::from_str(include_str!("../../../../../../tools/sim/src/github/described.json")).unwrap()
}

fn has(keys: &[Key], name: &str) -> bool {
    keys.iter().any(|key| key.name == name)
}

/// Returns the keys of a shape. The shape is a block, or a list with blocks as entries.
fn keys_of(shape: &Shape) -> Option<&'static [Key]> {
    match shape {
        Shape::Map(keys) => Some(keys),
        Shape::OrNull(inner) | Shape::List(inner) | Shape::Layered(inner, _) => keys_of(inner),
        Shape::Either(one, other) => keys_of(one).or_else(|| keys_of(other)),
        _ => None,
    }
}

/// Collects the paths of all unknown keys in a schema. Beadle does not know these keys.
fn unknown(table: &Value, schema: &Value, keys: &[Key], path: &str, found: &mut Vec<String>) {
    let schema = schema["$ref"].as_str().map_or(schema, |name| &table["schemas"][name]);
    for choice in ["allOf", "oneOf", "anyOf"] {
        for part in schema[choice].as_array().into_iter().flatten() {
            unknown(table, part, keys, path, found);
        }
    }
    if schema["items"].is_object() {
        unknown(table, &schema["items"], keys, path, found);
    }
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        match keys.iter().find(|key| key.name == name) {
            None => found.push(path),
            // If Beadle does not support a key, the test does not look inside it.
            Some(Key { status: Status::Not(_), .. }) => {}
            Some(key) => {
                if let Some(keys) = keys_of(&key.shape) {
                    unknown(table, inner, keys, &path, found);
                }
            }
        }
    }
}

#[test]
fn the_schemas_of_all_files_have_only_sections_and_keys_that_beadle_knows() {
    for (section, keys) in SECTIONS {
        for file in [SETTINGS, SUBORG, REPO] {
            assert!(has(file, section), "{section}");
        }
        if let Some(known) = ALL_SECTIONS.iter().find(|known| known.name == *section) {
            let entries = keys_of(&known.shape).unwrap_or_default();
            for key in *keys {
                assert!(has(entries, key), "{section}: {key}");
            }
        }
    }
    for key in OF_REPOSITORY {
        assert!(has(REPOSITORY, key), "{key}");
    }
    for key in ["suborgrepos", "suborgteams", "suborgproperties"] {
        assert!(has(SUBORG, key), "{key}");
    }
}

#[test]
fn beadle_knows_every_key_of_the_bodies_to_which_the_schemas_refer() {
    let table = table();
    let mut found = Vec::new();
    for (route, section) in BODIES {
        let body = &table["routes"][route];
        assert!(body["properties"].is_object(), "{route}");
        let key = ALL_SECTIONS.iter().find(|key| key.name == *section).unwrap();
        unknown(&table, body, keys_of(&key.shape).unwrap(), section, &mut found);
    }
    let branches = ALL_SECTIONS.iter().find(|key| key.name == "branches").unwrap();
    let entries = keys_of(&branches.shape).unwrap();
    let protection = entries.iter().find(|key| key.name == "protection").unwrap();
    let body = &table["routes"]["PUT /repos/{owner}/{repo}/branches/{branch}/protection"];
    unknown(&table, body, keys_of(&protection.shape).unwrap(), "branches.protection", &mut found);
    assert_eq!(found, Vec::<String>::new());
}
