//! `beadle tasks`: what the service does in the background, and how it went.

use anyhow::{Context as _, bail};
use beadle_engine::{Clock, TaskRecord, TaskStatus, Time, background};
use beadle_repositories::policy::nearest;
use secrecy::ExposeSecret as _;

use crate::app::store;
use crate::cli::TasksCommand;
use crate::commands::health::reachable;
use crate::commands::{FAILED, FINE, ago};
use crate::config::Config;
use crate::output::escape::{self, VALUE};
use crate::output::printer::{Printer, Tone};

pub(crate) async fn run(
    config: &Config,
    command: Option<TasksCommand>,
    json: bool,
    printer: &Printer,
) -> anyhow::Result<u8> {
    match command {
        None => list(config, json, printer).await,
        Some(TasksCommand::Run { name }) => activate(config, &name, json, printer).await,
    }
}

/// Lists the records that the service keeps in the store.
async fn list(config: &Config, json: bool, printer: &Printer) -> anyhow::Result<u8> {
    let store = store::open_existing(config).await?;
    let (records, now) = (background::stored_records(store.as_ref()).await?, Clock::system().now());
    for record in records.values() {
        show(record, now, json, printer)?;
    }
    if records.is_empty() && !json {
        printer.note("no background task has run yet; `beadle serve` runs them");
    }
    Ok(FINE)
}

/// Has the running service run a task now.
async fn activate(config: &Config, name: &str, json: bool, printer: &Printer) -> anyhow::Result<u8> {
    if config.database().is_none() {
        bail!("the function on AWS runs its tasks every minute; a single one cannot be started");
    }
    let mut url = reqwest::Url::parse(&format!("http://{}/tasks", reachable(config.file.server.operator)))?;
    // Without a time-out: the service ends a run that takes too long.
    let http = reqwest::Client::builder().no_proxy().build()?;
    let ask = |request: reqwest::RequestBuilder| -> anyhow::Result<reqwest::RequestBuilder> {
        Ok(match &config.file.server.operator_token {
            Some(token) => request.bearer_auth(config.secret(token, "the operator token")?.expose_secret()),
            None => request,
        })
    };
    let listed = ask(http.get(url.clone()))?.send().await;
    let listed = listed.with_context(|| format!("nobody answers at {url}; is `beadle serve` running?"))?;
    let all: Vec<TaskRecord> = serde_json::from_str(&listed.error_for_status()?.text().await?)?;
    if !all.iter().any(|record| record.name == name) {
        let near = nearest(name, all.iter().map(|record| record.name.as_str()));
        let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        bail!("the service has no task `{name}`{hint} `beadle tasks` lists them");
    }
    if let Ok(mut path) = url.path_segments_mut() {
        path.push(name).push("run");
    }
    let ran = ask(http.post(url))?.send().await?.error_for_status()?.text().await?;
    let record: TaskRecord = serde_json::from_str(&ran)?;
    show(&record, Clock::system().now(), json, printer)?;
    Ok(if record.failure.is_some() { FAILED } else { FINE })
}

fn show(record: &TaskRecord, now: Time, json: bool, printer: &Printer) -> anyhow::Result<()> {
    if json {
        printer.json(&serde_json::to_string(record)?);
        return Ok(());
    }
    let state = match &record.failure {
        Some(_) => printer.paint(Tone::Danger, "failing"),
        None => printer.paint(Tone::Good, "fine   "),
    };
    let name = escape::cut(&record.name, VALUE);
    printer.line(format!("{state} {name:36} {}", detail(record, now)));
    Ok(())
}

/// When a task ran last, and what came of it.
fn detail(record: &TaskRecord, now: Time) -> String {
    let (Some(ended), Some(took)) = (record.ended, record.took()) else { return "has not run yet".into() };
    let ran = format!("{} ago, in {} ms", ago(ended, now), took.as_millis());
    let of = |text: &str| escape::cut(text, VALUE);
    match (&record.failure, &record.last) {
        (Some(why), _) => {
            let since = record.failing_since.map(|since| format!(" for {}", ago(since, now)));
            format!("{ran}; failing{}: {}", since.unwrap_or_default(), of(why))
        }
        (None, Some(TaskStatus::Done(what))) => format!("{ran}; {}", of(what)),
        (None, Some(TaskStatus::Unfinished(why))) => format!("{ran}; unfinished: {}", of(why)),
        (None, Some(TaskStatus::Idle) | None) => format!("{ran}; nothing to do"),
    }
}
