//! A file that declares only a part of a ruleset.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_part_of_a_ruleset_without_the_rest_leaves_the_ruleset_alone() {
    let mut doc = acme(201, 301);
    let rules = json!([{ "type": "deletion" }]);
    let main = json!({ "id": 7, "target": "branch", "enforcement": "disabled", "rules": rules });
    doc["orgs"]["acme"]["repos"]["shop"]["rulesets"] = json!({ "main": main });
    for (selected, is_whole) in [("shop", true), ("till", false)] {
        let rest = format!(
            "suborgrepos: [{selected}]\nrulesets: [{{ name: main, enforcement: active, rules: [{{ type: deletion }}] }}]\n"
        );
        let part = "rulesets: [{ name: main, rules: [{ type: creation }] }]\n";
        let files = [("suborgs/a.yml", rest.as_str()), ("repos/shop.yml", part)];
        let plan = Stage::of_files(doc.clone(), &files).await.plan().await;
        let unknowns: Vec<_> =
            plan.unknowns.iter().map(|unknown| (unknown.part.as_deref(), unknown.why.as_str())).collect();
        assert_eq!(plan.changes.is_empty(), !is_whole, "{selected}: {unknowns:?}");
        match unknowns.as_slice() {
            [] => assert!(is_whole),
            [(part, why)] => {
                assert_eq!((*part, is_whole), (Some("main"), false), "{why}");
                assert!(why.contains("sets `enforcement` of the ruleset (repos/shop.yml:1)"), "{why}");
            }
            _ => panic!("{unknowns:?}"),
        }
    }
}
