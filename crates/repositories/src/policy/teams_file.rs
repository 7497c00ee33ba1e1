//! Reads the file `teams.yml`. This file declares the members of an organisation's teams.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::forms::LOGIN;
use super::node::{Kind, Node};
use super::problem::{Problem, nearest};

/// The file of a policy that declares teams.
pub const TEAMS: &str = "teams.yml";

/// The keys of one team.
const KEYS: [&str; 9] = [
    "name",
    "previously",
    "description",
    "privacy",
    "notifications",
    "parent",
    EXTERNAL_GROUP,
    "members",
    "maintainers",
];

/// The key in [`DeclaredTeam::settings`] for a team's privacy.
const PRIVACY: &str = "privacy";
/// The key in [`DeclaredTeam::settings`] for a team's parent team.
const PARENT: &str = "parent";
/// The key in [`DeclaredTeam::settings`] for a team's group at the identity provider. This group
/// sets the members of the team.
const EXTERNAL_GROUP: &str = "external_group";

/// A team that `teams.yml` declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredTeam {
    /// The name.
    pub name: String,
    /// The former names. The oldest name comes first.
    pub previously: Vec<String>,
    /// The description, if the file sets one.
    pub description: Option<String>,
    /// The settings in the file. The key is the setting's name in GitHub's REST API: `privacy` or
    /// `notification_setting`. There are two more keys. The value of `parent` is the slug of the
    /// parent team, or null. The value of `external_group` is the name of a group at the identity
    /// provider, or null.
    pub settings: BTreeMap<&'static str, Value>,
    /// The logins of the members.
    pub members: Vec<String>,
    /// The logins of the maintainers. Maintainers are also members. `None` if the file does not set
    /// the maintainers.
    pub maintainers: Option<Vec<String>>,
}

impl DeclaredTeam {
    /// Returns the identity of the team. The identity is GitHub's address for the oldest name of
    /// the team. A renamed team keeps its identity as long as the file contains the team's former
    /// names.
    pub fn id(&self) -> String {
        address(self.previously.first().unwrap_or(&self.name))
    }
}

/// Returns the address that GitHub derives from the name of a team. Two names with the same address
/// mean the same team.
fn address(name: &str) -> String {
    let kept = |c: char| if c.is_alphanumeric() || c == '_' { c } else { '-' };
    let text: String = name.to_lowercase().chars().map(kept).collect();
    text.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}

/// Reads the teams from the file `file`. For each mistake, the function returns an error that shows
/// the line.
pub fn read_teams(file: &str, text: &str) -> Result<Vec<DeclaredTeam>, Vec<Problem>> {
    let root = Node::parse(file, text).map_err(|problem| vec![problem])?;
    let mut problems = Vec::new();
    let list = root.get("teams").filter(|list| matches!(list.kind, Kind::List(_)));
    let others = root.entries().iter().filter(|(key, _)| key.text() != Some("teams"));
    problems.extend(others.map(|(key, _)| wrong(key, "the file must have only the key `teams`")));
    let Some(list) = list else {
        problems.push(wrong(&root, "the file must have the key `teams` with a list of teams"));
        return Err(problems);
    };
    let mut names: BTreeMap<String, u32> = BTreeMap::new();
    let mut teams = Vec::new();
    for entry in list.items() {
        let Some(team) = team(entry, &mut problems) else { continue };
        // A former name also belongs to the team. If another entry had this name, Beadle would
        // rename the wrong team.
        for name in team.previously.iter().chain([&team.name]) {
            if let Some(line) = names.insert(address(name), entry.asked.line) {
                let text = format!("line {line} has a team with the name `{name}` too");
                problems.push(wrong(entry, &text));
            }
        }
        teams.push(team);
    }
    // The two lists have different lengths if an entry has no name. `problems` then already
    // contains an error about this entry.
    for (entry, team) in list.items().iter().zip(&teams).filter(|_| teams.len() == list.items().len()) {
        if let Some(text) = wrong_parent(team, &teams) {
            problems.push(wrong(entry, &text));
        }
    }
    if problems.is_empty() { Ok(teams) } else { Err(problems) }
}

/// Returns the reason why the parent of a team is invalid.
fn wrong_parent(team: &DeclaredTeam, all: &[DeclaredTeam]) -> Option<String> {
    let parent_of = |team: &DeclaredTeam| team.settings.get(PARENT)?.as_str().map(str::to_owned);
    let own = address(&team.name);
    let mut above = parent_of(team)?;
    let is_secret = |team: &DeclaredTeam| team.settings.get(PRIVACY).is_some_and(|value| value == "secret");
    if is_secret(team) {
        return Some(format!("team {}: GitHub lets no secret team have a `parent`", team.name));
    }
    for other in all {
        if address(&other.name) == above && is_secret(other) {
            return Some(format!(
                "team {}: GitHub lets no secret team be a `parent`: {}",
                team.name, other.name
            ));
        }
        if other.previously.iter().any(|former| address(former) == above) {
            return Some(format!("team {}: the `parent` has the name `{}` now", team.name, other.name));
        }
    }
    // The loop ends, because a circle cannot have more teams than the file.
    for _ in 0..=all.len() {
        if above == own {
            return Some(format!("team {}: the team would be above itself", team.name));
        }
        above = all.iter().find(|other| address(&other.name) == above).and_then(parent_of)?;
    }
    None
}

