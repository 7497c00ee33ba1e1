//! Tests previews of changes to the mappings and teams of a policy. A pull request and `beadle plan
//! --base` show a preview. A preview writes nothing.

use std::time::Duration;

use serde_json::{Value, json};

use super::teams::{acme, directory, hold};
use super::world::{World, of};

const SETTINGS: &str = "repository:\n  has_wiki: true\n";
const DOCS: &str = "teams:\n  - { name: Docs, members: [octo0, octo1, octo2] }\n";

/// Returns a mapping that joins all groups with names that match `include` into one team.
fn union(include: &str) -> String {
    format!(
        "[[groups]]\nsource = \"corp\"\ntarget = \"teams\"\nmode = \"enforce\"\non_missing_group = \"create\"\n\
         include = [\"{include}\"]\ninto = \"All\"\nadopt = true\n"
    )
}

/// Returns two groups: `AWS_Ops` with 20 people and `AWS_Dev` with 2 people.
fn groups() -> Value {
    json!({
        "00g1": { "profile": { "name": "AWS_Ops" }, "members": of(0..20) },
        "00g2": { "profile": { "name": "AWS_Dev" }, "members": of(20..22) },
    })
}

/// Returns the teams of these groups, the teams of `teams.yml`, and one further team.
fn teams() -> Value {
    json!({
        "all": { "id": 900, "name": "All", "members": hold(0..22) },
        "docs": { "id": 901, "name": "Docs", "members": hold(0..3) },
        "security": { "id": 902, "name": "security", "members": hold([21]) },
    })
}

