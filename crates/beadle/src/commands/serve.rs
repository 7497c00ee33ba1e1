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
use crate::wiring::{self, Org};

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
    let orgs: Vec<Org<'_>> =
        config.file.org.iter().map(|org| Org::open(config, org, &clock)).collect::<anyhow::Result<_>>()?;
    let senders = wiring::senders(config)?;
    for org in &orgs {
        say_remarks(org);
        if org.file.webhook_secrets.is_empty() {
            tracing::warn!(organisation = org.file.name, "no webhook secret: only sweeps will see changes");
        }
    }
    if let Err(error) = look_back(&store, &clock, &orgs).await {
        // The service starts all the same: it answers 503, and goes on when the store does.
        tracing::error!(error = format!("{error:#}"), "the store takes no writes");
    }

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
        reconcilers: wiring::reconcilers(&orgs, &store, &clock),
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
    let operator = Arc::new(Operator {
        store: store.clone(),
        clock: clock.clone(),
        metrics,
        counts: worker.counts.clone(),
        budgets: orgs.iter().map(|org| org.api.budgets().clone()).collect(),
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
            for org in &orgs {
                if let Err(error) = chores(config, org, &store, &clock, &bell).await {
                    tracing::error!(
                        organisation = org.file.name,
                        error = format!("{error:#}"),
                        "a chore failed; trying again"
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

/// What a kill cut off between intent and result is observed again; holds of an older policy are forgotten.
async fn look_back(store: &Arc<dyn Store>, clock: &Clock, orgs: &[Org<'_>]) -> anyhow::Result<()> {
    let now = clock.now();
    for org in orgs {
        store.forget_holds(&org.file.name, &org.policy.current().generation).await?;
    }
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

/// Takes over a new generation of the policy, and starts a sweep when it is time or the policy changed.
async fn chores(
    config: &Config,
    org: &Org<'_>,
    store: &Arc<dyn Store>,
    clock: &Clock,
    bell: &Notify,
) -> anyhow::Result<()> {
    let name = &org.file.name;
    let folder = config.base.join(&org.file.policy);
    let current = org.policy.current();
    let home = org.file.policy_repository.clone();
    let changed = match tokio::task::spawn_blocking(move || Policy::load(&folder, &home)).await? {
        Ok(policy) if policy.generation != current.generation => {
            org.policy.replace(policy);
            say_remarks(org);
            store.forget_holds(name, &org.policy.current().generation).await?;
            true
        }
        Ok(_) => false,
        Err(error) => {
            // The last accepted generation stays in force; said once a generation, not every ten seconds.
            let noted = format!("policy-error:{name}");
            let text = error.to_string();
            if store.get(&noted).await?.as_deref() != Some(&text) {
                store.put(&noted, &text).await?;
                tracing::error!(
                    organisation = name,
                    "the policy is not accepted, {} stays in force:\n{text}",
                    current.generation
                );
            }
            false
        }
    };
    let noted = format!("sweep:{name}");
    let last = store.get(&noted).await?.and_then(|text| text.parse().ok()).map_or(Time(0), Time);
    let now = clock.now();
    if changed || last + org.file.sweep_every.into() <= now {
        let (organisation, _) = org.reader.organisation_and_clock().await.map_err(anyhow::Error::new)?;
        let id = organisation["id"].as_u64().context("GitHub did not say the organisation's id")?;
        store.mark(vec![Mark::new(Key::new("organisation", name, id), Lane::Sweep)], now).await?;
        store.put(&noted, &now.0.to_string()).await?;
        bell.notify_one();
    }
    Ok(())
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
