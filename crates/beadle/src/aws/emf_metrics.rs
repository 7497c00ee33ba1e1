//! Figures for alarms, as CloudWatch takes them out of a log.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use std::io::Write as _;

use beadle_engine::Time;
use serde_json::{Value, json};

/// Where the figures are found.
const NAMESPACE: &str = "Beadle";

/// What is told once a minute.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct EmfMetrics {
    /// For how many seconds the key that waited longest could have been worked on.
    pub(super) oldest_due: u64,
    /// Changes that the guard holds.
    pub(super) held: usize,
    /// Days that the token of a target has left: of the one with the fewest.
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

    /// Writes them where CloudWatch finds them. `of` tells one deployment from another: its table's name.
    pub(super) fn tell(&self, of: &str, now: Time) {
        let line = format!("{}\n", self.line(of, now));
        if let Err(error) = std::io::stdout().lock().write_all(line.as_bytes()) {
            tracing::warn!(%error, "the figures could not be written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_of_the_directive_is_in_the_line() {
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
