//! What Prometheus scrapes.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use beadle_engine::{Budgets, Depth, Lane, Time, WorkerCounts};
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
struct Target {
    target: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Of {
    of: String,
}

/// Every metric of the process.
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
    token_days: Family<Target, Gauge>,
    faults: Family<Of, Gauge>,
    /// Why, by what they are of.
    reasons: Mutex<BTreeMap<String, String>>,
    /// Two scrapes at once would count the same runs twice.
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
            faults: Family::default(),
            reasons: Mutex::default(),
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
            "Webhook requests by the status they were answered with",
            self.deliveries.clone(),
        );
        registry.register(
            "delivery_seconds",
            "Time from a webhook's head to its answer",
            self.answered.clone(),
        );
        registry.register("keys_due", "Keys that wait, by lane", self.due.clone());
        registry.register("keys_leased", "Keys that are being worked on", self.leased.clone());
        registry.register("keys_parked", "Keys set aside", self.parked.clone());
        registry.register("changes_held", "Changes that the guard holds", self.held.clone());
        registry.register("oldest_due_seconds", "Age of the oldest key that waits", self.oldest.clone());
        registry.register("runs", "What this process did since it started", self.runs.clone());
        registry.register("budget_remaining", "What a vendor's rate limit leaves", self.remaining.clone());
        registry.register("token_days_left", "Days until a target's token ends", self.token_days.clone());
        registry.register(
            "fault",
            "1 while the part does not work as configured, 0 afterwards",
            self.faults.clone(),
        );
        self
    }

    /// Counts one webhook request.
    pub fn delivery(&self, status: StatusCode, took: Duration) {
        self.deliveries.get_or_create(&Status { status: status.as_u16() }).inc();
        self.answered.observe(took.as_secs_f64());
    }

    /// A target's token ends in so many days.
    pub fn token_days(&self, target: &str, days: i64) {
        self.token_days.get_or_create(&Target { target: target.to_owned() }).set(days);
    }

    /// Something cannot be used as configured, such as a policy that is not accepted; `None`: it
    /// can again.
    pub fn fault(&self, of: &str, why: Option<&str>) {
        let mut reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        let label = Of { of: of.to_owned() };
        match why {
            Some(why) => {
                self.faults.get_or_create(&label).set(1);
                reasons.insert(of.to_owned(), why.to_owned());
            }
            None => {
                // A part that never failed has no line.
                if reasons.remove(of).is_some() {
                    self.faults.get_or_create(&label).set(0);
                }
            }
        }
    }

    /// The parts that do not work as configured, one line each.
    pub fn faults(&self) -> Vec<String> {
        let reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        reasons.iter().map(|(of, why)| format!("{of}: {}", why.lines().next().unwrap_or_default())).collect()
    }

    /// The text that is scraped.
    pub fn scrape(
        &self,
        depth: &Depth,
        held: usize,
        now: Time,
        counts: &WorkerCounts,
        budgets: &[Budgets],
    ) -> Result<String, std::fmt::Error> {
        let _alone = self.scraping.lock().unwrap_or_else(PoisonError::into_inner);
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
        metrics.scrape(&Depth::default(), 0, Time(0), counts, &[]).unwrap()
    }

    #[test]
    fn runs_are_a_counter_that_scrapes_do_not_raise() {
        let (metrics, counts) = (Metrics::default(), WorkerCounts::default());
        counts.done.fetch_add(3, Ordering::Relaxed);
        scraped(&metrics, &counts);
        let text = scraped(&metrics, &counts);
        assert!(text.contains("# TYPE beadle_runs counter"), "{text}");
        assert!(text.contains("beadle_runs_total{outcome=\"done\"} 3"), "{text}");
    }

    #[test]
    fn a_fault_is_a_metric_until_it_is_over() {
        let metrics = Metrics::default();
        metrics.fault("policy of acme", None);
        assert!(!scraped(&metrics, &WorkerCounts::default()).contains("policy of acme"));
        metrics.fault("policy of acme", Some("settings.yml:1: no\nmore"));
        assert_eq!(metrics.faults(), ["policy of acme: settings.yml:1: no"]);
        let text = scraped(&metrics, &WorkerCounts::default());
        assert!(text.contains("beadle_fault{of=\"policy of acme\"} 1"), "{text}");
        metrics.fault("policy of acme", None);
        assert_eq!(metrics.faults(), Vec::<String>::new());
        let text = scraped(&metrics, &WorkerCounts::default());
        assert!(text.contains("beadle_fault{of=\"policy of acme\"} 0"), "{text}");
    }
}
