//! Which layers reach a repository, and which repositories are left alone.

use beadle_engine::Asked;
use beadle_github::Repository;

use super::files::Policy;
use super::layers::{Layer, LayerKind, Word, Words, conflicts, contradictions};
use super::merge::merge;
use super::node::Node;
use super::pattern::Pattern;

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
    /// Sections of layers of which it is not known whether they reach it, or that contradict each other, and why. Nothing
    /// of them is touched.
    pub doubtful: Vec<(String, String)>,
    /// The layers that reach it, lowest first.
    pub layers: Vec<Reached>,
    /// Lists that say themselves whether they are exclusive; the highest layer's word.
    pub words: Words,
}

/// A layer that reaches a repository.
#[derive(Clone, Debug)]
pub struct Reached {
    /// Its file.
    pub file: String,
    /// Its rank.
    pub rank: i64,
    /// What it says to this repository.
    pub root: Node,
    /// What its lists say of themselves.
    words: Words,
}

/// What `settings.yml` says of the organisation, and not of its repositories.
const OF_ORGANISATION: &[&str] = &["rulesets", "code_security_configurations"];

impl Policy {
    /// What the policy says to `repository`. `own` is a file that is this repository's although it has another name now.
    pub fn resolve(&self, repository: &Repository, own: Option<&Layer>) -> Verdict {
        let name = repository.name.as_str();
        let named = self.file_of(name).or(own);
        let is_own = |layer: &Layer| own.is_some_and(|own| own.file == layer.file);
        if named.is_none() && self.leaves_out(name) {
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
        let mut target = Target { root: None, doubtful: Vec::new(), layers: Vec::new(), words: Words::new() };
        for layer in &self.layers {
            match if is_own(layer) { Ok(true) } else { reaches(layer, repository) } {
                Ok(true) => target.lay(layer, repository),
                Ok(false) => {}
                Err(why) => target.doubt(layer, &why),
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

    /// Whether a repository of this name is neither read nor counted by a plan or sweep of all of them: the policy's own, and
    /// the organisation's defaults, unless a file in repos/ names them.
    pub fn leaves_out(&self, name: &str) -> bool {
        let mut left_out = LEFT_OUT.iter().copied().chain([self.home.as_str()]);
        left_out.any(|own| name.eq_ignore_ascii_case(own)) && self.file_of(name).is_none()
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
                LayerKind::Organisation | LayerKind::Selected(_) => {}
                LayerKind::Repository(file) => {
                    let given = layer.given_name().unwrap_or(file);
                    let is_its =
                        |name: &&str| name.eq_ignore_ascii_case(file) || name.eq_ignore_ascii_case(given);
                    if !names.iter().any(is_its) {
                        unmatched.push(format!("{}: there is no repository `{file}`", layer.file));
                    }
                }
                LayerKind::Suborg { globs, .. } => {
                    let none = |glob: &&Pattern| !names.iter().any(|name| glob.is_match(name));
                    unmatched.extend(globs.iter().filter(none).map(|glob| {
                        format!("{}: suborgrepos `{}` matches no repository", layer.file, glob.text())
                    }));
                }
            }
        }
        for layer in &self.layers {
            let globs = layer.selectors().flat_map(|selector| &selector.names);
            let none = |glob: &&Pattern| !names.iter().any(|name| glob.is_match(name));
            unmatched.extend(
                globs
                    .filter(none)
                    .map(|glob| format!("{}: the name `{}` matches no repository", layer.file, glob.text())),
            );
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

impl Target {
    /// Lays a layer over what is there.
    fn lay(&mut self, layer: &Layer, repository: &Repository) {
        let mut root = match &layer.kind {
            LayerKind::Organisation => layer.root.without(OF_ORGANISATION),
            _ => layer.root.clone(),
        };
        let mut words = Words::new();
        for name in &layer.additive {
            words.insert(name.clone(), Word { exclusive: false, asked: layer.root.asked.clone() });
        }
        let of_organisation = |section: &String| {
            matches!(layer.kind, LayerKind::Organisation) && OF_ORGANISATION.contains(&section.as_str())
        };
        words.extend(layer.words.clone().into_iter().filter(|(section, _)| !of_organisation(section)));
        for case in &layer.cases {
            match case.choice.is_match(repository) {
                Ok(true) => {
                    root = merge(&root, &case.root);
                    words.extend(case.words.clone());
                    break;
                }
                Ok(false) => {}
                Err(why) => return self.doubt(layer, &format!("{}: {why}", layer.file)),
            }
        }
        for other in self.layers.iter().filter(|other| other.rank == layer.rank) {
            let said = contradictions(&other.words, &words);
            for (path, one, two) in conflicts(&other.root, &root).into_iter().chain(said) {
                let section = if path == "topics" { "repository" } else { path.as_str() };
                let section = section.split(['.', '[']).next().unwrap_or_default().to_owned();
                let why =
                    format!("{one} and {two} say different things of `{path}`; give one file a higher rank");
                self.doubtful.push((section, why));
            }
        }
        self.root = Some(match &self.root {
            None => root.clone(),
            Some(under) => merge(under, &root),
        });
        self.words.extend(words.clone());
        self.layers.push(Reached { file: layer.file.clone(), rank: layer.rank, root, words });
    }

    /// Nothing of a layer's sections is touched.
    fn doubt(&mut self, layer: &Layer, why: &str) {
        let sections = layer.roots().flat_map(Node::entries).filter_map(|(key, _)| key.text());
        // Also where it only says that a list is additive.
        let words = layer.words.keys().chain(layer.cases.iter().flat_map(|case| case.words.keys()));
        let said =
            words.chain(&layer.additive).map(|name| if name == "topics" { "repository" } else { name });
        let all = sections.chain(said).map(|section| (section.to_owned(), why.to_owned()));
        self.doubtful.extend(all);
    }

    /// The rank of the layer that a line belongs to.
    pub(crate) fn rank(&self, asked: &Asked) -> i64 {
        self.layers.iter().find(|layer| layer.file == *asked.file).map_or(0, |layer| layer.rank)
    }
}

/// Whether a file in repos/ is called like this repository.
fn names(layer: &Layer, name: &str) -> bool {
    matches!(&layer.kind, LayerKind::Repository(file) if file.eq_ignore_ascii_case(name))
}

/// Whether a layer reaches a repository; `Err` where it cannot be known.
fn reaches(layer: &Layer, repository: &Repository) -> Result<bool, String> {
    match &layer.kind {
        LayerKind::Organisation => Ok(true),
        LayerKind::Repository(_) => Ok(names(layer, &repository.name)),
        LayerKind::Selected(choice) => {
            choice.is_match(repository).map_err(|why| format!("{}: {why}", layer.file))
        }
        LayerKind::Suborg { globs, teams, properties } => {
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
            for property in properties {
                if property.is_match(repository).map_err(|why| format!("{}: {why}", layer.file))? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
    }
}
