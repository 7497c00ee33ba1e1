//! Tests two things: each file looks like the work of a person, and all files together declare
//! exactly the live state.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::accepted::load;
use super::factor::factor;
use super::files::files;
use super::observed::Observed;
use super::units::{LISTS, UNITS};
use crate::policy::{Node, OverrideStatus, Verdict};

/// Returns a repository with GitHub's default values and with these sections.
fn repository(name: &str, sections: &Value) -> Observed {
    let mut made = Observed { name: name.to_owned(), ..Observed::default() };
    for unit in UNITS {
        let block = unit.block.iter().fold(sections, |at, name| &at[*name]);
        let mut values = unit.usual();
        for (key, value) in &mut values {
            if !block[key].is_null() {
                *value = block[key].clone();
            }
        }
        made.values.insert(unit.name, values);
    }
    for list in LISTS {
        let block = list.block.iter().fold(sections, |at, name| &at[*name]);
        let entries = block[list.name].as_array().cloned().unwrap_or_default();
        made.lists.insert(list.name, entries);
    }
    made
}

/// Returns the files that an import writes for these repositories.
fn imported(all: &[Observed]) -> BTreeMap<String, String> {
    files("acme", all, &factor(all, true), Some(&Map::new()))
}

fn typical() -> Value {
    json!({
        "repository": { "visibility": "private", "has_wiki": false, "delete_branch_on_merge": true, "topics": ["acme"],
            "security_and_analysis": { "secret_scanning": { "status": "enabled" } } },
        "teams": [{ "name": "core", "permission": "push" }, { "name": "security", "permission": "pull" }],
        "branches": [{ "name": "default", "protection": {
            "required_pull_request_reviews": { "required_approving_review_count": 1 }, "enforce_admins": true } }],
        "security": { "dependabot_alerts": true, "dependabot_security_updates": true },
    })
}

fn lines(files: &BTreeMap<String, String>) -> usize {
    files.values().map(|text| text.lines().count()).sum()
}

/// Returns everything that the files declare for a repository. Also returns each list from which
/// Beadle would remove entries.
fn declared(files: &BTreeMap<String, String>, one: &Observed) -> (Value, BTreeSet<String>) {
    let policy = load(files.clone(), "admin").unwrap_or_else(|why| panic!("{why}\n{files:#?}"));
    let names = |list: &str| -> Vec<Value> {
        let entries = one.lists.get(list).into_iter().flatten();
        entries.map(|entry| if entry.is_string() { entry.clone() } else { entry["name"].clone() }).collect()
    };
    let properties = one.lists["custom_properties"].iter();
    let properties: Map<String, Value> = properties
        .map(|property| (property["name"].as_str().unwrap().to_owned(), property["value"].clone()))
        .collect();
    let given = json!({
        "name": one.name, "visibility": one.values["visibility"]["visibility"],
        "topics": names("topics"), "teams": names("teams"), "properties": properties,
    });
    let seen = crate::policy::repository(&Node::parse("test.yml", &given.to_string()).unwrap());
    let Verdict::Reached(target) = policy.resolve(&seen, &OverrideStatus::default()) else {
        panic!("{} is skipped", one.name)
    };
    assert!(target.undecided.is_empty() && target.partly_undecided.is_empty(), "{:?}", target.undecided);
    let is_exclusive = |list: &str| target.list_modes.get(list).is_none_or(|mode| mode.exclusive);
    let exclusive = LISTS.iter().map(|list| list.name).filter(|list| is_exclusive(list)).map(str::to_owned);
    let root = policy.declared(&target, &seen).map_or_else(|| json!({}), |root| root.json());
    (root, exclusive.collect())
}

