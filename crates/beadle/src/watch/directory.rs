//! Directories and targets, as the service looks after them: probes, sweeps, and what hooks lost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use beadle_engine::{Key, Lane, Mark, Time};
use beadle_groups::sweep;
use beadle_server::Metrics;
use futures::future::join_all;

use super::{LOOK, Means, say_ended};
use crate::config::{Config, Okta as OktaFile};
use crate::directory::{Directories, TOKEN_DAYS, Target, catchup};
use crate::shut::is_whole;

/// How often it is.
const SAY: Duration = Duration::from_secs(24 * 3600);
/// How soon a target that did not agree, or was not there, is asked again.
const AGAIN: Duration = Duration::from_secs(30);

/// What is looked after, and when next.
pub(super) struct LookedAfter<'a> {
    directories: &'a Directories<'a>,
    metrics: &'a Arc<Metrics>,
    /// Targets that turned out to be what the configuration calls them.
    agreed: BTreeSet<String>,
    /// When each thing is done next.
    due: BTreeMap<String, Time>,
    /// What was wrong when it was looked at last: said once, not every time.
    said: BTreeMap<String, String>,
    begun: bool,
    /// Mappings that were seen once. A file that is being written to looks different the next time.
    candidate: Option<String>,
}

impl<'a> LookedAfter<'a> {
    pub(super) fn new(directories: &'a Directories<'a>, metrics: &'a Arc<Metrics>) -> Self {
        Self {
            directories,
            metrics,
            agreed: BTreeSet::new(),
            due: BTreeMap::new(),
            said: BTreeMap::new(),
            begun: false,
            candidate: None,
        }
    }

    /// Whether every directory and target that is configured is open.
    #[cfg(feature = "aws")]
    pub(super) fn are_open(&self, config: &Config) -> bool {
        let Directories { okta, targets, .. } = self.directories;
        okta.len() == config.file.okta.len() && targets.len() == config.file.target.len()
    }

    /// How long until something may be due.
    pub(super) fn pause(&self) -> Duration {
        let oktas = self.directories.okta.iter().map(|(file, _)| Duration::from(file.log_every));
        oktas.min().unwrap_or(Duration::MAX).max(Duration::from_millis(100))
    }

    fn is_due(&mut self, what: &str, every: Duration, now: Time) -> bool {
        let next = self.due.entry(what.to_owned()).or_insert(now);
        // One that is far ahead was set by a clock that was.
        if *next > now && next.since(now) <= every {
            return false;
        }
        *next = now + every;
        true
    }

    fn say(&mut self, what: &str, result: anyhow::Result<()>) {
        match result {
            Ok(()) => {
                self.metrics.fault(what, None);
                self.said.remove(what);
            }
            Err(error) => {
                let text = format!("{error:#}");
                self.metrics.fault(what, Some(&text));
                if self.said.get(what) != Some(&text) {
                    tracing::error!("{what}: {text}; trying again");
                    self.said.insert(what.to_owned(), text);
                }
            }
        }
    }

    /// Takes over mappings that two looks in a row see.
    fn look_at_mappings(&mut self, config: &Config) -> anyhow::Result<()> {
        let found = config.read_mappings()?;
        if found.generation == self.directories.mappings().generation {
            self.candidate = None;
        } else if self.candidate.as_ref() == Some(&found.generation) {
            tracing::info!(generation = found.generation, mappings = found.all.len(), "mappings in force");
            self.directories.take_over(found);
            self.candidate = None;
        } else {
            self.candidate = Some(found.generation);
        }
        Ok(())
    }

    /// From now on what can be worked on is: directories, and targets that are what the configuration calls them.
    pub(super) async fn prepare(&mut self, means: &Means<'_>) {
        if !self.begun {
            self.begun = true;
            means.budgets.write().unwrap_or_else(PoisonError::into_inner).extend(self.directories.budgets());
            for (file, _) in &self.directories.okta {
                means.reconcilers.add_directory(&file.name, self.directories, &means.store, &means.clock);
            }
            for org in &means.config.file.org {
                means.reconcilers.add_teams(&org.name, self.directories, &means.store, &means.clock);
            }
        }
        let now = means.clock.now();
        let mut due = Vec::new();
        for (name, target) in &self.directories.targets {
            if !self.agreed.contains(name) && self.is_due(&format!("target {name}"), AGAIN, now) {
                due.push((name, target));
            }
        }
        // Side by side, and each is worked on at once: one that is slow to answer keeps no other shut.
        let opening: Vec<_> = due.iter().copied().map(|(name, target)| open(name, target, means)).collect();
        for ((name, _), opened) in due.into_iter().zip(join_all(opening).await) {
            if opened.is_ok() {
                self.agreed.insert(name.clone());
            }
            self.say(&format!("target {name}"), opened);
        }
    }

