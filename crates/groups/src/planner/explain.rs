//! Explains which mapping makes a group, and which source groups the mapping uses.

use beadle_engine::{Class, Failure, Key};
use serde::Serialize;
use serde_json::{Value, json};

use super::{GroupPlanner, Sources, name_of};
use crate::mapping::GroupKey;

/// The explanation of one group at a target.
#[derive(Clone, Debug, Serialize)]
pub struct Explained {
    /// The target and the name of the group, as `beadle explain` prints them.
    pub subject: String,
    /// The key of the group.
    pub key: String,
    /// The source groups, each with the line of the mapping that includes it.
    pub sources: Vec<(String, String)>,
    /// The mapping that decides the settings of the group, or `None` if no mapping includes the
    /// group.
    pub mapping: Option<Value>,
    /// The id of the group at the target, if Beadle remembers it.
    pub remembered: Option<String>,
}

impl GroupPlanner {
    /// Explains a group. Reads the names of the source groups, but no members.
    pub async fn explain(&self, key: &Key) -> Result<Explained, Failure> {
        let group_key: GroupKey =
            key.id().parse().map_err(|why: String| Failure::new(Class::Rejected, why))?;
        let mappings = self.directory.mappings();
        let link = self.links.of(&self.directory.name, &group_key).await?;
        let groups = match self.sources_of(&mappings, &group_key).await? {
            Sources::Groups(groups) => groups,
            Sources::Gone => Vec::new(),
        };
        let sources = groups.iter().map(|(mapping, group)| {
            let place = mapping.asked.as_ref().map(ToString::to_string).unwrap_or_default();
            (format!("{}/{} ({})", mapping.source, group.id, group.name), place)
        });
        Ok(Explained {
            subject: format!("{}/{}", self.directory.name, name_of(&group_key, &groups, link.as_ref())),
            key: key.to_string(),
            sources: sources.collect(),
            mapping: groups.first().map(|(mapping, _)| json!(mapping)),
            remembered: link.map(|link| link.group),
        })
    }
}
