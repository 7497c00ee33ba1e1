//! Stores the last accepted mappings of the configuration for each target. After a restart, the
//! service continues with these mappings until the gate lets other mappings pass.

use beadle_engine::{Metadata, Note, PolicyLocation, Store, StoreError, Stored};
use beadle_groups::{Mapping, Mappings};
use serde::{Deserialize, Serialize};

use crate::app::groups::directories_and_targets::Directories;
use crate::app::store::text_parts::split;
use crate::config::Config;

/// The last accepted mappings to a target.
#[derive(Serialize, Deserialize)]
pub(in crate::app) struct AcceptedMappings {
    /// The name of the generation.
    pub(in crate::app) generation: String,
    /// The number of parts into which Beadle splits the text of the mappings for the store.
    parts: usize,
}

impl Metadata for AcceptedMappings {
    const KIND: &'static str = "accepted-mappings";
    const IS_NEEDED: bool = true;
}

/// A part of the text of the mappings.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct MappingText(String);

impl Metadata for MappingText {
    const KIND: &'static str = "mapping-text";
    const IS_PLAIN: bool = true;
}

/// A mapping together with its line in the file. The line is not a part of the mapping itself.
#[derive(Serialize, Deserialize)]
struct Placed {
    mapping: Mapping,
    asked: Option<PolicyLocation>,
}

/// Returns the name for one generation of the mappings to a target.
pub(in crate::app) fn generation_of(mappings: &[Mapping]) -> String {
    Mappings::new(mappings.to_vec()).generation
}

fn note(target: &str) -> Note<AcceptedMappings> {
    Note::of(&[target])
}

/// Returns the note of a part. Each generation has its own notes. So if a process ends while it
/// stores a text, the text of the last accepted generation is still complete.
fn part_note(target: &str, generation: &str, part: usize) -> Note<MappingText> {
    Note::of(&[target, &format!("{generation}/{part}")])
}

/// Returns the last accepted generation of a target, if there is one.
pub(in crate::app) async fn of(
    store: &dyn Store,
    target: &str,
) -> Result<Option<AcceptedMappings>, StoreError> {
    note(target).get(store).await
}

/// Returns the last accepted generation of a target, for [`accept_after`].
pub(super) async fn stored(store: &dyn Store, target: &str) -> Result<Stored<AcceptedMappings>, StoreError> {
    note(target).stored(store).await
}

impl AcceptedMappings {
    /// Returns the accepted mappings. If Beadle cannot read the stored text, the result contains no
    /// mapping. The gate then counts every change that the configured mappings would cause.
    pub(super) async fn mappings(&self, store: &dyn Store, target: &str) -> Result<Vec<Mapping>, StoreError> {
        let mut text = String::new();
        for part in 0..self.parts {
            if let Some(MappingText(part)) = part_note(target, &self.generation, part).get(store).await? {
                text.push_str(&part);
            }
        }
        match serde_json::from_str::<Vec<Placed>>(&text) {
            Ok(all) => {
                Ok(all.into_iter().map(|Placed { mapping, asked }| Mapping { asked, ..mapping }).collect())
            }
            Err(error) => {
                tracing::warn!(target_name = target, %error, "last accepted mappings unusable");
                Ok(Vec::new())
            }
        }
    }
}

/// Stores the accepted mappings to a target, if the accepted generation is still `before`. Returns
/// whether this call stored the mappings. Without this condition, a process that was suspended
/// could replace newer mappings.
pub(super) async fn accept_after(
    store: &dyn Store,
    target: &str,
    mappings: &[Mapping],
    before: &Stored<AcceptedMappings>,
) -> Result<bool, StoreError> {
    let placed = |mapping: &Mapping| Placed { mapping: mapping.clone(), asked: mapping.asked.clone() };
    let placed: Vec<Placed> = mappings.iter().map(placed).collect();
    let text = serde_json::to_string(&placed)
        .map_err(|error| StoreError::Corrupt { doing: "writing the mappings", why: error.to_string() })?;
    let generation = generation_of(mappings);
    let texts = split(&text);
    for (at, part) in texts.iter().enumerate() {
        part_note(target, &generation, at).put(store, &MappingText((*part).to_owned())).await?;
    }
    let parts = texts.len();
    let accepted = AcceptedMappings { generation, parts };
    if !note(target).replace(store, before, &accepted).await? {
        return Ok(false);
    }
    if let Some(before) = before.value.as_ref().filter(|before| before.generation != accepted.generation) {
        for part in 0..before.parts {
            part_note(target, &before.generation, part).forget(store).await?;
        }
    }
    Ok(true)
}

