//! The teams or groups that give a role.

use beadle_config::SignInFile;
use beadle_server::sign_in::Role;

/// For each role, the names of the teams or groups that give the role.
pub(super) struct Roles([(Role, Vec<String>); 3]);

impl Roles {
    pub(super) fn new(file: &SignInFile) -> Self {
        Self([
            (Role::Approver, file.approvers.clone()),
            (Role::Operator, file.operators.clone()),
            (Role::Viewer, file.viewers.clone()),
        ])
    }

    /// Returns each name with its role. The strongest role comes first.
    pub(super) fn names(&self) -> impl Iterator<Item = (Role, &str)> {
        self.0.iter().flat_map(|(role, names)| names.iter().map(move |name| (*role, name.as_str())))
    }

    /// Returns the strongest role of a person who is in these groups.
    pub(super) fn of_groups(&self, groups: &[&str]) -> Option<Role> {
        self.names().find(|(_, name)| groups.contains(name)).map(|(role, _)| role)
    }
}

#[cfg(test)]
pub(super) fn of(viewers: &[&str], operators: &[&str], approvers: &[&str]) -> Roles {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Roles([
        (Role::Approver, owned(approvers)),
        (Role::Operator, owned(operators)),
        (Role::Viewer, owned(viewers)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strongest_role_counts_and_a_name_must_be_equal() {
        let none: &[&str] = &[];
        let roles = of(&["staff", "ops"], &["ops"], &["leads", "staff-leads"]);
        for (groups, role) in [
            (&["staff"][..], Some(Role::Viewer)),
            (&["staff", "ops"][..], Some(Role::Operator)),
            (&["ops", "leads"][..], Some(Role::Approver)),
            (&["Leads"][..], None),
            (&["lead"][..], None),
            (&[""][..], None),
            (none, None),
        ] {
            assert_eq!(roles.of_groups(groups), role, "{groups:?}");
        }
    }
}
