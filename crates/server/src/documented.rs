//! Tests that docs/metrics.md describes exactly the metrics of the registry. Also tests that the
//! alerting rules, the dashboard and the page about alerts use only these metrics and labels.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use beadle_engine::{
    BudgetAccount, Budgets, Depth, DriftCause, Mode, Resource, TaskRecord, Time, WorkerCounts,
};
use http::StatusCode;
use serde_json::{Value, json};

use crate::condition::{Condition, InstanceCondition};
use crate::metrics::Metrics;

const PAGE: &str = include_str!("../../../docs/metrics.md");
const ALERTS: &str = include_str!("../../../docs/how-to/alert.md");
const RULES: &str = include_str!("../../../deploy/prometheus/rules.yml");
const DASHBOARD: &str = include_str!("../../../deploy/grafana/beadle.json");

/// Returns a scrape with at least one series of every metric.
fn scraped() -> String {
    let metrics = Metrics::default();
    metrics.delivery(StatusCode::ACCEPTED, Duration::from_millis(3));
    metrics.token_end("aws", Time(1));
    metrics.waivers("acme", 1, 1);
    metrics.notification("slack", true);
    let acme = InstanceCondition {
        drifted: [(("teams".to_owned(), DriftCause::Failed), 1)].into(),
        unknown: [("teams".to_owned(), 1)].into(),
        contested: [("teams".to_owned(), 1)].into(),
        modes: [Mode::Enforce].into(),
        last_sweep: Some(Time(1)),
        next_sweep: Some(Time(2)),
        in_force_since: Some(Time(1)),
        is_rejected: Some(false),
        ..InstanceCondition::default()
    };
    metrics.condition(&Condition { instances: [("acme".to_owned(), acme)].into(), parked: 0 });
    let budgets = Budgets::new("acme", 20);
    let account = BudgetAccount { limit: 100, remaining: 21, reset: Time(3_600_000), period: 1 };
    budgets.report(Resource::Core, account, Time(0));
    let task = json!({
        "name": "policy of acme", "period": 10_000, "begun": 1, "ended": 2, "last": { "status": "idle" },
        "failure": null, "failing_since": null, "runs": 1, "failures": 0, "next": 3,
    });
    let task: TaskRecord = serde_json::from_value(task).unwrap();
    let counts = WorkerCounts::default();
    metrics.scrape(&Depth::default(), 0, Time(0), &counts, &[budgets], &[task]).unwrap()
}

/// A metric with its type and its labels.
type Described = BTreeMap<String, (String, BTreeSet<String>)>;

/// Returns the name and the labels of a series, from the series' line in a scrape.
fn series(line: &str) -> (String, BTreeSet<String>) {
    let end = line.find(['{', ' ']).unwrap();
    let labels = line[end..].strip_prefix('{').and_then(|rest| rest.split_once('}'));
    let pairs = labels.into_iter().flat_map(|(labels, _)| labels.split(','));
    let names = pairs.filter_map(|pair| Some(pair.split_once('=')?.0.to_owned()));
    (line[..end].to_owned(), names.collect())
}

/// Returns the labels of every series. The key of the map is the name of the series. A histogram
/// has several series.
fn all_series() -> BTreeMap<String, BTreeSet<String>> {
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in scraped().lines().filter(|line| !line.starts_with('#')) {
        let (name, labels) = series(line);
        all.entry(name).or_default().extend(labels);
    }
    all
}

/// Returns the metrics of the registry, with the same names that queries use.
fn registered() -> Described {
    let (text, all) = (scraped(), all_series());
    let mut found = Described::new();
    for line in text.lines() {
        let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) else {
            continue;
        };
        let (of, shown) = match kind {
            "counter" => (format!("{name}_total"), format!("{name}_total")),
            "info" => (format!("{name}_info"), format!("{name}_info")),
            "histogram" => (format!("{name}_count"), name.to_owned()),
            _ => (name.to_owned(), name.to_owned()),
        };
        let labels = all.get(&of).unwrap_or_else(|| panic!("{name} has no series in the test"));
        found.insert(shown, (kind.to_owned(), labels.clone()));
    }
    found
}

/// Returns the metrics in the tables of the page. The first three cells of a row are the name, the
/// type, and the labels. After the last label, a colon and the values of this label can follow.
fn documented() -> Described {
    let mut found = Described::new();
    for line in PAGE.lines().filter(|line| line.starts_with("| `beadle_")) {
        let mut cells = line.trim_matches('|').split('|').map(str::trim);
        let (Some(name), Some(kind), Some(labels)) = (cells.next(), cells.next(), cells.next()) else {
            panic!("a row with too few cells: {line}");
        };
        let labels = labels.split(':').next().unwrap_or_default().split(", ");
        let labels = labels.map(|label| label.trim_matches('`').to_owned()).filter(|label| !label.is_empty());
        let name = name.trim_matches('`').to_owned();
        let other = found.insert(name.clone(), (kind.to_owned(), labels.collect()));
        assert!(other.is_none(), "{name} is twice on the page");
    }
    found
}

/// Returns the name at the beginning of a text.
fn leading_name(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    end.map_or(text, |end| &text[..end])
}

