//! Loads the files of a policy: `settings.yml`, `suborgs/*.yml`, `layers/*.yml`, `repos/*.yml`,
//! `rules/*.yml`, `waivers.yml` and `deployment-settings.yml`. Beadle keeps only the text of
//! `groups.toml`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::panic::AssertUnwindSafe;
use std::path::Path;

use beadle_github::{Asks, SelectedBy};
use sha2::{Digest, Sha256};

use super::checks::check_layer;
use super::conflicts::conflicts;
use super::contradictions::{across, idle_plugins, incomplete, remarks};
use super::error::PolicyError;
use super::folder::{MAPPINGS, ReadingAt, inner_policy, read_folder};
use super::forms::REPOSITORY;
use super::group_files::{is_mapping_file, is_people_file, problems_of_groups};
use super::idle_edits::idle_edits;
use super::idle_files::idle_files;
use super::incumbent::{accept, drop_name};
use super::keys::lists;
use super::layer_index::LayerIndex;
use super::layers::{Layer, LayerKind, contradictions, disabled};
use super::levels::check_keys;
use super::lists::list_of;
use super::name_check::mismatches;
use super::node::{Kind, Node};
use super::origin::{BASE, PolicyOrigin, base_rank};
use super::people_check::strangers;
use super::problem::{Problem, Severity};
use super::rest::unrest;
use super::restricted::Restricted;
use super::rule_check::broken;
use super::rule_file::{self, PolicyRule};
use super::schema::FileKind;
use super::selector::Selector;
use super::spellings::with_security;
use super::template_files::{Templates, is_template_file};
use super::twins::twins;
use super::undone::undone;
use super::waiver::Waiver;
use super::waivers_file::{is_waiver_file, read_waivers};
use super::wants::WHEN_MISSING;
use crate::aspects::{self, Sections};
use crate::organisation;

/// One accepted generation of a policy.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The name of the generation. For a policy from a folder, the name is a hash of all files. For
    /// a policy from a repository, the name is the first digits of the commit.
    pub generation: String,
    /// The layers, from the lowest rank to the highest.
    pub layers: Vec<Layer>,
    /// The repositories that Beadle skips because of `restrictedRepos`.
    pub(super) restricted: Restricted,
    /// The name of the repository that contains the policy files. Beadle skips this repository,
    /// unless repos/ contains a file with the repository's name.
    pub home: String,
    /// The sections that are disabled by `disable_plugins`. Beadle does not apply these sections.
    pub disabled: Vec<String>,
    /// The rules of `rules/*.yml`.
    pub rules: Vec<PolicyRule>,
    /// The waivers of `waivers.yml`, including the waivers that are not in force.
    pub waivers: Vec<Waiver>,
    /// The keys of `deployment-settings.yml` that contain JavaScript validators of safe-settings.
    /// Beadle does not run these validators.
    pub validators: Vec<Node>,
    /// The findings that are not errors: warnings, and keys that Beadle does not support.
    pub remarks: Vec<Problem>,
    /// The texts of the files. Messages show excerpts from these texts.
    pub sources: BTreeMap<String, String>,
    /// The commit that contains the files. `None` if the policy comes from a folder.
    pub origin: Option<PolicyOrigin>,
    /// The commit that contains the files of the base. `None` if the policy has no base.
    pub base: Option<PolicyOrigin>,
    /// The index that finds the layers for a repository.
    pub(super) index: LayerIndex,
}

impl Policy {
    /// Loads the policy in a folder. `home` is the name of the repository that contains the policy
    /// files.
    pub fn load(folder: &Path, home: &str) -> Result<Self, PolicyError> {
        Self::load_noting(folder, home, &ReadingAt::default())
    }

