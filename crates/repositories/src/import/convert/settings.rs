//! Converts the files of safe-settings and of the Probot settings app.
//!
//! <https://github.com/github/safe-settings> and <https://github.com/repository-settings/app>

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::result::{Conversion, problem, unconverted};
use super::tree::{put, text};
use crate::policy::{FileKind, Node, Severity};

/// Converts files of safe-settings. The files keep their paths.
pub(super) fn safe_settings(sources: &BTreeMap<String, String>, made: &mut Conversion) {
    for (file, source) in sources {
        let Some(root) = made.parsed(file, source) else { continue };
        let path = Path::new(file);
        let name = |path: Option<&Path>| Some(path?.file_name()?.to_str()?.to_owned());
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let (kind, to) = match (name(path.parent()).as_deref(), stem) {
            (Some("suborgs"), _) => (FileKind::Suborg, format!("suborgs/{stem}.yml")),
            (Some("repos"), _) => (FileKind::Repo, format!("repos/{stem}.yml")),
            (_, "settings") => (FileKind::Settings, "settings.yml".to_owned()),
            (_, "deployment-settings") => (FileKind::Deployment, "deployment-settings.yml".to_owned()),
            _ => {
                let text = "a file of safe-settings must be settings.yml, deployment-settings.yml, or in a folder \
                            suborgs/ or repos/";
                made.problems.push(problem(&root, text));
                continue;
            }
        };
        made.add(file, kind, to, &renamed(&root), Map::new());
    }
}

/// The settings of one repository in the form of the Probot settings app.
struct Settings<'a> {
    file: &'a str,
    repository: String,
    root: Node,
}

/// Converts files of the Probot settings app. Each file contains the settings of one repository. A
/// file that other files extend becomes a layer.
pub(super) fn probot(sources: &BTreeMap<String, String>, made: &mut Conversion) {
    made.leaves_unknown = true;
    let mut all: Vec<Settings<'_>> = Vec::new();
    for (file, source) in sources {
        let Some(root) = made.parsed(file, source) else { continue };
        let root = hyphenated(&root, made);
        let Some(repository) = repository_of(file, &root) else {
            let text = "the name of the repository is unknown: add `repository.name`, or give the file as \
                        NAME/.github/settings.yml";
            made.problems.push(problem(&root, text));
            continue;
        };
        if made.accepts(&root, &repository) {
            all.push(Settings { file, repository, root: renamed(&root) });
        }
    }
    let has = |name: &str| all.iter().any(|other| other.repository.eq_ignore_ascii_case(name));
    let mut extended: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for one in &all {
        let base = one.root.get("_extends").and_then(Node::text).map(base_of);
        if let Some(base) = base.filter(|base| has(base)) {
            extended.entry(base.to_lowercase()).or_default().push(&one.repository);
        }
    }
    for one in &all {
        let by = extended.get(&one.repository.to_lowercase());
        if let Some(extends) = one.root.get("_extends") {
            let base = extends.text().map(base_of).unwrap_or_default();
            if by.is_some() {
                let text = "`_extends`: Beadle does not convert it in a file that other files extend";
                made.problems.push(unconverted(extends, text));
            } else if !has(&base) {
                let text = format!("`_extends`: the file of the repository `{base}` is not among the files");
                made.problems.push(unconverted(extends, &text));
            }
        }
        let root = one.root.without(&["_extends"]);
        let (kind, to, selector) = match by {
            Some(by) => {
                let mut names = by.clone();
                names.push(&one.repository);
                names.sort_unstable();
                let selector = Map::from_iter([("select".to_owned(), json!({ "name": names }))]);
                (FileKind::Layer, format!("layers/extends-{}.yml", one.repository), selector)
            }
            None => (FileKind::Repo, format!("repos/{}.yml", one.repository), Map::<String, Value>::new()),
        };
        made.add(one.file, kind, to, &without_own_name(&root, &one.repository), selector);
    }
}

/// Returns the file with a hyphen in place of each space in the repository's name. GitHub makes the
/// same change to a name with spaces.
fn hyphenated(root: &Node, made: &mut Conversion) -> Node {
    let Some(block) = root.get("repository") else { return root.clone() };
    let Some((name, old)) = block.get("name").and_then(|name| Some((name, name.text()?))) else {
        return root.clone();
    };
    let new = old.split_whitespace().collect::<Vec<_>>().join("-");
    if new == old {
        return root.clone();
    }
    let why = format!("a repository cannot have the name `{old}`: Beadle uses `{new}`, as GitHub does");
    made.problems.push(problem(name, &why).severity(Severity::Warning));
    root.with("repository", &block.with("name", &text(name, &new)))
}

/// Returns the name of a file's repository. The name comes from the folder that contains `.github`,
/// or from the file itself.
fn repository_of(file: &str, root: &Node) -> Option<String> {
    let folder =
        Path::new(file).parent().filter(|folder| folder.file_name().is_some_and(|name| name == ".github"));
    let folder = folder.and_then(|folder| folder.parent()?.file_name()?.to_str());
    let named = root.get("repository").and_then(|repository| repository.get("name")).and_then(Node::text);
    folder.or(named).map(str::to_owned)
}

/// Returns the name of a repository in `_extends`, such as `base`, `acme/base` or `base:path.yml`.
fn base_of(extends: &str) -> String {
    let repository = extends.split(':').next().unwrap_or_default();
    repository.rsplit('/').next().unwrap_or_default().to_owned()
}

/// Removes `repository.name` from a file if its value is the name of the file's repository.
fn without_own_name(root: &Node, repository: &str) -> Node {
    let Some(block) = root.get("repository") else { return root.clone() };
    let is_own =
        block.get("name").and_then(Node::text).is_some_and(|name| name.eq_ignore_ascii_case(repository));
    if is_own { root.with("repository", &block.without(&["name"])) } else { root.clone() }
}

/// The keys of the Probot settings app, each with the key that matches it in Beadle's section
/// `security`.
const SECURITY: &[(&str, &str)] = &[
    ("enable_vulnerability_alerts", "dependabot_alerts"),
    ("enable_automated_security_fixes", "dependabot_security_updates"),
];

/// Returns the file with the key names that Beadle uses.
fn renamed(root: &Node) -> Node {
    let mut root = root.clone();
    if let Some(mut repository) = root.get("repository").cloned() {
        for (old, new) in SECURITY {
            let Some(value) = repository.get(old).cloned() else { continue };
            let security =
                root.get("security").cloned().unwrap_or_else(|| super::tree::block(&value, Vec::new()));
            repository = repository.without(&[*old]);
            if security.get(new).is_none() && !value.is_null() {
                root = put(&root, "security", put(&security, new, value));
            }
        }
        if let Some(name) = repository.get("new_name").cloned() {
            repository = put(&repository.without(&["new_name"]), "name", name);
        }
        root = root.with("repository", &repository);
    }
    root
}
