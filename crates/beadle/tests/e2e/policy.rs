//! Tests the errors and warnings about policies.

use serde_json::{Value, json};

use crate::process::output;
use crate::repair::declared;
use crate::world::{World, acme};

#[tokio::test(flavor = "multi_thread")]
async fn an_error_names_file_line_key_and_the_nearest_valid_key() {
    let world = World::new(acme(json!({}))).await;
    world
        .policy("settings.yml", "repository:\n  has_wikki: false\n  has_issues: yes\n  visibility: privat\n");
    let checked = world.beadle(&["check"]).await.expect(1);
    for said in [
        "settings.yml:2:3",
        "unknown key `repository.has_wikki`",
        "did you mean `has_wiki`?",
        "settings.yml:3:15",
        "only `true` and `false`",
        "settings.yml:4:15",
        "did you mean `private`?",
        "2 |   has_wikki: false",
    ] {
        assert!(checked.out.contains(said), "{said}: {}", checked.out);
    }
    world.policy("settings.yml", "teams:\n  - name: a\n    name: b\n    permission: pull\n");
    let checked = world.beadle(&["check"]).await.expect(1);
    assert!(checked.out.contains("settings.yml:3"), "{}", checked.out);
    world.policy("settings.yml", "teams:\n  - permission: pull\n");
    assert!(world.beadle(&["check"]).await.expect(1).out.contains("must have `name`"));
    world.policy("settings.yml", "repository: [");
    assert!(world.beadle(&["check"]).await.expect(1).out.contains("settings.yml:1"));
    assert_eq!(world.sim.calls().len(), 0, "a check asks nobody");
}

#[tokio::test(flavor = "multi_thread")]
async fn unsupported_keys_are_reported_and_the_rest_is_applied() {
    let mut world = World::new(acme(json!({ "widgets": { "branches": { "main": {} } } }))).await;
    let text = "repository:\n  has_wiki: false\n  has_pages: true\nruleset_scope:\n  repo\napp_installations: [{ app_slug: x }]\n";
    world.policy("settings.yml", text);
    world.policy("deployment-settings.yml", "restrictedRepos: [admin]\nconfigvalidators:\n  - plugin: x\n");
    let refused = world.beadle(&["check"]).await.expect(1);
    assert!(
        refused.out.contains("error: `configvalidators`")
            && refused.out.contains("deployment-settings.yml:2")
    );
    assert_eq!(refused.out.matches("`configvalidators`:").count(), 1, "{}", refused.out);
    assert!(world.beadle(&["plan"]).await.expect(1).err.contains("ignored"));
    world.org_lines = "validators = \"ignored\"\n".into();
    let checked = world.beadle(&["check", "--json"]).await.expect(0).json();
    let problems = checked[0]["problems"].as_array().unwrap();
    let lines: Vec<(String, u64)> = problems
        .iter()
        .filter(|problem| problem["severity"] == "not-yet")
        .map(|problem| {
            let asked = &problem["asked"];
            (asked["file"].as_str().unwrap().to_owned(), asked["line"].as_u64().unwrap())
        })
        .collect();
    for (file, line) in
        [("settings.yml", 3), ("settings.yml", 4), ("settings.yml", 6), ("deployment-settings.yml", 2)]
    {
        assert!(lines.contains(&(file.to_owned(), line)), "{file}:{line} in {lines:?}");
    }
    world.beadle(&["apply", "--yes"]).await.expect(0);
    assert_eq!(world.repository("widgets")["has_wiki"], json!(false));
}

