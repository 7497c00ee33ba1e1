//! Makes a random policy for a random organisation.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::dice::{Dice, PROPERTIES, TEAMS, TOPICS};
use super::entries::{self, BLOCKS, LISTS, Place};
use super::state::{Live, State};

/// The content of each file of a policy. The key is the path of the file. The content is JSON, and
/// JSON is also valid YAML.
pub(super) type Files = BTreeMap<String, Value>;

pub(super) fn files(dice: &mut Dice, state: &State) -> Files {
    let mut files = Files::new();
    if dice.chance(92) {
        let mut settings = sections(dice, state, Place::Settings, 30);
        if dice.chance(8) {
            settings
                .insert("additive_plugins".into(), json!(dice.some(&["teams", "labels", "webhooks"], 50)));
        }
        if dice.chance(5) {
            settings.insert(
                "disable_plugins".into(),
                json!([dice.one(&["teams", "labels", "topics", "branches"])]),
            );
        }
        files.insert("settings.yml".into(), Value::Object(settings));
    }
    for n in 0..dice.below(3) {
        let mut suborg = sections(dice, state, Place::Layer, 18);
        suborg.insert("rank".into(), json!(100 + n * 10));
        match dice.below(3) {
            0 => suborg.insert("suborgrepos".into(), json!([dice.one(&["shop", "Sho*", "*2", "nothing-*"])])),
            1 => {
                let team = dice.one(TEAMS);
                agree(&mut suborg, &json!({ "team": team }));
                suborg.insert("suborgteams".into(), json!([team]))
            }
            _ => {
                let property = dice.one(PROPERTIES);
                agree(&mut suborg, &json!({ "property": { property: "gold" } }));
                suborg.insert("suborgproperties".into(), json!([{ property: "gold" }]))
            }
        };
        files.insert(format!("suborgs/s{n}.yml"), Value::Object(suborg));
    }
    for n in 0..dice.below(3) {
        let mut layer = sections(dice, state, Place::Layer, 18);
        // Sometimes two layers have the same rank and can contradict each other. After a
        // contradiction, Beadle does not change the section, or validation rejects the policy.
        layer.insert("rank".into(), json!(if dice.chance(10) { 200 } else { 200 + n }));
        if dice.chance(85) {
            let chosen = choice(dice);
            agree(&mut layer, &chosen);
            layer.insert("select".into(), chosen);
        }
        if dice.chance(20) {
            layer.insert("except".into(), choice(dice));
        }
        if dice.chance(15) {
            let mut case = sections(dice, state, Place::Layer, 10);
            let chosen = choice(dice);
            agree(&mut case, &chosen);
            case.insert("select".into(), chosen);
            layer.insert("first_match".into(), json!([case]));
        }
        files.insert(format!("layers/l{n}.yml"), Value::Object(layer));
    }
    for _ in 0..dice.below(3) {
        let live = &state.repositories[dice.below(state.repositories.len())];
        let stem = if dice.chance(6) { "nothing-here".to_owned() } else { dice.cased(&live.name) };
        let is_there = files.keys().any(|file| file.eq_ignore_ascii_case(&format!("repos/{stem}.yml")));
        if !is_there {
            let file = of(dice, live, &Value::Null, Place::Repository, 30);
            files.insert(format!("repos/{stem}.yml"), Value::Object(file));
        }
    }
    if files.is_empty() {
        files.insert("settings.yml".into(), json!({ "repository": { "has_wiki": dice.chance(50) } }));
    }
    files
}

/// Returns random sections. Some of the values come from one of the live repositories.
fn sections(dice: &mut Dice, state: &State, place: Place, percent: u32) -> Map<String, Value> {
    let live = &state.repositories[dice.below(state.repositories.len())];
    of(dice, live, &state.rulesets, place, percent)
}

