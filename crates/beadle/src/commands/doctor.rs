//! `beadle doctor`: diagnoses the setup. For each problem, the command prints how to fix the
//! problem.

mod installations;

use std::sync::Arc;
use std::time::Duration;

use beadle_engine::{Clock, Mode};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::app::application::App;
use crate::app::connections::budget_and_cache_options::ClientOptions;
use crate::app::gate::held_generation::HeldGeneration;
use crate::app::organisations::open_organisation::GithubOrganisation;
use crate::app::service::record::other_configurations;
use crate::app::store;
use crate::app::store::clock_check;
use crate::commands::{FAILED, FINE};
use crate::config::{Config, OrgConfig, webhook_senders};
use crate::output::printer::{Printer, Tone};
use crate::tasks::other_modes;

/// The permission that the App needs if the configuration has a dispatch.
const DISPATCH: (&str, &str) = ("actions", "write");
/// The permission that the App needs if it reads the policy from a repository.
const POLICY: (&str, &str) = ("contents", "read");
/// The permission that the App needs if the teams of the organisation are a target.
const TEAMS: (&str, &str) = ("members", "write");
/// A further event that the App must receive if the teams of the organisation are a target.
const TEAMS_EVENT: &str = "membership";
/// The permissions that the App needs to check the pull requests of a policy.
const CHECKS: [(&str, &str); 2] = [("checks", "write"), ("pull_requests", "write")];
/// The events that report pull requests of a policy to Beadle.
const CHECK_EVENTS: [&str; 3] = ["check_run", "check_suite", "pull_request"];
/// The largest accepted difference between this machine's clock and GitHub's clock, in seconds.
/// With a larger difference, GitHub rejects tokens.
const SKEW: i64 = 30;

pub(super) struct Doctor<'a> {
    printer: &'a Printer,
    found: bool,
}

impl<'a> Doctor<'a> {
    pub(super) fn new(printer: &'a Printer) -> Self {
        Self { printer, found: false }
    }

    pub(super) fn code(&self) -> u8 {
        if self.found { FAILED } else { FINE }
    }

    fn fine(&self, text: &str) {
        self.printer.line(format!("{}  {text}", self.printer.paint(Tone::Good, "ok  ")));
    }

    pub(super) fn note(&self, text: &str) {
        self.printer.line(format!("{}  {text}", self.printer.paint(Tone::Notice, "note")));
    }

    pub(super) fn wrong(&mut self, text: &str) {
        self.found = true;
        // A policy can have several problems, one in each line. The indentation shows that these
        // lines are details of the same check.
        let text = text.replace('\n', "\n      ");
        self.printer.lines(format!("{}  {text}", self.printer.paint(Tone::Danger, "FAIL")));
    }

    pub(super) fn report(&mut self, result: anyhow::Result<String>) {
        match result {
            Ok(text) => self.fine(&text),
            Err(error) => self.wrong(&format!("{error:#}")),
        }
    }
}

pub(crate) async fn run(config: &Arc<Config>, printer: &Printer) -> anyhow::Result<u8> {
    let mut doctor = diagnose(config, printer).await?;
    let url = format!("http://{}", config.file.server.listen);
    ping(&mut doctor, config, &url, &Clock::system()).await;
    Ok(doctor.code())
}