#[tokio::test(flavor = "multi_thread")]
async fn layers_merge_and_selectors_without_a_match_are_reported() {
    let state = acme(json!({
        "web-shop": { "branches": { "main": {} }, "teams": { "platform": "pull" } },
        "api": { "branches": { "main": {} } },
        "old": { "archived": true, "has_wiki": true },
        ".github": { "has_wiki": true },
        "admin": { "has_wiki": true },
        "secret": { "has_wiki": true },
        "shop-ghsa-2345-6789-cfgh": { "has_wiki": true, "fork": true },
    }));
    let world = World::new(state).await;
    world.policy("settings.yml", "repository:\n  has_wiki: false\n  topics: [base]\nteams:\n  - { name: platform, permission: pull }\n");
    world.policy("suborgs/web.yml", "suborgrepos: ['web-*', 'nothing-*']\nrepository:\n  topics: [web]\n");
    world.policy("repos/web-shop.yml", "repository:\n  has_wiki: true\n  description: The shop\n");
    world.policy("repos/gone.yml", "repository:\n  has_wiki: true\n");
    world.policy("deployment-settings.yml", "restrictedRepos:\n  exclude: ['sec*']\n");
    let plan = world.beadle(&["plan"]).await.expect(2);
    assert!(plan.out.contains("there is no repository `gone`"), "{}", plan.out);
    assert!(plan.out.contains("`nothing-*` matches no repository"), "{}", plan.out);
    assert!(plan.out.contains("1 skipped (archived)"), "{}", plan.out);
    world.beadle(&["apply", "--yes"]).await.expect(0);
    let shop = world.repository("web-shop");
    assert_eq!((&shop["has_wiki"], &shop["description"]), (&json!(true), &json!("The shop")));
    assert_eq!(shop["topics"], json!(["base", "web"]));
    assert_eq!(world.repository("api")["has_wiki"], json!(false));
    for left in [".github", "admin", "secret", "old", "shop-ghsa-2345-6789-cfgh"] {
        assert_eq!(world.repository(left)["has_wiki"], json!(true), "{left} was touched");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_file_of_a_repository_unarchives_it_and_that_comes_first() {
    let mut repository = declared();
    repository["archived"] = json!(true);
    repository["has_wiki"] = json!(true);
    let world = World::new(acme(json!({ "widgets": repository }))).await;
    world.policy("settings.yml", "repository:\n  archived: false\n");
    let checked = world.beadle(&["check"]).await.expect(0);
    assert!(
        checked.out.contains("settings.yml:2") && checked.out.contains("repos/NAME.yml"),
        "{}",
        checked.out
    );
    world.policy("settings.yml", "repository:\n  has_wiki: false\n");
    world.beadle(&["plan"]).await.expect(0);
    world.policy("repos/widgets.yml", "repository:\n  archived: false\n");
    world.beadle(&["apply", "--yes"]).await.expect(0);
    let after = world.repository("widgets");
    assert_eq!((&after["archived"], &after["has_wiki"]), (&json!(false), &json!(false)));
    world.policy("repos/widgets.yml", "repository:\n  archived: true\n  has_wiki: true\n");
    world.beadle(&["apply", "--yes"]).await.expect(0);
    let after = world.repository("widgets");
    assert_eq!((&after["archived"], &after["has_wiki"]), (&json!(true), &json!(true)), "archived last");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suborg_matches_by_team_and_property_and_is_left_alone_if_they_are_unknown() {
    let world = World::new(acme(json!({
        "widgets": { "teams": { "security": "pull" }, "branches": { "main": {} } },
        "gadgets": { "branches": { "main": {} }, "properties": { "Tier": "one" } },
    })))
    .await;
    world.policy("settings.yml", "repository:\n  has_wiki: false\n");
    world.policy("suborgs/audited.yml", "suborgteams: [security]\nrepository:\n  topics: [audited]\n");
    world.beadle(&["apply", "--yes"]).await.expect(0);
    assert_eq!(world.repository("widgets")["topics"], json!(["audited"]));
    assert_eq!(world.repository("gadgets")["topics"], json!([]));
    world.policy(
        "suborgs/byprop.yml",
        "suborgproperties:\n  - tier: one\nteams:\n  - { name: platform, permission: pull }\n",
    );
    let plan = world.beadle(&["plan"]).await.expect(2);
    assert!(plan.out.contains("acme/gadgets\n   + adds    teams         team platform"), "{}", plan.out);
    assert!(!plan.out.contains("acme/widgets"), "{}", plan.out);
    world.fault(json!({ "path": "/properties/values", "status": 500 })).await;
    let plan = world.beadle(&["plan"]).await.expect(2);
    assert!(plan.out.contains("? unknown teams"), "{}", plan.out);
    assert!(!plan.out.contains("removes") && !plan.out.contains("adds"), "{}", plan.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_accepts_the_same_files_as_the_check() {
    let world = World::new(acme(json!({}))).await;
    let schema = world.beadle(&["schema"]).await.expect(0).json();
    let validator = jsonschema::validator_for(&schema).unwrap();
    assert!(
        validator.is_valid(
            &json!({ "repository": { "has_wiki": false, "topics": ["a"] }, "app_installations": 1 })
        )
    );
    assert!(!validator.is_valid(&json!({ "repository": { "has_wikki": false } })));
    for file in ["suborg", "layer", "repo", "deployment", "test"] {
        jsonschema::validator_for(&world.beadle(&["schema", file]).await.expect(0).json()).unwrap();
    }
    for shell in ["bash", "zsh", "fish"] {
        assert!(world.beadle(&["completions", shell]).await.expect(0).out.contains("beadle"));
    }
}

/// Checks that a configuration and its policy have no problems.
async fn accepted(config: &str) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_beadle"));
    command.args(["--config", config, "check", "--json"]);
    let output = output(command).await;
    let checked: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    assert_eq!(checked[0]["problems"], json!([]), "{checked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_files_of_deployments_are_valid() {
    let deploy = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy");
    accepted(&format!("{deploy}/sam/layer/beadle/beadle.toml")).await;
    let values = std::fs::read_to_string(format!("{deploy}/helm/beadle/values.yaml")).unwrap();
    let values: Value = serde_saphyr::from_str(&values).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("beadle.toml");
    std::fs::write(&config, values["config"].as_str().unwrap()).unwrap();
    // The user of the Helm chart supplies the files of the policy.
    std::fs::create_dir(folder.path().join("policy")).unwrap();
    std::fs::write(folder.path().join("policy/settings.yml"), "repository:\n  has_wiki: true\n").unwrap();
    accepted(config.to_str().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_are_valid() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples");
    let world = World::new(acme(json!({}))).await;
    accepted(&format!("{folder}/beadle.toml")).await;
    let printed = world.beadle(&["example"]).await.expect(0);
    assert_eq!(
        printed.out.trim_end(),
        std::fs::read_to_string(format!("{folder}/beadle.toml")).unwrap().trim_end()
    );
}
