//! Converts the merged layers of a repository into the typed values that the aspects use.

use std::collections::BTreeSet;

use beadle_engine::PolicyLocation;
use beadle_github::{Permission, Repository};
use serde_json::Value;

use super::files::Policy;
use super::layers::without_plugins;
use super::node::{Kind, Node};
use super::normal::{each, leaves_actors};
use super::pattern::Pattern;
use super::security_keys::SECURITY;
use super::targeting::MergedLayers;
use super::wants::{
    BranchWant, CollaboratorWant, Desired, Listed, MissingBranch, Section, TeamWant, TopicWant, WHEN_MISSING,
    Want,
};
use crate::aspects;

/// The sections that have a typed field in [`Desired`].
const TYPED: &[&str] = &["teams", "collaborators", "branches"];

impl Policy {
    /// Returns the values for `repository` from the merged layers in `target`.
    pub fn desired(&self, target: &MergedLayers, repository: &Repository) -> Desired {
        let Some(root) = &target.root else { return Desired::default() };
        let section = |name: &str| {
            let disabled = self.disabled.iter().any(|other| other == name);
            root.get(name).filter(|node| !disabled && !node.is_null())
        };
        // Beadle keeps a secret that is missing in the policy, unless the list is exclusive.
        let exclusive = |name: &str| {
            let mode = target.list_modes.get(name).map(|word| word.exclusive);
            mode.unwrap_or(!aspects::secrets::SECTIONS.contains(&name))
        };
        let mut desired = Desired::default();
        if let Some(settings) = section("repository") {
            desired.settings = self::settings(settings, target);
            let missing = settings.get(WHEN_MISSING).and_then(Node::text);
            desired.missing_branch = MissingBranch::of(missing);
            if self.disabled.iter().any(|plugin| plugin == "archive") {
                desired.settings.retain(|want| want.key != "archived");
            }
            let topics =
                settings.get("topics").filter(|_| !self.disabled.iter().any(|other| other == "topics"));
            desired.topics = topics.map(|topics| Listed {
                exclusive: exclusive("topics"),
                asked: topics.asked.clone(),
                items: topics
                    .items()
                    .iter()
                    .filter_map(|item| {
                        Some(TopicWant { name: item.text()?.to_owned(), asked: item.asked.clone() })
                    })
                    .collect(),
            });
        }
        desired.teams = section("teams").map(|list| Listed {
            exclusive: exclusive("teams"),
            asked: list.asked.clone(),
            items: access(list, "name", repository, |slug, permission, asked| {
                let mut teams = repository.teams.value().into_iter().flatten();
                let seen = teams.find(|team| team.slug.eq_ignore_ascii_case(&slug));
                let is_stated = permission.is_some();
                // If a request contains no permission, GitHub gives a team `pull`.
                let permission = permission.or_else(|| Some(seen?.permission.clone()));
                TeamWant { slug, permission: permission.unwrap_or(Permission::Pull), is_stated, asked }
            }),
        });
        desired.collaborators = section("collaborators").map(|list| Listed {
            exclusive: exclusive("collaborators"),
            asked: list.asked.clone(),
            items: access(list, "username", repository, |login, permission, asked| {
                let mut people = repository.collaborators.value().into_iter().flatten();
                let seen = people.find(|person| person.login.eq_ignore_ascii_case(&login));
                let is_stated = permission.is_some();
                // If a request contains no permission, GitHub gives a person `push`.
                let permission = permission.or_else(|| Some(seen?.permission.clone()));
                CollaboratorWant {
                    login,
                    permission: permission.unwrap_or(Permission::Push),
                    is_stated,
                    asked,
                }
            }),
        });
        desired.security = section("repository").and_then(|node| node.get("security")).cloned();
        if let (Some(old), Some(new)) = (&desired.security, section("security")) {
            // The block `repository.security` and the section `security` can turn the same features
            // on or off. For each feature, the layer of higher rank wins.
            let higher = |(key, value): &(Node, Node)| {
                let same = SECURITY.iter().find(|(incumbent, _)| key.text() == Some(*incumbent));
                let other = same.and_then(|(_, own)| new.get(own));
                other.is_none_or(|other| target.rank(&value.asked) > target.rank(&other.asked))
            };
            let kept = old.entries().iter().filter(|entry| higher(entry)).cloned().collect();
            desired.security = Some(Node { kind: Kind::Map(kept), ..old.clone() });
        }
        for key in aspects::ALL.iter().flat_map(|aspect| aspect.sections) {
            if let Some(node) = section(key.name).filter(|_| !TYPED.contains(&key.name)) {
                let section = Section { node: node.clone(), exclusive: exclusive(key.name) };
                desired.sections.insert(key.name, section);
            }
        }
        desired.branches = section("branches").map(|list| branches(list, target)).unwrap_or_default();
        desired
    }
}