/// Returns the mappings that belong to a target.
pub(crate) fn to_target(all: &Mappings, target: &str) -> Vec<Mapping> {
    all.all.iter().filter(|mapping| mapping.target == target).cloned().collect()
}

/// Follows the accepted mappings of each target. At first, the last accepted mappings come into
/// force. If no service has accepted mappings to a target yet, the function accepts the mappings of
/// the configuration without the gate. Later, the mappings of the configuration come into force if
/// another process has accepted them.
pub(in crate::app) async fn follow(
    config: &Config,
    directories: &Directories,
    store: &dyn Store,
    is_first: bool,
) -> Result<(), StoreError> {
    let in_force = &directories.in_force;
    for target in &config.file.target {
        let (name, wanted) = (target.name.as_str(), to_target(&config.mappings, &target.name));
        let generation = generation_of(&wanted);
        let stored = stored(store, name).await?;
        match &stored.value {
            Some(accepted) if accepted.generation == generation => {
                if generation_of(&in_force.configured_of(name)) != generation {
                    in_force.replace_configured(name, wanted);
                }
            }
            Some(accepted) if is_first => {
                in_force.replace_configured(name, accepted.mappings(store, name).await?);
            }
            // Another process can accept its mappings at the same moment.
            None if is_first => {
                if !accept_after(store, name, &wanted, &stored).await?
                    && let Some(accepted) = of(store, name).await?
                {
                    in_force.replace_configured(name, accepted.mappings(store, name).await?);
                }
            }
            // Two processes with different configurations must not replace each other's mappings
            // again and again.
            Some(_) | None => {}
        }
    }
    Ok(())
}

/// Starts the work without the configured mappings, because the accepted mappings are unknown.
/// Without a mapping, Beadle does not change a group.
pub(in crate::app) fn begin_without(config: &Config, directories: &Directories) {
    for target in &config.file.target {
        directories.in_force.replace_configured(&target.name, Vec::new());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::store;
    use crate::app::store::text_parts::PART;

    fn mapping(text: &str) -> Mapping {
        let mapping = serde_json::json!({
            "source": "corp", "target": "aws", "include": ["a"], "exclude": [], "naming": {}, "into": null,
            "mode": "enforce", "on_missing_group": "wait", "on_missing_user": "wait", "users": "leave",
            "on_rename": "follow", "on_delete": "keep", "adopt": false, "may_empty": false, "protected": [],
            "role": null, "parent": null, "description": text,
        });
        let asked = Some(PolicyLocation { file: "beadle.toml".into(), line: 7 });
        Mapping { asked, ..serde_json::from_value(mapping).unwrap() }
    }

    #[tokio::test]
    async fn a_suspended_process_does_not_replace_newer_mappings() {
        let (_folder, store) = store::temporary().unwrap();
        let store = store.as_ref();
        let before = stored(store, "aws").await.unwrap();
        let (newer, older) = ([mapping("newer")], [mapping("older")]);
        assert!(accept_after(store, "aws", &newer, &before).await.unwrap());
        assert!(!accept_after(store, "aws", &older, &before).await.unwrap());
        let found = of(store, "aws").await.unwrap().unwrap();
        let read = found.mappings(store, "aws").await.unwrap();
        assert_eq!((found.generation, generation_of(&read)), (generation_of(&newer), generation_of(&newer)));
    }

    #[tokio::test]
    async fn accepted_mappings_are_read_back_with_their_lines_and_older_ones_are_deleted() {
        let (_folder, store) = store::temporary().unwrap();
        let store = store.as_ref();
        assert!(of(store, "aws").await.unwrap().is_none());
        let long = [mapping("a"), mapping(&"é".repeat(PART))];
        for accepted in [&long[..1], &long[..], &[], &long[..]] {
            let before = stored(store, "aws").await.unwrap();
            assert!(accept_after(store, "aws", accepted, &before).await.unwrap());
            let found = of(store, "aws").await.unwrap().unwrap();
            assert_eq!(found.generation, generation_of(accepted));
            let read = found.mappings(store, "aws").await.unwrap();
            assert_eq!(generation_of(&read), found.generation);
            assert!(read.iter().all(|mapping| mapping.asked.as_ref().is_some_and(|asked| asked.line == 7)));
            let all: Note<MappingText> = Note::of(&["aws", ""]);
            assert_eq!(all.list(store).await.unwrap().len(), found.parts);
        }
    }
}
