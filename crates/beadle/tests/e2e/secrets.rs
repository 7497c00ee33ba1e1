//! Secrets: a value gets to GitHub, and to no other place.

use std::path::Path;

use serde_json::{Value, json};

use crate::world::{World, acme};

const POLICY: &str = "
secrets: [{ name: NPM_TOKEN, secret: npm }]
dependabot_secrets: [{ name: NPM_TOKEN, secret: npm }]
codespaces_secrets: [{ name: NPM_TOKEN, secret: npm }]
environments: [{ name: production, secrets: [{ name: NPM_TOKEN, secret: npm }] }]
webhooks: [{ url: 'https://ci.example.com/', secret: npm }]
";

/// The places in the state of the repository that must have the value.
const PLACES: [&str; 5] = [
    "/secrets/NPM_TOKEN/value",
    "/dependabot_secrets/NPM_TOKEN/value",
    "/codespaces_secrets/NPM_TOKEN/value",
    "/environments/production/secrets/NPM_TOKEN/value",
    "/hooks/https:~1~1ci.example.com~1/config/secret",
];

/// Returns the files in a folder, and in the folders below it, that contain a text.
fn files_with(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, text));
        } else if std::fs::read(&path).unwrap().windows(text.len()).any(|part| part == text.as_bytes()) {
            found.push(path.file_name().unwrap().to_string_lossy().into_owned());
        }
    }
    found
}

async fn world(value: &str) -> World {
    let mut world = World::unlimited(acme(json!({ "shop": { "branches": { "main": {} } } }))).await;
    std::fs::write(world.path().join("npm.secret"), value).unwrap();
    world.org_lines += "[org.secrets]\nnpm = \"file:npm.secret\"\n";
    world.policy("settings.yml", POLICY);
    world
}

fn random(name: &str) -> String {
    format!("{name}-{:032x}", rand::random::<u128>())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_is_in_no_output_and_in_no_file_but_its_own() {
    let values = [random("first"), random("second")];
    let world = world(&values[0]).await;
    let mut said = String::new();
    for value in &values {
        std::fs::write(world.path().join("npm.secret"), value).unwrap();
        let commands: [(&[&str], i32); 4] = [
            (&["plan", "--format", "json"], 2),
            (&["apply", "--yes"], 0),
            (&["plan"], 0),
            (&["journal", "--format", "ndjson"], 0),
        ];
        for (command, code) in commands {
            let ran = world.beadle(command).await.expect(code);
            said.push_str(&ran.out);
            said.push_str(&ran.err);
        }
        let shop = world.repository("shop");
        for place in PLACES {
            assert_eq!(shop.pointer(place), Some(&json!(value)), "{place}: {shop:#}");
        }
    }
    for value in &values {
        assert!(!said.contains(value.as_str()), "a value is in an output:\n{said}");
    }
    assert_eq!(files_with(world.path(), &values[0]), Vec::<String>::new());
    assert_eq!(files_with(world.path(), &values[1]), ["npm.secret"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_without_a_store_writes_only_secrets_that_are_missing() {
    let value = random("only");
    let world = world(&value).await;
    for writes in [true, false] {
        world.beadle(&["sweep", "--without-store"]).await.expect(0);
        let puts = world.writes().into_iter().filter(is_secret).count();
        assert_eq!(puts > 0, writes, "{puts}");
        world.sim.forget_calls();
    }
}

fn is_secret(call: &Value) -> bool {
    call["path"].as_str().is_some_and(|path| path.contains("/secrets/"))
}
