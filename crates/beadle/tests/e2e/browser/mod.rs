//! People use the pages of a running service in Chromium: with a mouse, with a keyboard, on a
//! narrow screen, in dark and in light colours. axe checks each page.
//!
//! `cargo xtask test` sets the variable `BEADLE_CHROMIUM` to the path of the browser. If the
//! variable is not set, these tests do nothing.

use std::ffi::OsStr;
use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use tokio::process::Command;

use crate::contracts::tool;
use crate::directory::world::{World as Directory, of, state};
use crate::repair::{POLICY, declared};
use crate::sign_in::{SECRET, change, lines, url};
use crate::world::{Serving, World, acme};

/// The variable with the path of the browser.
const CHROMIUM: &str = "BEADLE_CHROMIUM";
/// The variable with the folder for the pictures of the documentation.
const SCREENSHOTS: &str = "BEADLE_SCREENSHOTS";
/// The time limit of a script.
const PATIENCE: Duration = Duration::from_secs(600);

/// A hostile text. A page that contained this text without encoding would run a script.
const HOSTILE: &str = "<script>alert(1)</script>";

/// Returns the command that runs a script of this folder against the pages at `address`.
fn script(name: &str, chromium: &OsStr, address: &str) -> Command {
    let mut command = Command::new("node");
    command.arg(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/browser")).join(name));
    command.env(CHROMIUM, chromium).env("PAGES", address);
    command.env("PLAYWRIGHT", tool("playwright-core/package/index.mjs"));
    command.env("AXE", tool("axe-core/package/axe.min.js"));
    command
}

/// Runs a script to its end.
async fn run(mut command: Command) {
    let folder = tempfile::tempdir().unwrap();
    let [out, err] = ["out", "err"].map(|name| folder.path().join(name));
    command.stdin(Stdio::null()).kill_on_drop(true);
    command.stdout(File::create(&out).unwrap()).stderr(File::create(&err).unwrap());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot run node: {error}"));
    let ended = tokio::time::timeout(PATIENCE, child.wait()).await;
    let said = [out, err].map(|path| std::fs::read_to_string(path).unwrap_or_default()).join("\n");
    let Ok(status) = ended else { panic!("the script does not end:\n{said}") };
    let status = status.unwrap();
    assert!(status.success(), "the script ended with {status}:\n{said}");
}

/// Starts a service that holds three removals. In `widgets`, the service would remove a team and
/// the label `label`. In `gadgets`, the service would remove the label `old`. In each repository of
/// `stale`, the service would remove the label `stale`. The author of the policy is bob. `message`
/// is the message of his commit. People sign in with GitHub.
async fn held(label: &str, message: &str, stale: &[&str]) -> (World, Serving) {
    let policy = format!("{POLICY}labels:\n  - {{ name: bug, color: \"00ff00\" }}\n");
    let admin = json!({ "branches": { "main": {} }, "contents": { "settings.yml": policy } });
    let (mut widgets, mut gadgets) = (declared(), declared());
    widgets["teams"]["contractors"] = json!("admin");
    widgets["labels"] = json!({ label: { "color": "ff0000", "description": label } });
    gadgets["labels"] = json!({ "old": { "color": "cccccc" } });
    let mut repositories =
        json!({ "widgets": widgets, "gadgets": gadgets, "handbook": declared(), "admin": admin });
    for name in stale {
        repositories[*name] = declared();
        repositories[*name]["labels"] = json!({ "stale": { "color": "cccccc" } });
    }
    let mut state = acme(repositories);
    let organisation = &mut state["orgs"]["acme"];
    organisation["members"] = json!(["ann", "bob", "cyd", "dan"]);
    organisation["teams"]["security"]["members"] =
        json!({ "ann": "member", "bob": "member", "dan": "member" });
    organisation["teams"]["engineering"]["members"] = json!({ "cyd": "member" });
    let mut world = World::unlimited(state).await;
    world.source = "{ repository = \"admin\" }".into();
    world.org_lines = "[org.guard]\nremoves = 0\n".into();
    let provider = "[server.sign_in.github]\norg = \"acme\"\nclient_id = \"Iv1.1\"";
    world.lines = lines(&world, "viewers = [\"engineering\"]\napprovers = [\"security\"]", provider);
    let client = json!({
        "client_id": "Iv1.1", "client_secret": SECRET, "user": "ann",
        "callbacks": [format!("{}/sign-in/return", url(&world))],
    });
    change(&world, &json!({ "oauth": client })).await;
    let serving = world.serve().await;
    world.connect();
    let changed = json!({
        "contents": { "settings.yml": policy.replace("has_wiki: false", "has_wiki: true") },
        "commit": { "author": "bob", "message": message },
    });
    world.patch(json!({ "admin": changed }), true).await;
    for name in ["widgets", "gadgets", "handbook"].iter().chain(stale) {
        world.until(name, "the policy of bob", |found| found["has_wiki"] == json!(true)).await;
    }
    world.until_idle().await;
    (world, serving)
}

#[tokio::test(flavor = "multi_thread")]
async fn people_sign_in_and_decide_on_pages_that_everybody_can_use() {
    let Some(chromium) = std::env::var_os(CHROMIUM) else {
        eprintln!("left out: {CHROMIUM} is not set");
        return;
    };
    let stale = ["handbook", "manual"];
    let (world, serving) = held(HOSTILE, &format!("Turn wikis on {HOSTILE}"), &stale).await;
    let mut command = script("people.mjs", &chromium, &url(&world));
    command.env("GITHUB", world.sim.url()).env("HOSTILE", HOSTILE);
    run(command).await;

    world.until("widgets", "the approved removal", |found| found["teams"].get("contractors").is_none()).await;
    world.until("gadgets", "the approved removal", |found| found["labels"].get("old").is_none()).await;
    for name in stale {
        world.until(name, "the confirmed removal", |found| found["labels"].get("stale").is_none()).await;
    }
    let widgets = world.repository("widgets");
    assert!(widgets["labels"].get(HOSTILE).is_some(), "a rejected change is written: {widgets}");
    let journal = world.beadle(&["journal", "--format", "ndjson"]).await.expect(0).out;
    let approvals = |name: &str| {
        journal.lines().filter(|line| line.contains("\"approved\":\"") && line.contains(name)).count()
    };
    assert_eq!((approvals("acme/widgets"), approvals("acme/gadgets")), (1, 1), "{journal}");
    let waiver = world.beadle(&["waivers", "--json"]).await.expect(0).json();
    assert_eq!(
        (&waiver["owner"], &waiver["reason"]),
        (&json!("ann (signed in with GitHub)"), &json!(HOSTILE))
    );
    assert_eq!(serving.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_of_groups_can_be_used_by_everybody() {
    let Some(chromium) = std::env::var_os(CHROMIUM) else {
        eprintln!("left out: {CHROMIUM} is not set");
        return;
    };
    let groups = json!({ "00gdev": { "profile": { "name": "AWS_Dev" }, "members": of(0..3) } });
    let world = Directory::new(state(4, &groups)).await;
    let serving = world.serve().await;
    world.until_holds("Dev", 0..3).await;
    world.until_idle().await;
    run(script("groups.mjs", &chromium, &format!("http://127.0.0.1:{}", world.operator()))).await;
    assert_eq!(serving.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn screenshots_of_the_pages_are_written_for_the_documentation() {
    let [Some(chromium), Some(folder)] = [CHROMIUM, SCREENSHOTS].map(std::env::var_os) else {
        eprintln!("left out: {CHROMIUM} or {SCREENSHOTS} is not set");
        return;
    };
    let (world, serving) = held("wontfix", "Turn wikis on", &[]).await;
    let mut command = script("screenshots.mjs", &chromium, &url(&world));
    command.env("GITHUB", world.sim.url()).env(SCREENSHOTS, folder);
    run(command).await;
    assert_eq!(serving.stop().await, Some(0));
}
