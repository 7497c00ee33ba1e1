//! `beadle tasks`: lists the background tasks of the service, or runs one task.

use anyhow::{Context as _, bail};
use beadle_engine::{Clock, TaskRecord, TaskStatus, Time, background, one_line};
use beadle_repositories::policy::nearest;
use secrecy::ExposeSecret as _;

use crate::app::store;
use crate::cli::TasksCommand;
use crate::commands::healthcheck::reachable;
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

/// Lists the tasks from the records that the service keeps in the store.
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

/// Asks the running service to run a task now.
async fn activate(config: &Config, name: &str, json: bool, printer: &Printer) -> anyhow::Result<u8> {
    if config.is_at_aws() {
        bail!(
            "`tasks run` needs a running service; on AWS the worker's function runs all tasks every minute"
        );
    }
    let mut url = reqwest::Url::parse(&format!("http://{}/tasks", reachable(config.file.server.operator)))?;
    // This request has no timeout, because the service limits the time of the run.
    let http = reqwest::Client::builder().no_proxy().build()?;
    let ask = |request: reqwest::RequestBuilder| -> anyhow::Result<reqwest::RequestBuilder> {
        Ok(match &config.file.server.operator_token {
            Some(token) => request.bearer_auth(config.secret(token, "the operator token")?.expose_secret()),
            None => request,
        })
    };
    let listed = ask(http.get(url.clone()))?.send().await;
    let listed = listed.with_context(|| format!("no answer from {url}; is `beadle serve` running?"))?;
    let all: Vec<TaskRecord> = serde_json::from_str(&listed.error_for_status()?.text().await?)?;
    if !all.iter().any(|record| record.name == name) {
        let near = nearest(name, all.iter().map(|record| record.name.as_str()));
        let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        bail!("the service has no task `{name}`{hint}\nhint: `beadle tasks` lists the tasks");
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

/// Returns the time and the result of the last run of a task.
fn detail(record: &TaskRecord, now: Time) -> String {
    let (Some(ended), Some(took)) = (record.ended, record.took()) else { return "has not run yet".into() };
    let ran = format!("{} ago, in {} ms", ago(ended, now), took.as_millis());
    let of = |text: &str| escape::cut(&one_line(text), VALUE);
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn record(changes: &Value) -> TaskRecord {
        let mut record = json!({
            "name": "policy of acme", "period": 10_000, "begun": 3_590_000, "ended": 3_590_012, "last": null,
            "failure": null, "failing_since": null, "runs": 1, "failures": 0, "next": 3_600_000,
        });
        for (key, value) in changes.as_object().unwrap() {
            record[key] = value.clone();
        }
        serde_json::from_value(record).unwrap()
    }

    #[test]
    fn each_result_of_a_task_is_one_line() {
        let records = [
            json!({ "begun": null, "ended": null }),
            json!({}),
            json!({ "last": { "status": "done", "detail": "generation 8f0c1d2e" } }),
            json!({ "last": { "status": "unfinished", "detail": "budget used up" } }),
            json!({ "failure": "cannot read settings.yml\nhint: look", "failing_since": 0 }),
        ];
        let lines = records.each_ref().map(|changes| detail(&record(changes), Time(3_600_000)));
        insta::assert_snapshot!(lines.join("\n"));
    }
}