fn settings(node: &Node, target: &MergedLayers) -> Vec<Want> {
    let wants = node.entries().iter().filter_map(|(key, value)| {
        let key = key.text()?;
        // In a layer for several repositories, `normal.rs` replaces `archived: false` with null.
        let is_unset = key == "archived" && value.is_null();
        (!is_unset && crate::aspects::settings::is_setting(key)).then(|| Want {
            key: key.to_owned(),
            value: match value.text() {
                // GitHub does not accept a line break at the end of a text. But a folded text in
                // YAML ends with a line break.
                Some(text) => Value::from(text.trim_end()),
                None => value.json(),
            },
            asked: value.asked.clone(),
        })
    });
    let mut wants: Vec<Want> = wants.collect();
    let place = |key: &str| wants.iter().position(|want| want.key == key);
    if let (Some(private), Some(visibility)) = (place("private"), place("visibility")) {
        let decides = private_decides(node, |asked| target.rank(asked));
        wants.remove(if decides { visibility } else { private });
    }
    wants
}

/// Returns true if `private` sets the visibility, and false if `visibility` sets it. Both keys are in
/// the section `repository`. The layer of higher rank wins. If the two layers have the same rank,
/// Beadle uses the stricter value. With the stricter value, fewer people see the repository.
fn private_decides(repository: &Node, rank: impl Fn(&PolicyLocation) -> i64) -> bool {
    match (repository.get("private"), repository.get("visibility")) {
        (Some(private), Some(visibility)) => {
            let ranks = [private, visibility].map(|node| rank(&node.asked));
            let is_private = private.bool() == Some(true) && visibility.text() == Some("public");
            ranks[0] > ranks[1] || (ranks[0] == ranks[1] && is_private)
        }
        (private, _) => private.is_some(),
    }
}

/// Returns whether the section `repository` declares a public repository.
pub(super) fn is_public(repository: &Node, rank: impl Fn(&PolicyLocation) -> i64) -> bool {
    if private_decides(repository, rank) {
        repository.get("private").and_then(Node::bool) == Some(false)
    } else {
        repository.get("visibility").and_then(Node::text) == Some("public")
    }
}

impl Policy {
    /// Returns the values of `target`. The result does not contain disabled sections. The result
    /// also does not contain entries that apply only to other repositories.
    pub(crate) fn declared(&self, target: &MergedLayers, repository: &Repository) -> Option<Node> {
        let mut root = without_plugins(target.root.as_ref()?, &self.disabled);
        if let Some(repository) = root.child("repository") {
            // Here and in the function `settings`, a null means that Beadle does not change the
            // value.
            if repository.get("archived").is_some_and(Node::is_null) {
                *repository = repository.without(&["archived"]);
            }
        }
        each(&mut root, "rulesets", |ruleset| {
            if leaves_actors(ruleset) {
                *ruleset = ruleset.without(&["bypass_actors"]);
            }
        });
        for list in ["teams", "collaborators"] {
            let Some(node) = root.get(list).cloned() else { continue };
            let items = node.items().iter().filter(|item| holds(item, repository)).cloned().collect();
            root = root.with(list, &Node { kind: Kind::List(items), ..node });
        }
        Some(root)
    }
}

