//! Tests the preview of a new policy: the affected repositories, and the changes that only the new
//! policy causes.

use super::world::{World, policy_of};
use super::*;
use crate::planner::preview::{Affected, FileOwners, Preview};

const SETTINGS: &str = "repository: { has_wiki: false }\n";

fn policy(layer: &str) -> Policy {
    let files = [("settings.yml", SETTINGS), ("layers/web.yml", layer)];
    let files = files.map(|(file, text)| (file.to_owned(), text.to_owned()));
    Policy::from_sources(files.into(), "admin", Path::new("policy")).unwrap()
}

fn teams(names: &[&str]) -> String {
    let teams: Vec<String> =
        names.iter().map(|name| format!("{{ name: {name}, permission: push }}")).collect();
    format!("select: {{ topic: web }}\nteams: [{}]\n", teams.join(", "))
}

/// Creates an organisation with repositories. The layer applies to `web` repositories. The
/// organisation also has one repository that the layer does not select. Each repository has a wiki,
/// and the policy does not declare this wiki.
async fn world(web: usize) -> World {
    let mut repositories = json!({ "other": { "has_wiki": true, "branches": { "main": {} } } });
    for n in 0..web {
        repositories[format!("web{n:02}")] = json!({
            "has_wiki": true, "topics": ["web"], "branches": { "main": {} },
            "teams": { "platform": "push", "engineering": "push" },
        });
    }
    let state = json!({
        "orgs": { "acme": { "teams": { "platform": {}, "engineering": {} }, "repos": repositories } },
        "users": {}, "apps": { "beadle-app": { "id": beadle_sim::APP_ID } },
    });
    World::new(state, SETTINGS).await
}

