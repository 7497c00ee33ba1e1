//! A policy's folder: `settings.yml`, `suborgs/*.yml`, `repos/*.yml`, `deployment-settings.yml`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use beadle_github::Asks;
use sha2::{Digest, Sha256};

use super::merge::same_name;
use super::node::{Kind, Node};
use super::pattern::{Pattern, patterns};
use super::problem::{Problem, Severity};
use super::schema::FileKind;
use super::shape::Shape;

/// What a layer reaches.
#[derive(Clone, Debug)]
pub enum LayerKind {
    /// Every repository.
    Organisation,
    /// The repositories that a suborg's selectors match.
    Suborg {
        /// Globs on names.
        globs: Vec<Pattern>,
        /// Slugs of teams.
        teams: Vec<String>,
        /// It has selectors that this version cannot evaluate.
        unresolved: bool,
    },
    /// One repository, by the file's name.
    Repository(String),
}

/// One file of settings.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Relative to the policy's folder.
    pub file: String,
    /// What it reaches.
    pub kind: LayerKind,
    /// What it says.
    pub root: Node,
}

/// One accepted generation of a policy.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Its name: a hash over all its files.
    pub generation: String,
    /// From wide to narrow.
    pub layers: Vec<Layer>,
    /// Repositories that are left alone, by pattern.
    pub excluded: Vec<Pattern>,
    /// If not empty: only these, by pattern.
    pub included: Vec<Pattern>,
    /// The repository that the policy itself lives in; left alone unless a file names it.
    pub home: String,
    /// Lists whose unlisted entries stay.
    pub additive: Vec<String>,
    /// Sections that are left alone.
    pub disabled: Vec<String>,
    /// What it asks for that is not carried out, and what is worth a look. Never an error.
    pub remarks: Vec<Problem>,
    /// The texts of the files, for excerpts.
    pub sources: BTreeMap<String, String>,
}

/// Why a policy is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// A file or the folder cannot be read. The last accepted generation stays in force.
    #[error("cannot read {}: {why}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system said.
        why: std::io::Error,
    },
    /// There is no policy in the folder.
    #[error("{}: no settings.yml, suborgs/ or repos/ here; a policy that asks for nothing is not taken", .0.display())]
    Empty(PathBuf),
    /// Something in it is wrong.
    #[error("{}", render(problems, sources))]
    Invalid {
        /// All findings.
        problems: Vec<Problem>,
        /// The texts of the files, for excerpts.
        sources: BTreeMap<String, String>,
    },
}

fn render(problems: &[Problem], sources: &BTreeMap<String, String>) -> String {
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error);
    let mut text = String::new();
    for problem in errors {
        let _ = writeln!(text, "{}", problem.render(sources.get(&*problem.asked.file).map(String::as_str)));
    }
    text.trim_end().to_owned()
}

impl Policy {
    /// Reads a folder. `home` is the name of the repository that the policy lives in.
    pub fn load(folder: &Path, home: &str) -> Result<Self, PolicyError> {
        Self::from_sources(read_folder(folder)?, home, folder)
    }

    fn from_sources(
        sources: BTreeMap<String, String>,
        home: &str,
        folder: &Path,
    ) -> Result<Self, PolicyError> {
        let mut problems = Vec::new();
        let mut hash = Sha256::new();
        let mut policy = Self {
            generation: String::new(),
            layers: Vec::new(),
            excluded: Vec::new(),
            included: Vec::new(),
            home: home.to_owned(),
            additive: Vec::new(),
            disabled: Vec::new(),
            remarks: Vec::new(),
            sources: BTreeMap::new(),
        };
        let mut stems: BTreeMap<String, &str> = BTreeMap::new();
        for file in sources.keys() {
            if let Some(other) = stems.insert(stem(file).to_lowercase(), file) {
                let asked = beadle_engine::Asked { file: file.as_str().into(), line: 1 };
                problems.push(Problem::error(
                    asked,
                    1,
                    format!("{other} says something of the same; keep one of them"),
                ));
            }
        }
        for (file, text) in &sources {
            hash.update(format!("{file}\0{}\0{text}", text.len()));
            match Node::parse(file, text) {
                Ok(root) => policy.add(file, root, &mut problems),
                Err(problem) => problems.push(problem),
            }
        }
        if problems.iter().any(|problem| problem.severity == Severity::Error) {
            return Err(PolicyError::Invalid { problems, sources });
        }
        if policy.layers.is_empty() {
            return Err(PolicyError::Empty(folder.to_owned()));
        }
        policy.layers.sort_by_key(|layer| match layer.kind {
            LayerKind::Organisation => 0,
            LayerKind::Suborg { .. } => 1,
            LayerKind::Repository(_) => 2,
        });
        policy.generation = hash.finalize().iter().take(6).fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        policy.remarks = problems;
        policy.sources = sources;
        Ok(policy)
    }

