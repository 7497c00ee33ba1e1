//! Plans which changes a new text of a policy file, such as `teams.yml`, would cause in the groups
//! of a target. A preview writes nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use beadle_engine::Failure;

use super::GroupPlanner;
use super::preview::{GroupPreview, Shown};
use crate::mapping::{GroupKey, Mappings};
use crate::sources::{FileSource, FileTeam};

/// A policy file that declares groups, before and after a change of the file's text.
#[derive(Clone)]
pub struct ChangedFile {
    /// The name of the source. The file declares the groups of this source.
    pub source: String,
    /// The source with the earlier text.
    pub before: FileSource,
    /// The source with the new text.
    pub after: FileSource,
}

impl GroupPlanner {
    /// Plans those groups of the target whose declarations in the files have changed. The result
    /// contains only the values that the earlier texts do not require. The total in the result is
    /// the number of groups that Beadle makes from the new texts. `mappings` contains the mappings
    /// that are in force with the new texts.
    pub async fn preview_files(
        &self,
        mappings: &Mappings,
        files: &[ChangedFile],
    ) -> Result<GroupPreview, Failure> {
        let (mut old, mut new) = (self.with(mappings), self.with(mappings));
        let (mut preview, mut keys, mut made) = (GroupPreview::default(), BTreeSet::new(), BTreeSet::new());
        for file in files {
            let keys_of = |team: &FileTeam| -> Vec<GroupKey> {
                let of = mappings.group_keys(&file.source, &team.id, &team.name).into_iter();
                of.filter(|(target, _)| *target == self.directory.name).map(|(_, key)| key).collect()
            };
            let after = match file.after.teams().await {
                Ok(teams) => teams,
                Err(failure) => {
                    preview.incomplete.push(failure.text);
                    continue;
                }
            };
            // If the earlier text is missing or invalid, Beadle treats every group of the new text
            // as new.
            let before = file.before.teams().await.unwrap_or_default();
            keys.extend(changed(&before, &after).into_iter().flat_map(keys_of));
            made.extend(after.iter().flat_map(keys_of));
            old.directory.sources.insert(file.source.clone(), Arc::new(file.before.clone()));
            new.directory.sources.insert(file.source.clone(), Arc::new(file.after.clone()));
        }
        preview.total = u64::try_from(made.len()).unwrap_or(u64::MAX);
        if !keys.is_empty() {
            preview.add((&old, &new), &keys, Shown::Caused).await?;
        }
        Ok(preview)
    }
}

/// Returns the teams that differ between two texts of a file. The result contains both the old and
/// the new form of a changed team, because a mapping selects groups by their names.
fn changed<'a>(before: &'a [FileTeam], after: &'a [FileTeam]) -> Vec<&'a FileTeam> {
    let lacks = |teams: &[FileTeam], team: &FileTeam| !teams.contains(team);
    let old = before.iter().filter(|team| lacks(after, team));
    let new = after.iter().filter(|team| lacks(before, team));
    old.chain(new).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_new_a_removed_and_a_changed_team_differ() {
        let team = |id: &str, name: &str, member: &str| FileTeam {
            id: id.into(),
            name: name.into(),
            description: None,
            settings: BTreeMap::new(),
            members: BTreeMap::from([(member.to_owned(), None)]),
        };
        let before = [team("a", "A", "ada"), team("b", "B", "bob"), team("c", "C", "cy")];
        let after = [team("a", "A", "ada"), team("b", "Bees", "bob"), team("d", "D", "dan")];
        let names: Vec<&str> = changed(&before, &after).into_iter().map(|team| team.name.as_str()).collect();
        assert_eq!(names, ["B", "C", "Bees", "D"]);
        assert!(changed(&after, &after).is_empty());
    }
}
