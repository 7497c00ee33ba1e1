//! An organisation, as the service looks after it: its policy, its sweeps, who shares its budget.

use std::fmt::Write as _;
use std::sync::{Arc, PoisonError};

use anyhow::Context as _;
use beadle_engine::{Key, Lane, Mark, Store, StoreError, Time};
use beadle_hooks::github::Known;
use beadle_repositories::sweep;
use beadle_server::Metrics;

use super::{Means, say_ended};
use crate::reading::Reading;
use crate::sharing::Shared;
use crate::wiring::{self, Opening, Org};

/// The extent to which a policy is carried out.
fn modes(file: &crate::config::Org) -> String {
    let mut modes = file.mode.to_string();
    for (aspect, mode) in &file.modes {
        let _ = write!(modes, " {aspect}={mode}"); // a text takes everything
    }
    modes
}

/// Says so where the service sweeps in other modes than the configuration has: it reads them when
/// it starts.
pub(crate) async fn other_modes(
    store: &dyn Store,
    file: &crate::config::Org,
) -> Result<Option<String>, StoreError> {
    let noted = store.get(&format!("sweep:{}", file.name)).await?;
    // Time, generation, modes.
    let running = noted.as_deref().and_then(|noted| noted.splitn(3, ' ').nth(2));
    Ok(running.filter(|running| *running != modes(file)).map(|running| {
        format!(
            "{}: the service was started with mode {running}, the configuration says {}; start the service again",
            file.name,
            modes(file)
        )
    }))
}

/// An organisation, as the service looks after it.
pub(super) struct Watched<'a> {
    pub(super) file: &'a crate::config::Org,
    pub(super) open: Option<Org<'a>>,
    /// What the intake has to know of it.
    known: Known,
    /// Whether it is known who we are.
    named: bool,
    shared: Option<Shared>,
    /// What was wrong when it was looked at last: said once, not every time.
    said: String,
    metrics: &'a Arc<Metrics>,
    /// A generation that was seen once. A folder that is being written to looks different the next time.
    candidate: Option<String>,
    /// Of the policy's files.
    reading: Reading,
}

impl<'a> Watched<'a> {
    pub(super) fn new(file: &'a crate::config::Org, known: Known, metrics: &'a Arc<Metrics>) -> Self {
        let said = String::new();
        let reading = Reading::default();
        Self { file, open: None, known, named: false, shared: None, said, metrics, candidate: None, reading }
    }

    /// Its name in the metrics.
    fn policy(&self) -> String {
        format!("policy of {}", self.file.name)
    }

    fn say(&mut self, error: &str, then: &str) {
        self.metrics.fault(&self.policy(), Some(&format!("{then}: {error}")));
        if self.said != error {
            error.clone_into(&mut self.said);
            tracing::error!(organisation = self.file.name, "{then}:\n{error}");
        }
    }

    /// Opens it, if it is not open and can be.
    pub(super) async fn open(&mut self, means: &Means<'_>) {
        if self.open.is_some() {
            return;
        }
        let opening = Opening { store: Some(&means.store), ..Opening::default() };
        let policy = wiring::policy(means.config, self.file, &mut self.reading).await;
        let opened = policy
            .and_then(|policy| Org::with(policy, means.config, self.file, &means.clock, opening, means.ways));
        match opened {
            Ok(org) => {
                self.take_over(&org);
                // Before its first call: how much the others have spent.
                self.shared =
                    Some(Shared::begin(self.file, (&org.api, &org.pace), &means.store, &means.stop).await);
                let mut budgets = means.budgets.write().unwrap_or_else(PoisonError::into_inner);
                budgets.push(org.api.budgets().clone());
                drop(budgets);
                means.reconcilers.add(&org, &means.store, &means.clock);
                self.open = Some(org);
                self.metrics.fault(&self.policy(), None);
            }
            Err(error) => {
                self.say(
                    &format!("{error:#}"),
                    "it is not worked on until this is mended; webhooks are kept",
                );
            }
        }
    }

    /// A generation of the policy is in force.
    fn take_over(&self, org: &Org<'_>) {
        let policy = org.policy.current();
        self.known.watch(policy.branches());
        for remark in &policy.remarks {
            tracing::warn!(organisation = self.file.name, at = %remark.asked, "{}", remark.message);
        }
        tracing::info!(organisation = self.file.name, mode = %self.file.mode, generation = policy.generation, "policy in force");
    }

    /// Takes over a new generation of the policy, starts a sweep when it is time, or of a generation not swept yet, and
    /// sums up one that ended.
    pub(super) async fn look(&mut self, means: &Means<'_>) -> anyhow::Result<()> {
        let Some(org) = &self.open else { return Ok(()) };
        let current = org.policy.current().generation.clone();
        match wiring::policy(means.config, self.file, &mut self.reading).await {
            Ok(policy) if policy.generation == current => {
                self.candidate = None;
                self.said.clear();
                self.metrics.fault(&self.policy(), None);
            }
            Ok(policy) if self.candidate.as_ref() == Some(&policy.generation) => {
                org.policy.replace(policy);
                self.take_over(org);
                self.metrics.fault(&self.policy(), None);
                self.candidate = None;
            }
            Ok(policy) => self.candidate = Some(policy.generation),
            Err(error) => {
                let then = format!("the policy is not accepted, {current} stays in force");
                self.say(&format!("{error:#}"), &then);
            }
        }
        let Some(org) = &self.open else { return Ok(()) };
        if !self.named {
            if let Some(slug) = org.reader.app_slug().await.map_err(anyhow::Error::new)? {
                self.known.set_own(format!("{slug}[bot]"));
            }
            self.named = true;
        }
        self.sweep(org, means).await?;
        let now = means.clock.now();
        if let Some(summary) = sweep::summarise(means.store.as_ref(), &self.file.name, now).await? {
            say_ended(&self.file.name, &summary);
        }
        Ok(())
    }

    async fn sweep(&self, org: &Org<'_>, means: &Means<'_>) -> anyhow::Result<()> {
        let name = &self.file.name;
        let noted = format!("sweep:{name}");
        let last = means.store.get(&noted).await?.unwrap_or_default();
        let (last, swept) = last.split_once(' ').unwrap_or_default();
        let last = Time(last.parse().unwrap_or(0));
        let now = means.clock.now();
        let generation = org.policy.current().generation.clone();
        let wanted = self.wanted(&generation);
        // A time in the future was noted by a clock that was ahead.
        let due = self.file.schedule().next(last).is_some_and(|next| next <= now) || last > now;
        if !due && swept == wanted {
            return Ok(());
        }
        means.store.forget_holds(name, &generation).await?;
        let (organisation, _) = org.reader.organisation_and_clock().await.map_err(anyhow::Error::new)?;
        let id = organisation["id"].as_u64().context("GitHub's answer has no id of the organisation")?;
        means.store.mark(vec![Mark::new(Key::new("sweep", name, id), Lane::Sweep)], now).await?;
        means.store.put(&noted, &format!("{} {wanted}", now.0)).await?;
        means.bell.notify_one();
        Ok(())
    }

    /// What is swept anew when it changes: the policy, and how far it is carried out.
    fn wanted(&self, generation: &str) -> String {
        format!("{generation} {}", modes(self.file))
    }

    /// The service stops: its part of the budget is for others.
    pub(super) async fn leave(&mut self) {
        if let Some(shared) = self.shared.take() {
            shared.end().await;
        }
    }
}