/// Checks that the files declare only live values for the repository, and that they declare every
/// list completely.
fn assert_quiet(files: &BTreeMap<String, String>, one: &Observed) {
    let (root, exclusive) = declared(files, one);
    for unit in UNITS {
        let Some(values) = one.values.get(unit.name) else { continue };
        let block = unit.block.iter().fold(&root, |at, name| &at[*name]);
        for (key, _) in unit.usual {
            let wanted = block.get(*key);
            assert!(
                wanted.is_none_or(|wanted| *wanted == values[*key]),
                "{}: {key}: {wanted:?}\n{files:#?}",
                one.name
            );
        }
    }
    for list in LISTS {
        let block = list.block.iter().fold(&root, |at, name| &at[*name]);
        let node = if block[list.name]["include"].is_array() {
            &block[list.name]["include"]
        } else {
            &block[list.name]
        };
        let Some(entries) = node.as_array() else {
            assert!(
                one.lists.get(list.name).is_none_or(Vec::is_empty),
                "{}: {} is lost\n{files:#?}",
                one.name,
                list.name
            );
            continue;
        };
        let Some(live) = one.lists.get(list.name) else { panic!("{}: {} is unknown", one.name, list.name) };
        let sorted = |entries: &[Value]| {
            let mut texts: Vec<String> = entries.iter().map(Value::to_string).collect();
            texts.sort();
            texts
        };
        assert_eq!(sorted(entries), sorted(live), "{}: {}\n{files:#?}", one.name, list.name);
        assert_eq!(
            exclusive.contains(list.name),
            !one.additive.contains(list.name),
            "{}: {}",
            one.name,
            list.name
        );
    }
}

#[test]
fn forty_equal_repositories_are_one_short_file() {
    let all: Vec<Observed> = (0..40).map(|n| repository(&format!("r{n:02}"), &typical())).collect();
    let files = imported(&all);
    assert_eq!(files.keys().collect::<Vec<_>>(), ["settings.yml"]);
    assert!(lines(&files) <= 20, "{}", files["settings.yml"]);
    for one in &all {
        assert_quiet(&files, one);
    }
}

#[test]
fn a_topic_explains_what_its_repositories_share() {
    let mut all: Vec<Observed> = (0..8).map(|n| repository(&format!("r{n}"), &typical())).collect();
    for n in 8..11 {
        let mut sections = typical();
        sections["repository"]["topics"] = json!(["acme", "rust"]);
        sections["repository"]["has_issues"] = json!(false);
        sections["labels"] = json!([{ "name": "crate", "color": "cc0000" }]);
        all.push(repository(&format!("r{n}"), &sections));
    }
    let files = imported(&all);
    let layer = &files["layers/topic-rust.yml"];
    assert!(layer.contains("select: { topic: rust }") && layer.contains("has_issues: false"), "{layer}");
    assert!(layer.contains("name: crate"), "{layer}");
    // A layer does not set the topic that its selector uses.
    assert!(!layer.contains("topics:"), "{layer}");
    assert!(files["repos/r8.yml"].contains("topics: [rust]"), "{files:#?}");
    for one in &all {
        assert_quiet(&files, one);
    }
}

#[test]
fn no_two_layers_decide_about_each_others_repositories() {
    let with = |topics: &[&str], teams: &[&str]| {
        let teams: Vec<Value> =
            teams.iter().map(|name| json!({ "name": name, "permission": "push" })).collect();
        json!({ "repository": { "topics": topics, "visibility": "private" }, "teams": teams })
    };
    let rust = with(&["rust"], &["core"]);
    let all: Vec<Observed> = [&rust, &rust, &rust, &with(&[], &[]), &with(&[], &[])]
        .iter()
        .enumerate()
        .map(|(n, sections)| repository(&format!("r{n}"), sections))
        .collect();
    let files = imported(&all);
    assert!(files["layers/topic-rust.yml"].contains("name: core"), "{files:#?}");
    assert!(!files.contains_key("layers/team-core.yml"), "{files:#?}");
    assert!(files["repos/r0.yml"].contains("topics: [rust]"), "{files:#?}");
    for one in &all {
        assert_quiet(&files, one);
    }
}

