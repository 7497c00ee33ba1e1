//! Converts a policy's `members.yml` to the membership of the organisation, and checks that the
//! organisation does not lose its owners.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;
use beadle_engine::PolicyLocation;
use beadle_groups::mapping::Role;
use beadle_groups::membership::{NAME, SOURCE_GROUP};
use beadle_groups::sources::FileTeam;
use beadle_repositories::policy::{DeclaredMembers, MEMBERS, Problem, read_members};

use crate::app::groups::policy_group_files::{Parse, first};
use crate::config::{TeamsFile, membership_limits};

/// Returns a function that reads the file and applies the rules of this target.
pub(super) fn parser(teams: &TeamsFile) -> Parse {
    let (least, required) = (least(teams), teams.required_owners.clone());
    Box::new(move |text: &str| {
        let declared = read_members(MEMBERS, text).map_err(|problems| first(&problems))?;
        if let Some(why) = wrong_owners(&declared, least, &required) {
            bail!("{MEMBERS}: {why}");
        }
        Ok(vec![group(&declared)])
    })
}

/// Returns the mistake in the declared owners of a target. `sources` contains the texts of the
/// policy's files.
pub(crate) fn problem(sources: &BTreeMap<String, String>, teams: &TeamsFile) -> Option<Problem> {
    let text = sources.get(MEMBERS).filter(|_| teams.members_from_policy)?;
    // If the file is invalid, the check of the policy reports the file.
    let declared = read_members(MEMBERS, text).ok()?;
    let why = wrong_owners(&declared, least(teams), &teams.required_owners)?;
    Some(Problem::error(PolicyLocation { file: MEMBERS.into(), line: 1 }, 1, why))
}

fn least(teams: &TeamsFile) -> usize {
    membership_limits(teams).map_or(1, |limits| limits.owners)
}

/// If the organisation cannot have these owners, returns the reason. The content of the file then
/// counts as unknown, so Beadle removes no member because of the file.
fn wrong_owners(declared: &DeclaredMembers, least: usize, required: &[String]) -> Option<String> {
    let owners: BTreeSet<String> = declared.owners.iter().map(|login| login.to_lowercase()).collect();
    if owners.len() < least {
        let found = owners.len();
        return Some(format!("`owners` must have at least {least} logins (min_owners), found {found}"));
    }
    let lacking = required.iter().find(|login| !owners.contains(&login.to_lowercase()))?;
    Some(format!("`owners` must have `{lacking}` (required_owners)"))
}

fn group(declared: &DeclaredMembers) -> FileTeam {
    let with = |logins: &[String], role: Role| -> Vec<(String, Option<Role>)> {
        logins.iter().map(|login| (login.to_lowercase(), Some(role))).collect()
    };
    let mut members: BTreeMap<String, Option<Role>> =
        with(&declared.members, Role::Member).into_iter().collect();
    members.extend(with(&declared.owners, Role::Maintainer));
    FileTeam {
        id: SOURCE_GROUP.to_owned(),
        name: NAME.to_owned(),
        description: None,
        settings: BTreeMap::new(),
        members,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(members: &[&str], owners: &[&str]) -> DeclaredMembers {
        let owned = |logins: &[&str]| logins.iter().map(|login| (*login).to_owned()).collect();
        DeclaredMembers { members: owned(members), owners: owned(owners) }
    }

    #[test]
    fn an_owner_is_a_member_with_the_higher_role() {
        let found = group(&declared(&["Ada"], &["Mona"]));
        assert_eq!(found.id, "@organisation");
        let roles: Vec<_> = found.members.iter().map(|(login, role)| (login.as_str(), *role)).collect();
        assert_eq!(roles, [("ada", Some(Role::Member)), ("mona", Some(Role::Maintainer))]);
    }

    #[test]
    fn too_few_owners_and_a_missing_required_owner_are_mistakes() {
        let required = ["Olaf".to_owned()];
        let why = |owners: &[&str]| wrong_owners(&declared(&[], owners), 2, &required);
        assert!(why(&["mona"]).unwrap().contains("at least 2 logins (min_owners), found 1"));
        assert!(why(&["mona", "ada"]).unwrap().contains("must have `Olaf` (required_owners)"));
        assert_eq!(why(&["mona", "olaf"]), None);
    }
}
