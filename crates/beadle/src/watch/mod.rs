//! What is looked after beside the keys that are due: policies, mappings, targets, sweeps, and what hooks lost.

mod directory;
mod missed;
mod watched;

use std::collections::HashMap;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use beadle_engine::sweep::Summary;
use beadle_engine::{Budgets, Clock, Entry, EntryKind, Key, Lane, Mark, Store, Time, Worker, WorkerSettings};
use beadle_hooks::github::Known;
use beadle_server::Metrics;
use serde_json::json;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::directory::Directories;
use crate::reconcilers::Reconcilers;
use crate::wiring::Ways;
use directory::LookedAfter;
use watched::Watched;
pub(crate) use watched::other_modes;

/// How often policies are looked at for a new generation, and sweeps for their time.
pub(crate) const LOOK: Duration = Duration::from_secs(10);
/// How soon missed webhooks are looked for again after that failed.
const AGAIN: Duration = Duration::from_secs(60);

/// What every organisation is looked after with.
pub(crate) struct Means<'a> {
    pub(crate) config: &'a Config,
    pub(crate) ways: &'a Ways,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Clock,
    pub(crate) bell: Arc<Notify>,
    pub(crate) reconcilers: Reconcilers,
    /// For the metrics.
    pub(crate) budgets: Arc<RwLock<Vec<Budgets>>>,
    pub(crate) stop: CancellationToken,
}

impl Means<'_> {
    /// Who works on keys, as many at once as the configuration says.
    pub(crate) fn worker(&self) -> Arc<Worker> {
        Arc::new(Worker {
            store: self.store.clone(),
            clock: self.clock.clone(),
            reconcilers: self.reconcilers.by_kind(),
            settings: WorkerSettings {
                concurrency: self.config.file.worker.concurrency.max(1),
                ..WorkerSettings::default()
            },
            bell: self.bell.clone(),
            counts: Arc::default(),
        })
    }
}

/// Everything that is looked after.
pub(crate) struct Watch<'a> {
    orgs: Vec<Watched<'a>>,
    directories: LookedAfter<'a>,
    recover_at: Time,
}

impl<'a> Watch<'a> {
    /// Opens what can be opened. Nothing of an organisation is asked yet.
    pub(crate) async fn begin(
        means: &Means<'a>,
        directories: &'a Directories<'a>,
        metrics: &'a Arc<Metrics>,
        known: &HashMap<&str, Known>,
    ) -> Self {
        let watched =
            |org: &'a crate::config::Org| Watched::new(org, known[org.name.as_str()].clone(), metrics);
        let mut orgs: Vec<Watched<'_>> = means.config.file.org.iter().map(watched).collect();
        for org in &mut orgs {
            org.open(means).await;
        }
        Self { orgs, directories: LookedAfter::new(directories, metrics), recover_at: means.clock.now() }
    }

    /// Opens what was not to be opened before. Without this no key is worked on.
    pub(crate) async fn prepare(&mut self, means: &Means<'a>) {
        self.directories.prepare(means).await;
        for org in &mut self.orgs {
            org.open(means).await;
        }
    }

    /// Whether everything that is configured is open.
    #[cfg(feature = "aws")]
    pub(crate) fn is_open(&self, config: &Config) -> bool {
        self.orgs.iter().all(|org| org.open.is_some()) && self.directories.are_open(config)
    }

    /// Does what is due. It fails for nobody: what did not work is said, and done at the next look.
    pub(crate) async fn look(&mut self, means: &Means<'a>) {
        self.directories.look(means).await;
        for org in &mut self.orgs {
            org.open(means).await;
            if let Err(error) = org.look(means).await {
                let error = format!("{error:#}");
                tracing::error!(organisation = org.file.name, error, "organisation check failed, retrying");
            }
        }
        if self.recover_at <= means.clock.now() {
            let mut wait: Duration = means.config.file.recovery.every.into();
            if !missed::recover(&self.orgs, means).await {
                wait = wait.min(AGAIN);
            }
            self.recover_at = means.clock.now() + wait;
        }
    }

    /// How long until something may be due.
    pub(crate) fn pause(&self) -> Duration {
        self.directories.pause().min(LOOK)
    }

    /// The process stops: its part of the budgets is for others.
    pub(crate) async fn leave(&mut self) {
        for org in &mut self.orgs {
            org.leave().await;
        }
    }
}

/// What a kill cut off between intent and result is observed again, where it was begun before `before`.
pub(crate) async fn look_back(store: &dyn Store, before: Time, now: Time) -> anyhow::Result<()> {
    for intent in store.open_intents().await?.into_iter().filter(|intent| intent.at <= before) {
        tracing::warn!(subject = intent.subject, "a write was cut off; it is observed again");
        let detail =
            json!({ "written": "unknown", "why": "the process ended before the answer; observed again" });
        let result = Entry {
            seq: 0,
            at: now,
            kind: EntryKind::Result,
            intent: Some(intent.seq),
            detail,
            ..intent.clone()
        };
        if let Ok(key) = intent.key.parse::<Key>() {
            store.mark(vec![Mark::new(key, Lane::Event)], now).await?;
        }
        store.journal(None, vec![result], now).await?;
    }
    Ok(())
}

/// A sweep has ended.
fn say_ended(of: &str, summary: &Summary) {
    let Summary { checked, drifted, repaired, held, failed, unknown } = *summary;
    tracing::info!(of, checked, drifted, repaired, held, failed, unknown, "a sweep has ended");
}
