//! Metrics for alarms. They are written to the log in a format that CloudWatch converts to metrics.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use std::io::Write as _;

use beadle_engine::Time;
use serde_json::{Value, json};

/// The CloudWatch namespace of the metrics.
const NAMESPACE: &str = "Beadle";

/// The metrics of one minute.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct EmfMetrics {
    /// How long the oldest due key has been due, in seconds.
    pub(super) oldest_due: u64,
    /// The number of changes that the guard holds, and of policies that the gate holds.
    pub(super) held: usize,
    /// The number of days until a token of a target ends, for the token that ends first.
    pub(super) token_days: Option<i64>,
}

impl EmfMetrics {
    fn line(&self, of: &str, now: Time) -> Value {
        let mut metrics = vec![
            json!({ "Name": "OldestDueSeconds", "Unit": "Seconds" }),
            json!({ "Name": "Held", "Unit": "Count" }),
        ];
        let mut line = json!({ "Deployment": of, "OldestDueSeconds": self.oldest_due, "Held": self.held });
        if let Some(days) = self.token_days {
            metrics.push(json!({ "Name": "TokenDays", "Unit": "Count" }));
            line["TokenDays"] = json!(days);
        }
        let directive = json!({ "Namespace": NAMESPACE, "Dimensions": [["Deployment"]], "Metrics": metrics });
        line["_aws"] = json!({ "Timestamp": now.0, "CloudWatchMetrics": [directive] });
        line
    }

    /// Writes the metrics to the log. `of` is the name of the deployment's table.
    pub(super) fn write(&self, of: &str, now: Time) {
        let line = format!("{}\n", self.line(of, now));
        if let Err(error) = std::io::stdout().lock().write_all(line.as_bytes()) {
            tracing::warn!(%error, "CloudWatch metrics not written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_of_the_directive_is_in_the_line() {
        for token_days in [None, Some(12)] {
            let line = EmfMetrics { oldest_due: 3, held: 2, token_days }.line("beadle", Time(1));
            let metrics = line["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().unwrap();
            assert_eq!(metrics.len(), 2 + usize::from(token_days.is_some()));
            for metric in metrics {
                assert!(line[metric["Name"].as_str().unwrap()].is_number(), "{line}");
            }
        }
    }
}