async fn world(acme: Value) -> World {
    let mut world = World::of_teams(directory(22, &groups()), acme).await;
    world.groups = "include = [\"Nothing\"]\n".into();
    world.teams += ", teams_from_policy = true";
    world.org_lines = "gate = { removes = 5 }".into();
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_with_a_base_shows_who_joins_and_leaves_the_groups() {
    let world = world(acme(22, &teams())).await;
    let base = world.path().join("base");
    std::fs::create_dir(&base).unwrap();
    let mappings = union("AWS_*");
    for (file, text) in [("settings.yml", SETTINGS), ("groups.toml", mappings.as_str()), ("teams.yml", DOCS)]
    {
        std::fs::write(base.join(file), text).unwrap();
        world.policy(file, text);
    }
    let base = base.to_str().unwrap();
    let same = world.beadle(&["plan", "--base", base]).await;
    assert_eq!(same.code, 0, "{}\n{}", same.out, same.err);
    world.policy("groups.toml", &union("AWS_Dev"));
    world.policy("teams.yml", "teams:\n  - { name: Docs, members: [octo0, octo5] }\n");
    let planned = world.beadle(&["plan", "--base", base, "--format", "json"]).await.expect(2).json();
    let target = &planned["targets"][0];
    assert_eq!(target["target"], "teams", "{planned}");
    let names: Vec<&Value> = target["groups"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names.len(), 2, "{planned}");
    assert!(names.contains(&&json!("teams/All")) && names.contains(&&json!("teams/Docs")), "{names:?}");
    let preview = &planned["preview"];
    assert_eq!((&preview["held"], &preview["sums"]["risks"]["removes"]), (&json!(true), &json!(22)));
    assert!(preview["held_groups"].to_string().contains("teams/All: held until an approval"), "{preview}");
    for format in ["text", "markdown"] {
        let shown = world.beadle(&["plan", "--base", base, "--format", format]).await.expect(2);
        for said in ["teams/All", "teams/Docs", "octo5", "at most 5 allowed"] {
            assert!(shown.out.contains(said), "{said}: {}", shown.out);
        }
    }
    assert_eq!((world.team("all"), world.team("docs")), (Some(hold(0..22)), Some(hold(0..3))));
}

/// Returns the organisation with a repository that has this policy.
fn with_policy(mappings: &str) -> Value {
    let mut acme = acme(22, &teams());
    let admin = json!({ "branches": { "main": {} }, "contents": contents(mappings, DOCS) });
    acme["org"]["repos"] = json!({ "admin": admin });
    acme["org"]["permissions"] = json!({
        "actions": "write", "administration": "write", "checks": "write", "contents": "read", "issues": "write",
        "metadata": "read", "members": "write", "organization_administration": "write",
        "organization_custom_properties": "read", "pull_requests": "write", "repository_hooks": "write",
        "repository_custom_properties": "write",
    });
    acme
}

fn contents(mappings: &str, teams: &str) -> Value {
    json!({
        ".github/settings.yml": SETTINGS, ".github/groups.toml": mappings, ".github/teams.yml": teams,
    })
}

fn admin(world: &World) -> Value {
    world.github().state()["orgs"]["acme"]["repos"]["admin"].clone()
}

async fn change(world: &World, pull: Value) {
    world.patch_github(json!({ "repos": { "admin": { "pulls": { "7": pull } } } }), true).await;
}

/// Waits until the check of the pull request has a conclusion and the comment is there. Returns
/// both.
async fn until_checked(world: &World) -> (Value, String) {
    for _ in 0..3000 {
        let admin = admin(world);
        let mut runs = admin["check_runs"].as_array().into_iter().flatten();
        let run = runs.find(|run| run["status"] == "completed").cloned();
        let issues = admin["issues"].as_array().into_iter().flatten();
        let mut comments = issues.flat_map(|issue| issue["comments"].as_array().into_iter().flatten());
        let comment = comments.find_map(|comment| comment["body"].as_str());
        if let (Some(run), Some(comment)) = (run, comment) {
            return (run, comment.to_owned());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let log = std::fs::read_to_string(world.path().join("serve.log")).unwrap_or_default();
    panic!("the pull request is not checked: {:#}\n{log}", admin(world));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_shows_who_joins_and_leaves_the_groups_and_writes_none_of_it() {
    let mut world = world(with_policy(&union("AWS_*"))).await;
    world.source = "{ repository = \"admin\", path = \".github\" }".into();
    let _serving = world.serve().await;
    world.connect_github();
    world.until_idle().await;
    let teams = "teams:\n  - { name: Docs, members: [octo0, octo5] }\n";
    change(&world, json!({ "contents": contents(&union("AWS_Dev"), teams) })).await;
    let (run, comment) = until_checked(&world).await;
    assert_eq!(run["conclusion"], "action_required", "{comment}");
    let title = run["output"]["title"].as_str().unwrap();
    assert_eq!(title, "The gate would hold this policy: 22 removals, 1 addition in 2 groups", "{comment}");
    for said in [
        "**22 removals, 1 addition** in 2 groups",
        "- `teams/All` — **removes** 20 members: `octo",
        "- `teams/Docs` — **removes** 2 members: `octo",
        "adds 1 member: `octo5`",
        "22 removals, at most 5 allowed",
    ] {
        assert!(comment.contains(said), "{said}: {comment}");
    }
    world.until_idle().await;
    assert_eq!((world.team("all"), world.team("docs")), (Some(hold(0..22)), Some(hold(0..3))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_approves_the_groups_that_the_check_showed() {
    let mut world = world(with_policy(&union("AWS_*"))).await;
    world.source = "{ repository = \"admin\", path = \".github\" }".into();
    world.org_lines += "\napprove_by_review = \"security\"";
    let _serving = world.serve().await;
    world.connect_github();
    world.until_idle().await;
    let files = contents(&union("AWS_Dev"), DOCS);
    change(&world, json!({ "contents": files })).await;
    let (run, comment) = until_checked(&world).await;
    assert_eq!(run["conclusion"], "action_required", "{comment}");
    change(&world, json!({ "reviews": [{ "user": "octo21", "state": "APPROVED" }] })).await;
    let merged = json!({ "contents": files, "pulls": { "7": { "merged": true } } });
    world.patch_github(json!({ "repos": { "admin": merged } }), true).await;
    world.until_team("all", &hold(20..22)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn teams_of_the_policy_lose_many_members_only_after_one_approval() {
    let mut acme = with_policy(&union("AWS_*"));
    let before = "teams:\n  - { name: Docs, members: [octo0, octo1, octo2, octo3, octo4, octo5, octo6, octo7, octo8, octo9] }\n";
    acme["org"]["teams"]["docs"]["members"] = hold(0..10);
    acme["org"]["repos"]["admin"]["contents"] = contents(&union("AWS_*"), before);
    let mut world = world(acme).await;
    world.source = "{ repository = \"admin\", path = \".github\" }".into();
    let serving = world.serve().await;
    world.connect_github();
    world.until_idle().await;
    let after = "teams:\n  - { name: Docs, members: [octo0, octo1, octo2] }\n";
    let files = contents(&union("AWS_*"), after);
    world.patch_github(json!({ "repos": { "admin": { "contents": files } } }), true).await;
    let mut held: Vec<Value> = Vec::new();
    for _ in 0..3000 {
        let holds = world.beadle(&["holds", "--json"]).await.expect(0);
        let holds = holds.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        held = holds.filter(|hold| hold.get("groups").is_some()).collect();
        if !held.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(held.len(), 1, "{}", serving.log());
    assert_eq!(held[0]["sums"]["risks"]["removes"], json!(7), "{}", held[0]);
    world.until_idle().await;
    assert_eq!(world.team("docs"), Some(hold(0..10)));
    let generation = held[0]["generation"].as_str().unwrap();
    world.beadle(&["approve", generation, "--reason", "they moved"]).await.expect(0);
    world.read_policy().await;
    world.until_team("docs", &hold(0..3)).await;
    assert_eq!(serving.stop().await, Some(0));
}