#[test]
fn an_exception_overrides_what_most_repositories_share() {
    let mut all: Vec<Observed> = (0..5).map(|n| repository(&format!("r{n}"), &typical())).collect();
    let mut odd = typical();
    odd["repository"]["has_wiki"] = json!(true);
    odd["repository"]["visibility"] = json!("public");
    odd["teams"][0]["permission"] = json!("admin");
    all.push(repository("odd", &odd));
    let files = imported(&all);
    assert_eq!(files.keys().collect::<Vec<_>>(), ["repos/odd.yml", "settings.yml"]);
    let odd = &files["repos/odd.yml"];
    for line in ["has_wiki: true", "visibility: public", "{ name: core, permission: admin }"] {
        assert!(odd.contains(line), "{odd}");
    }
    assert!(!odd.contains("security"), "{odd}");
    for one in &all {
        assert_quiet(&files, one);
    }
}

#[test]
fn no_shared_file_exposes_a_repository() {
    let mut all: Vec<Observed> = (0..5)
        .map(|n| {
            repository(
                &format!("r{n}"),
                &json!({ "repository": { "topics": ["web"], "visibility": "public" } }),
            )
        })
        .collect();
    all.push(repository("closed", &json!({ "repository": { "visibility": "private" } })));
    let files = imported(&all);
    let says = |file: &str| files[file].lines().any(|line| line.trim_start().starts_with("visibility:"));
    assert!(!says("settings.yml") && says("repos/closed.yml"), "{files:#?}");
    assert!(files.keys().filter(|file| file.starts_with("layers/")).all(|file| !says(file)), "{files:#?}");
    assert!(files["settings.yml"].contains("Most repositories are public"), "{files:#?}");
}

#[test]
fn an_empty_organisation_has_a_valid_policy() {
    let files = imported(&[]);
    assert_eq!(files.keys().collect::<Vec<_>>(), ["settings.yml"]);
    assert!(load(files, "admin").is_ok());
}

#[test]
fn an_unknown_list_is_in_no_file_that_reaches_its_repository() {
    let mut all: Vec<Observed> = (0..20).map(|n| repository(&format!("r{n:02}"), &typical())).collect();
    all[3].lists.remove("teams");
    all[3].unknown.insert("teams", "the list came back short".to_owned());
    let files = imported(&all);
    let (root, _) = declared(&files, &all[3]);
    assert_eq!(root["teams"], Value::Null, "{files:#?}");
    assert!(files["repos/r03.yml"].contains("# teams could not be imported: the list came back short"));
    let layer = &files["layers/all-but-r03.yml"];
    assert!(layer.contains("except: { name: r03 }") && layer.contains("name: core"), "{layer}");
    for one in all.iter().filter(|one| one.name != "r03") {
        assert_quiet(&files, one);
    }
}

#[test]
fn a_part_that_is_unknown_everywhere_adds_no_file_to_each_repository() {
    let mut all: Vec<Observed> = (0..20).map(|n| repository(&format!("r{n:02}"), &typical())).collect();
    for one in &mut all {
        one.lists.remove("webhooks");
        one.unknown.insert("webhooks", "GET /repos/acme/REPO/hooks: 403 Forbidden".to_owned());
    }
    let files = imported(&all);
    assert_eq!(files.keys().collect::<Vec<_>>(), ["settings.yml"]);
    let note =
        "# All repositories: webhooks could not be imported: GET /repos/acme/REPO/hooks: 403 Forbidden\n";
    assert!(files["settings.yml"].contains(note), "{files:#?}");
}

#[test]
fn hostile_names_become_neither_structure_nor_another_file() {
    let names = ["on", "no", "null", "1", "a.yml", "-", "Topic"];
    let sections = |n: usize| {
        json!({
            "repository": { "description": format!("x\" : {n} # [y]\\ \u{2028}'z'"), "homepage": "- a: *b" },
            "custom_properties": [{ "name": "tier#", "value": "true" }, { "name": "on", "value": "../../x: y" }],
            "labels": [{ "name": "a: b # c", "color": "5319e7", "description": "null" }, { "name": "yes", "color": "000000" }],
        })
    };
    let all: Vec<Observed> =
        names.iter().enumerate().map(|(n, name)| repository(name, &sections(n))).collect();
    let files = imported(&all);
    for file in files.keys() {
        let is_file = |name: &&str| *file == format!("repos/{name}.yml");
        let is_layer = file.strip_prefix("layers/").is_some_and(|name| !name.contains(['/', ' ']));
        assert!(file == "settings.yml" || names.iter().any(is_file) || is_layer, "{file}");
    }
    for one in &all {
        assert_quiet(&files, one);
    }
}

