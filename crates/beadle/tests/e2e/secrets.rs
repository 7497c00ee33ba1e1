//! Tests secrets. Beadle sends the value of a secret only to GitHub.

use std::path::Path;

use serde_json::{Value, json};

use crate::world::{Ran, World, acme};

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

/// All commands. A command is in the list several times if its output has several forms. Some
/// commands fail for one of these reasons: nothing is held, no service runs, or a name does not
/// exist.
const COMMANDS: &[&[&str]] = &[
    &["check"],
    &["plan"],
    &["plan", "--format", "markdown"],
    &["plan-total", "plan.json"],
    &["previews"],
    &["apply", "--yes"],
    &["sweep", "--json"],
    &["sweep", "--without-store"],
    &["explain", "acme/shop"],
    &["explain", "acme/shop", "--json"],
    &["holds", "--json"],
    &["approve", "8f0c1d2e3a4b"],
    &["reject", "8f0c1d2e3a4b"],
    &["waive", "acme/shop", "--keys", "repository.has_wiki", "--until", "2d", "--reason", "a test"],
    &["waivers"],
    &["pause", "--org", "acme", "--for", "1m"],
    &["resume", "--org", "acme"],
    &["rebind", "acme/nothing"],
    &["healthcheck"],
    &["status"],
    &["reload"],
    &["tasks"],
    &["tasks", "run", "nothing"],
    &["queue"],
    &["deliveries"],
    &["journal"],
    &["journal", "--format", "ndjson"],
    &["history", "acme/shop"],
    &["report"],
    &["budget"],
    &["doctor"],
    &["targets", "probe"],
    &["schema", "settings"],
    &["example"],
    &["completions", "bash"],
    &["import", "--into", "imported"],
    &["undo", "--since", "1h"],
    &["store", "copy", "beadle.db", "copy.db"],
    &["self", "check"],
];
/// The commands that are not in [`COMMANDS`]. The test itself starts the service. The setup does
/// not read the secrets of a policy. This build does not contain the remaining commands of this
/// list.
const NOT_LISTED: &[&str] = &["serve", "init", "demo", "sim", "aws doctor"];

/// Searches a folder and all folders below it. Returns the files that contain a text.
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

/// Returns whether a call writes a secret or a webhook.
fn has_secret(call: &Value) -> bool {
    is_secret(call) || call["path"].as_str().is_some_and(|path| path.contains("/hooks"))
}

#[test]
fn every_documented_command_is_in_the_run_of_everything() {
    let docs = include_str!("../../../../docs/commands.md");
    let rows = docs.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    for (name, _) in rows.filter(|(name, _)| !name.starts_with('-')) {
        let is_listed = COMMANDS.iter().any(|command| command.join(" ").starts_with(name));
        assert!(is_listed || NOT_LISTED.contains(&name), "{name}");
    }
}

/// Runs a command in the folder of the configuration, with the most detailed log. Returns all of
/// its output.
async fn run(world: &World, args: &[&str]) -> String {
    let mut command = world.command();
    command.current_dir(world.path()).env("BEADLE_LOG", "debug");
    let ran = Ran::of(command, args).await;
    assert!(ran.code >= 0 && !ran.err.contains("Usage:"), "{args:?}: {ran:?}");
    format!("{}{}", ran.out, ran.err)
}

/// Runs the service with the most detailed log until the service has repaired a drift. Returns all
/// pages of the service. The log is a file in the folder.
async fn serve(world: &World) -> String {
    let serving = world.spawn(&[("BEADLE_LOG", "debug")]).ready(world.operator()).await;
    world.until_idle().await;
    world.connect();
    world.patch(json!({ "shop": { "description": "theirs" } }), true).await;
    world.until("shop", "the repair", |shop| shop["description"] == "Sells").await;
    world.until_idle().await;
    let mut said = String::new();
    for page in ["readyz", "metrics", "tasks"] {
        let url = format!("http://127.0.0.1:{}/{page}", world.operator());
        said += &world.http.get(url).send().await.unwrap().text().await.unwrap();
    }
    for command in [&["tasks"][..], &["queue"], &["deliveries"], &["doctor"]] {
        said += &run(world, command).await;
    }
    assert_eq!(serving.stop().await, Some(0));
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_everything_shows_no_value_and_writes_each_value_once() {
    let values = ["first", "second", "third"].map(random);
    let world = world(&values[0]).await;
    let of_organisation = "organization: { webhooks: [{ url: 'https://org.example.com/', secret: npm }] }";
    world.policy(
        "settings.yml",
        &format!("repository: {{ description: Sells }}\n{of_organisation}\n{POLICY}"),
    );
    let set = |value: &str| std::fs::write(world.path().join("npm.secret"), value).unwrap();
    let mut said = run(&world, &["apply", "--yes"]).await;

    // The value of the secret changes. All commands together write the new value only once to each
    // place.
    set(&values[1]);
    let planned = world.beadle(&["plan", "--format", "json"]).await.expect(2);
    std::fs::write(world.path().join("plan.json"), planned.out).unwrap();
    world.sim.forget_calls();
    for command in COMMANDS {
        said += &run(&world, command).await;
    }
    said += &serve(&world).await;
    let mut written: Vec<String> =
        world.writes().iter().filter(|call| is_secret(call)).map(|call| call["path"].to_string()).collect();
    let all = written.len();
    written.sort_unstable();
    written.dedup();
    assert_eq!((written.len(), all), (4, 4), "{written:?}");
    let shop = world.repository("shop");
    for place in PLACES {
        assert_eq!(shop.pointer(place), Some(&json!(values[1])), "{place}: {shop:#}");
    }
    let hooks = world.sim.look(|state| state["orgs"]["acme"]["hooks"].clone());
    assert_eq!(hooks["https://org.example.com/"]["config"]["secret"], json!(values[1]));

    // GitHub refuses the next value, and Beadle shows the refusals.
    set(&values[2]);
    for (method, path) in [("PUT", "/secrets/"), ("PATCH", "/hooks")] {
        let body = json!({ "message": "Validation Failed" });
        world.fault(json!({ "method": method, "path": path, "status": 422, "body": body })).await;
    }
    for command in [&["apply", "--yes"][..], &["sweep", "--json"], &["plan"], &["journal"]] {
        said += &run(&world, command).await;
    }
    let refused = world.sim.calls_that(|call| has_secret(call) && call["status"] == 422);
    assert!(!refused.is_empty(), "{:#?}", world.sim.calls_that(|call| call["method"] != "GET"));
    assert!(said.contains("Validation Failed"), "no refusal is shown:\n{said}");

    for value in &values {
        assert!(!said.contains(value.as_str()), "a value is in an output");
    }
    assert_eq!(files_with(world.path(), &values[0]), Vec::<String>::new());
    assert_eq!(files_with(world.path(), &values[1]), Vec::<String>::new());
    assert_eq!(files_with(world.path(), &values[2]), ["npm.secret"]);
}
