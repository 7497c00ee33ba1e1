//! A service that works with one configuration. After a reload, a service with the new
//! configuration replaces this service.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use beadle_engine::{Driver, Store, Time, Worker};
use beadle_server::{Access, Intake, IntakeLimits, Live, Operator, Pages, Reloads, RouterSwitch, Senders};
use secrecy::SecretString;
use tokio_util::task::TaskTracker;

use crate::app::application::App;
use crate::app::connections::budget_and_cache_options::ClientOptions;
use crate::app::organisations::installation_list_reconciler;
use crate::app::pages::facts::PageFacts;
use crate::app::policy::policy_key_reconciler;
use crate::app::service::Service;
use crate::app::sign_in;
use crate::app::store;
use crate::config::{Config, webhook_senders};
use crate::tasks::{self, Host, is_target_probe};

/// The maximum time that running keys can continue after the service begins to stop.
pub(super) const GRACE: Duration = Duration::from_secs(20);
/// The shortest and the longest time that a key waits if its organisation or target is not open.
const NOT_OPEN: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(10);
/// The maximum time that the worker waits at the start for the probes of all targets. So if a
/// target does not answer, other work waits only this long.
const OPENING: Duration = Duration::from_secs(10);

/// The routes of the two listeners.
#[derive(Default)]
pub(super) struct Routes {
    pub(super) public: RouterSwitch,
    pub(super) operator: RouterSwitch,
}

/// A service that is ready to work with one configuration, but has not begun yet.
pub(super) struct Prepared {
    service: Arc<Service>,
    worker: Arc<Worker>,
    driver: Driver,
    intake: Arc<Intake>,
    operator: Arc<Operator>,
}

impl Prepared {
    /// Creates all configured parts, and reads the secrets. Sends no request, and writes nothing.
    /// So an error does not disturb the service in use. `process_started` is the time at which the
    /// process started.
    pub(super) fn new(
        config: &Arc<Config>,
        store: &Arc<dyn Store>,
        reloads: &Reloads,
        process_started: Time,
    ) -> anyhow::Result<Self> {
        let app = Arc::new(App::new(config, ClientOptions::of_service(store)));
        let clock = app.clock.clone();
        let directories = app.directories()?;
        let service = Service::new(app, store.clone(), directories, &NOT_OPEN, process_started);
        if store::is_shared(&config.place) {
            service.share();
        }
        policy_key_reconciler::begin(&service);
        installation_list_reconciler::begin(&service);
        let mut senders = Senders {
            github: webhook_senders::github(config, &service.org_facts())?,
            okta: webhook_senders::okta(config)?,
        };
        senders.github.extend(webhook_senders::installations(config)?);
        let worker = service.worker();
        let driver = tasks::driver(&service, Host::Service);
        let in_flight = config.file.server.in_flight_mib * 1024 * 1024;
        let limits = IntakeLimits { in_flight, ..IntakeLimits::default() };
        let (bell, metrics) = (service.bell.clone(), service.metrics.clone());
        let intake = Intake::new(senders, store.clone(), clock.clone(), bell, metrics.clone(), limits);
        let token = operator_token(config)?;
        let live = Live::new(store.clone(), clock.clone(), driver.clone(), service.stop.clone());
        let pages = Pages {
            store: store.clone(),
            clock: clock.clone(),
            driver: driver.clone(),
            facts: Arc::new(PageFacts(service.clone())),
            access: Access::new(token, config.file.server.operator.ip()),
            sign_in: sign_in::open(&service, &driver, reloads)?,
            live: Arc::new(live),
            requests: TaskTracker::new(),
        };
        let operator = Operator {
            store: store.clone(),
            clock,
            metrics,
            counts: worker.counts.clone(),
            budgets: service.budgets.clone(),
            driver: driver.clone(),
            stop: service.stop.clone(),
            reloads: reloads.clone(),
            pages: Arc::new(pages),
        };
        warn_of_missing_secrets(config);
        Ok(Self { service, worker, driver, intake: Arc::new(intake), operator: Arc::new(operator) })
    }

