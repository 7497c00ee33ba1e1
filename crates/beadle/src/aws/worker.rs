//! The worker as a Lambda function. The function runs the worker and the background tasks of
//! `beadle serve`. A message or the schedule (once a minute) starts the function.

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
use beadle_engine::gate::is_of_command;
use beadle_engine::store::GuardStore as _;
use beadle_engine::{Clock, Driver, Metadata, Note, Store, Time};
use beadle_hooks::github::OrgFacts;
use beadle_server::Condition;
use beadle_store_dynamodb::{DynamoStore, Wake as _};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

use super::emf_metrics;
use crate::app::application::App;
use crate::app::connections::budget_and_cache_options::ClientOptions;
use crate::app::gate::held_generation::HeldGeneration;
use crate::app::organisations::installation_list_reconciler;
use crate::app::organisations::installations;
use crate::app::policy::policy_key_reconciler;
use crate::app::service::Service;
use crate::app::service::metric_values::gather;
use crate::app::store;
use crate::config::Config;
use crate::logging;
use crate::tasks::{self, Host, is_shared_budget, is_target_probe};
use beadle_config::StoreLocation;

/// The time between two reads of the secrets if all organisations, directories and targets are
/// open. If an organisation, a directory or a target is not open, the shorter time `MISSING`
/// applies.
const FRESH: Duration = Duration::from_secs(900);
const MISSING: Duration = Duration::from_secs(30);
/// The maximum time that a key waits for its organisation or directory to open, as a multiple of
/// the configured lease. Each wait costs one message.
const NOT_OPEN: u32 = 5;
/// The longest wait divided by the first wait. The first wait is short, so that a short failure,
/// such as a conflict in the table, does not delay a key for minutes.
const SHORTER: u32 = 20;
/// The minimum time between the end of the background tasks and the end of the function.
const LAST_LOOK: Duration = Duration::from_secs(10);
/// The time that a key must be due before the function sends a repeated message for the key.
const WAITED: Duration = Duration::from_secs(60);
/// The maximum number of repeated messages per minute and lane. Each message is for one key.
const MOST: usize = 500;
/// The time between two reads of the condition of the repositories. With 10,000 repositories, one
/// read fetches 3 MB or more from the table.
const CONDITION: Duration = Duration::from_secs(300);
/// The maximum time that the function spends on probes before it works on messages. The gate might
/// need minutes to plan a new target. The keys of other organisations and targets must not wait for
/// this plan. Each minute, the next invocation gives the probes more time.
const PROBING: Duration = Duration::from_secs(30);
/// The time between two updates of the shared budgets.
const SHARING: Duration = Duration::from_secs(1);

/// The time of the last pass in which no step failed. A failed background task is not a failed
/// step. `beadle aws doctor` reads this time.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Looked(pub(crate) Time);

impl Metadata for Looked {
    const KIND: &'static str = "looked";
}

impl Looked {
    /// Returns the note that stores the time of the pass. A store has only one such note.
    pub(crate) fn note() -> Note<Self> {
        Note::of(&[])
    }
}

/// An invocation of the function, and the channel for its answer.
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

/// The invocations of the function. The function answers one invocation after the other.
struct Calls {
    /// The invocation that the function answers after it has opened all organisations, directories
    /// and targets again.
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
    let process_started = Clock::system().now();
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
            if let Err(error) =
                Box::pin(serve(&config, &environment, (&aws, process_started), &mut calls)).await
            {
                let Some(call) = calls.take().await else { return };
                // A wrong secret might be the cause of the error. Somebody might have corrected the
                // secret since the last read.
                if config.fetch_vendor_secrets().await {
                    calls.next = Some(call);
                    continue;
                }
                // The failed invocation raises an alarm. The next invocation opens all
                // organisations, directories and targets again.
                let _ = call.answer.send(Err(error)); // an error means that the runtime has ended
            }
        }
    };
    tokio::select! {
        ended = lambda_runtime::run(invoked) => ended.map_err(|error| anyhow::anyhow!("{error}")),
        () = served => Ok(()),
    }
}