#[test]
fn only_chosen_repositories_have_files() {
    let all = [
        repository("shop", &typical()),
        repository("plain", &json!({ "repository": { "visibility": "public" } })),
    ];
    let files = files("acme", &all, &factor(&all, false), None);
    assert_eq!(files.keys().collect::<Vec<_>>(), ["repos/plain.yml", "repos/shop.yml"]);
    for one in &all {
        assert_quiet(&files, one);
    }
}

mod random {
    use proptest::prelude::*;

    use super::*;

    /// Returns a random repository. Some of its parts are unknown or have no effect, and some of
    /// its lists are incomplete.
    fn any_repository() -> impl Strategy<Value = Observed> {
        let flags = proptest::collection::vec(0u8..4, 8);
        let topics = proptest::collection::btree_set("[a-d]", 0..4);
        let teams = proptest::collection::btree_map("[a-c]", 0u8..2, 0..4);
        let properties = proptest::collection::btree_map("[p-q]", 0u8..2, 0..3);
        (flags, topics, teams, properties, 0u8..8).prop_map(|(flags, topics, teams, properties, odd)| {
            let bit = |at: usize, mask: u8| json!(flags[at] & mask != 0);
            let one_of = |texts: [&str; 4], at: usize| json!(texts[usize::from(flags[at])]);
            let teams: Vec<Value> = teams
                .iter()
                .map(|(name, level)| json!({ "name": name, "permission": if *level > 0 { "push" } else { "pull" } }))
                .collect();
            let properties: Vec<Value> = properties
                .iter()
                .map(|(name, value)| json!({ "name": name, "value": if *value > 0 { "1" } else { "x" } }))
                .collect();
            let enforcement = if flags[6] & 1 > 0 { "active" } else { "disabled" };
            let rulesets: Vec<Value> =
                (0..flags[5]).map(|n| json!({ "name": format!("r{n}"), "enforcement": enforcement })).collect();
            let sections = json!({
                "repository": {
                    "topics": topics, "has_wiki": bit(0, 1), "has_issues": bit(0, 2),
                    "visibility": one_of(["private", "internal", "public", "private"], 1),
                    "allow_merge_commit": bit(2, 1), "allow_rebase_merge": bit(2, 2),
                    "default_branch": one_of(["main", "master", "main", "trunk"], 3),
                    "description": one_of(["x", "y", "x", "x"], 4),
                },
                "teams": teams,
                "custom_properties": properties,
                "rulesets": rulesets,
                "actions": { "enabled": bit(6, 2), "allowed_actions": one_of(["all", "local_only", "all", "all"], 7) },
            });
            let mut made = repository("", &sections);
            match odd {
                0 => {
                    made.lists.remove("rulesets");
                    made.unknown.insert("rulesets", "why".to_owned());
                }
                1 => {
                    made.values.remove("has_wiki");
                    made.unknown.insert("has_wiki", String::new());
                }
                2 => {
                    made.values.remove("default_branch");
                }
                3 => {
                    made.additive.insert("teams");
                }
                _ => {}
            }
            made
        })
    }

    proptest! {
        #[test]
        fn the_files_declare_exactly_what_is_live(mut all in proptest::collection::vec(any_repository(), 0..14)) {
            for (at, one) in all.iter_mut().enumerate() {
                one.name = format!("r{at}");
            }
            let files = imported(&all);
            for one in &all {
                assert_quiet(&files, one);
                let (root, _) = declared(&files, one);
                prop_assert!(one.unknown.keys().all(|part| root[*part].is_null() && root["repository"][*part].is_null()));
            }
        }
    }
}
