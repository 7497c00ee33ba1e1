//! The files of a policy about groups: `groups.toml` with mappings, and `teams.yml` with teams. They
//! are no layers.

use beadle_engine::PolicyLocation;

use super::folder::MAPPINGS;
use super::origin::BASE;
use super::problem::Problem;
use super::teams_file::{TEAMS, read_teams};

/// Returns whether a file has the mappings of groups of a policy or of its base.
pub(super) fn is_mapping_file(file: &str) -> bool {
    without_base(file) == MAPPINGS
}

/// Returns whether a file declares the teams of a policy or of its base.
pub(super) fn is_team_file(file: &str) -> bool {
    let file = without_base(file);
    file.rsplit_once('.').map_or(file, |(stem, _)| stem) == "teams"
}

/// Returns the mistakes of a file about groups. Beadle reads mappings with the configuration, which
/// has the directories and the targets, so mistakes inside of them are not among these.
pub(super) fn problems_of_groups(file: &str, text: &str) -> Vec<Problem> {
    let whole = |text: &str, hint: &str| {
        vec![Problem::error(PolicyLocation { file: file.into(), line: 1 }, 1, text).hint(hint)]
    };
    let is_base = file.starts_with(BASE);
    // Several organisations can share a base. Each of them would add the same mappings and teams.
    match is_mapping_file(file) {
        true if is_base => {
            whole("a base must not have mappings", "move the file to the policy of one organisation")
        }
        true => Vec::new(),
        false if is_base => {
            whole("a base must not have teams", "move the file to the policy of one organisation")
        }
        false if file != TEAMS => whole("the name of the file must be `teams.yml`", "rename the file"),
        false => read_teams(file, text).err().unwrap_or_default(),
    }
}

fn without_base(file: &str) -> &str {
    file.strip_prefix(BASE).unwrap_or(file)
}