fn wrong(at: &Node, text: &str) -> Problem {
    Problem::error(at.asked.clone(), at.column, text)
}

fn team(entry: &Node, problems: &mut Vec<Problem>) -> Option<DeclaredTeam> {
    for (key, _) in entry.entries() {
        let name = key.text().unwrap_or_default();
        if !KEYS.contains(&name) {
            let problem = wrong(key, &format!("unknown key `{name}` of a team"));
            problems.push(match nearest(name, KEYS) {
                Some(near) => problem.hint(format!("did you mean `{near}`?")),
                None => problem.hint(format!("the keys of a team are {}", KEYS.join(", "))),
            });
        }
    }
    let name = entry.get("name").and_then(Node::text).filter(|name| !address(name).is_empty());
    let Some(name) = name else {
        problems.push(wrong(entry, "a team must have a `name`"));
        return None;
    };
    let previously = texts(entry, "previously", problems).unwrap_or_default();
    let members = texts(entry, "members", problems);
    let maintainers = texts(entry, "maintainers", problems);
    for login in members.iter().chain(&maintainers).flatten() {
        if let Err(misfit) = LOGIN.check(login) {
            problems
                .push(wrong(entry, &format!("team {name}: a login must {}, found `{login}`", misfit.must)));
        }
    }
    let has_people = members.is_some() || maintainers.is_some();
    if entry.get(EXTERNAL_GROUP).is_some_and(|node| node.text().is_some()) {
        if has_people {
            let text = "the identity provider sets the members of its group";
            let what = "must not have `members` or `maintainers` beside `external_group`";
            problems.push(wrong(entry, &format!("team {name} {what}: {text}")));
        }
    } else if !has_people {
        problems.push(wrong(entry, &format!("team {name} must have `members`, which can be `[]`")));
    }
    let description = entry.get("description").and_then(|node| {
        if node.text().is_none() {
            problems.push(wrong(node, "`description` must be a string"));
        }
        node.text().map(str::to_owned)
    });
    Some(DeclaredTeam {
        name: name.to_owned(),
        previously,
        description,
        settings: settings(entry, problems),
        members: members.unwrap_or_default(),
        maintainers,
    })
}

/// Returns the settings of a team.
fn settings(entry: &Node, problems: &mut Vec<Problem>) -> BTreeMap<&'static str, Value> {
    let mut settings = BTreeMap::new();
    if let Some(node) = entry.get("privacy") {
        match node.text() {
            Some(word @ ("secret" | "closed")) => {
                settings.insert(PRIVACY, json!(word));
            }
            _ => problems.push(wrong(node, "`privacy` must be `secret` or `closed`")),
        }
    }
    if let Some(node) = entry.get("notifications") {
        match node.bool() {
            Some(true) => settings.insert("notification_setting", json!("notifications_enabled")),
            Some(false) => settings.insert("notification_setting", json!("notifications_disabled")),
            None => {
                problems.push(wrong(node, "`notifications` must be `true` or `false`"));
                None
            }
        };
    }
    if let Some(node) = entry.get("parent") {
        match (&node.kind, node.text()) {
            (Kind::Null, _) => {
                settings.insert(PARENT, Value::Null);
            }
            (_, Some(name)) if !address(name).is_empty() => {
                settings.insert(PARENT, json!(address(name)));
            }
            _ => problems.push(wrong(node, "`parent` must be the name of a team, or `null` for no parent")),
        }
    }
    if let Some(node) = entry.get(EXTERNAL_GROUP) {
        match (&node.kind, node.text().map(str::trim)) {
            (Kind::Null, _) => {
                settings.insert(EXTERNAL_GROUP, Value::Null);
            }
            (_, Some(name)) if !name.is_empty() => {
                settings.insert(EXTERNAL_GROUP, json!(name));
            }
            _ => problems.push(wrong(
                node,
                "`external_group` must be the name of a group of the identity provider, or `null` for none",
            )),
        }
    }
    settings
}