    /// Loads a folder like [`Self::load`]. While the function reads a file, `at` contains the path
    /// of this file.
    pub fn load_noting(folder: &Path, home: &str, at: &ReadingAt) -> Result<Self, PolicyError> {
        let read = || Self::from_sources(read_folder(folder, at)?, home, folder);
        // If a library panics because of the files of one organisation, Beadle must still serve the
        // other organisations. After a panic, the caller does not use the values that the closure
        // changed. The only exception is the path in `at`, because this path is always complete.
        std::panic::catch_unwind(AssertUnwindSafe(read))
            .unwrap_or_else(|_| Err(PolicyError::Panicked(folder.to_owned())))
    }

    /// Creates a policy from the texts of its files. The key of each text is the path of its file,
    /// relative to the folder.
    pub fn from_sources(
        sources: BTreeMap<String, String>,
        home: &str,
        folder: &Path,
    ) -> Result<Self, PolicyError> {
        let mut problems = twins(&sources);
        let mut hash = Sha256::new();
        let mut policy = Self {
            generation: String::new(),
            layers: Vec::new(),
            restricted: Restricted::default(),
            home: home.to_owned(),
            disabled: Vec::new(),
            rules: Vec::new(),
            waivers: Vec::new(),
            validators: Vec::new(),
            remarks: Vec::new(),
            sources: BTreeMap::new(),
            origin: None,
            base: None,
            index: LayerIndex::default(),
        };
        let mut templates = Templates::of(&sources);
        let mut roots = BTreeMap::new();
        for (file, text) in &sources {
            hash.update(format!("{file}\0{}\0{text}", text.len()));
            if is_template_file(file) {
                continue;
            }
            if is_mapping_file(file) || is_people_file(file) {
                problems.extend(problems_of_groups(file, text));
                continue;
            }
            if is_waiver_file(file) {
                policy.waivers = read_waivers(file, text, &mut problems);
                continue;
            }
            match Node::parse(file, text) {
                Ok(root) if is_rule_file(file) => {
                    policy.rules.extend(rule_file::read(&root, &mut problems));
                }
                Ok(root) => {
                    let mut root = accept(&root, &mut problems);
                    templates.fill(file, &mut root, &mut problems);
                    policy.add(file, text, &root, &mut problems);
                    roots.insert(file.clone(), root);
                }
                Err(problem) => problems.push(problem),
            }
        }
        problems.extend(templates.unused());
        // If every file of a policy is empty, this is probably a mistake.
        if policy.layers.iter().all(Layer::is_empty) {
            let is_empty = |message: &str| message.starts_with(EMPTY) || message.starts_with(ONLY_COMMENTS);
            let empty = problems.iter_mut().filter(|problem| is_empty(&problem.message));
            empty.for_each(|problem| problem.severity = Severity::Error);
        }
        if problems.iter().any(|problem| problem.severity == Severity::Error) {
            return Err(PolicyError::Invalid { problems, sources });
        }
        if policy.layers.is_empty() {
            let folder = folder.to_owned();
            return Err(match inner_policy(&folder) {
                Some(inner) => PolicyError::Inside { folder, inner },
                None => PolicyError::Empty(folder),
            });
        }
        policy.layers.sort_by_key(|layer| layer.rank);
        policy.index = LayerIndex::of(&policy.layers);
        problems.extend(policy.certain_conflicts());
        problems.extend(incomplete(&policy.layers));
        problems.extend(idle_edits(&policy.layers));
        problems.extend(idle_files(&policy.layers, &policy.restricted));
        problems.extend(strangers(&sources));
        problems.extend(across(&policy.layers, &policy.disabled));
        problems.extend(unrest(&roots, &policy.disabled));
        problems.extend(undone(&roots, &policy.layers, &policy.disabled));
        problems.extend(broken(&policy.layers, &policy.rules, &policy.disabled));
        problems.extend(mismatches(&policy.layers, &policy.disabled));
        if problems.iter().any(|problem| problem.severity == Severity::Error) {
            return Err(PolicyError::Invalid { problems, sources });
        }
        policy.generation = hash.finalize().iter().take(6).fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        policy.remarks = problems;
        policy.sources = sources;
        Ok(policy)
    }

