//! Measures the sweeps of one day as the service runs them, with the default times. The first sweep
//! reads everything. Some parts can be read only with REST. Each further sweep reads only a share
//! of these parts. The day passes in simulated time, and no rate limit applies.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use beadle_engine::Reconcile as _;
use beadle_engine::{Budgets, Clock, Key, Lane, Lease, Planner as _, Row, Run, Store, swept_hint};
use beadle_github::{Api, Credential, Endpoint, Reader};
use beadle_repositories::{Modes, Policy, PolicyHandle, RepositoryPlanner, Reread, Sweep};
use beadle_sim::Sim;
use beadle_store_sqlite::{SqliteSettings, SqliteStore};
use beadle_transport::ClientSettings;
use futures::{StreamExt as _, TryStreamExt as _};
use secrecy::SecretString;
use serde_json::Value;

use crate::cost::Cost;
use crate::patterns::{Patterns, Spent};

/// The default of `sweep_every`.
const SWEEP_EVERY: Duration = Duration::from_secs(2 * 3600);
/// The default of `reread`.
const REREAD: Duration = Duration::from_secs(22 * 3600);
/// The number of sweeps in a day.
const SWEEPS: usize = 12;
/// The number of repositories that the service handles at the same time.
const AT_ONCE: usize = 64;
/// The name of the organisation in the configuration.
const INSTANCE: &str = "acme";

/// Prints the cost of a day's sweeps for each repository. `repositories` is the number of
/// repositories. `policy` is the folder of the policy.
pub(crate) async fn run(sim: &Sim, policy: &Path, repositories: usize) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let store = SqliteStore::open(&folder.path().join("beadle.db"), SqliteSettings::default())?;
    let day = Day::new(sim, policy, Arc::new(store))?;
    let first = Cost::of(&day.sweep(sim).await?);
    let (mut others, mut patterns) = (Vec::new(), Patterns::default());
    for _ in 1..SWEEPS {
        day.clock.jump(i64::try_from(SWEEP_EVERY.as_millis())?);
        let calls = day.sweep(sim).await?;
        patterns.add(&calls);
        others.push(Cost::of(&calls));
    }
    let most = others.iter().map(|cost| cost.calls).fold(0.0, f64::max);
    let ordinary = others.iter().copied().sum::<Cost>();
    print(repositories, "everything, the first whole sweep of the service", first.per(repositories));
    print(repositories, "an ordinary sweep (average of 11)", ordinary.per(repositories * others.len()));
    let largest = Cost { calls: most, ..Cost::default() }.per(repositories).calls;
    let name = format!("{repositories}: the largest ordinary sweep");
    println!("{name:52} {:>7} {largest:>8.3}", "");
    let whole = [first, ordinary].into_iter().sum::<Cost>();
    print(repositories, "the first day, average of 12 sweeps", whole.per(repositories * SWEEPS));
    print_patterns(&patterns, others.len())
}

fn print(repositories: usize, what: &str, cost: Cost) {
    let name = format!("{repositories}: {what}");
    println!("{name:52} {:>7} {:>8.3} {:>9.3} {:>9.3}", "", cost.calls, cost.rest_units, cost.graphql_points);
}

/// Prints which REST paths cost the most in an ordinary sweep. `patterns` contains the calls of
/// several sweeps, and `sweeps` is their number.
fn print_patterns(patterns: &Patterns, sweeps: usize) -> anyhow::Result<()> {
    let sweeps = f64::from(u32::try_from(sweeps)?);
    println!("\nthe paths that cost most in an ordinary sweep (average of 11)\n");
    println!("{:60} {:>10} {:>10}", "", "calls", "REST units");
    for (pattern, Spent { calls, units }) in patterns.most_expensive() {
        println!("{pattern:60} {:>10.1} {:>10.1}", f64::from(calls) / sweeps, f64::from(units) / sweeps);
    }
    Ok(())
}

/// The parts of the service that sweep an organisation.
struct Day {
    clock: Clock,
    store: Arc<dyn Store>,
    planner: RepositoryPlanner,
    sweep: Sweep,
}

impl Day {
    fn new(sim: &Sim, policy: &Path, store: Arc<dyn Store>) -> anyhow::Result<Self> {
        let policy = Policy::load(policy, "admin")?;
        let clock = Clock::simulated(Clock::system().now());
        let settings = ClientSettings {
            rest_points: u32::MAX,
            graphql_points: u32::MAX,
            patient: true,
            ..ClientSettings::default()
        };
        let credential = Credential::Token(SecretString::from(sim.token()));
        let (endpoint, budgets) = (Endpoint::new(&sim.url()), Budgets::new(INSTANCE, 0));
        let api = Api::new(&endpoint, INSTANCE, credential, budgets, &clock, settings);
        let api = api.map_err(anyhow::Error::msg)?.keeping(store.clone());
        let reader = Reader::new(api, policy.asks());
        let policy = PolicyHandle::new(policy);
        let planner = RepositoryPlanner::new(reader.clone(), policy.clone(), Modes::default())
            .remembering(store.clone())
            .rereading(Reread::new(REREAD, |now| now + SWEEP_EVERY));
        let sweep = Sweep { reader, store: store.clone(), clock: clock.clone(), policy };
        Ok(Self { clock, store, planner, sweep })
    }

    /// Runs a sweep of all repositories, and returns the simulator's log of its calls.
    async fn sweep(&self, sim: &Sim) -> anyhow::Result<Vec<Value>> {
        let now = self.clock.now();
        reqwest::Client::new().delete(format!("{}/_sim/calls", sim.url())).send().await?;
        let lease = Lease { key: Key::new("sweep", INSTANCE, 1), epoch: 1, until: now };
        self.sweep
            .reconcile(&Run { lease, lane: Lane::Sweep, hint: Some(swept_hint("")), since: now })
            .await?;
        let rows = self.store.rows(u32::MAX).await?.into_iter();
        let runs =
            rows.filter(|row| row.key.kind() == "repository").map(|row| async move { self.plan(&row).await });
        futures::stream::iter(runs).buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
        Ok(sim.calls())
    }

    async fn plan(&self, row: &Row) -> anyhow::Result<()> {
        let plan = self.planner.plan(&row.key, row.hint.as_deref(), row.lane).await;
        let plan = plan.with_context(|| format!("{} could not be planned", row.key))?;
        let is_as_declared = plan.changes.is_empty() && plan.unknowns.is_empty();
        anyhow::ensure!(is_as_declared, "{} is not as declared", plan.subject);
        Ok(())
    }
}
