//! A layer consists of three things: one settings file, a rank, and the repositories that the layer
//! applies to. If two layers set different values, the layer of higher rank wins.

use std::collections::{BTreeMap, BTreeSet};

use beadle_engine::PolicyLocation;

use super::keys::{REPOSITORY, SECTIONS};
use super::leaves;
use super::list_forms::{edits, effect, nothing_below};
use super::list_places::lists_at_keys;
use super::lists::list_of;
use super::merge::settle;
use super::node::{Kind, Node};
use super::normal::{normal, suborg_properties, takes_name_of_file, unarchives_nothing};
use super::pattern::{Pattern, globs};
use super::problem::Problem;
use super::schema::FileKind;
use super::selector::{Selector, incumbent};
use super::shape::{Key, Shape};
use crate::organisation;

/// The repositories that a layer applies to.
#[derive(Clone, Debug)]
pub enum LayerKind {
    /// The layer applies to every repository.
    Organisation,
    /// The layer is a suborg. A suborg applies to each repository that matches at least one of
    /// these selectors.
    Suborg {
        /// Globs for the name of the repository.
        globs: Vec<Pattern>,
        /// Slugs of teams. One of these teams must have access to the repository.
        teams: Vec<String>,
        /// Values of custom properties. The repository must have one of these values.
        properties: Vec<Selector>,
    },
    /// The layer applies to the repositories that match `select` but not `except`.
    Selected(Choice),
    /// The layer applies to one repository. The name of the file is the name of the repository.
    Repository(String),
}

/// The conditions `select:` and `except:` of a layer, or of an entry of `first_match`.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// The repositories that the layer selects.
    pub select: Selector,
    /// The exceptions. The layer does not apply to these repositories, even if `select` selects
    /// them.
    pub except: Option<Selector>,
}

/// One entry of `first_match` in a layer.
#[derive(Clone, Debug)]
pub struct Case {
    /// The repositories that this entry applies to.
    pub choice: Choice,
    /// The values that this entry sets.
    pub root: Node,
    /// The modes that the entry itself sets for its lists, see [`Layer::list_modes`].
    pub list_modes: ListModes,
}

/// The mode of a list (`exclusive` or `additive`), and the place in the policy that sets the mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListMode {
    /// True if Beadle removes the entries at GitHub that the list does not contain.
    pub exclusive: bool,
    /// The line of the policy that sets the mode.
    pub asked: PolicyLocation,
}

/// The modes of the lists. The key is the name of the list's section.
pub type ListModes = BTreeMap<String, ListMode>;

/// One settings file.
#[derive(Clone, Debug)]
pub struct Layer {
    /// The path of the file, relative to the policy's folder.
    pub file: String,
    /// The repositories that this layer applies to.
    pub kind: LayerKind,
    /// The rank of the layer. settings.yml has rank 0, and a file in repos/ has rank 1000.
    pub rank: i64,
    /// The values that the file sets.
    pub root: Node,
    /// The entries of `first_match`. If several entries match a repository, only the first of these
    /// entries applies.
    pub cases: Vec<Case>,
    /// The modes that the file itself sets for its lists.
    pub list_modes: ListModes,
    /// The lists that are named in the file's `additive_plugins`.
    pub additive: Vec<String>,
    /// The sections in the file's `disable_plugins`. The file removes these sections from layers of
    /// higher rank.
    pub disabled_above: Vec<String>,
    /// True if the file has no text at all. Such a file might be the result of a failed write.
    pub is_blank: bool,
}

/// The rank of a file in suborgs/ or layers/ that does not set `rank`.
const SUBORG_RANK: i64 = 100;
/// The rank of a file in repos/.
const REPOSITORY_RANK: i64 = 1000;

/// Returns the names in a list of plugins. An entry of the list is a string, or a block with a
/// `target`. For `additive_plugins`, Beadle ignores the `target` and applies the entry to every
/// layer, because an additive list is safer.
pub(super) fn plugins(root: &Node, key: &str) -> Vec<String> {
    let items = root.get(key).map(Node::items).unwrap_or_default();
    items.iter().filter_map(|item| item.get("plugin").unwrap_or(item).text().map(str::to_owned)).collect()
}

