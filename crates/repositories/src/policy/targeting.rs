//! Finds the layers that apply to a repository, and the repositories that Beadle skips.

use std::collections::BTreeSet;

use beadle_engine::PolicyLocation;
use beadle_engine::plan::ARCHIVED;
use beadle_github::{Known, Repository, Unsure};

use super::conflicts::conflicts;
use super::contradictions::found;
use super::files::Policy;
use super::layers::{Layer, LayerKind, ListMode, ListModes, contradictions, drop_modes, without_plugins};
use super::merge::{has_edits, merge, settle, without_entries};
use super::node::{Kind, Node};
use super::pattern::Pattern;
use super::spellings::{with_default_branches, with_security};
use super::waiver::Waiver;
use crate::organisation;

/// The names of two special repositories. `.github` contains the defaults of an organisation, and
/// `safe-settings` contains a policy. Beadle skips such a repository, unless a file in repos/ has
/// the repository's name.
const SKIPPED: &[&str] = &[".github", "safe-settings"];

/// Returns whether Beadle skips a repository because of its name. Beadle does so only if the
/// repository has no file in repos/. `home` is the name of the repository that contains the policy
/// files.
pub(crate) fn is_skipped_by_name(name: &str, home: &str) -> bool {
    SKIPPED.iter().copied().chain([home]).any(|other| name.eq_ignore_ascii_case(other))
}

/// The policy's decision about one repository.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "a verdict is taken apart at once, and never stored")]
pub enum Verdict {
    /// Beadle skips the repository. The text contains the reason.
    Skipped(String),
    /// Beadle applies these layers to the repository.
    Reached(MergedLayers),
}

/// The layers that apply to a repository, merged in the order of their ranks.
#[derive(Clone, Debug)]
pub struct MergedLayers {
    /// The merged values of all layers. `None` if no layer applies to the repository.
    pub root: Option<Node>,
    /// The undecided sections. Beadle does not change these sections. Each section comes with its
    /// reason. There are two possible reasons: Beadle does not know whether a layer applies to the
    /// repository, or two layers contradict each other.
    pub undecided: Vec<(String, Unsure)>,
    /// The layers that apply to the repository. The layer of the lowest rank comes first.
    pub layers: Vec<Reached>,
    /// The files of the uncertain layers. Beadle does not know whether such a layer applies to the
    /// repository.
    pub undecided_files: Vec<String>,
    /// The sections that Beadle changes only partly. Each section comes with its reason. There are
    /// two possible reasons: only a suspended file sets the unchanged part, or values of the
    /// section `repository` contradict each other.
    pub partly_undecided: Vec<(String, String)>,
    /// The modes of the lists. If several layers set the mode of a list, the layer of the highest
    /// rank wins.
    pub list_modes: ListModes,
    /// The waivers with an effect on the repository. Each waiver contains only the exempted keys of
    /// this repository.
    pub waivers: Vec<Waiver>,
    /// The waived keys of entries that the policy does not declare.
    pub absent_waived: Vec<String>,
    /// The sections that a layer removes from higher layers with `disable_plugins`. Each section
    /// comes with the rank of this layer.
    disabled_above: Vec<(i64, String)>,
    /// A file that has no text at all, and that might apply to the repository. If the file lost its
    /// values by mistake, this loss might be the only cause of a removal, weakening or exposure.
    pub(crate) emptied: Option<String>,
}

/// A layer that applies to a repository.
#[derive(Clone, Debug)]
pub struct Reached {
    /// The path of the layer's file.
    pub file: String,
    /// The rank of the layer.
    pub rank: i64,
    /// The index of the applicable entry of `first_match`. `None` if no entry applies.
    case: Option<usize>,
    /// The values that the layer sets for this repository.
    pub root: Node,
    /// The modes that the layer sets for its lists.
    list_modes: ListModes,
}

