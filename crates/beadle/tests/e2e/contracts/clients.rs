//! Runs clients of other authors against the simulators: octokit, `PyGithub`, Probot and Okta's
//! SDK. Each step of a script in `clients/` is in one of two lists: the steps that work, and the
//! steps that the simulator does not support.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use beadle_sim::{APP_ID, okta};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::directory::world::{of, people};
use crate::world::{World, acme};

/// The time limit of a client.
const PATIENCE: Duration = Duration::from_secs(300);

/// A step that the simulator does not support: its name, the status of the answer, and the reason.
type Missing = (&'static str, &'static str, &'static str);

/// The octokit steps that work.
const OCTOKIT: &str = "\
    app installations installation.organisation installation installation.repository token \
    token.narrow repositories.pages repositories.links organisation organisation.repositories \
    organisation.members organisation.member user limits repository repository.unchanged repository.update \
    repository.create repository.delete topics topics.replace labels label.create label label.update \
    label.delete teams team.create team team.update team.join team.membership team.members \
    team.leave team.grant team.repositories team.permissions repository.teams team.revoke \
    team.delete collaborator.add collaborators collaborator collaborator.permission \
    collaborator.remove invitation.create invitations invitation.update invitation.delete branches \
    branch branch.rules protection protection.update protection.delete ruleset.create rulesets ruleset \
    ruleset.update ruleset.delete organisation.ruleset.create organisation.rulesets \
    organisation.ruleset.delete autolink.create autolinks autolink autolink.delete hook.create hooks \
    hook hook.update hook.config.update hook.delete properties.update properties \
    organisation.properties properties.schema actions.update actions actions.token alerts.enable \
    alerts alerts.disable file file.raw folder tree commits commit environments issues graphql";
/// The octokit steps that the simulator does not support.
const OCTOKIT_MISSING: &[Missing] = &[
    ("protection.reviews", "404", "parts of a protection: Beadle reads and writes it whole"),
    ("branch.rename", "403", "Beadle may only read files"),
    ("hook.ping", "404", "Beadle pings no webhook of a repository"),
    ("file.write", "403", "Beadle may only read files"),
    ("ref", "404", "Beadle reads no refs"),
    ("readme", "404", "Beadle reads files by their paths"),
    ("check.create", "403", "the App has no permission `checks`"),
    ("search", "404", "Beadle lists repositories, and searches for none"),
];

/// The `PyGithub` steps that work.
const PYGITHUB: &str = "\
    app installations installation.organisation installation installation.repository token \
    repositories.pages organisation organisation.repositories organisation.members user \
    organisation.member limits \
    repository repository.update repository.create repository.delete topics topics.replace labels \
    label.create label label.update label.delete teams team.create team team.update team.join \
    team.membership team.members team.leave team.grant team.repositories team.permissions \
    repository.teams team.revoke team.delete collaborator.add collaborators collaborator \
    collaborator.permission collaborator.remove invitation.create invitations invitation.delete \
    branches branch protection protection.delete autolink.create \
    autolinks autolink.delete hook.create hooks hook hook.update hook.delete properties.update \
    properties properties.schema organisation.properties alerts.enable alerts alerts.disable file \
    folder tree commits commit environments issues graphql";
/// The `PyGithub` steps that the simulator does not support.
const PYGITHUB_MISSING: &[Missing] = &[
    ("protection.reviews", "404", "parts of a protection: Beadle reads and writes it whole"),
    ("branch.other", "404", "PyGithub sends the slash of a branch's name as it is"),
    ("protection.update", "422", "PyGithub sends null where the description has none"),
    ("hook.ping", "404", "Beadle pings no webhook of a repository"),
    ("file.write", "403", "Beadle may only read files"),
    ("ref", "404", "Beadle reads no refs"),
    ("readme", "404", "Beadle reads files by their paths"),
    ("check.create", "403", "the App has no permission `checks`"),
    ("search", "404", "Beadle lists repositories, and searches for none"),
];

/// The Probot app's steps that work.
const PROBOT: &str = "\
    app installations repository.created repository.created.sender settings settings.unchanged \
    settings.raw overrides repository repository.update topics alerts labels milestones collaborators teams \
    autolinks rulesets organisation.rulesets properties roles branches protection branch.rename \
    branch.rename.webhook check.result push repositories properties.query check.update comment issue compare \
    organisation environments variables";
/// The Probot app's steps that the simulator does not support.
const PROBOT_MISSING: &[Missing] = &[];

/// The Okta SDK steps that work.
const OKTA: &str = "\
    groups.pages groups.filter groups.search groups.q groups.stats group group.unknown group.users \
    users.pages users.filter user user.login user.groups logs.newest logs.filter pushes oauth";
/// The Okta SDK steps that the simulator does not support.
const OKTA_MISSING: &[Missing] = &[
    ("group.join", "404", "Beadle only reads"),
    ("rules", "404", "Beadle reads whom the rules put into groups"),
    ("applications", "404", "Beadle reads the pushes of applications, and not the applications"),
    ("eventhooks", "404", "an administrator sets the event hook up"),
    ("user.suspend", "404", "Beadle only reads"),
];

/// Returns the problems in a client's output: missing steps, and steps with an unexpected result.
fn problems(said: &str, works: &str, missing: &[Missing]) -> Vec<String> {
    let works: BTreeSet<&str> = works.split_whitespace().collect();
    let mut tried = BTreeSet::new();
    let mut problems = Vec::new();
    for line in said.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let is_expected = match words.as_slice() {
            ["ok", step] => works.contains(step),
            ["missing", step, status, ..] => {
                missing.iter().any(|(known, answer, _)| known == step && answer == status)
            }
            _ => false,
        };
        if !is_expected {
            problems.push(line.to_owned());
        }
        tried.extend(words.get(1).copied());
    }
    let all = works.iter().copied().chain(missing.iter().map(|(step, ..)| *step));
    problems.extend(all.filter(|step| !tried.contains(step)).map(|step| format!("{step} was not tried")));
    problems
}

