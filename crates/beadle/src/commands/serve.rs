//! `beadle serve`: the listeners, the worker, sweeps, retention, and new generations of policies.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use beadle_engine::{
    Clock, Entry, EntryKind, Key, Lane, Mark, Retention, Store, Time, Worker, WorkerSettings,
};
use beadle_repositories::Policy;
use beadle_server::{Intake, IntakeLimits, Metrics, Operator, serve};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::commands::FINE;
use crate::config::{Config, RetentionFile, Span};
use crate::wiring::{self, Org, Reconcilers};

/// What runs get to end by themselves when the service stops.
const GRACE: Duration = Duration::from_secs(20);
/// How often policies are looked at for a new generation, and sweeps for their time.
const LOOK: Duration = Duration::from_secs(10);
/// How often is pruned, and how many rows a batch.
const PRUNE: Duration = Duration::from_secs(600);
const BATCH: u32 = 2000;

pub(crate) async fn run(config: &Config) -> anyhow::Result<u8> {
    let clock = Clock::system();
    let store = wiring::store(config)?;
    let senders = wiring::senders(config)?;
    for org in config.file.org.iter().filter(|org| org.webhook_secrets.is_empty()) {
        tracing::warn!(organisation = org.name, "no webhook secret: only sweeps will see changes");
    }
    if let Err(error) = look_back(&store, &clock).await {
        // The service starts all the same: it answers 503, and goes on when the store does.
        tracing::error!(error = format!("{error:#}"), "the store takes no writes");
    }
    let reconcilers = Reconcilers::new(config, &clock);

    let stop = CancellationToken::new();
    let bell = Arc::new(Notify::new());
    let metrics = Arc::new(Metrics::default());
    let listen = config.file.server.listen;
    let public = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    let operator_address = config.file.server.operator;
    let private = TcpListener::bind(operator_address)
        .await
        .with_context(|| format!("cannot listen on {operator_address}"))?;

    let worker = Arc::new(Worker {
        store: store.clone(),
        clock: clock.clone(),
        reconcilers: reconcilers.by_kind(),
        settings: WorkerSettings {
            concurrency: config.file.worker.concurrency.max(1),
            ..WorkerSettings::default()
        },
        bell: bell.clone(),
        counts: Arc::default(),
    });
    let limits =
        IntakeLimits { in_flight: config.file.server.in_flight_mib * 1024 * 1024, ..IntakeLimits::default() };
    let intake =
        Arc::new(Intake::new(senders, store.clone(), clock.clone(), bell.clone(), metrics.clone(), limits));
    let token = config.file.server.operator_token.as_ref();
    let mut orgs: Vec<Watched<'_>> = config.file.org.iter().map(Watched::new).collect();
    for org in &mut orgs {
        org.open(config, &store, &clock, &reconcilers);
    }
    let operator = Arc::new(Operator {
        store: store.clone(),
        clock: clock.clone(),
        metrics,
        counts: worker.counts.clone(),
        budgets: orgs.iter().filter_map(|org| Some(org.open.as_ref()?.api.budgets().clone())).collect(),
        token: token.map(|reference| config.secret(reference, "the operator token")).transpose()?,
    });
    tracing::info!(listen = %public.local_addr()?, operator = %private.local_addr()?, "serving");

    let tasks = TaskTracker::new();
    tasks.spawn(serve(public, intake.router(), stop.clone(), GRACE));
    tasks.spawn(serve(private, operator.router(), stop.clone(), GRACE));
    tasks.spawn(worker.run(stop.clone(), GRACE));
    tasks.spawn(prune(store.clone(), clock.clone(), config.file.retention, stop.clone()));
    tasks.close();

    let chores = async {
        loop {
            for org in &mut orgs {
                org.open(config, &store, &clock, &reconcilers);
                if let Err(error) = org.look(config, &store, &clock, &bell).await {
                    let error = format!("{error:#}");
                    tracing::error!(
                        organisation = org.file.name,
                        error,
                        "could not look after it; trying again"
                    );
                }
            }
            clock.sleep(LOOK).await;
        }
    };
    tokio::select! {
        () = chores => {}
        signal = ended() => tracing::info!(signal, "stopping: what runs may end, nothing new begins"),
    }
    stop.cancel();
    tokio::select! {
        () = tasks.wait() => tracing::info!("stopped"),
        _ = ended() => tracing::warn!("stopped at once; what was running is observed again at the next start"),
    }
    Ok(FINE)
}

#[cfg(unix)]
async fn ended() -> &'static str {
    use tokio::signal::unix::{SignalKind, signal};
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => signal.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => "interrupt",
        _ = terminated => "terminate",
    }
}

#[cfg(not(unix))]
async fn ended() -> &'static str {
    let _ = tokio::signal::ctrl_c().await; // where signals cannot be awaited, the service ends at once
    "interrupt"
}

fn say_remarks(org: &Org<'_>) {
    let policy = org.policy.current();
    for remark in &policy.remarks {
        tracing::warn!(organisation = org.file.name, at = %remark.asked, "{}", remark.message);
    }
    tracing::info!(organisation = org.file.name, mode = %org.file.mode, generation = policy.generation, "policy in force");
}