fn of(dice: &mut Dice, live: &Live, rulesets: &Value, place: Place, percent: u32) -> Map<String, Value> {
    let mut made = Map::new();
    let all: Vec<&str> = LISTS.iter().map(|list| list.section).chain(BLOCKS.iter().copied()).collect();
    let mut chosen = dice.some(&all, percent);
    if chosen.is_empty() {
        chosen.push(dice.one(&all));
    }
    for section in chosen {
        // In `settings.yml`, the section `rulesets` belongs to the organisation.
        let is_organisations = section == "rulesets" && place == Place::Settings;
        let live = if is_organisations { rulesets } else { &live.sections[section] };
        made.insert(section.to_owned(), entries::section(dice, section, place, live));
    }
    made
}

/// Returns random selectors for a layer.
fn choice(dice: &mut Dice) -> Value {
    match dice.below(5) {
        0 => json!({ "name": dice.one(&["shop", "Sho*", "*2", "nothing-*"]) }),
        1 => json!({ "topic": dice.one(&["Rust", "infra", "legacy"]) }),
        2 => json!({ "team": dice.one(TEAMS) }),
        3 => {
            let property = dice.one(PROPERTIES);
            json!({ "property": { property: ["gold", "lead"] } })
        }
        _ => json!({ "visibility": dice.one(&["private", "internal", "public"]), "topic": dice.one(TOPICS) }),
    }
}

/// Changes the sections of a file so that they set the values that the file's selector requires.
/// Otherwise, a file could change a repository and then no longer select this repository. Every
/// apply would then change something.
fn agree(body: &mut Map<String, Value>, selected: &Value) {
    if let Some(repository) = body.get_mut("repository").and_then(Value::as_object_mut)
        && selected["visibility"].is_string()
    {
        repository.remove("private");
        if repository.contains_key("visibility") {
            repository.insert("visibility".into(), selected["visibility"].clone());
        }
    }
    if selected["topic"].is_string()
        && let Some(list) = body.get_mut("repository").and_then(|repository| repository.get_mut("topics"))
    {
        keep_others(list);
    }
    if selected["team"].is_string()
        && let Some(list) = body.get_mut("teams")
    {
        keep_others(list);
    }
    let property = selected["property"].as_object().and_then(|properties| properties.keys().next());
    let (Some(property), Some(list)) = (property, body.get_mut("custom_properties")) else { return };
    let words = ["exclusive", "additive", "add", "replace"];
    let word = words.into_iter().find(|word| list.get(*word).is_some());
    let list = match word {
        Some(word) => &mut list[word],
        None => list,
    };
    for entry in list.as_array_mut().into_iter().flatten() {
        if entry["name"].as_str().is_some_and(|name| name.eq_ignore_ascii_case(property)) {
            entry["value"] = json!("gold");
        }
    }
}

/// Turns an exclusive list into an additive list.
fn keep_others(list: &mut Value) {
    if let Some(items) = list.get("exclusive").cloned() {
        *list = json!({ "additive": items });
    }
}

/// Returns whether a file selects repositories by a value that one of the files sets. With such a
/// file, each apply can cause more changes. Without such a file, a later apply must find nothing to
/// change.
pub(super) fn selects_by_what_is_written(files: &Files) -> bool {
    let cases = |body: &Value| body["first_match"].as_array().cloned().unwrap_or_default();
    let bodies: Vec<Value> =
        files.values().flat_map(|body| std::iter::once(body.clone()).chain(cases(body))).collect();
    let selects = |key: &str| {
        let mut blocks = bodies.iter().flat_map(|body| [&body["select"], &body["except"]]);
        blocks.any(|block| block.get(key).is_some())
    };
    let has = |pointer: &str| bodies.iter().any(|body| body.pointer(pointer).is_some());
    (selects("visibility") && (has("/repository/visibility") || has("/repository/private")))
        || (selects("topic") && has("/repository/topics"))
        || ((selects("team") || has("/suborgteams")) && has("/teams"))
        || ((selects("property") || has("/suborgproperties")) && has("/custom_properties"))
}
