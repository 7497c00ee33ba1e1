//! The policy files for groups. `groups.toml` contains mappings, `teams.yml` contains teams, and
//! `members.yml` contains the members of the organisation. These files are not layers.

use beadle_engine::PolicyLocation;

use super::folder::MAPPINGS;
use super::members_file::{MEMBERS, read_members};
use super::origin::BASE;
use super::problem::Problem;
use super::teams_file::{TEAMS, read_teams};

/// Returns whether a file contains the mappings of a policy or of the policy's base.
pub(super) fn is_mapping_file(file: &str) -> bool {
    without_base(file) == MAPPINGS
}

/// Returns whether a file declares teams or members. The file belongs to a policy or to the
/// policy's base.
pub(super) fn is_people_file(file: &str) -> bool {
    ["teams", "members"].contains(&stem(file))
}

/// Returns the mistakes in a file for groups, except the mistakes inside mappings. Beadle finds the
/// mistakes inside mappings later, because it reads mappings together with the configuration. The
/// configuration contains the directories and the targets.
pub(super) fn problems_of_groups(file: &str, text: &str) -> Vec<Problem> {
    let whole = |text: &str, hint: &str| {
        vec![Problem::error(PolicyLocation { file: file.into(), line: 1 }, 1, text).hint(hint)]
    };
    // Several organisations can share a base. Each of these organisations would add the same
    // groups.
    if file.starts_with(BASE) {
        let what = if is_mapping_file(file) { "mappings" } else { stem(file) };
        let hint = "move the file to the policy of one organisation";
        return whole(&format!("a base must not have {what}"), hint);
    }
    match file {
        TEAMS => read_teams(file, text).err().unwrap_or_default(),
        MEMBERS => read_members(file, text).err().unwrap_or_default(),
        _ if is_mapping_file(file) => Vec::new(),
        _ => whole(&format!("the name of the file must be `{}.yml`", stem(file)), "rename the file"),
    }
}

fn without_base(file: &str) -> &str {
    file.strip_prefix(BASE).unwrap_or(file)
}

/// Returns the name of a file without the extension. The file belongs to a policy or to the
/// policy's base.
fn stem(file: &str) -> &str {
    let file = without_base(file);
    file.rsplit_once('.').map_or(file, |(stem, _)| stem)
}