/// Runs a client to its end, and compares each of its steps with the lists.
async fn run(mut command: Command, works: &str, missing: &[Missing]) {
    let folder = tempfile::tempdir().unwrap();
    let [out, err] = ["out", "err"].map(|name| folder.path().join(name));
    command.stdin(Stdio::null()).kill_on_drop(true);
    command.stdout(File::create(&out).unwrap()).stderr(File::create(&err).unwrap());
    let program = command.as_std().get_program().to_owned();
    let mut child =
        command.spawn().unwrap_or_else(|error| panic!("cannot run {}: {error}", program.display()));
    let ended = tokio::time::timeout(PATIENCE, child.wait()).await;
    let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
    let (said, complained) = (read(&out), read(&err));
    let Ok(status) = ended else { panic!("the client does not end:\n{said}\n{complained}") };
    let status = status.unwrap();
    assert!(status.success(), "the client ended with {status}:\n{said}\n{complained}");
    let problems = problems(&said, works, missing);
    assert!(problems.is_empty(), "not as it is listed:\n{}\n\n{complained}", problems.join("\n"));
}

/// Copies a script to the folder of the clients, because the script finds its packages there.
fn node(script: &str) -> Command {
    let script = format!("{}{script}", include_str!("clients/step.mjs"));
    let mut command = Command::new("node");
    command.args(["--input-type=module", "--eval", &script]).current_dir(super::tool("clients"));
    command
}

/// Starts a simulated GitHub with objects of every kind, and returns the credentials of a client.
async fn github(command: Command) -> (World, Command) {
    let shop = json!({
        "branches": { "main": {}, "next/one": {} }, "protection": { "main": {} }, "topics": ["kept"],
        "labels": { "old": { "color": "cc0000" }, "older": { "color": "00cc00" } },
        "contents": { "README.md": "a", ".github/settings.yml": "x: ä\n", ".github/repos/shop.yml": "y" },
    });
    let state = acme(json!({ "shop": shop, "till": {}, "stock": {}, "site": {}, "docs": {} }));
    with_state(state, command).await
}