/// Returns the names in `disable_plugins` whose target is in `targets`. The default target of an
/// entry is `all`.
pub(super) fn disabled(root: &Node, targets: &[&str]) -> Vec<String> {
    let items = root.get("disable_plugins").map(Node::items).unwrap_or_default();
    let applies = |item: &&Node| {
        let target = item.get("target").and_then(Node::text);
        targets.contains(&target.unwrap_or("all"))
    };
    let name = |item: &Node| item.get("plugin").unwrap_or(item).text().map(str::to_owned);
    items.iter().filter(applies).filter_map(name).collect()
}

/// Returns a block without some sections and some parts of `repository`. `names` contains the
/// removed sections and parts.
pub(super) fn without_plugins(root: &Node, names: &[String]) -> Node {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let root = root.without(&names);
    let parts = [("archive", "archived"), ("topics", "topics")];
    let parts: Vec<&str> =
        parts.into_iter().filter(|(name, _)| names.contains(name)).map(|(_, key)| key).collect();
    let Some(repository) = root.get("repository").filter(|_| !parts.is_empty()).cloned() else {
        return root;
    };
    root.with("repository", &repository.without(&parts))
}

/// Removes the modes of the lists in `names`. The function keeps the mode of an additive list,
/// because Beadle removes nothing from an additive list.
pub(super) fn drop_modes(list_modes: &mut ListModes, names: &[String]) {
    let has = |name: &str| names.iter().any(|other| other == name);
    let is_disabled = |list: &str| has(list) || (list == "topics" && has("repository"));
    list_modes.retain(|list, mode| !mode.exclusive || !is_disabled(list));
}

/// Returns the list itself, and its mode if the list sets one. If the file edits the list of lower
/// layers, the function returns this edit instead of a list. `shape` is the shape of the list.
fn list_mode(shape: &Shape, node: &Node) -> (Option<ListMode>, Node) {
    let modes = [("exclusive", true), ("additive", false)];
    let mode = modes.into_iter().find_map(|(key, exclusive)| Some((node.get(key)?, exclusive)));
    let mode = mode.map(|(list, exclusive)| ListMode { exclusive, asked: list.asked.clone() });
    let list = list_of(node);
    let edit = shape.item().and_then(|item| effect(item, node));
    (mode, edit.map_or_else(|| list.clone(), |kind| Node { kind, ..list.clone() }))
}

/// Removes the keys that set the mode of a list, such as `exclusive`, from all lists of a block.
/// Returns the new block, and the modes that these keys set.
fn plain(root: &Node) -> (Node, ListModes) {
    let mut list_modes = ListModes::new();
    let mut root = root.clone();
    for Key { name: section, shape, .. } in SECTIONS.iter().filter(|key| key.shape.has_list_mode()) {
        let Some(node) = root.get(section) else { continue };
        let (mode, mut list) = list_mode(shape, node);
        list_modes.extend(mode.map(|mode| ((*section).to_owned(), mode)));
        if *section == "custom_properties" {
            one_name(&mut list);
        }
        // The block gets the place of its list. A change that removes an entry shows this place.
        let new = match node.get("exclude").cloned() {
            // `exclude` contains patterns. Beadle keeps the entries that match one of the patterns.
            Some(exclude) => block(&list, &[("include", list.clone()), ("exclude", exclude)]),
            None if ["labels", "custom_properties"].contains(section) => {
                block(&list, &[("include", list.clone())])
            }
            None => list,
        };
        root = root.with(section, &new);
    }
    let repository = root.get("repository").cloned();
    let shape = REPOSITORY.iter().find(|key| key.name == "topics").map(|key| &key.shape);
    if let (Some(shape), Some((repository, topics))) =
        (shape, repository.and_then(|node| Some((node.clone(), node.get("topics")?.clone()))))
    {
        let (mode, list) = list_mode(shape, &topics);
        list_modes.extend(mode.map(|mode| ("topics".to_owned(), mode)));
        root = root.with("repository", &repository.with("topics", &list));
    }
    (root, list_modes)
}

