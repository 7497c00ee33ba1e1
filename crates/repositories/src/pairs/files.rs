//! A random policy for an organisation.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::dice::{Dice, PROPERTIES, TEAMS, TOPICS};
use super::entries::{self, BLOCKS, LISTS, Place};
use super::state::{Live, State};

/// A policy's files by their paths. JSON is YAML too.
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
            1 => suborg.insert("suborgteams".into(), json!([dice.one(TEAMS)])),
            _ => {
                let property = dice.one(PROPERTIES);
                suborg.insert("suborgproperties".into(), json!([{ property: "gold" }]))
            }
        };
        files.insert(format!("suborgs/s{n}.yml"), Value::Object(suborg));
    }
    for n in 0..dice.below(3) {
        let mut layer = sections(dice, state, Place::Layer, 18);
        // Two of one rank may contradict: then their sections are in doubt, or the policy is
        // refused.
        layer.insert("rank".into(), json!(if dice.chance(10) { 200 } else { 200 + n }));
        if dice.chance(85) {
            layer.insert("select".into(), choice(dice));
        }
        if dice.chance(20) {
            layer.insert("except".into(), choice(dice));
        }
        if dice.chance(15) {
            let mut case = sections(dice, state, Place::Layer, 10);
            case.insert("select".into(), choice(dice));
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

/// Random sections, with values of one of the repositories.
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
        // The rulesets of settings.yml are the organisation's.
        let is_organisations = section == "rulesets" && place == Place::Settings;
        let live = if is_organisations { rulesets } else { &live.sections[section] };
        made.insert(section.to_owned(), entries::section(dice, section, place, live));
    }
    made
}

/// The repositories of a layer.
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
