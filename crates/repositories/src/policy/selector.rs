//! Which repositories a layer is for: `select:` and `except:`. Every key given has to hold; of a list, one.

use beadle_github::{Repository, Unsure};
use jiff::civil::Date;
use serde_json::Value;

use super::node::{Kind, Node};
use super::pattern::{Pattern, patterns};
use super::problem::Problem;

/// What a repository has to be like.
#[derive(Clone, Debug, Default)]
pub struct Selector {
    /// Globs on its name.
    pub names: Vec<Pattern>,
    topics: Vec<String>,
    teams: Vec<String>,
    /// Names of custom properties, each with the values that do.
    properties: Vec<(String, Vec<String>)>,
    visibilities: Vec<String>,
    fork: Option<bool>,
    after: Option<Date>,
    before: Option<Date>,
}

/// One text, or a list of them.
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
        let problem = Problem::error(node.asked.clone(), node.column, format!("`{text}` is no date"));
        problems.push(problem.hint("write it as 2026-01-31"));
    }
    parsed
}

/// The values of custom properties as the incumbent writes them in `suborgproperties`: the first key of each entry counts,
/// and one entry is enough.
pub(super) fn incumbent(node: &Node) -> Vec<Selector> {
    let entries = node.items().iter().filter_map(|item| {
        let (name, value) = item.entries().first()?;
        let properties = vec![(name.text()?.to_owned(), texts(value))];
        Some(Selector { properties, ..Selector::default() })
    });
    entries.collect()
}

impl Selector {
    /// Reads a block that was checked already.
    pub(super) fn read(node: &Node, problems: &mut Vec<Problem>) -> Self {
        let list = |key: &str| node.get(key).map(texts).unwrap_or_default();
        let names = match node.get("name") {
            Some(names) if names.text().is_some() => {
                let list = Node { kind: Kind::List(vec![names.clone()]), ..names.clone() };
                patterns(&list, Pattern::glob, problems)
            }
            Some(names) => patterns(names, Pattern::glob, problems),
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

    /// Whether nothing but names and dates, which no setting changes, decide.
    #[cfg(test)]
    pub(crate) fn is_by_name_only(&self) -> bool {
        self.topics.is_empty()
            && self.teams.is_empty()
            && self.properties.is_empty()
            && self.visibilities.is_empty()
            && self.fork.is_none()
    }

    /// Whether it selects everything.
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

    /// Whether a repository's topics have to be known.
    pub fn asks_for_topics(&self) -> bool {
        !self.topics.is_empty()
    }

    /// The teams that it selects by.
    pub(crate) fn teams(&self) -> &[String] {
        &self.teams
    }

    /// The custom properties that it selects by.
    pub(crate) fn properties(&self) -> impl Iterator<Item = &String> {
        self.properties.iter().map(|(name, _)| name)
    }

    /// Whether its teams have to be known.
    pub fn asks_for_teams(&self) -> bool {
        !self.teams.is_empty()
    }

    /// Whether its custom properties have to be known.
    pub fn asks_for_properties(&self) -> bool {
        !self.properties.is_empty()
    }

    /// Whether a repository is meant; `Err` where that cannot be known.
    pub fn is_match(&self, repository: &Repository) -> Result<bool, Unsure> {
        let sure = (self.names.is_empty() || self.names.iter().any(|glob| glob.is_match(&repository.name)))
            && (self.visibilities.is_empty()
                || self.visibilities.iter().any(|wanted| wanted == repository.visibility.as_str()))
            && self.fork.is_none_or(|fork| fork == repository.fork);
        if !sure {
            // What is not known cannot make it one.
            return Ok(false);
        }
        if self.after.is_some() || self.before.is_some() {
            let day = repository.created_at.get(..10).and_then(|day| day.parse::<Date>().ok());
            let unknown = || Unsure::for_people("when the repository was made is unknown".to_owned());
            let day = day.ok_or_else(unknown)?;
            if self.after.is_some_and(|after| day <= after) || self.before.is_some_and(|before| day >= before)
            {
                return Ok(false);
            }
        }
        // A name that stands for nothing may be the old name of what the repository has. It counts
        // only where all else fits.
        let mut doubt = None;
        if !self.topics.is_empty() {
            let have = known(repository.topics.as_ref(), "topics")?;
            if !self.topics.iter().any(|topic| have.contains(topic)) {
                return Ok(false);
            }
        }
        if !self.teams.is_empty() {
            let have = known(repository.teams.as_ref(), "teams")?;
            let has = |team: &String| have.iter().any(|other| other.slug.eq_ignore_ascii_case(team));
            if !self.teams.iter().any(has) {
                match self.teams.iter().find_map(|team| repository.missing.team(team)) {
                    Some(why) => doubt = Some(Unsure::sooner(doubt, why)),
                    None => return Ok(false),
                }
            }
        }
        for (name, wanted) in &self.properties {
            let have = known(repository.properties.as_ref(), "custom properties")?;
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

fn known<'a, T>(part: Option<&'a Result<T, String>>, what: &str) -> Result<&'a T, Unsure> {
    match part {
        Some(Ok(known)) => Ok(known),
        Some(Err(why)) => Err(Unsure::for_now(format!("the repository's {what} are unknown: {why}"))),
        None => Err(Unsure::for_now(format!("the repository's {what} were not read"))),
    }
}
