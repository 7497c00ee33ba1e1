//! Tests a policy that declares every aspect. The test waives one key at a time. A waiver keeps the
//! live values, so a waiver must never cause a change.

use beadle_engine::Planner as _;

use super::importing_everything::{GADGETS, everything, world};
use super::*;
use crate::policy::{Node, check_waived_key};

/// The keys that can identify an entry of a list.
const NAMES: &[&str] = &["name", "username", "key_prefix", "key", "title", "url"];

/// Adds the paths of all keys and entries below a value.
fn paths(path: &str, value: &Value, found: &mut Vec<String>) {
    for (key, below) in value.as_object().into_iter().flatten() {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        found.push(path.clone());
        paths(&path, below, found);
    }
    for item in value.as_array().into_iter().flatten() {
        let name = NAMES.iter().find_map(|name| item[*name].as_str()).or(item.as_str());
        if let Some(name) = name {
            let path = format!("{path}[{name}]");
            found.push(path.clone());
            paths(&path, item, found);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiver_of_any_key_causes_no_change() {
    let whole = everything();
    let mut world = Box::pin(world(&whole)).await;
    Box::pin(world.apply()).await;
    let (mut waived, mut failed) = (0, Vec::new());
    for (id, text) in [(501, include_str!("everything.yml")), (502, GADGETS)] {
        let mut all = Vec::new();
        paths("", &Node::parse("settings.yml", text).unwrap().json(), &mut all);
        for path in all.iter().filter(|path| check_waived_key(path).is_ok()) {
            let mut files = whole.clone();
            let waiver = format!(
                "waivers:\n- repositories: ['*']\n  keys: ['{path}']\n  until: '2027-01-20T08:00:00Z'\n  reason: \
                 release\n  owner: mona\n"
            );
            files.insert("waivers.yml".to_owned(), waiver);
            world.replace_policy(&files);
            let key = Key::new("repository", "acme", id);
            let plan = Box::pin(world.parts().0.plan(&key, None, Lane::Manual)).await.unwrap();
            waived += plan.waived.len();
            let changes =
                plan.changes.iter().map(|change| format!("{path}: {} {:?}", change.what, change.fields));
            failed.extend(changes);
            failed.extend(plan.unknowns.iter().map(|unknown| format!("{path}: {}", unknown.why)));
        }
    }
    assert!(waived >= 80, "the table has shrunk: {waived}");
    assert_eq!(failed, Vec::<String>::new());
}
