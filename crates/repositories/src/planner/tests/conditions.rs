//! Tests a ruleset of the organisation that selects its repositories with a different kind of
//! condition than before.

use beadle_engine::{Limits, StepResult};

use super::world::{UNLIMITED, World};
use super::*;

fn conditions(kind: &str, selected: &Value) -> Value {
    json!({ "ref_name": { "include": ["~DEFAULT_BRANCH"], "exclude": [] }, kind: selected })
}

async fn world(live: &Value, wanted: &Value) -> World {
    let rules = json!([{ "type": "deletion" }]);
    let ruleset = |conditions: &Value| json!({ "target": "branch", "enforcement": "active", "conditions": conditions, "rules": rules });
    let repositories = json!({ "shop": { "id": 101 }, "till": { "id": 102 }, "blog": { "id": 103 } });
    let state = json!({
        "orgs": { "acme": { "repos": repositories, "rulesets": { "main": ruleset(live) } } },
        "users": {}, "apps": { "beadle-app": { "id": beadle_sim::APP_ID } },
    });
    let mut entry = ruleset(wanted);
    entry["name"] = json!("main");
    World::new(state, &json!({ "rulesets": [entry] }).to_string()).await
}

#[tokio::test(start_paused = true)]
async fn another_way_to_select_repositories_is_held_unless_it_selects_all() {
    let property = json!({ "name": "tier", "property_values": ["gold"], "source": "custom" });
    let selections = [
        ("repository_name", json!({ "include": ["shop"], "exclude": [] })),
        ("repository_name", json!({ "include": ["~ALL"], "exclude": [] })),
        ("repository_id", json!({ "repository_ids": [101, 102] })),
        ("repository_property", json!({ "include": [property], "exclude": [] })),
    ];
    for (old, before) in &selections {
        for (new, after) in selections.iter().filter(|(new, _)| new != old) {
            let what = format!("{old} {before} to {new} {after}");
            let (live, wanted) = (conditions(old, before), conditions(new, after));
            let limited = world(&live, &wanted).await;
            let shown = limited.changes().await.join("\n");
            assert!(shown.contains(&format!("\"conditions.{old}\"")), "{what}: {shown}");
            let steps = limited.apply_once(Limits { weakens: 0, ..UNLIMITED }).await;
            let is_all = *after == selections[1].1;
            let held = steps.iter().all(|(_, _, result)| matches!(result, StepResult::Held { .. }));
            assert_eq!((steps.len(), held), (1, !is_all), "{what}: {steps:?}");
            let written =
                |world: &World| world.sim.state()["orgs"]["acme"]["rulesets"]["main"]["conditions"].clone();
            if held {
                assert_eq!(written(&limited), live, "{what}: a held change was written");
            }
            let unlimited = world(&live, &wanted).await;
            unlimited.apply().await;
            assert_eq!(written(&unlimited), wanted, "{what}");
        }
    }
}
