//! The metrics of the process, for Prometheus.

use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use beadle_engine::{Budgets, Depth, Lane, TaskRecord, Time, WorkerCounts};
use http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::condition::{Condition, ConditionMetrics};

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
struct ChannelOutcome {
    channel: String,
    outcome: &'static str,
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

/// The possible results of an attempt to send a notification.
const SENT: &str = "sent";
const FAILED: &str = "failed";
/// Statuses of answers to webhooks. Each of these statuses has a series as soon as the process
/// starts. Prometheus's function `increase` ignores the first value of a series. So if the series
/// began with the first failure, an alert would miss this failure.
const STATUSES: [StatusCode; 3] =
    [StatusCode::ACCEPTED, StatusCode::UNAUTHORIZED, StatusCode::SERVICE_UNAVAILABLE];

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
    changes: Family<Outcome, Counter>,
    remaining: Family<AccountOf, Gauge>,
    token_end: Family<TargetLabel, Gauge>,
    waivers: Family<OrganisationLabel, Gauge>,
    waivers_ending: Family<OrganisationLabel, Gauge>,
    notifications: Family<ChannelOutcome, Counter>,
    task_failing: Family<OfTask, Gauge>,
    task_runs: Family<TaskOutcome, Counter>,
    task_ended: Family<OfTask, Gauge>,
    task_took: Family<OfTask, Gauge<f64, AtomicU64>>,
    condition: ConditionMetrics,
    /// A lock that allows only one scrape at a time. Two scrapes at the same time would count the
    /// same runs twice. The lock also prevents a scrape while the condition is only partly updated.
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
            changes: Family::default(),
            remaining: Family::default(),
            token_end: Family::default(),
            waivers: Family::default(),
            waivers_ending: Family::default(),
            notifications: Family::default(),
            task_failing: Family::default(),
            task_runs: Family::default(),
            task_ended: Family::default(),
            task_took: Family::default(),
            condition: ConditionMetrics::default(),
            scraping: Mutex::default(),
        };
        for status in STATUSES {
            metrics.deliveries.get_or_create(&Status { status: status.as_u16() }).inc_by(0);
        }
        metrics.registered()
    }
}