    fn add(&mut self, file: &str, text: &str, root: &Node, problems: &mut Vec<Problem>) {
        let part = file.strip_prefix(BASE);
        let (folder, name) = part.unwrap_or(file).rsplit_once('/').unwrap_or(("", part.unwrap_or(file)));
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        let kind = match folder {
            "" if stem == "settings" => FileKind::Settings,
            "" => FileKind::Deployment,
            "suborgs" => FileKind::Suborg,
            "layers" => FileKind::Layer,
            _ => FileKind::Repo,
        };
        // A byte order mark does not count as text.
        let is_blank = text.chars().all(|c| c.is_whitespace() || c == '\u{feff}');
        let empty = root.is_null().then(|| nothing(root, is_blank));
        if root.is_null() {
            let asked = root.asked.clone();
            if kind == FileKind::Deployment && is_blank {
                // With an empty list, Beadle would change repositories that were restricted before.
                let text = format!("{EMPTY}: it restricts no repository");
                problems.push(Problem::error(asked, 1, text).hint("if that is right, delete the file"));
                return;
            }
            let effect = if is_blank {
                ", and where it may apply, what removes, weakens or exposes anything needs an approval"
            } else {
                ""
            };
            let what = if text.contains('#') { ONLY_COMMENTS } else { EMPTY };
            let problem = Problem::error(asked, 1, format!("{what}: it sets no value{effect}"));
            let problem = problem.severity(Severity::Warning);
            problems.push(problem.hint("to remove its values from the policy, delete the file"));
        } else {
            check_keys(kind, root, problems);
            check_layer(kind, root, problems);
            idle_plugins(kind, root, problems);
            remarks(root, &lists(), problems);
        }
        let mut root = empty.clone().unwrap_or_else(|| root.clone());
        if kind != FileKind::Repo {
            drop_name(&mut root);
        }
        let root = &root;
        if part.is_some() && kind == FileKind::Repo {
            // Beadle stores the owner of such a file. Two files cannot belong to the same
            // repository.
            let text = "a base must not have files in repos/";
            let problem = Problem::error(root.asked.clone(), 1, text);
            return problems.push(problem.hint("move the file to the policy of the organisation"));
        }
        if let (FileKind::Repo, Err(misfit)) = (kind, REPOSITORY.check(stem)) {
            let text = format!("invalid repository name `{stem}`: the name of the file must {}", misfit.must);
            problems.push(Problem::error(root.asked.clone(), 1, text));
        }
        match kind {
            FileKind::Deployment => {
                self.disabled.extend(disabled(root, &["children", "all"]));
                self.validators.extend(validators(root));
                // If both the policy and its base set `restrictedRepos`, the value of the policy
                // replaces the value of the base.
                let value = root.get("restrictedRepos");
                if let Some(restricted) = value.and_then(|value| Restricted::read(value, problems)) {
                    self.restricted = restricted;
                }
                return;
            }
            FileKind::Settings => self.disabled.extend(disabled(root, &["all"])),
            _ => {}
        }
        let layer = Layer::read(kind, file, stem, root, problems);
        let has_rank = kind != FileKind::Settings && root.get("rank").is_some();
        let rank = if part.is_none() || has_rank { layer.rank } else { base_rank(kind) };
        self.layers.push(Layer { is_blank: is_blank && empty.is_some(), rank, ..layer });
    }

    /// Finds conflicts between layers of equal rank that apply to every repository. In a conflict,
    /// two layers set different values for the same key.
    fn certain_conflicts(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let everywhere: Vec<&Layer> = self.layers.iter().filter(|layer| layer.reaches_all()).collect();
        for (at, layer) in everywhere.iter().enumerate() {
            for other in everywhere[..at].iter().filter(|other| other.rank == layer.rank) {
                let list_modes = contradictions(&other.list_modes, &layer.list_modes);
                let [one, two] = [&other.root, &layer.root].map(with_security);
                for (path, one, two) in conflicts(&one, &two).into_iter().chain(list_modes) {
                    let text = format!("this line and {one} disagree about `{path}`");
                    let problem = Problem::error(two, 1, text);
                    problems.push(problem.hint("give one of the two files a higher `rank`"));
                }
            }
        }
        problems
    }

