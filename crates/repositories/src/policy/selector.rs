//! Decides which repositories match `select:` and `except:` of a layer. A repository must match
//! every key. If the value of a key is a list, the repository must match at least one entry.

use beadle_github::{Known, Repository, Unsure};
use jiff::civil::Date;
use serde_json::Value;

use super::node::{Kind, Node};
use super::pattern::{Pattern, globs};
use super::problem::Problem;

/// The conditions in a `select:` or `except:` block.
#[derive(Clone, Debug, Default)]
pub struct Selector {
    /// Globs for the name of the repository.
    pub names: Vec<Pattern>,
    topics: Vec<String>,
    teams: Vec<String>,
    /// The names of custom properties. Each name comes with its matching values.
    properties: Vec<(String, Vec<String>)>,
    visibilities: Vec<String>,
    fork: Option<bool>,
    after: Option<Date>,
    before: Option<Date>,
}

/// Returns the texts in a list. The function treats a single text as a list of one text.
fn texts(node: &Node) -> Vec<String> {
    let text = |node: &Node| match &node.kind {
        Kind::Text(text) => Some(text.clone()),
        Kind::Bool(value) => Some(value.to_string()),
        Kind::Int(value) => Some(value.to_string()),
        _ => None,
    };
    if let Kind::List(items) = &node.kind {
        items.iter().filter_map(text).collect()
    } else {
        text(node).into_iter().collect()
    }
}

fn date(node: &Node, problems: &mut Vec<Problem>) -> Option<Date> {
    let text = node.text()?;
    let parsed = text.parse().ok();
    if parsed.is_none() {
        let problem = Problem::error(node.asked.clone(), node.column, format!("invalid date `{text}`"));
        problems.push(problem.hint("use a date such as `2026-01-31`"));
    }
    parsed
}

/// Reads `suborgproperties` with the rules of safe-settings. Beadle uses only the first key of each
/// entry. A repository needs to match only one entry.
pub(super) fn incumbent(node: &Node) -> Vec<Selector> {
    let entries = node.items().iter().filter_map(|item| {
        let (name, value) = item.entries().first()?;
        let properties = vec![(name.text()?.to_owned(), texts(value))];
        Some(Selector { properties, ..Selector::default() })
    });
    entries.collect()
}

impl Selector {
    /// Reads a selector from a valid block.
    pub(super) fn read(node: &Node, problems: &mut Vec<Problem>) -> Self {
        let list = |key: &str| node.get(key).map(texts).unwrap_or_default();
        let names = match node.get("name") {
            Some(names) if names.text().is_some() => {
                let list = Node { kind: Kind::List(vec![names.clone()]), ..names.clone() };
                globs(&list, problems)
            }
            Some(names) => globs(names, problems),
            None => Vec::new(),
        };
        let properties = node.get("property").map(Node::entries).unwrap_or_default().iter();
        Self {
            names,
            topics: list("topic").iter().map(|topic| topic.to_lowercase()).collect(),
            teams: list("team"),
            properties: properties
                .filter_map(|(name, value)| Some((name.text()?.to_owned(), texts(value))))
                .collect(),
            visibilities: list("visibility"),
            fork: node.get("fork").and_then(Node::bool),
            after: node.get("created_after").and_then(|node| date(node, problems)),
            before: node.get("created_before").and_then(|node| date(node, problems)),
        }
    }

    /// Returns whether the selector has no condition. Every repository then matches.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
            && self.topics.is_empty()
            && self.teams.is_empty()
            && self.properties.is_empty()
            && self.visibilities.is_empty()
            && self.fork.is_none()
            && self.after.is_none()
            && self.before.is_none()
    }

    /// Returns whether Beadle must know a repository's topics to evaluate the selector.
    pub fn asks_for_topics(&self) -> bool {
        !self.topics.is_empty()
    }

    /// Returns the slugs of the teams in the selector.
    pub(crate) fn teams(&self) -> &[String] {
        &self.teams
    }

    /// Returns the names of the custom properties in the selector.
    pub(crate) fn properties(&self) -> impl Iterator<Item = &String> {
        self.properties.iter().map(|(name, _)| name)
    }

    /// Returns whether Beadle must know a repository's teams to evaluate the selector.
    pub fn asks_for_teams(&self) -> bool {
        !self.teams.is_empty()
    }

    /// Returns whether Beadle must know a repository's custom properties to evaluate the selector.
    pub fn asks_for_properties(&self) -> bool {
        !self.properties.is_empty()
    }

    /// Returns whether the selector matches a repository. Returns `Err` if the match is unknown.
    pub fn is_match(&self, repository: &Repository) -> Result<bool, Unsure> {
        let sure = (self.names.is_empty() || self.names.iter().any(|glob| glob.is_match(&repository.name)))
            && (self.visibilities.is_empty()
                || self.visibilities.iter().any(|wanted| wanted == repository.visibility.as_str()))
            && self.fork.is_none_or(|fork| fork == repository.fork);
        if !sure {
            // If one condition certainly does not match, unknown values of other conditions have no
            // effect.
            return Ok(false);
        }
        if self.after.is_some() || self.before.is_some() {
            let day = repository.created_at.get(..10).and_then(|day| day.parse::<Date>().ok());
            let unknown = || Unsure::for_people("the creation date of the repository is unknown".to_owned());
            let day = day.ok_or_else(unknown)?;
            if self.after.is_some_and(|after| day <= after) || self.before.is_some_and(|before| day >= before)
            {
                return Ok(false);
            }
        }
        // If a team or property of the selector does not exist, somebody might have renamed it. The
        // repository might then have the team or property under the new name. So the result is
        // unknown. But if another condition certainly does not match, the result is certain.
        let mut doubt = None;
        if !self.topics.is_empty() {
            let have = known(&repository.topics, "topics")?;
            if !self.topics.iter().any(|topic| have.contains(topic)) {
                return Ok(false);
            }
        }
        if !self.teams.is_empty() {
            let have = known(&repository.teams, "teams")?;
            let has = |team: &String| have.iter().any(|other| other.slug.eq_ignore_ascii_case(team));
            if !self.teams.iter().any(has) {
                match self.teams.iter().find_map(|team| repository.missing.team(team)) {
                    Some(why) => doubt = Some(Unsure::sooner(doubt, why)),
                    None => return Ok(false),
                }
            }
        }
        for (name, wanted) in &self.properties {
            let have = known(&repository.properties, "custom properties")?;
            let value =
                have.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value);
            let is = |value: &Value| {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                wanted.contains(&text)
            };
            let fits = match value {
                Some(Value::Array(values)) => values.iter().any(is),
                Some(value) => is(value),
                None => false,
            };
            if !fits {
                match repository.missing.property(name) {
                    Some(why) => doubt = Some(Unsure::sooner(doubt, why)),
                    None => return Ok(false),
                }
            }
        }
        doubt.map_or(Ok(true), |why| Err(why.clone()))
    }
}