/// Answers invocations until a secret or the list of organisations changes. After that, the caller
/// must open all organisations, directories and targets again. `process_started` is the time at
/// which AWS started this process.
async fn serve(
    config: &Arc<Config>,
    environment: &Environment,
    (aws, process_started): (&SdkConfig, Time),
    calls: &mut Calls,
) -> anyhow::Result<()> {
    let queues = Queues::new(aws_sdk_sqs::Client::new(aws), environment.queues.clone());
    let client = aws_sdk_dynamodb::Client::new(aws);
    let table = DynamoStore::new(client, &environment.table, store::table_settings(config));
    let table = table.with_wake(Arc::new(queues.clone()));
    let store: Arc<dyn Store> = Arc::new(table.clone());
    store::check_finished(store.as_ref(), &format!("the table {}", environment.table)).await?;
    let mut config = Config::clone(config);
    installations::take_in(&mut config, store.as_ref()).await?;
    let config = &Arc::new(config);
    let app = Arc::new(App::new(config, ClientOptions::of_service(&store)));
    let clock = app.clock.clone();
    let (directories, failures) = app.available_directories();
    for error in &failures {
        tracing::error!(
            error = format!("{error:#}"),
            "directory or target unavailable, its groups wait until it is available"
        );
    }
    let hold = Duration::from(config.file.worker.lease) * NOT_OPEN;
    let service = Service::new(app, store, directories, &(hold / SHORTER..=hold), process_started);
    policy_key_reconciler::begin(&service);
    installation_list_reconciler::begin(&service);
    let driver = tasks::driver(&service, Host::Function);
    service.open_all().await;
    // Other functions might use the same credentials now. So this function updates the shared
    // budgets more often than once a minute.
    let sharing = AbortOnDropHandle::new(tokio::spawn(share_budgets(driver.clone(), clock.clone())));
    let woken = WakeHandler { worker: service.worker(), store: table, queues, clock: clock.clone() };
    let mut minute = Minute {
        woken: &woken,
        environment,
        service: &service,
        driver: &driver,
        told: HashMap::new(),
        condition: None,
    };
    let fresh = || if service.is_open() { FRESH } else { MISSING };
    let mut fresh_until = clock.now() + fresh();
    while let Some(call) = calls.take().await {
        if service.installations.has_changed() {
            tracing::info!("set of organisations changed, Beadle opens all organisations again");
            drop(sharing);
            service.leave().await;
            calls.next = Some(call);
            return Ok(());
        }
        // The function reads the secrets before it works on the messages. After the answer, AWS can
        // freeze the function, even while a request is in progress.
        if clock.now() >= fresh_until {
            fresh_until = clock.now() + fresh();
            if config.fetch_vendor_secrets().await {
                tracing::info!(
                    "secret replaced, Beadle opens all organisations, directories and targets again"
                );
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
                // The function can work on the keys in the messages only if the organisations and
                // targets of these keys are open.
                service.open_all().await;
                driver.run_due(deadline.min(clock.now() + PROBING), is_target_probe).await;
                Ok(json!(woken.take(&records, deadline).await))
            }
            Ok(Invocation::Minute) => minute.pass(deadline).await.map(|()| json!({})),
            Err(unknown) => Err(unknown.into()),
        };
        let _ = answer.send(answered); // an error means that the runtime has ended
    }
    Ok(())
}

/// Updates the shared budgets regularly while the function runs.
async fn share_budgets(driver: Driver, clock: Clock) {
    loop {
        driver.run_due(clock.now() + FRESH, is_shared_budget).await;
        clock.sleep(SHARING).await;
    }
}