/// Diagnoses everything except the delivery of webhooks. Only a running service receives webhooks.
pub(super) async fn diagnose<'a>(config: &Arc<Config>, printer: &'a Printer) -> anyhow::Result<Doctor<'a>> {
    let app = App::new(config, ClientOptions::default());
    let mut doctor = Doctor::new(printer);
    doctor.report(check_store(config).await);
    if let Some(store) = store::open_if_there(config).await.ok().flatten() {
        for other in other_configurations(store.as_ref(), config, app.clock.now()).await? {
            doctor.note(&other);
        }
    }
    if let Some(from) = &config.file.installations {
        installations::diagnose(&mut doctor, config, from, &app.clock).await;
    }
    for file in &config.file.org {
        match app.organisation(file).await {
            Ok(org) => {
                let generation = &org.policy.current().generation;
                doctor.fine(&format!("{}: policy {generation} is valid, mode {}", file.name, file.mode));
                review(&mut doctor, &app, file).await?;
                if let Some(store) = store::open_if_there(config).await.ok().flatten() {
                    if let Some(other) = other_modes(store.as_ref(), file).await? {
                        doctor.note(&other);
                    }
                    for notice in HeldGeneration::notices(store.as_ref(), &file.name).await? {
                        doctor.note(&notice);
                    }
                }
                github(&mut doctor, &org, config.teams_of(&file.name).next().is_some()).await;
            }
            Err(error) => doctor.wrong(&format!("{}: {error:#}", file.name)),
        }
    }
    if !config.file.okta.is_empty() || !config.file.target.is_empty() {
        doctor.found |= super::targets_probe::probe(config, None, printer).await? != FINE;
    }
    Ok(doctor)
}

/// Reports a problem if Beadle enforces a policy that people can change without a review.
async fn review(doctor: &mut Doctor<'_>, app: &App, file: &OrgConfig) -> anyhow::Result<()> {
    let Some(source) = file.policy.repository().filter(|_| file.mode == Mode::Enforce) else { return Ok(()) };
    let name = &file.name;
    match app.repository_policy(file, source)?.unreviewed().await {
        Ok(None) => doctor.fine(&format!("{name}: every change of the policy needs a review")),
        Ok(Some(why)) => doctor.note(&format!("{name}: {why}")),
        Err(failure) => doctor.wrong(&format!("{name}: {failure}")),
    }
    Ok(())
}

/// Sends one signed ping for each organisation to the running service's webhook listener.
pub(super) async fn ping(doctor: &mut Doctor<'_>, config: &Config, url: &str, clock: &Clock) {
    let senders = match webhook_senders::github(config, &std::collections::HashMap::new()) {
        Ok(senders) => senders,
        Err(error) => return doctor.wrong(&format!("{error:#}")),
    };
    for sender in senders {
        match sender.secrets.first() {
            Some(secret) => doctor.report(deliver(url, &sender, secret.expose_secret(), clock).await),
            None => {
                doctor.note(&format!(
                    "{}: no webhook secret, so only sweeps find changes; set `webhook_secrets`",
                    sender.instance
                ));
            }
        }
    }
}

pub(super) async fn check_store(config: &Config) -> anyhow::Result<String> {
    let Some(store) = store::open_if_there(config).await? else {
        return Ok(format!("the store {} does not exist yet; `beadle serve` creates it", config.place));
    };
    store.ready().await?;
    if let Some(why) = clock_check::check(store.as_ref(), &Clock::system()).await? {
        anyhow::bail!(why);
    }
    Ok(format!("the store {} accepts writes", config.place))
}

async fn github(doctor: &mut Doctor<'_>, org: &GithubOrganisation, keeps_teams: bool) {
    let name = &org.file.name;
    match org.reader.organisation_and_clock().await {
        Ok((_, Some(ahead))) if ahead.abs() > SKEW => {
            doctor.wrong(&format!(
                "{name}: the clock of this machine differs from GitHub's by {} s; use NTP",
                -ahead
            ));
        }
        Ok(_) => doctor.fine(&format!("{name}: GitHub answers, and the clock is right")),
        Err(failure) => {
            return doctor.wrong(&format!("{name}: {failure}; check `api` and the App or token"));
        }
    }
    match org.reader.app().await {
        Ok(Some(installation)) => app(doctor, org, &installation, keeps_teams),
        Ok(None) => {
            doctor.note(&format!(
                "{name}: Beadle cannot check the permissions and events of a token; it can check those of an App"
            ));
        }
        Err(failure) => doctor.wrong(&format!("{name}: {failure}")),
    }
}