/// Returns whether an entry of a list applies to this repository. This depends on the keys
/// `include` and `exclude` of the entry.
pub(crate) fn holds(item: &Node, repository: &Repository) -> bool {
    let matches = |globs: &Node| {
        // There are no invalid globs here, because validation of the policy rejects them.
        globs.texts().iter().any(|glob| Pattern::glob(glob).is_ok_and(|glob| glob.is_match(&repository.name)))
    };
    item.get("include").is_none_or(matches) && !item.get("exclude").is_some_and(matches)
}

/// Converts the entries of `teams` or `collaborators` that apply to this repository.
fn access<T>(
    list: &Node,
    who: &str,
    repository: &Repository,
    make: impl Fn(String, Option<Permission>, PolicyLocation) -> T,
) -> Vec<T> {
    let wants = list.items().iter().filter_map(|item| {
        let name = item.get(who)?.text()?.to_owned();
        if !holds(item, repository) {
            return None;
        }
        let permission = item.get("permission").and_then(Node::text).map(|text| text.to_owned().into());
        Some(make(name, permission, item.asked.clone()))
    });
    wants.collect()
}

fn branches(list: &Node, target: &MergedLayers) -> Vec<BranchWant> {
    let mut wants = Vec::new();
    for item in list.items() {
        let (Some(name), Some(protection)) = (item.get("name"), item.get("protection")) else { continue };
        let mut ranks = BTreeSet::new();
        ranks_of(protection, target, &mut ranks);
        // Another entry can set the same rule: the entry `default` or the entry with the branch's
        // name. So each value keeps the rank of its own layer.
        for rank in ranks {
            let Some(protection) = of_rank(protection, rank, target) else { continue };
            wants.push(BranchWant {
                pattern: name.text().filter(|name| *name != "default").map(str::to_owned),
                protection: (!protection.is_null() && !protection.entries().is_empty()).then_some(protection),
                asked: name.asked.clone(),
                rank,
            });
        }
    }
    wants
}

/// Collects the ranks of the layers that set the single values of a node.
fn ranks_of(node: &Node, target: &MergedLayers, ranks: &mut BTreeSet<i64>) {
    match &node.kind {
        Kind::Map(entries) if !entries.is_empty() => {
            for (_, value) in entries {
                ranks_of(value, target, ranks);
            }
        }
        Kind::List(items) if !items.is_empty() => {
            // An entry of a list is one value. A part of the entry has no meaning without the rest.
            ranks.extend(items.iter().map(|item| highest_rank(item, target)));
        }
        _ => {
            ranks.insert(target.rank(&node.asked));
        }
    }
}

/// Returns the highest rank of the layers that set the single values of a node.
fn highest_rank(node: &Node, target: &MergedLayers) -> i64 {
    let mut ranks = BTreeSet::new();
    ranks_of(node, target, &mut ranks);
    ranks.last().copied().unwrap_or_default()
}

/// Returns the part of a node that the layers of one rank set. Returns `None` if these layers set
/// nothing in the node.
fn of_rank(node: &Node, rank: i64, target: &MergedLayers) -> Option<Node> {
    let kind = match &node.kind {
        Kind::Map(entries) if !entries.is_empty() => {
            let part = |(key, value): &(Node, Node)| Some((key.clone(), of_rank(value, rank, target)?));
            let entries: Vec<(Node, Node)> = entries.iter().filter_map(part).collect();
            (!entries.is_empty()).then_some(Kind::Map(entries))?
        }
        Kind::List(items) if !items.is_empty() => {
            let of_rank = |item: &&Node| highest_rank(item, target) == rank;
            let items: Vec<Node> = items.iter().filter(of_rank).cloned().collect();
            (!items.is_empty()).then_some(Kind::List(items))?
        }
        _ if target.rank(&node.asked) == rank => return Some(node.clone()),
        _ => return None,
    };
    Some(Node { kind, ..node.clone() })
}
