//! The worker as a Lambda function: what `beadle serve` does beside its intake, woken by messages and by the minute.

use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{anyhow, ensure};
use aws_config::SdkConfig;
use beadle_aws::environment::{Environment, aws};
use beadle_aws::invocation::Invocation;
use beadle_aws::queues::Queues;
use beadle_aws::wakes::WakeHandler;
use beadle_engine::transfer::is_unfinished;
use beadle_engine::{Clock, Driver, Metadata, Note, Store, Time};
use beadle_hooks::github::OrgFacts;
use beadle_store_dynamodb::{DynamoStore, Wake as _};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::emf_metrics::EmfMetrics;
use crate::app::directory::Directories;
use crate::app::registry::ReconcilerRegistry;
use crate::app::service::{Parts, Service};
use crate::app::store_location::StoreLocation;
use crate::app::wiring::{self, GithubClients, OpenOptions};
use crate::config::Config;
use crate::logging;
use crate::tasks::{Host, is_target_probe};

/// Secrets that were read longer ago are read again; where one is missing, after the shorter time.
const FRESH: Duration = Duration::from_secs(900);
const MISSING: Duration = Duration::from_secs(30);
/// A key whose organisation or directory is not open waits for so many leases: each time costs a message.
const NOT_OPEN: u32 = 5;
/// So long before its end a function looks after nothing more.
const LAST_LOOK: Duration = Duration::from_secs(10);
/// A key that could have been worked on for so long is sent for again.
const WAITED: Duration = Duration::from_secs(60);
/// Of each lane so many are, in a minute.
const MOST: usize = 500;

/// The time at which a worker last did everything that it does once a minute, for `beadle aws
/// doctor`.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Looked(pub(crate) Time);

impl Metadata for Looked {
    const KIND: &'static str = "looked";
}

impl Looked {
    /// Returns the only note of this kind.
    pub(crate) fn note() -> Note<Self> {
        Note::of(&[])
    }
}

/// An invocation, and where its answer goes.
struct Call {
    event: LambdaEvent<Value>,
    answer: oneshot::Sender<anyhow::Result<Value>>,
}

/// The function, from its start on.
pub fn main() -> ExitCode {
    #[cfg(feature = "failpoints")]
    let _failpoints = fail::FailScenario::setup();
    logging::start_function();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let ended = runtime.map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(run()));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the worker cannot go on");
            ExitCode::FAILURE
        }
    }
}

/// Invocations, one after the other.
struct Calls {
    /// One that waits until everything is opened anew.
    next: Option<Call>,
    more: mpsc::Receiver<Call>,
}

impl Calls {
    async fn take(&mut self) -> Option<Call> {
        match self.next.take() {
            Some(call) => Some(call),
            None => self.more.recv().await,
        }
    }
}

async fn run() -> anyhow::Result<()> {
    let environment = Environment::read()?;
    let table = StoreLocation::Table { name: environment.table.clone(), region: None, endpoint: None };
    let config = Arc::new(Config::load(&environment.config)?.stored_at(Some(table)));
    let aws = aws().await;
    let (calls, called) = mpsc::channel::<Call>(1);
    let invoked = service_fn(|event: LambdaEvent<Value>| {
        let calls = calls.clone();
        async move {
            let (answer, answered) = oneshot::channel();
            calls.send(Call { event, answer }).await.map_err(|_| "the worker has ended")?;
            answered.await?.map_err(|error| Error::from(format!("{error:#}")))
        }
    });
    let served = async {
        config.fetch_vendor_secrets().await;
        let mut calls = Calls { next: None, more: called };
        loop {
            if let Err(error) = Box::pin(serve(&config, &environment, &aws, &mut calls)).await {
                let Some(call) = calls.take().await else { return };
                // What was wrong with a secret may be mended by now.
                if config.fetch_vendor_secrets().await {
                    calls.next = Some(call);
                    continue;
                }
                // Somebody has to see it: the invocation fails, and the next one tries again.
                let _ = call.answer.send(Err(error)); // the runtime has gone away with its invocation
            }
        }
    };
    tokio::select! {
        ended = lambda_runtime::run(invoked) => ended.map_err(|error| anyhow::anyhow!("{error}")),
        () = served => Ok(()),
    }
}