fn app(doctor: &mut Doctor<'_>, org: &GithubOrganisation, installation: &Value, keeps_teams: bool) {
    let name = &org.file.name;
    let policy = org.policy.current();
    let sections = policy.sections();
    let level = |level: &str| match level {
        "read" => 1,
        "write" => 2,
        "admin" => 3,
        _ => 0,
    };
    let needs = beadle_repositories::permissions().into_iter();
    let needs = needs
        .filter(|(section, _)| sections.contains(section))
        .map(|(section, needed)| (section, needed.name, needed.level.as_str()));
    let dispatch = (!org.file.dispatch.is_empty()).then_some(("dispatch", DISPATCH.0, DISPATCH.1));
    let teams = keeps_teams.then_some(("groups", TEAMS.0, TEAMS.1));
    let source = org.file.policy.repository().filter(|source| source.owner(name) == name);
    let reads = source.map(|_| ("policy", POLICY.0, POLICY.1));
    for (aspect, permission, needed) in needs.chain(dispatch).chain(teams).chain(reads) {
        let has = installation["permissions"][permission].as_str().unwrap_or("none");
        if level(has) >= level(needed) {
            doctor
                .fine(&format!("{name}: section `{aspect}`: the App has the permission {permission}: {has}"));
        } else {
            doctor.wrong(&format!("{name}: section `{aspect}` needs the permission {permission}: {needed}, found {has}; grant it in the App's settings"));
        }
    }
    let events = installation["events"].as_array().cloned().unwrap_or_default();
    let wanted = beadle_repositories::app_needs(&sections).events;
    let wanted = wanted.into_iter().chain(keeps_teams.then_some(TEAMS_EVENT));
    let missing: Vec<&str> = wanted.filter(|event| !events.contains(&json!(event))).collect();
    if missing.is_empty() {
        doctor.fine(&format!("{name}: the App subscribes to every event that reports drift"));
    } else {
        doctor.note(&format!(
            "{name}: the App does not subscribe to {}; only sweeps find this drift",
            missing.join(", ")
        ));
    }
    if source.is_some() {
        let lacks = |(permission, needed): &&(&str, &str)| {
            let has = installation["permissions"][*permission].as_str().unwrap_or("none");
            level(has) < level(needed)
        };
        let permissions = CHECKS.iter().filter(lacks);
        let permissions =
            permissions.map(|(permission, needed)| format!("the permission {permission}: {needed}"));
        let unknown = CHECK_EVENTS.iter().filter(|event| !events.contains(&json!(event)));
        let missing: Vec<String> =
            permissions.chain(unknown.map(|event| format!("the event {event}"))).collect();
        if missing.is_empty() {
            doctor.fine(&format!("{name}: pull requests that change the policy are checked"));
        } else {
            doctor.note(&format!(
                "{name}: pull requests that change the policy are not checked: the App lacks {}",
                missing.join(", ")
            ));
        }
    }
    if installation["repository_selection"] == "selected" {
        doctor.note(&format!("{name}: the App has access only to selected repositories, not to new ones"));
    }
}

/// Sends one signed ping to the running service.
async fn deliver(
    url: &str,
    sender: &beadle_hooks::github::Sender,
    secret: &str,
    clock: &Clock,
) -> anyhow::Result<String> {
    let name = &sender.instance;
    let url = format!("{}/hooks/github", url.trim_end_matches('/'));
    let body = json!({ "zen": "beadle doctor", "organization": { "login": sender.login } }).to_string();
    let signature = beadle_hooks::github::sign(secret, body.as_bytes());
    let client = reqwest::Client::builder().timeout(Duration::from_secs(5)).build()?;
    let answered = client
        .post(&url)
        .header("content-type", "application/json")
        .header("x-github-event", "ping")
        .header("x-github-delivery", format!("doctor-{}", clock.now().0))
        .header("x-hub-signature-256", signature)
        .body(body)
        .send()
        .await;
    match answered {
        Ok(answer) if answer.status().as_u16() == 202 => {
            Ok(format!("{name}: a signed delivery to {url} was stored"))
        }
        Ok(answer) => anyhow::bail!(
            "{name}: a signed delivery to {url} must be answered with 202, found {}",
            answer.status()
        ),
        Err(error) => {
            anyhow::bail!("{name}: no answer from {url} ({error}); is `beadle serve` running?")
        }
    }
}
