//! The metrics of the process, for Prometheus.

use parking_lot::Mutex;
use std::time::Duration;

use beadle_engine::{Budgets, Depth, Lane, TaskRecord, Time, WorkerCounts};
use http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Status {
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct InLane {
    lane: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct AccountOf {
    credential: String,
    resource: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct TargetLabel {
    target: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OrganisationLabel {
    organisation: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfTask {
    task: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct TaskOutcome {
    task: String,
    outcome: &'static str,
}

/// All metrics of the process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    deliveries: Family<Status, Counter>,
    answered: Histogram,
    due: Family<InLane, Gauge>,
    leased: Gauge,
    parked: Gauge,
    held: Gauge,
    oldest: Gauge,
    runs: Family<Outcome, Counter>,
    remaining: Family<AccountOf, Gauge>,
    token_days: Family<TargetLabel, Gauge>,
    waivers: Family<OrganisationLabel, Gauge>,
    waivers_ending: Family<OrganisationLabel, Gauge>,
    task_failing: Family<OfTask, Gauge>,
    task_runs: Family<TaskOutcome, Counter>,
    task_ended: Family<OfTask, Gauge>,
    task_took: Family<OfTask, Gauge>,
    /// A lock that allows only one scrape at a time. Two scrapes at the same time would count the
    /// same runs twice.
    scraping: Mutex<()>,
}

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Self {
            registry: Registry::with_prefix("beadle"),
            deliveries: Family::default(),
            answered: Histogram::new(exponential_buckets(0.001, 2.0, 14)),
            due: Family::default(),
            leased: Gauge::default(),
            parked: Gauge::default(),
            held: Gauge::default(),
            oldest: Gauge::default(),
            runs: Family::default(),
            remaining: Family::default(),
            token_days: Family::default(),
            waivers: Family::default(),
            waivers_ending: Family::default(),
            task_failing: Family::default(),
            task_runs: Family::default(),
            task_ended: Family::default(),
            task_took: Family::default(),
            scraping: Mutex::default(),
        };
        metrics.registered()
    }
}

impl Metrics {
    fn registered(mut self) -> Self {
        let registry = &mut self.registry;
        registry.register(
            "deliveries",
            "Webhook requests, by the status of the answer",
            self.deliveries.clone(),
        );
        registry.register(
            "delivery_seconds",
            "Time from the arrival of a webhook's headers to the answer",
            self.answered.clone(),
        );
        registry.register("keys_due", "Keys that wait, by lane", self.due.clone());
        registry.register("keys_leased", "Keys on which a worker works", self.leased.clone());
        registry.register("keys_parked", "Parked keys", self.parked.clone());
        registry.register(
            "changes_held",
            "Changes that the guard holds, and policies that the gate holds",
            self.held.clone(),
        );
        registry.register("oldest_due_seconds", "Age of the oldest key that waits", self.oldest.clone());
        registry.register(
            "runs",
            "Runs and changes since the start of the service, by outcome",
            self.runs.clone(),
        );
        registry.register(
            "budget_remaining",
            "Remaining budget of a credential at a vendor",
            self.remaining.clone(),
        );
        registry.register(
            "token_days_left",
            "Days until the token of a target expires",
            self.token_days.clone(),
        );
        registry.register("waivers", "Waivers in force", self.waivers.clone());
        registry.register(
            "waivers_ending",
            "Waivers in force that end within 3 days",
            self.waivers_ending.clone(),
        );
        registry.register(
            "task_failing",
            "1 if the last run of the background task failed, otherwise 0",
            self.task_failing.clone(),
        );
        registry.register(
            "task_runs",
            "Runs of the background task since the start of the service, by outcome",
            self.task_runs.clone(),
        );
        registry.register(
            "task_last_end_timestamp_seconds",
            "End of the last run of the background task",
            self.task_ended.clone(),
        );
        registry.register(
            "task_last_run_milliseconds",
            "Duration of the last run of the background task",
            self.task_took.clone(),
        );
        self
    }

    /// Counts one webhook request with its answer and its duration.
    pub fn delivery(&self, status: StatusCode, took: Duration) {
        self.deliveries.get_or_create(&Status { status: status.as_u16() }).inc();
        self.answered.observe(took.as_secs_f64());
    }

    /// Sets the number of days until the token of a target expires.
    pub fn token_days(&self, target: &str, days: i64) {
        self.token_days.get_or_create(&TargetLabel { target: target.to_owned() }).set(days);
    }

    /// Sets the number of an organisation's waivers in force, and the number of those that end soon.
    pub fn waivers(&self, organisation: &str, in_force: usize, ending: usize) {
        let gauge = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let label = OrganisationLabel { organisation: organisation.to_owned() };
        self.waivers.get_or_create(&label).set(gauge(in_force));
        self.waivers_ending.get_or_create(&label).set(gauge(ending));
    }

    fn task(&self, record: &TaskRecord) {
        let gauge = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let label = OfTask { task: record.name.clone() };
        self.task_failing.get_or_create(&label).set(i64::from(record.failure.is_some()));
        let fine = record.runs.saturating_sub(record.failures);
        for (outcome, count) in [("fine", fine), ("failed", record.failures)] {
            let counter = self.task_runs.get_or_create(&TaskOutcome { task: record.name.clone(), outcome });
            counter.inc_by(count.saturating_sub(counter.get()));
        }
        if let (Some(ended), Some(took)) = (record.ended, record.took()) {
            self.task_ended.get_or_create(&label).set(ended.seconds());
            let took = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            self.task_took.get_or_create(&label).set(gauge(took));
        }
    }

    /// Returns the values of all metrics as text in the format OpenMetrics.
    pub fn scrape(
        &self,
        depth: &Depth,
        held: usize,
        now: Time,
        counts: &WorkerCounts,
        budgets: &[Budgets],
        tasks: &[TaskRecord],
    ) -> Result<String, std::fmt::Error> {
        let _alone = self.scraping.lock();
        let gauge = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        for lane in Lane::ALL {
            self.due.get_or_create(&InLane { lane: lane.as_str() }).set(gauge(depth.lane(lane)));
        }
        self.leased.set(gauge(depth.leased));
        self.parked.set(gauge(depth.parked));
        self.held.set(gauge(held as u64));
        let age = depth.oldest.map_or(0, |oldest| now.since(oldest).as_secs());
        self.oldest.set(gauge(age));
        let runs = [
            ("done", &counts.done),
            ("retried", &counts.retried),
            ("rate_limited", &counts.limited),
            ("parked", &counts.parked),
            ("changes_written", &counts.written),
            ("changes_held", &counts.held),
            ("changes_contested", &counts.contested),
        ];
        for (outcome, count) in runs {
            let n = count.load(std::sync::atomic::Ordering::Relaxed);
            let counter = self.runs.get_or_create(&Outcome { outcome });
            counter.inc_by(n.saturating_sub(counter.get()));
        }
        for budget in budgets {
            for (resource, account) in budget.accounts() {
                let label =
                    AccountOf { credential: budget.credential().to_owned(), resource: resource.as_str() };
                self.remaining.get_or_create(&label).set(gauge(account.remaining));
            }
        }
        for task in tasks {
            self.task(task);
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    fn scraped(metrics: &Metrics, counts: &WorkerCounts) -> String {
        metrics.scrape(&Depth::default(), 0, Time(0), counts, &[], &[]).unwrap()
    }

    #[test]
    fn a_scrape_does_not_raise_the_counter_of_runs() {
        let (metrics, counts) = (Metrics::default(), WorkerCounts::default());
        counts.done.fetch_add(3, Ordering::Relaxed);
        scraped(&metrics, &counts);
        let text = scraped(&metrics, &counts);
        assert!(text.contains("# TYPE beadle_runs counter"), "{text}");
        assert!(text.contains("beadle_runs_total{outcome=\"done\"} 3"), "{text}");
    }
}
