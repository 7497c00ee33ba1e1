//! `beadle check`: checks the configuration and the policy. Sends no request.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use beadle_engine::Clock;
use beadle_repositories::policy::{Node, Problem, Tested, read_text};
use beadle_repositories::{Policy, PolicyError, Severity};
use serde_json::json;

use crate::app::groups::organisation_members_file;
use crate::app::policy::mode_check;
use crate::commands::{FAILED, FINE};
use crate::config::{Config, PolicySource, waiver_findings};
use crate::output::plural::counted;
use crate::output::printer::{Printer, Tone};

/// Returns one problem for each secret that is in the policy, but not in the configuration.
fn undeclared(policy: &Policy, org: &crate::config::OrgConfig) -> Vec<Problem> {
    let unknown = policy
        .secrets()
        .into_iter()
        .filter(|secret| secret.text().is_some_and(|name| !org.secrets.contains_key(name)));
    let names: Vec<&str> = org.secrets.keys().map(String::as_str).collect();
    let hint = match &*names.join(", ") {
        "" => "declare the secret in [org.secrets]".to_owned(),
        names => format!("declare the secret in [org.secrets], which has: {names}"),
    };
    let problem = |secret: &Node| {
        // Somebody might have written the secret itself where its name belongs. So the problem does
        // not show the text from the policy.
        let text = "the configuration declares no secret of this name for the policy";
        Problem::error(secret.asked.clone(), secret.column, text).hint(hint.clone())
    };
    unknown.map(problem).collect()
}

/// Returns the YAML files in the folder that Beadle does not read, because they are not part of the
/// policy. For example, Beadle does not read a layer if the name of its folder is misspelled.
/// Without this check, nobody would notice the missing layer.
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

/// Keys that only `deployment-settings.yml` can have.
const OF_DEPLOYMENT: [&str; 3] = ["restrictedRepos", "configvalidators", "overridevalidators"];

/// The names of the files with deployment settings of safe-settings. The files are beside the
/// folder of the policy. In a repository that safe-settings uses, the files are often in the root
/// folder, and the policy is in a subfolder.
const BESIDE: [&str; 2] = ["../deployment-settings.yml", "../deployment-settings.yaml"];

/// Returns warnings about files that contain deployment settings of safe-settings, if Beadle does
/// not read these files. Adds the texts of these files to `sources`. The file with the deployment
/// settings can have any name and place, because safe-settings reads it from the path in
/// `DEPLOYMENT_CONFIG_FILE`. If Beadle does not read the file, Beadle changes repositories that
/// safe-settings does not change.
fn misnamed(folder: &Path, unread: &[String], sources: &mut BTreeMap<String, String>) -> Vec<Problem> {
    let is_read = |file: &String| file.starts_with("deployment-settings.");
    if sources.keys().any(is_read) {
        return Vec::new();
    }
    let mut problems = Vec::new();
    let inside = unread.iter().map(String::as_str).filter(|file| !file.contains('/'));
    for file in inside.chain(BESIDE) {
        let path = folder.join(file);
        // The warning shows a line of the file, so Beadle does not follow a link out of the folder.
        let is_file = std::fs::symlink_metadata(&path).is_ok_and(|found| found.is_file());
        let Some(text) = is_file.then(|| read_text(&path).ok()).flatten() else { continue };
        if let Some(problem) = of_deployment(file, &text) {
            problems.push(problem);
            sources.insert(file.to_owned(), text);
        }
    }
    problems
}

/// Returns a warning if an unread file has a key of `deployment-settings.yml`.
fn of_deployment(file: &str, text: &str) -> Option<Problem> {
    let root = Node::parse(file, text).ok()?;
    let mut keys = root.entries().iter().map(|(key, _)| key);
    let key = keys.find(|key| key.text().is_some_and(|name| OF_DEPLOYMENT.contains(&name)))?;
    let text = format!("`{}` has no effect, because Beadle does not read this file", key.text()?);
    let problem = Problem::error(key.asked.clone(), key.column, text).severity(Severity::Warning);
    Some(problem.hint(if BESIDE.contains(&file) {
        "copy the file into the folder of the policy"
    } else {
        "if it has the deployment settings of safe-settings, rename it to deployment-settings.yml"
    }))
}