/// Returns the time at which AWS ends the function. AWS passes exactly this time. `cargo lambda
/// watch` passes the remaining duration instead, and this function converts the duration to a time.
fn deadline(given: u64, now: Time) -> Time {
    let at = Time(i64::try_from(given).unwrap_or(i64::MAX));
    if at < now { now + Duration::from_millis(given) } else { at }
}

/// The work that the function does once a minute.
struct Minute<'a> {
    woken: &'a WakeHandler,
    environment: &'a Environment,
    service: &'a Service,
    driver: &'a Driver,
    /// For each organisation, the facts that this function last stored for the intake.
    told: HashMap<String, String>,
    /// The last condition that this function read, and the time of the read.
    condition: Option<(Time, Condition)>,
}

impl Minute<'_> {
    /// Sends a message for each due key that has no message. Also runs the due background tasks. If
    /// a step fails, the function logs the error and continues with the next step. At the end, the
    /// function returns the first error.
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
        note("SQS messages for waiting keys not sent again", self.send_again(clock.now()).await);
        let failing = self.driver.run_due(deadline - LAST_LOOK, |_| true).await;
        // A task might have read new facts about an organisation.
        note("facts about the organisations not stored for the intake function", self.tell().await);
        // A task might have found that Beadle does not accept the newest policy.
        note("condition of the repositories unknown", self.write_condition(clock.now()).await);
        failed?;
        // This check is the last step. If the check fails, the invocation fails and raises an
        // alarm.
        ensure!(
            service.is_open(),
            "an organisation, directory or target is unavailable; the log has the reason"
        );
        Looked::note().put(service.store.as_ref(), &Looked(clock.now())).await?;
        // After a task has failed, every pass fails until the task succeeds, even a pass in which
        // the task is not due. So the alarm stays on during this time.
        let before = self.driver.status().into_iter().filter_map(|task| Some((task.name, task.failure?)));
        // A failed update of a shared budget does not make the invocation fail. AWS might have
        // frozen the function during the update, and the next update follows soon.
        match failing.into_iter().chain(before).find(|(task, _)| !is_shared_budget(task)) {
            Some((task, why)) => Err(anyhow!(why).context(format!("background task `{task}`"))),
            None => Ok(()),
        }
    }

    /// Sends a repeated message for every key that has been due for a long time. Also writes the
    /// metrics.
    async fn send_again(&self, now: Time) -> anyhow::Result<()> {
        let store = &self.woken.store;
        let mut waiting = store.waiting(now, MOST).await?;
        let oldest = waiting.iter().map(|due| now.since(due.at)).max();
        waiting.retain(|due| now.since(due.at) >= WAITED);
        if !waiting.is_empty() {
            tracing::info!(keys = waiting.len(), "SQS messages for waiting keys sent again");
            self.woken.queues.wake(waiting, now).await;
        }
        let days = self
            .service
            .directories
            .targets
            .values()
            .filter_map(|target| target.token_days(&self.woken.clock));
        let policies = HeldGeneration::all(store).await?;
        let policies = policies.iter().filter(|(note, _)| !is_of_command(note)).count();
        let changes = store.all_holds().await?.count_waiting();
        let figures =
            emf_metrics::of_queue(oldest.unwrap_or_default().as_secs(), changes + policies, days.min());
        emf_metrics::write(&self.environment.table, &figures, now);
        Ok(())
    }

    /// Writes the figures of unwritten changes and unknown parts. If the stored figures are old,
    /// first reads new figures.
    async fn write_condition(&mut self, now: Time) -> anyhow::Result<()> {
        let is_fresh = |at: Time| at <= now && now.since(at) < CONDITION;
        let condition = match self.condition.take().filter(|(at, _)| is_fresh(*at)) {
            Some(kept) => kept,
            None => (now, gather(self.service).await?),
        };
        emf_metrics::write(&self.environment.table, &emf_metrics::of_condition(&condition.1, now), now);
        self.condition = Some(condition);
        Ok(())
    }

    /// If the facts about organisations have changed, stores the new facts. The intake needs these
    /// facts.
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
