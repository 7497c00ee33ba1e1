//! The facts that a layer can use to select a repository: visibility, topics, teams and custom
//! properties. The name of a repository is not a fact.

use std::collections::{BTreeMap, BTreeSet};

use beadle_github::Repository;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::aspects::properties::comparable;
use crate::policy::{Desired, Listed, Node};

/// The facts about a repository. The key is the name of the fact, such as `topic rust` or `property
/// tier`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Facts(BTreeMap<String, String>);

/// Returns the name that the policy declares for a repository. Returns `None` if the policy
/// declares no name.
pub(crate) fn asked_name(desired: &Desired) -> Option<&str> {
    setting(desired, "name")
}

fn setting<'a>(desired: &'a Desired, key: &str) -> Option<&'a str> {
    desired.settings.iter().find(|want| want.key == key)?.value.as_str()
}

impl Facts {
    /// Returns the facts of a repository. If Beadle did not read a list, the facts of this list
    /// come from `before`. Beadle then notices the removal of an entry only at the next read of the
    /// list.
    pub(crate) fn of(seen: &Repository, before: Option<&Self>) -> Self {
        let topics = seen.topics.value();
        let topics = topics.map(|topics| topics.iter().map(|topic| (topic.clone(), String::new())).collect());
        let teams = seen.teams.value();
        let teams = teams.map(|teams| teams.iter().map(|team| (team.slug.clone(), String::new())).collect());
        let properties = seen.properties.value();
        let properties = properties.map(|properties| {
            let pairs = properties.iter();
            pairs.map(|(name, value)| (name.clone(), comparable(value).to_string())).collect()
        });
        let mut facts = Self::default();
        facts.0.insert("visibility".to_owned(), seen.visibility.as_str().to_owned());
        for (kind, read) in [("topic", topics), ("team", teams), ("property", properties)] {
            facts.take(kind, read, before);
        }
        facts
    }

    /// Adds the facts of one list. The facts come from `read`. If Beadle did not read the list, the
    /// facts come from `before`.
    fn take(&mut self, kind: &str, read: Option<Vec<(String, String)>>, before: Option<&Self>) {
        let prefix = format!("{kind} ");
        if let Some(read) = read {
            self.0.extend(read.into_iter().map(|(name, value)| (format!("{prefix}{name}"), value)));
        } else {
            let known = before.into_iter().flat_map(|before| &before.0);
            let known = known.filter(|(name, _)| name.starts_with(&prefix));
            self.0.extend(known.map(|(name, value)| (name.clone(), value.clone())));
        }
    }

    /// Returns whether the policy declares every difference between these facts and `now`.
    pub(crate) fn differ_only_as_asked(&self, now: &Self, desired: &Desired) -> bool {
        let names: BTreeSet<&String> = self.0.keys().chain(now.0.keys()).collect();
        let mut differ = names.into_iter().filter(|name| self.0.get(*name) != now.0.get(*name));
        differ.all(|name| is_asked(name, now.0.get(name).map(String::as_str), desired))
    }
}

/// Returns whether a list of the policy explains a difference. If an entry is new, a list that
/// contains the entry explains the difference. If an entry is gone, an exclusive list that does not
/// contain the entry explains the difference.
fn is_listed<T>(wanted: &Listed<T>, is_there: bool, is_it: impl Fn(&T) -> bool) -> bool {
    wanted.items.iter().any(is_it) == is_there && (is_there || wanted.exclusive)
}

/// Returns whether the policy declares this value of a fact. The value `None` means that the fact
/// is absent.
fn is_asked(fact: &str, value: Option<&str>, desired: &Desired) -> bool {
    match fact.split_once(' ') {
        Some(("topic", topic)) => desired.topics.as_ref().is_some_and(|wanted| {
            is_listed(wanted, value.is_some(), |item| item.name.eq_ignore_ascii_case(topic))
        }),
        Some(("team", slug)) => desired.teams.as_ref().is_some_and(|wanted| {
            is_listed(wanted, value.is_some(), |team| team.slug.eq_ignore_ascii_case(slug))
        }),
        Some((_, property)) => {
            let is_it = |want: &&Node| {
                let name = want.get("name").and_then(Node::text);
                name.is_some_and(|name| name.eq_ignore_ascii_case(property))
            };
            let section = desired.sections.get("custom_properties");
            let wanted = section.and_then(|section| section.items().iter().find(is_it));
            let wanted = wanted.map(|want| comparable(&want.get("value").map_or(Value::Null, Node::json)));
            let text = |wanted: Value| (!wanted.is_null()).then(|| wanted.to_string());
            wanted.is_some_and(|wanted| text(wanted).as_deref() == value)
        }
        None => value == setting(desired, "visibility"),
    }
}

#[cfg(test)]
mod tests {
    use beadle_engine::PolicyLocation;

    use super::*;
    use crate::policy::TopicWant;

    #[test]
    fn a_list_that_is_not_read_loses_no_fact_and_hides_no_later_loss() {
        let pair = |name: &str| vec![(name.to_owned(), String::new())];
        let mut before = Facts::default();
        before.take("team", Some(pair("security")), None);
        before.take("topic", Some(pair("rust")), None);
        let mut unread = Facts::default();
        unread.take("team", None, Some(&before));
        unread.take("topic", Some(pair("rust")), Some(&before));
        assert_eq!(unread, before);
        let mut lost = Facts::default();
        lost.take("team", Some(Vec::new()), Some(&unread));
        lost.take("topic", Some(pair("rust")), Some(&unread));
        assert!(!unread.differ_only_as_asked(&lost, &Desired::default()), "somebody took the team away");
    }

    #[test]
    fn a_list_asks_for_the_absence_of_an_entry_only_where_it_is_exclusive() {
        let desired = |exclusive| {
            let asked = PolicyLocation { file: "settings.yml".into(), line: 1 };
            let items = vec![TopicWant { name: "rust".to_owned(), asked: asked.clone() }];
            let topics = Listed { exclusive, asked, items };
            Desired { topics: Some(topics), ..Desired::default() }
        };
        assert!(is_asked("topic gone", None, &desired(true)));
        assert!(!is_asked("topic gone", None, &desired(false)), "somebody else took it away");
        assert!(is_asked("topic Rust", Some(""), &desired(false)));
        assert!(!is_asked("topic rust", None, &desired(true)));
        assert!(!is_asked("topic other", Some(""), &desired(true)));
    }
}
