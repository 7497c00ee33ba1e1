//! Finds the layers that reach a repository, and the repositories that Beadle leaves alone.

use beadle_engine::PolicyLocation;
use beadle_github::{Known, Repository, Unsure};

use super::contradictions::found;
use super::files::Policy;
use super::layers::{Layer, LayerKind, ListMode, ListModes, conflicts, contradictions};
use super::merge::{merge, without_entries};
use super::node::{Kind, Node};
use super::pattern::Pattern;
use crate::organisation;

/// GitHub's repository for an organisation's defaults, and the incumbent's own; left alone unless a file names them.
const LEFT_OUT: &[&str] = &[".github", "safe-settings"];

/// The result of a policy for one repository.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Nothing, and why.
    Skipped(String),
    /// The layers laid over each other.
    Reached(MergedLayers),
}

/// The layers that reach a repository, laid over each other.
#[derive(Clone, Debug)]
pub struct MergedLayers {
    /// The values of all layers.
    pub root: Option<Node>,
    /// Sections of layers of which it is not known whether they reach it, or that contradict each other, and why. Nothing
    /// of them is touched.
    pub doubtful: Vec<(String, Unsure)>,
    /// The layers that reach it, lowest first.
    pub layers: Vec<Reached>,
    /// The files of layers of which it is not known whether they reach it.
    pub in_doubt: Vec<String>,
    /// The sections of which a part is left alone, each with the reason: what only a waiting file
    /// specifies, and values of `repository` that contradict each other.
    pub waiting: Vec<(String, String)>,
    /// Lists that say themselves whether they are exclusive; the highest layer's word.
    pub list_modes: ListModes,
}

/// A layer that reaches a repository.
#[derive(Clone, Debug)]
pub struct Reached {
    /// Its file.
    pub file: String,
    /// Its rank.
    pub rank: i64,
    /// The place of the case of `first_match` that holds.
    case: Option<usize>,
    /// The values that it has for this repository.
    pub root: Node,
    /// The words of its lists.
    list_modes: ListModes,
}