/// Returns the list of strings below a key. Returns `None` if the team's entry does not contain the
/// key.
fn texts(entry: &Node, key: &str, problems: &mut Vec<Problem>) -> Option<Vec<String>> {
    let list = entry.get(key)?;
    if !matches!(list.kind, Kind::List(_)) {
        problems.push(wrong(list, &format!("`{key}` must be a list of strings")));
        return None;
    }
    let mut found = Vec::new();
    for item in list.items() {
        match item.text() {
            Some(text) => found.push(text.to_owned()),
            None => problems.push(wrong(item, &format!("each entry of `{key}` must be a string"))),
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(text: &str) -> String {
        let problems = read_teams(TEAMS, text).unwrap_err();
        let lines = problems.iter().map(|problem| format!("{}: {}\n", problem.asked.line, problem.message));
        lines.collect::<Vec<_>>().concat()
    }

    #[test]
    fn a_team_has_members_and_may_have_maintainers_and_former_names() {
        let text = "teams:\n  - name: Engineering\n    previously: [Devs]\n    members: [ada, bob]\n\
                    \x20   maintainers: [mona]\n  - name: Guests\n    members: []\n\
                    \x20   description: From outside\n    privacy: closed\n    notifications: false\n\
                    \x20   parent: Engineering\n";
        let teams = read_teams(TEAMS, text).unwrap();
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            teams,
            [
                DeclaredTeam {
                    name: "Engineering".into(),
                    previously: owned(&["Devs"]),
                    description: None,
                    settings: BTreeMap::new(),
                    members: owned(&["ada", "bob"]),
                    maintainers: Some(owned(&["mona"])),
                },
                DeclaredTeam {
                    name: "Guests".into(),
                    previously: Vec::new(),
                    description: Some("From outside".into()),
                    settings: BTreeMap::from([
                        ("notification_setting", json!("notifications_disabled")),
                        ("parent", json!("engineering")),
                        ("privacy", json!("closed")),
                    ]),
                    members: Vec::new(),
                    maintainers: None,
                },
            ]
        );
        assert!(read_teams(TEAMS, "teams: []\n").unwrap().is_empty());
    }

    #[test]
    fn a_group_of_the_identity_provider_takes_the_place_of_the_members() {
        let text = "teams:\n  - { name: Ops, external_group: okta-ops }\n\
                    \x20 - { name: Web, external_group: null, members: [ada] }\n";
        let teams = read_teams(TEAMS, text).unwrap();
        let groups: Vec<&Value> = teams.iter().map(|team| &team.settings[EXTERNAL_GROUP]).collect();
        assert_eq!(groups, [&json!("okta-ops"), &Value::Null]);
        assert!(teams[0].members.is_empty() && teams[0].maintainers.is_none());
    }

    #[test]
    fn a_mistake_is_an_error_with_its_line_and_never_an_empty_list() {
        for (text, expected) in [
            ("", "1: the file must have the key `teams`"),
            ("teams:\n", "1: the file must have the key `teams`"),
            ("teams: { a: [b] }\n", "1: the file must have the key `teams`"),
            ("teams: []\nmembers: []\n", "2: the file must have only the key `teams`"),
            ("teams:\n  - members: [ada]\n", "2: a team must have a `name`"),
            ("teams:\n  - name: A\n", "2: team A must have `members`"),
            ("teams:\n  - name: A\n    members:\n", "3: `members` must be a list"),
            ("teams:\n  - name: A\n    members: [7]\n", "3: each entry of `members` must be a string"),
            ("teams:\n  - name: A\n    member: [ada]\n    members: []\n", "3: unknown key `member`"),
            ("teams:\n  - name: A\n    members: [\"a b\"]\n", "2: team A: a login must "),
            ("teams:\n  - { name: A, members: [], privacy: open }\n", "2: `privacy` must be"),
            ("teams:\n  - { name: A, members: [], external_group: 7 }\n", "2: `external_group` must be"),
            (
                "teams:\n  - { name: A, external_group: x, members: [] }\n",
                "2: team A must not have `members`",
            ),
            ("teams:\n  - { name: A, external_group: null }\n", "2: team A must have `members`"),
            (
                "teams:\n  - { name: A, members: [], parent: A }\n",
                "2: team A: the team would be above itself",
            ),
            (
                "teams:\n  - { name: A, members: [], parent: B, privacy: secret }\n",
                "2: team A: GitHub lets no secret team",
            ),
            (
                "teams:\n  - { name: A, members: [], parent: B }\n  - { name: B, members: [], privacy: secret }\n",
                "2: team A: GitHub lets no secret team be a `parent`: B",
            ),
            (
                "teams:\n  - { name: A, members: [], parent: Devs }\n  - { name: B, previously: [Devs], members: [] }\n",
                "2: team A: the `parent` has the name `B` now",
            ),
            (
                "teams:\n  - { name: A, members: [] }\n  - { name: B, previously: [a], members: [] }\n",
                "3: line 2 has a team with the name `a` too",
            ),
        ] {
            let found = errors(text);
            assert!(found.contains(expected), "{text}\n{found}");
        }
    }
}
