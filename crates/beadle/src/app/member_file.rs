//! Converts `members.yml` of a policy to the membership of the organisation, and checks that the
//! organisation keeps its owners.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;
use beadle_groups::mapping::Role;
use beadle_groups::membership::{NAME, SOURCE_GROUP};
use beadle_groups::sources::FileTeam;
use beadle_repositories::policy::{DeclaredMembers, MEMBERS, read_members};

use crate::app::team_file::{Parse, first};
use crate::config::{TeamsFile, membership_limits};

/// Returns the function that reads the file with the rules of this target.
pub(super) fn parser(teams: &TeamsFile) -> Parse {
    let required = teams.required_owners.clone();
    let least = membership_limits(teams).map_or(1, |limits| limits.owners);
    Box::new(move |text: &str| {
        let declared = read_members(MEMBERS, text).map_err(|problems| first(&problems))?;
        check(&declared, least, &required)?;
        Ok(vec![group(&declared)])
    })
}

/// Checks the owners. A file with a mistake is unknown, so nobody leaves because of it.
fn check(declared: &DeclaredMembers, least: usize, required: &[String]) -> anyhow::Result<()> {
    let owners: BTreeSet<String> = declared.owners.iter().map(|login| login.to_lowercase()).collect();
    if owners.len() < least {
        bail!("{MEMBERS}: `owners` must have at least {least} logins (min_owners), found {}", owners.len());
    }
    if let Some(lacking) = required.iter().find(|login| !owners.contains(&login.to_lowercase())) {
        bail!("{MEMBERS}: `owners` must have `{lacking}` (required_owners)");
    }
    Ok(())
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
        let error =
            |owners: &[&str]| check(&declared(&[], owners), 2, &required).map_err(|why| why.to_string());
        assert!(error(&["mona"]).unwrap_err().contains("at least 2 logins (min_owners), found 1"));
        assert!(error(&["mona", "ada"]).unwrap_err().contains("must have `Olaf` (required_owners)"));
        assert!(error(&["mona", "olaf"]).is_ok());
    }
}
