//! The facts by which layers can select a repository, besides its name: visibility, topics, teams
//! and custom properties.

use std::collections::{BTreeMap, BTreeSet};

use beadle_github::Repository;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::aspects::properties::comparable;
use crate::policy::{Desired, Node};

/// Facts by name, such as `topic rust` or `property tier`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Facts(BTreeMap<String, String>);

/// The name that the policy gives a repository, if it gives one.
pub(crate) fn asked_name(desired: &Desired) -> Option<&str> {
    setting(desired, "name")
}

fn setting<'a>(desired: &'a Desired, key: &str) -> Option<&'a str> {
    desired.settings.iter().find(|want| want.key == key)?.value.as_str()
}

impl Facts {
    /// The facts of a repository, as far as they were read.
    pub(crate) fn of(seen: &Repository) -> Self {
        let mut facts = BTreeMap::from([("visibility".to_owned(), seen.visibility.as_str().to_owned())]);
        let topics = seen.topics.as_ref().and_then(|topics| topics.as_ref().ok()).into_iter().flatten();
        facts.extend(topics.map(|topic| (format!("topic {topic}"), String::new())));
        let teams = seen.teams.as_ref().and_then(|teams| teams.as_ref().ok()).into_iter().flatten();
        facts.extend(teams.map(|team| (format!("team {}", team.slug), String::new())));
        let properties = seen.properties.as_ref().and_then(|properties| properties.as_ref().ok());
        let properties = properties.into_iter().flatten();
        facts.extend(
            properties.map(|(name, value)| (format!("property {name}"), comparable(value).to_string())),
        );
        Self(facts)
    }

    /// Whether each fact that differs is now as the policy asks for it.
    pub(crate) fn differ_only_as_asked(&self, now: &Self, desired: &Desired) -> bool {
        let names: BTreeSet<&String> = self.0.keys().chain(now.0.keys()).collect();
        let mut differ = names.into_iter().filter(|name| self.0.get(*name) != now.0.get(*name));
        differ.all(|name| is_asked(name, now.0.get(name).map(String::as_str), desired))
    }
}

/// Whether the policy asks for a fact as it is; `None`: as it is gone.
fn is_asked(fact: &str, value: Option<&str>, desired: &Desired) -> bool {
    match fact.split_once(' ') {
        Some(("topic", topic)) => desired.topics.as_ref().is_some_and(|wanted| {
            wanted.items.iter().any(|item| item.eq_ignore_ascii_case(topic)) == value.is_some()
        }),
        Some(("team", slug)) => desired.teams.as_ref().is_some_and(|wanted| {
            wanted.items.iter().any(|team| team.slug.eq_ignore_ascii_case(slug)) == value.is_some()
        }),
        Some((_, property)) => {
            let is_it = |want: &&Node| {
                let name = want.get("name").and_then(Node::text);
                name.is_some_and(|name| name.eq_ignore_ascii_case(property))
            };
            let section = desired.sections.get("custom_properties");
            let wanted = section.and_then(|section| section.items().iter().find(is_it));
            let wanted = wanted.map(|want| comparable(&want.get("value").map_or(Value::Null, Node::json)));
            wanted.is_some_and(|wanted| match value {
                Some(value) => wanted.to_string() == value,
                None => wanted.is_null(),
            })
        }
        None => value == setting(desired, "visibility"),
    }
}
