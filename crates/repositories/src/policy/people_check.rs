//! Finds people in `teams.yml` who are not in `members.yml`. After a person left the organisation,
//! Beadle reports each team that still lists the person.

use std::collections::{BTreeMap, BTreeSet};

use super::members_file::{MEMBERS, read_members};
use super::node::Node;
use super::problem::{Problem, Severity};
use super::teams_file::TEAMS;

/// Returns a warning for each login in a team if no declared member has this login. `sources`
/// contains the texts of the policy's files.
pub(super) fn strangers(sources: &BTreeMap<String, String>) -> Vec<Problem> {
    let (Some(teams), Some(members)) = (sources.get(TEAMS), sources.get(MEMBERS)) else { return Vec::new() };
    // Other checks report unreadable files.
    let (Ok(teams), Ok(declared)) = (Node::parse(TEAMS, teams), read_members(MEMBERS, members)) else {
        return Vec::new();
    };
    let known: BTreeSet<String> =
        declared.members.iter().chain(&declared.owners).map(|login| login.to_lowercase()).collect();
    let mut problems = Vec::new();
    for team in teams.get("teams").map(Node::items).unwrap_or_default() {
        let name = team.get("name").and_then(Node::text).unwrap_or_default();
        for list in ["members", "maintainers"].iter().filter_map(|key| team.get(key)) {
            for item in list.items() {
                let Some(login) = item.text().filter(|login| !known.contains(&login.to_lowercase())) else {
                    continue;
                };
                let text = format!("team {name} has `{login}`, whom {MEMBERS} does not have");
                let problem = Problem::error(item.asked.clone(), item.column, text);
                let hint = format!("remove the login here, or add it to {MEMBERS}");
                problems.push(problem.severity(Severity::Warning).hint(hint));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_left_is_reported_in_each_team_that_names_the_person() {
        let teams = "teams:\n  - name: Ops\n    members: [Ada, eve]\n  - name: Docs\n    members: []\n    \
                     maintainers:\n      - mona\n      - eve\n";
        let mut sources = BTreeMap::from([(TEAMS.to_owned(), teams.to_owned())]);
        assert!(strangers(&sources).is_empty(), "without members.yml everybody can be a member");
        sources.insert(MEMBERS.to_owned(), "members: [ada]\nowners: [Mona]\n".to_owned());
        let found = strangers(&sources);
        let lines: Vec<u32> = found.iter().map(|problem| problem.asked.line).collect();
        assert_eq!(lines, [3, 8]);
        assert!(found.iter().all(|problem| problem.severity == Severity::Warning));
        assert!(found[0].message.contains("team Ops has `eve`"), "{}", found[0].message);
    }
}