impl Metrics {
    fn registered(mut self) -> Self {
        let registry = &mut self.registry;
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The version of the service", build);
        registry.register(
            "deliveries",
            "Webhook requests, by the status of the answer",
            self.deliveries.clone(),
        );
        registry.register_with_unit(
            "delivery",
            "Time from the arrival of a webhook's headers to the answer",
            Unit::Seconds,
            self.answered.clone(),
        );
        registry.register("keys_due", "Keys that wait, by lane", self.due.clone());
        registry.register("keys_leased", "Keys on which a worker works", self.leased.clone());
        registry.register("keys_parked", "Parked keys", self.parked.clone());
        registry.register(
            "changes_held",
            "Changes and policies that wait for an approval",
            self.held.clone(),
        );
        registry.register_with_unit(
            "oldest_due",
            "Age of the oldest key that waits",
            Unit::Seconds,
            self.oldest.clone(),
        );
        registry.register("runs", "Runs since the start of the service, by outcome", self.runs.clone());
        registry.register(
            "changes",
            "Changes since the start of the service, by outcome",
            self.changes.clone(),
        );
        registry.register(
            "budget_remaining",
            "Remaining budget of a credential at a vendor",
            self.remaining.clone(),
        );
        registry.register_with_unit(
            "token_end_timestamp",
            "Time at which the token of a target expires",
            Unit::Seconds,
            self.token_end.clone(),
        );
        registry.register("waivers", "Waivers in force", self.waivers.clone());
        registry.register("waivers_ending", "Waivers in force that end soon", self.waivers_ending.clone());
        registry.register(
            "notifications",
            "Tries to send a notification since the start of the service, by channel and outcome",
            self.notifications.clone(),
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
        registry.register_with_unit(
            "task_last_end_timestamp",
            "End of the last run of the background task",
            Unit::Seconds,
            self.task_ended.clone(),
        );
        registry.register_with_unit(
            "task_last_run",
            "Duration of the last run of the background task",
            Unit::Seconds,
            self.task_took.clone(),
        );
        self.condition.register(registry);
        self
    }

    /// Counts one webhook request. `status` is the status of the answer, and `took` is the duration
    /// of the request.
    pub fn delivery(&self, status: StatusCode, took: Duration) {
        self.deliveries.get_or_create(&Status { status: status.as_u16() }).inc();
        self.answered.observe(took.as_secs_f64());
    }

    /// Sets the time at which a target's token expires.
    pub fn token_end(&self, target: &str, at: Time) {
        self.token_end.get_or_create(&TargetLabel { target: target.to_owned() }).set(at.seconds());
    }

    /// Replaces the condition of the organisations, directories and targets.
    pub fn condition(&self, condition: &Condition) {
        let _alone = self.scraping.lock();
        self.condition.set(condition);
    }

    /// Sets two figures of an organisation: the number of waivers in force, and the number of
    /// waivers that end soon.
    pub fn waivers(&self, organisation: &str, in_force: usize, ending: usize) {
        let gauge = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let label = OrganisationLabel { organisation: organisation.to_owned() };
        self.waivers.get_or_create(&label).set(gauge(in_force));
        self.waivers_ending.get_or_create(&label).set(gauge(ending));
    }

    /// Creates the series of a channel for notifications, so that an alert sees the first failure.
    pub fn channel(&self, channel: &str) {
        for outcome in [SENT, FAILED] {
            let label = ChannelOutcome { channel: channel.to_owned(), outcome };
            self.notifications.get_or_create(&label).inc_by(0);
        }
    }

    /// Counts one attempt to send a notification to a channel.
    pub fn notification(&self, channel: &str, is_sent: bool) {
        let outcome = if is_sent { SENT } else { FAILED };
        self.notifications.get_or_create(&ChannelOutcome { channel: channel.to_owned(), outcome }).inc();
    }

    fn task(&self, record: &TaskRecord) {
        let label = OfTask { task: record.name.clone() };
        self.task_failing.get_or_create(&label).set(i64::from(record.failure.is_some()));
        let fine = record.runs.saturating_sub(record.failures);
        for (outcome, count) in [("fine", fine), ("failed", record.failures)] {
            let counter = self.task_runs.get_or_create(&TaskOutcome { task: record.name.clone(), outcome });
            counter.inc_by(count.saturating_sub(counter.get()));
        }
        if let (Some(ended), Some(took)) = (record.ended, record.took()) {
            self.task_ended.get_or_create(&label).set(ended.seconds());
            self.task_took.get_or_create(&label).set(took.as_secs_f64());
        }
    }

    /// Returns the values of all metrics as text in the OpenMetrics format.
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
        ];
        let changes =
            [("written", &counts.written), ("held", &counts.held), ("contested", &counts.contested)];
        for (family, outcomes) in [(&self.runs, &runs[..]), (&self.changes, &changes[..])] {
            for &(outcome, count) in outcomes {
                let n = count.load(Ordering::Relaxed);
                let counter = family.get_or_create(&Outcome { outcome });
                counter.inc_by(n.saturating_sub(counter.get()));
            }
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
    use beadle_engine::DriftCause;

    use super::*;
    use crate::condition::InstanceCondition;

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

    #[test]
    fn changes_are_counted_apart_from_runs() {
        let (metrics, counts) = (Metrics::default(), WorkerCounts::default());
        counts.written.fetch_add(2, Ordering::Relaxed);
        let text = scraped(&metrics, &counts);
        assert!(text.contains("beadle_changes_total{outcome=\"written\"} 2"), "{text}");
        assert!(!text.contains("beadle_runs_total{outcome=\"written\"}"), "{text}");
    }

    #[test]
    fn a_new_condition_replaces_the_old_one() {
        let (metrics, counts) = (Metrics::default(), WorkerCounts::default());
        let drifted = |aspect: &str| {
            let drifted = [((aspect.to_owned(), DriftCause::Held), 2)].into();
            let acme = InstanceCondition { drifted, ..InstanceCondition::default() };
            Condition { instances: [("acme".to_owned(), acme)].into(), parked: 0 }
        };
        let series = |aspect: &str| {
            format!("beadle_keys_drifted{{name=\"acme\",aspect=\"{aspect}\",cause=\"held\"}} 2")
        };
        metrics.condition(&drifted("teams"));
        assert!(scraped(&metrics, &counts).contains(&series("teams")));
        metrics.condition(&drifted("labels"));
        let text = scraped(&metrics, &counts);
        assert!(text.contains(&series("labels")) && !text.contains("teams"), "{text}");
    }

    #[test]
    fn a_counter_of_failures_has_its_series_before_the_first_failure() {
        let (metrics, counts) = (Metrics::default(), WorkerCounts::default());
        metrics.channel("ops");
        let text = scraped(&metrics, &counts);
        for series in [
            "beadle_deliveries_total{status=\"401\"} 0",
            "beadle_deliveries_total{status=\"503\"} 0",
            "beadle_notifications_total{channel=\"ops\",outcome=\"failed\"} 0",
            "beadle_notifications_total{channel=\"ops\",outcome=\"sent\"} 0",
        ] {
            assert!(text.contains(series), "{series} in {text}");
        }
    }

    #[test]
    fn the_version_is_an_info_metric() {
        let text = scraped(&Metrics::default(), &WorkerCounts::default());
        let expected = format!("beadle_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"));
        assert!(text.contains("# TYPE beadle_build info") && text.contains(&expected), "{text}");
    }
}
