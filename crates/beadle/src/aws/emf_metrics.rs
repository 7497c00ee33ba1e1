//! Figures for alarms. Beadle writes these figures to the log in a format that CloudWatch converts
//! to metrics.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use std::io::Write as _;

use beadle_engine::Time;
use beadle_server::Condition;
use serde_json::{Value, json};

/// The CloudWatch namespace of the metrics.
const NAMESPACE: &str = "Beadle";

/// A figure with its name and its unit in CloudWatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Figure {
    name: &'static str,
    unit: &'static str,
    value: i64,
}

impl Figure {
    /// Returns a figure that counts things.
    fn count<N: TryInto<i64>>(name: &'static str, value: N) -> Self {
        Self { name, unit: "Count", value: value.try_into().unwrap_or(i64::MAX) }
    }

    /// Returns a figure in seconds.
    fn seconds(name: &'static str, value: u64) -> Self {
        Self { name, unit: "Seconds", value: value.try_into().unwrap_or(i64::MAX) }
    }
}

/// Returns the figures of the queue and of the guard. `oldest_due` is the age of the oldest due
/// key: the number of seconds since this key became due. `held` is the number of held changes plus
/// the number of held policies. `token_days` is the number of days until the first token of a
/// target expires.
pub(super) fn of_queue(oldest_due: u64, held: usize, token_days: Option<i64>) -> Vec<Figure> {
    let mut figures = vec![Figure::seconds("OldestDueSeconds", oldest_due), Figure::count("Held", held)];
    figures.extend(token_days.map(|days| Figure::count("TokenDays", days)));
    figures
}

/// Returns the figures about unwritten changes, unknown parts, policies and sweeps.
pub(super) fn of_condition(condition: &Condition, now: Time) -> Vec<Figure> {
    vec![
        Figure::count("Parked", condition.parked),
        Figure::count("Unknown", condition.unknown()),
        Figure::count("Contested", condition.contested()),
        Figure::count("FailedChanges", condition.failed()),
        Figure::count("RejectedPolicies", condition.rejected()),
        Figure::seconds("SweepOverdueSeconds", condition.sweep_overdue(now)),
    ]
}

/// Writes figures to the log. `deployment` is the name of the deployment's table.
pub(super) fn write(deployment: &str, figures: &[Figure], now: Time) {
    let line = format!("{}\n", line(deployment, figures, now));
    if let Err(error) = std::io::stdout().lock().write_all(line.as_bytes()) {
        tracing::warn!(%error, "CloudWatch metrics not written");
    }
}

fn line(deployment: &str, figures: &[Figure], now: Time) -> Value {
    let metric = |figure: &Figure| json!({ "Name": figure.name, "Unit": figure.unit });
    let metrics: Vec<Value> = figures.iter().map(metric).collect();
    let directive = json!({ "Namespace": NAMESPACE, "Dimensions": [["Deployment"]], "Metrics": metrics });
    let mut line = json!({
        "Deployment": deployment,
        "_aws": { "Timestamp": now.0, "CloudWatchMetrics": [directive] },
    });
    for figure in figures {
        line[figure.name] = json!(figure.value);
    }
    line
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use beadle_server::InstanceCondition;

    use super::*;

    const SAM: &str = include_str!("../../../../deploy/sam/template.yaml");
    const TERRAFORM: &str = include_str!("../../../../deploy/terraform/alarms.tf");
    const PAGE: &str = include_str!("../../../../docs/metrics.md");

    /// Returns all figures that Beadle writes for a deployment whose target has a token.
    fn all() -> Vec<Figure> {
        let mut all = of_queue(3, 2, Some(12));
        all.extend(of_condition(&Condition::default(), Time(0)));
        all
    }

    /// Returns the name after `word` in each line that begins with `word`.
    fn named<'a>(text: &'a str, word: &str) -> BTreeSet<&'a str> {
        let values = text.lines().filter_map(|line| line.trim_start().strip_prefix(word));
        values.map(|value| value.trim_matches([' ', '=', '"'])).collect()
    }

    #[test]
    fn every_metric_of_the_directive_is_in_the_line() {
        for figures in [of_queue(3, 2, None), of_queue(3, 2, Some(12)), all()] {
            let line = line("beadle", &figures, Time(1));
            let metrics = line["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().unwrap();
            assert_eq!(metrics.len(), figures.len());
            for metric in metrics {
                assert!(line[metric["Name"].as_str().unwrap()].is_number(), "{line}");
            }
        }
    }

    #[test]
    fn the_figures_of_the_condition_have_its_sums() {
        let acme = InstanceCondition {
            unknown: [("teams".to_owned(), 3)].into(),
            contested: [("labels".to_owned(), 1)].into(),
            next_sweep: Some(Time(40_000)),
            is_rejected: Some(true),
            ..InstanceCondition::default()
        };
        let condition = Condition { instances: [("acme".to_owned(), acme)].into(), parked: 5 };
        let figures = of_condition(&condition, Time(100_000));
        let values: Vec<i64> = figures.iter().map(|figure| figure.value).collect();
        assert_eq!(values, [5, 3, 1, 0, 1, 60]);
    }

    #[test]
    fn each_figure_has_an_alarm_in_both_deployments_and_a_row_on_the_page() {
        let (sam, terraform) = (named(SAM, "MetricName:"), named(TERRAFORM, "metric "));
        for Figure { name, unit, .. } in all() {
            assert!(sam.contains(name), "the SAM template has no alarm for {name}");
            assert!(terraform.contains(name), "the Terraform module has no alarm for {name}");
            let row = format!("| `{name}` | {} |", unit.to_lowercase());
            assert!(PAGE.contains(&row), "docs/metrics.md has no row `{row}`");
        }
    }

    #[test]
    fn no_alarm_has_a_figure_that_is_not_written() {
        let written: BTreeSet<&str> = all().iter().map(|figure| figure.name).collect();
        // AWS itself writes these metrics.
        let of_aws = BTreeSet::from(["ApproximateNumberOfMessagesVisible", "Errors", "5xx"]);
        for (text, word) in [(SAM, "MetricName:"), (TERRAFORM, "metric ")] {
            let unknown: Vec<&str> =
                named(text, word).into_iter().filter(|name| !written.contains(name)).collect();
            assert_eq!(unknown.into_iter().collect::<BTreeSet<_>>(), of_aws);
        }
    }
}
