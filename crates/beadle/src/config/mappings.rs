//! The mappings of `[[groups]]`, and the further files that contain only mappings.
//! `policy_mappings.rs` contains the rules for the mappings in a policy.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use beadle_config::{ConfigError, File, GroupsFile, Invalid, KeyPath, MappingsFile, Source};
use beadle_engine::PolicyLocation;
use beadle_groups::Mapping;
use beadle_groups::mapping::{
    MappingError, Naming, OnDelete, OnMissingGroup, OnMissingUser, OnRename, Pattern, Users, replacements,
};
use beadle_repositories::policy::{MEMBERS, ReadingAt, TEAMS, read_text};

use super::conversions::Choice;

/// Reads the files of `groups_from`, and returns their texts.
pub(crate) fn read(paths: Vec<PathBuf>, at: &ReadingAt) -> anyhow::Result<Vec<(PathBuf, String)>> {
    let read = |path: PathBuf| -> anyhow::Result<_> {
        at.note(&path);
        let text =
            read_text(&path).with_context(|| format!("cannot read {} (groups_from)", path.display()))?;
        Ok((path, text))
    };
    paths.into_iter().map(read).collect()
}

/// Returns the mappings of a file that contains only mappings.
pub(super) fn mappings_alone(file: &File, path: &Path, text: &str) -> Result<Vec<Mapping>, ConfigError> {
    let source = Source::new(path, text);
    let found: MappingsFile = source.parse()?;
    for (entry, groups) in found.groups.iter().enumerate() {
        let at = KeyPath::new("groups").entry(entry);
        groups.check(file, &at).map_err(|invalid| source.error(invalid))?;
    }
    mappings(file, &found.groups, path, &source)
}

/// Returns the mappings of a file that has already been checked.
pub(super) fn mappings(
    file: &File,
    groups: &[GroupsFile],
    path: &Path,
    source: &Source,
) -> Result<Vec<Mapping>, ConfigError> {
    let name = path
        .file_name()
        .map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned());
    let short: Arc<str> = name.into();
    let mut all = Vec::new();
    for (entry, groups) in groups.iter().enumerate() {
        let at = KeyPath::new("groups").entry(entry);
        let mut mapping = mapping(groups, &at).map_err(|invalid| source.error(invalid))?;
        mapping.asked = Some(PolicyLocation { file: short.clone(), line: groups.line(source) });
        // The mapping and the organisation of the teams each have a mode. If these modes differ,
        // the more careful mode applies.
        let target = file.target.iter().find(|target| target.name == groups.target);
        let teams = target.and_then(|target| target.github.as_ref());
        if let Some(org) = teams.and_then(|teams| file.org.iter().find(|org| org.name == teams.org)) {
            mapping.mode = mapping.mode.min(org.mode);
        }
        all.push(mapping);
    }
    Ok(all)
}

/// Returns a mapping for each policy file that declares teams or members of an organisation. To
/// Beadle, these teams or members are groups of a target.
pub(super) fn mappings_of_team_files(file: &File) -> anyhow::Result<Vec<Mapping>> {
    let mut all = Vec::new();
    for target in &file.target {
        let Some(teams) = &target.github else { continue };
        let org = file.org.iter().find(|org| org.name == teams.org);
        let mode = org.map(|org| org.mode).unwrap_or_default();
        let sources = [
            (teams.teams_from_policy, target.name.clone(), TEAMS),
            (teams.members_from_policy, target.members_source(), MEMBERS),
        ];
        for (_, source, declared_in) in sources.into_iter().filter(|(is_set, ..)| *is_set) {
            all.push(Mapping {
                source,
                target: target.name.clone(),
                include: vec!["*".parse::<Pattern>()?],
                exclude: Vec::new(),
                naming: Naming::default(),
                into: None,
                mode,
                on_missing_group: OnMissingGroup::Create,
                on_missing_user: OnMissingUser::Wait,
                users: Users::Leave,
                on_rename: OnRename::Follow,
                on_delete: OnDelete::Keep,
                // A team in the file means the team of the same name in the organisation.
                adopt: true,
                may_empty: false,
                protected: Vec::new(),
                role: None,
                parent: None,
                description: None,
                asked: Some(PolicyLocation { file: declared_in.into(), line: 1 }),
            });
        }
    }
    Ok(all)
}

/// Returns the mapping in a table of the file. `table` is the path of this table.
fn mapping(groups: &GroupsFile, table: &KeyPath) -> Result<Mapping, Invalid> {
    let wrong = |key: &str, error: &MappingError| {
        let at = table.key(key);
        let what = format!("`{at}`: {error}");
        Invalid::new(at, what)
    };
    let patterns = |key: &str, list: &[String]| -> Result<Vec<Pattern>, Invalid> {
        let list = list.iter().map(|text| text.parse::<Pattern>());
        list.collect::<Result<_, _>>().map_err(|error| wrong(key, &error))
    };
    let naming = Naming {
        strip_prefix: groups.strip_prefix.clone(),
        strip_suffix: groups.strip_suffix.clone(),
        case: groups.case.map(Choice::domain),
        prefix: groups.prefix.clone(),
        replace: replacements(&groups.replace).map_err(|error| wrong("replace", &error))?,
    };
    Ok(Mapping {
        source: groups.source.get_ref().clone(),
        target: groups.target.clone(),
        include: patterns("include", &groups.include)?,
        exclude: patterns("exclude", &groups.exclude)?,
        naming,
        into: groups.into.clone(),
        mode: groups.mode,
        on_missing_group: groups.on_missing_group.domain(),
        on_missing_user: groups.on_missing_user.domain(),
        users: groups.users.domain(),
        on_rename: groups.on_rename.domain(),
        on_delete: groups.on_delete.domain(),
        adopt: groups.adopt,
        may_empty: groups.may_empty,
        protected: patterns("protected", &groups.protected)?,
        role: groups.role.map(Choice::domain),
        parent: groups.parent.clone(),
        description: groups.description.clone(),
        asked: None,
    })
}