    /// Returns the names of the branches in the policy. If somebody creates or deletes such a
    /// branch, Beadle must check the repository.
    pub fn branches(&self) -> BTreeSet<String> {
        let mut branches = BTreeSet::new();
        for root in self.layers.iter().flat_map(Layer::roots) {
            let named = root.get("branches").map(Node::items).unwrap_or_default();
            branches.extend(named.iter().filter_map(|branch| branch.get("name")?.text().map(str::to_owned)));
            let default =
                root.get("repository").and_then(|repository| repository.get("default_branch")?.text());
            branches.extend(default.map(str::to_owned));
        }
        branches
    }

    /// Returns the text of the file with the group mappings, if the policy has this file.
    pub fn mappings(&self) -> Option<&str> {
        self.sources.get(MAPPINGS).map(String::as_str)
    }

    /// Returns each place in the policy that contains the name of a secret.
    pub fn secrets(&self) -> Vec<&Node> {
        let mut found = Vec::new();
        for root in self.layers.iter().flat_map(Layer::roots) {
            let sections = aspects::secrets::SECTIONS.iter().copied().chain(["webhooks"]);
            let environments = root.get("environments").map(Node::items).unwrap_or_default();
            let of_environments = environments.iter().filter_map(|environment| environment.get("secrets"));
            let section = root.get("organization");
            let own = aspects::secrets::SECTIONS.iter().copied().chain(["webhooks"]);
            let own = own.filter_map(|key| section?.get(key)).map(list_of);
            let lists = sections.filter_map(|section| root.get(section)).chain(of_environments).chain(own);
            found.extend(lists.flat_map(Node::items).filter_map(|entry| entry.get("secret")));
        }
        found
    }

    /// Returns the names of all sections that are set in at least one layer. The result also
    /// contains the parts of the section `organization`, such as `organization.webhooks`. The
    /// result also contains the keys of `repository` that need a separate permission.
    pub fn sections(&self) -> BTreeSet<&str> {
        let roots = || self.layers.iter().flat_map(Layer::roots);
        let names = roots().flat_map(Node::entries).filter_map(|(key, _)| key.text());
        let is_set = |aspect: &&&organisation::OrganisationAspect| {
            self.layers.iter().any(|layer| aspect.node(&layer.root).is_some())
        };
        let parts = organisation::ALL.iter().filter(is_set).map(|aspect| aspect.section);
        let mut sections: BTreeSet<&str> = names.chain(parts).collect();
        let writes_branches = |root: &Node| {
            let value = root.get("repository").and_then(|repository| repository.get(WHEN_MISSING));
            value.and_then(Node::text).is_some_and(|text| text != "report")
        };
        if roots().any(writes_branches) {
            sections.insert(WHEN_MISSING);
        }
        sections
    }

    /// Returns the names of the teams and custom properties in the selectors of layers.
    pub fn selected_by(&self) -> SelectedBy {
        let mut selected_by = SelectedBy::default();
        for layer in &self.layers {
            if let LayerKind::Suborg { teams, .. } = &layer.kind {
                selected_by.teams.extend(teams.iter().cloned());
            }
            for selector in layer.selectors() {
                selected_by.teams.extend(selector.teams().iter().cloned());
                selected_by.properties.extend(selector.properties().cloned());
            }
        }
        for names in [&mut selected_by.teams, &mut selected_by.properties] {
            names.sort_unstable();
            names.dedup();
        }
        selected_by
    }

    /// Returns the parts of a repository that Beadle must read to apply the layers.
    pub fn asks(&self) -> Asks {
        let mut asks = Asks::default();
        for layer in &self.layers {
            let mut left_out: Vec<&str> = self.disabled.iter().map(String::as_str).collect();
            if matches!(layer.kind, LayerKind::Organisation) {
                left_out.extend(organisation::SECTIONS);
            }
            for root in layer.roots() {
                let sections = Sections::new(root, &left_out);
                for aspect in aspects::ALL {
                    asks = asks.union((aspect.reads)(&sections));
                }
            }
        }
        asks.union(self.selection_asks())
    }