async fn preview(world: &World, before: Option<&Policy>, after: &Policy) -> Preview {
    let (planner, _) = world.parts();
    planner.preview(before, after, &|_, _| {}).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_preview_has_only_the_changes_that_the_new_policy_causes() {
    let (before, after) = (policy(&teams(&["platform", "engineering"])), policy(&teams(&["platform"])));
    // With 50 repositories, Beadle reads the pages of the list. With 2 repositories, Beadle reads
    // each repository alone.
    for web in [2, 50] {
        let world = world(web).await;
        let preview = preview(&world, Some(&before), &after).await;
        assert_eq!(preview.affected, web);
        assert_eq!(preview.due.len(), web);
        assert_eq!(preview.total, web as u64 + 1);
        assert_eq!(preview.drift, web, "each wiki is drift");
        assert_eq!(preview.incomplete, Vec::<String>::new());
        assert_eq!(preview.plans.len(), web);
        for (_, plan) in &preview.plans {
            assert!(plan.subject.starts_with("acme/web"), "{}", plan.subject);
            let changes: Vec<&str> = plan.changes.iter().map(|change| change.what.as_str()).collect();
            assert_eq!(changes, ["team engineering"]);
            assert_eq!(plan.risks().removes, 1);
        }
        world.check_calls();
    }
}

/// Returns the values of a preview, and the number of drift values.
fn values(preview: &Preview) -> (Vec<(String, Value, Value)>, usize) {
    let changes = preview.plans.iter().flat_map(|(_, plan)| &plan.changes);
    let fields = changes.flat_map(|change| &change.fields);
    let values = fields.map(|field| (field.name.clone(), field.before.clone(), field.after.clone()));
    (values.collect(), preview.drift)
}

#[tokio::test(start_paused = true)]
async fn drift_in_a_section_that_the_policy_touches_is_not_caused_by_the_policy() {
    let settings = |text: &str| policy_of(&[("settings.yml", text)]);
    let before = settings(
        "repository: { has_wiki: false, has_issues: true }\nlabels: [{ name: a, color: '111111' }]\n",
    );
    let after = settings(
        "repository: { has_wiki: false, has_issues: false, has_projects: false }\n\
         labels: [{ name: a, color: '111111' }, { name: b, color: '222222' }]\n",
    );
    let settled = json!({ "has_wiki": false, "has_issues": true, "has_projects": true });
    let mut found = Vec::new();
    // The new policy changes a value in the section that contains all drift. But the drift is in
    // other values of this section.
    for (drift, count) in [
        (json!({}), 0),
        (json!({ "has_wiki": true }), 1),
        (json!({ "labels": { "a": { "color": "333333", "description": null } } }), 1),
        (json!({ "has_wiki": true, "labels": { "a": { "color": "333333", "description": null } } }), 2),
    ] {
        let mut repository = settled.clone();
        repository["branches"] = json!({ "main": {} });
        repository["labels"] = json!({ "a": { "color": "111111", "description": null } });
        for (key, value) in drift.as_object().unwrap() {
            repository[key] = value.clone();
        }
        let state = json!({
            "orgs": { "acme": { "repos": { "shop": repository } } },
            "users": {}, "apps": { "beadle-app": { "id": beadle_sim::APP_ID } },
        });
        let world = World::new(state, SETTINGS).await;
        let (shown, drifted) = values(&preview(&world, Some(&before), &after).await);
        assert_eq!(drifted, count, "{drift} {shown:?}");
        found.push(shown);
        world.check_calls();
    }
    let names: Vec<&str> = found[0].iter().map(|(name, ..)| name.as_str()).collect();
    assert!(names.contains(&"has_issues") && names.contains(&"has_projects"), "{names:?}");
    assert!(found.iter().all(|other| *other == found[0]), "the drift makes no difference: {found:?}");
}

#[tokio::test(start_paused = true)]
async fn a_ruleset_that_both_policies_create_in_another_way_is_not_drift() {
    let of = |issues: bool, enforcement: &str| {
        let settings = format!("repository: {{ has_issues: {issues} }}\n");
        let ruleset = format!(
            "rulesets: [{{ name: main, enforcement: {enforcement}, rules: [{{ type: deletion }}], \
             conditions: {{ ref_name: {{ include: ['~DEFAULT_BRANCH'], exclude: [] }} }} }}]\n"
        );
        policy_of(&[("settings.yml", settings.as_str()), ("repos/shop.yml", ruleset.as_str())])
    };
    let repository = json!({ "has_issues": true, "branches": { "main": {} } });
    for (enforcement, expected, drifted) in
        [("active", vec!["has_issues"], 1), ("disabled", vec!["has_issues", "new ruleset"], 0)]
    {
        let state = json!({
            "orgs": { "acme": { "repos": { "shop": repository } } },
            "users": {}, "apps": { "beadle-app": { "id": beadle_sim::APP_ID } },
        });
        let world = World::new(state, SETTINGS).await;
        let preview = preview(&world, Some(&of(true, "active")), &of(false, enforcement)).await;
        let (shown, drift) = values(&preview);
        let mut names: Vec<&str> = shown.iter().map(|(name, ..)| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!((names, drift), (expected, drifted), "{enforcement}");
        world.check_calls();
    }
}

#[tokio::test(start_paused = true)]
async fn an_approval_of_a_preview_lets_whole_writes_pass_but_no_drift_that_takes_something_away() {
    let settings = |text: &str| policy_of(&[("settings.yml", text)]);
    let topics = |list: &str| settings(&format!("repository: {{ topics: [{list}] }}\n"));
    for (live, approvable) in [(json!(["web"]), vec!["web"]), (json!(["web", "old"]), Vec::new())] {
        let state = json!({
            "orgs": { "acme": { "repos": { "shop": { "topics": live, "branches": { "main": {} } } } } },
            "users": {}, "apps": { "beadle-app": { "id": beadle_sim::APP_ID } },
        });
        let world = World::new(state, SETTINGS).await;
        let found = preview(&world, Some(&topics("web")), &topics("")).await;
        let (shown, _) = values(&found);
        assert_eq!(shown.len(), 1, "{shown:?}");
        assert_eq!(shown[0].0, "web", "the topic `old` is drift");
        let changes = found.approvable.iter().flat_map(|(_, plan)| &plan.changes);
        let names: Vec<&str> =
            changes.flat_map(|change| &change.fields).map(|field| field.name.as_str()).collect();
        assert_eq!(names, approvable, "{live}");
        world.check_calls();
    }
}

#[tokio::test(start_paused = true)]
async fn a_preview_has_what_the_policy_changes_after_its_own_writes() {
    let layer = "select: { topic: api }\nteams: [{ name: platform, permission: push }]\n";
    let before = policy(layer);
    let settings = "repository: { has_wiki: false, topics: [api] }\n";
    let files = [("settings.yml", settings), ("layers/web.yml", layer)];
    let files = files.map(|(file, text)| (file.to_owned(), text.to_owned()));
    let after = Policy::from_sources(files.into(), "admin", Path::new("policy")).unwrap();
    let world = world(1).await;
    let preview = preview(&world, Some(&before), &after).await;
    let plan = preview.plans.iter().find(|(_, plan)| plan.subject == "acme/web00").map(|(_, plan)| plan);
    let changes = &plan.unwrap().changes;
    let changes: Vec<(&str, &str)> =
        changes.iter().map(|change| (change.aspect.as_str(), change.what.as_str())).collect();
    // The new topic adds the repository to the layer, and the layer removes a team.
    assert_eq!(changes, [("topics", ""), ("topics", ""), ("teams", "team engineering")]);
    assert_eq!(preview.drift, 2, "each wiki is drift");
    assert!(preview.drifted.iter().eq(["acme/other", "acme/web00"]), "{:?}", preview.drifted);
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn of_1000_repositories_only_those_whose_policy_changed_become_due() {
    let names = ["web007", "web500", "web998"];
    let web = teams(&["platform", "engineering"]);
    let suborg = format!("suborgrepos: [{}]\nrepository: {{ has_issues: false }}\n", names.join(", "));
    let files = [
        ("settings.yml", SETTINGS),
        ("layers/web.yml", web.as_str()),
        ("suborgs/three.yml", suborg.as_str()),
    ];
    let files = files.map(|(file, text)| (file.to_owned(), text.to_owned()));
    let after = Policy::from_sources(files.into(), "admin", Path::new("policy")).unwrap();
    let state: Value = (0..1000)
        .map(|n| (format!("web{n:03}"), json!({ "topics": ["web"], "branches": { "main": {} } })))
        .collect();
    let state = json!({
        "orgs": { "acme": { "teams": { "platform": {}, "engineering": {} }, "repos": state } },
        "users": {}, "apps": { "beadle-app": { "id": beadle_sim::APP_ID } },
    });
    let world = World::new(state, SETTINGS).await;
    let (planner, _) = world.parts();
    let affected = Box::pin(planner.affected(&policy(&web), &after, &|_, _| {})).await.unwrap();
    let expected: Vec<Value> = names
        .iter()
        .map(|name| world.sim.look(|state| state["orgs"]["acme"]["repos"][*name]["id"].clone()))
        .collect();
    let due: Vec<Value> =
        affected.repositories.keys().map(|key| json!(key.id().parse::<u64>().unwrap())).collect();
    assert!(due.len() == 3 && expected.iter().all(|id| due.contains(id)), "{due:?} {expected:?}");
    assert_eq!((affected.total, affected.organisation, affected.short), (1000, None, None));
    // A page has 100 repositories.
    let calls = world.sim.call_count();
    assert!(calls <= 30, "{calls} calls");
}

#[tokio::test(start_paused = true)]
async fn without_a_policy_before_a_preview_has_all_changes() {
    let world = world(2).await;
    let preview = preview(&world, None, &policy(&teams(&["platform"]))).await;
    assert_eq!((preview.affected, preview.total, preview.drift), (3, 3, 0));
    let changes: usize = preview.plans.iter().map(|(_, plan)| plan.changes.len()).sum();
    assert_eq!(changes, 3 + 2, "3 wikis and 2 teams");
}

#[tokio::test(start_paused = true)]
async fn a_preview_stores_nothing_and_does_not_change_what_the_planner_reads() {
    let world = world(2).await;
    let (planner, _) = world.parts();
    let before = policy(&teams(&["platform", "engineering"]));
    let files = [("settings.yml", SETTINGS), ("repos/other.yml", "repository: { has_issues: false }\n")];
    let files = files.map(|(file, text)| (file.to_owned(), text.to_owned()));
    let after = Policy::from_sources(files.into(), "admin", Path::new("policy")).unwrap();
    planner.preview(Some(&before), &after, &|_, _| {}).await.unwrap();
    assert!(world.notes().await.is_empty());
    // The preview needed the teams. The policy in force does not need the teams.
    let page = planner.reader().page(&beadle_github::Cursor::default()).await.unwrap();
    let is_asked = page.repositories.iter().any(|repository| repository.topics.value().is_some());
    assert!(!is_asked, "the preview reads topics, the planner does not");
}

#[tokio::test(start_paused = true)]
async fn a_part_that_cannot_be_read_for_now_makes_a_preview_incomplete() {
    let world = world(2).await;
    world.sim.fault(Fault { path: "/teams".into(), status: Some(502), ..Fault::default() });
    let (before, after) = (policy(&teams(&["platform", "engineering"])), policy(&teams(&["platform"])));
    let preview = preview(&world, Some(&before), &after).await;
    assert!(preview.incomplete.len() >= 2, "{:?}", preview.incomplete);
    assert!(preview.incomplete[0].contains("teams is unknown"), "{:?}", preview.incomplete);
}

#[tokio::test(start_paused = true)]
async fn a_preview_does_not_ask_again_for_the_owners_of_files() {
    let of = |settings: &str| {
        policy_of(&[("settings.yml", settings), ("repos/web00.yml", "repository: { has_projects: false }\n")])
    };
    let (before, after) = (of(SETTINGS), of("repository: { has_issues: false }\n"));
    let world = world(1).await;
    let (planner, _) = world.parts();
    let affected = Box::pin(planner.affected(&before, &after, &|_, _| {})).await.unwrap();
    let count = async |affected: &Affected| {
        world.sim.forget_calls();
        let preview = planner.preview_of(Some(&before), &after, Some(affected), &|_, _| {});
        let plans = Box::pin(preview).await.unwrap().plans;
        (world.sim.call_count(), plans)
    };
    let (calls, plans) = count(&affected).await;
    let (more_calls, same_plans) = count(&Affected { owners: FileOwners::default(), ..affected }).await;
    assert_eq!(plans, same_plans);
    assert!(calls < more_calls, "{calls} {more_calls}");
}
