//! A layer: one file of settings, the repositories that it reaches, and its rank. A higher rank
//! wins over a lower one.

use std::collections::{BTreeMap, BTreeSet};

use beadle_engine::PolicyLocation;
use serde_json::Value;

use super::keys::lists;
use super::leaves::leaves;
use super::node::{Kind, Node};
use super::normal::{normal, suborg_properties, unarchives_nothing};
use super::pattern::{Pattern, patterns};
use super::problem::Problem;
use super::schema::FileKind;
use super::selector::{Selector, incumbent};

/// The repositories that a layer reaches.
#[derive(Clone, Debug)]
pub enum LayerKind {
    /// Every repository.
    Organisation,
    /// The repositories that at least one selector of a suborg matches.
    Suborg {
        /// Globs on names.
        globs: Vec<Pattern>,
        /// Slugs of teams.
        teams: Vec<String>,
        /// Custom properties.
        properties: Vec<Selector>,
    },
    /// The repositories that `select` matches and `except` does not match.
    Selected(Choice),
    /// One repository. The file has its name.
    Repository(String),
}

/// `select:` and `except:`.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// The selected repositories.
    pub select: Selector,
    /// The selected repositories that the layer does not reach.
    pub except: Option<Selector>,
}

/// One entry of `first_match` in a layer.
#[derive(Clone, Debug)]
pub struct Case {
    /// The selected repositories.
    pub choice: Choice,
    /// The values.
    pub root: Node,
    /// See [`Layer::list_modes`].
    pub list_modes: ListModes,
}

/// The mode of a list: `exclusive` or `additive`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListMode {
    /// True if Beadle removes entries that are not listed.
    pub exclusive: bool,
    /// The line that sets the mode.
    pub asked: PolicyLocation,
}

/// The modes of lists, by section.
pub type ListModes = BTreeMap<String, ListMode>;

/// One file of settings.
#[derive(Clone, Debug)]
pub struct Layer {
    /// The path of the file, relative to the policy's folder.
    pub file: String,
    /// The repositories that the layer reaches.
    pub kind: LayerKind,
    /// The rank: 0 for settings.yml, 1000 for a file in repos/.
    pub rank: i64,
    /// The values.
    pub root: Node,
    /// The entries of `first_match`. Only the first entry that matches a repository applies to it.
    pub cases: Vec<Case>,
    /// The modes that the file itself sets for its lists.
    pub list_modes: ListModes,
    /// The lists that `additive_plugins` names.
    pub additive: Vec<String>,
    /// The sections that `disable_plugins` removes from the layers of a higher rank.
    pub disabled_above: Vec<String>,
    /// True if the file has no text, so that it may be the rest of a failed write.
    pub is_blank: bool,
}

/// The rank of a suborg or a layer that sets no `rank`.
const SUBORG: i64 = 100;
/// The rank of a file in repos/.
const REPOSITORY: i64 = 1000;

/// Returns the names in a list of plugins. An entry is a string, or a block with a `target`. For
/// `additive_plugins`, Beadle ignores the `target` and applies the entry to every layer, because this
/// is safer.
pub(super) fn plugins(root: &Node, key: &str) -> Vec<String> {
    let items = root.get(key).map(Node::items).unwrap_or_default();
    items.iter().filter_map(|item| item.get("plugin").unwrap_or(item).text().map(str::to_owned)).collect()
}

/// Returns the names in `disable_plugins` that have one of these targets. The default target is
/// `all`.
pub(super) fn disabled(root: &Node, targets: &[&str]) -> Vec<String> {
    let items = root.get("disable_plugins").map(Node::items).unwrap_or_default();
    let applies = |item: &&Node| {
        let target = item.get("target").and_then(Node::text);
        targets.contains(&target.unwrap_or("all"))
    };
    let name = |item: &Node| item.get("plugin").unwrap_or(item).text().map(str::to_owned);
    items.iter().filter(applies).filter_map(name).collect()
}

