//! Tests waivers. If a waiver in force exempts a key, a plan contains no change for this key.

use std::collections::BTreeSet;

use beadle_engine::{GateLimits, GateSums, GateVerdict, check_gate};

use super::world::{World, plans, policy_of};
use super::*;
use crate::planner::preview::Preview;
use crate::policy::WaiverRules;
use crate::stored_waiver;

const SETTINGS: &str = "repository: { has_wiki: false, topics: [new] }\nteams: []\nbranches:\n- name: main\n  \
                        protection: { enforce_admins: true }\n";
const DAY: i64 = 86_400_000;

/// Returns a file of waivers. The clock of the tests begins at 2027-01-15T08:00:00Z.
fn waivers(keys: &str) -> String {
    waivers_until(keys, 20)
}

/// Returns a file of waivers. These waivers end on the given day of the month.
fn waivers_until(keys: &str, day: u32) -> String {
    format!(
        "waivers:\n- repositories: ['sh*']\n  keys: [{keys}]\n  until: '2027-01-{day}T08:00:00Z'\n  reason: \
         release\n  owner: mona\n"
    )
}

/// Returns an organisation with one repository. The repository has a wiki, a topic that the policy
/// does not list, a team and no protection.
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
    // The clock jumps to a time after the end of the waiver, and then back.
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
    // After the end of the waiver, the waiver has no effect.
    world.clock.jump(5 * DAY);
    let preview = planner.preview(Some(&with), &without, &|_, _| {}).await.unwrap();
    assert_eq!(preview.affected, 0);
    world.check_calls();
}

/// A policy that keeps the team and the label of the repository.
const KEEPS: &str = "labels: [{ name: a, color: '111111' }]\nteams: [{ name: platform, permission: push }]\n";
/// A policy that removes the team and the label of the repository.
const REMOVES: &str = "labels: []\nteams: []\n";
/// A policy that removes only the team.
const REMOVES_TEAM: &str = "labels: [{ name: a, color: '111111' }]\nteams: []\n";

/// Creates an organisation with one repository that has a team and a label.
async fn world_with_label() -> World {
    let mut state = state();
    state["orgs"]["acme"]["repos"]["shop"]["labels"] =
        json!({ "a": { "color": "111111", "description": null } });
    World::new(state, KEEPS).await
}

/// Previews a policy. Each policy consists of two texts: its settings and its waivers.
async fn preview(world: &World, before: (&str, &str), after: (&str, &str)) -> Preview {
    let policy = |(settings, waivers): (&str, &str)| {
        policy_of(&[("settings.yml", settings), ("waivers.yml", waivers)])
    };
    let (planner, _) = world.parts();
    let (before, after) = (policy(before), policy(after));
    let preview = planner.preview(Some(&before), &after, &|_, _| {}).await.unwrap();
    assert_eq!(preview.incomplete, Vec::<String>::new());
    preview
}

/// Returns whether a gate with the limit 0 holds the policy.
fn is_held(preview: &Preview) -> bool {
    let limits = GateLimits { removes: 0, weakens: 0, exposes: 0, creates: 0, percent: 0, repositories: 0 };
    let sums = GateSums::of(preview.plans.iter().map(|(_, plan)| plan));
    check_gate(&limits, &sums.risks, sums.repositories, preview.total) != GateVerdict::Passes
}

fn aspects_in(plans: &[(Key, Plan<()>)]) -> BTreeSet<&str> {
    plans.iter().flat_map(|(_, plan)| &plan.changes).map(|change| change.aspect.as_str()).collect()
}

const NONE: &str = "waivers: []\n";