/// Answers invocations until secrets were replaced: then everything is opened anew.
async fn serve(
    config: &Arc<Config>,
    environment: &Environment,
    aws: &SdkConfig,
    calls: &mut Calls,
) -> anyhow::Result<()> {
    let clock = Clock::system();
    let queues = Queues::new(aws_sdk_sqs::Client::new(aws), environment.queues.clone());
    let client = aws_sdk_dynamodb::Client::new(aws);
    let table = DynamoStore::new(client, &environment.table, wiring::table_settings(config));
    let table = table.with_wake(Arc::new(queues.clone()));
    let store: Arc<dyn Store> = Arc::new(table.clone());
    if is_unfinished(store.as_ref()).await {
        anyhow::bail!("a copy into the table {} did not end: delete it, and copy again", environment.table);
    }
    let clients = Arc::new(GithubClients::default());
    let opening = OpenOptions { store: Some(store.clone()), ..OpenOptions::default() };
    let (directories, shut) = Directories::open_some(config, &clock, &opening, &clients);
    for error in &shut {
        tracing::error!(error = format!("{error:#}"), "it is not worked on until this is mended");
    }
    let stop = CancellationToken::new();
    let _stopped = stop.clone().drop_guard();
    let hold = Duration::from(config.file.worker.lease) * NOT_OPEN;
    let service = Service::new(Parts {
        reconcilers: ReconcilerRegistry::new(config, &(hold..=hold), &clock),
        config: config.clone(),
        store,
        clock: clock.clone(),
        directories,
        clients,
        stop,
    });
    let driver = service.driver(Host::Function);
    service.open_all().await;
    let woken = WakeHandler { worker: service.worker(), store: table, queues, clock: clock.clone() };
    let mut minute =
        Minute { woken: &woken, environment, service: &service, driver: &driver, told: HashMap::new() };
    let fresh = || if service.is_open() { FRESH } else { MISSING };
    let mut fresh_until = clock.now() + fresh();
    while let Some(call) = calls.take().await {
        // Before the work: once it is answered, the function may be frozen in the middle of asking.
        if clock.now() >= fresh_until {
            fresh_until = clock.now() + fresh();
            if config.fetch_vendor_secrets().await {
                tracing::info!("a secret was replaced: everything is opened anew");
                service.leave().await;
                calls.next = Some(call);
                return Ok(());
            }
        }
        let Call { event, answer } = call;
        let deadline = deadline(event.context.deadline, clock.now());
        let answered = match Invocation::try_from(event.payload) {
            Ok(Invocation::Messages(records)) => {
                // Without this no key of theirs is worked on.
                service.open_all().await;
                driver.run_due(deadline, is_target_probe).await;
                Ok(json!(woken.take(&records, deadline).await))
            }
            Ok(Invocation::Minute) => minute.pass(deadline).await.map(|()| json!({})),
            Err(unknown) => Err(unknown.into()),
        };
        let _ = answer.send(answered); // the runtime has gone away with its invocation
    }
    Ok(())
}

/// When the function is ended. `cargo lambda watch` gives how long it has instead.
fn deadline(given: u64, now: Time) -> Time {
    let at = Time(i64::try_from(given).unwrap_or(i64::MAX));
    if at < now { now + Duration::from_millis(given) } else { at }
}

/// What is done once a minute.
struct Minute<'a> {
    woken: &'a WakeHandler,
    environment: &'a Environment,
    service: &'a Service,
    driver: &'a Driver,
    /// What the intake was told of each organisation.
    told: HashMap<String, String>,
}

impl Minute<'_> {
    /// A message for every key that waits without one, and the background tasks that are due. What
    /// fails keeps nothing else from being done: it is logged, and the invocation fails with the
    /// first of it.
    async fn pass(&mut self, deadline: Time) -> anyhow::Result<()> {
        let service = self.service;
        let mut failed = Ok(());
        let mut note = |what: &'static str, done: anyhow::Result<()>| {
            if let Err(error) = done {
                tracing::error!(error = format!("{error:#}"), "{what}");
                if failed.is_ok() {
                    failed = Err(error.context(what));
                }
            }
        };
        note("what waits could not be sent for", self.send_again(service.clock.now()).await);
        let failing = self.driver.run_due(deadline - LAST_LOOK, |_| true).await;
        // What was looked at a moment ago is known of organisations by now.
        note("what the intake needs could not be told", self.tell().await);
        failed?;
        // Everything else was done; and somebody has to see it.
        ensure!(service.is_open(), "not everything can be opened; the log says what, and why");
        Looked::note().put(service.store.as_ref(), &Looked(service.clock.now())).await?;
        // Also what failed before and is not due yet: the alarm stays until it works again.
        let before = self.driver.status().into_iter().filter_map(|task| Some((task.name, task.failure?)));
        match failing.into_iter().chain(before).next() {
            Some((task, why)) => Err(anyhow!(why).context(format!("background task `{task}`"))),
            None => Ok(()),
        }
    }

    /// A message for every key that has waited for long, and the figures.
    async fn send_again(&self, now: Time) -> anyhow::Result<()> {
        let store = &self.woken.store;
        let mut waiting = store.waiting(now, MOST).await?;
        let oldest = waiting.iter().map(|due| now.since(due.at)).max();
        waiting.retain(|due| now.since(due.at) >= WAITED);
        if !waiting.is_empty() {
            tracing::info!(keys = waiting.len(), "keys that waited are sent for again");
            self.woken.queues.wake(waiting, now).await;
        }
        let days = self
            .service
            .directories
            .targets
            .values()
            .filter_map(|target| target.token_days(&self.woken.clock));
        let figures = EmfMetrics {
            oldest_due: oldest.unwrap_or_default().as_secs(),
            held: store.holds().await?.len(),
            token_days: days.min(),
        };
        figures.tell(&self.environment.table, now);
        Ok(())
    }

    /// Tells the intake what it has to know of organisations, where that is news.
    async fn tell(&mut self) -> anyhow::Result<()> {
        for org in &self.service.orgs {
            let (name, told) = (&org.file.name, org.known.to_json());
            if self.told.get(name) != Some(&told) {
                OrgFacts::note(name).put(self.service.store.as_ref(), &org.known).await?;
                self.told.insert(name.clone(), told);
            }
        }
        Ok(())
    }
}