/// Returns a block without the sections, and the parts of `repository`, that `names` has.
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

/// Removes the modes of the lists that `names` has. An additive list removes nothing, so its mode
/// stays.
pub(super) fn drop_modes(list_modes: &mut ListModes, names: &[String]) {
    let has = |name: &str| names.iter().any(|other| other == name);
    let is_disabled = |list: &str| has(list) || (list == "topics" && has("repository"));
    list_modes.retain(|list, mode| !mode.exclusive || !is_disabled(list));
}

/// Returns the mode of a list, and the list itself.
fn list_mode(node: &Node) -> (Option<ListMode>, Node) {
    for (key, exclusive) in [("exclusive", true), ("additive", false)] {
        if let Some(list) = node.get(key) {
            let mode = ListMode { exclusive, asked: list.asked.clone() };
            return (Some(mode), list.clone());
        }
    }
    (None, node.get("include").unwrap_or(node).clone())
}

/// Removes the keys `exclusive` and `additive` from the lists of a block, and returns the block and
/// the modes of the lists.
fn plain(root: &Node) -> (Node, ListModes) {
    let mut list_modes = ListModes::new();
    let mut root = root.clone();
    for section in lists() {
        let Some(node) = root.get(section) else { continue };
        let (mode, mut list) = list_mode(node);
        list_modes.extend(mode.map(|mode| (section.to_owned(), mode)));
        if section == "custom_properties" {
            list = one_name(&list);
        }
        let new = match node.get("exclude").cloned() {
            // `exclude` has the patterns of the entries that Beadle keeps.
            Some(exclude) => block(node, &[("include", list), ("exclude", exclude)]),
            None if ["labels", "custom_properties"].contains(&section) => block(node, &[("include", list)]),
            None => list,
        };
        root = root.with(section, &new);
    }
    let repository = root.get("repository").cloned();
    if let Some((repository, topics)) =
        repository.and_then(|node| Some((node.clone(), node.get("topics")?.clone())))
    {
        let (mode, list) = list_mode(&topics);
        list_modes.extend(mode.map(|mode| ("topics".to_owned(), mode)));
        root = root.with("repository", &repository.with("topics", &list));
    }
    (root, list_modes)
}

