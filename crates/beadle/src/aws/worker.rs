//! The worker as a Lambda function: the worker and the background tasks of `beadle serve`, started
//! by messages and once a minute.

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
use beadle_engine::store::GuardStore as _;
use beadle_engine::{Clock, Driver, Metadata, Note, Store, Time};
use beadle_hooks::github::OrgFacts;
use beadle_store_dynamodb::{DynamoStore, Wake as _};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

use super::emf_metrics::EmfMetrics;
use crate::app::application::App;
use crate::app::client_options::OpenOptions;
use crate::app::service::Service;
use crate::app::store;
use crate::config::Config;
use crate::logging;
use crate::tasks::{self, Host, is_shared_budget, is_target_probe};
use beadle_config::StoreLocation;

/// The time after which the function reads its secrets again. `MISSING` counts while a part is not
/// open.
const FRESH: Duration = Duration::from_secs(900);
const MISSING: Duration = Duration::from_secs(30);
/// The wait of a key whose organisation or directory is not open, in leases. Each wait costs a
/// message.
const NOT_OPEN: u32 = 5;
/// The time before the end of the function at which the background tasks end.
const LAST_LOOK: Duration = Duration::from_secs(10);
/// The time after which a due key gets another message.
const WAITED: Duration = Duration::from_secs(60);
/// The maximum number of keys of one lane that get another message in a minute.
const MOST: usize = 500;
/// The time between two updates of the shared budgets.
const SHARING: Duration = Duration::from_secs(1);

/// The time of the last complete minute. `beadle aws doctor` reads it.
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

/// Starts the function, and runs it until AWS ends it.
pub fn main() -> ExitCode {
    #[cfg(feature = "failpoints")]
    let _failpoints = fail::FailScenario::setup();
    logging::start_function();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let ended = runtime.map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(run()));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "worker function failed");
            ExitCode::FAILURE
        }
    }
}

/// Invocations, one after the other.
struct Calls {
    /// An invocation that waits until everything is opened again.
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
                // The cause may be a secret that was corrected in the meantime.
                if config.fetch_vendor_secrets().await {
                    calls.next = Some(call);
                    continue;
                }
                // The invocation fails, so that an alarm shows the cause. The next one retries.
                let _ = call.answer.send(Err(error)); // the runtime has gone away with its invocation
            }
        }
    };
    tokio::select! {
        ended = lambda_runtime::run(invoked) => ended.map_err(|error| anyhow::anyhow!("{error}")),
        () = served => Ok(()),
    }
}

