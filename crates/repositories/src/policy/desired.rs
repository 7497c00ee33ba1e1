//! What a policy asks of one repository, typed: parsed once, here.

use std::collections::BTreeMap;

use beadle_engine::Asked;
use beadle_github::{Permission, Repository};
use serde_json::Value;

use super::files::Policy;
use super::node::Node;
use super::pattern::Pattern;
use super::targeting::Target;

/// One setting.
#[derive(Clone, Debug, PartialEq)]
pub struct Want {
    /// Its key in the REST body.
    pub key: String,
    /// Its value.
    pub value: Value,
    /// Who asks.
    pub asked: Asked,
}

/// A list, and whether what is not in it has to go.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed<T> {
    /// Others have to go.
    pub exclusive: bool,
    /// The line of the list.
    pub asked: Asked,
    /// What is asked for.
    pub items: Vec<T>,
}

/// A team with its permission.
#[derive(Clone, Debug, PartialEq)]
pub struct TeamWant {
    /// Its slug.
    pub slug: String,
    /// What it shall be able to do.
    pub permission: Permission,
    /// Who asks.
    pub asked: Asked,
}

/// A person with direct access.
#[derive(Clone, Debug, PartialEq)]
pub struct CollaboratorWant {
    /// Their login.
    pub login: String,
    /// What they shall be able to do.
    pub permission: Permission,
    /// Who asks.
    pub asked: Asked,
}

/// A branch protection rule.
#[derive(Clone, Debug, PartialEq)]
pub struct BranchWant {
    /// A branch or pattern; `None` for the default branch.
    pub pattern: Option<String>,
    /// The rule; `None` takes it away.
    pub protection: Option<Node>,
    /// Who asks.
    pub asked: Asked,
    /// The rank of the layer that does.
    pub rank: i64,
}

/// What is asked of one repository. `None`: nothing is asked, and nothing is looked at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Desired {
    /// Settings.
    pub settings: Vec<Want>,
    /// Topics.
    pub topics: Option<Listed<String>>,
    /// Teams.
    pub teams: Option<Listed<TeamWant>>,
    /// Direct collaborators.
    pub collaborators: Option<Listed<CollaboratorWant>>,
    /// Branch protection rules. What is not listed stays.
    pub branches: Vec<BranchWant>,
    /// Security features as the incumbent writes them: `repository.security`.
    pub security: Option<Node>,
    /// The sections that their aspects read themselves, by name.
    pub sections: BTreeMap<&'static str, Section>,
}

/// A section of the policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    /// What it says.
    pub node: Node,
    /// What is not listed has to go.
    pub exclusive: bool,
}

impl Section {
    /// Its entries: a list, or what a block lists below `include`.
    pub fn items(&self) -> &[Node] {
        self.node.get("include").unwrap_or(&self.node).items()
    }
}

/// The sections that aspects read themselves.
const SECTIONS: &[&str] =
    &["labels", "autolinks", "rulesets", "custom_properties", "actions", "security", "webhooks"];

impl Policy {
    /// What `target` asks of `repository`.
    pub fn desired(&self, target: &Target, repository: &Repository) -> Desired {
        let Some(root) = &target.root else { return Desired::default() };
        let section = |name: &str| {
            let disabled = self.disabled.iter().any(|other| other == name);
            root.get(name).filter(|node| !disabled && !node.is_null())
        };
        let exclusive = |name: &str| target.words.get(name).copied().unwrap_or(true);
        let mut desired = Desired::default();
        if let Some(settings) = section("repository") {
            desired.settings = self::settings(settings, target);
            let topics =
                settings.get("topics").filter(|_| !self.disabled.iter().any(|other| other == "topics"));
            desired.topics = topics.map(|topics| Listed {
                exclusive: exclusive("topics"),
                asked: topics.asked.clone(),
                items: topics.texts(),
            });
        }
        desired.teams = section("teams").map(|list| Listed {
            exclusive: exclusive("teams"),
            asked: list.asked.clone(),
            items: access(list, "name", repository, |slug, permission, asked| TeamWant {
                slug,
                permission,
                asked,
            }),
        });
        desired.collaborators = section("collaborators").map(|list| Listed {
            exclusive: exclusive("collaborators"),
            asked: list.asked.clone(),
            items: access(list, "username", repository, |login, permission, asked| CollaboratorWant {
                login,
                permission,
                asked,
            }),
        });
        desired.security = section("repository").and_then(|node| node.get("security")).cloned();
        for name in SECTIONS {
            if let Some(node) = section(name) {
                let section = Section { node: node.clone(), exclusive: exclusive(name) };
                desired.sections.insert(name, section);
            }
        }
        desired.branches = section("branches").map(|list| branches(list, target)).unwrap_or_default();
        desired
    }
}

fn settings(node: &Node, target: &Target) -> Vec<Want> {
    let wants = node.entries().iter().filter_map(|(key, value)| {
        let key = key.text()?;
        crate::aspects::settings::is_setting(key).then(|| Want {
            key: key.to_owned(),
            value: match value.text() {
                // A folded text ends with a line end that GitHub does not take.
                Some(text) => Value::from(text.trim_end()),
                None => value.json(),
            },
            asked: value.asked.clone(),
        })
    });
    let mut wants: Vec<Want> = wants.collect();
    let place = |key: &str| wants.iter().position(|want| want.key == key);
    if let (Some(private), Some(visibility)) = (place("private"), place("visibility")) {
        // They say one thing: the narrower layer's word counts.
        let narrower = target.rank(&wants[private].asked) > target.rank(&wants[visibility].asked);
        wants.remove(if narrower { visibility } else { private });
    }
    wants
}

/// The entries of a list of access that hold for this repository.
fn access<T>(
    list: &Node,
    who: &str,
    repository: &Repository,
    make: impl Fn(String, Permission, Asked) -> T,
) -> Vec<T> {
    let matches = |globs: &Node| {
        // The check refused what is no glob.
        globs.texts().iter().any(|glob| Pattern::glob(glob).is_ok_and(|glob| glob.is_match(&repository.name)))
    };
    let wants = list.items().iter().filter_map(|item| {
        let name = item.get(who)?.text()?.to_owned();
        if item.get("include").is_some_and(|globs| !matches(globs))
            || item.get("exclude").is_some_and(matches)
        {
            return None;
        }
        let permission = item.get("permission").and_then(Node::text).unwrap_or("push").to_owned().into();
        Some(make(name, permission, item.asked.clone()))
    });
    wants.collect()
}

fn branches(list: &Node, target: &Target) -> Vec<BranchWant> {
    let wants = list.items().iter().filter_map(|item| {
        let name = item.get("name")?;
        let protection = item.get("protection")?;
        Some(BranchWant {
            pattern: name.text().filter(|name| *name != "default").map(str::to_owned),
            protection: (!protection.is_null() && !protection.entries().is_empty())
                .then(|| protection.clone()),
            asked: name.asked.clone(),
            rank: target.rank(&name.asked),
        })
    });
    wants.collect()
}