/// Compares selectors with each other. These comparisons need no repository.
impl Selector {
    /// Returns whether the selector matches a repository with this name. Returns `None` if the
    /// match does not depend on the name alone.
    pub(super) fn of_name(&self, name: &str) -> Option<bool> {
        if !self.names.is_empty() && !self.names.iter().any(|glob| glob.is_match(name)) {
            return Some(false);
        }
        self.only_names().map(|_| true)
    }

    /// If the selector contains only globs for the name, returns these globs.
    pub(super) fn only_names(&self) -> Option<&[Pattern]> {
        let others = Self { names: Vec::new(), ..self.clone() };
        others.is_empty().then_some(self.names.as_slice())
    }

    /// Returns whether every repository that matches this selector certainly also matches `other`.
    pub(super) fn is_within(&self, other: &Self) -> bool {
        let names = || {
            !self.names.is_empty()
                && self.names.iter().all(|name| other.names.iter().any(|wide| name.is_within(wide)))
        };
        let texts = |own: &[String], wide: &[String]| {
            wide.is_empty() || (!own.is_empty() && own.iter().all(|text| has_text(wide, text)))
        };
        let property = |(name, wide): &(String, Vec<String>)| {
            self.values(name).is_some_and(|own| own.iter().all(|value| wide.contains(value)))
        };
        (other.names.is_empty() || names())
            && texts(&self.topics, &other.topics)
            && texts(&self.teams, &other.teams)
            && texts(&self.visibilities, &other.visibilities)
            && other.properties.iter().all(property)
            && (other.fork.is_none() || self.fork == other.fork)
            && other.after.is_none_or(|wide| self.after.is_some_and(|own| own >= wide))
            && other.before.is_none_or(|wide| self.before.is_some_and(|own| own <= wide))
    }

    /// Returns whether the two selectors certainly never match the same repository.
    pub(super) fn is_apart_from(&self, other: &Self) -> bool {
        let names = !self.names.is_empty()
            && !other.names.is_empty()
            && self.names.iter().all(|one| other.names.iter().all(|two| one.is_apart_from(two)));
        let visibilities = !self.visibilities.is_empty()
            && !other.visibilities.is_empty()
            && !self.visibilities.iter().any(|one| other.visibilities.contains(one));
        let forks = self.fork.is_some() && other.fork.is_some() && self.fork != other.fork;
        // A property can have several values, so a repository could match both selectors. Beadle
        // accepts this inaccuracy, because the case is rare and a plan still finds the
        // contradiction.
        let properties = self.properties.iter().any(|(name, own)| {
            other.values(name).is_some_and(|values| !own.iter().any(|value| values.contains(value)))
        });
        let ends = |after: Option<Date>, before: Option<Date>| {
            after.is_some_and(|after| before.is_some_and(|before| after >= before))
        };
        let dates = ends(self.after, other.before) || ends(other.after, self.before);
        names || visibilities || forks || properties || dates
    }

    /// Returns the matching values of a custom property if the property is in the selector.
    pub(super) fn values(&self, property: &str) -> Option<&[String]> {
        let found = self.properties.iter().find(|(name, _)| name.eq_ignore_ascii_case(property));
        found.map(|(_, values)| values.as_slice())
    }
}

fn has_text(texts: &[String], text: &str) -> bool {
    texts.iter().any(|other| other.eq_ignore_ascii_case(text))
}

/// Returns a part of a repository, or the reason why the part is unknown.
fn known<'a, T>(part: &'a Known<T>, what: &str) -> Result<&'a T, Unsure> {
    match part {
        Known::Known(known) => Ok(known),
        Known::Unknown(Unsure { why, transient }) => {
            Err(Unsure { why: format!("the repository's {what} are unknown: {why}"), transient: *transient })
        }
        Known::NotAsked => Err(Unsure::for_now(format!("the repository's {what} were not read"))),
    }
}