/// Renames the key `property_name` to `name`, so that entries match by one key.
fn one_name(list: &Node) -> Node {
    let entry = |item: &Node| {
        let entries = item.entries().iter().map(|(key, value)| {
            let is_other = key.text() == Some("property_name");
            let key =
                if is_other { Node { kind: Kind::Text("name".into()), ..key.clone() } } else { key.clone() };
            (key, value.clone())
        });
        Node { kind: Kind::Map(entries.collect()), ..item.clone() }
    };
    match &list.kind {
        Kind::List(items) => Node { kind: Kind::List(items.iter().map(entry).collect()), ..list.clone() },
        _ => list.clone(),
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
    /// Returns whether `select` and `except` reach a repository; `Err` if that is unknown.
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

    /// Returns whether every repository matches.
    pub(super) fn is_empty(&self) -> bool {
        self.except.is_none() && self.select.is_empty()
    }
}

impl Layer {
    /// Reads a file that has passed the check.
    pub(super) fn read(
        kind: FileKind,
        file: &str,
        stem: &str,
        root: &Node,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let is_repository = kind == FileKind::Repo;
        let mut root = normal(root);
        if !is_repository {
            unarchives_nothing(&mut root);
        }
        let root = &root;
        // `disable_plugins` of settings.yml with the target `all` counts for the whole policy.
        let (own, above): (&[&str], &[&str]) = match kind {
            FileKind::Settings => (&["self"], &["children"]),
            FileKind::Repo => (&["self", "all"], &[]),
            _ => (&["self", "all"], &["children", "all"]),
        };
        let (own, disabled_above) = (disabled(root, own), disabled(root, above));
        let rank = root.get("rank").and_then(Node::int).unwrap_or(SUBORG);
        let (kind, rank) = match kind {
            FileKind::Suborg => {
                let globs = root.get("suborgrepos").map(|node| patterns(node, Pattern::glob, problems));
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
            FileKind::Repo => (LayerKind::Repository(stem.to_owned()), REPOSITORY),
            FileKind::Settings | FileKind::Deployment => (LayerKind::Organisation, 0),
        };
        let mut cases = Vec::new();
        for case in root.get("first_match").map(Node::items).unwrap_or_default() {
            let mut values = normal(case).without(&["select", "except"]);
            if !is_repository {
                unarchives_nothing(&mut values);
            }
            let (plain, list_modes) = plain(&values);
            cases.push(Case { choice: choice(case, problems), root: plain, list_modes });
        }
        let root = root.without(&["rank", "select", "except", "first_match"]);
        let (root, mut list_modes) = plain(&root);
        let root = without_plugins(&root, &own);
        drop_modes(&mut list_modes, &own);
        let additive = plugins(&root, "additive_plugins");
        let (file, is_blank) = (file.to_owned(), false);
        Self { file, kind, rank, root, cases, list_modes, additive, disabled_above, is_blank }
    }

    /// Returns whether the layer reaches every repository.
    pub(super) fn reaches_all(&self) -> bool {
        match &self.kind {
            LayerKind::Organisation => true,
            LayerKind::Selected(choice) => choice.is_empty(),
            LayerKind::Suborg { .. } | LayerKind::Repository(_) => false,
        }
    }

    /// Returns whether the file sets no value.
    pub(super) fn is_empty(&self) -> bool {
        let is_mode = |entry: &(Node, Node)| entry.0.text() == Some("additive_plugins");
        self.roots().all(|root| root.entries().iter().all(is_mode))
    }

    /// Returns the values of the file, and of each entry of `first_match`.
    pub(super) fn roots(&self) -> impl Iterator<Item = &Node> {
        std::iter::once(&self.root).chain(self.cases.iter().map(|case| &case.root))
    }

    /// Returns the sections that the layer sets, also if it only sets the mode of a list or removes
    /// the section from other layers.
    pub(crate) fn sections(&self) -> BTreeSet<String> {
        let sections = self.roots().flat_map(Node::entries).filter_map(|(key, _)| key.text());
        let list_modes =
            self.list_modes.keys().chain(self.cases.iter().flat_map(|case| case.list_modes.keys()));
        let named = list_modes.chain(&self.additive).chain(&self.disabled_above);
        let with_mode = named
            .map(|name| if ["topics", "archive"].contains(&name.as_str()) { "repository" } else { name });
        sections.chain(with_mode).map(str::to_owned).collect()
    }

    /// Returns every selector of the layer.
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
}

/// Finds the lists that are exclusive in one layer and additive in another layer. Returns each list
/// with both lines.
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

/// Finds the paths for which two blocks have different values. Returns each path with both lines.
pub(super) fn conflicts(one: &Node, other: &Node) -> Vec<(String, PolicyLocation, PolicyLocation)> {
    let (one, other) = (leaves(one), leaves(other));
    let mut found = Vec::new();
    for leaf in &one {
        for against in &other {
            let same = leaf.key == against.key && leaf.value != against.value;
            // A null in one layer removes the block that the other layer fills.
            let removes = |null: &Value, path: &str, inner: &str| {
                null.is_null()
                    && inner.len() > path.len()
                    && inner.starts_with(path)
                    && inner[path.len()..].starts_with('.')
            };
            let gone = removes(&leaf.value, &leaf.key, &against.key)
                || removes(&against.value, &against.key, &leaf.key);
            if same || gone {
                found.push((leaf.path.clone(), leaf.asked.clone(), against.asked.clone()));
            }
        }
    }
    found
}