    fn add(&mut self, file: &str, root: Node, problems: &mut Vec<Problem>) {
        let (folder, name) = file.rsplit_once('/').unwrap_or(("", file));
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        let kind = match folder {
            "" if stem == "settings" => FileKind::Settings,
            "" => FileKind::Deployment,
            "suborgs" => FileKind::Suborg,
            _ => FileKind::Repo,
        };
        if root.is_null() && kind != FileKind::Deployment {
            // What an emptied file would take away is not meant.
            let problem = Problem::error(root.asked.clone(), 1, "the file is empty");
            problems.push(problem.hint("delete it, if nothing shall be asked for any more"));
            return;
        }
        Shape::Map(kind.keys()).check("", &root, problems);
        check_layer(kind, &root, problems);
        let layer = match kind {
            FileKind::Deployment => return self.restrict(&root, problems),
            FileKind::Settings => {
                self.additive = plugins(&root, "additive_plugins");
                self.disabled = plugins(&root, "disable_plugins");
                LayerKind::Organisation
            }
            FileKind::Suborg => LayerKind::Suborg {
                globs: root
                    .get("suborgrepos")
                    .map(|node| patterns(node, Pattern::glob, problems))
                    .unwrap_or_default(),
                teams: root.get("suborgteams").map(Node::texts).unwrap_or_default(),
                unresolved: root.get("suborgproperties").is_some(),
            },
            FileKind::Repo => LayerKind::Repository(stem.to_owned()),
        };
        self.layers.push(Layer { file: file.to_owned(), kind: layer, root });
    }

    fn restrict(&mut self, root: &Node, problems: &mut Vec<Problem>) {
        let Some(restricted) = root.get("restrictedRepos") else { return };
        match &restricted.kind {
            Kind::List(_) => self.excluded = patterns(restricted, Pattern::glob_or_regex, problems),
            Kind::Map(_) => {
                self.included = restricted
                    .get("include")
                    .map(|node| patterns(node, Pattern::glob_or_regex, problems))
                    .unwrap_or_default();
                self.excluded = restricted
                    .get("exclude")
                    .map(|node| patterns(node, Pattern::glob_or_regex, problems))
                    .unwrap_or_default();
            }
            _ => {}
        }
    }

    /// What has to be read for it, over all layers.
    pub fn asks(&self) -> Asks {
        let mut asks = Asks::default();
        for layer in &self.layers {
            let has =
                |key: &str| layer.root.get(key).is_some() && !self.disabled.iter().any(|other| other == key);
            let repository = layer.root.get("repository").filter(|_| has("repository"));
            let selects_by_team = matches!(&layer.kind, LayerKind::Suborg { teams, .. } if !teams.is_empty());
            asks = asks.union(Asks {
                topics: repository.is_some_and(|node| node.get("topics").is_some()),
                teams: has("teams") || selects_by_team,
                collaborators: has("collaborators"),
                protection: has("branches"),
                rest_settings: repository.is_some_and(|node| {
                    node.entries()
                        .iter()
                        .any(|(key, _)| crate::aspects::settings::is_rest_only(key.text().unwrap_or("")))
                }),
            });
        }
        asks
    }
}

/// The names in a list of plugins, which may be texts or blocks with a `target`. Wherever it is meant for, a section is
/// then left alone, or its list is additive: the careful reading.
fn plugins(root: &Node, key: &str) -> Vec<String> {
    let items = root.get(key).map(Node::items).unwrap_or_default();
    items.iter().filter_map(|item| item.get("plugin").unwrap_or(item).text().map(str::to_owned)).collect()
}

/// What entries of lists cannot do without.
const REQUIRED: &[(&str, &[&str])] = &[
    ("teams", &["name", "permission"]),
    ("collaborators", &["username", "permission"]),
    ("branches", &["name", "protection"]),
];

/// A file's name without its ending.
fn stem(file: &str) -> &str {
    file.rsplit_once('.').map_or(file, |(stem, _)| stem)
}

