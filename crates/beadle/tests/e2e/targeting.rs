//! Tests how Beadle selects and combines layers: selectors, ranks, `first_match` and the modes of
//! lists. Also tests `beadle explain` and the tests of a policy.

use serde_json::{Value, json};

use crate::world::{World, acme};

/// The alternatives in the policy `github-cop`, in this order: databases, tests, and all other
/// repositories.
const LEADS: &str = "
rank: 200
select: { name: ['*'] }
except: { name: 'legacy-*' }
first_match:
  - select: { name: '*database*' }
    teams: { additive: [{ name: platform, permission: admin }, { name: engineering, permission: push }] }
  - select: { name: '*test*' }
    teams: { additive: [{ name: engineering, permission: push }, { name: security, permission: admin }] }
  - teams: { additive: [{ name: engineering, permission: admin }] }
";

async fn organisation() -> World {
    let world = World::new(acme(json!({
        "orders-database": { "branches": { "main": {} }, "teams": { "contractors": "pull" } },
        "test-database": { "branches": { "main": {} } },
        "load-test": { "branches": { "main": {} } },
        "shop": { "branches": { "main": {} }, "topics": ["web"], "properties": { "tier": "gold" } },
        "legacy-shop": { "branches": { "main": {} } },
    })))
    .await;
    world.policy("settings.yml", "repository: { has_wiki: false }\n");
    std::fs::create_dir_all(world.path().join("policy/layers")).unwrap();
    std::fs::create_dir_all(world.path().join("policy/tests")).unwrap();
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_matching_layer_counts_and_an_additive_list_removes_nobody() {
    let world = organisation().await;
    world.policy("layers/leads.yml", LEADS);
    world.beadle(&["apply", "--yes"]).await.expect(0);
    let teams = |name: &str| world.repository(name)["teams"].clone();
    let wanted = json!({ "contractors": "pull", "platform": "admin", "engineering": "push" });
    assert_eq!(teams("orders-database"), wanted, "who is not listed stays");
    assert_eq!(
        teams("test-database"),
        json!({ "platform": "admin", "engineering": "push" }),
        "database first"
    );
    assert_eq!(teams("load-test"), json!({ "engineering": "push", "security": "admin" }));
    assert_eq!(teams("shop"), json!({ "engineering": "admin" }));
    assert_eq!(teams("legacy-shop"), json!({}), "excepted");
    world.beadle(&["plan"]).await.expect(0);
    // For the list, the layer with the highest rank decides.
    world.policy(
        "repos/orders-database.yml",
        "teams: { exclusive: [{ name: platform, permission: pull }] }\n",
    );
    let plan = world.beadle(&["plan"]).await.expect(2);
    assert!(plan.out.contains("team contractors: permission: pull → none"), "{}", plan.out);
    assert!(plan.out.contains("team platform: permission: admin → pull"), "{}", plan.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_exclusive_lists_remove_entries() {
    let lists = [
        "teams",
        "collaborators",
        "labels",
        "milestones",
        "autolinks",
        "deploy_keys",
        "custom_properties",
        "webhooks",
        "rulesets",
    ];
    let world = World::new(acme(json!({ "shop": {
        "branches": { "main": {} }, "teams": { "contractors": "pull" }, "collaborators": { "dan": "push" },
        "labels": { "bug": { "color": "d73a4a" } }, "autolinks": { "T-": { "url_template": "https://t/<num>" } },
        "properties": { "tier": "gold" }, "milestones": { "v1": { "state": "open" } },
        "deploy_keys": { "ssh-ed25519 AAAA": { "title": "CI", "read_only": true } },
        "hooks": { "https://ci.example.com/": { "events": ["push"], "config": { "content_type": "json" } } },
        "rulesets": { "main": { "target": "branch", "enforcement": "active", "rules": [{ "type": "deletion" }] } },
    } })))
    .await;
    std::fs::create_dir_all(world.path().join("policy/layers")).unwrap();
    let policy = |word: &str| {
        let lists: Vec<String> = lists.iter().map(|list| format!("{list}: {{ {word}: [] }}")).collect();
        format!("rank: 1\nselect: {{ name: ['*'] }}\n{}\n", lists.join("\n"))
    };
    world.policy("layers/all.yml", &policy("additive"));
    let planned = world.beadle(&["plan"]).await.expect(0);
    assert!(planned.out.contains("nothing to change"), "{}", planned.out);
    world.policy("layers/all.yml", &policy("exclusive"));
    let plan = world.beadle(&["plan", "--format", "json"]).await.expect(2).json();
    // `beadle plan-total` needs the number of all repositories, not the number of the named ones.
    assert_eq!(plan["organisations"][0]["among"], json!(1));
    let named = world.beadle(&["plan", "--format", "json", "--repo", "shop"]).await.json();
    assert_eq!(named["organisations"][0]["repositories"][0]["name"], "acme/shop");
    assert_eq!(named["organisations"][0]["among"], json!(null));
    let changes = plan["organisations"][0]["repositories"][0]["changes"].as_array().unwrap();
    let mut aspects: Vec<&str> = changes.iter().map(|change| change["aspect"].as_str().unwrap()).collect();
    aspects.sort_unstable();
    let mut wanted = lists;
    wanted.sort_unstable();
    assert_eq!(aspects, wanted, "{plan:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_selector_matches_its_repositories() {
    let world = organisation().await;
    let cases = [
        ("topic: web", vec!["shop"]),
        ("property: { tier: [silver, gold] }", vec!["shop"]),
        ("property: { tier: bronze }", vec![]),
        ("visibility: private, name: '*-database'", vec!["orders-database", "test-database"]),
        ("visibility: public", vec![]),
        ("fork: true", vec![]),
        ("team: contractors", vec!["orders-database"]),
        ("created_after: 2999-01-01", vec![]),
        ("created_before: 2999-01-01, fork: false, name: shop", vec!["shop"]),
    ];
    for (select, wanted) in cases {
        world.policy(
            "layers/one.yml",
            &format!("select: {{ {select} }}\nrepository: {{ has_issues: false }}\n"),
        );
        let plan = world.beadle(&["plan", "--format", "json"]).await.json();
        let repositories = plan["organisations"][0]["repositories"].as_array().unwrap();
        let reached = repositories.iter().filter(|repository| repository.to_string().contains("has_issues"));
        let mut reached: Vec<&str> = reached
            .map(|repository| repository["name"].as_str().unwrap().trim_start_matches("acme/"))
            .collect();
        reached.sort_unstable();
        assert_eq!(reached, wanted, "{select}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_higher_rank_wins_and_a_conflict_of_equal_ranks_names_both_lines() {
    let world = organisation().await;
    world.policy("layers/low.yml", "rank: 10\nrepository:\n  has_issues: false\n");
    world.policy("layers/high.yml", "rank: 20\nrepository:\n  has_issues: true\n");
    world.beadle(&["apply", "--yes"]).await.expect(0);
    assert_eq!(world.repository("shop")["has_issues"], json!(true));
    // Both layers select all repositories. So Beadle finds the conflict without a request.
    world.policy("layers/high.yml", "rank: 10\nrepository:\n  has_issues: true\n");
    let checked = world.beadle(&["check"]).await.expect(1);
    assert!(
        checked.out.contains("layers/high.yml:3") && checked.out.contains("layers/low.yml:3"),
        "{}",
        checked.out
    );
    // Only one repository matches the selectors of both layers.
    world.policy("layers/low.yml", "rank: 10\nselect: { topic: web }\nrepository:\n  has_issues: false\n");
    world.policy("layers/high.yml", "rank: 10\nselect: { name: s* }\nrepository:\n  has_issues: true\n");
    let plan = world.beadle(&["plan"]).await.expect(2);
    let said = "layers/high.yml:4 and layers/low.yml:4 disagree about `repository.has_issues`";
    assert!(plan.out.contains(said), "{}", plan.out);
    assert!(!plan.out.contains("changes settings"), "nothing of it is touched: {}", plan.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_refuses_a_file_and_leaves_the_sections_of_a_repository_alone() {
    let world = organisation().await;
    world.beadle(&["apply", "--yes"]).await.expect(0);
    std::fs::create_dir_all(world.path().join("policy/rules")).unwrap();
    world.policy("layers/web.yml", "select: { topic: web }\nrepository:\n  has_issues: false\n");
    let rule = |expect: &str| {
        format!("- name: issues\n  expect: {expect}\n  message: no repository may turn off its issues\n")
    };
    // The file itself breaks the rule. So Beadle finds the error without a request.
    world.policy("rules/issues.yml", &rule("override.repository.has_issues"));
    let checked = world.beadle(&["check"]).await.expect(1);
    for said in ["no repository may turn off its issues", "layers/web.yml:3", "rules/issues.yml:1"] {
        assert!(checked.out.contains(said), "{said}: {}", checked.out);
    }
    // Beadle checks a rule about repositories for each repository that the file selects.
    world.policy("rules/issues.yml", &rule("resolved.repository.has_issues | default(true)"));
    world.beadle(&["check"]).await.expect(0);
    let plan = world.beadle(&["plan"]).await.expect(2);
    assert!(plan.out.contains("layers/web.yml:3: no repository may turn off its issues"), "{}", plan.out);
    assert!(!plan.out.contains("changes settings"), "nothing of it is touched: {}", plan.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_names_every_value_with_its_line_and_the_overridden_values() {
    let world = organisation().await;
    world.policy("layers/leads.yml", LEADS);
    world.policy("repos/shop.yml", "repository: { has_wiki: true }\n");
    let explained = world.beadle(&["explain", "acme/shop"]).await.expect(0);
    for line in [
        "selected by layers/leads.yml (rank 200)",
        "repository.has_wiki            true  [repos/shop.yml:1]",
        "overrides false  [settings.yml:1]",
        "teams[engineering].permission  admin  [layers/leads.yml:10]",
    ] {
        assert!(explained.out.contains(line), "{line}\n{}", explained.out);
    }
    let only = world.beadle(&["explain", "acme/shop", "teams", "--json"]).await.expect(0).json();
    assert!(
        only["values"]
            .as_array()
            .unwrap()
            .iter()
            .all(|value| value["path"].as_str().unwrap().starts_with("teams"))
    );
    world.beadle(&["explain", "acme/nothing"]).await.expect(1);
    world.policy("deployment-settings.yml", "restrictedRepos: [shop]\n");
    let left = world.beadle(&["explain", "acme/shop"]).await.expect(0);
    assert!(left.out.contains("skipped"), "{}", left.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_narrower_file_says_less_than_a_wider_one() {
    let labels = || json!({ "bug": { "color": "d73a4a" }, "own": { "color": "ededed" } });
    let protection =
        json!({ "main": { "required_pull_request_reviews": { "required_approving_review_count": 3 } } });
    let repository = || {
        json!({ "branches": { "main": {} }, "teams": { "contractors": "pull" }, "labels": labels(),
            "protection": protection })
    };
    let world = World::new(acme(json!({ "shop": repository(), "blog": repository() }))).await;
    world.policy(
        "settings.yml",
        "teams:\n- { name: engineering, permission: push }\n- { name: contractors, permission: pull }\n\
         labels: [{ name: bug, color: d73a4a }]\nrepository: { topics: [web, rust] }\n",
    );
    world.policy(
        "repos/shop.yml",
        "teams:\n  without: [contractors]\nlabels: null\nrepository: { topics: { replace: [go] } }\nbranches:\n\
         - name: main\n  protection:\n    required_pull_request_reviews:\n      \
         required_approving_review_count: { at_least: 2 }\n",
    );
    world.beadle(&["apply", "--yes"]).await.expect(0);
    let (shop, blog) = (world.repository("shop"), world.repository("blog"));
    assert_eq!(shop["teams"], json!({ "engineering": "push" }));
    assert_eq!(blog["teams"], json!({ "engineering": "push", "contractors": "pull" }));
    assert_eq!((&shop["topics"], &blog["topics"]), (&json!(["go"]), &json!(["rust", "web"])));
    assert!(shop["labels"].get("own").is_some() && blog["labels"].get("own").is_none(), "{shop:#}");
    let count = "/protection/main/required_pull_request_reviews/required_approving_review_count";
    assert_eq!(shop.pointer(count), Some(&json!(3)), "a minimum lowers nothing");
    world.beadle(&["plan"]).await.expect(0);
    let explained = world.beadle(&["explain", "acme/shop"]).await.expect(0);
    for line in [
        "removed teams[contractors].permission  pull  [settings.yml:3]  by without  [repos/shop.yml:2]",
        "removed labels[bug].color  d73a4a  [settings.yml:4]  by null  [repos/shop.yml:3]",
    ] {
        assert!(explained.out.contains(line), "{line}\n{}", explained.out);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn check_runs_the_tests_of_the_policy() {
    let world = organisation().await;
    world.policy("layers/leads.yml", LEADS);
    let tests = "
- name: a database has the platform as its admin
  repository: { name: orders-database, topics: [x], visibility: internal }
  expect:
    repository: { has_wiki: false }
    teams: [{ name: platform, permission: admin }]
  absent: ['teams[security]']
- name: legacy has no teams
  repository: { name: legacy-shop }
  absent: [teams]
- name: archived ones are left alone
  repository: { name: old, archived: true }
  skipped: true
";
    world.policy("tests/leads.yml", tests);
    let checked = world.beadle(&["check"]).await.expect(0);
    assert!(checked.out.contains("3 tests"), "{}", checked.out);
    world.policy(
        "tests/leads.yml",
        &tests.replace("platform, permission: admin", "platform, permission: pull"),
    );
    let checked = world.beadle(&["check"]).await.expect(1);
    assert!(checked.out.contains("tests/leads.yml:6"), "{}", checked.out);
    assert!(
        checked.out.contains("must be \"pull\", found \"admin\" (layers/leads.yml:7)"),
        "{}",
        checked.out
    );
    world.policy("tests/leads.yml", "- { name: x, repositori: {} }\n");
    assert!(world.beadle(&["check"]).await.expect(1).out.contains("did you mean `repository`?"));
    let mistyped = "- { name: x, repository: { name: y }, absent: ['temas[security]'] }\n";
    world.policy("tests/leads.yml", mistyped);
    let checked = world.beadle(&["check"]).await.expect(1);
    assert!(checked.out.contains("unknown section `temas`"), "{}", checked.out);
    assert!(checked.out.contains("did you mean `teams`?"), "{}", checked.out);
    assert!(!checked.out.contains("is valid"), "{}", checked.out);
    let as_json: Value = world.beadle(&["check", "--json"]).await.expect(1).json();
    assert_eq!(as_json[0]["accepted"], json!(true), "a failing test is no reason to refuse the policy");
    world.policy("tests/leads.yml", tests);
    std::fs::create_dir(world.path().join("policy/layer")).unwrap();
    world.policy("layer/leads.yml", LEADS);
    let checked = world.beadle(&["check"]).await.expect(0);
    assert!(
        checked.err.contains("does not read layer/leads.yml"),
        "a folder's name mistyped: {}",
        checked.err
    );
    assert_eq!(world.sim.calls().len(), 0, "a check asks nobody");
}
