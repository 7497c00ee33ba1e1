//! `beadle serve`: the listeners, the worker, sweeps, retention, and new generations of policies.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use beadle_engine::{Clock, Store, StoreError};
use beadle_hooks::github::OrgFacts;
use beadle_server::{Intake, IntakeLimits, Operator, Senders, serve};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::directory::Directories;
use crate::app::registry::ReconcilerRegistry;
use crate::app::service::{Parts, Service};
use crate::app::wiring::{self, GithubClients, OpenOptions};
use crate::commands::FINE;
use crate::config::Config;
use crate::tasks::{Host, is_target_probe, recover_interrupted_writes};

/// What runs get to end by themselves when the service stops.
const GRACE: Duration = Duration::from_secs(20);
/// A key whose organisation or target is not open waits for at least and at most so long.
const NOT_OPEN: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(10);
/// So long the first key waits for targets to be opened: one that does not answer keeps nothing else from work.
const OPENING: Duration = Duration::from_secs(10);
/// The interval of the checks that the store takes writes.
const HEALTH: Duration = Duration::from_secs(10);

pub(crate) async fn run(config: Config) -> anyhow::Result<u8> {
    let config = Arc::new(config);
    let clock = Clock::system();
    let store = wiring::store(&config).await?;
    let clients = Arc::new(GithubClients::default());
    let opening = OpenOptions { store: Some(store.clone()), ..OpenOptions::default() };
    let directories = Directories::open(&config, &clock, &opening, &clients)?;
    let stop = CancellationToken::new();
    let service = Service::new(Parts {
        reconcilers: ReconcilerRegistry::new(&config, &NOT_OPEN, &clock),
        config: config.clone(),
        store: store.clone(),
        clock: clock.clone(),
        directories,
        clients,
        stop: stop.clone(),
    });
    let known: HashMap<&str, OrgFacts> =
        service.orgs.iter().map(|org| (org.file.name.as_str(), org.known.clone())).collect();
    let senders =
        Senders { github: wiring::senders(&config, &known)?, okta: crate::app::directory::senders(&config)? };
    for org in config.file.org.iter().filter(|org| org.webhook_secrets.is_empty()) {
        tracing::warn!(organisation = org.name, "no webhook secret: only sweeps will see changes");
    }
    for okta in config.file.okta.iter().filter(|okta| okta.hook_secrets.is_empty()) {
        tracing::warn!(
            directory = okta.name,
            "no secret of an event hook: only the System Log and sweeps will see changes"
        );
    }
    if let Err(error) = recover_interrupted_writes(store.as_ref(), clock.now(), clock.now()).await {
        // The service starts all the same: it answers 503, and goes on when the store does.
        tracing::error!(%error, "the store takes no writes");
    }
    let listen = config.file.server.listen;
    let public = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    let operator_address = config.file.server.operator;
    let private = TcpListener::bind(operator_address)
        .await
        .with_context(|| format!("cannot listen on {operator_address}"))?;

    let worker = service.worker();
    let driver = service.driver(Host::Service);
    let limits =
        IntakeLimits { in_flight: config.file.server.in_flight_mib * 1024 * 1024, ..IntakeLimits::default() };
    let (bell, metrics) = (service.bell.clone(), service.metrics.clone());
    let intake = Arc::new(Intake::new(senders, store.clone(), clock.clone(), bell, metrics.clone(), limits));
    let token = config.file.server.operator_token.as_ref();
    service.open_all().await;
    let operator = Arc::new(Operator {
        store: store.clone(),
        clock: clock.clone(),
        metrics: metrics.clone(),
        counts: worker.counts.clone(),
        budgets: service.budgets.clone(),
        driver: driver.clone(),
        token: token.map(|reference| config.secret(reference, "the operator token")).transpose()?,
    });
    tracing::info!(listen = %public.local_addr()?, operator = %private.local_addr()?, "serving");

    let tasks = TaskTracker::new();
    tasks.spawn(serve(public, intake.router(), stop.clone(), GRACE));
    tasks.spawn(serve(private, operator.router(), stop.clone(), GRACE));
    let background = driver.clone();
    let stopped = stop.clone();
    tasks.spawn(async move { background.run(stopped).await });
    let work = async {
        // Before the first key is claimed: one whose target is not open yet would wait for nothing.
        tokio::select! {
            () = driver.ran(is_target_probe) => {}
            () = clock.sleep(OPENING) => {}
        }
        tasks.spawn(worker.run(stop.clone(), GRACE));
        tasks.close();
        std::future::pending::<()>().await;
    };
    let mut damaged = Ok(FINE);
    tokio::select! {
        () = work => {}
        error = damage(store.as_ref(), &clock) => damaged = Err(anyhow!(error)),
        signal = ended() => tracing::info!(signal, "stopping: what runs may end, nothing new begins"),
    }
    stop.cancel();
    // A signal may come before the worker began.
    tasks.close();
    tokio::select! {
        () = tasks.wait() => {
            service.leave().await;
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
