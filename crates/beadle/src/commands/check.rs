//! `beadle check`: configuration and policy, without any network.

use std::path::Path;

use beadle_repositories::policy::{Node, Problem, Tested};
use beadle_repositories::{Policy, PolicyError, Severity};
use serde_json::json;

use crate::commands::{FAILED, FINE};
use crate::config::Config;
use crate::printer::{Printer, Tone};

/// Secrets that the policy names and the configuration does not declare.
fn undeclared(policy: &Policy, org: &crate::config::Org) -> Vec<Problem> {
    let unknown = policy
        .secrets()
        .into_iter()
        .filter(|secret| secret.text().is_some_and(|name| !org.secrets.contains_key(name)));
    let problem = |secret: &Node| {
        let name = secret.text().unwrap_or_default();
        let text = format!("the configuration declares no secret `{name}` for the policy");
        Problem::error(secret.asked.clone(), secret.column, text).hint("declare it in [org.secrets]")
    };
    unknown.map(problem).collect()
}

pub(crate) fn run(path: &Path, as_json: bool, printer: &Printer) -> anyhow::Result<u8> {
    let config = Config::load(path)?;
    let mut failed = false;
    let mut found = Vec::new();
    for org in &config.file.org {
        let folder = config.base.join(&org.policy);
        let (mut problems, mut sources, policy) = match Policy::load(&folder, &org.policy_repository) {
            Ok(policy) => (policy.remarks.clone(), policy.sources.clone(), Some(policy)),
            Err(PolicyError::Invalid { problems, sources }) => (problems, sources, None),
            Err(error) => {
                failed = true;
                if as_json {
                    found.push(
                        json!({ "organisation": org.name, "accepted": false, "error": error.to_string() }),
                    );
                } else {
                    printer.error(&error.to_string());
                }
                continue;
            }
        };
        let generation = policy.as_ref().map(|policy| policy.generation.clone());
        failed |= generation.is_none();
        let tested = match &policy {
            Some(policy) => policy.test(&folder)?,
            None => Tested::default(),
        };
        if let Some(policy) = &policy {
            problems.extend(undeclared(policy, org));
        }
        failed |= problems.iter().any(|problem| problem.severity == Severity::Error);
        failed |= !tested.problems.is_empty();
        problems.extend(tested.problems);
        sources.extend(tested.sources);
        if as_json {
            let accepted = generation.is_some();
            found.push(json!({ "organisation": org.name, "accepted": accepted, "generation": generation, "problems": problems, "tests": tested.count }));
            continue;
        }
        for problem in &problems {
            printer.line(problem.render(sources.get(&*problem.asked.file).map(String::as_str)));
        }
        let count = |severity| problems.iter().filter(|problem| problem.severity == severity).count();
        let said =
            format!("{} errors, {} keys not carried out", count(Severity::Error), count(Severity::NotYet));
        match generation {
            Some(generation) => {
                let fine = printer.paint(Tone::Good, format!("policy {generation} is accepted"));
                let tests = match tested.count {
                    0 => String::new(),
                    count => format!(", {count} tests"),
                };
                printer.line(format!("{}: {fine}: {said}{tests}", org.name));
            }
            None => printer.line(format!(
                "{}: {}: {said}",
                org.name,
                printer.paint(Tone::Danger, "policy is not accepted")
            )),
        }
    }
    if as_json {
        printer.line(serde_json::to_string_pretty(&found)?);
    }
    Ok(if failed { FAILED } else { FINE })
}