/// Answers invocations until a secret is replaced. Then the caller must open everything again.
async fn serve(
    config: &Arc<Config>,
    environment: &Environment,
    aws: &SdkConfig,
    calls: &mut Calls,
) -> anyhow::Result<()> {
    let queues = Queues::new(aws_sdk_sqs::Client::new(aws), environment.queues.clone());
    let client = aws_sdk_dynamodb::Client::new(aws);
    let table = DynamoStore::new(client, &environment.table, store::table_settings(config));
    let table = table.with_wake(Arc::new(queues.clone()));
    let store: Arc<dyn Store> = Arc::new(table.clone());
    store::check_finished(store.as_ref(), &format!("the table {}", environment.table)).await?;
    let app = Arc::new(App::new(config, OpenOptions::of_service(&store)));
    let clock = app.clock.clone();
    let (directories, failures) = app.available_directories();
    for error in &failures {
        tracing::error!(error = format!("{error:#}"), "directory or target unavailable");
    }
    let hold = Duration::from(config.file.worker.lease) * NOT_OPEN;
    let service = Service::new(app, store, directories, &(hold..=hold));
    let driver = tasks::driver(&service, Host::Function);
    service.open_all().await;
    // Other functions can use the same credentials at this moment, so updates come more often than
    // once a minute.
    let sharing = AbortOnDropHandle::new(tokio::spawn(share_budgets(driver.clone(), clock.clone())));
    let woken = WakeHandler { worker: service.worker(), store: table, queues, clock: clock.clone() };
    let mut minute =
        Minute { woken: &woken, environment, service: &service, driver: &driver, told: HashMap::new() };
    let fresh = || if service.is_open() { FRESH } else { MISSING };
    let mut fresh_until = clock.now() + fresh();
    while let Some(call) = calls.take().await {
        // The secrets are read before the work, because AWS can freeze the function after the
        // answer, in the middle of a request.
        if clock.now() >= fresh_until {
            fresh_until = clock.now() + fresh();
            if config.fetch_vendor_secrets().await {
                tracing::info!("secret replaced, all parts open again");
                drop(sharing);
                service.leave().await;
                calls.next = Some(call);
                return Ok(());
            }
        }
        let Call { event, answer } = call;
        let deadline = deadline(event.context.deadline, clock.now());
        let answered = match Invocation::try_from(event.payload) {
            Ok(Invocation::Messages(records)) => {
                // The keys of the messages need their organisations and targets.
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

/// Keeps the shared budgets current while the function runs.
async fn share_budgets(driver: Driver, clock: Clock) {
    loop {
        driver.run_due(clock.now() + FRESH, is_shared_budget).await;
        clock.sleep(SHARING).await;
    }
}

/// Returns the time at which AWS ends the function. `cargo lambda watch` gives the remaining time
/// instead.
fn deadline(given: u64, now: Time) -> Time {
    let at = Time(i64::try_from(given).unwrap_or(i64::MAX));
    if at < now { now + Duration::from_millis(given) } else { at }
}

/// The work of once a minute.
struct Minute<'a> {
    woken: &'a WakeHandler,
    environment: &'a Environment,
    service: &'a Service,
    driver: &'a Driver,
    /// The last facts of each organisation that were stored for the intake.
    told: HashMap<String, String>,
}

impl Minute<'_> {
    /// Sends a message for every key that waits without one, and runs the background tasks that are
    /// due. Logs each failure and continues. At the end, the invocation fails with the first
    /// failure.
    async fn pass(&mut self, deadline: Time) -> anyhow::Result<()> {
        let service = self.service;
        let clock = service.clock();
        let mut failed = Ok(());
        let mut note = |what: &'static str, done: anyhow::Result<()>| {
            if let Err(error) = done {
                tracing::error!(error = format!("{error:#}"), "{what}");
                if failed.is_ok() {
                    failed = Err(error.context(what));
                }
            }
        };
        note("messages for waiting keys not sent", self.send_again(clock.now()).await);
        let failing = self.driver.run_due(deadline - LAST_LOOK, |_| true).await;
        // The tasks may have learned facts of organisations.
        note("facts for the intake not stored", self.tell().await);
        failed?;
        // Everything else is done by now. The invocation fails, so that an alarm shows the cause.
        ensure!(
            service.is_open(),
            "an organisation, directory or target is not open; the log has the reason"
        );
        Looked::note().put(service.store.as_ref(), &Looked(clock.now())).await?;
        // A task that failed before and is not due yet counts too: the alarm stays until it works
        // again.
        let before = self.driver.status().into_iter().filter_map(|task| Some((task.name, task.failure?)));
        // AWS may freeze the function in the middle of the update of a share. The next update is
        // soon.
        match failing.into_iter().chain(before).find(|(task, _)| !is_shared_budget(task)) {
            Some((task, why)) => Err(anyhow!(why).context(format!("background task `{task}`"))),
            None => Ok(()),
        }
    }

    /// Sends a message for every key that has waited for long, and writes the metrics.
    async fn send_again(&self, now: Time) -> anyhow::Result<()> {
        let store = &self.woken.store;
        let mut waiting = store.waiting(now, MOST).await?;
        let oldest = waiting.iter().map(|due| now.since(due.at)).max();
        waiting.retain(|due| now.since(due.at) >= WAITED);
        if !waiting.is_empty() {
            tracing::info!(keys = waiting.len(), "messages sent again for waiting keys");
            self.woken.queues.wake(waiting, now).await;
        }
        let days = self
            .service
            .directories
            .targets
            .values()
            .filter_map(|target| target.token_days(&self.woken.clock));
        let metrics = EmfMetrics {
            oldest_due: oldest.unwrap_or_default().as_secs(),
            held: store.holds().await?.len(),
            token_days: days.min(),
        };
        metrics.write(&self.environment.table, now);
        Ok(())
    }

    /// Stores the facts of organisations that the intake needs, if they changed.
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
