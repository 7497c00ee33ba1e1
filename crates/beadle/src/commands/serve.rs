//! `beadle serve`: runs the listeners, the worker and the background tasks.

mod configured_service;
mod installation_reload_limit;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use beadle_engine::{Clock, Store, StoreError, Time};
use beadle_server::{ReloadRequest, Reloads, serve};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::configured_service::{GRACE, Prepared, Routes, RunningService};
use self::installation_reload_limit::ReloadPace;
use crate::app::organisations::installations;
use crate::app::store;
use crate::commands::FINE;
use crate::config::{Config, ConfigPlace};
use crate::reload_signal::ReloadSignal;
use crate::stop_signals::StopSignals;
use crate::tasks::recover_interrupted_writes;

/// The time between two checks that the store accepts writes.
const HEALTH: Duration = Duration::from_secs(10);

pub(crate) async fn run(place: &ConfigPlace) -> anyhow::Result<u8> {
    let clock = Clock::system();
    let process_started = clock.now();
    let mut config = place.read().await?;
    let store = store::open(&config).await?;
    if let Err(error) = installations::take_in(&mut config, store.as_ref()).await {
        tracing::error!(%error, "store unavailable, a background task takes in the organisations later");
    }
    let mut config = Arc::new(config);
    #[cfg(feature = "otel")]
    let traces = config.file.traces.as_ref().map(|file| crate::traces::start(file, &clock)).transpose()?;
    let (reloads, mut requests) = Reloads::channel();
    let prepared = Prepared::new(&config, &store, &reloads, process_started)?;
    // If the store is shared, another process might have begun a write a moment ago. So a
    // background task checks these writes later, when they are old enough.
    if !store::is_shared(&config.place)
        && let Err(error) = recover_interrupted_writes(store.as_ref(), clock.now(), clock.now()).await
    {
        // The service starts although the store is unavailable. The service answers 503 until the
        // store accepts writes again.
        tracing::error!(%error, "store unavailable, a background task checks interrupted writes later");
    }
    // The service catches signals before it listens, because an operator might stop the service as
    // soon as the service answers.
    let mut signals = StopSignals::catch().context("cannot catch signals")?;
    let mut reload_signal = ReloadSignal::catch().context("cannot catch signals")?;
    let listen = config.file.server.listen;
    let public = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    let operator_address = config.file.server.operator;
    let private = TcpListener::bind(operator_address)
        .await
        .with_context(|| format!("cannot listen on {operator_address}"))?;

    let routes = Routes::default();
    // An operator can stop the service even while a vendor or a store does not answer.
    let mut in_use = tokio::select! {
        started = prepared.start(&routes) => started,
        signal = signals.next() => {
            tracing::info!(signal, "stopped before the start was complete");
            return Ok(FINE);
        }
    };
    tracing::info!(listen = %public.local_addr()?, operator = %private.local_addr()?, "serving");
    let (stop, listeners) = (CancellationToken::new(), TaskTracker::new());
    listeners.spawn(serve(public, routes.public.router(), stop.clone(), GRACE));
    listeners.spawn(serve(private, routes.operator.router(), stop.clone(), GRACE));
    listeners.close();
    let mut pace = ReloadPace::default();
    let mut damaged = Ok(FINE);
    let mut damage = Box::pin(damage(store.as_ref(), &clock));
    let signal = loop {
        let (request, kept) = tokio::select! {
            error = &mut damage => {
                damaged = Err(anyhow!(error));
                break None;
            }
            signal = signals.next() => break Some(signal),
            request = next_request(&mut reload_signal, &mut requests) => (request, None),
            // The configuration file might contain changes that no operator has asked the service
            // to load. So the service does not read the file.
            () = installations_changed(&in_use, &pace, &clock) => (None, Some(Config::clone(&config))),
        };
        let is_of_installations = kept.is_some();
        // An operator can stop the service even while a file system or a store of secrets does not
        // answer.
        let read = tokio::select! {
            read = prepare((place, kept), &config, (&store, &reloads), process_started) => read,
            signal = signals.next() => break Some(signal),
        };
        let (next, prepared, done) = match read {
            Ok(prepared) => prepared,
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(error, "configuration not reloaded, the service keeps the previous one");
                answer(request, Err(error));
                continue;
            }
        };
        // An operator can stop the service before the reload has ended.
        tokio::select! {
            () = in_use.stop() => {}
            signal = signals.next() => break Some(signal),
        }
        in_use = tokio::select! {
            started = prepared.start(&routes) => started,
            signal = signals.next() => break Some(signal),
        };
        config = next;
        if is_of_installations {
            pace.reloaded(clock.now());
        }
        tracing::info!(changes = %done, "configuration reloaded");
        answer(request, Ok(done));
    };
    if let Some(signal) = signal {
        tracing::info!(signal, "stopping, waiting for runs in progress");
    }
    stop.cancel();
    // When this receiver is dropped, the service answers the requests that still wait for a reload.
    drop(requests);
    tokio::select! {
        () = async { tokio::join!(listeners.wait(), in_use.stop()); } => tracing::info!("stopped"),
        _ = signals.next() => tracing::warn!("stopped without waiting for runs, the next start checks interrupted writes"),
    }
    #[cfg(feature = "otel")]
    if let Some(traces) = traces {
        traces.stop().await;
    }
    damaged
}