    /// Opens the organisations, replaces the routes of the listeners, and begins to work.
    pub(super) async fn start(self, routes: &Routes) -> RunningService {
        let Self { service, worker, driver, intake, operator } = self;
        service.open_all().await;
        routes.public.replace(intake.router());
        let requests = operator.pages.requests.clone();
        routes.operator.replace(operator.router());
        let listener = store::listen(&service.config().place, &service.bell);
        let running = TaskTracker::new();
        let (background, stop) = (driver.clone(), service.stop.clone());
        running.spawn(async move { background.run(stop).await });
        let (clock, stop) = (service.clock().clone(), service.stop.clone());
        running.spawn(async move {
            // The worker claims no key before the probes have ended. If the target of a key is not
            // open yet, the key would have to wait.
            tokio::select! {
                () = driver.ran(is_target_probe) => {}
                () = clock.sleep(OPENING) => {}
                () = stop.cancelled() => {}
            }
            worker.run(stop, GRACE).await;
        });
        running.close();
        requests.close();
        RunningService { service, running, requests, _listener: listener }
    }
}

/// A service that works with one configuration.
pub(super) struct RunningService {
    service: Arc<Service>,
    running: TaskTracker,
    /// The requests of people that change something.
    requests: TaskTracker,
    /// While this value exists, the bell rings each time another process makes a key due.
    _listener: Option<Box<dyn Send + Sync>>,
}

impl RunningService {
    /// Waits until the list of the service's organisations changes.
    pub(super) async fn installations_changed(&self) {
        self.service.installations.changed().await;
    }

    /// Stops the work, and waits until the running keys have ended.
    pub(super) async fn stop(&self) {
        self.service.stop.cancel();
        // A request whose body never arrives must not delay the stop.
        let requests = tokio::time::timeout(GRACE, self.requests.wait());
        let _ = tokio::join!(self.running.wait(), requests);
        self.service.leave().await;
    }
}

/// Reads the token that callers must send to the operator listener. A reload does not change the
/// address of the listener, even if the file contains a different address. Other machines must not
/// reach the listener without a token.
fn operator_token(config: &Config) -> anyhow::Result<Option<SecretString>> {
    let address = config.file.server.operator;
    match &config.file.server.operator_token {
        Some(reference) => config.secret(reference, "the operator token").map(Some),
        None if address.ip().is_loopback() => Ok(None),
        None => bail!(
            "`server.operator_token` is required, because the operator listener listens at {address}\n\
             hint: to listen at another address, restart the service"
        ),
    }
}

fn warn_of_missing_secrets(config: &Config) {
    for org in config.file.org.iter().filter(|org| org.webhook_secrets.is_empty()) {
        tracing::warn!(organisation = org.name, "no webhook secret, Beadle finds changes only by sweeps");
    }
    for okta in config.file.okta.iter().filter(|okta| okta.hook_secrets.is_empty()) {
        tracing::warn!(
            directory = okta.name,
            "no event hook secret, Beadle finds changes only by the System Log and sweeps"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_for_other_machines_keeps_its_token_until_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("beadle.toml");
        // The file sets no address, so the default address of the operator listener applies. This
        // address needs no token.
        std::fs::write(&path, "[[org]]\nname = \"acme\"\npolicy = \"p\"\ntoken = \"env:T\"\n").unwrap();
        let mut in_use = Config::load(&path).unwrap();
        assert!(operator_token(&in_use).unwrap().is_none());
        in_use.file.server.operator = "0.0.0.0:8081".parse().unwrap();
        let mut config = Config::load(&path).unwrap();
        config.follow(&in_use);
        let error = operator_token(&config).unwrap_err().to_string();
        assert!(error.starts_with("`server.operator_token` is required"), "{error}");
    }
}