/// Returns Beadle's metrics in a query. Each metric comes with the labels of its selector.
fn selected(query: &str) -> Vec<(&str, BTreeSet<&str>)> {
    let starts = query.match_indices("beadle_").map(|(at, _)| &query[at..]);
    starts
        .map(|rest| {
            let name = leading_name(rest);
            let labels = rest[name.len()..].strip_prefix('{').and_then(|rest| rest.split_once('}'));
            let matchers = labels.into_iter().flat_map(|(labels, _)| labels.split(','));
            (name, matchers.map(leading_name).collect())
        })
        .collect()
}

/// Returns the labels that a query uses to group its results.
fn grouped(query: &str) -> BTreeSet<&str> {
    let lists = query.split("by (").skip(1).filter_map(|rest| rest.split_once(')'));
    lists.flat_map(|(labels, _)| labels.split(", ")).collect()
}

/// Checks that every metric and every label in a query exists.
fn check(query: &str, all: &BTreeMap<String, BTreeSet<String>>) {
    let metrics = selected(query);
    assert!(!metrics.is_empty() || query.contains("up{"), "no metric of Beadle: {query}");
    let mut known = BTreeSet::from(["le"]);
    for (name, labels) in metrics {
        let Some(has) = all.get(name) else { panic!("{name} does not exist: {query}") };
        for label in labels {
            assert!(has.contains(label), "{name} has no label {label}: {query}");
        }
        known.extend(has.iter().map(String::as_str));
    }
    for label in grouped(query) {
        assert!(known.contains(label), "no metric has the label {label}: {query}");
    }
}

/// Returns the alerting rules.
fn rules() -> Vec<Value> {
    let file: Value = serde_saphyr::from_str(RULES).unwrap();
    let groups = file["groups"].as_array().unwrap();
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

#[test]
fn the_page_has_exactly_the_metrics_of_the_registry() {
    let (registered, documented) = (registered(), documented());
    assert!(registered.len() > 20);
    for (name, of) in &registered {
        assert_eq!(documented.get(name), Some(of), "{name} on the page differs from the registry");
    }
    let unknown: Vec<_> = documented.keys().filter(|name| !registered.contains_key(*name)).collect();
    assert!(unknown.is_empty(), "the page has metrics that do not exist: {unknown:?}");
}

#[test]
fn names_follow_the_rules_of_openmetrics() {
    // Each metric uses a base unit, such as seconds. If a metric counts things, it has no unit.
    let others = ["milliseconds", "minutes", "hours", "days", "percent", "megabytes"];
    for (name, (kind, labels)) in registered() {
        assert!(!others.iter().any(|unit| name.contains(unit)), "{name} has no base unit");
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
        // Prometheus adds these labels to each series.
        for reserved in ["instance", "job", "le"] {
            assert!(kind == "histogram" || !labels.contains(reserved), "{name} has the label {reserved}");
        }
    }
}

#[test]
fn no_metric_has_a_label_of_single_repositories() {
    for (name, labels) in all_series() {
        for label in ["repository", "key", "subject", "person", "digest"] {
            assert!(!labels.contains(label), "{name} has a series for each {label}");
        }
    }
}

#[test]
fn each_rule_has_only_metrics_and_labels_that_exist() {
    let all = all_series();
    let rules = rules();
    assert!(rules.len() > 10);
    for rule in rules {
        check(rule["expr"].as_str().unwrap(), &all);
    }
}

#[test]
fn each_query_of_the_dashboard_has_only_metrics_and_labels_that_exist() {
    let (all, file) = (all_series(), serde_json::from_str::<Value>(DASHBOARD).unwrap());
    let panels = file["panels"].as_array().unwrap();
    let mut shown = String::new();
    for target in panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten() {
        let query = target["expr"].as_str().unwrap();
        check(query, &all);
        shown.push_str(query);
        // The name of a line in a chart can contain only labels that the query uses to group its
        // results.
        let legend = target["legendFormat"].as_str().unwrap();
        for label in legend.split("{{").skip(1).filter_map(|rest| rest.split_once("}}")) {
            assert!(grouped(query).contains(label.0), "{legend} of {query}");
        }
    }
    for name in registered().keys() {
        assert!(shown.contains(name.as_str()), "the dashboard does not show {name}");
    }
}

#[test]
fn the_page_about_alerts_says_for_each_alert_what_to_do() {
    let headings: BTreeSet<&str> = ALERTS.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let mut alerts = BTreeSet::new();
    let rules = rules();
    for rule in &rules {
        let alert = rule["alert"].as_str().unwrap();
        let link = format!("/docs/how-to/alert.md#{}", alert.to_lowercase());
        let found = rule["annotations"]["runbook_url"].as_str().unwrap();
        assert!(found.ends_with(&link), "{alert}: {found}");
        assert!(rule["annotations"]["summary"].is_string(), "{alert} has no summary");
        assert!(rule["labels"]["severity"].is_string(), "{alert} has no severity");
        let expr = format!("`{}`", rule["expr"].as_str().unwrap());
        assert!(ALERTS.contains(&expr), "the page lacks the rule {expr} of {alert}");
        alerts.insert(alert);
    }
    assert_eq!(headings, alerts);
}

#[test]
fn a_pause_or_a_waiver_raises_no_alert_and_a_rejected_policy_does() {
    let rules = rules();
    let queries: Vec<&str> = rules.iter().map(|rule| rule["expr"].as_str().unwrap()).collect();
    for quiet in ["paused", "waivers", "cause=\"mode\"", "beadle_mode"] {
        assert!(queries.iter().all(|query| !query.contains(quiet)), "an alert depends on {quiet}");
    }
    assert!(queries.iter().any(|query| query.contains("beadle_policy_rejected")));
}