pub(crate) fn run(path: &Path, as_json: bool, printer: &Printer) -> anyhow::Result<u8> {
    let config = Config::load(path)?;
    let now = Clock::system().now();
    let mut failed = false;
    let mut found = Vec::new();
    let mut of_policies = Vec::new();
    for org in config.file.org.iter().cloned().chain(config.file.any_taken_in()) {
        let org = &org;
        let folder = match &org.policy {
            PolicySource::Folder(folder) => config.base.join(folder),
            PolicySource::Repository(source) => {
                // The command works without a network and without credentials.
                let place = source.shown(&org.name);
                if as_json {
                    found.push(json!({ "organisation": org.name, "accepted": null, "not_checked": place }));
                } else {
                    let name = &org.name;
                    printer
                        .note(format!("{name}: policy not checked, because it is in a repository: {place}"));
                    printer.note(
                        "hint: check out the repository, and run `beadle check` with a configuration whose `policy` is that folder",
                    );
                }
                continue;
            }
        };
        let loaded = Policy::load(&folder, org.policy_home());
        let accepted = loaded.and_then(|policy| mode_check::accept(policy, org.refusals()));
        let accepted = accepted.and_then(|policy| {
            of_policies.extend(config.mappings_of_policy(org, &policy)?);
            Ok(policy)
        });
        let (mut problems, mut sources, policy) = match accepted {
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
            problems.extend(waiver_findings(org, policy, now));
            let teams = config.teams_of(&org.name).filter_map(|target| target.github.as_ref());
            problems
                .extend(teams.filter_map(|teams| organisation_members_file::problem(&policy.sources, teams)));
        }
        failed |= problems.iter().any(|problem| problem.severity == Severity::Error);
        failed |= !tested.problems.is_empty();
        problems.extend(tested.problems);
        sources.extend(tested.sources);
        let mut unread = unread(&folder, &sources);
        if policy.is_none() {
            // Beadle does not run the tests of an invalid policy.
            unread.retain(|file| !file.starts_with("tests/"));
        }
        problems.extend(misnamed(&folder, &unread, &mut sources));
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
                "{}: Beadle does not read {file}; it reads settings.yml and files in layers/, suborgs/, repos/, \
                 rules/, templates/ and tests/",
                org.name
            ));
        }
        let count = |severity| problems.iter().filter(|problem| problem.severity == severity).count();
        let counts = [
            counted(count(Severity::Error), "error", "errors"),
            counted(count(Severity::Warning), "warning", "warnings"),
            counted(count(Severity::NotYet), "unsupported key", "unsupported keys"),
        ];
        let counts = counts.join(", ");
        match generation {
            Some(generation) => {
                let fine = if count(Severity::Error) == 0 {
                    printer.paint(Tone::Good, format!("policy {generation} is valid"))
                } else {
                    let text = format!("tests or secrets of policy {generation} are invalid");
                    printer.paint(Tone::Danger, text)
                };
                let tests = match tested.count {
                    0 => String::new(),
                    count => format!(", {}", counted(count, "test", "tests")),
                };
                let waivers = match policy.as_ref().map_or(0, |policy| policy.waivers.len()) {
                    0 => String::new(),
                    count => format!(", {}", counted(count, "waiver", "waivers")),
                };
                printer.line(format!("{}: {fine}: {counts}{tests}{waivers}", org.name));
            }
            None => printer.line(format!(
                "{}: {}: {counts}",
                org.name,
                printer.paint(Tone::Danger, "policy is not valid")
            )),
        }
    }
    let mappings = config.mappings.with(of_policies);
    if !mappings.all.is_empty() {
        let (count, generation) = (mappings.all.len(), &mappings.generation);
        if as_json {
            found.push(json!({ "groups": count, "accepted": true, "generation": generation }));
        } else {
            let fine = printer.paint(Tone::Good, format!("mappings {generation} are valid"));
            printer.line(format!(
                "groups: {fine}: {}; `beadle targets probe` tests the access",
                counted(count, "mapping", "mappings")
            ));
        }
    }
    if as_json {
        printer.json(&serde_json::to_string_pretty(&found)?);
    }
    Ok(if failed { FAILED } else { FINE })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the warnings about a folder with these files. `read` lists the files that belong to
    /// the policy.
    fn warnings(files: &[(&str, &str)], read: &[&str]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        for (file, text) in files {
            std::fs::write(folder.path().join(file), text).unwrap();
        }
        let mut sources: BTreeMap<String, String> =
            read.iter().map(|file| ((*file).to_owned(), String::new())).collect();
        let unread = unread(folder.path(), &sources);
        let problems = misnamed(folder.path(), &unread, &mut sources);
        assert!(problems.iter().all(|problem| problem.severity == Severity::Warning), "{problems:?}");
        // The error shows an excerpt from the text of the file.
        assert!(problems.iter().all(|problem| !sources[&*problem.asked.file].is_empty()));
        problems.into_iter().map(|problem| format!("{}: {}", problem.asked, problem.message)).collect()
    }

    #[test]
    fn deployment_settings_with_another_name_are_a_warning() {
        let files =
            [("config.yml", "# restricted\nrestrictedRepos: [admin]\n"), ("labels.yml", "bug: ff0000\n")];
        let found = warnings(&files, &["settings.yml"]);
        let [warning] = found.as_slice() else { panic!("{found:?}") };
        assert!(warning.starts_with("config.yml:2: `restrictedRepos` has no effect"), "{warning}");
    }

    #[test]
    fn beside_deployment_settings_another_file_is_no_warning() {
        let files = [("config.yml", "restrictedRepos: [admin]\n"), ("deployment-settings.yml", "{}")];
        assert_eq!(warnings(&files, &["deployment-settings.yml"]), Vec::<String>::new());
    }

    #[test]
    fn deployment_settings_beside_the_folder_are_a_warning() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join(".github");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(root.path().join("deployment-settings.yml"), "restrictedRepos: [admin]\n").unwrap();
        let found = misnamed(&folder, &[], &mut BTreeMap::new());
        let [warning] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((&*warning.asked.file, warning.asked.line), ("../deployment-settings.yml", 1));
        assert!(warning.hint.as_deref().is_some_and(|hint| hint.starts_with("copy the file")), "{warning:?}");
        let mut read = BTreeMap::from([("deployment-settings.yml".to_owned(), String::new())]);
        assert_eq!(misnamed(&folder, &[], &mut read), Vec::new());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_a_file_elsewhere_shows_nothing() {
        let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let target = outside.path().join("secret.yml");
        std::fs::write(&target, "restrictedRepos: [admin]\n").unwrap();
        std::os::unix::fs::symlink(target, folder.path().join("config.yml")).unwrap();
        let unread = unread(folder.path(), &BTreeMap::new());
        assert_eq!(unread, ["config.yml"]);
        assert!(misnamed(folder.path(), &unread, &mut BTreeMap::new()).is_empty());
    }
}
