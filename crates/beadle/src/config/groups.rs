//! `[[groups]]`: which groups of a directory make which groups of a target.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use beadle_engine::{Mode, PolicyLocation};
use beadle_groups::Mapping;
use beadle_groups::mapping::{
    Case, Naming, OnDelete, OnMissingGroup, OnMissingUser, OnRename, Pattern, Role, Users, replacements,
};
use beadle_repositories::policy::{ReadingAt, nearest, read_text};
use serde::Deserialize;

use super::file::File;
use super::read::parse;

/// Which groups of a directory make which groups of a target.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GroupsFile {
    source: toml::Spanned<String>,
    target: String,
    include: Vec<String>,
    #[serde(default)]
    exclude: Vec<String>,
    strip_prefix: Option<String>,
    strip_suffix: Option<String>,
    #[serde(default)]
    replace: Vec<(String, String)>,
    case: Option<Case>,
    prefix: Option<String>,
    into: Option<String>,
    #[serde(default)]
    mode: Mode,
    #[serde(default)]
    on_missing_group: OnMissingGroup,
    #[serde(default)]
    on_missing_user: OnMissingUser,
    #[serde(default)]
    users: Users,
    #[serde(default)]
    on_rename: OnRename,
    #[serde(default)]
    on_delete: OnDelete,
    #[serde(default)]
    adopt: bool,
    #[serde(default)]
    may_empty: bool,
    #[serde(default)]
    protected: Vec<String>,
    role: Option<Role>,
    parent: Option<String>,
    description: Option<String>,
}

impl GroupsFile {
    /// The line that begins it, from 1.
    fn line(&self, text: &str) -> u32 {
        let before = &text[..self.source.span().start.min(text.len())];
        u32::try_from(before.matches('\n').count() + 1).unwrap_or(u32::MAX)
    }

    /// What one kind of target has and another has not.
    fn check(&self, is_teams: bool) -> Result<(), String> {
        if is_teams {
            let provisions = self.users == Users::Provision;
            return if provisions {
                Err("users = \"provision\" makes no accounts at GitHub: they are people's own; invite them there".into())
            } else {
                Ok(())
            };
        }
        let keys = [
            ("role", self.role.is_some()),
            ("parent", self.parent.is_some()),
            ("description", self.description.is_some()),
        ];
        match keys.into_iter().find(|(_, is_said)| *is_said) {
            Some((key, _)) => {
                Err(format!("`{key}` is for teams of GitHub; a group of a SCIM server has none"))
            }
            None => Ok(()),
        }
    }

    fn mapping(&self, file: &Arc<str>, text: &str) -> anyhow::Result<Mapping> {
        let patterns = |list: &[String]| -> anyhow::Result<Vec<Pattern>> {
            list.iter().map(|text| Ok(text.parse::<Pattern>()?)).collect()
        };
        let naming = Naming {
            strip_prefix: self.strip_prefix.clone(),
            strip_suffix: self.strip_suffix.clone(),
            case: self.case,
            prefix: self.prefix.clone(),
            replace: replacements(&self.replace)?,
        };
        Ok(Mapping {
            source: self.source.get_ref().clone(),
            target: self.target.clone(),
            include: patterns(&self.include)?,
            exclude: patterns(&self.exclude)?,
            naming,
            into: self.into.clone(),
            mode: self.mode,
            on_missing_group: self.on_missing_group,
            on_missing_user: self.on_missing_user,
            users: self.users,
            on_rename: self.on_rename,
            on_delete: self.on_delete,
            adopt: self.adopt,
            may_empty: self.may_empty,
            protected: patterns(&self.protected)?,
            role: self.role,
            parent: self.parent.clone(),
            description: self.description.clone(),
            asked: Some(PolicyLocation { file: file.clone(), line: self.line(text) }),
        })
    }
}

/// A file that has nothing but mappings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MappingsFile {
    #[serde(default)]
    groups: Vec<GroupsFile>,
}

/// Returns the texts of the files that have nothing but mappings, as they are now.
pub(crate) fn read(paths: Vec<PathBuf>, at: &ReadingAt) -> anyhow::Result<Vec<(PathBuf, String)>> {
    let read = |path: PathBuf| -> anyhow::Result<_> {
        at.note(&path);
        let text =
            read_text(&path).with_context(|| format!("cannot read {} (groups_from)", path.display()))?;
        Ok((path, text))
    };
    paths.into_iter().map(read).collect()
}

/// The mappings of a file that has nothing else.
pub(super) fn mappings_alone(file: &File, path: &Path, text: &str) -> anyhow::Result<Vec<Mapping>> {
    let found: MappingsFile = parse(path, text)?;
    mappings(file, &found.groups, path, text)
}

/// The mappings of a file with this text.
pub(super) fn mappings(
    file: &File,
    groups: &[GroupsFile],
    path: &Path,
    text: &str,
) -> anyhow::Result<Vec<Mapping>> {
    let name = path
        .file_name()
        .map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned());
    let short: Arc<str> = name.into();
    let mut all = Vec::new();
    for groups in groups {
        let place = || format!("{}:{}: [[groups]]", path.display(), groups.line(text));
        let known = |what: &str, name: &str, names: Vec<&str>| -> anyhow::Result<()> {
            if names.contains(&name) {
                return Ok(());
            }
            let near = nearest(name, names);
            let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            bail!("{}: there is no {what} `{name}`{hint}", place())
        };
        known(
            "[[okta]]",
            groups.source.get_ref(),
            file.okta.iter().map(|okta| okta.name.as_str()).collect(),
        )?;
        known("[[target]]", &groups.target, file.target.iter().map(|target| target.name.as_str()).collect())?;
        if groups
            .into
            .as_ref()
            .is_some_and(|name| name.trim().is_empty() || name.chars().any(char::is_control))
        {
            bail!("{}: `into` must be the name of a group; it is empty or has control characters", place());
        }
        let target = file.target.iter().find(|one| one.name == groups.target);
        let teams = target.and_then(|target| target.github.as_ref());
        groups.check(teams.is_some()).map_err(|why| anyhow::anyhow!("{}: {why}", place()))?;
        let mut mapping = groups.mapping(&short, text).with_context(place)?;
        // The more careful mode of the mapping and of the organisation of the teams counts.
        if let Some(org) = teams.and_then(|teams| file.org.iter().find(|org| org.name == teams.org)) {
            mapping.mode = mapping.mode.min(org.mode);
        }
        all.push(mapping);
    }
    Ok(all)
}