/// Applies the edits in some sections of a file. The function then removes the sections that have
/// become empty.
fn settle_sections(root: &mut Node, sections: &[&str], problems: &mut Vec<Problem>) {
    for section in sections.iter().copied() {
        let Some(node) = root.get(section).cloned() else { continue };
        let mut alone = block(&node, &[(section, node.clone())]);
        let idle = leaves::lists(&alone).into_iter().filter(|list| match &list.node.kind {
            Kind::Edit(edit) => !edit.without.is_empty() || edit.entries.is_none(),
            _ => false,
        });
        problems.extend(idle.map(|list| nothing_below(&list.path, list.node)));
        settle(&mut alone);
        *root = match alone.get(section) {
            Some(node) => root.with(section, node),
            None => root.without(&[section]),
        };
    }
}

/// Renames the key `property_name` to `name`. The entries of all layers then have the same
/// identifying key.
fn one_name(list: &mut Node) {
    let keys = list.children().filter_map(|item| match &mut item.kind {
        Kind::Map(entries) => Some(entries),
        _ => None,
    });
    for (key, _) in keys.flatten().filter(|(key, _)| key.text() == Some("property_name")) {
        key.kind = Kind::Text("name".into());
    }
}

fn block(at: &Node, entries: &[(&str, Node)]) -> Node {
    let key = |name: &str| Node { kind: Kind::Text(name.to_owned()), ..at.clone() };
    Node {
        kind: Kind::Map(entries.iter().map(|(name, value)| (key(name), value.clone())).collect()),
        ..at.clone()
    }
}

fn choice(node: &Node, problems: &mut Vec<Problem>) -> Choice {
    Choice {
        select: node.get("select").map(|node| Selector::read(node, problems)).unwrap_or_default(),
        except: node.get("except").map(|node| Selector::read(node, problems)),
    }
}

impl Choice {
    /// Returns whether `select` and `except` together match a repository. Returns `Err` if the
    /// match is unknown.
    pub fn is_match(&self, repository: &beadle_github::Repository) -> Result<bool, beadle_github::Unsure> {
        if !self.select.is_match(repository)? {
            return Ok(false);
        }
        Ok(match &self.except {
            Some(except) => !except.is_match(repository)?,
            None => true,
        })
    }

    fn selectors(&self) -> impl Iterator<Item = &Selector> {
        std::iter::once(&self.select).chain(&self.except)
    }

    /// Returns whether there are no conditions. Every repository then matches.
    pub(super) fn is_empty(&self) -> bool {
        self.except.is_none() && self.select.is_empty()
    }
}

impl Layer {
    /// Converts a valid file to a layer.
    pub(super) fn read(
        kind: FileKind,
        file: &str,
        stem: &str,
        root: &Node,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let is_repository = kind == FileKind::Repo;
        let is_settings = kind == FileKind::Settings;
        let mut root = normal(&edits(&lists_at_keys(root)));
        if is_repository {
            takes_name_of_file(&mut root, stem);
        } else {
            unarchives_nothing(&mut root);
        }
        let root = &root;
        // In settings.yml, an entry of `disable_plugins` with the target `all` applies to the whole
        // policy. Other code handles this entry.
        let (own, above): (&[&str], &[&str]) = match kind {
            FileKind::Settings => (&["self"], &["children"]),
            FileKind::Repo => (&["self", "all"], &[]),
            _ => (&["self", "all"], &["children", "all"]),
        };
        let (own, disabled_above) = (disabled(root, own), disabled(root, above));
        let rank = root.get("rank").and_then(Node::int).unwrap_or(SUBORG_RANK);
        let (kind, rank) = match kind {
            FileKind::Suborg => {
                let globs = root.get("suborgrepos").map(|node| globs(node, problems));
                let suborg = LayerKind::Suborg {
                    globs: globs.unwrap_or_default(),
                    teams: root.get("suborgteams").map(Node::texts).unwrap_or_default(),
                    properties: root
                        .get("suborgproperties")
                        .map(|node| incumbent(&suborg_properties(node)))
                        .unwrap_or_default(),
                };
                (suborg, rank)
            }
            FileKind::Layer => (LayerKind::Selected(choice(root, problems)), rank),
            FileKind::Repo => (LayerKind::Repository(stem.to_owned()), REPOSITORY_RANK),
            FileKind::Settings | FileKind::Deployment => (LayerKind::Organisation, 0),
        };
        let mut cases = Vec::new();
        for case in root.get("first_match").map(Node::items).unwrap_or_default() {
            let mut values = normal(&edits(case)).without(&["select", "except"]);
            if !is_repository {
                unarchives_nothing(&mut values);
            }
            let (plain, list_modes) = plain(&values);
            cases.push(Case { choice: choice(case, problems), root: plain, list_modes });
        }
        let root = root.without(&["rank", "select", "except", "first_match"]);
        let (mut root, mut list_modes) = plain(&root);
        if is_settings {
            // Only `settings.yml` can set the organisation's sections. So an edit in one of these
            // sections has no list to change.
            settle_sections(&mut root, &organisation::SECTIONS, problems);
        }
        let root = without_plugins(&root, &own);
        drop_modes(&mut list_modes, &own);
        let additive = plugins(&root, "additive_plugins");
        let (file, is_blank) = (file.to_owned(), false);
        Self { file, kind, rank, root, cases, list_modes, additive, disabled_above, is_blank }
    }

