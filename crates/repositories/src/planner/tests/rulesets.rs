//! Tests a policy file that declares only a part of a ruleset.

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

#[tokio::test(start_paused = true)]
async fn a_ruleset_without_the_checks_of_the_lower_rank_is_left_alone() {
    let mut doc = acme(201, 301);
    let parameters = json!({
        "strict_required_status_checks_policy": true, "required_status_checks": [{ "context": "ci" }],
    });
    let rules = json!([{ "type": "required_status_checks", "parameters": parameters }]);
    let main = json!({ "id": 7, "target": "branch", "enforcement": "active", "rules": rules });
    doc["orgs"]["acme"]["repos"]["shop"]["rulesets"] = json!({ "main": main });
    let ruleset = |list: &str| {
        format!(
            "rulesets:\n- name: main\n  enforcement: active\n  rules:\n  - type: required_status_checks\n    \
             parameters: {{ strict_required_status_checks_policy: false, required_status_checks: {list} }}\n"
        )
    };
    let all = format!("suborgrepos: [shop]\n{}", ruleset("[{ context: ci }]"));
    for (without, is_left) in [("ci", true), ("lint", false)] {
        let own = ruleset(&format!("{{ without: [{without}] }}"));
        let files = [("suborgs/all.yml", all.as_str()), ("repos/shop.yml", own.as_str())];
        let plan = Stage::of_files(doc.clone(), &files).await.plan().await;
        let unknowns: Vec<_> =
            plan.unknowns.iter().map(|unknown| (unknown.part.as_deref(), unknown.why.as_str())).collect();
        assert_eq!(plan.changes.is_empty(), is_left, "{without}: {unknowns:?}");
        let is_named =
            |(part, why): &(Option<&str>, &str)| *part == Some("main") && why.contains("lists a check");
        assert_eq!(
            unknowns.iter().filter(|unknown| is_named(unknown)).count(),
            usize::from(is_left),
            "{unknowns:?}"
        );
    }
}
