//! `beadle aws doctor`: diagnoses a deployment on AWS.

use anyhow::Context as _;
use aws_sdk_sqs::types::QueueAttributeName;
use beadle_engine::Clock;
use serde_json::Value;

use super::doctor::{Doctor, check_store, ping};
use crate::app::store;
use crate::aws::Looked;
use crate::cli::AwsDoctorArgs;
use crate::config::Config;
use crate::output::plural::counted;
use crate::output::printer::Printer;

pub(crate) async fn doctor(config: &Config, args: &AwsDoctorArgs, printer: &Printer) -> anyhow::Result<u8> {
    let clock = Clock::system();
    let mut doctor = Doctor::new(printer);
    for (reference, found) in config.secrets_there() {
        let there = found.map(|()| format!("the secret {reference} exists")).map_err(anyhow::Error::from);
        doctor.report(there);
    }
    doctor.report(check_store(config).await);
    doctor.report(looks(config, &clock).await);
    doctor.report(waiting(config, &clock).await);
    let aws = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
    let client = aws_sdk_sqs::Client::new(&aws);
    for url in [&args.event_queue, &args.sweep_queue] {
        doctor.report(queue(&client, url).await);
    }
    ping(&mut doctor, config, args.url.trim_end_matches("/hooks/github"), &clock).await;
    Ok(doctor.code())
}

/// Checks that a worker ran its background tasks a short time ago. A worker can run the tasks only
/// if the worker has its secrets, its permissions and its schedule.
async fn looks(config: &Config, clock: &Clock) -> anyhow::Result<String> {
    const LONG: u64 = 300;
    let store = store::open_existing(config).await?;
    let looked = Looked::note().get(store.as_ref()).await?;
    let Looked(at) =
        looked.context("no worker has run its tasks yet\nhint: read the log of the worker's function")?;
    let ago = clock.now().since(at).as_secs();
    anyhow::ensure!(
        ago < LONG,
        "no worker has run its tasks for {ago} s\nhint: read the log of the worker's function"
    );
    Ok(format!("a worker ran its tasks {ago} s ago"))
}

/// Checks that no key has been due for too long. Normally, a worker claims a due key much earlier.
async fn waiting(config: &Config, clock: &Clock) -> anyhow::Result<String> {
    const LONG: u64 = 300;
    let now = clock.now();
    let depth = store::open_existing(config).await?.depth(now).await?;
    let waits = depth.oldest.map_or(0, |oldest| now.since(oldest).as_secs());
    let due: u64 = depth.due.iter().sum();
    anyhow::ensure!(
        waits < LONG,
        "{} due, the oldest for {waits} s\nhint: read the log of the worker's function, and see `beadle queue`",
        counted(due, "key is", "keys are")
    );
    Ok(format!("{} due, {} running, {} parked", counted(due, "key", "keys"), depth.leased, depth.parked))
}

/// Checks one queue. Returns a text with the number of messages. A message in the queue's
/// dead-letter queue is an error.
async fn queue(client: &aws_sdk_sqs::Client, url: &str) -> anyhow::Result<String> {
    let name = url.rsplit('/').next().unwrap_or(url);
    let attributes = async |url: &str| {
        let asked = client.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::All);
        let answer = asked.send().await.map_err(aws_sdk_sqs::Error::from);
        anyhow::Ok(
            answer.with_context(|| format!("cannot read the queue {name}"))?.attributes.unwrap_or_default(),
        )
    };
    let own = attributes(url).await?;
    let waiting = own.get(&QueueAttributeName::ApproximateNumberOfMessages).map_or("?", String::as_str);
    let redrive = own.get(&QueueAttributeName::RedrivePolicy);
    let redrive: Value = redrive
        .and_then(|text| serde_json::from_str(text).ok())
        .with_context(|| format!("{name} has no dead-letter queue"))?;
    let dead = redrive["deadLetterTargetArn"].as_str().and_then(|arn| arn.rsplit(':').next());
    let dead = dead.with_context(|| format!("{name} has no dead-letter queue"))?;
    let found = client.get_queue_url().queue_name(dead).send().await.map_err(aws_sdk_sqs::Error::from);
    let found = found.with_context(|| format!("cannot find the queue {dead}"))?;
    let letters = attributes(found.queue_url().unwrap_or_default()).await?;
    let letters = letters.get(&QueueAttributeName::ApproximateNumberOfMessages).map_or("?", String::as_str);
    anyhow::ensure!(
        letters == "0",
        "the dead-letter queue {dead} has failed messages: {letters}\nhint: read the log of the worker's function"
    );
    Ok(format!("{name}: {waiting} waiting, 0 failed messages"))
}