impl Policy {
    /// Returns the policy's target for `repository`, given how the files in repos/ stand to it.
    pub fn resolve(&self, repository: &Repository, standing: &OverrideStatus<'_>) -> Verdict {
        let name = repository.name.as_str();
        let waits = &standing.waits;
        let is_waiting = |layer: &Layer| waits.iter().any(|(waiting, _)| waiting.file == layer.file);
        let named = self.file_of(name).filter(|layer| !is_waiting(layer)).or(standing.own);
        let is_own = |layer: &Layer| standing.own.is_some_and(|own| own.file == layer.file);
        if named.is_none() && waits.is_empty() && self.leaves_out(name) {
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
        let mut target = MergedLayers {
            root: None,
            doubtful: Vec::new(),
            layers: Vec::new(),
            in_doubt: Vec::new(),
            waiting: Vec::new(),
            list_modes: ListModes::new(),
        };
        for layer in self.layers.iter().filter(|layer| !is_waiting(layer)) {
            match if is_own(layer) { Ok(true) } else { reaches(layer, repository) } {
                Ok(true) => target.lay(layer, repository),
                Ok(false) => {}
                Err(why) => target.doubt(layer, &why),
            }
        }
        for (layer, why) in waits {
            target.wait_for(layer, why);
        }
        target.contradict(&self.disabled);
        if repository.archived {
            let asked = named.and_then(|layer| layer.root.get("repository")?.get("archived")?.bool());
            if asked != Some(false) {
                return Verdict::Skipped("archived".into());
            }
        }
        Verdict::Reached(target)
    }

    /// Returns whether a repository of this name is neither read nor counted by a plan or sweep of
    /// all of them: the policy's own, and the organisation's defaults, unless a file in repos/
    /// names them.
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

impl MergedLayers {
    /// Lays a layer over what is there.
    fn lay(&mut self, layer: &Layer, repository: &Repository) {
        let mut held = None;
        for (at, case) in layer.cases.iter().enumerate() {
            match case.choice.is_match(repository) {
                Ok(true) => {
                    held = Some(at);
                    break;
                }
                Ok(false) => {}
                Err(why) => return self.doubt(layer, &why.of_file(&layer.file)),
            }
        }
        let (root, list_modes) = said(layer, held);
        for other in self.layers.iter().filter(|other| other.rank == layer.rank) {
            let contrary = contradictions(&other.list_modes, &list_modes);
            for (path, one, two) in conflicts(&other.root, &root).into_iter().chain(contrary) {
                let section = if path == "topics" { "repository" } else { path.as_str() };
                let section = section.split(['.', '[']).next().unwrap_or_default().to_owned();
                let why =
                    format!("{one} and {two} say different things of `{path}`; give one file a higher rank");
                self.doubtful.push((section, Unsure::for_people(why)));
            }
        }
        self.put_over(&root, &list_modes);
        self.layers.push(Reached {
            file: layer.file.clone(),
            rank: layer.rank,
            case: held,
            root,
            list_modes,
        });
    }

    /// Leaves alone what the layers together ask for and GitHub refuses: some keys of `repository`,
    /// whose other values are still kept, or a whole section.
    fn contradict(&mut self, disabled: &[String]) {
        let Some(root) = &self.root else { return };
        let (mut keys, mut waiting, mut doubtful) = (Vec::new(), Vec::new(), Vec::new());
        for contradiction in found(root, &|asked| self.rank(asked)) {
            let Some(section) = contradiction.names.first().filter(|_| !contradiction.is_disabled(disabled))
            else {
                continue;
            };
            let section = (*section).to_owned();
            if contradiction.keys.is_empty() {
                doubtful.push((section, Unsure::for_people(contradiction.why())));
            } else {
                waiting.push((section, contradiction.why()));
                keys.extend(contradiction.keys.iter().copied());
            }
        }
        if !keys.is_empty()
            && let Some(repository) = root.get("repository")
        {
            self.root = Some(root.with("repository", &repository.without(&keys)));
        }
        self.waiting.extend(waiting);
        self.doubtful.extend(doubtful);
    }

    fn put_over(&mut self, root: &Node, list_modes: &ListModes) {
        self.root = Some(match &self.root {
            None => root.clone(),
            Some(under) => merge(under, root),
        });
        self.list_modes.extend(list_modes.clone());
    }

    /// Returns the target as it would be if exactly those selections held (see [`MergedLayers::holds`]) for
    /// which `held` is true.
    pub(crate) fn as_if(&self, policy: &Policy, held: impl Fn(&str) -> bool) -> Self {
        let mut other = Self { root: None, list_modes: ListModes::new(), ..self.clone() };
        for layer in &policy.layers {
            let reaches = match &layer.kind {
                LayerKind::Suborg { .. } | LayerKind::Selected(_) => held(&layer.file),
                LayerKind::Organisation | LayerKind::Repository(_) => self.holds(&layer.file),
            };
            if reaches {
                let case = (0..layer.cases.len()).find(|at| held(&format!("{}#{at}", layer.file)));
                let (root, list_modes) = said(layer, case);
                other.put_over(&root, &list_modes);
            }
        }
        other
    }

    /// Returns whether a layer's selection (its file, or `file#n` for its n-th case) holds for the
    /// repository.
    pub(crate) fn holds(&self, selection: &str) -> bool {
        let (file, case) = match selection.split_once('#') {
            Some((file, case)) => (file, case.parse::<usize>().ok()),
            None => (selection, None),
        };
        let holds = |layer: &Reached| layer.file == file && (case.is_none() || layer.case == case);
        self.layers.iter().any(holds)
    }

    /// Takes out what a file says that belongs to this repository, or not, as nobody knows: the
    /// other layers go on, and what the file alone says is neither made nor undone.
    fn wait_for(&mut self, layer: &Layer, why: &str) {
        if let Some(root) = &self.root {
            self.root = Some(without_said(root, &layer.root));
        }
        for section in layer.sections() {
            // The file may add an entry that a list lacks.
            let word = ListMode { exclusive: false, asked: layer.root.asked.clone() };
            let topics = (section == "repository"
                && layer.root.get("repository").is_some_and(|node| node.get("topics").is_some()))
            .then(|| "topics".to_owned());
            self.list_modes.extend(topics.map(|topics| (topics, word.clone())));
            self.list_modes.insert(section.clone(), word);
            self.waiting.push((section, why.to_owned()));
        }
    }

    /// Nothing of a layer's sections is touched.
    fn doubt(&mut self, layer: &Layer, why: &Unsure) {
        self.in_doubt.push(layer.file.clone());
        self.doubtful.extend(layer.sections().into_iter().map(|section| (section, why.clone())));
    }

    /// The rank of the layer that a line belongs to.
    pub(crate) fn rank(&self, asked: &PolicyLocation) -> i64 {
        self.layers.iter().find(|layer| layer.file == *asked.file).map_or(0, |layer| layer.rank)
    }
}

/// The relation of the files in repos/ to a repository.
#[derive(Clone, Debug, Default)]
pub struct OverrideStatus<'a> {
    /// Files that belonged to another repository of this name, or to this one under another name,
    /// and a file of its name beside its own one, each with why it waits.
    pub waits: Vec<(&'a Layer, String)>,
    /// The file that is this repository's although it is called otherwise.
    pub own: Option<&'a Layer>,
}

/// Returns the values of a layer of which this case holds, and the words of its lists.
fn said(layer: &Layer, case: Option<usize>) -> (Node, ListModes) {
    let mut root = match &layer.kind {
        LayerKind::Organisation => layer.root.without(&organisation::SECTIONS),
        _ => layer.root.clone(),
    };
    let mut list_modes = ListModes::new();
    for name in &layer.additive {
        list_modes.insert(name.clone(), ListMode { exclusive: false, asked: layer.root.asked.clone() });
    }
    let of_organisation = |section: &String| {
        matches!(layer.kind, LayerKind::Organisation) && organisation::SECTIONS.contains(&section.as_str())
    };
    list_modes.extend(layer.list_modes.clone().into_iter().filter(|(section, _)| !of_organisation(section)));
    if let Some(case) = case.and_then(|at| layer.cases.get(at)) {
        root = merge(&root, &case.root);
        list_modes.extend(case.list_modes.clone());
    }
    (root, list_modes)
}

/// `root` without the values and the entries of lists that `said` speaks of.
fn without_said(root: &Node, said: &Node) -> Node {
    let kind = match (&root.kind, &said.kind) {
        (Kind::Map(entries), Kind::Map(_)) => {
            let kept = entries.iter().filter_map(|(key, value)| {
                let other = key.text().and_then(|key| said.get(key));
                match (&value.kind, other) {
                    (_, None) => Some((key.clone(), value.clone())),
                    (Kind::Map(_), Some(other)) if matches!(other.kind, Kind::Map(_)) => {
                        Some((key.clone(), without_said(value, other)))
                    }
                    (Kind::List(_), Some(other)) if matches!(other.kind, Kind::List(_)) => {
                        Some((key.clone(), without_entries(key.text().unwrap_or_default(), value, other)))
                    }
                    _ => None,
                }
            });
            Kind::Map(kept.collect())
        }
        _ => return root.clone(),
    };
    Node { kind, ..root.clone() }
}

/// Returns whether a file in repos/ is called like this repository.
fn names(layer: &Layer, name: &str) -> bool {
    matches!(&layer.kind, LayerKind::Repository(file) if file.eq_ignore_ascii_case(name))
}

/// Returns whether a layer reaches a repository; `Err` where it cannot be known.
fn reaches(layer: &Layer, repository: &Repository) -> Result<bool, Unsure> {
    match &layer.kind {
        LayerKind::Organisation => Ok(true),
        LayerKind::Repository(_) => Ok(names(layer, &repository.name)),
        LayerKind::Selected(choice) => choice.is_match(repository).map_err(|why| why.of_file(&layer.file)),
        LayerKind::Suborg { globs, teams, properties } => {
            if globs.iter().any(|glob| glob.is_match(&repository.name)) {
                return Ok(true);
            }
            let mut missing = None;
            if !teams.is_empty() {
                missing = teams.iter().find_map(|team| repository.missing.team(team));
                match &repository.teams {
                    Known::Known(have) => {
                        let has =
                            |team: &String| have.iter().any(|other| other.slug.eq_ignore_ascii_case(team));
                        if teams.iter().any(has) {
                            return Ok(true);
                        }
                    }
                    Known::Unknown(Unsure { why, transient }) => {
                        let why = format!("{}: the repository's teams are unknown: {why}", layer.file);
                        return Err(Unsure { why, transient: *transient });
                    }
                    Known::NotAsked => {
                        let why = format!("{}: the repository's teams were not read", layer.file);
                        return Err(Unsure::for_now(why));
                    }
                }
            }
            let mut doubt = missing.cloned();
            for property in properties {
                match property.is_match(repository) {
                    Ok(true) => return Ok(true),
                    Ok(false) => {}
                    Err(why) => doubt = Some(Unsure::sooner(doubt.as_ref(), &why).clone()),
                }
            }
            doubt.map_or(Ok(false), |why| Err(why.of_file(&layer.file)))
        }
    }
}