impl Policy {
    /// Decides what the policy declares for a repository. `status` contains the files in repos/
    /// that belong to the repository.
    pub fn resolve(&self, repository: &Repository, status: &OverrideStatus<'_>) -> Verdict {
        let name = repository.name.as_str();
        let suspended = &status.waits;
        let is_suspended = |layer: &Layer| suspended.iter().any(|(other, _)| other.file == layer.file);
        let named = self.file_of(name).filter(|layer| !is_suspended(layer)).or(status.own);
        let is_own = |layer: &Layer| status.own.is_some_and(|own| own.file == layer.file);
        if named.is_none() && suspended.is_empty() && (status.is_home || self.leaves_out(name)) {
            return Verdict::Skipped("needs a file of its own in repos/".into());
        }
        if repository.is_advisory_fork() && named.is_none() {
            return Verdict::Skipped("a private fork of a security advisory".into());
        }
        if let Some(reason) = self.restricted.reason(name) {
            return Verdict::Skipped(reason);
        }
        let mut target = MergedLayers {
            root: None,
            undecided: Vec::new(),
            layers: Vec::new(),
            undecided_files: Vec::new(),
            partly_undecided: Vec::new(),
            list_modes: ListModes::new(),
            waivers: Vec::new(),
            absent_waived: Vec::new(),
            disabled_above: Vec::new(),
            emptied: None,
        };
        // A file that lost its text also lost its selectors. So this file might apply to the
        // repository.
        let may_reach = |layer: &&Layer| {
            let layer: &Layer = layer;
            let is_of_another = matches!(layer.kind, LayerKind::Repository(_)) && !names(layer, name);
            layer.is_blank && (!is_of_another || is_own(layer) || is_suspended(layer))
        };
        let further = suspended.iter().map(|(layer, _)| layer.file.as_str());
        let further = further.chain(status.own.map(|own| own.file.as_str()));
        let candidates = self.index.candidates(&self.layers, name, further);
        target.emptied = candidates.iter().copied().find(may_reach).map(|layer| layer.file.clone());
        for layer in candidates.into_iter().filter(|layer| !is_suspended(layer)) {
            match if is_own(layer) { Ok(true) } else { reaches(layer, repository) } {
                Ok(true) => target.lay(layer, repository),
                Ok(false) => {}
                Err(why) => target.leave_undecided(layer, &why),
            }
        }
        if let Some(root) = &mut target.root {
            settle(root);
        }
        for (layer, why) in suspended {
            target.suspend(layer, why);
        }
        target.contradict(&self.disabled);
        target.obey(self, repository);
        target.waive(&status.waivers, repository.default_branch.as_deref());
        if repository.archived {
            let archived = named.and_then(|layer| layer.root.get("repository")?.get("archived")?.bool());
            // If Beadle must not change `archived`, it cannot unarchive the repository. GitHub
            // accepts no other write to an archived repository.
            let leaves = |name: &str| ["repository", "archive"].contains(&name);
            let mut disabled = self.disabled.iter().chain(target.disabled_above.iter().map(|(_, name)| name));
            let is_left = disabled.any(|name| leaves(name)) || target.waives_archived();
            if archived != Some(false) || is_left {
                return Verdict::Skipped(ARCHIVED.into());
            }
        }
        Verdict::Reached(target)
    }

    /// Returns whether a plan or sweep of all repositories skips the repository with this name.
    /// Such a plan or sweep skips the repository of the policy, and the repositories in `SKIPPED`.
    /// But it never skips a repository that has a file in repos/.
    pub fn leaves_out(&self, name: &str) -> bool {
        is_skipped_by_name(name, &self.home) && self.file_of(name).is_none()
    }

    /// Returns the file in repos/ with this name.
    pub fn file_of(&self, name: &str) -> Option<&Layer> {
        self.index.named(&self.layers, name)
    }

