//! `beadle aws doctor`: what of a deployment is missing.

use anyhow::Context as _;
use aws_sdk_sqs::types::QueueAttributeName;
use beadle_engine::Clock;
use serde_json::Value;

use super::doctor::{Doctor, check_store, ping};
use crate::app::store;
use crate::aws::Looked;
use crate::cli::AwsDoctorArgs;
use crate::config::Config;
use crate::output::printer::Printer;

pub(crate) async fn doctor(config: &Config, args: &AwsDoctorArgs, printer: &Printer) -> anyhow::Result<u8> {
    let clock = Clock::system();
    let mut doctor = Doctor::new(printer);
    for (reference, found) in config.secrets_there() {
        let there = found.map(|()| format!("{reference} is there")).map_err(anyhow::Error::from);
        doctor.check_guard(there);
    }
    doctor.check_guard(check_store(config).await);
    doctor.check_guard(looks(config, &clock).await);
    doctor.check_guard(waiting(config, &clock).await);
    let aws = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
    let client = aws_sdk_sqs::Client::new(&aws);
    for url in [&args.event_queue, &args.sweep_queue] {
        doctor.check_guard(queue(&client, url).await);
    }
    ping(&mut doctor, config, args.url.trim_end_matches("/hooks/github"), &clock).await;
    Ok(doctor.code())
}

/// Whether a worker looks after everything each minute: its secrets, its permissions and its schedule are as they should be.
async fn looks(config: &Config, clock: &Clock) -> anyhow::Result<String> {
    const LONG: u64 = 300;
    let store = store::open(config).await?;
    let looked = Looked::note().get(store.as_ref()).await?;
    let Looked(at) =
        looked.context("no worker has looked after everything yet: the log of its function says why")?;
    let ago = clock.now().since(at).as_secs();
    anyhow::ensure!(
        ago < LONG,
        "no worker has looked after everything for {ago} s: its function's log says why"
    );
    Ok(format!("a worker looked after everything {ago} s ago"))
}

/// What is due for longer than a worker, or the look of a minute, would leave it.
async fn waiting(config: &Config, clock: &Clock) -> anyhow::Result<String> {
    const LONG: u64 = 300;
    let now = clock.now();
    let depth = store::open(config).await?.depth(now).await?;
    let waits = depth.oldest.map_or(0, |oldest| now.since(oldest).as_secs());
    let due: u64 = depth.due.iter().sum();
    anyhow::ensure!(
        waits < LONG,
        "{due} keys are due, one for {waits} s: does the worker run? its log and `beadle queue` say more"
    );
    Ok(format!("{due} keys are due, {} are being worked on, {} are set aside", depth.leased, depth.parked))
}

/// How many messages wait, and that none was given up.
async fn queue(client: &aws_sdk_sqs::Client, url: &str) -> anyhow::Result<String> {
    let name = url.rsplit('/').next().unwrap_or(url);
    let attributes = async |url: &str| {
        let asked = client.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::All);
        let answer = asked.send().await.map_err(aws_sdk_sqs::Error::from);
        anyhow::Ok(answer.with_context(|| format!("the queue {name}"))?.attributes.unwrap_or_default())
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
    let found = found.with_context(|| format!("the queue {dead}"))?;
    let letters = attributes(found.queue_url().unwrap_or_default()).await?;
    let letters = letters.get(&QueueAttributeName::ApproximateNumberOfMessages).map_or("?", String::as_str);
    anyhow::ensure!(
        letters == "0",
        "{dead} has {letters} messages that a worker failed at; its log says why"
    );
    Ok(format!("{name}: {waiting} messages wait, none was given up"))
}

/// Whom AWS takes the caller for; `None` where it cannot be asked.
pub(super) async fn caller() -> Option<String> {
    let aws = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
    let answer = aws_sdk_sts::Client::new(&aws).get_caller_identity().send().await;
    match answer {
        Ok(identity) => identity.arn().map(str::to_owned),
        Err(error) => {
            let error = aws_sdk_sts::Error::from(error);
            tracing::warn!(%error, "AWS does not say who calls; the shell's user is named");
            None
        }
    }
}
