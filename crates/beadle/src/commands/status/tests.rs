//! Tests how `beadle status` reads the state from a store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use beadle_engine::journal::OperatorAction;
use beadle_engine::testing::hold;
use beadle_engine::{
    BackgroundTask, Driver, Entry, Failure, Key, KeyCondition, Lane, Limits, Mark, Outcome, ParkReason,
    Report, Store, TaskStatus, Unknown,
};
use beadle_repositories::policy::{Waiver, WaiverRules};
use beadle_repositories::stored_waiver;
use tempfile::TempDir;

use super::model::{ServiceState, Status};
use super::stored_state::gather;
use super::*;
use crate::app::operations::waiver_comparison::{SeenWaivers, look as look_at_waivers};
use crate::app::service::last_sweep_generation::LastSweep;
use crate::app::service::record::{InForce, ServiceRecord, digests};

const HOUR: Duration = Duration::from_secs(3600);

/// A configuration and a store.
struct World {
    config: Config,
    store: Arc<dyn Store>,
    now: Time,
    folders: [TempDir; 2],
}

impl World {
    fn new(mode: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (other, store) = store::temporary().unwrap();
        let config = config(&folder, mode);
        Self { config, store, now: Time(1_800_000_000_000), folders: [folder, other] }
    }

    async fn status(&self, listener: Option<(&str, bool)>) -> Status {
        let listener = listener.map(|(text, is_ready)| (text.to_owned(), is_ready));
        gather(&self.config, self.store.as_ref(), listener, self.now).await.unwrap()
    }

    /// Stores the record of a service. This service uses the configuration of this world.
    async fn serve(&self) {
        let in_force = InForce {
            modes: "observe labels=enforce".into(),
            generation: Some("g1".into()),
            author: Some("mona".into()),
            subject: Some("Add a team".into()),
        };
        let record = ServiceRecord {
            at: self.now,
            started: self.now - HOUR,
            process_started: Some(self.now - 9 * HOUR),
            version: "0.0.9".into(),
            organisations: BTreeMap::from([("acme".to_owned(), in_force)]),
            configuration: digests(&self.config.values),
            ..ServiceRecord::default()
        };
        ServiceRecord::note("p").put(self.store.as_ref(), &record).await.unwrap();
    }
}

fn config(folder: &TempDir, mode: &str) -> Config {
    let path = folder.path().join("beadle.toml");
    let text = format!(
        "[[org]]\nname = \"acme\"\npolicy = \"p\"\ntoken = \"env:T\"\nmode = \"{mode}\"\nsweep_every = \"1d\"\n"
    );
    std::fs::write(&path, text).unwrap();
    Config::load(&path).unwrap()
}

fn key(id: u64) -> Key {
    Key::new("repository", "acme", id)
}

/// Returns the report of a run that could not resolve a team.
fn unresolved(subject: &str) -> Report {
    let why = "team `security` does not exist (settings.yml:3)".to_owned();
    let unknown = Unknown { aspect: "teams".into(), part: None, why, transient: false };
    Report {
        subject: subject.into(),
        steps: Vec::new(),
        unknowns: vec![unknown],
        skipped: None,
        failure: None,
    }
}

#[tokio::test]
async fn an_empty_store_has_no_service_and_no_problem() {
    let world = World::new("enforce");
    let status = world.status(None).await;
    assert_eq!((status.service.state, status.code()), (ServiceState::Never, 0));
    assert_eq!(status.instances[0].mode.as_deref(), Some("enforce"));
    assert_eq!((status.instances[0].last_sweep, &status.instances[0].generation), (None, &None));
}

#[tokio::test]
async fn the_mode_and_the_generation_are_those_of_the_running_service() {
    let world = World::new("enforce");
    world.serve().await;
    let status = world.status(None).await;
    let acme = &status.instances[0];
    assert_eq!(status.service.state, ServiceState::Up);
    assert_eq!(status.service.started, Some(world.now - 9 * HOUR));
    assert_eq!(status.service.configured, Some(world.now - HOUR));
    assert_eq!(acme.mode.as_deref(), Some("observe labels=enforce"));
    assert_eq!((acme.generation.as_deref(), acme.author.as_deref()), (Some("g1"), Some("mona")));
    assert_eq!(status.service.other_configuration, Vec::<String>::new());
}

#[tokio::test]
async fn another_configuration_of_the_service_is_named_by_its_keys() {
    let mut world = World::new("observe");
    world.serve().await;
    world.config = config(&world.folders[0], "enforce");
    let status = world.status(None).await;
    assert_eq!(status.service.other_configuration, ["org.acme.mode"]);
}

