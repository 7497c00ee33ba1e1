//! Tests which parts a sweep reads from GitHub, and for which parts the sweep uses stored answers.

use beadle_engine::{ApplyContext, LastRead, Remembered, StepResult, WritePace, apply, swept_hint};

use super::world::{UNLIMITED, World, policy_of};
use super::*;

pub(super) const EVERY: Duration = Duration::from_secs(2 * 3600);
const PERIOD: Duration = Duration::from_secs(22 * 3600);
/// The number of sweeps in one period. Beadle reads each part one time in a period.
pub(super) const SHARE: usize = 11;
/// The number of repositories. For 20 or more repositories, Beadle reads the teams of all
/// repositories together.
const MANY: usize = 24;
const EVERYTHING: &str = include_str!("everything.yml");

type Parts = (RepositoryPlanner, RepositoryWriter);

pub(super) fn rule() -> Reread {
    Reread::new(PERIOD, |now| now + EVERY)
}

/// Returns an organisation in which every repository matches the policy. The policy declares every
/// aspect.
async fn organisation() -> World {
    let tier = json!({ "value_type": "single_select", "allowed_values": ["gold", "lead"] });
    let mut repositories = json!({});
    for n in 0..MANY {
        repositories[name(n)] = json!({ "id": 501 + n, "branches": { "main": {} }, "visibility": "private" });
    }
    let state = json!({
        "orgs": { "acme": {
            "repos": repositories,
            "members": ["mona"], "teams": { "core": { "id": 601 }, "guards": { "id": 602 } },
            "property_definitions": { "tier": tier, "owner": { "value_type": "string" } },
        } },
        "users": { "mona": { "id": 701 } },
        "apps": { "beadle-app": { "id": beadle_sim::APP_ID }, "gate": { "id": 777 } },
    });
    let world = World::new(state, EVERYTHING).await;
    world.apply().await;
    world
}

fn name(n: usize) -> String {
    format!("r{n:02}")
}

/// The results of the runs of all repositories.
pub(super) struct Done {
    /// The paths of the REST calls.
    paths: Vec<String>,
    /// The REST calls below a repository that count toward GitHub's limit.
    units: u64,
    /// The planned changes. Each change comes with its repository.
    pub(super) changes: Vec<String>,
}

impl Done {
    /// Returns the number of REST calls to paths that end with this text.
    pub(super) fn calls_to(&self, end: &str) -> usize {
        self.paths.iter().filter(|path| path.ends_with(end)).count()
    }

    /// Returns the paths of the calls below a repository.
    fn below(&self) -> Vec<&str> {
        self.paths.iter().map(String::as_str).filter(|path| path.starts_with("/repos/")).collect()
    }
}

/// Starts one run for each repository. `hint` returns the hint for a node id.
pub(super) async fn run(
    world: &World,
    (planner, writer): &Parts,
    (lane, writes): (Lane, bool),
    hint: fn(&str) -> String,
) -> Done {
    let before = world.sim.calls().len();
    let index = planner.reader().index().await.unwrap();
    let runs = index.iter().map(|row| async move {
        let key = Key::new("repository", "acme", row.id);
        let plan = planner.plan(&key, Some(&hint(&row.node_id)), lane).await.unwrap();
        (key, plan)
    });
    let planned = join_all(runs).await;
    let mut changes = Vec::new();
    for (key, plan) in &planned {
        assert!(plan.unknowns.is_empty(), "{}: {:?}", plan.subject, plan.unknowns);
        changes.extend(plan.changes.iter().map(|change| format!("{} {}", plan.subject, change.aspect)));
        if !writes {
            continue;
        }
        let context = ApplyContext {
            store: world.store.clone(),
            clock: world.clock.clone(),
            lease: None,
            lane,
            limits: UNLIMITED,
            pace: WritePace::new(Duration::ZERO),
            patient: true,
            generation: plan.generation.clone(),
            planned: world.clock.now(),
        };
        let remembered = Remembered::read(key, &context).await.unwrap();
        let report = apply(key, plan, writer, &context, remembered, &|_, _| {}).await.unwrap();
        assert!(report.steps.iter().all(|step| step.outcome == StepResult::Written));
    }
    let calls = world.sim.calls().split_off(before);
    let rest: Vec<&Value> =
        calls.iter().filter(|call| !call["path"].as_str().unwrap().ends_with("/graphql")).collect();
    Done {
        paths: rest.iter().map(|call| call["path"].as_str().unwrap().to_owned()).collect(),
        units: rest
            .iter()
            .filter(|call| call["path"].as_str().unwrap().starts_with("/repos/"))
            .map(|call| call["cost"].as_u64().unwrap())
            .sum(),
        changes,
    }
}

