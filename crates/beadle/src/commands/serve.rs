//! `beadle serve`: the listeners, the worker and the background tasks.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use beadle_engine::{Clock, Store, StoreError};
use beadle_server::{Access, Intake, IntakeLimits, Operator, Pages, Senders, serve};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::application::App;
use crate::app::client_options::OpenOptions;
use crate::app::page_facts::PageFacts;
use crate::app::policy_reading;
use crate::app::service::Service;
use crate::app::{senders, store};
use crate::commands::FINE;
use crate::config::Config;
use crate::stop_signals::StopSignals;
use crate::tasks::{self, Host, is_target_probe, recover_interrupted_writes};

/// The time that the running keys have to end when the service stops.
const GRACE: Duration = Duration::from_secs(20);
/// The shortest and the longest time that a key waits if its organisation or target is not open.
const NOT_OPEN: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(10);
/// The maximum time that the worker waits at the start for the probes of all targets. So a target
/// that does not answer delays other work only for this time.
const OPENING: Duration = Duration::from_secs(10);
/// The time between two checks that the store accepts writes.
const HEALTH: Duration = Duration::from_secs(10);

pub(crate) async fn run(config: &Arc<Config>) -> anyhow::Result<u8> {
    let store = store::open(config).await?;
    let app = Arc::new(App::new(config, OpenOptions::of_service(&store)));
    let clock = app.clock.clone();
    let directories = app.directories()?;
    let stop = CancellationToken::new();
    let service = Service::new(app, store.clone(), directories, &NOT_OPEN);
    policy_reading::begin(&service);
    let senders =
        Senders { github: senders::github(config, &service.org_facts())?, okta: senders::okta(config)? };
    for org in config.file.org.iter().filter(|org| org.webhook_secrets.is_empty()) {
        tracing::warn!(organisation = org.name, "no webhook secret, Beadle finds changes only by sweeps");
    }
    for okta in config.file.okta.iter().filter(|okta| okta.hook_secrets.is_empty()) {
        tracing::warn!(
            directory = okta.name,
            "no event hook secret, Beadle finds changes only by the System Log and sweeps"
        );
    }
    if let Err(error) = recover_interrupted_writes(store.as_ref(), clock.now(), clock.now()).await {
        // The service starts although the store is unavailable. It answers 503 until the store
        // accepts writes again.
        tracing::error!(%error, "store unavailable, a background task checks interrupted writes later");
    }
    // The service catches signals before it listens, because an operator may stop it as soon as it
    // answers.
    let mut signals = StopSignals::catch().context("cannot catch signals")?;
    let listen = config.file.server.listen;
    let public = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    let operator_address = config.file.server.operator;
    let private = TcpListener::bind(operator_address)
        .await
        .with_context(|| format!("cannot listen on {operator_address}"))?;

    let worker = service.worker();
    let driver = tasks::driver(&service, Host::Service);
    let limits =
        IntakeLimits { in_flight: config.file.server.in_flight_mib * 1024 * 1024, ..IntakeLimits::default() };
    let (bell, metrics) = (service.bell.clone(), service.metrics.clone());
    let intake = Arc::new(Intake::new(senders, store.clone(), clock.clone(), bell, metrics.clone(), limits));
    let token = config.file.server.operator_token.as_ref();
    let token = token.map(|reference| config.secret(reference, "the operator token")).transpose()?;
    service.open_all().await;
    let pages = Pages {
        store: store.clone(),
        clock: clock.clone(),
        driver: driver.clone(),
        facts: Arc::new(PageFacts(service.clone())),
        access: Access::new(token.clone(), operator_address.ip()),
    };
    let operator = Arc::new(Operator {
        store: store.clone(),
        clock: clock.clone(),
        metrics: metrics.clone(),
        counts: worker.counts.clone(),
        budgets: service.budgets.clone(),
        driver: driver.clone(),
        token,
        pages: Arc::new(pages),
    });
    tracing::info!(listen = %public.local_addr()?, operator = %private.local_addr()?, "serving");

    let running = TaskTracker::new();
    running.spawn(serve(public, intake.router(), stop.clone(), GRACE));
    running.spawn(serve(private, operator.router(), stop.clone(), GRACE));
    let background = driver.clone();
    let stopped = stop.clone();
    running.spawn(async move { background.run(stopped).await });
    let work = async {
        // The worker claims no key before the probes have ended, because a key whose target is not
        // open would have to wait.
        tokio::select! {
            () = driver.ran(is_target_probe) => {}
            () = clock.sleep(OPENING) => {}
        }
        running.spawn(worker.run(stop.clone(), GRACE));
        running.close();
        std::future::pending::<()>().await;
    };
    let mut damaged = Ok(FINE);
    tokio::select! {
        () = work => {}
        error = damage(store.as_ref(), &clock) => damaged = Err(anyhow!(error)),
        signal = signals.next() => tracing::info!(signal, "stopping, waiting for runs in progress"),
    }
    stop.cancel();
    // The operator can stop the service before the worker has begun.
    running.close();
    tokio::select! {
        () = running.wait() => {
            service.leave().await;
            tracing::info!("stopped");
        }
        _ = signals.next() => tracing::warn!("stopped without waiting for runs, the next start checks interrupted writes"),
    }
    damaged
}

/// Logs when the store stops accepting writes, and when it accepts them again. Returns only if the
/// store is damaged, because an operator must repair a damaged store.
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
