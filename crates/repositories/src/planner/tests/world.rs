//! Plans and applies policies. GitHub is simulated in this process, and the clock is paused.

use std::collections::BTreeMap;

use beadle_engine::{ApplyContext, Limits, Remembered, StepResult, WritePace, apply};
use beadle_store_sqlite::{SqliteSettings, SqliteStore};

use super::*;

/// A budget that is never used up.
const PLENTY: u64 = 1_000_000_000;
/// A limit of the guard. This limit is too high for every test.
const MOST: u32 = 1_000_000;
/// Limits of the guard that never hold a change.
pub(super) const UNLIMITED: Limits = Limits {
    window: Duration::from_secs(3600),
    removes: MOST,
    weakens: MOST,
    exposes: MOST,
    repeats: 0,
    percent: 100,
    repositories: MOST,
    among: None,
};
/// The maximum number of applies until everything is written.
const ROUNDS: usize = 5;

/// A simulated GitHub in this process, with a store and a policy.
pub(super) struct World {
    pub(super) sim: Arc<Sim>,
    token: String,
    pub(super) clock: Clock,
    pub(super) store: Arc<dyn Store>,
    policy: Policy,
    secrets: Secrets,
    pub(super) modes: Modes,
    /// The folder of the store. The folder exists as long as this value exists.
    _folder: tempfile::TempDir,
}

impl World {
    pub(super) async fn new(state: Value, policy: &str) -> Self {
        Self::of_files(state, &[("settings.yml", policy)]).await
    }

    /// Creates a world with the files of a policy.
    pub(super) async fn of_files(state: Value, files: &[(&str, &str)]) -> Self {
        let limits = beadle_sim::Limits {
            core: PLENTY,
            graphql: PLENTY,
            rest_points: PLENTY,
            graphql_points: PLENTY,
            ..beadle_sim::Limits::default()
        };
        let settings = beadle_sim::Settings {
            limits,
            record: true,
            state: Some(state),
            ..beadle_sim::Settings::default()
        };
        let sim = Arc::new(Sim::start(([127, 0, 0, 1], 0).into(), settings).await.unwrap());
        let policy = policy_of(files);
        let folder = tempfile::tempdir().unwrap();
        let store =
            SqliteStore::open_inline(&folder.path().join("beadle.db"), SqliteSettings::default()).unwrap();
        Self {
            token: sim.token(),
            sim,
            clock: Clock::simulated(Time::from_seconds(1_800_000_000)),
            store: Arc::new(store),
            policy,
            secrets: Secrets::new(),
            modes: Modes { organisation: Mode::Enforce, ..Modes::default() },
            _folder: folder,
        }
    }

    /// Replaces the policy with these files.
    pub(super) fn replace_policy(&mut self, files: &BTreeMap<String, String>) {
        self.policy = Policy::from_sources(files.clone(), "admin", Path::new("policy")).unwrap();
    }

    /// Sets the value of a secret that the policy can use.
    pub(super) fn set_secret(&mut self, name: &str, value: &str) {
        self.secrets.insert(name.to_owned(), SecretString::from(value));
    }

    /// Creates a planner and a writer without any memory of earlier applies.
    pub(super) fn parts(&self) -> (RepositoryPlanner, RepositoryWriter) {
        self.parts_over(Arc::new(InProcess(self.sim.clone())), &self.store)
    }

    /// Creates a planner and a writer that use the network `wire` and the store `store`.
    pub(super) fn parts_over(
        &self,
        wire: Arc<dyn Wire>,
        store: &Arc<dyn Store>,
    ) -> (RepositoryPlanner, RepositoryWriter) {
        self.parts_of(self.api(wire), store)
    }

    /// Creates a planner and a writer like the ones that a command uses. Both keep GitHub's answers
    /// in the store.
    pub(super) fn keeping_parts(&self) -> (RepositoryPlanner, RepositoryWriter) {
        let api = self.api(Arc::new(InProcess(self.sim.clone()))).keeping(self.store.clone());
        self.parts_of(api, &self.store)
    }

    /// Creates a planner and a writer like the ones that the service uses. Both keep GitHub's
    /// answers in the store. `rule` decides which parts a sweep reads again.
    pub(super) fn rereading_parts(&self, rule: Reread) -> (RepositoryPlanner, RepositoryWriter) {
        let (planner, writer) = self.keeping_parts();
        (planner.rereading(rule), writer)
    }

    fn api(&self, wire: Arc<dyn Wire>) -> Api {
        let settings = ClientSettings {
            rest_points: u32::MAX,
            graphql_points: u32::MAX,
            wire: Some(wire),
            ..ClientSettings::default()
        };
        let credential = Credential::Token(SecretString::from(self.token.as_str()));
        let (endpoint, budgets) = (Endpoint::new(&self.sim.url()), Budgets::new("acme", 0));
        Api::new(&endpoint, "acme", credential, budgets, &self.clock, settings).unwrap()
    }

    fn parts_of(&self, api: Api, store: &Arc<dyn Store>) -> (RepositoryPlanner, RepositoryWriter) {
        let reader = Reader::new(api.clone(), self.policy.asks());
        let modes = self.modes.clone();
        let planner = RepositoryPlanner::new(reader.clone(), PolicyHandle::new(self.policy.clone()), modes)
            .lending(self.secrets.clone())
            .remembering(store.clone());
        (planner, RepositoryWriter::new(Writer::new(api), reader))
    }