/// What a kill cut off between intent and result is observed again.
async fn look_back(store: &Arc<dyn Store>, clock: &Clock) -> anyhow::Result<()> {
    let now = clock.now();
    for intent in store.open_intents().await? {
        tracing::warn!(subject = intent.subject, "a write was cut off; it is observed again");
        let detail =
            json!({ "written": "unknown", "why": "the process ended before the answer; observed again" });
        let result = Entry {
            seq: 0,
            at: now,
            kind: EntryKind::Result,
            intent: Some(intent.seq),
            detail,
            ..intent.clone()
        };
        if let Ok(key) = intent.key.parse::<Key>() {
            store.mark(vec![Mark::new(key, Lane::Event)], now).await?;
        }
        store.journal(None, vec![result], now).await?;
    }
    Ok(())
}

/// An organisation, as the service looks after it.
struct Watched<'a> {
    file: &'a crate::config::Org,
    open: Option<Org<'a>>,
    /// What was wrong when it was looked at last: said once, not every time.
    said: String,
    /// A generation that was seen once. A folder that is being written to looks different the next time.
    candidate: Option<String>,
}

impl<'a> Watched<'a> {
    fn new(file: &'a crate::config::Org) -> Self {
        Self { file, open: None, said: String::new(), candidate: None }
    }

    fn say(&mut self, error: &str, then: &str) {
        if self.said != error {
            error.clone_into(&mut self.said);
            tracing::error!(organisation = self.file.name, "{then}:\n{error}");
        }
    }

    /// Opens it, if it is not open and can be.
    fn open(&mut self, config: &Config, store: &Arc<dyn Store>, clock: &Clock, reconcilers: &Reconcilers) {
        if self.open.is_some() {
            return;
        }
        match Org::open(config, self.file, clock, Some(store)) {
            Ok(org) => {
                say_remarks(&org);
                reconcilers.add(&org, store, clock);
                self.open = Some(org);
            }
            Err(error) => {
                self.say(
                    &format!("{error:#}"),
                    "it is not worked on until this is mended; webhooks are kept",
                );
            }
        }
    }

    /// Takes over a new generation of the policy, and starts a sweep when it is time, or of a generation not swept yet.
    async fn look(
        &mut self,
        config: &Config,
        store: &Arc<dyn Store>,
        clock: &Clock,
        bell: &Notify,
    ) -> anyhow::Result<()> {
        let Some(org) = &self.open else { return Ok(()) };
        let folder = config.base.join(&self.file.policy);
        let current = org.policy.current().generation.clone();
        let home = self.file.policy_repository.clone();
        match tokio::task::spawn_blocking(move || Policy::load(&folder, &home)).await? {
            Ok(policy) if policy.generation == current => {
                self.candidate = None;
                self.said.clear();
            }
            Ok(policy) if self.candidate.as_ref() == Some(&policy.generation) => {
                org.policy.replace(policy);
                say_remarks(org);
                self.candidate = None;
            }
            Ok(policy) => self.candidate = Some(policy.generation),
            Err(error) => {
                let then = format!("the policy is not accepted, {current} stays in force");
                self.say(&error.to_string(), &then);
            }
        }
        let Some(org) = &self.open else { return Ok(()) };
        self.sweep(org, store, clock, bell).await
    }

    async fn sweep(
        &self,
        org: &Org<'_>,
        store: &Arc<dyn Store>,
        clock: &Clock,
        bell: &Notify,
    ) -> anyhow::Result<()> {
        let name = &self.file.name;
        let noted = format!("sweep:{name}");
        let last = store.get(&noted).await?.unwrap_or_default();
        let (last, swept) = last.split_once(' ').unwrap_or_default();
        let last = Time(last.parse().unwrap_or(0));
        let now = clock.now();
        let generation = org.policy.current().generation.clone();
        // A time in the future was noted by a clock that was ahead.
        let due = last + self.file.sweep_every.into() <= now || last > now;
        if !due && swept == generation {
            return Ok(());
        }
        store.forget_holds(name, &generation).await?;
        let (organisation, _) = org.reader.organisation_and_clock().await.map_err(anyhow::Error::new)?;
        let id = organisation["id"].as_u64().context("GitHub did not say the organisation's id")?;
        store.mark(vec![Mark::new(Key::new("organisation", name, id), Lane::Sweep)], now).await?;
        store.put(&noted, &format!("{} {generation}", now.0)).await?;
        bell.notify_one();
        Ok(())
    }
}

async fn prune(store: Arc<dyn Store>, clock: Clock, kept: RetentionFile, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let before = |kept: Span| clock.now() - kept.into();
        let retention = Retention {
            bodies_before: before(kept.bodies),
            ids_before: before(kept.ids),
            journal_before: before(kept.journal),
            batch: BATCH,
        };
        match store.prune(retention).await {
            // There may be more: in small batches, so that nothing else waits long for the writer.
            Ok(gone) if gone >= u64::from(BATCH) => clock.sleep(Duration::from_millis(200)).await,
            Ok(_) => {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = clock.sleep(PRUNE) => {}
                }
            }
            Err(error) => {
                tracing::error!(%error, "could not prune; trying again");
                clock.sleep(LOOK).await;
            }
        }
    }
}