/// Starts a simulated GitHub with a state, and returns the credentials of a client.
async fn with_state(state: Value, mut command: Command) -> (World, Command) {
    let world = World::unlimited(state).await;
    command.env("GITHUB_URL", world.sim.url());
    command.env("APP_ID", APP_ID.to_string()).env("APP_KEY", world.sim.app_pem());
    (world, command)
}

#[tokio::test(flavor = "multi_thread")]
async fn octokit_works_except_for_the_listed_steps() {
    let (_world, command) = github(node(include_str!("clients/octokit.mjs"))).await;
    run(command, OCTOKIT, OCTOKIT_MISSING).await;
}

/// A Probot app gets the webhooks of safe-settings, and then makes the calls of safe-settings.
/// safe-settings itself is not on npm, so this test cannot install it. The list of the calls of
/// safe-settings is in `clients/probot.mjs`.
#[tokio::test(flavor = "multi_thread")]
async fn a_probot_app_does_the_work_of_safe_settings_except_for_the_listed_steps() {
    let admin = json!({
        "branches": { "main": {} },
        "contents": {
            ".github/settings.yml": "repository: {}\n", ".github/repos/till.yml": "repository: {}\n",
        },
        "issues": [{ "id": 77, "number": 1, "title": "Change the policy", "pull_request": true }],
    });
    let mut state = acme(json!({ "admin": admin, "shop": {} }));
    state["orgs"]["acme"]["permissions"] = json!({
        "administration": "write", "checks": "write", "contents": "write", "issues": "write",
        "members": "write", "metadata": "read", "organization_administration": "write",
        "organization_custom_properties": "read", "pull_requests": "write",
        "repository_custom_properties": "write", "vulnerability_alerts": "write", "actions": "read",
        "actions_variables": "read",
    });
    let (_world, command) = with_state(state, node(include_str!("clients/probot.mjs"))).await;
    run(command, PROBOT, PROBOT_MISSING).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pygithub_works_except_for_the_listed_steps() {
    let mut command = Command::new(super::tool("python/bin/python"));
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/contracts/clients/pygithub.py"));
    let (mut world, command) = github(command).await;
    // The client is not generated from the description, so it might send values that the
    // description does not allow.
    world.checked = false;
    run(command, PYGITHUB, PYGITHUB_MISSING).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_of_okta_works_except_for_the_listed_steps() {
    let group = |name: &str, members: Value| json!({ "profile": { "name": name }, "members": members });
    let groups = json!({
        "00g1": group("AWS_A", of(0..4)), "00g2": group("AWS_B", json!({})), "00g3": group("AWS_C", json!({})),
        "00g4": group("Other", json!({})), "00g5": group("Others", json!({})),
    });
    let pushes = json!({ "0oa1": { "gPm1": { "sourceGroupId": "00g1" } } });
    let state = json!({ "users": people(10), "groups": groups, "pushes": pushes });
    let settings = okta::Settings { state: Some(state), limit: 1_000_000, ..okta::Settings::default() };
    let sim = okta::OktaSim::start(([127, 0, 0, 1], 0).into(), settings).await.unwrap();
    sim.patch(&json!({ "groups": { "00g1": { "members": of(4..6) } } }));
    sim.patch(&json!({ "users": { "00u00008": { "status": "SUSPENDED" } } }));
    let mut command = node(include_str!("clients/okta.mjs"));
    command.env("OKTA_URL", sim.url()).env("OKTA_TOKEN", sim.token()).env("OKTA_KEY", sim.app_pem());
    run(command, OKTA, OKTA_MISSING).await;
}

#[test]
fn a_step_that_differs_from_the_lists_is_named() {
    let said = "ok one\nok two\nmissing three 404 Not Found\nmissing four 500 broken\n";
    let missing = [("three", "404", ""), ("four", "404", ""), ("five", "404", "")];
    let found = problems(said, "one six", &missing);
    assert_eq!(found, ["ok two", "missing four 500 broken", "six was not tried", "five was not tried"]);
}
