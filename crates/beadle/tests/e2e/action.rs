//! Tests the GitHub Action. The tests run the command lines of the nightly workflow against the
//! simulator.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::process::output;
use crate::repair::{POLICY, declared, is_declared};
use crate::world::{Ran, World, acme};

fn deploy(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/github-action").join(file)
}

fn workflow() -> Value {
    let text = std::fs::read_to_string(deploy("nightly.yml")).unwrap();
    serde_saphyr::from_str(&text).unwrap()
}

/// Returns the script of the step with this name.
fn script(job: &str, step: &str) -> String {
    let workflow = workflow();
    let steps = workflow["jobs"][job]["steps"].as_array().unwrap().clone();
    steps.iter().find(|found| found["name"] == step).unwrap()["run"].as_str().unwrap().to_owned()
}

/// Runs the script of a step in the same way as a GitHub runner does.
async fn step(world: &World, job: &str, name: &str, env: &[(&str, &str)]) -> Ran {
    let binary = Path::new(env!("CARGO_BIN_EXE_beadle"));
    let path = format!("{}:{}", binary.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let shards = workflow()["env"]["SHARDS"].to_string();
    let summary = world.path().join("summary.md");
    std::fs::write(&summary, "").unwrap();
    world.config();
    let mut command = Command::new("bash");
    // If the workflow sets its shell explicitly, a runner adds options to the shell's command line.
    let named = workflow()["defaults"]["run"]["shell"] == "bash";
    let options: &[&str] = if named { &["--noprofile", "--norc", "-eo", "pipefail"] } else { &["-e"] };
    command
        .args(options)
        .args(["-c", &script(job, name)])
        .current_dir(world.path())
        .env("PATH", path)
        .env("BEADLE_CONFIG", "beadle.toml")
        .env("SHARDS", shards)
        .env("APPROVE", "")
        .env("GITHUB_STEP_SUMMARY", &summary)
        .envs(env.iter().copied());
    let output = output(command).await;
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap() + &std::fs::read_to_string(&summary).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

async fn plans(world: &World) {
    for shard in ["1", "2", "3", "4"] {
        step(world, "plan", "Plan", &[("SHARD", shard)]).await.expect(0);
    }
}

async fn organisation(repositories: Value) -> World {
    let world = World::new(acme(repositories)).await;
    world.policy("settings.yml", POLICY);
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nightly_run_plans_all_shards_checks_the_total_and_sweeps_all_shards() {
    let mut repositories = json!({});
    for n in 0..12 {
        repositories[format!("r{n:02}")] = declared();
        repositories[format!("r{n:02}")]["has_wiki"] = json!(true);
    }
    repositories["r03"]["teams"]["contractors"] = json!("admin");
    let world = organisation(repositories).await;
    plans(&world).await;
    assert_eq!(world.writes(), Vec::<Value>::new(), "a plan writes nothing");
    step(&world, "total", "Total", &[]).await.expect(0);
    for shard in ["1", "2", "3", "4"] {
        let swept = step(&world, "sweep", "Sweep", &[("SHARD", shard)]).await.expect(0);
        assert!(swept.out.contains(&format!("## `acme` shard `{shard}/4`")), "{}", swept.out);
    }
    let state = world.sim.state();
    assert!(state["orgs"]["acme"]["repos"].as_object().unwrap().values().all(is_declared));
    let writes = world.writes().len();
    world.patch(json!({ "r05": { "has_wiki": true } }), false).await;
    step(&world, "one", "Sweep", &[("REPOSITORY", "r05")]).await.expect(0);
    assert_eq!(world.writes().len(), writes + 1);
    step(&world, "one", "Sweep", &[("REPOSITORY", "nothing")]).await.expect(1);
}

/// Returns an organisation whose teams have 300 permissions. The policy contains a wrong list, so
/// Beadle would remove these permissions.
fn three_hundred() -> Value {
    let mut repositories = json!({});
    for n in 0..100 {
        let mut repository = declared();
        repository["teams"] =
            json!({ "contractors": "push", "security": "pull", "engineering": "push", "platform": "admin" });
        repositories[format!("r{n:03}")] = repository;
    }
    repositories
}

const GONE_WRONG: &str = "teams:\n  - { name: platform, permission: admin }\n";

fn removed(world: &World) -> usize {
    world.writes().iter().filter(|call| call["method"] == "DELETE").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_list_of_teams_stops_at_the_total_or_at_the_limit() {
    for policy in [GONE_WRONG, "teams: []\n"] {
        let world = World::unlimited(acme(three_hundred())).await;
        world.policy("settings.yml", policy);
        plans(&world).await;
        let total = step(&world, "total", "Total", &[]).await.expect(2);
        assert!(total.out.contains("over the guard limit of 50 removals"), "{}", total.out);
        assert_eq!(world.writes(), Vec::<Value>::new(), "with the planning job nothing at all is written");
        // Somebody runs the sweeps without the planning job.
        for shard in ["1", "2", "3", "4"] {
            let swept = step(&world, "sweep", "Sweep", &[("SHARD", shard)]).await.expect(2);
            assert!(swept.out.contains("held: guard limit reached"), "{}", swept.out);
        }
        assert!((1..=50).contains(&removed(&world)), "{}", removed(&world));
        // An operator approves a change by its digest, so the guard lets the change pass.
        let plan = world.beadle(&["plan", "--shard", "1/4", "--format", "json"]).await.expect(2).json();
        let repositories = plan["organisations"][0]["repositories"].as_array().unwrap();
        let digests = repositories.iter().flat_map(|repository| repository["changes"].as_array().unwrap());
        let digests: Vec<&str> = digests.map(|change| change["digest"].as_str().unwrap()).collect();
        let before = removed(&world);
        let env = [("SHARD", "1"), ("APPROVE", &format!("{},mistyped", digests.join(",")))];
        let swept = step(&world, "sweep", "Sweep", &env).await.expect(0);
        assert!(swept.err.contains("no change has the digest `mistyped`"), "{}", swept.err);
        assert_eq!(removed(&world), before + digests.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_writes_at_most_the_limit_of_the_window() {
    let world = World::unlimited(acme(three_hundred())).await;
    world.policy("settings.yml", GONE_WRONG);
    let serving = world.serve().await;
    world.until_swept(&serving).await;
    assert_eq!(removed(&world), 50);
    let held = world.beadle(&["holds", "--json"]).await.expect(0);
    assert_eq!(held.out.lines().count(), 250, "and the rest is held and shown");
}

#[test]
fn the_configuration_of_the_workflow_is_valid() {
    let text = std::fs::read_to_string(deploy("beadle.toml")).unwrap();
    let configuration: toml::Table = text.parse().unwrap();
    assert!(configuration.contains_key("org"));
}

/// `hashFiles` cannot read the files of the action. So the action computes its own cache key. With
/// a constant key, the action would use the binary of a version that was pinned earlier.
#[test]
fn each_pinned_version_of_the_action_has_its_own_build() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let action: Value =
        serde_saphyr::from_str(&std::fs::read_to_string(root.join("action.yml")).unwrap()).unwrap();
    let steps = action["runs"]["steps"].as_array().unwrap();
    let named = |name: &str| steps.iter().find(|step| step["name"] == name).unwrap();
    let key = named("Look for an earlier build")["with"]["key"].as_str().unwrap();
    assert!(key.contains("${{ steps.source.outputs.hash }}"), "{key}");
    assert_eq!(named("Tell builds apart")["id"], "source");
    let script = named("Tell builds apart")["run"].as_str().unwrap();

    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    std::fs::create_dir_all(source.join("crates/beadle/src")).unwrap();
    let main = source.join("crates/beadle/src/main.rs");
    for file in [&source.join("Cargo.toml"), &source.join("Cargo.lock"), &main] {
        std::fs::write(file, "one").unwrap();
    }
    let hash = || {
        let output = folder.path().join("output");
        std::fs::write(&output, "").unwrap();
        let mut command = Command::new("bash");
        command.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", script]);
        let ran = command.env("SOURCE", &source).env("GITHUB_OUTPUT", &output).output().unwrap();
        assert!(ran.status.success(), "{ran:?}");
        std::fs::read_to_string(output).unwrap()
    };
    let before = hash();
    assert!(before.starts_with("hash="), "{before}");
    assert_eq!(hash(), before, "a build is found again");
    std::fs::write(&main, "two").unwrap();
    assert_ne!(hash(), before, "another pin has another key");
}

/// A script that replaces `gh`. The script copies an archive. It accepts the provenance of one tag
/// and one commit, but only if the caller requires the release workflow as the signer.
const GH: &str = r#"#!/usr/bin/env bash
case "$1 $2" in
  "release download")
    while [ $# -gt 0 ]; do
      case "$1" in --dir) dir=$2 ;; --pattern) file=$2 ;; esac
      shift
    done
    cp "$ARCHIVES/$file" "$dir/"
    ;;
  "attestation verify")
    [[ " $* " == *" --signer-workflow beadle-rs/beadle/.github/workflows/release.yml "* ]] &&
      [[ " $* " == *" --source-digest $RELEASED "* || " $* " == *" --source-ref refs/tags/v9.9.9 "* ]]
    ;;
esac
"#;

#[test]
fn the_action_runs_a_released_program_only_with_the_provenance_of_its_pin() {
    use std::os::unix::fs::PermissionsExt as _;

    let action = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../action.yml");
    let action: Value = serde_saphyr::from_str(&std::fs::read_to_string(action).unwrap()).unwrap();
    let steps = action["runs"]["steps"].as_array().unwrap();
    let fetch = steps.iter().find(|step| step["name"] == "Fetch the release").unwrap();
    let script = fetch["run"].as_str().unwrap();

    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    let name = format!("beadle-9.9.9-{}-unknown-linux-musl", std::env::consts::ARCH);
    for name in ["bin", "source", name.as_str()] {
        std::fs::create_dir(place(name)).unwrap();
    }
    std::fs::write(place(&name).join("beadle"), "the released program").unwrap();
    let mut tar = Command::new("tar");
    tar.arg("-czf").arg(place(&format!("{name}.tar.gz"))).arg("-C").arg(folder.path()).arg(&name);
    let packed = tar.output().unwrap();
    assert!(packed.status.success(), "{packed:?}");
    std::fs::write(place("source/Cargo.toml"), "[workspace.package]\nversion = \"9.9.9\"\n").unwrap();
    std::fs::write(place("bin/gh"), GH).unwrap();
    std::fs::set_permissions(place("bin/gh"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", place("bin").display(), std::env::var("PATH").unwrap());

    let (released, other) = ("1".repeat(40), "2".repeat(40));
    let cases = [
        (released.as_str(), "auto", 0, true),
        ("v9.9.9", "release", 0, true),
        ("v9", "auto", 0, false),
        (other.as_str(), "auto", 0, false),
        (other.as_str(), "release", 1, false),
        ("", "auto", 0, false),
    ];
    for (at, (pin, wanted, code, is_used)) in cases.into_iter().enumerate() {
        let (output, target) = (place(&format!("output-{at}")), place(&format!("target-{at}")));
        std::fs::write(&output, "").unwrap();
        let mut command = Command::new("bash");
        command.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", script]);
        command.env("PATH", &path).env("ARCHIVES", folder.path()).env("RELEASED", &released);
        command.env("RUNNER_OS", "Linux").env("REPOSITORY", "").env("SOURCE", place("source"));
        command.env("PIN", pin).env("WANTED", wanted).env("TARGET", &target).env("GITHUB_OUTPUT", &output);
        let ran = command.output().unwrap();
        assert_eq!(ran.status.code(), Some(code), "{pin} {wanted}: {ran:?}");
        let expected = if is_used { format!("bin={}/bin\n", target.display()) } else { String::new() };
        assert_eq!(std::fs::read_to_string(&output).unwrap(), expected, "{pin} {wanted}");
        assert_eq!(target.join("bin/beadle").exists(), is_used, "{pin} {wanted}");
    }
}