/// Waits until the list of the service's organisations changes because of the App's installations.
/// Then waits until `pace` allows the next reload.
async fn installations_changed(in_use: &RunningService, pace: &ReloadPace, clock: &Clock) {
    in_use.installations_changed().await;
    let at = pace.next(clock.now());
    if at > clock.now() {
        tracing::warn!(%at, "installations of the App change too often, the next change waits");
        clock.sleep_until(at).await;
    }
}

/// Waits for the next signal or request for a reload of the configuration. The sender of a signal
/// expects no answer.
async fn next_request(
    signal: &mut ReloadSignal,
    requests: &mut mpsc::Receiver<ReloadRequest>,
) -> Option<ReloadRequest> {
    tokio::select! {
        () = signal.next() => None,
        request = requests.recv() => request,
    }
}

/// Answers a request to reload the configuration.
fn answer(request: Option<ReloadRequest>, answer: Result<Value, String>) {
    if let Some(request) = request {
        let _ = request.send(answer); // the caller may have gone away
    }
}

/// Adds the installed organisations to the new configuration, and prepares a service with this
/// configuration. Also returns the changes of the reload. During this time, the service in use
/// continues.
async fn prepare(
    (place, kept): (&ConfigPlace, Option<Config>),
    in_use: &Config,
    (store, reloads): (&Arc<dyn Store>, &Reloads),
    process_started: Time,
) -> anyhow::Result<(Arc<Config>, Prepared, Value)> {
    let mut config = match kept {
        Some(kept) => kept,
        None => place.read().await?,
    };
    installations::take_in(&mut config, store.as_ref()).await?;
    let (changed, needs_restart) = config.follow(in_use);
    let config = Arc::new(config);
    let prepared = Prepared::new(&config, store, reloads, process_started)?;
    Ok((config, prepared, json!({ "changed": changed, "needs_restart": needs_restart })))
}

/// Logs when the store stops accepting writes, and when it accepts them again. Returns only if the
/// store is damaged, because then an operator must repair the store.
async fn damage(store: &dyn Store, clock: &Clock) -> StoreError {
    let mut last_logged = String::new();
    loop {
        match store.ready().await {
            Ok(()) if last_logged.is_empty() => {}
            Ok(()) => {
                tracing::info!("store available again");
                last_logged.clear();
            }
            Err(error @ StoreError::Corrupt { .. }) => return error,
            Err(error) => {
                let text = error.to_string();
                if last_logged != text {
                    tracing::error!(error = text, "store unavailable, webhooks are answered with 503");
                    last_logged = text;
                }
            }
        }
        clock.sleep(HEALTH).await;
    }
}