/// What a shape cannot say.
fn check_layer(kind: FileKind, root: &Node, problems: &mut Vec<Problem>) {
    let single = kind == FileKind::Repo;
    for (list, identity) in [("teams", "name"), ("collaborators", "username"), ("branches", "name")] {
        let items = root.get(list).map(Node::items).unwrap_or_default();
        for (at, item) in items.iter().enumerate() {
            for key in ["include", "exclude"] {
                item.get(key).map(|node| patterns(node, Pattern::glob, problems));
            }
            let same = |other: &Node| match (other.get(identity), item.get(identity)) {
                (Some(one), Some(two)) => same_name(list, one, two),
                _ => false,
            };
            // Entries for different repositories may name one team twice.
            let everywhere = |node: &Node| node.get("include").is_none() && node.get("exclude").is_none();
            if items[..at].iter().any(|other| same(other) && everywhere(other) && everywhere(item)) {
                let text = format!("`{list}` has this entry twice");
                problems.push(Problem::error(item.asked.clone(), item.column, text));
            }
        }
    }
    for (list, keys) in REQUIRED {
        for item in root.get(list).map(Node::items).unwrap_or_default() {
            for key in *keys {
                if item.get(key).is_none() {
                    let text = format!("an entry of `{list}` needs `{key}`");
                    problems.push(Problem::error(item.asked.clone(), item.column, text));
                }
            }
        }
    }
    let Some(repository) = root.get("repository") else { return };
    for key in ["description", "homepage"] {
        if let Some(value) = repository.get(key)
            && value.text().is_some_and(|text| text.trim_end().chars().any(char::is_control))
        {
            let text = format!("`repository.{key}`: GitHub takes one line, without control characters");
            problems.push(Problem::error(value.asked.clone(), value.column, text));
        }
    }
    let mut refuse = |key: &str, value: &Node, why: &str| {
        problems.push(Problem::error(
            value.asked.clone(),
            value.column,
            format!("`repository.{key}`: {why}"),
        ));
    };
    if let Some(value) = repository.get("archived").filter(|value| !single && value.bool() == Some(false)) {
        refuse(
            "archived",
            value,
            "`false` for a whole layer would unarchive every repository; say it in repos/NAME.yml",
        );
    }
    if let Some(value) = repository.get("name").filter(|_| !single) {
        refuse("name", value, "a whole layer cannot have one name; say it in repos/NAME.yml");
    }
    if let (Some(private), Some(visibility)) = (repository.get("private"), repository.get("visibility")) {
        let says_private = visibility.text() == Some("private");
        if private
            .bool()
            .is_some_and(|private| private != says_private && visibility.text() != Some("internal"))
        {
            refuse("private", private, "it contradicts `visibility`");
        }
    }
}

fn read_folder(folder: &Path) -> Result<BTreeMap<String, String>, PolicyError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |why| PolicyError::Unreadable { path, why }
    };
    let mut sources = BTreeMap::new();
    std::fs::read_dir(folder).map_err(unreadable(folder))?;
    for (part, wanted) in [("", &["settings", "deployment-settings"][..]), ("suborgs", &[]), ("repos", &[])] {
        let path = folder.join(part);
        let entries = match std::fs::read_dir(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            entries => entries.map_err(unreadable(&path))?,
        };
        for entry in entries {
            let path = entry.map_err(unreadable(&path))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            let Some((stem, "yml" | "yaml")) = name.rsplit_once('.') else { continue };
            if !wanted.is_empty() && !wanted.contains(&stem) {
                continue;
            }
            let text = std::fs::read_to_string(&path).map_err(unreadable(&path))?;
            let file = if part.is_empty() { name } else { format!("{part}/{name}") };
            sources.insert(file, text);
        }
    }
    Ok(sources)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn load(text: &str) -> Result<Policy, PolicyError> {
        let sources = BTreeMap::from([("settings.yml".to_owned(), text.to_owned())]);
        Policy::from_sources(sources, "admin", Path::new("policy"))
    }

    proptest! {
        #[test]
        fn any_text_is_accepted_or_refused_with_its_place(text in "[ -~\n]{0,200}") {
            if let Err(PolicyError::Invalid { problems, sources }) = load(&text) {
                for problem in problems {
                    prop_assert!(problem.asked.line >= 1);
                    let _ = problem.render(sources.get("settings.yml").map(String::as_str)); // it must not panic
                }
            }
        }

        #[test]
        fn any_change_of_a_good_policy_is_accepted_or_refused(at in 0usize..400, with in "[ -~\n]{0,6}") {
            const GOOD: &str = "repository: { has_wiki: false, topics: [a] }\nteams:\n  - name: a\n    permission: pull\n\
                branches:\n  - name: default\n    protection:\n      required_status_checks: { strict: true, contexts: [x] }\n";
            let at = at % GOOD.len();
            let text = format!("{}{with}{}", &GOOD[..at], &GOOD[at..]);
            let _ = load(&text); // it must not panic
        }
    }

    #[test]
    fn the_generation_is_a_name_of_the_content() {
        let one = load("repository: { has_wiki: false }").unwrap().generation;
        assert_eq!(one, load("repository: { has_wiki: false }").unwrap().generation);
        assert_ne!(one, load("repository: { has_wiki: true }").unwrap().generation);
    }
}