    /// Returns a message for each file or pattern of the policy that does not match any of `names`.
    /// Also returns a message if `restrictedRepos` restricts all of `names`.
    pub fn unmatched(&self, names: &[&str]) -> Vec<String> {
        let mut unmatched = Vec::new();
        // The list of layers and `names` can both have thousands of entries.
        let known: BTreeSet<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
        let is_known = |name: &str| known.contains(&name.to_ascii_lowercase());
        for layer in &self.layers {
            match &layer.kind {
                LayerKind::Organisation | LayerKind::Selected(_) => {}
                LayerKind::Repository(file) => {
                    let is_given = layer.given_name().is_some_and(is_known);
                    if !is_known(file) && !is_given && self.creation(file).is_none() {
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
                globs.filter(none).map(|glob| {
                    format!("{}: the pattern `{}` matches no repository", layer.file, glob.text())
                }),
            );
        }
        unmatched.extend(self.restricted.unmatched(names));
        let swept: Vec<&str> = names.iter().copied().filter(|name| !self.leaves_out(name)).collect();
        unmatched.extend(self.restricted.skips_all(&swept));
        unmatched
    }
}

impl MergedLayers {
    /// Returns the reason why removals, weakenings and exposures need an approval. Returns `None`
    /// if these changes need no approval.
    pub(crate) fn doubt(&self) -> Option<String> {
        let file = self.emptied.as_ref()?;
        Some(format!(
            "{file} has no text: its values may be lost; restore or delete the file, or approve the change if it is \
             right"
        ))
    }

    /// Merges a layer into the layers of lower rank.
    fn lay(&mut self, layer: &Layer, repository: &Repository) {
        let mut applied = None;
        for (at, case) in layer.cases.iter().enumerate() {
            match case.choice.is_match(repository) {
                Ok(true) => {
                    applied = Some(at);
                    break;
                }
                Ok(false) => {}
                Err(why) => return self.leave_undecided(layer, &why.of_file(&layer.file)),
            }
        }
        let (root, list_modes) = self.values_of(layer, applied);
        for other in self.layers.iter().filter(|other| other.rank == layer.rank) {
            let modes = contradictions(&other.list_modes, &list_modes);
            let [one, two] = [&other.root, &root].map(|root| comparable(root, repository));
            for (path, one, two) in conflicts(&one, &two).into_iter().chain(modes) {
                let section = if path == "topics" { "repository" } else { path.as_str() };
                let section = section.split(['.', '[']).next().unwrap_or_default().to_owned();
                let why = format!("{one} and {two} disagree about `{path}`; give one file a higher `rank`");
                self.undecided.push((section, Unsure::for_people(why)));
            }
        }
        self.put_over(&root, &list_modes);
        self.layers.push(Reached {
            file: layer.file.clone(),
            rank: layer.rank,
            case: applied,
            root,
            list_modes,
        });
    }

    /// Removes values that contradict each other. GitHub would refuse such values, so Beadle must
    /// not write them. In the section `repository`, the function removes only the contradicting
    /// keys. For other sections, the function removes the whole section.
    fn contradict(&mut self, disabled: &[String]) {
        let Some(root) = &self.root else { return };
        let (mut keys, mut partly, mut undecided) = (Vec::new(), Vec::new(), Vec::new());
        for contradiction in found(root, &|asked| self.rank(asked)) {
            let Some(section) = contradiction.names.first().filter(|_| !contradiction.is_disabled(disabled))
            else {
                continue;
            };
            let section = (*section).to_owned();
            if contradiction.keys.is_empty() {
                undecided.push((section, Unsure::for_people(contradiction.why())));
            } else {
                partly.push((section, contradiction.why()));
                keys.extend(contradiction.keys.iter().copied());
            }
        }
        if !keys.is_empty()
            && let Some(repository) = root.get("repository")
        {
            self.root = Some(root.with("repository", &repository.without(&keys)));
        }
        self.partly_undecided.extend(partly);
        self.undecided.extend(undecided);
    }

    /// Returns the values of a layer, and the modes of the layer's lists. The result omits the
    /// sections that layers of lower rank disable. The function also records the sections that this
    /// layer disables.
    fn values_of(&mut self, layer: &Layer, case: Option<usize>) -> (Node, ListModes) {
        let (root, mut list_modes) = values_of(layer, case);
        let below = self.disabled_above.iter().filter(|(rank, _)| *rank < layer.rank);
        let disabled: Vec<String> = below.map(|(_, name)| name.clone()).collect();
        drop_modes(&mut list_modes, &disabled);
        self.disabled_above.extend(layer.disabled_above.iter().map(|name| (layer.rank, name.clone())));
        (without_plugins(&root, &disabled), list_modes)
    }

    fn put_over(&mut self, root: &Node, list_modes: &ListModes) {
        self.root = Some(match &self.root {
            None => root.clone(),
            Some(under) => merge(under, root),
        });
        self.list_modes.extend(list_modes.clone());
    }

    /// Merges the layers again for an assumed state of the repository. In the assumed state, a
    /// selection applies if `held` returns true for the selection's name. [`MergedLayers::holds`]
    /// explains the names of selections.
    pub(crate) fn as_if(&self, policy: &Policy, held: impl Fn(&str) -> bool) -> Self {
        let mut other =
            Self { root: None, list_modes: ListModes::new(), disabled_above: Vec::new(), ..self.clone() };
        for layer in &policy.layers {
            let reaches = match &layer.kind {
                LayerKind::Suborg { .. } | LayerKind::Selected(_) => held(&layer.file),
                LayerKind::Organisation | LayerKind::Repository(_) => self.holds(&layer.file),
            };
            if reaches {
                let case = (0..layer.cases.len()).find(|at| held(&format!("{}#{at}", layer.file)));
                let (root, list_modes) = other.values_of(layer, case);
                other.put_over(&root, &list_modes);
            }
        }
        if let Some(root) = &mut other.root {
            settle(root);
        }
        other.waive(&self.waivers, None);
        other
    }

    /// Returns whether a selection applies to the repository. The name of a selection is the path
    /// of a layer's file. The n-th entry of the file's `first_match` has the name `file#n`.
    pub(crate) fn holds(&self, selection: &str) -> bool {
        let (file, case) = match selection.split_once('#') {
            Some((file, case)) => (file, case.parse::<usize>().ok()),
            None => (selection, None),
        };
        let holds = |layer: &Reached| layer.file == file && (case.is_none() || layer.case == case);
        self.layers.iter().any(holds)
    }

    /// Suspends a file that might belong to another repository. The function removes the file's
    /// values from the merged layers. If no other file sets such a value, Beadle does not change
    /// the value at GitHub.
    fn suspend(&mut self, layer: &Layer, why: &str) {
        if let Some(root) = &self.root {
            self.root = Some(without_values("", root, &layer.root));
        }
        for section in layer.sections() {
            // The file might contain additional entries of a list. So Beadle must not remove any
            // entry.
            let additive = ListMode { exclusive: false, asked: layer.root.asked.clone() };
            let topics = (section == "repository"
                && layer.root.get("repository").is_some_and(|node| node.get("topics").is_some()))
            .then(|| "topics".to_owned());
            self.list_modes.extend(topics.map(|topics| (topics, additive.clone())));
            self.list_modes.insert(section.clone(), additive);
            self.partly_undecided.push((section, why.to_owned()));
        }
    }

    /// Marks all sections of a layer as undecided, so that Beadle does not change these sections.
    fn leave_undecided(&mut self, layer: &Layer, why: &Unsure) {
        self.undecided_files.push(layer.file.clone());
        self.undecided.extend(layer.sections().into_iter().map(|section| (section, why.clone())));
    }

    /// Returns the rank of the layer that contains a line.
    pub(crate) fn rank(&self, asked: &PolicyLocation) -> i64 {
        self.layers.iter().find(|layer| layer.file == *asked.file).map_or(0, |layer| layer.rank)
    }
}

/// The files in repos/ that apply to a repository, and the files that wait for a person's decision.
#[derive(Clone, Debug, Default)]
pub struct OverrideStatus<'a> {
    /// The suspended files. Each file comes with its reason. There are three possible reasons.
    /// First, the file belonged to another repository with the same name. Second, the file belonged
    /// to this repository under another name. Third, another file already belongs to this
    /// repository.
    pub waits: Vec<(&'a Layer, String)>,
    /// The file that belongs to this repository and has another name.
    pub own: Option<&'a Layer>,
    /// The waivers that are in force and cover this repository.
    pub waivers: Vec<Waiver>,
    /// True if the repository contains the policy. It is the same repository after a rename.
    pub is_home: bool,
}

/// Returns the values of a layer in the form in which Beadle compares layers of equal rank. In this
/// form, the rule of the default branch and the security features have both of their spellings.
fn comparable(root: &Node, repository: &Repository) -> Node {
    let branch: Vec<&str> = repository.default_branch.as_deref().into_iter().collect();
    with_security(&with_default_branches(root, &branch))
}

/// Returns the values of a layer, merged with the values of one entry of the layer's `first_match`.
/// Also returns the modes of the lists.
fn values_of(layer: &Layer, case: Option<usize>) -> (Node, ListModes) {
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

/// Compares `root` with `removed`. If a value or list entry is in both, the function removes it
/// from `root`. `section` is the section that contains a list in `include`.
fn without_values(section: &str, root: &Node, removed: &Node) -> Node {
    let kind = match (&root.kind, &removed.kind) {
        (Kind::Map(entries), Kind::Map(_)) => {
            let kept = entries.iter().filter_map(|(key, value)| {
                let other = key.text().and_then(|key| removed.get(key));
                let list = key.text().filter(|key| *key != "include").unwrap_or(section);
                match (&value.kind, other) {
                    (_, None) => Some((key.clone(), value.clone())),
                    // If the removed values edit a list of other files, no entry of this list is
                    // certain. Beadle cannot omit a single list inside a block, so Beadle omits the
                    // whole block.
                    (_, Some(other)) if key.text() != Some("repository") && has_edits(other) => None,
                    (Kind::Map(_), Some(other)) if matches!(other.kind, Kind::Map(_)) => {
                        Some((key.clone(), without_values(list, value, other)))
                    }
                    (Kind::List(_), Some(other)) if matches!(other.kind, Kind::List(_)) => {
                        Some((key.clone(), without_entries(list, value, other)))
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

/// Returns whether a layer is the file in repos/ with this name.
fn names(layer: &Layer, name: &str) -> bool {
    matches!(&layer.kind, LayerKind::Repository(file) if file.eq_ignore_ascii_case(name))
}

/// Returns whether a layer applies to a repository. Returns `Err` if Beadle does not know the
/// answer.
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
            let mut unsure = missing.cloned();
            for property in properties {
                match property.is_match(repository) {
                    Ok(true) => return Ok(true),
                    Ok(false) => {}
                    Err(why) => unsure = Some(Unsure::sooner(unsure.as_ref(), &why).clone()),
                }
            }
            unsure.map_or(Ok(false), |why| Err(why.of_file(&layer.file)))
        }
    }
}
