//! `beadle check`: configuration and policy, without any network.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use beadle_repositories::policy::{Node, Problem, Tested};
use beadle_repositories::{Policy, PolicyError, Severity};
use serde_json::json;

use crate::commands::{FAILED, FINE};
use crate::config::Config;
use crate::output::printer::{Printer, Tone};

/// Secrets that the policy names and the configuration does not declare.
fn undeclared(policy: &Policy, org: &crate::config::OrgConfig) -> Vec<Problem> {
    let unknown = policy
        .secrets()
        .into_iter()
        .filter(|secret| secret.text().is_some_and(|name| !org.secrets.contains_key(name)));
    let names: Vec<&str> = org.secrets.keys().map(String::as_str).collect();
    let hint = match &*names.join(", ") {
        "" => "declare it in [org.secrets]".to_owned(),
        names => format!("declare it in [org.secrets], which has {names}"),
    };
    let problem = |secret: &Node| {
        // It may be the secret itself, so it is not shown.
        let text = "the configuration declares no secret of this name for the policy";
        Problem::error(secret.asked.clone(), secret.column, text).hint(hint.clone())
    };
    unknown.map(problem).collect()
}

/// YAML files of the folder that are no part of a policy: a folder's name that was mistyped turns a layer off unseen.
fn unread(folder: &Path, read: &BTreeMap<String, String>) -> Vec<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(inside) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&inside) else { continue };
        for entry in entries.flatten().filter(|entry| !entry.file_name().to_string_lossy().starts_with('.')) {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "yml" || ending == "yaml") {
                let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().replace('\\', "/");
                found.extend((!read.contains_key(&name)).then_some(name));
            }
        }
    }
    found.into_iter().collect()
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
        let unread = unread(&folder, &sources);
        if as_json {
            let accepted = generation.is_some();
            found.push(json!({ "organisation": org.name, "accepted": accepted, "generation": generation, "problems": problems, "tests": tested.count, "not_read": unread }));
            continue;
        }
        for problem in &problems {
            printer.lines(problem.render(sources.get(&*problem.asked.file).map(String::as_str)));
        }
        for file in unread {
            printer.note(format!(
                "{}: not read: {file}; a policy is settings.yml, and files directly in layers/, suborgs/, repos/ and tests/",
                org.name
            ));
        }
        let count = |severity| problems.iter().filter(|problem| problem.severity == severity).count();
        let warned = match count(Severity::Warning) {
            0 => String::new(),
            1 => ", 1 warning".to_owned(),
            count => format!(", {count} warnings"),
        };
        let said = format!(
            "{} errors, {} keys not carried out{warned}",
            count(Severity::Error),
            count(Severity::NotYet)
        );
        match generation {
            Some(generation) => {
                let fine = if count(Severity::Error) == 0 {
                    printer.paint(Tone::Good, format!("policy {generation} is accepted"))
                } else {
                    let text =
                        format!("policy {generation} can be read, and is not as its tests or secrets say");
                    printer.paint(Tone::Danger, text)
                };
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
    let mappings = &config.mappings;
    if !mappings.all.is_empty() {
        let (count, generation) = (mappings.all.len(), &mappings.generation);
        if as_json {
            found.push(json!({ "groups": count, "accepted": true, "generation": generation }));
        } else {
            let fine = printer.paint(Tone::Good, format!("mappings {generation} are accepted"));
            printer.line(format!(
                "groups: {fine}: {count} of them; `beadle targets probe` tries what they need"
            ));
        }
    }
    if as_json {
        printer.json(&serde_json::to_string_pretty(&found)?);
    }
    Ok(if failed { FAILED } else { FINE })
}
