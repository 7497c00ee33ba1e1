//! The selectors that an import can use for a layer.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::observed::Observed;

/// Indexes of repositories.
pub(crate) type Members = BTreeSet<usize>;

/// A selector of a layer. If layers with two different selectors would set the same number of
/// values, the import uses the selector that comes first in this type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Label {
    /// The repositories with a topic.
    Topic(String),
    /// The repositories with a value of a custom property.
    Property(String, String),
    /// The repositories that a team can access.
    Team(String),
    /// The repositories with a visibility.
    Visibility(String),
    /// All repositories except those with the given names.
    AllBut(Vec<String>),
}

/// The maximum number of excepted names in a layer.
const EXCEPTIONS: usize = 20;

impl Label {
    /// Returns whether a layer that has this selector is allowed to set a part. The values of a
    /// layer must not change which repositories the layer selects. Layers must also not depend on
    /// each other in a circle: in a new organisation, such layers would never apply to a
    /// repository. So a layer that sets topics can select only by properties, and a layer that sets
    /// teams can select only by properties and topics.
    pub(crate) fn may_set(&self, part: &str) -> bool {
        let decided: &[&str] = match self {
            Self::AllBut(_) => &[],
            Self::Visibility(_) => &["visibility"],
            Self::Property(..) => &["custom_properties"],
            Self::Topic(_) => &["custom_properties", "topics"],
            Self::Team(_) => &["custom_properties", "topics", "teams"],
        };
        !decided.contains(&part)
    }

    /// Returns the keys that give a layer this selector: `select` or `except`.
    pub(crate) fn selector(&self) -> Map<String, Value> {
        let (key, choice) = match self {
            Self::Topic(topic) => ("select", json!({ "topic": topic })),
            Self::Property(name, value) => ("select", json!({ "property": { name.clone(): value } })),
            Self::Team(team) => ("select", json!({ "team": team })),
            Self::Visibility(visibility) => ("select", json!({ "visibility": visibility })),
            Self::AllBut(names) => match names.as_slice() {
                [] => return Map::new(),
                [name] => ("except", json!({ "name": name })),
                names => ("except", json!({ "name": names })),
            },
        };
        Map::from_iter([(key.to_owned(), choice)])
    }

    /// Returns a name for the layer's file.
    pub(crate) fn file_name(&self) -> String {
        let name = match self {
            Self::Topic(topic) => format!("topic-{topic}"),
            Self::Property(name, value) => format!("property-{name}-{value}"),
            Self::Team(team) => format!("team-{team}"),
            Self::Visibility(visibility) => format!("visibility-{visibility}"),
            Self::AllBut(names) => match names.as_slice() {
                [] => "all".to_owned(),
                [name] => format!("all-but-{name}"),
                _ => "most".to_owned(),
            },
        };
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        name.chars().take(60).map(|c| if fits(c) { c.to_ascii_lowercase() } else { '-' }).collect()
    }

    /// Describes the repositories that match the selector.
    pub(crate) fn described(&self) -> String {
        match self {
            Self::Topic(topic) => format!("the repositories with the topic `{topic}`"),
            Self::Property(name, value) => format!("the repositories whose property `{name}` is `{value}`"),
            Self::Team(team) => format!("the repositories of the team `{team}`"),
            Self::Visibility(visibility) => format!("the {visibility} repositories"),
            Self::AllBut(names) if names.is_empty() => "all repositories".to_owned(),
            Self::AllBut(_) => "all repositories, with exceptions,".to_owned(),
        }
    }
}

/// Returns the selectors that match at least two repositories, but not all of them. If a list is
/// unknown for one repository, Beadle could not know whether a selector with a value of this list
/// matches the repository. The function therefore makes no selectors from the values of this list.
pub(super) fn labels(all: &[Observed]) -> BTreeMap<Label, Members> {
    let mut labels: BTreeMap<Label, Members> = BTreeMap::new();
    let is_known = |list: &str| all.iter().all(|one| !one.unknown.contains_key(list));
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let (topics, teams, properties) = (is_known("topics"), is_known("teams"), is_known("custom_properties"));
    for (at, one) in all.iter().enumerate() {
        let mut found = Vec::new();
        let list = |name: &str, is_used: bool| one.lists.get(name).filter(|_| is_used).into_iter().flatten();
        found.extend(list("topics", topics).filter_map(text).map(Label::Topic));
        found.extend(list("teams", teams).filter_map(|team| text(&team["name"])).map(Label::Team));
        let inherited = one.inherited_teams.iter().filter(|_| teams);
        found.extend(inherited.cloned().map(Label::Team));
        for property in list("custom_properties", properties) {
            let Some(name) = text(&property["name"]) else { continue };
            let values: Vec<String> = match &property["value"] {
                Value::Array(values) => values.iter().filter_map(text).collect(),
                value => Vec::from_iter(text(value)),
            };
            found.extend(values.into_iter().map(|value| Label::Property(name.clone(), value)));
        }
        let visibility = one.values.get("visibility").and_then(|values| text(values.get("visibility")?));
        found.extend(visibility.map(Label::Visibility));
        for label in found {
            labels.entry(label).or_default().insert(at);
        }
    }
    labels.retain(|_, members| members.len() > 1 && members.len() < all.len());
    labels
}

/// Returns a selector that matches all repositories except a few. Returns `None` if `reached` has
/// too few repositories for such a selector.
pub(super) fn all_but(all: &[Observed], reached: &Members) -> Option<Label> {
    let excepted = all.len() - reached.len();
    let is_short = excepted <= EXCEPTIONS && excepted * 10 <= all.len();
    if reached.len() < 2 || !(is_short || (excepted == 1 && all.len() > 4)) {
        return None;
    }
    let names = all.iter().enumerate().filter(|(at, _)| !reached.contains(at));
    let mut names: Vec<String> = names.map(|(_, one)| one.name.clone()).collect();
    names.sort_unstable();
    Some(Label::AllBut(names))
}
