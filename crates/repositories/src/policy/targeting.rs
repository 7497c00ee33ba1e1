//! Which layers reach a repository, and which repositories are left alone.

use beadle_github::Repository;

use super::files::{Layer, LayerKind, Policy};
use super::merge::merge;
use super::node::Node;

/// GitHub's repository for an organisation's defaults, and the incumbent's own; left alone unless a file names them.
const LEFT_OUT: &[&str] = &[".github", "safe-settings"];

/// What a policy says to one repository.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Nothing, and why.
    Skipped(String),
    /// The layers laid over each other.
    Reached(Target),
}

/// The layers that reach a repository, laid over each other.
#[derive(Clone, Debug)]
pub struct Target {
    /// What is asked for.
    pub root: Option<Node>,
    /// Sections of layers of which it is not known whether they reach it, and why. Nothing of them is touched.
    pub doubtful: Vec<(String, String)>,
}

impl Policy {
    /// What the policy says to `repository`. `own` is a file that is this repository's although it has another name now.
    pub fn resolve(&self, repository: &Repository, own: Option<&Layer>) -> Verdict {
        let name = repository.name.as_str();
        let named = self.file_of(name).or(own);
        let is_own = |layer: &Layer| own.is_some_and(|own| own.file == layer.file);
        let own = LEFT_OUT.iter().copied().chain([self.home.as_str()]);
        if named.is_none() && own.into_iter().any(|own| name.eq_ignore_ascii_case(own)) {
            return Verdict::Skipped("left out unless a file in repos/ names it".into());
        }
        if repository.is_advisory_fork() && named.is_none() {
            return Verdict::Skipped("a private fork of a security advisory".into());
        }
        if let Some(pattern) = self.excluded.iter().find(|pattern| pattern.is_match(name)) {
            return Verdict::Skipped(format!("restrictedRepos excludes `{}`", pattern.text()));
        }
        if !self.included.is_empty() && !self.included.iter().any(|pattern| pattern.is_match(name)) {
            return Verdict::Skipped("restrictedRepos does not include it".into());
        }
        let mut target = Target { root: None, doubtful: Vec::new() };
        for layer in &self.layers {
            match if is_own(layer) { Ok(true) } else { reaches(layer, repository) } {
                Ok(true) => {
                    target.root = Some(match &target.root {
                        None => layer.root.clone(),
                        Some(root) => merge(root, &layer.root),
                    });
                }
                Ok(false) => {}
                Err(why) => {
                    let sections = layer.root.entries().iter().filter_map(|(key, _)| key.text());
                    target.doubtful.extend(sections.map(|section| (section.to_owned(), why.clone())));
                }
            }
        }
        if repository.archived {
            let asked = named.and_then(|layer| layer.root.get("repository")?.get("archived")?.bool());
            if asked != Some(false) {
                return Verdict::Skipped("archived".into());
            }
        }
        Verdict::Reached(target)
    }

    /// The file in repos/ for the repository of this name.
    pub fn file_of(&self, name: &str) -> Option<&Layer> {
        self.layers.iter().find(|layer| names(layer, name))
    }

    /// Files and selectors that reach none of these names, each with what to say about it.
    pub fn unmatched(&self, names: &[&str]) -> Vec<String> {
        let mut unmatched = Vec::new();
        for layer in &self.layers {
            match &layer.kind {
                LayerKind::Organisation => {}
                LayerKind::Repository(file) => {
                    let given = layer.given_name().unwrap_or(file);
                    let is_its =
                        |name: &&str| name.eq_ignore_ascii_case(file) || name.eq_ignore_ascii_case(given);
                    if !names.iter().any(is_its) {
                        unmatched.push(format!("{}: there is no repository `{file}`", layer.file));
                    }
                }
                LayerKind::Suborg { globs, .. } => {
                    for glob in globs {
                        let text = glob.text();
                        if !names.iter().any(|name| glob.is_match(name)) {
                            unmatched
                                .push(format!("{}: suborgrepos `{text}` matches no repository", layer.file));
                        }
                    }
                }
            }
        }
        for glob in self.excluded.iter().chain(&self.included) {
            let text = glob.text();
            if !names.iter().any(|name| glob.is_match(name)) {
                unmatched.push(format!("restrictedRepos `{text}` matches no repository"));
            }
        }
        unmatched
    }
}

/// Whether a file in repos/ is called like this repository.
fn names(layer: &Layer, name: &str) -> bool {
    matches!(&layer.kind, LayerKind::Repository(file) if file.eq_ignore_ascii_case(name))
}

impl Layer {
    /// The name that a file in repos/ gives its repository.
    pub fn given_name(&self) -> Option<&str> {
        self.root.get("repository")?.get("name")?.text()
    }
}

/// Whether a layer reaches a repository; `Err` where it cannot be known.
fn reaches(layer: &Layer, repository: &Repository) -> Result<bool, String> {
    match &layer.kind {
        LayerKind::Organisation => Ok(true),
        LayerKind::Repository(_) => Ok(names(layer, &repository.name)),
        LayerKind::Suborg { globs, teams, unresolved } => {
            if globs.iter().any(|glob| glob.is_match(&repository.name)) {
                return Ok(true);
            }
            if !teams.is_empty() {
                match &repository.teams {
                    Some(Ok(have)) => {
                        let has =
                            |team: &String| have.iter().any(|other| other.slug.eq_ignore_ascii_case(team));
                        if teams.iter().any(has) {
                            return Ok(true);
                        }
                    }
                    Some(Err(why)) => {
                        return Err(format!("{}: the repository's teams are unknown: {why}", layer.file));
                    }
                    None => return Err(format!("{}: the repository's teams were not read", layer.file)),
                }
            }
            if *unresolved {
                return Err(format!("{}: suborgproperties cannot be evaluated by this version", layer.file));
            }
            Ok(false)
        }
    }
}
