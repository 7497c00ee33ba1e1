//! Kills processes while they create a repository. The test can kill a process before or after any
//! call to GitHub or to the store. The next process continues the work. A second repository must
//! never appear. The new repository must never be public before it is protected.
//!
//! `CREATION_KILLS=200 cargo test -p beadle-repositories creation_kill -- --nocapture` distributes
//! 200 kills over all points. The command tests the creation of an empty repository and the
//! creation of a repository from a template.

use beadle_engine::{Mark, Outcome, Reconcile as _, Reconciler, Run, WritePace};

use super::mortal::{Life, MortalStore, MortalWire};
use super::world::{UNLIMITED, World};
use super::*;
use crate::creation::{WithCreations, creation_key};

/// The default of `CREATION_KILLS`: the number of kills for each way to create a repository.
const USUAL: usize = 12;
/// The maximum number of keys that the process claims at the same time.
const KEYS: usize = 8;

const SETTINGS: &str = "repository: { visibility: public, has_wiki: false }
teams: [{ name: platform, permission: admin }]
branches: [{ name: default, protection: { enforce_admins: true } }]
";
const PLAIN: &str = "repository: { force_create: true, auto_init: true }";
const FROM_TEMPLATE: &str = "repository: { force_create: true, template: base }";

fn declared() -> Value {
    json!({ "branches": { "main": {} }, "visibility": "public", "has_wiki": false,
        "teams": { "platform": "admin" }, "protection": { "main": { "enforce_admins": true } } })
}

async fn world(create: &str) -> World {
    let mut base = declared();
    base["is_template"] = json!(true);
    let repos = json!({ "base": base, "shop": declared() });
    let org = json!({ "id": 1, "teams": { "platform": { "id": 601 } }, "repos": repos });
    let state = json!({ "users": {}, "orgs": { "acme": org } });
    let world = World::of_files(state, &[("settings.yml", SETTINGS), ("repos/new.yml", create)]).await;
    let mark = Mark::new(creation_key("acme", "new"), Lane::Event);
    world.store.mark(vec![mark], world.clock.now()).await.unwrap();
    world
}

fn is_protected(repository: &Value) -> bool {
    repository["has_wiki"] == json!(false)
        && repository["teams"] == json!({ "platform": "admin" })
        && repository["protection"]["main"]["enforce_admins"] == json!(true)
}

/// Checks the conditions that must be true after every call to GitHub.
fn check(state: &Value) {
    let repositories = state["orgs"]["acme"]["repos"].as_object().unwrap();
    assert!(repositories.len() <= 3, "a second repository: {:?}", repositories.keys());
    for (name, repository) in repositories {
        let is_private = repository["visibility"] == "private";
        assert!(is_private || is_protected(repository), "{name} is public and not protected: {repository}");
    }
}

/// Runs keys like a service until no key is due.
async fn process(world: &World, life: &Arc<Life>) {
    let (sim, life) = (world.sim.clone(), life.clone());
    let store: Arc<dyn Store> = Arc::new(MortalStore { inner: world.store.clone(), life: life.clone() });
    let (planner, writer) = world.parts_over(Arc::new(MortalWire { sim, life, check }), &store);
    let (reader, clock) = (planner.reader().clone(), world.clock.clone());
    let pace = WritePace::new(Duration::ZERO);
    let limits = UNLIMITED.into();
    let inner = Reconciler { planner, writer, store: store.clone(), clock: clock.clone(), limits, pace };
    let reconciler = WithCreations { inner, reader, store: store.clone(), clock: clock.clone() };
    while let Some(due) = store.next_due().await.unwrap() {
        clock.sleep_until(due).await;
        for claim in store.claim(KEYS, clock.now()).await.unwrap() {
            let run = Run { lease: claim.lease, lane: claim.lane, hint: claim.hint, since: claim.since };
            let failure = match reconciler.reconcile(&run).await {
                Ok(report) => report.verdict(),
                Err(failure) => Some(failure),
            };
            let outcome = failure.map_or(Outcome::Done, |failure| Outcome::Retry(failure.text));
            store.finish(&run.lease, outcome, clock.now()).await.unwrap();
        }
    }
}

/// Runs a process to its end, and then checks that the new repository matches the policy. Returns
/// the number of points that the process passed.
async fn finish(world: &World, what: &str) -> usize {
    let life = Life::of(usize::MAX);
    assert!(!life.run(Box::pin(process(world, &life))).await);
    let state = world.sim.state();
    let repositories = state["orgs"]["acme"]["repos"].as_object().unwrap();
    let mut names: Vec<&String> = repositories.keys().collect();
    names.sort_unstable();
    assert_eq!(names, ["base", "new", "shop"], "{what}");
    let new = &repositories["new"];
    assert!(new["visibility"] == "public" && is_protected(new), "{what}: {new}");
    let created = world.sim.calls_that(|call| {
        let path = call["path"].as_str().unwrap_or_default();
        call["status"] == 201 && (path == "/orgs/acme/repos" || path.ends_with("/generate"))
    });
    assert_eq!(created.len(), 1, "{what}");
    assert_eq!(Box::pin(world.changes()).await, Vec::<String>::new(), "{what}");
    life.passed()
}

fn kills() -> usize {
    #[expect(clippy::disallowed_methods, reason = "the command line says how many")]
    let said = std::env::var("CREATION_KILLS").ok();
    said.and_then(|text| text.parse().ok()).unwrap_or(USUAL)
}

#[tokio::test(start_paused = true)]
async fn a_kill_at_any_point_makes_no_second_repository_and_none_that_is_public_too_early() {
    let count = kills();
    let mut died = 0;
    for create in [PLAIN, FROM_TEMPLATE] {
        let points = finish(&world(create).await, "without a kill").await;
        for n in 0..count {
            let world = world(create).await;
            let mut lives = vec![n * points / count];
            // In half of the cases, the test also kills the next process.
            lives.extend((n % 2 == 1).then_some(n * 7 % points));
            for points in &lives {
                let life = Life::of(*points);
                died += usize::from(life.run(Box::pin(process(&world, &life))).await);
            }
            finish(&world, &format!("{create}: kills after {lives:?} points")).await;
        }
        eprintln!("{create}: {count} kills at {points} points");
    }
    assert!(died >= 2 * count, "only {died} processes died");
}