#[tokio::test(start_paused = true)]
async fn the_gate_counts_what_a_new_waiver_hides_until_its_end() {
    let world = world_with_label().await;
    for keys in ["teams", "'teams[platform]'"] {
        let file = waivers(keys);
        let preview = preview(&world, (KEEPS, NONE), (REMOVES, file.as_str())).await;
        assert_eq!((preview.affected, preview.drift), (1, 0), "{keys}");
        assert!(is_held(&preview), "{keys}");
        assert_eq!(aspects_in(&preview.plans), BTreeSet::from(["labels", "teams"]));
        // The next run plans only the removal of the label, so an approval covers only this
        // removal.
        assert_eq!(aspects_in(&preview.approvable), BTreeSet::from(["labels"]));
        let delayed: Vec<_> = preview.delayed.iter().collect();
        let [(end, plans)] = delayed.as_slice() else { panic!("{delayed:?}") };
        assert_eq!(end.as_str(), "2027-01-20T08:00:00Z (waivers.yml:2)");
        assert_eq!(aspects_in(plans), BTreeSet::from(["teams"]));
        let removes: u32 = preview.plans.iter().map(|(_, plan)| plan.risks().removes).sum();
        assert_eq!(removes, 2, "the gate counts each removal once");
    }
    // The waiver hides every difference between the policies.
    let file = waivers("teams");
    let only_team = preview(&world, (KEEPS, NONE), (REMOVES_TEAM, file.as_str())).await;
    assert!(only_team.affected == 1 && is_held(&only_team), "{only_team:?}");
    assert!(only_team.approvable.is_empty(), "{only_team:?}");
    // Without an earlier policy, every waiver is new.
    let after = policy_of(&[("settings.yml", REMOVES), ("waivers.yml", file.as_str())]);
    let first = world.parts().0.preview(None, &after, &|_, _| {}).await.unwrap();
    assert_eq!(aspects_in(&first.plans), BTreeSet::from(["labels", "teams"]));
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn the_gate_counts_no_waiver_that_the_policy_in_force_has_too() {
    let world = world_with_label().await;
    let (both, until_18, until_22) =
        (waivers("teams"), waivers_until("teams", 18), waivers_until("teams", 22));
    let reworded = both.replace("waivers:\n", "waivers:\n# why\n").replace("mona", "lisa");
    let with_key = waivers("teams, repository.has_wiki");
    let both = both.as_str();
    for (what, before, after, is_counted) in [
        ("only a waiver", NONE, both, false),
        ("the same waiver", both, both, false),
        ("another line and owner", both, reworded.as_str(), false),
        ("a later end", both, until_22.as_str(), false),
        ("an earlier end", both, until_18.as_str(), true),
        ("one more key", both, with_key.as_str(), false),
    ] {
        // Beadle removes the team with either policy.
        let preview = preview(&world, (REMOVES_TEAM, before), (REMOVES_TEAM, after)).await;
        assert_eq!(is_held(&preview), is_counted, "{what}: {preview:?}");
        assert_eq!(preview.delayed.len(), usize::from(is_counted), "{what}");
    }
    world.check_calls();
}

/// Replaces the operator's waiver for the teams of the repository. `day` is the day of the month on
/// which the waiver ends. If `day` is `None`, the operator has no waiver.
async fn operator_waives(world: &World, day: Option<u64>) {
    let waiver = |day: u64| Waiver {
        keys: vec!["teams".into()],
        repositories: vec!["shop".into()],
        until: Time::from_seconds(1_800_000_000) + Duration::from_secs((day - 15) * 24 * 3600),
        reason: "release".into(),
        owner: "mona".into(),
        asked: None,
    };
    let note = stored_waiver("acme", "teams");
    note.forget(world.store.as_ref()).await.unwrap();
    if let Some(day) = day {
        note.put(world.store.as_ref(), &waiver(day)).await.unwrap();
    }
}

/// A removal that is not hidden by a waiver.
const NOW: &str = "now";
/// A removal that the gate does not count.
const NO: &str = "no";

/// Returns when the team's removal happens according to a preview: now, at the end of a waiver, or
/// never.
fn removal(preview: &Preview) -> String {
    let removes: u32 = preview.plans.iter().map(|(_, plan)| plan.risks().removes).sum();
    assert_eq!(is_held(preview), removes > 0, "{preview:?}");
    let ends: Vec<&str> = preview.delayed.keys().map(String::as_str).collect();
    match (removes, ends.as_slice()) {
        (0, []) => NO.to_owned(),
        (1, []) => NOW.to_owned(),
        (1, [end]) => (*end).to_owned(),
        _ => panic!("the gate counts the removal once: {preview:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn the_gate_counts_each_removal_that_the_policy_causes_with_and_without_waivers() {
    let world = world_with_label().await;
    let [until_18, until_20, until_22] = [18, 20, 22].map(|day| waivers_until("teams", day));
    let (until_18, until_20, until_22) = (until_18.as_str(), until_20.as_str(), until_22.as_str());
    let of_policy = |day: u32| format!("2027-01-{day}T08:00:00Z (waivers.yml:2)");
    let of_operator = |day: u32| format!("2027-01-{day}T08:00:00Z (beadle waive)");
    let (no, now) = (NO.to_owned(), NOW.to_owned());
    let (p18, p20, p22) = (of_policy(18), of_policy(20), of_policy(22));
    // After its name, each row has five values. The first three values are the waiver of the
    // earlier policy, the waiver of the new policy, and the end of an operator's waiver. The fourth
    // value is the expected result if only the new policy declares the removal. The fifth value is
    // the expected result if both policies declare the removal.
    for (what, before, after, operator, of_new, of_both) in [
        ("no waiver", NONE, NONE, None, &now, &no),
        ("a removed waiver", until_20, NONE, None, &now, &now),
        ("a new waiver", NONE, until_20, None, &p20, &no),
        ("a kept waiver", until_20, until_20, None, &p20, &no),
        ("a longer waiver", until_20, until_22, None, &p22, &no),
        ("a shorter waiver", until_20, until_18, None, &p18, &p18),
        ("a waiver of an operator", NONE, NONE, Some(19), &of_operator(19), &no),
        ("an operator's longer waiver", until_20, NONE, Some(22), &of_operator(22), &no),
        ("an operator's shorter waiver", until_20, NONE, Some(18), &of_operator(18), &of_operator(18)),
        ("two kept waivers", until_20, until_20, Some(22), &format!("{p20} or {}", of_operator(22)), &no),
    ] {
        operator_waives(&world, operator).await;
        for (asks, settings, expected) in [
            ("only the new policy", (KEEPS, REMOVES_TEAM), of_new),
            ("both policies", (REMOVES_TEAM, REMOVES_TEAM), of_both),
            ("only the policy before", (REMOVES_TEAM, KEEPS), &no),
        ] {
            let found = preview(&world, (settings.0, before), (settings.1, after)).await;
            assert_eq!(removal(&found), *expected, "{what}, {asks}: {found:?}");
            // An approval covers only the changes of the next run.
            assert_eq!(found.approvable.len(), usize::from(*expected == now), "{what}, {asks}: {found:?}");
        }
    }
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn the_gate_does_not_count_what_both_policies_do_at_the_end_of_a_waiver() {
    let world = world_with_label().await;
    let file = waivers("teams, labels");
    let file = file.as_str();
    // The earlier policy also removes the team at the end of the waiver. So only the removal of the
    // label is new.
    let found = preview(&world, (REMOVES_TEAM, file), (REMOVES, file)).await;
    assert_eq!(aspects_in(&found.plans), BTreeSet::from(["labels"]));
    assert_eq!(found.delayed.len(), 1, "{found:?}");
    // The removal of the team does not count, even if the new policy causes an additional change.
    let with_wiki = format!("{REMOVES}repository: {{ has_wiki: false }}\n");
    let found = preview(&world, (REMOVES, file), (with_wiki.as_str(), file)).await;
    assert_eq!(aspects_in(&found.plans), BTreeSet::from(["settings"]));
    assert!(found.delayed.is_empty() && !is_held(&found), "{found:?}");
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn a_waiver_without_an_effect_costs_a_preview_no_further_plan() {
    let world = world_with_label().await;
    let with_releases = |settings: &str| format!("{settings}immutable_releases: true\n");
    let (keeps, removes) = (with_releases(KEEPS), with_releases(REMOVES));
    let (idle, hides) = (waivers("webhooks"), waivers("teams"));
    let mut calls = Vec::new();
    for file in [NONE, idle.as_str(), hides.as_str()] {
        world.sim.forget_calls();
        let found = preview(&world, (keeps.as_str(), file), (removes.as_str(), file)).await;
        assert_eq!(aspects_in(&found.plans), BTreeSet::from(["labels", "teams"]), "{file}");
        calls.push(world.sim.call_count());
    }
    assert_eq!(calls[0], calls[1], "the policy has no webhooks");
    assert!(calls[2] > calls[0], "{calls:?}");
    world.check_calls();
}

/// A network that delays the answers to reads of one path.
struct Late {
    sim: Arc<Sim>,
    clock: Clock,
}

/// The end of the path that [`Late`] delays.
const DELAYED: &str = "/immutable-releases";

#[async_trait]
impl Wire for Late {
    async fn exchange(&self, request: http::Request<Bytes>) -> Result<Exchanged, String> {
        if request.uri().path().ends_with(DELAYED) {
            self.clock.sleep(Duration::from_secs(2)).await;
        }
        self.sim.exchange(request).await.ok_or_else(|| "the connection broke".to_owned())
    }
}

#[tokio::test(start_paused = true)]
async fn the_gate_counts_what_a_waiver_hides_that_ends_during_the_preview() {
    let world = world_with_label().await;
    let with_releases = |settings: &str| format!("{settings}immutable_releases: true\n");
    let file = waivers("teams").replace("2027-01-20T08:00:00Z", "2027-01-15T08:00:01Z");
    let policy = |settings: &str| {
        policy_of(&[("settings.yml", with_releases(settings).as_str()), ("waivers.yml", file.as_str())])
    };
    let wire = Late { sim: world.sim.clone(), clock: world.clock.clone() };
    let (planner, _) = world.parts_over(Arc::new(wire), &world.store);
    // The waiver is in force when the first plan begins. The waiver ends before this plan is
    // complete.
    let found = planner.preview(Some(&policy(KEEPS)), &policy(REMOVES_TEAM), &|_, _| {}).await.unwrap();
    assert!(world.clock.now() > Time::from_seconds(1_800_000_001), "the waiver has ended");
    assert_eq!(removal(&found), NOW, "{found:?}");
    world.check_calls();
}