    /// Returns the notes that planners stored about repositories and names.
    pub(super) async fn notes(&self) -> Vec<(String, String)> {
        let mut notes = Vec::new();
        for kind in ["override", "reached", "name", "secret-"] {
            notes.extend(self.store.notes(kind).await.unwrap());
        }
        notes
    }

    /// Returns the planned changes as texts.
    pub(super) async fn changes(&self) -> Vec<String> {
        let (planner, _) = self.parts();
        let plans = plans(&planner).await;
        let changes = plans.iter().flat_map(|(_, plan)| &plan.changes);
        changes.map(|change| format!("{} {:?}", change.what, change.fields)).collect()
    }

    /// Plans everything, even if a part is unknown. Returns the planned changes as texts. Also
    /// returns the reasons why parts are unknown.
    pub(super) async fn changes_and_doubts(&self) -> (Vec<String>, Vec<String>) {
        let (planner, _) = self.parts();
        let whole = planner.organisation("acme", &[], Shard::default(), &|_, _| {}).await.unwrap();
        let changes = whole.plans.iter().flat_map(|(_, plan)| &plan.changes);
        let changes = changes.map(|change| format!("{} {:?}", change.what, change.fields)).collect();
        let doubts = whole.plans.iter().flat_map(|(_, plan)| &plan.unknowns);
        (changes, doubts.map(|unknown| unknown.why.clone()).collect())
    }

    /// Applies the policy until the plan is empty. Fails if Beadle does not write a change.
    pub(super) async fn apply(&self) {
        for _ in 0..ROUNDS {
            let steps = self.apply_once(UNLIMITED).await;
            for (what, _, result) in &steps {
                assert_eq!(*result, StepResult::Written, "{what}");
            }
            if steps.is_empty() {
                return;
            }
            self.clock.sleep(Duration::from_secs(5)).await;
        }
        panic!("it is not quiet after {ROUNDS} applies: {:?}", self.changes().await);
    }

    /// Applies the policy one time. Returns each change, the number of repositories that it
    /// affects, and its result.
    pub(super) async fn apply_once(&self, limits: Limits) -> Vec<(String, u32, StepResult)> {
        let (planner, writer) = self.parts();
        let planned = self.clock.now();
        let mut steps = Vec::new();
        for (key, plan) in plans(&planner).await {
            let context = ApplyContext {
                store: self.store.clone(),
                clock: self.clock.clone(),
                lease: None,
                lane: beadle_engine::Lane::Manual,
                limits,
                pace: WritePace::new(Duration::ZERO),
                patient: true,
                generation: plan.generation.clone(),
                planned,
            };
            let remembered = Remembered::read(&key, &context).await.unwrap();
            let report = apply(&key, &plan, &writer, &context, remembered, &|_, _| {}).await.unwrap();
            planner.forget_agreed(&key).await.unwrap();
            for step in report.steps {
                let fields: Vec<&str> = step.change.fields.iter().map(|field| field.name.as_str()).collect();
                let what = format!("{} {}: {}", plan.subject, step.change.what, fields.join(", "));
                steps.push((what, step.change.reaches, step.outcome));
            }
        }
        steps
    }

    /// Changes the state directly at the simulated GitHub. `PUT` replaces the whole state, and
    /// `PATCH` merges the value into the state.
    pub(super) async fn control(&self, method: &str, state: &Value) {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("{}/_sim/state", self.sim.url()))
            .body(Bytes::from(state.to_string()));
        let answer = self.sim.exchange(request.unwrap()).await;
        assert_eq!(answer.map(|(status, ..)| status), Some(204));
    }

    /// Renames a repository directly at the simulated GitHub.
    pub(super) async fn rename(&self, name: &str, new: &str) {
        let request = http::Request::builder()
            .method("PATCH")
            .uri(format!("{}/repos/acme/{name}", self.sim.url()))
            .header("authorization", format!("Bearer {}", self.token))
            .body(Bytes::from(json!({ "name": new }).to_string()));
        let answer = self.sim.exchange(request.unwrap()).await;
        assert_eq!(answer.map(|(status, ..)| status), Some(200));
    }

    /// Checks that every call agrees with GitHub's published API descriptions.
    pub(super) fn check_calls(&self) {
        assert!(beadle_contracts::check(&self.sim.calls()) > 0);
    }
}

pub(super) fn policy_of(files: &[(&str, &str)]) -> Policy {
    let texts: BTreeMap<String, String> =
        files.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect();
    Policy::from_sources(texts, "admin", Path::new("policy")).unwrap()
}

pub(super) async fn plans(planner: &RepositoryPlanner) -> Vec<(Key, Plan<Box<dyn Step>>)> {
    let whole = planner.organisation("acme", &[], Shard::default(), &|_, _| {}).await.unwrap();
    assert_eq!(whole.short, None);
    for (_, plan) in &whole.plans {
        assert!(plan.unknowns.is_empty(), "{}: {:?}", plan.subject, plan.unknowns);
    }
    whole.plans
}