    /// Does what is due.
    pub(super) async fn look(&mut self, means: &Means<'_>) {
        self.prepare(means).await;
        let now = means.clock.now();
        if !means.config.file.groups_from.is_empty() && self.is_due("mappings", LOOK, now) {
            let looked = self.look_at_mappings(means.config);
            self.say("mappings are not accepted, those before stay in force", looked);
        }
        for (name, target) in &self.directories.targets {
            if let Some(days) = target.token_days(&means.clock) {
                self.metrics.token_days(name, days);
                if days <= TOKEN_DAYS && self.is_due(&format!("token {name}"), SAY, now) {
                    tracing::warn!(
                        target = name,
                        days,
                        "the token of this target ends soon; make another, and configure it"
                    );
                }
            }
        }
        for (file, okta) in &self.directories.okta {
            let catchup = catchup(okta, &means.store, &means.clock);
            let what = format!("the sweep of {}", file.name);
            let swept = self.sweep(file, means).await;
            self.say(&what, swept);
            let mappings = self.directories.mappings();
            let targets = mappings.targets(&file.name);
            match sweep::summarise(means.store.as_ref(), &file.name, &targets, now).await {
                Ok(Some(summary)) => say_ended(&file.name, &summary),
                Ok(None) => {}
                Err(error) => tracing::debug!(%error, "a sweep is summed up at the next look"),
            }
            let what = format!("the System Log of {}", file.name);
            if self.is_due(&what, file.log_every.into(), now) {
                let caught = catchup.read_on().await.map_err(anyhow::Error::new);
                if let Ok(caught) = &caught {
                    if caught.missed > 0 {
                        tracing::info!(
                            directory = file.name,
                            events = caught.missed,
                            "events that no hook had brought"
                        );
                        means.bell.notify_one();
                    }
                    if caught.beyond {
                        tracing::warn!(
                            directory = file.name,
                            "the System Log no longer reaches back to the last look; a sweep covers it"
                        );
                        let swept = mark_sweep(&file.name, means, now).await;
                        self.say(&what, swept);
                    }
                }
                self.say(&what, caught.map(|_| ()));
            }
            let what = format!("changed groups of {}", file.name);
            if self.is_due(&what, file.changes_every.into(), now) {
                let probed = catchup.probe().await.map_err(anyhow::Error::new);
                if probed.as_ref().is_ok_and(|changed| *changed > 0) {
                    means.bell.notify_one();
                }
                self.say(&what, probed.map(|_| ()));
            }
        }
    }

    /// Starts a sweep when it is time, of mappings that were not swept yet, or for targets that missed something.
    async fn sweep(&self, file: &OktaFile, means: &Means<'_>) -> anyhow::Result<()> {
        let noted = format!("sweep:{}", file.name);
        let last = means.store.get(&noted).await?.unwrap_or_default();
        let (last, swept) = last.split_once(' ').unwrap_or_default();
        let last = Time(last.parse().unwrap_or(0));
        let is_shut = |target: &str| self.directories.shut.contains(target);
        let is_whole = is_whole(means.store.as_ref(), &file.name, last, is_shut).await?;
        let now = means.clock.now();
        let mappings = self.directories.mappings();
        let generation = &mappings.generation;
        let due = file.schedule().next(last).is_some_and(|next| next <= now) || last > now;
        if !due && swept == generation && is_whole {
            return Ok(());
        }
        for target in self.directories.targets.keys() {
            means.store.forget_holds(target, generation).await?;
        }
        mark_sweep(&file.name, means, now).await?;
        means.store.put(&noted, &format!("{} {generation}", now.0)).await?;
        Ok(())
    }
}

/// Holds a target to the configuration. If it is what the configuration calls it, its keys are worked on from now on.
async fn open(name: &str, target: &Target<'_>, means: &Means<'_>) -> anyhow::Result<()> {
    target.agree(Some(&means.store)).await?;
    if let Err(failure) = target.directory.look_at_pushes().await {
        tracing::warn!(
            target = name,
            why = failure.text,
            "whether Okta pushes groups itself is unknown; it needs the scope okta.apps.read"
        );
    }
    target.go_on(&means.store, means.clock.now()).await?;
    means.reconcilers.add_target(target, &means.store, &means.clock);
    means.bell.notify_one();
    Ok(())
}

async fn mark_sweep(directory: &str, means: &Means<'_>, now: Time) -> anyhow::Result<()> {
    means.store.mark(vec![Mark::new(Key::new("sweep", directory, "groups"), Lane::Sweep)], now).await?;
    means.bell.notify_one();
    Ok(())
}