    /// Returns whether the layer applies to every repository.
    pub(super) fn reaches_all(&self) -> bool {
        match &self.kind {
            LayerKind::Organisation => true,
            LayerKind::Selected(choice) => choice.is_empty(),
            LayerKind::Suborg { .. } | LayerKind::Repository(_) => false,
        }
    }

    /// Returns whether no section of the file has a value.
    pub(super) fn is_empty(&self) -> bool {
        let is_mode = |entry: &(Node, Node)| entry.0.text() == Some("additive_plugins");
        self.roots().all(|root| root.entries().iter().all(is_mode))
    }

    /// Returns the block of the file, and the blocks of all entries of `first_match`.
    pub(super) fn roots(&self) -> impl Iterator<Item = &Node> {
        std::iter::once(&self.root).chain(self.cases.iter().map(|case| &case.root))
    }

    /// Returns the names of the sections that the layer affects. A layer can affect a section in
    /// three ways: it sets a value in the section, it sets the mode of a list, or it removes the
    /// section from other layers.
    pub(crate) fn sections(&self) -> BTreeSet<String> {
        let sections = self.roots().flat_map(Node::entries).filter_map(|(key, _)| key.text());
        let list_modes =
            self.list_modes.keys().chain(self.cases.iter().flat_map(|case| case.list_modes.keys()));
        let named = list_modes.chain(&self.additive).chain(&self.disabled_above);
        let with_mode = named
            .map(|name| if ["topics", "archive"].contains(&name.as_str()) { "repository" } else { name });
        sections.chain(with_mode).map(str::to_owned).collect()
    }

    /// Returns all selectors of the layer, including the selectors of `first_match`.
    pub(crate) fn selectors(&self) -> impl Iterator<Item = &Selector> {
        let own: Vec<&Selector> = match &self.kind {
            LayerKind::Selected(choice) => choice.selectors().collect(),
            LayerKind::Suborg { properties, .. } => properties.iter().collect(),
            LayerKind::Organisation | LayerKind::Repository(_) => Vec::new(),
        };
        own.into_iter().chain(self.cases.iter().flat_map(|case| case.choice.selectors()))
    }

    /// Returns the name that a file in repos/ sets for its repository (`repository.name`).
    pub fn given_name(&self) -> Option<&str> {
        self.root.get("repository")?.get("name")?.text()
    }

    /// Returns the former name of the file's repository. If a repository still has the former name,
    /// Beadle renames this repository to the name of the file.
    pub fn old_name(&self) -> Option<&str> {
        self.root.get("repository")?.get("oldname")?.text()
    }
}

/// Finds each list that has a different mode in each of two layers. Returns the name of the list,
/// and the two lines that set the modes.
pub(super) fn contradictions(
    one: &ListModes,
    other: &ListModes,
) -> Vec<(String, PolicyLocation, PolicyLocation)> {
    let both = one.iter().filter_map(|(section, mode)| Some((section, mode, other.get(section)?)));
    let differ = both.filter(|(_, mode, against)| mode.exclusive != against.exclusive);
    differ
        .map(|(section, mode, against)| (section.clone(), mode.asked.clone(), against.asked.clone()))
        .collect()
}