    /// Returns the parts of a repository that the selectors of layers use.
    pub(crate) fn selection_asks(&self) -> Asks {
        let of_layer = |layer: &Layer| {
            let selects = |asks: fn(&Selector) -> bool| layer.selectors().any(asks);
            let by_team = matches!(&layer.kind, LayerKind::Suborg { teams, .. } if !teams.is_empty());
            Asks {
                topics: selects(Selector::asks_for_topics),
                teams: by_team || selects(Selector::asks_for_teams),
                properties: selects(Selector::asks_for_properties),
                ..Asks::default()
            }
        };
        self.layers.iter().map(of_layer).fold(Asks::default(), Asks::union)
    }
}

/// Returns whether a file is in the folder `rules`.
pub(super) fn is_rule_file(file: &str) -> bool {
    file.rsplit('/').nth(1) == Some("rules")
}

/// Returns the keys of a file that contain JavaScript validators.
fn validators(root: &Node) -> Vec<Node> {
    let is_empty = |value: &Node| value.items().is_empty() && value.entries().is_empty();
    let found = root
        .entries()
        .iter()
        .filter(|(key, value)| key.text().is_some_and(|key| VALIDATORS.contains(&key)) && !is_empty(value));
    found.map(|(key, _)| key.clone()).collect()
}

/// The keys of `deployment-settings.yml` that contain JavaScript validators.
const VALIDATORS: &[&str] = &["configvalidators", "overridevalidators"];

/// Converts the forms of other tools in a file. Also checks this file alone, without the other
/// files of the policy. Returns the file and the findings.
pub(crate) fn examined(kind: FileKind, root: &Node) -> (Node, Vec<Problem>) {
    let mut problems = Vec::new();
    let mut root = accept(root, &mut problems);
    check_keys(kind, &root, &mut problems);
    check_layer(kind, &root, &mut problems);
    if kind != FileKind::Repo {
        drop_name(&mut root);
    }
    (root, problems)
}

/// The first words of a finding about a file without any text.
const EMPTY: &str = "the file is empty";
/// The first words of a finding about a file that has only comments.
const ONLY_COMMENTS: &str = "the file has only comments";

/// Returns the block that replaces an empty file. A completely blank file might be the result of a
/// failed write. For such a file, the block makes all lists additive, so that Beadle removes no
/// entry because of the file.
fn nothing(at: &Node, is_blank: bool) -> Node {
    let text = |name: &str| Node { kind: Kind::Text(name.to_owned()), ..at.clone() };
    let names = lists().into_iter().chain(["topics"]).map(text).collect();
    let additive = (text("additive_plugins"), Node { kind: Kind::List(names), ..at.clone() });
    let entries = if is_blank { vec![additive] } else { Vec::new() };
    Node { kind: Kind::Map(entries), ..at.clone() }
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
                    // The rendering must not panic.
                    let _ = problem.render(sources.get("settings.yml").map(String::as_str));
                }
            }
        }

        #[test]
        fn any_change_of_a_good_policy_is_accepted_or_refused(at in 0usize..400, with in "[ -~\n]{0,6}") {
            const GOOD: &str = "repository: { has_wiki: false, topics: [a] }\nteams:\n  - name: a\n    permission: pull\n\
                branches:\n  - name: default\n    protection:\n      required_status_checks: { strict: true, contexts: [x] }\n";
            let at = at % GOOD.len();
            let text = format!("{}{with}{}", &GOOD[..at], &GOOD[at..]);
            let _ = load(&text); // the load must not panic
        }
    }

    #[test]
    fn the_generation_is_a_name_of_the_content() {
        let one = load("repository: { has_wiki: false }").unwrap().generation;
        assert_eq!(one, load("repository: { has_wiki: false }").unwrap().generation);
        assert_ne!(one, load("repository: { has_wiki: true }").unwrap().generation);
    }
}
