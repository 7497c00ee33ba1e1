use serde_json::json;

use super::{accepted, lowest, shop, target};
use crate::policy::{Did, FileKind, OverrideStatus, explain, schema};

#[test]
fn explain_shows_what_each_layer_did() {
    let low = lowest("teams: [{ name: a, permission: pull }, { name: b, permission: pull }]");
    let middle = "rank: 5\nteams:\n- { name: b, permission: push }\n";
    let policy = accepted(&[
        ("layers/low.yml", low.as_str()),
        ("layers/middle.yml", middle),
        ("repos/shop.yml", "teams:\n  without: [a]\n"),
    ]);
    let target = target(&policy, &OverrideStatus::default());
    let (values, removed) = explain(&policy, &target, &shop(), "teams");
    let value = values.iter().find(|value| value.path == "teams[b].permission").unwrap();
    let did: Vec<(&str, Did)> = value.layers.iter().map(|step| (step.file.as_str(), step.did)).collect();
    assert_eq!(did, [("layers/low.yml", Did::Sets), ("layers/middle.yml", Did::Changes)]);
    let gone = removed.iter().find(|gone| gone.path == "teams[a].permission").unwrap();
    assert_eq!((gone.value.clone(), gone.by), (json!("pull"), "without"));
    assert_eq!((gone.set_by.as_str(), gone.removed_by.as_str()), ("layers/low.yml:2", "repos/shop.yml:2"));
}

#[test]
fn explain_shows_the_other_forms() {
    for (form, by) in [("{ replace: [{ name: b }] }", "replace"), ("null", "null")] {
        let low = lowest("labels: [{ name: a }]");
        let high = format!("labels: {form}\nrepository: {{ has_wiki: false }}\n");
        let policy = accepted(&[("layers/low.yml", low.as_str()), ("repos/shop.yml", high.as_str())]);
        let target = target(&policy, &OverrideStatus::default());
        let (_, removed) = explain(&policy, &target, &shop(), "labels");
        let found: Vec<(&str, &str)> = removed.iter().map(|gone| (gone.path.as_str(), gone.by)).collect();
        assert_eq!(found, [("labels[a].name", by)]);
    }
    let count = |form: &str| {
        format!(
            "branches: [{{ name: main, protection: {{ required_pull_request_reviews: {{ \
             required_approving_review_count: {form} }} }} }}]\n"
        )
    };
    let files = [lowest(&count("3")), count("{ at_least: 2 }")];
    let policy = accepted(&[("layers/low.yml", files[0].as_str()), ("repos/shop.yml", files[1].as_str())]);
    let target = target(&policy, &OverrideStatus::default());
    let (values, _) = explain(&policy, &target, &shop(), "branches");
    let value = values.iter().find(|value| value.path.ends_with("required_approving_review_count")).unwrap();
    let did: Vec<(&str, Did)> = value.layers.iter().map(|step| (step.line.as_str(), step.did)).collect();
    assert_eq!(did, [("layers/low.yml:2", Did::Sets), ("repos/shop.yml:1", Did::Keeps)]);
}

#[test]
fn the_schema_describes_the_forms() {
    let schema = schema(FileKind::Repo);
    let forms = &schema["properties"]["teams"]["anyOf"];
    assert_eq!(forms[0]["type"], "array");
    let mut keys: Vec<&String> = forms[1]["properties"].as_object().unwrap().keys().collect();
    keys.sort();
    assert_eq!(keys, ["add", "additive", "exclusive", "replace", "without"]);
    assert_eq!(forms[2], json!({ "type": "null" }));
    let named = &forms[1]["properties"]["without"]["items"]["anyOf"];
    assert_eq!((&named[0]["type"], &named[1]["type"]), (&json!("string"), &json!("object")));
}