#[tokio::test]
async fn the_last_sweep_tells_when_the_next_one_is_late() {
    for (age, is_overdue) in [(HOUR, false), (24 * HOUR, false), (25 * HOUR, true)] {
        let world = World::new("enforce");
        world.serve().await;
        let last = LastSweep { at: world.now - age, swept: "g0 enforce".into() };
        LastSweep::note("acme").put(world.store.as_ref(), &last).await.unwrap();
        let status = world.status(None).await;
        let acme = &status.instances[0];
        assert_eq!((acme.last_sweep, acme.next_sweep), (Some(last.at), Some(last.at + 24 * HOUR)));
        assert_eq!((acme.overdue, status.code()), (is_overdue, u8::from(is_overdue)), "{age:?}");
    }
}

#[tokio::test]
async fn one_cause_is_one_problem_until_the_repositories_are_as_declared() {
    let world = World::new("enforce");
    let store = world.store.as_ref();
    for id in 1..=8 {
        let report = unresolved(&format!("acme/r{id}"));
        beadle_engine::KeyState::record(store, &key(id), &report, world.now).await.unwrap();
    }
    // The organisation of this key is not in the configuration any more.
    let other = Key::new("repository", "labs", 1);
    beadle_engine::KeyState::record(store, &other, &unresolved("labs/r1"), world.now).await.unwrap();
    let status = world.status(None).await;
    assert_eq!((status.problems.len(), status.code()), (1, 2));
    assert_eq!(status.problems[0].count, 8);
    assert_eq!(status.instances[0].keys.counts, BTreeMap::from([(KeyCondition::Unknown, 8)]));
    for id in 1..=8 {
        let report = Report { unknowns: Vec::new(), ..unresolved(&format!("acme/r{id}")) };
        beadle_engine::KeyState::record(store, &key(id), &report, world.now).await.unwrap();
    }
    let status = world.status(None).await;
    assert_eq!((status.problems, status.instances[0].keys.is_empty()), (Vec::new(), true));
}

#[tokio::test]
async fn a_repository_that_a_sweep_does_not_find_is_no_problem() {
    let world = World::new("enforce");
    let store = world.store.as_ref();
    let (deleted, created) = (key(2), Key::new("repository", "acme", "name/new"));
    let group = Key::new("target-group", "acme", "corp/1");
    for (key, subject) in
        [(&key(1), "acme/r1"), (&deleted, "acme/r2"), (&created, "acme/new"), (&group, "Ops")]
    {
        beadle_engine::KeyState::record(store, key, &unresolved(subject), world.now).await.unwrap();
    }
    let scope = beadle_engine::KeyScope::new("repository", "acme");
    beadle_engine::KeyState::forget_others(store, &scope, &[key(1)].into()).await.unwrap();
    let status = world.status(None).await;
    let names: Vec<&String> = status.problems.iter().flat_map(|problem| &problem.names).collect();
    assert_eq!(names, ["acme/r1", "Ops"]);
}

#[tokio::test]
async fn a_parked_key_is_a_problem_with_its_reason() {
    let world = World::new("enforce");
    let store = world.store.as_ref();
    store.mark(vec![Mark::new(key(7), Lane::Manual)], world.now).await.unwrap();
    let claim = store.claim_key(&key(7), world.now).await.unwrap().unwrap();
    let parked = Outcome::Park(ParkReason::Failed, "403 Forbidden".into());
    assert!(store.finish(&claim.lease, parked, world.now).await.unwrap());
    let status = world.status(None).await;
    let problem = &status.problems[0];
    assert_eq!((problem.kind, problem.cause.as_str()), (KeyCondition::Parked, "403 Forbidden"));
    assert_eq!(problem.names, ["repository:acme:7"], "the journal has no name of the repository");
}

#[tokio::test]
async fn a_pause_has_the_name_of_its_repository() {
    let world = World::new("enforce");
    let store = world.store.as_ref();
    let until = world.now + HOUR;
    for scope in ["acme", "repository:acme:7", "repository:acme:8"] {
        store.pause(scope, until).await.unwrap();
    }
    let action = OperatorAction::Paused { paused_until: until.to_string(), by: "mona".into(), reason: None };
    let entry = Entry::of_operator(action, ("repository:acme:7", "acme/shop"), world.now);
    store.journal(None, vec![entry], world.now).await.unwrap();
    let status = world.status(None).await;
    let mut names: Vec<&str> = status.pauses.iter().map(|pause| pause.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["acme", "acme/shop", "repository:acme:8"]);
}

/// A task that always fails.
struct Failing;

#[async_trait::async_trait]
impl BackgroundTask for Failing {
    fn name(&self) -> String {
        "policy of acme".into()
    }

    fn period(&self) -> Duration {
        HOUR
    }

    fn timeout(&self) -> Duration {
        HOUR
    }