pub(super) async fn sweep(world: &World, parts: &Parts) -> Done {
    run(world, parts, (Lane::Sweep, true), swept_hint).await
}

/// Sets the address of the autolink of every repository at GitHub. No webhook reports this change.
async fn set_autolinks(world: &World, host: &str) {
    let autolinks = json!({ "APO-": { "url_template": format!("https://{host}.example.com/APO-<num>") } });
    let changed: serde_json::Map<String, Value> =
        (0..MANY).map(|n| (name(n), json!({ "autolinks": autolinks }))).collect();
    world.control("PATCH", &json!({ "orgs": { "acme": { "repos": changed } } })).await;
}

#[tokio::test(start_paused = true)]
async fn an_ordinary_sweep_reads_a_share_of_the_parts() {
    let world = organisation().await;
    let parts = world.rereading_parts(rule());
    let first = sweep(&world, &parts).await;
    assert!(first.paths.len() > 15 * MANY, "the first sweep reads everything: {}", first.paths.len());
    let before = world.sim.calls().len();
    let again = sweep(&world, &parts).await;
    assert!(
        again.below().is_empty(),
        "nothing is due, and an aspect is not in the list: {:?}",
        again.below()
    );
    let calls = world.sim.calls().split_off(before);
    let mut roles =
        calls.iter().filter(|call| call["path"] == "/orgs/acme/custom-repository-roles").peekable();
    assert!(
        roles.peek().is_some() && roles.all(|call| call["cost"] == 0),
        "an unchanged answer costs nothing"
    );
    let (mut units, mut hooks) = (0, 0);
    for _ in 0..SHARE {
        world.clock.sleep(EVERY).await;
        let swept = sweep(&world, &parts).await;
        assert!(swept.changes.is_empty(), "{:?}", swept.changes);
        assert!(swept.paths.len() <= 5 * MANY, "{} calls", swept.paths.len());
        units += swept.units;
        hooks += swept.calls_to("/hooks");
    }
    assert!(hooks >= MANY, "each list is read once in a period: {hooks}");
    let most = u64::try_from(SHARE * MANY).unwrap() / 10;
    assert!(units <= most, "{units} REST units in {SHARE} sweeps of {MANY} repositories");
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn drift_without_an_event_is_found_within_the_period() {
    let world = organisation().await;
    let parts = world.rereading_parts(rule());
    sweep(&world, &parts).await;
    set_autolinks(&world, "other").await;
    let mut found = Vec::new();
    for _ in 0..=SHARE {
        world.clock.sleep(EVERY).await;
        found.extend(sweep(&world, &parts).await.changes);
        if found.len() == MANY {
            break;
        }
        assert!(found.len() < MANY, "a change is written twice: {found:?}");
    }
    found.sort();
    let expected: Vec<String> = (0..MANY).map(|n| format!("acme/{} autolinks", name(n))).collect();
    assert_eq!(found, expected);
}

#[tokio::test(start_paused = true)]
async fn only_a_sweep_uses_the_last_answers() {
    let world = organisation().await;
    let parts = world.rereading_parts(rule());
    sweep(&world, &parts).await;
    set_autolinks(&world, "other").await;
    for (lane, hint, is_seen) in [
        (Lane::Sweep, swept_hint as fn(&str) -> String, false),
        // If Beadle's own write causes an event, the event has the lane `sweep`.
        (Lane::Sweep, str::to_owned as fn(&str) -> String, true),
        (Lane::Event, str::to_owned as fn(&str) -> String, true),
        // Here, an event marked the key as due, and then a sweep marked the key too.
        (Lane::Event, swept_hint as fn(&str) -> String, true),
        (Lane::Manual, swept_hint as fn(&str) -> String, true),
    ] {
        let done = run(&world, &parts, (lane, false), hint).await;
        assert_eq!(done.changes.len(), if is_seen { MANY } else { 0 }, "{lane} {is_seen}");
    }
    // A run of a command has no rule for sweeps.
    assert_eq!(world.changes().await.len(), MANY);
}

#[tokio::test(start_paused = true)]
async fn a_changed_line_of_the_policy_makes_its_list_due() {
    let world = organisation().await;
    let parts = world.rereading_parts(rule());
    sweep(&world, &parts).await;
    let other = EVERYTHING.replace("https://tickets.example.com", "https://other.example.com");
    parts.0.policy.replace(policy_of(&[("settings.yml", &other)]));
    let planned = run(&world, &parts, (Lane::Sweep, false), swept_hint).await;
    assert_eq!(planned.changes.len(), MANY);
    assert_eq!(planned.calls_to("/autolinks"), MANY, "a change is planned on a new read");
    assert_eq!(planned.calls_to("/actions/variables"), 0, "{:?}", planned.paths);
    // No run has written the change yet. So each sweep reads the list until a run writes the
    // change.
    let again = sweep(&world, &parts).await;
    assert_eq!((again.changes.len(), again.calls_to("/actions/variables")), (MANY, 0));
    // The stored answers are older than the write, so they do not show the written value.
    let after = sweep(&world, &parts).await;
    assert_eq!((after.changes.len(), after.calls_to("/actions/variables")), (0, MANY));
    let unchanged = sweep(&world, &parts).await;
    assert_eq!((unchanged.calls_to("/autolinks"), unchanged.calls_to("/actions/variables")), (0, 0));
    // The value at GitHub already agrees with the new policy.
    parts.0.policy.replace(policy_of(&[("settings.yml", EVERYTHING)]));
    set_autolinks(&world, "tickets").await;
    let agreed = sweep(&world, &parts).await;
    assert_eq!((agreed.changes.len(), agreed.calls_to("/autolinks")), (0, MANY));
}

#[tokio::test(start_paused = true)]
async fn moved_lines_of_the_policy_make_nothing_due() {
    let world = organisation().await;
    let parts = world.rereading_parts(rule());
    sweep(&world, &parts).await;
    let moved = format!("# A comment\n{EVERYTHING}");
    parts.0.policy.replace(policy_of(&[("settings.yml", &moved)]));
    let swept = sweep(&world, &parts).await;
    assert_eq!(
        (swept.changes.len(), swept.calls_to("/autolinks"), swept.calls_to("/invitations")),
        (0, 0, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_renamed_repository_is_read_at_its_new_name() {
    let world = organisation().await;
    let parts = world.rereading_parts(rule());
    sweep(&world, &parts).await;
    world.rename(&name(0), "renamed").await;
    let swept = sweep(&world, &parts).await;
    assert_eq!((swept.changes.len(), swept.calls_to("/autolinks")), (0, 1), "{:?}", swept.paths);
    assert_eq!(swept.calls_to("renamed/autolinks"), 1);
}

#[tokio::test(start_paused = true)]
async fn another_process_uses_what_the_last_one_stored() {
    let world = organisation().await;
    let first = sweep(&world, &world.rereading_parts(rule())).await;
    assert_eq!((first.calls_to("/hooks"), first.calls_to("/autolinks")), (MANY, MANY));
    let restarted = sweep(&world, &world.rereading_parts(rule())).await;
    assert!(restarted.below().is_empty() && restarted.changes.is_empty(), "{:?}", restarted.below());
}

#[tokio::test(start_paused = true)]
async fn another_process_uses_the_answer_that_nothing_exists() {
    let shop = json!({ "id": 501, "visibility": "public", "branches": { "main": {} } });
    let state = json!({ "orgs": { "acme": { "repos": { "shop": shop } } } });
    let world = World::new(state, "pages: { enabled: false }\n").await;
    for (expected, why) in [(1, "the first read"), (0, "the store has the answer"), (0, "the same")] {
        let swept = sweep(&world, &world.rereading_parts(rule())).await;
        assert_eq!((swept.calls_to("/pages"), swept.changes.len()), (expected, 0), "{why}");
    }
    let mut reads = 0;
    for _ in 0..SHARE {
        world.clock.sleep(EVERY).await;
        reads += sweep(&world, &world.rereading_parts(rule())).await.calls_to("/pages");
    }
    assert_eq!(reads, 1, "it is read once in a period");
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_at_github_does_not_come_back_from_the_store() {
    let shop = json!({ "id": 501, "visibility": "public", "branches": { "main": {} } });
    let state = json!({ "orgs": { "acme": { "repos": { "shop": shop } } } });
    let world = World::new(state, "pages: { build_type: workflow }\n").await;
    world.apply().await;
    sweep(&world, &world.rereading_parts(rule())).await;
    let gone = json!({ "orgs": { "acme": { "repos": { "shop": { "pages": null } } } } });
    world.control("PATCH", &gone).await;
    let event = run(&world, &world.rereading_parts(rule()), (Lane::Event, false), str::to_owned).await;
    assert_eq!(event.changes, ["acme/shop pages"]);
    // The store contains only the answer from the first sweep.
    let swept = run(&world, &world.rereading_parts(rule()), (Lane::Sweep, false), swept_hint).await;
    assert_eq!(swept.changes, ["acme/shop pages"]);
}

#[tokio::test(start_paused = true)]
async fn a_sweep_reads_what_another_process_found_different_and_did_not_write() {
    let shop = json!({ "id": 501, "visibility": "public", "branches": { "main": {} } });
    let state = json!({ "orgs": { "acme": { "repos": { "shop": shop } } } });
    let world = World::new(state, "pages: { enabled: false }\n").await;
    let (one, other) = (world.rereading_parts(rule()), world.rereading_parts(rule()));
    sweep(&world, &one).await;
    let site =
        json!({ "orgs": { "acme": { "repos": { "shop": { "pages": { "build_type": "workflow" } } } } } });
    world.control("PATCH", &site).await;
    // This run plans the removal, but does not write it, for example because the guard holds the
    // removal.
    let event = run(&world, &other, (Lane::Event, false), str::to_owned).await;
    assert_eq!(event.changes, ["acme/shop pages"]);
    // The first process found that the repository has no site. The store contains the time of this
    // read.
    let swept = run(&world, &one, (Lane::Sweep, false), swept_hint).await;
    assert_eq!(swept.changes, ["acme/shop pages"]);
}

#[tokio::test(start_paused = true)]
async fn a_sweep_sees_the_page_after_an_unchanged_full_page() {
    for full in [100, 200] {
        page_after(full).await;
    }
}

async fn page_after(full: usize) {
    let login = |n: usize| format!("guest{n:03}");
    let invited = |n: usize| json!({ "id": 5000 + n, "login": login(n), "permissions": "read", "created_at": "2026-01-01T00:00:00Z" });
    let users: serde_json::Map<String, Value> =
        (0..=full).map(|n| (login(n), json!({ "id": 1000 + n }))).collect();
    let invitations = |count: usize| json!({ "invitations": (0..count).map(invited).collect::<Vec<_>>() });
    let mut shop = invitations(full);
    (shop["id"], shop["branches"]) = (json!(501), json!({ "main": {} }));
    let state = json!({ "orgs": { "acme": { "repos": { "shop": shop } } }, "users": users });
    let wanted = (0..full).map(|n| json!({ "username": login(n), "permission": "pull" }));
    let policy = json!({ "collaborators": wanted.collect::<Vec<_>>() }).to_string();
    let world = World::new(state, &policy).await;
    let parts = world.rereading_parts(rule());
    assert!(sweep(&world, &parts).await.changes.is_empty());
    let again = run(&world, &parts, (Lane::Event, false), str::to_owned).await;
    // The path of the first page contains no page number. So only an unconditional read shows the
    // next page.
    assert_eq!(again.units, u64::from(full == 100), "an unchanged page costs nothing");
    let more = json!({ "orgs": { "acme": { "repos": { "shop": invitations(full + 1) } } } });
    world.control("PATCH", &more).await;
    let event = run(&world, &parts, (Lane::Event, false), str::to_owned).await;
    assert_eq!(event.changes, ["acme/shop collaborators"]);
    // The first of these sweeps reads the list. The second sweep uses the stored answers.
    for _ in 0..2 {
        let swept = run(&world, &parts, (Lane::Sweep, false), swept_hint).await;
        assert_eq!(swept.changes, ["acme/shop collaborators"]);
    }
}

#[tokio::test(start_paused = true)]
async fn the_store_has_the_time_of_each_read() {
    let world = organisation().await;
    let parts = world.rereading_parts(rule());
    let begun = world.clock.now();
    sweep(&world, &parts).await;
    let key = Key::new("repository", "acme", 501);
    let stored = LastRead::note(&key).get(world.store.as_ref()).await.unwrap().unwrap();
    assert!(stored.parts.values().all(|read| read.at >= begun));
    let names: Vec<&str> = stored.parts.keys().map(String::as_str).collect();
    // These are the parts of the policy that only REST shows.
    let expected = [
        "actions",
        "autolinks",
        "collaborators",
        "environments",
        "immutable_releases",
        "interaction_limit",
        "oidc_subject",
        "security",
        "variables",
        "webhooks",
    ];
    assert_eq!(names, expected);
}

/// Returns the state of a repository with an autolink to `host`.
fn with_autolink(id: u64, host: &str) -> Value {
    let template = format!("https://{host}.example.com/APO-<num>");
    json!({ "id": id, "branches": { "main": {} }, "autolinks": { "APO-": { "url_template": template } } })
}

#[tokio::test(start_paused = true)]
async fn the_answer_of_another_repository_with_the_name_is_not_used() {
    let repositories =
        json!({ "shop": with_autolink(501, "tickets"), "other": with_autolink(502, "tickets") });
    let policy = "autolinks: [{ key_prefix: APO-, url_template: 'https://tickets.example.com/APO-<num>' }]\n";
    let world = World::new(json!({ "orgs": { "acme": { "repos": repositories } } }), policy).await;
    world.apply().await;
    let parts = world.rereading_parts(rule());
    assert!(sweep(&world, &parts).await.changes.is_empty());
    // For some time, the other repository has the name `shop`. During this time, a run of the other
    // repository for an event stores an answer under the path of `shop`.
    world.rename("shop", "old").await;
    world.rename("other", "shop").await;
    run(&world, &parts, (Lane::Event, false), str::to_owned).await;
    world.rename("shop", "other").await;
    world.rename("old", "shop").await;
    let swept = sweep(&world, &parts).await;
    assert!(swept.changes.is_empty(), "{:?}", swept.changes);
    assert_eq!(swept.calls_to("acme/shop/autolinks"), 1, "{:?}", swept.paths);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_older_than_the_last_read_is_not_used() {
    let repositories = json!({ "shop": with_autolink(501, "tickets") });
    let policy = "autolinks: [{ key_prefix: APO-, url_template: 'https://tickets.example.com/APO-<num>' }]\n";
    let world = World::new(json!({ "orgs": { "acme": { "repos": repositories } } }), policy).await;
    world.apply().await;
    let parts = world.rereading_parts(rule());
    assert!(sweep(&world, &parts).await.changes.is_empty());
    // If a run fails before it reads the path, an old answer remains in the store.
    for (name, note) in world.store.notes("rest:").await.unwrap() {
        let mut note: Value = serde_json::from_str(&note).unwrap();
        note["read"] = json!((world.clock.now() - Duration::from_secs(48 * 3600)).0);
        world.store.put(&name, &note.to_string()).await.unwrap();
    }
    assert_eq!(sweep(&world, &parts).await.calls_to("/autolinks"), 1);
    assert_eq!(sweep(&world, &parts).await.calls_to("/autolinks"), 0);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_nothing_exists_is_read_again_with_other_permissions() {
    let shop = json!({ "id": 501, "visibility": "public", "branches": { "main": {} } });
    let state = json!({ "orgs": { "acme": { "repos": { "shop": shop } } } });
    let world = World::new(state, "pages: { enabled: false }\n").await;
    let parts = world.rereading_parts(rule());
    assert_eq!(sweep(&world, &parts).await.calls_to("/pages"), 1);
    // GitHub also answers 404 if the credential lacks the permission. In this test, a missing
    // permission caused the stored 404.
    for (name, note) in world.store.notes("rest:").await.unwrap() {
        let mut note: Value = serde_json::from_str(&note).unwrap();
        if note["absent"] == true {
            note["access"] = json!("other");
            world.store.put(&name, &note.to_string()).await.unwrap();
        }
    }
    let site =
        json!({ "orgs": { "acme": { "repos": { "shop": { "pages": { "build_type": "workflow" } } } } } });
    world.control("PATCH", &site).await;
    let swept = run(&world, &parts, (Lane::Sweep, false), swept_hint).await;
    assert_eq!(swept.changes, ["acme/shop pages"]);
}
