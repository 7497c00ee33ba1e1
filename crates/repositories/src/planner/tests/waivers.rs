//! Waivers: a plan has no change of a key that a waiver in force exempts.

use std::collections::BTreeSet;

use super::world::{World, plans};
use super::*;
use crate::policy::WaiverRules;
use crate::stored_waiver;

const SETTINGS: &str = "repository: { has_wiki: false, topics: [new] }\nteams: []\nbranches:\n- name: main\n  \
                        protection: { enforce_admins: true }\n";
const DAY: i64 = 86_400_000;

/// Returns a file of waivers. The clock of the tests begins at 2027-01-15T08:00:00Z.
fn waivers(keys: &str) -> String {
    format!(
        "waivers:\n- repositories: ['sh*']\n  keys: [{keys}]\n  until: '2027-01-20T08:00:00Z'\n  reason: release\n  \
         owner: mona\n"
    )
}

/// Returns an organisation with one repository. The repository has a wiki, another topic, a team
/// and no protection.
fn state() -> Value {
    let mut state = acme(501, 601);
    state["orgs"]["acme"]["repos"]["shop"]["teams"] = json!({ "platform": "push" });
    state
}

/// Returns the aspects with planned changes.
async fn aspects_of(planner: &RepositoryPlanner) -> BTreeSet<String> {
    let plans = plans(planner).await;
    plans.iter().flat_map(|(_, plan)| &plan.changes).map(|change| change.aspect.clone()).collect()
}

async fn aspects(world: &World) -> Vec<String> {
    aspects_of(&world.parts().0).await.into_iter().collect()
}

#[tokio::test(start_paused = true)]
async fn a_waived_key_is_no_drift_until_the_waiver_ends() {
    let file = waivers("repository.has_wiki, 'teams[platform]', branches.main.enforce_admins");
    let world = World::of_files(state(), &[("settings.yml", SETTINGS), ("waivers.yml", &file)]).await;
    assert_eq!(aspects(&world).await, ["topics"]);
    let plans = plans(&world.parts().0).await;
    let waived: Vec<&str> =
        plans.iter().flat_map(|(_, plan)| &plan.waived).map(|one| one.key.as_str()).collect();
    assert_eq!(waived, ["repository.has_wiki", "teams[platform]", "branches.main.enforce_admins"]);
    // The clock jumps past the end of the waiver, and back.
    world.clock.jump(5 * DAY);
    assert_eq!(aspects(&world).await.len(), 4);
    world.clock.jump(-5 * DAY);
    assert_eq!(aspects(&world).await, ["topics"]);
    world.apply().await;
    assert_eq!(world.changes().await, Vec::<String>::new());
    world.clock.jump(5 * DAY);
    world.apply().await;
    let after = world.sim.state();
    let shop = &after["orgs"]["acme"]["repos"]["shop"];
    assert_eq!((&shop["has_wiki"], &shop["teams"]), (&json!(false), &json!({})));
    assert_eq!(shop["protection"]["main"]["enforce_admins"], true);
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn a_waiver_of_an_operator_is_in_force_at_once_within_its_limits() {
    let world = World::new(state(), "repository: { has_wiki: false }\n").await;
    let day = Duration::from_secs(24 * 3600);
    let waiver = Waiver {
        keys: vec!["repository.has_wiki".into()],
        repositories: vec!["shop".into()],
        until: world.clock.now() + day * 2,
        reason: "release".into(),
        owner: "mona".into(),
        asked: None,
    };
    let (planner, _) = world.parts();
    assert_eq!(aspects_of(&planner).await.len(), 1);
    stored_waiver("acme", &waiver.id()).put(world.store.as_ref(), &waiver).await.unwrap();
    assert_eq!(aspects_of(&planner).await.len(), 0, "the planner has read no waiver before");
    for (rules, changes) in [
        (WaiverRules { longest: day * 2, never: Vec::new() }, 0),
        (WaiverRules { longest: day, never: Vec::new() }, 1),
        (WaiverRules { longest: day * 2, never: vec!["repository".into()] }, 1),
    ] {
        let planner = world.parts().0.waiving(rules.clone());
        assert_eq!(aspects_of(&planner).await.len(), changes, "{rules:?}");
    }
    stored_waiver("acme", &waiver.id()).forget(world.store.as_ref()).await.unwrap();
    assert_eq!(aspects_of(&planner).await.len(), 1);
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn the_repositories_of_a_removed_waiver_are_affected() {
    let settings = ("settings.yml", "repository: { has_wiki: false }\n");
    let file = waivers("repository.has_wiki");
    let policy = |files: &[(&str, &str)]| {
        let files = files.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect();
        Policy::from_sources(files, "admin", Path::new("policy")).unwrap()
    };
    let (with, without) = (policy(&[settings, ("waivers.yml", &file)]), policy(&[settings]));
    let world = World::new(state(), settings.1).await;
    let (planner, _) = world.parts();
    let preview = planner.preview(Some(&with), &without, &|_, _| {}).await.unwrap();
    assert_eq!((preview.affected, preview.plans.len(), preview.drift), (1, 1, 0));
    let preview = planner.preview(Some(&without), &with, &|_, _| {}).await.unwrap();
    assert_eq!((preview.affected, preview.plans.len()), (1, 0));
    // After its end, the waiver has no effect.
    world.clock.jump(5 * DAY);
    let preview = planner.preview(Some(&with), &without, &|_, _| {}).await.unwrap();
    assert_eq!(preview.affected, 0);
    world.check_calls();
}