    async fn activate(&self) -> Result<TaskStatus, Failure> {
        Err(Failure::new(beadle_engine::Class::Retry, "invalid policy"))
    }
}

#[tokio::test]
async fn a_failing_task_counts_only_while_a_service_runs() {
    let world = World::new("enforce");
    let driver = Driver::new(world.store.clone(), Clock::system(), vec![Arc::new(Failing)]);
    driver.activate("policy of acme").await.unwrap();
    let stopped = world.status(None).await;
    assert_eq!(
        (stopped.service.state, stopped.failing_tasks.len(), stopped.code()),
        (ServiceState::Stopped, 0, 1)
    );
    world.serve().await;
    let running = world.status(None).await;
    assert_eq!((running.service.state, running.code()), (ServiceState::Up, 1));
    assert_eq!(running.failing_tasks[0].why, "invalid policy");
}

#[tokio::test]
async fn the_answer_of_the_listener_counts_more_than_the_record() {
    let world = World::new("enforce");
    assert_eq!(world.status(Some(("ready", true))).await.service.state, ServiceState::Up);
    world.serve().await;
    let status = world.status(Some(("the store did not answer", false))).await;
    assert_eq!((status.service.state, status.code()), (ServiceState::NotReady, 1));
}

#[tokio::test]
async fn the_json_has_every_part_of_the_state() {
    let world = World::new("enforce");
    world.serve().await;
    let shown = serde_json::to_value(world.status(None).await).unwrap();
    let mut keys: Vec<&str> = shown.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = [
        "at",
        "budgets",
        "failing_tasks",
        "held_policies",
        "installations",
        "instances",
        "pauses",
        "problems",
        "queue",
        "service",
        "tokens",
        "unreadable",
        "version",
        "waivers",
    ];
    keys.sort_unstable();
    assert_eq!(keys, expected);
    assert_eq!(shown["instances"][0]["kind"], "organisation");
    assert_eq!(shown["service"]["state"], "running");
}

#[tokio::test]
async fn an_unreadable_hold_waiver_and_row_are_named_and_hide_no_other() {
    let world = World::new("enforce");
    let store = world.store.as_ref();
    let waiver = Waiver {
        keys: vec!["topics".into()],
        repositories: vec!["shop".into()],
        until: world.now + HOUR,
        reason: "release".into(),
        owner: "mona".into(),
        asked: None,
    };
    stored_waiver("acme", "a").put(store, &waiver).await.unwrap();
    store.put(stored_waiver("acme", "b").name(), r#"{"paths":["topics"]}"#).await.unwrap();
    let limits = Limits { removes: 0, ..Limits::default() };
    store.reserve(None, &limits, vec![hold(1), hold(2)], world.now).await.unwrap().unwrap();
    let file = rusqlite::Connection::open(world.folders[1].path().join("beadle.db")).unwrap();
    file.execute("UPDATE hold SET hold = '{' WHERE digest = 'd1'", []).unwrap();
    store.mark(vec![Mark::new(hold(3).key, Lane::Event)], world.now).await.unwrap();
    file.execute("UPDATE work SET wanted = -1, last_error = '403'", []).unwrap();
    let status = world.status(None).await;
    assert_eq!((status.waivers.len(), status.code()), (1, 1));
    let names: Vec<&str> = status.unreadable.iter().filter_map(|text| text.split(": ").next()).collect();
    assert_eq!(names, ["the waiver b of acme", "the hold d1", "the row of repository:acme:3"]);
}

#[tokio::test]
async fn the_waivers_in_force_are_those_of_the_store_and_of_the_policy() {
    let world = World::new("enforce");
    let waiver = |key: &str, hours: u32, asked: Option<u32>| Waiver {
        keys: vec![key.into()],
        repositories: vec!["shop".into()],
        until: world.now + HOUR * hours,
        reason: "release".into(),
        owner: "mona".into(),
        asked: asked.map(|line| beadle_engine::PolicyLocation { file: "waivers.yml".into(), line }),
    };
    let store = world.store.as_ref();
    let stored = waiver("teams", 2, None);
    stored_waiver("acme", &stored.id()).put(store, &stored).await.unwrap();
    // An operator has ended this waiver after the service last read the waivers.
    let ended = waiver("topics", 3, None);
    let of_policy = waiver("labels", 1, Some(2));
    let all = [of_policy, stored, ended];
    let seen =
        look_at_waivers(&SeenWaivers::default(), (&all[..1], &all[1..]), &WaiverRules::default(), world.now);
    SeenWaivers::note("acme").put(store, &seen.now).await.unwrap();
    let status = world.status(None).await;
    let keys: Vec<&str> = status.waivers.iter().flat_map(|waiver| &waiver.keys).map(String::as_str).collect();
    assert_eq!((keys, status.code()), (vec!["labels", "teams"], 0));
}
