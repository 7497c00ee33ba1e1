//! `beadle serve`: the listeners, the worker, sweeps, retention, and new generations of policies.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use beadle_engine::{Clock, Retention, Store, StoreError};
use beadle_hooks::github::Known;
use beadle_server::{Intake, IntakeLimits, Metrics, Operator, Senders, serve};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::commands::FINE;
use crate::config::{Config, RetentionFile, Span};
use crate::directory::Directories;
use crate::reconcilers::Reconcilers;
use crate::watch::{LOOK, Means, Watch, look_back};
use crate::wiring::{self, Opening, Ways};

/// What runs get to end by themselves when the service stops.
const GRACE: Duration = Duration::from_secs(20);
/// A key whose organisation or target is not open waits for at least and at most so long.
const NOT_OPEN: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(10);
/// So long the first key waits for targets to be opened: one that does not answer keeps nothing else from work.
const OPENING: Duration = Duration::from_secs(10);
/// The interval of the checks that the store takes writes.
const HEALTH: Duration = Duration::from_secs(10);
/// How often is looked for what was interrupted.
const SETTLE: Duration = Duration::from_secs(60);
/// How often is pruned, and how many rows a batch.
const PRUNE: Duration = Duration::from_secs(600);
const BATCH: u32 = 2000;

pub(crate) async fn run(config: &Config) -> anyhow::Result<u8> {
    let clock = Clock::system();
    let store = wiring::store(config).await?;
    let known: HashMap<&str, Known> =
        config.file.org.iter().map(|org| (org.name.as_str(), Known::default())).collect();
    let senders =
        Senders { github: wiring::senders(config, &known)?, okta: crate::directory::senders(config)? };
    let ways = Ways::default();
    let opening = Opening { store: Some(&store), ..Opening::default() };
    let directories = Directories::open(config, &clock, opening, &ways)?;
    for org in config.file.org.iter().filter(|org| org.webhook_secrets.is_empty()) {
        tracing::warn!(organisation = org.name, "no webhook secret: only sweeps will see changes");
    }
    for okta in config.file.okta.iter().filter(|okta| okta.hook_secrets.is_empty()) {
        tracing::warn!(
            directory = okta.name,
            "no secret of an event hook: only the System Log and sweeps will see changes"
        );
    }
    if let Err(error) = look_back(store.as_ref(), clock.now(), clock.now()).await {
        // The service starts all the same: it answers 503, and goes on when the store does.
        tracing::error!(error = format!("{error:#}"), "the store takes no writes");
    }
    let stop = CancellationToken::new();
    let bell = Arc::new(Notify::new());
    let metrics = Arc::new(Metrics::default());
    let means = Means {
        config,
        ways: &ways,
        store: store.clone(),
        clock: clock.clone(),
        bell: bell.clone(),
        reconcilers: Reconcilers::new(config, &NOT_OPEN, &clock),
        budgets: Arc::default(),
        stop: stop.clone(),
    };
    let listen = config.file.server.listen;
    let public = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    let operator_address = config.file.server.operator;
    let private = TcpListener::bind(operator_address)
        .await
        .with_context(|| format!("cannot listen on {operator_address}"))?;

    let worker = means.worker();
    let limits =
        IntakeLimits { in_flight: config.file.server.in_flight_mib * 1024 * 1024, ..IntakeLimits::default() };
    let intake =
        Arc::new(Intake::new(senders, store.clone(), clock.clone(), bell.clone(), metrics.clone(), limits));
    let token = config.file.server.operator_token.as_ref();
    let mut watch = Watch::begin(&means, &directories, &metrics, &known).await;
    let operator = Arc::new(Operator {
        store: store.clone(),
        clock: clock.clone(),
        metrics: metrics.clone(),
        counts: worker.counts.clone(),
        budgets: means.budgets.clone(),
        token: token.map(|reference| config.secret(reference, "the operator token")).transpose()?,
    });
    tracing::info!(listen = %public.local_addr()?, operator = %private.local_addr()?, "serving");

    let tasks = TaskTracker::new();
    tasks.spawn(serve(public, intake.router(), stop.clone(), GRACE));
    tasks.spawn(serve(private, operator.router(), stop.clone(), GRACE));
    tasks.spawn(settle(store.clone(), clock.clone(), bell.clone(), stop.clone()));
    tasks.spawn(prune(store.clone(), clock.clone(), config.file.retention, stop.clone()));

    let chores = async {
        {
            // Before the first key is claimed: one whose target is not open yet would wait for nothing.
            let mut opened = std::pin::pin!(watch.prepare(&means));
            let is_open = tokio::select! {
                () = &mut opened => true,
                () = clock.sleep(OPENING) => false,
            };
            tasks.spawn(worker.run(stop.clone(), GRACE));
            tasks.close();
            // A target that is slow to answer goes on being opened: asked from the start, it would never be.
            if !is_open {
                opened.await;
            }
        }
        loop {
            // What AWS did not give before may be there by now.
            config.fetch_secrets().await;
            watch.look(&means).await;
            clock.sleep(watch.pause()).await;
        }
    };
    let mut damaged = Ok(FINE);
    tokio::select! {
        () = chores => {}
        error = damage(store.as_ref(), &clock) => damaged = Err(anyhow!(error)),
        signal = ended() => tracing::info!(signal, "stopping: what runs may end, nothing new begins"),
    }
    stop.cancel();
    // A signal may come before the worker began.
    tasks.close();
    tokio::select! {
        () = tasks.wait() => {
            watch.leave().await;
            tracing::info!("stopped");
        }
        _ = ended() => tracing::warn!("stopped at once; what was running is observed again at the next start"),
    }
    damaged
}

/// Says when the store takes no writes and when it does again. Returns when it is damaged: nothing helps then but a person.
async fn damage(store: &dyn Store, clock: &Clock) -> StoreError {
    let mut said = String::new();
    loop {
        match store.ready().await {
            Ok(()) if said.is_empty() => {}
            Ok(()) => {
                tracing::info!("store available again");
                said.clear();
            }
            Err(error @ StoreError::Corrupt { .. }) => return error,
            Err(error) => {
                let text = error.to_string();
                if said != text {
                    tracing::error!(error = text, "store unavailable, webhooks are answered with 503");
                    said = text;
                }
            }
        }
        clock.sleep(HEALTH).await;
    }
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

/// Finishes what was interrupted, at the start and once in a while.
async fn settle(store: Arc<dyn Store>, clock: Clock, bell: Arc<Notify>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        match store.settle(clock.now()).await {
            Ok(0) => {}
            Ok(settled) => {
                tracing::warn!(settled, "what was interrupted was finished");
                bell.notify_one();
            }
            Err(error) => {
                tracing::error!(%error, "search for interrupted deliveries failed, retrying");
            }
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = clock.sleep(SETTLE) => {}
        }
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
                tracing::error!(%error, "pruning the store failed, retrying");
                clock.sleep(LOOK).await;
            }
        }
    }
}
